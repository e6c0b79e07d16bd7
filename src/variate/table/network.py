r"""What the networks see of a table's row, and the encoder.

    x [B, C] raw units, NaN = missing
      -> an embedding of each column: its outcome (level, atom, elsewhere, gap, unobserved) and, for
         a number, a linear map of its score t, and of sin and cos of 2^k π Φ(t), k = 0, ..., 4,
         and of 2π h x / year, h = 1, 2, where it is a date
      -> MLP -> q(z|x)

The scores T are the ones that the likelihood uses, so raw stays raw up to the first line here. The
waves let a linear map tell apart ranks that are close, and seasons that are years apart alike.

This module does not know where the columns came from, nor what their names are.
"""

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.distributions.rows import Categorical, Column, Copy, Numeric, Reading, RowLayout
from variate.nets import MLP
from variate.table.schema import ColumnSchema

__all__ = ["ColumnEmbedding", "RowEncoder", "chain_order", "layout_of", "waves"]

OCTAVES = 5
HARMONICS = 2  # of a year
SCORE_BOUND = 6.0  # beyond six deviations a number is only "far out" to a network


def layout_of(
    columns: Sequence[ColumnSchema], copies: Sequence[tuple[int, Copy]], components: int
) -> RowLayout:
    """The laws that a table's modelled columns ask for.

    Args:
        columns: Of the table.
        copies: Which of them repeat which.
        components: Of a number's mixture.
    """
    sources: dict[int, list[Copy]] = {c: [] for c in range(len(columns))}
    for column, copy in copies:
        sources[column].append(copy)
    with torch.device("cpu"):  # its tables are data, also where the weights are only shapes
        made = [_column_of(column, tuple(sources[c])) for c, column in enumerate(columns)]
        return RowLayout(made, components=components)


def _column_of(column: ColumnSchema, copies: tuple[Copy, ...]) -> Column:
    if column.kind in ("boolean", "category"):
        return Categorical(len(column.levels), gaps=column.missing > 0)
    assert column.low is not None
    assert column.high is not None
    return Numeric(
        values=column.knots,
        scores=column.scores,
        step=column.step,
        density=column.kind in ("continuous", "datetime"),
        atoms=column.atoms,
        closed=column.closed,
        gaps=column.missing > 0,
        low=column.low,
        high=column.high,
        copies=copies,
        period=column.period,
    )


def chain_order(layout: RowLayout, first: Collection[int] = ()) -> list[int]:
    """The order in which columns are drawn: categories, those of few levels first, then numbers.

    Args:
        layout: The columns.
        first: Positions that come before all others, in the same order among themselves.
    """
    coded = [c for c in range(len(layout.columns)) if c not in layout.numeric]
    order = sorted(coded, key=lambda c: layout.columns[c].outcomes) + layout.numeric
    return sorted(order, key=lambda c: c not in first)


