"""What a child knows of the siblings before it: the last one, and what all were like.

    last      its columns, as it had them
    so far    the mean of a number's or date's normal scores, and of a category of two levels
              (0 and 1); of a category of more, the level seen most often

The last one tells of series, such as the hours of a day; the mean tells of what siblings have in
common and their parent does not show, such as a customer's taste: for jointly normal siblings that
come in no order it is all that there is to know. A child without siblings before it knows neither.

Children are in the codec's terms, numbers for numbers and codes for categories.

This module does not know who the parents are, nor any model.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["Siblings", "memory_kinds"]

MOST_LEVELS = 50  # of a category whose levels are counted

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def memory_kinds(columns: Sequence[ColumnSchema]) -> list[tuple[str, str | None]]:
    """What is known of siblings, as names and the kinds that are not inferred.

    Args:
        columns: The children's modelled columns.
    """
    last = [(f"last.{c.name}", None if c.kind in NUMBER else "category") for c in columns]
    kinds: dict[str, str | None] = {
        c.name: "category" if c.kind not in NUMBER and len(c.levels) > 2 else "continuous"
        for c in columns
    }
    return last + [(f"so far.{c.name}", kinds[c.name]) for c in columns if _summed_up(c)]


class Siblings:
    """The children of many parents, as far as there are any.

    Args:
        parents: How many parents.
        columns: The children's modelled columns.
    """

    def __init__(self, parents: int, columns: Sequence[ColumnSchema]) -> None:
        self.columns = tuple(columns)
        shape = (parents, len(self.columns))
        self.last: Floats = np.full(shape, np.nan)
        self.total: Floats = np.zeros(shape)
        self.seen: Floats = np.zeros(shape)
        self.counts = {
            i: np.zeros((parents, len(column.levels)))
            for i, column in enumerate(self.columns)
            if column.kind not in NUMBER and 2 < len(column.levels) <= MOST_LEVELS
        }

    def add(self, parents: Rows, x: Floats) -> None:
        """One more child `[M, C]` of each of these parents `[M]`."""
        known = ~np.isnan(x)
        self.last[parents] = x
        scores = np.where(known, x, 0.0)
        for i, column in enumerate(self.columns):
            if column.kind in NUMBER:
                scores[:, i] = np.interp(scores[:, i], column.knots, column.scores)
        self.total[parents] += np.where(known, scores, 0.0)
        self.seen[parents] += known
        for i, counts in self.counts.items():
            rows = known[:, i]
            counts[parents[rows], x[rows, i].astype(np.int64)] += 1

    def recall(self, parents: Rows) -> list[pa.Array]:
        """What the next child of each of these parents knows, in the order of `memory_kinds`."""
        seen = self.seen[parents]
        with np.errstate(invalid="ignore"):
            mean = np.where(seen > 0, self.total[parents] / seen, np.nan)
        found = [_array(self.last[parents, i], c) for i, c in enumerate(self.columns)]
        for i, column in enumerate(self.columns):
            if i in self.counts:
                level = self.counts[i][parents].argmax(1)
                found.append(pa.array(level, mask=seen[:, i] == 0))
            elif _summed_up(column):
                found.append(pa.array(mean[:, i], mask=np.isnan(mean[:, i])))
        return found


def _summed_up(column: ColumnSchema) -> bool:
    return column.kind in NUMBER or len(column.levels) <= MOST_LEVELS


def _array(x: Floats, column: ColumnSchema) -> pa.Array:
    if column.kind in NUMBER:
        return pa.array(x, mask=np.isnan(x))
    return pa.array(np.nan_to_num(x).astype(np.int64), mask=np.isnan(x))
