"""Pictures of pictures, for reports: sheets of them, and a map of the latent space.

This module does not know any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from variate.image.pictures import GROUND, grid
from variate.report import Picture
from variate.report.style import RULE, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["map_of_codes", "sheet", "stacked"]

WIDE, SMALL = 7.2, 3.4  # inches
SMALL_GRID, LARGE_GRID = 490, 1037  # pixels, as many as are drawn: lines of two stay lines
THUMBNAILS = 22  # to a side of the map

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


def stacked(*rows: Bytes) -> Bytes:
    """Pictures `[N, H, W, C]` of several sorts, so that a grid of N columns has one in each row."""
    channels = max(row.shape[-1] for row in rows)
    alike = [row.repeat(3, -1) if row.shape[-1] < channels else row for row in rows]
    return np.concatenate([row[..., :channels] for row in alike])


def sheet(pictures: Bytes, columns: int, caption: str, *, small: bool = False) -> Picture:
    """Pictures `[N, H, W, C]` in rows, as a part of a report."""
    pixels = grid(pictures, columns, gap=2, most=SMALL_GRID if small else LARGE_GRID)
    return Picture(lambda: _drawn(pixels, SMALL if small else WIDE), caption)


@styled()
def _drawn(pixels: Bytes, width: float) -> Figure:
    height = width * pixels.shape[0] / pixels.shape[1]
    figure, ax = canvas(width, height)
    ax.set_axis_off()
    ax.imshow(_colour(pixels), interpolation="nearest", aspect="auto")
    figure.set_layout_engine("none")
    ax.set_position((0, 0, 1, 1))
    return figure


def map_of_codes(pictures: Bytes, codes: Floats, caption: str) -> Picture:
    """Pictures `[N, H, W, C]` where their codes `[N, D]` are, on the two principal axes.

    Where pictures would cover each other, one of them is shown.
    """
    centered = codes - codes.mean(0)
    _, singular, axes = np.linalg.svd(centered, full_matrices=False)
    places = centered @ axes[:2].T
    if places.shape[1] < 2:
        places = np.concatenate([places, np.zeros_like(places)], 1)
    share = singular[:2] ** 2 / max(float((singular**2).sum()), 1e-12)
    return Picture(
        lambda: _draw_map(pictures, places),
        f"{caption} The two principal axes of the codes, which hold "
        f"{share.sum():.0%} of their variance.",
    )


@styled()
def _draw_map(pictures: Bytes, places: Floats) -> Figure:
    figure, ax = canvas(WIDE, WIDE)
    low, high = np.quantile(places, [0.01, 0.99], axis=0)
    span = np.maximum(high - low, 1e-9)
    cells = np.floor((places - low) / span * THUMBNAILS).astype(int)
    side = span / THUMBNAILS
    taken: set[tuple[int, int]] = set()
    for n, cell in enumerate(cells):
        key = int(cell[0]), int(cell[1])
        if key in taken or not all(0 <= c < THUMBNAILS for c in key):
            continue
        taken.add(key)
        left, bottom = low + cell * side
        box = (left, left + side[0] * 0.96, bottom, bottom + side[1] * 0.96)
        ax.imshow(_colour(pictures[n]), extent=box, interpolation="nearest", aspect="auto")
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_xlabel("first principal axis")
    ax.set_ylabel("second principal axis")
    ax.spines[:].set_color(RULE)
    return figure


def _colour(pixels: Bytes) -> Bytes:
    """Pixels as three channels; transparent ones on paper."""
    if pixels.shape[-1] == 1:
        return pixels.repeat(3, -1)
    if pixels.shape[-1] == 4:
        alpha = pixels[..., 3:] / 255
        return (pixels[..., :3] * alpha + GROUND * (1 - alpha)).round().astype(np.uint8)
    return pixels
