r"""How much of a column the neighbours of a row on a map tell.

A map puts N rows at places. Each row's value is guessed as the mean over its k nearest neighbours,

    told = 1 - Σ (y_i - ȳ_k(i))² / ((1 + 1/k) Σ (y_i - ȳ)²)

with y the rank of a number, or an indicator for each level of a category, over which the sums go
as well. The factor makes up for the noise of a mean of k values, so that a map that tells nothing
has told = 0 in expectation; a map that tells everything has 1. The noise floor is the same for
values that are dealt out to the rows at random.

This module does not know how the map came about.
"""

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from variate.table.measures import Kind

__all__ = ["NEIGHBOURS", "told"]

NEIGHBOURS = 20
LEVELS = 30  # of a category, the most common ones; the rest are one
MOST = 4_000  # rows that are looked at


def told(place: np.ndarray, values: np.ndarray, kind: Kind, *, seed: int) -> tuple[float, float]:
    """How much of a column a map tells, and its noise floor; NaN where there is nothing to tell.

    Args:
        place: Where the rows are, `[N, 2]`.
        values: The column, `[N]`, NaN = missing: a level of its own to a category, left out of a
            number.
        kind: What the column is.
        seed: Of the choice of rows and of the noise floor.
    """
    rng = np.random.default_rng(seed)
    kept = rng.permutation(np.flatnonzero((kind == "category") | ~np.isnan(values)))[:MOST]
    place, values = place[kept], values[kept]
    if len(kept) <= 2 * NEIGHBOURS:
        return np.nan, np.nan
    y = _indicators(values) if kind == "category" else rankdata(values)[:, None]
    y = y - y.mean(axis=0)
    spread = float(np.square(y).sum())
    if spread == 0:
        return np.nan, np.nan
    near = _neighbours(place)
    return _share(y, near, spread), _share(rng.permutation(y), near, spread)


def _share(y: np.ndarray, near: np.ndarray, spread: float) -> float:
    guess = np.zeros_like(y)
    for column in near.T:
        guess += y[column]
    missed = float(np.square(y - guess / near.shape[1]).sum())
    return 1 - missed / ((1 + 1 / near.shape[1]) * spread)


def _indicators(codes: np.ndarray) -> np.ndarray:
    """A column for each of the most common levels `[N, K]`, a missing value being a level."""
    levels, where, counts = np.unique(
        np.nan_to_num(codes, nan=-1.0), return_inverse=True, return_counts=True
    )
    rank = np.empty(len(levels), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(levels))
    marks: np.ndarray = np.eye(min(len(levels), LEVELS))[rank[where].clip(max=LEVELS - 1)]
    return marks


def _neighbours(place: np.ndarray) -> np.ndarray:
    """The rows that are nearest to each row, itself left out, `[N, k]`."""
    _, near = cKDTree(place).query(place, k=NEIGHBOURS + 1)
    own = near == np.arange(len(place))[:, None]
    own[~own.any(axis=1), -1] = True  # many rows at one place
    kept: np.ndarray = near[~own].reshape(len(place), NEIGHBOURS)
    return kept
