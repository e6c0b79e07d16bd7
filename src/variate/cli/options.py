"""Which options of `variate fit` belong to which kind of data.

This module does not know any mathematics.
"""

from typing import Any

from variate.errors import OptionError

__all__ = ["options_of"]

KINDS = {
    "table": "tables", "series": "series", "image": "pictures", "text": "text", "music": "music",
}  # fmt: skip
BELONGS = {
    "network": ("image",),
    "columns": ("table",), "constraints": ("table",), "condition_on": ("table",),
    "components": ("table",), "privacy": ("table",), "hidden": ("table", "series"),
    "width": ("table", "image", "music"), "time": ("series",), "series": ("series",),
    "channels": ("series",), "window": ("series",), "size": ("image",), "levels": ("image",),
    "binarize": ("image",), "depth": ("image",), "likelihood": ("image",),
    "column": ("text",), "label": ("text",), "vocabulary": ("text",), "length": ("text",),
    "bars": ("music",), "voices": ("music",), "tracks": ("music",),
    "preset": ("text", "music"),
}  # fmt: skip
SAID = {"columns": "column", "channels": "channel", "privacy": "epsilon"}


def options_of(kind: str, chosen: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The options of a model of a kind.

    Args:
        kind: The kind of data.
        chosen: All options.
        defaults: What those mean that nobody gave, where that is not None.

    Returns:
        Those that the kind has and somebody gave.

    Raises:
        OptionError: An option is given that the kind does not have.
    """
    given = {name: value for name, value in chosen.items() if value != defaults.get(name)}
    for name in given:
        kinds = BELONGS.get(name, (kind,))
        if kind not in kinds:
            of = " and ".join(KINDS[k] for k in kinds)
            hint = f": say --kind {kinds[0]} with it" if kind == "table" else ""
            shown = "--" + SAID.get(name, name).replace("_", "-")
            raise OptionError(
                f"{shown} is for {of}, and does not go with {KINDS.get(kind, kind)}{hint}."
            )
    return given
