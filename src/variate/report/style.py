"""The look of every picture: one palette, one canvas, quiet axes.

The colours of data are from Okabe & Ito's palette (2008), which people with any kind of colour
blindness can tell apart. A page replaces each colour in `THEME` by a variable of its style sheet,
so that one picture serves a light and a dark page; a picture on its own is a light one.

This module does not know what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from variate.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "MODEL",
    "MUTED",
    "OTHERS",
    "PAPER",
    "REAL",
    "RULE",
    "SERIES",
    "THEME",
    "canvas",
    "number",
    "shorten",
    "shorten_all",
    "styled",
]

PAPER = "#fdfdfb"
INK = "#1d2126"
MUTED = "#68707a"
RULE = "#d9dcdf"
REAL = "#b4bac1"  # what was observed
MODEL = "#0072b2"  # what the model makes
# Groups of points, the same on a light and a dark page, since points are pictures and stay as drawn
SERIES = ("#0173b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6fd0")
OTHERS = "#9aa0a6"

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


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of width and height in inches, and its axes; to be called inside `styled`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def shorten(text: object, most: int) -> str:
    """A label of at most `most` characters on one line, its middle cut out if need be."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) <= most:
        return line
    head = (most - 1) * 2 // 3
    return f"{line[:head].rstrip()}…{line[len(line) - (most - 1 - head) :].lstrip()}"


def shorten_all(texts: Sequence[object], most: int) -> list[str]:
    """Labels of at most `most` characters; if two coincide, without what all texts begin with."""
    short = [shorten(text, most) for text in texts]
    if len(set(short)) < len(short):
        whole = [str(text) for text in texts]
        shared = len(
            list(takewhile(lambda letters: len(set(letters)) == 1, zip(*whole, strict=False)))
        )
        if shared > 3:
            short = [f"…{shorten(text[shared:], most - 1)}" for text in whole]
    return short


def number(value: float, digits: int = 4) -> str:
    """A number of that many significant digits, thousands parted, with a true minus sign."""
    whole = 1e3 <= abs(value) < 1e9
    text = f"{value:,.0f}" if whole and digits <= 4 else f"{value:,.{digits}g}"
    return text.replace("-", "−")
