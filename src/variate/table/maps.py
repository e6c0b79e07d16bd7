"""Maps of a table: which columns hang together, and where the codes put the rows.

    association_maps   how strongly each pair of columns hangs together, real and synthetic
    trend_map          how far each pair is off
    latent_maps        the codes, coloured by the columns that they tell most of

Tables are in codec space: float64 `[N, C]`, NaN = missing, categories as codes. Nothing is drawn
before a report is rendered. Colours are laid on as more or less opaque ink, so that a map suits a
light page and a dark one.

This module does not know any model, nor how codes and tables came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from variate.report import Picture
from variate.report.style import INK, MODEL, MUTED, OTHERS, SERIES, canvas, shorten_all, styled
from variate.table.measures import Trends, associations
from variate.table.neighbours import told
from variate.table.pictures import Column, percent, title, write_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = ["association_maps", "latent_map", "latent_maps", "trend_map"]

MAPPED = 40  # the most columns of an association map
ROWS = 5_000  # enough rows for an association
POINTS = 4_000  # the most points of a latent map
SMALL = 15  # columns of a map that can stand beside others
WIDTH = 3.4  # inches; three side by side on a wide page
ALONE = 4.2  # of a map that stands alone
TOO_STRONG = "#d55e00"  # the opposite of blue that the colour-blind can tell from it


def association_maps(
    real: np.ndarray, synthetic: np.ndarray, columns: Sequence[Column]
) -> tuple[Picture, Picture, Picture]:
    """Three heat maps of `measures.associations`: real, synthetic, synthetic minus real.

    At most 40 columns and 5,000 rows are looked at.

    Args:
        real: `[N, C]`.
        synthetic: `[M, C]`.
        columns: What the C columns are.
    """
    names = [column.name for column in columns[:MAPPED]]
    kinds = [column.kind for column in columns[:MAPPED]]

    @cache
    def maps() -> tuple[np.ndarray, np.ndarray]:
        first, second = (_some(x)[:, : len(kinds)] for x in (real, synthetic))
        return associations(first, kinds), associations(second, kinds)

    cut = f" The first {MAPPED} of {len(columns)} columns." if len(columns) > MAPPED else ""
    return (
        Picture(
            lambda: _draw_associations(maps()[0], names, "real"),
            "0: independent, 1: one follows from the other. Rank correlation of numbers, Cramér's "
            f"V of categories, correlation ratio between a number and a category.{cut}",
        ),
        Picture(
            lambda: _draw_associations(maps()[1], names, "synthetic"),
            "The synthetic rows on the same scale.",
        ),
        Picture(
            lambda: _draw_associations(maps()[1] - maps()[0], names, "synthetic − real"),
            "The difference. Blue: too weak in the synthetic rows; orange: too strong; faint: as "
            "in the real ones.",
        ),
    )


def trend_map(shape: np.ndarray, trends: Trends, columns: Sequence[Column]) -> Picture:
    """A heat map of the errors of pairs, with those of the columns on the diagonal.

    Of more than 40 columns those with the largest errors are shown, in the table's order.

    Args:
        shape: The error of each column's shape `[C]`.
        trends: The errors of the pairs.
        columns: What the C columns are.
    """
    matrix = np.full((len(columns), len(columns)), np.nan)
    first, second = trends.pairs.T
    matrix[first, second] = matrix[second, first] = trends.errors
    np.fill_diagonal(matrix, shape)
    known = ~np.isnan(matrix)
    burden = np.where(known, matrix, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    shown = np.sort(np.argsort(-burden, kind="stable")[:MAPPED])
    names = [columns[c].name for c in shown]
    cut = f" The worst {MAPPED} of {len(columns)} columns." if len(columns) > MAPPED else ""
    return Picture(
        lambda: _draw_errors(matrix[np.ix_(shown, shown)], names),
        "How far off: the trend error of each pair, and on the diagonal the shape error of each "
        f"column. Blank: none to speak of, or not measured.{cut}",
    )


def latent_maps(
    codes: np.ndarray, x: np.ndarray, columns: Sequence[Column], *, first: int | None, most: int
) -> tuple[Picture, ...]:
    """The codes in two dimensions, once for each of some columns that colour them.

    Args:
        codes: Posterior means `[N, D]`.
        x: The rows `[N, C]`.
        columns: What the C columns are.
        first: The position of a column that is shown before all others, if any.
        most: How many maps. Where there are more columns, those that the map tells most of.
    """
    place, _ = _plane(codes)
    shares = [told(place, x[:, c], columns[c].kind, seed=0) for c in range(len(columns))]
    order = np.argsort([-np.nan_to_num(share, nan=-1.0) for share, _ in shares], kind="stable")
    chosen = [] if first is None else [first]
    chosen += [c for c in order.tolist() if c != first]
    return tuple(latent_map(codes, x[:, c], columns[c], shares[c]) for c in chosen[:most])


def latent_map(
    codes: np.ndarray,
    values: np.ndarray,
    column: Column,
    shares: tuple[float, float] = (np.nan, np.nan),
) -> Picture:
    """The codes in two dimensions, coloured by a column.

    Args:
        codes: Posterior means `[N, D]`; with D > 2 their two first principal components are shown.
        values: The column's values `[N]`, NaN = missing (grey).
        column: What it is.
        shares: How much of the column the map tells, and the noise floor of that; see `neighbours`.
    """
    caption = "Mean codes of the items"
    if codes.shape[1] > 2:
        caption += f", on the plane where all {codes.shape[1]} dimensions vary most"
    caption += "; a ring where the value is missing." if np.isnan(values).any() else "."
    if not np.isnan(shares[0]):
        caption += f" Told by neighbours: {_told(shares[0])} (noise floor {_told(shares[1])})."
    return Picture(lambda: _draw_latent(codes, values, column), caption)


def _told(share: float) -> str:
    return percent(max(0.0, share))


# -- associations ---------------------------------------------------------------------------------


@styled()
def _draw_associations(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    if "−" not in title:
        return _heat(matrix, names, title, _ink(MODEL), [0.0, 0.5, 1.0])
    (none, faint), (full, strong) = _ink(MODEL)
    below = [(none, strong), (full / 2, faint)]
    above = [(0.5 + place / 2, colour) for place, colour in _ink(TOO_STRONG)]
    return _heat(matrix, names, title, [*below, *above], [-0.5, 0.0, 0.5])


@styled()
def _draw_errors(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    known = matrix[~np.isnan(matrix)]
    most = max(1.0, float(np.ceil(100 * known.max()))) if len(known) else 1.0
    return _heat(100 * matrix, names, "error, %", _ink(TOO_STRONG), [0.0, most / 2, most], ALONE)


def _ink(colour: str) -> list[tuple[float, Any]]:
    """A colour laid on from not at all to fully."""
    from matplotlib.colors import to_rgba

    red, green, blue, _ = to_rgba(colour)
    return [(0.0, (red, green, blue, 0.0)), (1.0, (red, green, blue, 1.0))]


def _heat(
    matrix: np.ndarray,
    names: Sequence[str],
    title: str,
    ink: list[tuple[float, Any]],
    ticks: Sequence[float],
    least: float = WIDTH,
) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    count = len(names)
    side = max(least, WIDTH if count <= SMALL else 1.3 + 0.16 * count)
    figure, ax = canvas(side, side)
    image = ax.imshow(
        matrix, cmap=LinearSegmentedColormap.from_list("ink", ink), vmin=ticks[0], vmax=ticks[-1]
    )
    labels = shorten_all(names, 18)
    size = 7.0 if count <= SMALL else 6.2
    ax.set_xticks(np.arange(count), labels, rotation=90, fontsize=size)
    ax.set_yticks(np.arange(count), labels, fontsize=size)
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(True)
    ax.set_title(title)
    _bar(figure, ax, image).set_ticks(ticks)
    return figure


def _some(x: np.ndarray) -> np.ndarray:
    if len(x) <= ROWS:
        return x
    return x[np.random.default_rng(0).choice(len(x), ROWS, replace=False)]


# -- the latent map -------------------------------------------------------------------------------


@styled()
def _draw_latent(codes: np.ndarray, values: np.ndarray, column: Column) -> Figure:
    place, labels = _plane(codes)
    keep = np.random.default_rng(0).permutation(len(place))[:POINTS]  # no group on top
    place, values = place[keep], values[keep]
    figure, ax = canvas(WIDTH, 3.7)
    missing = np.isnan(values)
    x, y = place[missing].T
    ax.scatter(x, y, s=9, facecolors="none", edgecolors=MUTED, linewidths=0.4, rasterized=True)
    if column.levels is None:
        _colour_by_number(figure, ax, place[~missing], values[~missing], column)
    else:
        codes_of_levels = values[~missing].astype(np.int64)
        _colour_by_level(figure, ax, place[~missing], codes_of_levels, column.levels)
    _frame(ax, place, equal=codes.shape[1] > 1)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.locator_params(nbins=5)
    title(figure, column.name)
    return figure


def _plane(codes: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Places `[N, 2]` and what the axes are: the codes, or their principal components."""
    if codes.shape[1] == 1:
        height = np.random.default_rng(0).uniform(size=(len(codes), 1))
        return np.concatenate([codes, height], axis=1), ("code", "spread at random")
    if codes.shape[1] == 2:
        return codes, ("code, dimension 0", "code, dimension 1")
    centred = codes - codes.sum(axis=0) / max(1, len(codes))
    variance, directions = np.linalg.eigh(centred.T @ centred)
    variance, directions = variance[::-1], directions[:, ::-1]
    share = variance / max(variance.sum(), np.finfo(np.float64).tiny)
    names = [f"principal component {i + 1} ({percent(share[i])} of variance)" for i in (0, 1)]
    return centred @ directions[:, :2], (names[0], names[1])


