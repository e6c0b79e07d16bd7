"""Rows of columns of mixed kinds as rows of numbers: what distances and networks can be made of.

A number is itself; a category is one number for each level, 1 for the level that is there and 0 for
the others, of the fifty most frequent levels at the most. A missing cell is missing in all of them.

This module does not know where rows come from.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["Features", "Group"]

LEVELS = 50


class Group(NamedTuple):
    """The numbers that stand for a column.

    Attributes:
        name: The column's.
        start: The first.
        stop: One past the last.
        levels: The codes of the levels that have a number of their own; None for a number.
    """

    name: str
    start: int
    stop: int
    levels: tuple[int, ...] | None


class Features:
    """How C columns become F numbers."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)

    @classmethod
    def of_numbers(cls, names: Sequence[str]) -> Self:
        """Columns that are all numbers."""
        return cls([Group(name, i, i + 1, None) for i, name in enumerate(names)])

    @classmethod
    def of_columns(cls, columns: Sequence[ColumnSchema], x: Tensor) -> Self:
        """Columns of a table, whose rows x `[N, C]` tell which levels are frequent."""
        groups: list[Group] = []
        for c, column in enumerate(columns):
            start = groups[-1].stop if groups else 0
            if column.kind in NUMBER:
                groups.append(Group(column.name, start, start + 1, None))
                continue
            codes = x[:, c][~x[:, c].isnan()].long()
            order = torch.bincount(codes).argsort(descending=True, stable=True)[:LEVELS]
            levels = tuple(sorted(order.tolist())) or (0,)
            groups.append(Group(column.name, start, start + len(levels), levels))
        return cls(groups)

    @property
    def width(self) -> int:
        """F."""
        return self.groups[-1].stop

    def expand(self, x: Tensor) -> Tensor:
        """Rows `[N, C]` as `[N, F]`, float64, NaN = missing."""
        parts = []
        for c, group in enumerate(self.groups):
            column = x[:, c : c + 1]
            if group.levels is None:
                parts.append(column)
                continue
            codes = column.nan_to_num(-1.0)
            shown = (codes == torch.tensor(group.levels, dtype=x.dtype)).to(x.dtype)
            parts.append(torch.where(column.isnan(), torch.nan, shown))
        return torch.cat(parts, 1)

    def state(self) -> list[list[Any]]:
        """JSON-able values."""
        return [[g.name, g.start, g.stop, g.levels and list(g.levels)] for g in self.groups]

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The features that `state` describes.

        Raises:
            ValueError: It is damaged (or TypeError).
        """
        groups = [Group(n, a, b, None if le is None else tuple(le)) for n, a, b, le in state]
        end = 0
        for group in groups:
            sizes = (group.start, group.stop, *(group.levels or ()))
            wide = 1 if group.levels is None else len(group.levels)
            if not all(type(size) is int for size in sizes) or (end, end + wide) != sizes[:2]:
                raise ValueError(f"the numbers of the column {group.name!r:.80} are damaged")
            end = group.stop
        if not groups:
            raise ValueError("there are no columns")
        return cls(groups)
