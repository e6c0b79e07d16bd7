"""The pictures of a table's columns: what was observed beside what the model makes of it.

    marginals          each column's distribution, real and synthetic
    reconstruction     each column against what the code kept of it

Tables are in codec space: float64 `[N, C]`, NaN = missing, categories as codes. In every picture
grey is real and blue is the model's. Nothing is drawn before a report is rendered.

This module does not know any model, nor how the tables came about; pairs of columns and codes are
in `maps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from variate.report import Picture
from variate.report.style import (
    INK,
    MODEL,
    MUTED,
    REAL,
    canvas,
    number,
    shorten,
    shorten_all,
    styled,
)
from variate.table.measures import Kind, column_shape_error
from variate.table.schema import ColumnSchema
from variate.table.storage import family, parse_type, scalar_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["Column", "marginals", "percent", "reconstruction", "title", "write_ticks"]

LEVELS = 8  # the most levels of a category that are shown one by one
BINS = 30
POINTS = 3_000  # the most points of a scatter plot
WIDTH = 3.4  # inches; three side by side on a wide page


@dataclass(frozen=True)
class Column:
    """What a picture says of a column.

    Attributes:
        name: Its name.
        levels: The names of a category's levels, by code; None for a number.
        origin: What is added to x to give the caller's number.
        tick: How x is written at an axis where that is not as a number (a date).
    """

    name: str
    levels: tuple[str, ...] | None = None
    origin: float = 0.0
    tick: Callable[[float], str] | None = None

    @classmethod
    def of(cls, schema: ColumnSchema) -> Self:
        """What pictures need of a modelled column's schema."""
        if schema.kind in ("boolean", "category"):
            return cls(schema.name, levels=tuple(str(level) for level in schema.levels))
        if schema.kind == "datetime":
            return cls(schema.name, tick=lambda x: _moment(x, schema))
        return cls(schema.name, origin=float(schema.origin))

    @property
    def kind(self) -> Kind:
        """What `measures` calls it."""
        return "numeric" if self.levels is None else "category"


def marginals(
    real: np.ndarray,
    synthetic: np.ndarray,
    columns: Sequence[Column],
    *,
    floor: np.ndarray | None = None,
    most: int = 48,
) -> tuple[Picture, ...]:
    """One small picture for each column: its distribution in both tables.

    Args:
        real: `[N, C]`.
        synthetic: `[M, C]`.
        columns: What the C columns are.
        floor: The noise floor of the columns' shape errors `[C]`, if it is known.
        most: With more columns, the so many whose shape error is largest, in the table's order.
    """
    errors = column_shape_error(real, synthetic, [column.kind for column in columns])
    shown = np.sort(np.argsort(-np.nan_to_num(errors), kind="stable")[:most])
    captions = [_of_shape(error) for error in errors.tolist()]
    if floor is not None:
        captions = [
            text if np.isnan(least) else f"{text[:-1]} (noise floor {percent(least)})."
            for text, least in zip(captions, floor.tolist(), strict=True)
        ]
    return tuple(_marginal(real[:, c], synthetic[:, c], columns[c], captions[c]) for c in shown)


def reconstruction(
    real: np.ndarray, reconstructed: np.ndarray, columns: Sequence[Column], *, most: int = 24
) -> tuple[Picture, ...]:
    """What the codes kept: a scatter plot for each number, one chart for the categories.

    Args:
        real: `[N, C]`.
        reconstructed: The same rows, `[N, C]`.
        columns: What the C columns are.
        most: The first so many numbers and categories are shown.
    """
    numbers = [c for c, column in enumerate(columns) if column.levels is None][:most]
    categories = [c for c, column in enumerate(columns) if column.levels is not None][:most]
    pictures = [_scatter(real[:, c], reconstructed[:, c], columns[c]) for c in numbers]
    if categories:
        names = [columns[c].name for c in categories]
        shares = np.array([_accuracy(real[:, c], reconstructed[:, c]) for c in categories])
        pictures.append(
            Picture(
                lambda: _draw_accuracy(names, shares),
                "Categories: the share of observed cells that come back (blue), and what always "
                "guessing the most common level would get right (grey).",
            )
        )
    return tuple(pictures)