def _frame(ax: Axes, place: np.ndarray, *, equal: bool) -> None:
    """A square over the central 99 % of the points; both axes to one scale if `equal`."""
    ax.set_box_aspect(1)
    if not len(place):
        return
    low, high = np.quantile(place, [0.005, 0.995], axis=0)
    half = np.maximum(0.56 * (high - low), 1e-6)
    if equal:
        half[:] = half.max()
    start, end = (low + high) / 2 - half, (low + high) / 2 + half
    ax.set(xlim=(start[0], end[0]), ylim=(start[1], end[1]))


def _dots(ax: Axes, place: np.ndarray, colour: Any) -> PathCollection:
    size = 6.0 if len(place) > 1_000 else 12.0
    x, y = place.T
    return ax.scatter(x, y, c=colour, s=size, alpha=0.6, linewidths=0, rasterized=True)


def _colour_by_number(
    figure: Figure, ax: Axes, place: np.ndarray, values: np.ndarray, column: Column
) -> None:
    if not len(values):
        return
    values = values + column.origin
    low, high = np.quantile(values, [0.02, 0.98])
    points = _dots(ax, place, values)
    points.set_cmap(_middle_of("viridis"))
    points.set_clim(low, high if high > low else low + 1.0)
    bar = _bar(figure, ax, points, location="bottom")
    write_ticks(bar.ax.xaxis, column)


