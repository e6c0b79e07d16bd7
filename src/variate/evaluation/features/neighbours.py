r"""Nearest neighbours and balls around items: exact, in bounded memory.

Euclidean distances of a block of rows to a block of others come from one matrix product,

    |u - v|²  =  |u|² + |v|² - 2 u·v          off by at most  slack = 8 (D + 8) ε (|u|² + |v|²)

with both sets shifted to a common centre first. The product only chooses: whatever could be among
the nearest, or on either side of a radius, within twice the slack is compared by its distance as
computed from the difference itself. So an exact copy is at distance 0, and of two items that are
as far away the one with the smaller number comes first.

This module does not know what the items are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.evaluation.features.inputs import Features, Floats, Whole, checked_alike, row_blocks

__all__ = ["Neighbours", "nearest_neighbours", "radii", "within"]

_ROWS, _OTHERS = 1024, 4096  # the sides of a block
_CELLS = 4_000_000  # numbers that differences may hold at once


class Neighbours(NamedTuple):
    """The nearest items of each item, nearest first.

    Attributes:
        indices: Which they are, `[M, k]`.
        distances: How far away, `[M, k]`, in the units of the items.
    """

    indices: Whole
    distances: Floats


def nearest_neighbours(
    items: ArrayLike | Tensor, among: ArrayLike | Tensor, k: int = 1
) -> Neighbours:
    """The k items of `among` that are nearest to each of `items`, by Euclidean distance.

    Args:
        items: `[M, *event]`, such as drawn items or their features.
        among: `[N, *event]`, such as the training items; of any numeric type, read in blocks.
        k: How many.

    Raises:
        DataError: A set is no array of finite numbers, `among` has fewer than k items, or the two
            differ in their events.
        OptionError: `k` is below 1.
    """
    _must_be_positive(k)
    points, others = checked_alike(items, among, ("items", "among"), least=1)
    _must_have(others, "among", k)
    return _search(points, others, k, own=False)


def radii(items: Features, k: int, name: str) -> Floats:
    """How far from each of N items its k-th nearest other one is, `[N]`.

    Raises:
        DataError: There are not more than k items.
        OptionError: `k` is below 1.
    """
    _must_be_positive(k)
    _must_have(items, name, k + 1)
    return _search(items, items, k, own=True).distances[:, -1]


def within(points: Features, centres: Features, radius: Floats) -> tuple[Whole, NDArray[np.bool_]]:
    """Which balls around the centres hold which points, the boundary included.

    Args:
        points: `[M, D]`.
        centres: `[N, D]`.
        radius: `[N]`.

    Returns:
        In how many balls each point is, `[M]`, and whether each ball holds a point, `[N]`.
    """
    centre = _centre(centres)
    counts = np.zeros(len(points), dtype=np.int64)
    holds = np.zeros(len(centres), dtype=bool)
    for rows, a in row_blocks(points, _ROWS):
        for columns, b in row_blocks(centres, _OTHERS):
            squares, slack = _squares(a - centre, b - centre)
            r = radius[columns]
            inside = squares <= r**2
            i, j = np.nonzero(np.abs(squares - r**2) <= 2 * slack)
            inside[i, j] = _distances(a, b, i, j) <= r[j]
            counts[rows] += inside.sum(1)
            holds[columns] |= inside.any(0)
    return counts, holds


def _search(points: Features, others: Features, k: int, *, own: bool) -> Neighbours:
    """The k nearest of `others`; not an item itself where both are the same set (`own`)."""
    centre = _centre(others)
    indices = np.full((len(points), k), -1, dtype=np.int64)
    distances = np.full((len(points), k), np.inf)
    for rows, a in row_blocks(points, _ROWS):
        for columns, b in row_blocks(others, _OTHERS):
            squares, slack = _squares(a - centre, b - centre)
            if own:
                same = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
                squares[same - rows.start, same - columns.start] = np.inf
            bound = distances[rows, -1:] ** 2
            if k <= len(b):
                bound = np.minimum(bound, np.partition(squares, k - 1, axis=1)[:, k - 1 : k])
            i, j = np.nonzero((squares <= bound + 2 * slack) & np.isfinite(squares))
            found = Neighbours(j + columns.start, _distances(a, b, i, j))
            before = Neighbours(indices[rows], distances[rows])
            indices[rows], distances[rows] = _merged(before, i, found)
    return Neighbours(indices, distances)


def _merged(before: Neighbours, owner: Whole, found: Neighbours) -> Neighbours:
    """The k nearest of those before `[R, k]` and of others found, `[F]`, each for its owner."""
    count, k = before.indices.shape
    row = np.concatenate([np.repeat(np.arange(count), k), owner])
    index = np.concatenate([before.indices.ravel(), found.indices])
    distance = np.concatenate([before.distances.ravel(), found.distances])
    order = np.lexsort((index, distance, row))
    first = np.searchsorted(row[order], np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    return Neighbours(index[chosen], distance[chosen])


def _squares(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Squared distances `[R, C]`, and by how much they may be off, `[R, 1]`."""
    of_a, of_b = (a * a).sum(1)[:, None], (b * b).sum(1)
    squares = of_a + of_b - 2 * (a @ b.T)
    slack = 8 * (a.shape[1] + 8) * np.finfo(np.float64).eps * (of_a + of_b.max())
    return squares, slack


def _distances(a: Floats, b: Floats, i: Whole, j: Whole) -> Floats:
    """The distances of pairs of rows, from their differences, a part of the pairs at a time."""
    found = np.empty(len(i))
    step = max(1, _CELLS // a.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        found[part] = np.sqrt(((a[i[part]] - b[j[part]]) ** 2).sum(1))
    return found


def _centre(features: Features) -> Floats:
    """A point amid the features, which keeps the slack small."""
    some = features[:: max(1, len(features) // _ROWS)]
    centre: Floats = some.astype(np.float64).mean(0)
    return centre


def _must_be_positive(k: int) -> None:
    if k < 1:
        raise OptionError(f"`k` must be at least 1, the nearest neighbour, however: {k=}")


def _must_have(items: Features, name: str, least: int) -> None:
    if len(items) < least:
        raise DataError(
            f"`{name}` has {len(items)} item(s), however the neighbours asked for take at least "
            f"{least}. Give more items, or a smaller `k`"
        )