# -- marginals ------------------------------------------------------------------------------------


def _of_shape(error: float) -> str:
    return "No values to compare." if np.isnan(error) else f"Shape error {percent(error)}."


def _marginal(real: np.ndarray, synthetic: np.ndarray, column: Column, caption: str) -> Picture:
    gaps = [float(np.isnan(x).mean()) if len(x) else 0.0 for x in (real, synthetic)]
    if any(gaps):
        caption += f" Missing: {percent(gaps[0])} real, {percent(gaps[1])} synthetic."
    if column.levels is not None:
        levels = column.levels
        return Picture(lambda: _draw_levels(real, synthetic, column.name, levels), caption)
    real, synthetic = (x[~np.isnan(x)] + column.origin for x in (real, synthetic))
    edges = _edges(real if len(real) else synthetic)
    outside = [_outside(values, edges) for values in (real, synthetic)]
    if max(outside) > 0.012:  # one in a hundred is left out on purpose
        caption += f" Off the axis: {percent(outside[0])} real, {percent(outside[1])} synthetic."
    return Picture(lambda: _draw_histogram(real, synthetic, column, edges), caption)


def _edges(values: np.ndarray) -> np.ndarray:
    """Bins over the central 99 %: each holds as many whole numbers, wide ranges are logarithmic."""
    if not len(values):
        return np.array([0.0, 1.0])
    least, most = values.min(), values.max()
    if least == most:
        return least + np.array([-1.5, -0.5, 0.5, 1.5]) * max(1.0, 0.1 * abs(least))
    low, high = np.quantile(values, [0.005, 0.995])
    if low == high or most - least <= 1.5 * (high - low):  # no tails worth cutting
        low, high = least, most
    if np.all(values == np.round(values)):
        low, high = np.floor(low), np.ceil(high)
        width = max(1.0, np.ceil((high - low) / BINS))
        return low - 0.5 + width * np.arange(2 + (high - low) // width)
    if least > 0 and high > 100 * np.median(values):
        return np.geomspace(low, high, BINS + 1)
    return np.linspace(low, high, BINS + 1)


def _outside(values: np.ndarray, edges: np.ndarray) -> float:
    return float(((values < edges[0]) | (values > edges[-1])).mean()) if len(values) else 0.0


@styled()
def _draw_histogram(
    real: np.ndarray, synthetic: np.ndarray, column: Column, edges: np.ndarray
) -> Figure:
    figure, ax = canvas(WIDTH, 2.0)
    shares = [100 * np.histogram(v, edges)[0] / max(1, len(v)) for v in (real, synthetic)]
    ax.stairs(shares[0], edges, fill=True, color=REAL, label="real")
    ax.stairs(shares[1], edges, color=MODEL, linewidth=1.3, label="synthetic")
    ax.set_ylim(bottom=0)
    _cut_spikes(ax, np.array(shares), edges)
    ax.set_xlim(edges[0], edges[-1])
    if not np.allclose(np.diff(edges), edges[1] - edges[0]):
        ax.set_xscale("log")
    write_ticks(ax.xaxis, column, whole=column.tick is not None or (2 * edges % 2 == 1).all())
    _dress(figure, ax, column.name, ax.yaxis)
    if not len(real) and not len(synthetic):
        ax.set_xticks([])
        ax.set_yticks([])
    return figure


def _cut_spikes(ax: Axes, shares: np.ndarray, edges: np.ndarray) -> None:
    """Cut one or two bars that would flatten all others, and write their shares beside them."""
    height = shares.max(axis=0)
    ordered = np.sort(height)[::-1]
    limit = 2 * ordered[2] if len(ordered) > 2 else 0.0
    spikes = np.flatnonzero(height > limit)
    rest = np.delete(shares, spikes, axis=1).sum(axis=1).max()
    if ordered[0] <= 1.5 * limit or rest < 10:
        return
    ax.set_ylim(0, limit)
    for line, spike in enumerate(spikes):
        late = spike > len(height) / 2
        ax.annotate(
            f"↑ {shares[0, spike]:.0f} % real, {shares[1, spike]:.0f} % synthetic",
            (edges[spike] if late else edges[spike + 1], limit),
            xytext=(-3 if late else 3, -1 - 9 * line),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=6.5,
            color=INK,
        )


@styled()
def _draw_levels(
    real: np.ndarray, synthetic: np.ndarray, name: str, levels: tuple[str, ...]
) -> Figure:
    labels, shares = _level_shares(real, synthetic, levels)
    figure, ax = canvas(WIDTH, 0.82 + 0.19 * len(labels))
    _paired_bars(ax, labels, shares)
    _dress(figure, ax, name, ax.xaxis)
    return figure


def _paired_bars(ax: Axes, labels: Sequence[str], shares: np.ndarray) -> None:
    """A thick grey bar and a thin blue one on it for each label; shares in percent `[2, rows]`."""
    row = np.arange(len(labels))
    ax.barh(row, shares[0], height=0.74, color=REAL, label="real")
    ax.barh(row, shares[1], height=0.28, color=MODEL, label="synthetic")
    ax.set_yticks(row, labels)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.set_ylim(len(labels) - 0.45, -0.55)
    ax.locator_params("x", nbins=5)


def _level_shares(
    real: np.ndarray, synthetic: np.ndarray, levels: tuple[str, ...]
) -> tuple[list[str], np.ndarray]:
    """Labels, and shares in percent of all cells `[2, rows]`: top levels, the others, missing."""
    counts = np.stack([_counts(values, len(levels)) for values in (real, synthetic)])
    totals = np.maximum(1, [[len(real)], [len(synthetic)]])
    shares = 100 * counts / totals
    shown = np.arange(len(levels))
    if len(levels) > LEVELS + 1:
        shown = np.argsort(-shares[0], kind="stable")[:LEVELS]
    labels = [text or "(empty)" for text in shorten_all([levels[k] for k in shown], 22)]
    rows = [shares[:, shown]]
    if len(shown) < len(levels):
        labels.append(f"{len(levels) - len(shown):,} others")
        rows.append(np.delete(shares, shown, axis=1).sum(axis=1, keepdims=True))
    missing = 100 * np.array([[np.isnan(real).sum()], [np.isnan(synthetic).sum()]]) / totals
    if missing.any():
        labels.append("missing")
        rows.append(missing)
    return labels, np.concatenate(rows, axis=1)


def _counts(values: np.ndarray, levels: int) -> np.ndarray:
    return np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=levels)


