r"""T: the monotone maps from a column's own units to scores, and back.

A network predicts best what looks like a standard normal, so every numeric column has a map T from
raw values to scores, given by knots (v_0, t_0), ..., (v_M, t_M) in increasing order: linear between
the knots and extended linearly beyond the first and the last. Where two knots have the same raw
value, T jumps. A density f over scores is then a density over raw values,

    p(x) = f(T(x)) T'(x),

and a distribution function F over scores gives a recorded value, which stands for the cell
(a, b] of width one step around it, the probability

    P(x) = F(T(b)) - F(T(a)).

and a value at which T jumps has the probability F(T(x+)) - F(T(x-)).

All are written here as the mass of a cell of scores (a density where it is a point, of width zero)
plus an offset that does not depend on the parameters (`cells`): log T'(x) for a point, nothing for
a probability, and -log step for the density of a continuous quantity that was recorded to a
resolution of one step.

All of it is float64 until the difference is formed, because T is steep where values are dense.

This module does not know the distribution over scores, nor how the knots were chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Size, Tensor, nn

from variate.distributions.grid import cell, on_grid, snap

__all__ = ["Cells", "Copy", "Numeric", "ScoreMaps", "Tables", "atom_table"]

_NARROWEST = 1e-30  # of a cell in scores, so that its width survives in float32


@dataclass(frozen=True)
class Copy:
    """That a column often is what earlier ones of the same row add up to, Σ sign·source + constant.

    Attributes:
        sources: The positions of the other columns, numeric ones; often a single one.
        signs: 1 or -1 for each.
        constant: What is added.
        tolerance: What a number of a column without a grid may be off and still be the same.
    """

    sources: tuple[int, ...]
    signs: tuple[float, ...] = (1.0,)
    constant: float = 0.0
    tolerance: float = 0.0

    def value(self, columns: Tensor | Mapping[int, Tensor]) -> Tensor:
        """What it gives in rows of columns `[C, ...]`; NaN where a source is missing."""
        parts = [s * columns[i] for i, s in zip(self.sources, self.signs, strict=True)]
        return torch.stack(parts).sum(0) + self.constant


@dataclass(frozen=True)
class Numeric:
    """A numeric column.

    Attributes:
        values: Knots in raw units, increasing, two or more; the same value twice is a jump.
        scores: T of the knots, strictly increasing, as many.
        step: The resolution if the column lies on the grid origin + k·step, else None.
        density: With a step, whether the log-probability is divided by the step, so that it is
            that of a continuous quantity, in nats per raw unit. Without a step it always is,
            except at a jump.
        origin: Any value on the grid.
        atoms: Values with probabilities of their own, strictly increasing.
        closed: Whether nothing but atoms is ever drawn.
        gaps: Whether a missing value is an outcome with a probability.
        low: The least value that is drawn.
        high: The largest value that is drawn.
        copies: Which other columns it repeats, or is a sum of.
        period: After how much networks see it begin anew, as a date does after a year; None: never.

    Raises:
        ValueError: The knots do not define an increasing map, or step and origin no grid.
    """

    values: tuple[float, ...]
    scores: tuple[float, ...]
    step: float | None = None
    density: bool = False
    origin: float = 0.0
    atoms: tuple[float, ...] = ()
    closed: bool = False
    gaps: bool = False
    low: float = -math.inf
    high: float = math.inf
    copies: tuple[Copy, ...] = ()
    period: float | None = None

    def __post_init__(self) -> None:
        """Check that the knots define T."""
        v = torch.tensor(self.values, dtype=torch.float64)
        t = torch.tensor(self.scores, dtype=torch.float64)
        if v.shape != t.shape or len(v) < 2:
            raise ValueError(
                f"a numeric column needs two knots or more and a score for each; "
                f"got {len(v)} values and {len(t)} scores"
            )
        apart = v.diff()
        flat = apart == 0
        alone = not bool((flat[1:] & flat[:-1]).any() | flat[0] | flat[-1])
        rising = bool(((apart >= 0) & (t.diff() > 0)).all())
        slope = t.diff()[~flat] / apart[~flat]
        if not (rising and alone and bool((torch.isfinite(slope) & (slope > 0)).all())):
            raise ValueError(
                "the values of a numeric column must increase, its scores strictly, and both be "
                "finite; a value may come twice, but not three times, nor at an end"
            )
        if self.step is not None and not 0 < self.step < math.inf:
            raise ValueError(f"the step of a column must be positive and finite; got {self.step}")
        if not math.isfinite(self.origin):
            raise ValueError(f"the origin of a column's grid must be finite; got {self.origin}")
        if self.period is not None and not 0 < self.period < math.inf:
            raise ValueError(f"a period must be positive and finite; got {self.period}")
        if self.closed and not self.atoms:
            raise ValueError("a closed column draws nothing but atoms, so it must have some")

    @property
    def outcomes(self) -> int:
        """Atoms, elsewhere, a gap if there are any, and the copies; 0 if it is always elsewhere."""
        number = len(self.atoms) + 1 + self.gaps + len(self.copies)
        return 0 if number == 1 else number


class Cells(NamedTuple):
    """What of a numeric column's likelihood does not depend on the parameters, each `[..., N]`.

    Attributes:
        lower: T of the cell's lower edge.
        width: T of its upper edge minus `lower`, without cancellation; zero for a point.
        offset: What is added to the log of the cell's mass (of the density at a point), in nats.
    """

    lower: Tensor
    width: Tensor
    offset: Tensor


class Tables(nn.Module):
    """A module of constant tables that follow from its constructor's arguments.

    They move with the model to another device, are not saved with its weights, and keep their
    precision when the model is cast: `model.bfloat16()` must not round the values of the data.
    """

    def hold(self, **tables: Tensor) -> None:
        """Keep the tables as buffers."""
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Apply nn.Module's `to`, `cuda`, `double` and so on, then undo the change of precision."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, table in before.items():
            if table is not None:
                self._buffers[name] = table.to(fn(table).device)
        return self


class ScoreMaps(Tables):
    """T and its inverse for N columns at once; the last dimension of every argument is N.

    Shorter columns are padded to the longest.
    """

    segments: Tensor  # of each segment its left knot, score and slope, [3, N·M]
    first: Tensor  # where a column's segments begin in it, [N, 1] as are the rest
    value_breaks: Tensor  # knots between segments, [N, M - 1], padded with infinity
    score_breaks: Tensor
    step: Tensor
    origin: Tensor
    gridded: Tensor
    grid_offset: Tensor

    def __init__(self, columns: Sequence[Numeric]) -> None:
        super().__init__()
        most = max((len(column.values) - 1 for column in columns), default=1)
        tables = [
            _padded([c.values[:-1] for c in columns], most, 0.0),
            _padded([c.scores[:-1] for c in columns], most, 0.0),
            _padded([_slopes(c) for c in columns], most, 1.0),
        ]
        step = _padded([[c.step or 1.0] for c in columns], 1, 1.0)
        density = torch.tensor([c.density for c in columns], dtype=torch.bool)
        gridded = torch.tensor([c.step is not None for c in columns], dtype=torch.bool)
        self.hold(
            segments=torch.stack(tables).flatten(1),
            first=torch.arange(len(columns)).unsqueeze(-1) * most,
            value_breaks=_padded([c.values[1:-1] for c in columns], most - 1, torch.inf),
            score_breaks=_padded([c.scores[1:-1] for c in columns], most - 1, torch.inf),
            step=step,
            origin=_padded([[c.origin] for c in columns], 1, 0.0),
            gridded=gridded.unsqueeze(-1),
            grid_offset=torch.where(density.unsqueeze(-1), -step.log(), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """T(x), float64, the middle of a jump; NaN stays NaN."""
        values = _columns(x)
        lower, upper = self._map(values, right=False), self._map(values, right=True)
        return _rows((lower.score + upper.score) / 2, x.shape)

    def slopes(self, x: Tensor) -> Tensor:
        """T'(x), float64; at a knot that of the segment to its right."""
        return _rows(self._map(_columns(x), right=True).slope, x.shape)

    def inverse(self, score: Tensor) -> Tensor:
        """The raw values that have these scores, on the grid where the column has one, float64."""
        t = _columns(score)
        index = torch.searchsorted(self.score_breaks, t) + self.first
        value, start, slope = self.segments[:, index]
        x = value + (t - start) / slope
        x = torch.where(self.gridded, snap(x, self.step, self.origin), x)
        return _rows(x, score.shape)

    def cells(self, x: Tensor) -> Cells:
        """The cells of scores that stand for the values x, which must not be NaN, float64."""
        values = _columns(x)
        edges = torch.where(self.gridded, torch.stack(cell(values, self.step, self.origin)), values)
        lower, upper = self._map(edges[0], right=False), self._map(edges[1], right=True)
        between = upper.segment - lower.segment
        # inside one segment the width is exact even where the scores would cancel
        width = torch.where(between == 0, lower.slope * self.step, upper.score - lower.score)
        wide = self.gridded | (
            between > 1
        )  # two segments meet at a knot; at a jump one lies between
        width = torch.where(wide, width.clamp_min(_NARROWEST), 0.0)
        offset = torch.where(self.gridded, self.grid_offset, upper.slope.log())
        offset = torch.where(wide & ~self.gridded, 0.0, offset)
        return Cells(*(_rows(part, x.shape) for part in (lower.score, width, offset)))

    def edges(self, ends: Tensor) -> Tensor:
        """T at both ends `[2, N]` of an interval of raw values; jumps at its ends belong to it."""
        low = self._map(ends[0].unsqueeze(-1), right=False).score
        high = self._map(ends[1].unsqueeze(-1), right=True).score
        return torch.stack([low, high]).squeeze(-1)

    def supports(self, x: Tensor) -> Tensor:
        """Whether each value is finite and on its column's grid, bool; false for NaN."""
        values = _columns(x)
        inside = on_grid(values, self.step, self.origin)
        inside = torch.where(self.gridded, inside, torch.isfinite(values))
        return _rows(inside, x.shape)

    def _map(self, x: Tensor, *, right: bool) -> "_Place":
        """Where x `[N, -1]` lies: at a knot in the segment to its right, or in that to its left."""
        segment = torch.searchsorted(self.value_breaks, x, right=right) + self.first
        value, start, slope = self.segments[:, segment]
        return _Place(start + (x - value) * slope, slope, segment)


