"""Sums that hold in every row, settled in the rows that are drawn.

Five shares sum to one. Given four of them a density can only come near the fifth, and to compute it
would give the least of them the errors of the others (see `copies`). So all are drawn, and what
their sum is off,

    off = Σ_i t_i x_i - constant,

goes to the column whose score it moves least, where the slope T' is the smallest: the largest
share, as a rule. If that would leave the range of training it goes there as far as it can, and the
rest to the next. Cells that are given, atoms, and columns of nothing but atoms stay as they are.

The density is that of the rows as they are drawn before this; nothing is to be had for the rows in
which the sum does not hold.

This module does not know how a sum was found.
"""

import torch
from torch import Tensor

from variate.distributions.grid import snap
from variate.distributions.rows import Numeric, RowLayout
from variate.distributions.scores import Copy
from variate.table.copies import Copies

__all__ = ["settled"]


def settled(layout: RowLayout, sums: Copies, x: Tensor, fixed: Tensor | None = None) -> Tensor:
    """Rows in which the sums hold.

    Args:
        layout: The columns.
        sums: Columns, and what each is the sum of.
        x: Rows `[M, C]`; they are left as they are.
        fixed: Which cells stay as they are, bool, of the shape `[M, C]` or `[C]`.
    """
    for column, copy in sums:
        x = _settled(layout, column, copy, x, fixed)
    return x


def _settled(layout: RowLayout, column: int, copy: Copy, x: Tensor, fixed: Tensor | None) -> Tensor:
    parts = [column, *copy.sources]
    signs = torch.tensor([1.0, *(-sign for sign in copy.signs)], dtype=x.dtype, device=x.device)
    values = x[:, parts]
    slopes = [_slope(layout, part, values[:, i]) for i, part in enumerate(parts)]
    slope = torch.stack(slopes, -1)
    if fixed is not None:
        slope = slope.masked_fill(fixed.expand(x.shape)[:, parts], torch.inf)
    rows = torch.arange(len(x), device=x.device)
    for place in slope.argsort(-1).T:
        off = (values * signs).sum(-1) - copy.constant
        free = ~off.isnan() & slope[rows, place].isfinite()
        moved = torch.stack(
            [_within(layout, part, values[:, i] - off * signs[i]) for i, part in enumerate(parts)],
            -1,
        )
        old = values[rows, place]
        values[rows, place] = torch.where(free, moved[rows, place], old)
    return x.index_copy(1, torch.tensor(parts, device=x.device), values)


def _slope(layout: RowLayout, column: int, values: Tensor) -> Tensor:
    """T' of a column's values, infinite where they must not be moved."""
    number = layout.columns[column]
    assert isinstance(number, Numeric)
    if number.closed:
        return torch.full_like(values, torch.inf)
    slope = layout.map_of(column).slopes(values.nan_to_num(0.0).unsqueeze(-1)).squeeze(-1)
    atoms = torch.tensor(number.atoms, dtype=values.dtype, device=values.device)
    return slope.masked_fill(torch.isin(values, atoms), torch.inf)


def _within(layout: RowLayout, column: int, values: Tensor) -> Tensor:
    """The values on the column's grid and in its range."""
    number = layout.columns[column]
    assert isinstance(number, Numeric)
    if number.step is not None:
        step, origin = (values.new_tensor(part) for part in (number.step, number.origin))
        values = snap(values, step, origin)
    return values.clamp(number.low, number.high)