def _dress(figure: Figure, ax: Axes, name: str, shares: Axis) -> None:
    """Title, key, and percent signs and a grid along the axis of shares."""
    title(figure, name)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderpad=0,
        borderaxespad=0.3,
        handlelength=1.0,
        handleheight=0.6,
        handletextpad=0.4,
        columnspacing=1.0,
        fontsize=7,
        labelcolor=MUTED,
    )
    shares.set_major_formatter("{x:g} %")
    shares.grid(visible=True)
    ax.spines["bottom" if shares is ax.xaxis else "left"].set_visible(False)


# -- reconstruction -------------------------------------------------------------------------------


def _scatter(real: np.ndarray, reconstructed: np.ndarray, column: Column) -> Picture:
    both = ~(np.isnan(real) | np.isnan(reconstructed))
    real, reconstructed = real[both] + column.origin, reconstructed[both] + column.origin
    caption = "On the line, a value comes back as it was."
    if len(real) and real.min() < real.max():
        scale = np.abs(real).max()  # squares of the largest numbers would overflow
        explained = 1 - np.square((real - reconstructed) / scale).mean() / (real / scale).var()
        caption += f" R²\N{NO-BREAK SPACE}{explained:.2f}."
        if column.tick is None:
            typical = np.median(np.abs(real - reconstructed))
            caption += f" Median absolute error {number(typical, 3)}."
    return Picture(lambda: _draw_scatter(real, reconstructed, column), caption.replace("-", "−"))


