r"""Values that few rows have, and that drawn rows may repeat.

A category, and a number of at most 100 different values, takes those values only that it was
trained on. One that a single row had keeps about that row's share, and comes up in drawn rows: it
tells that there is somebody with that value, in so far as the value tells of somebody. Numbers of
many values are drawn between those that were seen, and give out only what five rows share, but for
their least and their largest value, which are the ends of what is drawn.

This module does not know which values tell of a person.
"""

from collections.abc import Sequence

import numpy as np

from variate.table.schema import ColumnSchema

__all__ = ["RARE", "rare_counts", "rare_share", "rare_values"]

RARE = 5  # rows; a value that fewer have is rare


def rare_values(x: np.ndarray, columns: Sequence[ColumnSchema]) -> list[np.ndarray]:
    """The values of each column that fewer than five rows of x `[N, C]` have.

    Empty for numbers of many values.
    """
    found = []
    for c, column in enumerate(columns):
        given = bool(column.levels) or column.closed
        values, counts = np.unique(x[:, c][~np.isnan(x[:, c])], return_counts=True)
        found.append(values[counts < RARE] if given else values[:0])
    return found


def rare_counts(x: np.ndarray, columns: Sequence[ColumnSchema]) -> dict[str, int]:
    """How many rare values a column has, by its name; columns without any are left out."""
    rare = rare_values(x, columns)
    return {column.name: len(v) for column, v in zip(columns, rare, strict=True) if len(v)}


def rare_share(x: np.ndarray, rare: Sequence[np.ndarray]) -> float:
    """The share of the rows of x `[N, C]` that have one of the rare values in some column."""
    if not len(x):
        return 0.0
    held = [np.isin(x[:, c], values) for c, values in enumerate(rare) if len(values)]
    return float(np.any(held, axis=0).mean()) if held else 0.0