class ColumnEmbedding(nn.Module):
    """Readings of rows as one vector for each column.

    Args:
        layout: The columns.
        width: The size of a column's vector.
    """

    start: Tensor
    unobserved: Tensor

    def __init__(self, layout: RowLayout, width: int) -> None:
        super().__init__()
        self.layout = layout
        sizes = [max(column.outcomes, 1) + 1 for column in layout.columns]  # the last: unobserved
        starts = [sum(sizes[:c]) for c in range(len(sizes))]
        last = [start + size - 1 for start, size in zip(starts, sizes, strict=True)]
        with torch.device("cpu"):
            self.register_buffer("start", torch.tensor(starts)[:, None], persistent=False)
            self.register_buffer("unobserved", torch.tensor(last)[:, None], persistent=False)
        self.outcome = nn.Embedding(sum(sizes), width)
        self.number = nn.Parameter(torch.randn(len(layout.numeric), 1 + 2 * OCTAVES, width) * 0.1)
        self.seasonal = [c for c in layout.numeric if _period(layout, c)]
        if self.seasonal:
            waves = torch.randn(len(self.seasonal), 2 * HARMONICS, width)
            self.season = nn.Parameter(waves * 0.1)

    def forward(self, reading: Reading) -> Tensor:
        """`[C, B, width]` from a reading of rows `[B, C]`."""
        seen = reading.shown >= 0
        e: Tensor = self.outcome(torch.where(seen, reading.shown + self.start, self.unobserved))
        if not self.layout.numeric:
            return e
        where = self.layout.where_numeric
        numbers = torch.bmm(waves(reading.score, reading.present), self.number)
        e = e.index_add(0, where, numbers.to(e.dtype))
        for season, c in zip(self.season if self.seasonal else (), self.seasonal, strict=True):
            n = self.layout.numeric.index(c)
            added = _seasons(self.layout, c, reading.score[n], reading.present[n]) @ season
            e = e.index_add(0, where[n : n + 1], added.unsqueeze(0).to(e.dtype))
        return e

    @torch.no_grad()
    def settle_unobserved(self, x: Tensor) -> None:
        """Show a cell that is not there as the average cell of rows x `[N, C]`.

        Only where no row has such a cell: training has not said then what it looks like.
        """
        reading = self.layout.read(x)
        never = (reading.outcome >= 0).all(1)
        mean = self(reading).mean(1)
        self.outcome.weight[self.unobserved[never, 0]] = mean[never]

    def table(self, column: int) -> Tensor:
        """The vectors of a column's outcomes, `[L, width]`, the last of an unobserved one."""
        begin, end = self.start[column, 0], self.unobserved[column, 0] + 1
        e: Tensor = self.outcome.weight[begin:end]
        matrix = self.waves_of(column)
        if matrix is None:
            return e
        n = self.layout.numeric.index(column)
        atoms = self.layout.atoms[n, : int(self.layout.elsewhere[n])]
        _, score, present = self.layout.read_one(column, atoms)
        known = e[: len(atoms)] + self.seen(column, score, present) @ matrix
        return torch.cat([known, e[len(atoms) :]])

    def seen(self, column: int, score: Tensor, present: Tensor) -> Tensor:
        """What is seen of the scores `[M]` of a number, `[M, F]`: waves, of a date's year too."""
        parts = [waves(score, present)]
        if column in self.seasonal:
            parts.append(_seasons(self.layout, column, score, present))
        return torch.cat(parts, -1)

    def waves_of(self, column: int) -> Tensor | None:
        """What these mean, `[F, width]`; None for a category."""
        if column not in self.layout.numeric:
            return None
        parts = [self.number[self.layout.numeric.index(column)]]
        if column in self.seasonal:
            parts.append(self.season[self.seasonal.index(column)])
        return torch.cat(parts)


def _period(layout: RowLayout, column: int) -> float | None:
    found = layout.columns[column]
    assert isinstance(found, Numeric)
    return found.period


def _seasons(layout: RowLayout, column: int, score: Tensor, present: Tensor) -> Tensor:
    """The time of the year of scores `[M]` of a date, as waves `[M, 2·HARMONICS]`."""
    x = layout.map_of(column).inverse(score.unsqueeze(-1)).squeeze(-1)
    year = (x / (_period(layout, column) or 1.0) % 1.0).float()
    angle = 2 * math.pi * year.unsqueeze(-1) * torch.arange(1, HARMONICS + 1, device=score.device)
    return torch.cat([angle.sin(), angle.cos()], -1) * present.unsqueeze(-1)


def waves(score: Tensor, present: Tensor) -> Tensor:
    """What a network sees of a score: itself, and waves over its rank, `[..., 1 + 2·OCTAVES]`."""
    bounded = score.clamp(-SCORE_BOUND, SCORE_BOUND)
    octaves = math.pi * 2.0 ** torch.arange(OCTAVES, device=score.device)
    angle = torch.special.ndtr(bounded).unsqueeze(-1) * octaves
    seen = torch.cat([bounded.unsqueeze(-1), angle.sin(), angle.cos()], -1)
    return seen * present.unsqueeze(-1)


class RowEncoder(nn.Module):
    """x `[B, C]` -> q(z|x).

    Args:
        layout: The columns.
        hidden: The widths of the hidden layers.
        posterior: Features -> q(z|x).
        width: The size of a column's vector.
    """

    def __init__(
        self, layout: RowLayout, hidden: tuple[int, ...], posterior: nn.Module, width: int = 16
    ) -> None:
        super().__init__()
        self.layout = layout
        self.embedding = ColumnEmbedding(layout, width)
        self.body = MLP(None, hidden)
        self.posterior = posterior

    def forward(self, x: Tensor) -> Distribution:
        """q(z|x) of rows x `[B, C]`, NaN = missing."""
        e = self.embedding(self.layout.read(x))
        q: Distribution = self.posterior(self.body(e.transpose(0, 1).flatten(1)))
        return q
