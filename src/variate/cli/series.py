"""What `variate fit` takes for series and what it takes for tables, told apart.

This module does not know any mathematics.
"""

from typing import Any

from variate.errors import OptionError

__all__ = ["expect_no_series", "series_options"]

OF_TABLES = {
    "columns": None, "constraints": (), "condition_on": None, "width": None, "components": 8,
}  # fmt: skip
SAID = {"columns": "column", "channels": "channel"}


def series_options(
    chosen: dict[str, Any], own: dict[str, Any], epsilon: float | None
) -> dict[str, Any]:
    """The options of a series model.

    Args:
        chosen: Those of a table.
        own: Those that only series have.
        epsilon: Of differential privacy.

    Raises:
        OptionError: An option that only tables have is given.
    """
    given = [name for name, default in OF_TABLES.items() if chosen[name] != default]
    if epsilon is not None:
        given.append("epsilon")
    if given:
        raise OptionError(f"{_said(given[0])} is for tables, and does not go with --kind series.")
    return {name: value for name, value in chosen.items() if name not in OF_TABLES} | own


def expect_no_series(own: dict[str, Any]) -> None:
    """Refuse the options of series for another kind.

    Raises:
        OptionError: One is given.
    """
    if given := [name for name, value in own.items() if value is not None]:
        raise OptionError(f"{_said(given[0])} is for series: say --kind series with it.")


def _said(name: str) -> str:
    return "--" + SAID.get(name, name).replace("_", "-")
