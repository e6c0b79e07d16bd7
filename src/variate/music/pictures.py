"""Pictures of music for reports: piano-rolls side by side, and the way between two items.

This module does not know models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variate.music.pieces import Piece, bar_of
from variate.report import Picture
from variate.report.style import INK, MODEL, MUTED, REAL, RULE, SERIES, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "rolls"]

WIDE = 7.2  # inches
COLUMNS = 4


def rolls(pieces: Sequence[Piece], caption: str) -> Picture:
    """Pieces as piano-rolls, four in a row."""
    return Picture(lambda: _rolls(pieces), caption)


@styled()
def _rolls(pieces: Sequence[Piece]) -> Figure:
    rows = math.ceil(len(pieces) / COLUMNS)
    figure, first = canvas(WIDE, 1.15 * rows)
    first.remove()
    pitches = [note.pitch for piece in pieces for note in piece.notes] or [60]
    low, high = min(pitches) - 1.5, max(pitches) + 1.5
    for number, piece in enumerate(pieces):
        ax = figure.add_subplot(rows, COLUMNS, number + 1)
        _roll(ax, piece)
        ax.set_ylim(low, high)
        ax.set_title(f"{piece.meter[0]}/{piece.meter[1]}", fontsize=6, color=MUTED, pad=2)
    return figure


def _roll(ax: Axes, piece: Piece) -> None:
    for voice, notes in enumerate(piece.voices):
        colour = MODEL if len(piece.voices) == 1 else SERIES[voice % len(SERIES)]
        for note in notes:
            ax.broken_barh(
                [(note.onset, note.duration * 0.92)], (note.pitch - 0.5, 1), facecolors=colour
            )
    bar = bar_of(piece.meter)
    for line in np.arange(bar, piece.quarters, bar):
        ax.axvline(line, color=RULE, linewidth=0.6, zorder=0)
    ax.set_xlim(0, piece.quarters)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["left", "bottom"]].set_color(RULE)


def curves(distances: NDArray[np.float64], caption: str) -> Picture:
    """Mean distances to both ends along ways, `[2, steps]`."""
    return Picture(lambda: _curves(distances), caption)


@styled()
def _curves(distances: NDArray[np.float64]) -> Figure:
    figure, ax = canvas(WIDE / 2, 1.9)
    at = np.linspace(0, 1, distances.shape[1])
    ax.plot(at, distances[0], color=MODEL, marker="o", markersize=3)
    ax.plot(at, distances[1], color=REAL, marker="o", markersize=3)
    ax.annotate("from the start", (at[-1], distances[0, -1]), color=INK, fontsize=7, ha="right",
                xytext=(0, 4), textcoords="offset points")  # fmt: skip
    ax.annotate("from the end", (at[0], distances[1, 0]), color=INK, fontsize=7,
                xytext=(0, 4), textcoords="offset points")  # fmt: skip
    ax.set_xlabel("share of the way")
    ax.set_ylabel("symbols that differ")
    return figure
