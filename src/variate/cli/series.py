"""What `variate fit` takes for series and what it takes for tables, told apart.

This module does not know any mathematics.
"""

from typing import Any

from variate.errors import OptionError

__all__ = ["options_of"]

OF_TABLES = {
    "columns": None, "constraints": (), "condition_on": None, "width": None, "components": 8,
}  # fmt: skip
SAID = {"columns": "column", "channels": "channel"}


def options_of(
    kind: str, chosen: dict[str, Any], own: dict[str, Any], privacy: Any
) -> dict[str, Any]:
    """The options of a model of a kind.

    Args:
        kind: "table" or "series".
        chosen: Options of both, and those that only tables have.
        own: Those that only series have.
        privacy: Of tables, or None.

    Raises:
        OptionError: An option is given that the kind does not have.
    """
    if kind != "series":
        if given := [name for name, value in own.items() if value is not None]:
            raise OptionError(f"{_said(given[0])} is for series: say --kind series with it.")
        return chosen | {"privacy": privacy}
    given = [name for name, default in OF_TABLES.items() if chosen[name] != default]
    if given or privacy is not None:
        name = given[0] if given else "epsilon"
        raise OptionError(f"{_said(name)} is for tables, and does not go with --kind series.")
    return {name: value for name, value in chosen.items() if name not in OF_TABLES} | own


def _said(name: str) -> str:
    return "--" + SAID.get(name, name).replace("_", "-")
