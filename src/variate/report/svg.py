"""A matplotlib figure as an SVG fragment that belongs to the page around it.

Colours of the palette become the page's CSS variables, the font is the page's, and what a page
has no use for (the XML prologue, metadata, a style rule for everything, unused ids) is dropped.
matplotlib escapes the text it writes, so that `<` and `>` in the output are markup alone and a
label cannot break out of it.

This module does not know what the figure shows.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from typing import TYPE_CHECKING

from variate.report.style import THEME, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline"]

PIXELS_PER_INCH = 96
_TAG = re.compile(r"<[^>]*>")
_BLOCKS = re.compile(r"<(metadata|style)\b.*?</\1>\s*", re.DOTALL)
_COLOUR = re.compile("|".join(THEME), re.IGNORECASE)
_FONT = re.compile(r"font-family:[^;\"]*;?\s*")
_GROUP_ID = re.compile(r"(?<=^<g) id=\"[^\"]*\"")
_SIZE = re.compile(r" (?:width|height)=\"[^\"]*\"")


def inline(figure: Figure, description: str) -> str:
    """The figure as an `<svg>` element, `description` for those who cannot see it."""
    buffer = io.StringIO()
    with styled(), warnings.catch_warnings():
        # the page's font may have the glyphs that matplotlib's own lacks, and whoever reads a
        # report cannot do anything about a label that is too long for its picture
        for message in (r"Glyph .* missing", "constrained_layout not applied"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        figure.savefig(buffer, format="svg", dpi=144, transparent=True, metadata={"Date": None})
    source = buffer.getvalue()
    source = _BLOCKS.sub("", source[source.index("<svg") :])
    opening, rest = source.split(">", 1)
    width = round(figure.get_figwidth() * PIXELS_PER_INCH)
    label = html.escape(description, quote=True)
    opening = _SIZE.sub("", opening) + f' role="img" aria-label="{label}" style="--width:{width}px"'
    return f"{opening}>{_TAG.sub(_themed, rest)}"


def _themed(match: re.Match[str]) -> str:
    tag = match[0]
    if tag.startswith("<image"):  # a picture of points: its bytes are not to be searched
        return tag
    tag = _FONT.sub("", _GROUP_ID.sub("", tag))
    return _COLOUR.sub(lambda colour: f"var({THEME[colour[0].lower()]})", tag)
