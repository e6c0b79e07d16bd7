r"""Knots of a column's map to normal scores, from a sample of it.

The score of a value v is the normal quantile of its mid-rank,

    T(v) = Φ^-1( (#{x < v} + #{x = v} / 2) / n ),

known at every distinct value of the sample. A few of them are kept as knots, between which T is
linear. Where to keep them:

- the smallest and the largest value, and every atom (a value that a twentieth of the rows share)
  with its neighbours on both sides, since T jumps there: a column of 90 % zeros has a wide step of
  scores at zero and spends the rest on its tail;
- what is left of the budget is laid over the ranks of the other values, half of it evenly in
  probability and half of it evenly in score, so that both the body and the tails are followed.

Knots closer together than a millionth of the column's spread are thinned out: rounding noise (0.3
beside 0.1 + 0.2) would make T so steep there that a density could grow without bound.

This module does not know units, grids or missing values.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["BUDGET", "rank_knots"]

BUDGET = 33
ATOM = 0.05  # the share of the rows that makes a value an atom
CLOSEST = 1e-6  # of the spread of the middle nine tenths

Floats = NDArray[np.float64]


def rank_knots(sample: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Knots (strictly increasing values) and their scores (strictly increasing).

    Args:
        sample: Values of the column `[n]`, n >= 1, finite.
        low: The column's smallest value, which may not be in the sample.
        high: Its largest.

    Returns:
        From 2 to about 33 knots, the first at `low`, the last at `high`; for a single value one
        below and one above it.
    """
    if low == high:
        reach = max(1.0, abs(low))
        return np.array([low - reach, low + reach]), np.array([-1.0, 1.0])
    ends = [end for end in (low, high) if not (sample == end).any()]
    values, counts = np.unique(np.append(sample, ends), return_counts=True)
    scores = _scores(counts.astype(np.float64))
    kept = _thinned(values, _chosen(counts / len(sample)), _closest(sample, high - low))
    return values[kept], scores[kept]


def _chosen(shares: Floats) -> NDArray[np.intp]:
    """Which of the distinct values become knots, in increasing order."""
    last = len(shares) - 1
    if last < BUDGET:
        return np.arange(last + 1)
    atoms = np.flatnonzero(shares >= ATOM)
    must = np.concatenate([[0, last], atoms, atoms - 1, atoms + 1])
    must = np.unique(must.clip(0, last))
    others = np.ones(last + 1, dtype=bool)
    others[must] = False
    rest = np.flatnonzero(others)
    if not len(rest):
        return must
    among_rest = _scores(shares[rest])
    levels = _levels(max(BUDGET - len(must), BUDGET // 4), among_rest[0], among_rest[-1])
    even = np.searchsorted(among_rest, levels).clip(0, len(rest) - 1)
    return np.union1d(must, rest[even])


def _scores(weights: Floats) -> Floats:
    """Φ^-1 of the mid-rank of each of the distinct values, given how often each occurs."""
    reached = np.cumsum(weights)
    return ndtri((reached - weights / 2) / reached[-1])


def _levels(count: int, lowest: float, highest: float) -> Floats:
    """Scores that are half evenly spread in probability and half evenly in score."""
    grid = np.linspace(lowest, highest, 1001)
    in_score = np.linspace(0.0, 1.0, 1001)
    in_probability = (ndtr(grid) - ndtr(lowest)) / (ndtr(highest) - ndtr(lowest))
    return np.interp(np.linspace(0.0, 1.0, count + 2)[1:-1], (in_score + in_probability) / 2, grid)


def _closest(sample: Floats, whole: float) -> float:
    """How close two knots may come."""
    for tail in (0.05, 0.005):
        a, b = np.quantile(sample, [tail, 1 - tail])
        if b > a:
            return CLOSEST * float(b - a)
    return CLOSEST * whole


def _thinned(values: Floats, chosen: NDArray[np.intp], closest: float) -> NDArray[np.intp]:
    """Without the knots that come too close to the one before; the first and the last stay."""
    kept = [chosen[0]]
    for index in chosen[1:-1]:
        if values[index] - values[kept[-1]] > closest and values[-1] - values[index] > closest:
            kept.append(index)
    return np.array([*kept, chosen[-1]])
