r"""Values of one column drawn for M rows, without making its law.

What is drawn has the law p of the column cut to what was observed (`NumberLaw.observed`), which is
p(x) / p(A) for x in A. To draw from p, and again, from the cut law, where x lies outside A, gives

    p(x) + (1 - p(A)) p(x) / p(A) = p(x) / p(A)      for x in A

as well. It is quicker, for the cut needs every row's mixture, and p only that of the rows whose
outcome is elsewhere. Few rows are drawn again.

This module does not know how the columns of a row hang together.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from variate.distributions.column import FAR, NumberLaw, law_of
from variate.distributions.landing import Landing
from variate.distributions.outcomes import drawn_outcomes
from variate.distributions.rows import Categorical, Numeric, RowLayout

__all__ = ["CategoryDraw", "Drawn", "NumberDraw", "draw_of"]


class Drawn(NamedTuple):
    """Values, and what is known of them without looking.

    Attributes:
        values: Float64 `[M]`, in the column's own units, codes for categories, NaN for a gap.
        outcome: Int32 `[M]`, as `RowLayout.read` would find it but for the open rows.
        open: Rows whose outcome depends on their value: `[m]`, a slice, or None.
    """

    values: Tensor
    outcome: Tensor
    open: Tensor | slice | None


class CategoryDraw:
    """Draws of a category.

    Args:
        column: What the column is.
        device: Where.
    """

    def __init__(self, column: Categorical, device: torch.device) -> None:
        self.codes = torch.arange(column.outcomes, dtype=torch.float64, device=device)
        self.codes[column.levels :] = torch.nan

    def __call__(
        self,
        logits: Tensor | None,
        numbers: Callable[[Tensor | slice], Tensor],  # noqa: ARG002 - a number needs them
        x: Tensor,  # noqa: ARG002
        generator: Generator | None = None,
    ) -> Drawn:
        """A code for each row; arguments as those of `NumberDraw`."""
        assert logits is not None
        outcome = drawn_outcomes(logits, generator)
        return Drawn(self.codes.index_select(0, outcome), outcome, None)


class NumberDraw:
    """Draws of a number.

    Args:
        layout: The row's columns.
        position: Which column.
    """

    def __init__(self, layout: RowLayout, position: int) -> None:
        column = layout.columns[position]
        assert isinstance(column, Numeric)
        self.layout, self.position, self.column = layout, position, column
        self.landing = Landing(column, layout.map_of(position))
        atoms = self.landing.atoms
        self.elsewhere, self.first_copy = len(atoms), layout.first_copy(position)
        self.fixed = atoms.new_full((max(column.outcomes, 1),), torch.nan)
        self.fixed[: len(atoms)] = atoms
        low, high = self.landing.scores_of(column.low, column.high)
        self.low, self.high = max(low, -FAR), min(high, FAR)
        strays = ((atoms < column.low) | (atoms > column.high)).any()
        self.strays = bool(column.copies) or bool(strays)  # also without being elsewhere

    def __call__(
        self,
        logits: Tensor | None,
        numbers: Callable[[Tensor | slice], Tensor],
        x: Tensor,
        generator: Generator | None = None,
    ) -> Drawn:
        """A number for each row.

        Args:
            logits: Of its outcomes, `[M, L]`, perhaps padded; None if it has none.
            numbers: Raw parameters of the mixture `[m, 3·K]` of some rows.
            x: The rows as far as they are known, `[M, C]`; copies take from here.
            generator: Of the random numbers; None is torch's own.
        """
        if logits is None:
            outcome = torch.zeros(len(x), dtype=torch.int32, device=x.device)
        else:
            outcome = drawn_outcomes(logits, generator)
        values = self.fixed.index_select(0, outcome)
        self._copy(values, outcome, x)
        elsewhere = (outcome == self.elsewhere).nonzero().squeeze(-1)
        again = elsewhere
        rows = slice(None) if len(elsewhere) == len(x) else elsewhere  # a slice is quicker
        if len(elsewhere):
            scores = self.layout.drawn_scores(numbers(rows), generator)
            values[rows] = self.landing.raw(scores)
            again = elsewhere[(scores < self.low) | (scores > self.high)]
        if self.strays:
            stray = (values < self.column.low) | (values > self.column.high)
            again = torch.cat([again, stray.nonzero().squeeze(-1)])
        if len(again):
            law = law_of(
                self.layout,
                self.position,
                None if logits is None else logits[again],
                numbers(again),
                x[again],
            )
            assert isinstance(law, NumberLaw)
            values[again] = law.observed().sample(generator)
        if self.strays:
            stray |= (outcome == self.elsewhere) | (outcome >= self.first_copy)
            elsewhere = rows = stray.nonzero().squeeze(-1)
        return Drawn(values, outcome, rows if len(elsewhere) else None)

    def _copy(self, values: Tensor, outcome: Tensor, x: Tensor) -> None:
        """Put in what copies give, or make them elsewhere."""
        for r, copy in enumerate(self.column.copies):
            rows = (outcome == self.first_copy + r).nonzero().squeeze(-1)
            copied = copy.value({source: x[rows, source] for source in copy.sources})
            useless = self.layout.useless(self.position, copied)
            values[rows] = copied
            outcome[rows[useless]] = self.elsewhere


def draw_of(layout: RowLayout, position: int) -> CategoryDraw | NumberDraw:
    """The draws of one of the columns."""
    column = layout.columns[position]
    if isinstance(column, Categorical):
        return CategoryDraw(column, layout.levels.device)
    return NumberDraw(layout, position)
