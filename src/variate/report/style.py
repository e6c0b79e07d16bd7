"""The look of every picture: one palette, one canvas, quiet axes.

The colours of data are from Okabe & Ito's palette (2008), which people with any kind of colour
blindness can tell apart. A page replaces each colour in `THEME` by a variable of its style sheet,
so that one picture serves a light and a dark page; a picture on its own is a light one.

This module does not know what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from variate.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "MODEL",
    "MUTED",
    "PAPER",
    "REAL",
    "RULE",
    "SERIES",
    "THEME",
    "canvas",
    "shorten",
    "styled",
]

PAPER = "#fdfdfb"
INK = "#1d2126"
MUTED = "#68707a"
RULE = "#d9dcdf"
REAL = "#b4bac1"  # what was observed
MODEL = "#0072b2"  # what the model makes
SERIES = (MODEL, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6fd0")

THEME = {
    PAPER: "--paper",
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    REAL: "--real",
    MODEL: "--model",
}

STYLE: dict[Any, Any] = {
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlepad": 8.0,
    "axes.axisbelow": True,
    "axes.labelsize": 8.0,
    "axes.formatter.limits": (-4, 6),
    "axes.formatter.useoffset": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "patch.linewidth": 0.0,
    "text.color": INK,
    "text.parse_math": False,  # a column may be called "price in $ or $US"
    "text.usetex": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 7.5,
    "xtick.major.size": 3.0,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 7.5,
    "ytick.major.size": 0.0,
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be selected
    "svg.hashsalt": "variate",  # the same picture gives the same bytes
}


@contextmanager
def styled() -> Iterator[None]:
    """The look, inside a `with` block or on a drawing function as its decorator.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("A picture", "matplotlib", "report") from error
    with mpl.rc_context(STYLE):
        yield


def canvas(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of width and height in inches, with a row of axes; to be called inside `styled`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def shorten(text: object, most: int) -> str:
    """A label of at most `most` characters on one line, its middle cut out if need be."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) <= most:
        return line
    head = (most - 1) * 2 // 3
    return f"{line[:head].rstrip()}…{line[len(line) - (most - 1 - head) :].lstrip()}"