def _middle_of(name: str) -> Colormap:
    """A colour map without its ends, which would be lost on a dark page or on a light one."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[name](np.linspace(0.22, 0.88, 256)))


def _colour_by_level(
    figure: Figure, ax: Axes, place: np.ndarray, codes: np.ndarray, levels: tuple[str, ...]
) -> None:
    counts = np.bincount(codes, minlength=len(levels))
    shown = np.argsort(-counts, kind="stable")[: len(SERIES)]
    shown = np.sort(shown[counts[shown] > 0])
    colour = np.full(len(levels), OTHERS, dtype=object)
    colour[shown] = SERIES[: len(shown)]
    _dots(ax, place, list(colour[codes]))
    names = shorten_all([levels[k] for k in shown], 20)
    key = [(SERIES[i], name or "(empty)") for i, name in enumerate(names)]
    if counts.sum() > counts[shown].sum():
        key.append((OTHERS, f"{np.count_nonzero(counts) - len(shown):,} others"))
    marks = [ax.plot([], [], "o", color=c, markersize=4.5)[0] for c, _ in key]
    figure.legend(
        marks,
        [f" {text}" for _, text in key],  # matplotlib would leave out a label that begins with _
        loc="outside lower left",
        ncols=max(1, 48 // (5 + max((len(text) for _, text in key), default=0))),
        handletextpad=0.0,
        columnspacing=1.0,
        fontsize=7,
    )


def _bar(figure: Figure, ax: Axes, image: ScalarMappable, location: str | None = None) -> Colorbar:
    bar = figure.colorbar(image, ax=ax, shrink=0.6, aspect=24, pad=0.02, location=location)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    return bar