class _Place(NamedTuple):
    score: Tensor
    slope: Tensor
    segment: Tensor


def _columns(x: Tensor) -> Tensor:
    """x `[..., N]` as one row for each column, float64 `[N, -1]`."""
    return x.movedim(-1, 0).unsqueeze(-1).flatten(1).double().contiguous()


def _rows(columns: Tensor, shape: Size) -> Tensor:
    """The inverse of `_columns`, `[..., N]`; a column remains contiguous in memory."""
    return columns.reshape(shape[-1], *shape[:-1]).movedim(0, -1)


def _slopes(column: Numeric) -> list[float]:
    """T' on each segment, infinite in a jump."""
    knots = zip(column.values, column.values[1:], column.scores, column.scores[1:], strict=False)
    return [(t1 - t0) / (v1 - v0) if v1 > v0 else math.inf for v0, v1, t0, t1 in knots]


def atom_table(numbers: Sequence[Numeric]) -> Tensor:
    """The atoms of each numeric column, padded with infinity, `[N, at least 1]`."""
    table = torch.full(
        (len(numbers), max([1, *(len(c.atoms) for c in numbers)])), torch.inf, dtype=torch.float64
    )
    for row, column in zip(table, numbers, strict=True):
        row[: len(column.atoms)] = torch.tensor(column.atoms, dtype=torch.float64)
    return table


def _padded(rows: Sequence[Sequence[float]], width: int, fill: float) -> Tensor:
    """The rows as one float64 table of the given width."""
    table = torch.full((len(rows), width), fill, dtype=torch.float64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row, dtype=torch.float64)
    return table