@styled()
def _draw_scatter(real: np.ndarray, reconstructed: np.ndarray, column: Column) -> Figure:
    figure, ax = canvas(WIDTH, 3.0)
    rng = np.random.default_rng(0)
    keep = rng.permutation(len(real))[:POINTS]
    points = np.stack([real[keep], reconstructed[keep]], axis=1)
    low, high = np.quantile(points, [0.005, 0.995]) if len(points) else (0.0, 1.0)
    room = 0.04 * (high - low) or 0.5
    whole = bool(np.all(points == np.round(points)))
    if whole and high - low < 100:  # part those that coincide
        points = points + rng.uniform(-0.3, 0.3, points.shape)
        room = max(room, 0.5)
    ends = [low - room, high + room]
    ax.scatter(points[:, 0], points[:, 1], c=MODEL, s=7, alpha=0.3, linewidths=0, rasterized=True)
    ax.plot(ends, ends, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    ax.set(xlim=ends, ylim=ends, aspect="equal", xlabel="real", ylabel="reconstructed")
    write_ticks(ax.xaxis, column, whole=whole)
    write_ticks(ax.yaxis, column, whole=whole)
    title(figure, column.name)
    return figure


def _accuracy(real: np.ndarray, reconstructed: np.ndarray) -> tuple[float, float]:
    """The share of the observed cells in the most common level, and of those that come back."""
    observed = ~np.isnan(real)
    if not observed.any():
        return 0.0, 0.0
    common = np.bincount(real[observed].astype(np.int64)).max() / observed.sum()
    return float(common), float((real == reconstructed)[observed].mean())


@styled()
def _draw_accuracy(names: Sequence[str], shares: np.ndarray) -> Figure:
    figure, ax = canvas(5.2, 0.5 + 0.22 * len(names))
    _paired_bars(ax, shorten_all(names, 30), 100 * shares.T)
    ax.set_xlim(0, 100)
    ax.xaxis.set_major_formatter("{x:g} %")
    ax.xaxis.grid(visible=True)
    ax.spines["bottom"].set_visible(False)
    return figure


# -- for every picture of a column ----------------------------------------------------------------


def title(figure: Figure, name: str) -> None:
    """A column's name above its picture, flush with the caption below."""
    text = shorten(name, 44) or "(no name)"
    figure.suptitle(text, x=0.005, ha="left", fontsize=9, fontweight="bold")


def write_ticks(axis: Axis, column: Column, *, whole: bool = False) -> None:
    """A few ticks along an axis of the column's values, written as the column asks.

    Args:
        axis: Whose view limits are set already.
        column: What runs along it.
        whole: Whether only whole numbers are to be marked.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    if axis.get_scale() == "log":
        axis.set_minor_formatter(NullFormatter())
    else:
        low, high = axis.get_view_interval()
        many_digits = max(abs(low), abs(high)) > 1e4 * (high - low)
        most = 3 if column.tick is not None else 1 if many_digits else 5
        steps = [1, 2, 2.5, 5, 10]
        axis.set_major_locator(MaxNLocator(most, steps=steps, integer=whole, min_n_ticks=1))
    tick = column.tick or (lambda value: number(value, 8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def percent(share: float) -> str:
    """A share as a text, such as "1.2 %", that does not break over lines."""
    if 0 < share < 5e-4:
        return "<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%"
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%" if share else "0\N{NO-BREAK SPACE}%"


def _moment(x: float, schema: ColumnSchema) -> str:
    """A date or time of the column as a text, to the minute at the most."""
    storage = pa.timestamp("s") if schema.text is not None else parse_type(schema.storage)
    if family(storage) == "span":
        return f"{x + schema.origin / schema.ticks:g} {schema.unit}"
    value = round(x) * schema.ticks + int(schema.origin)
    text = str(scalar_array([value], storage).cast(pa.string())[0])
    return text[:10] if schema.unit == "day" else text[:16]
