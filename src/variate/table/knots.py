r"""Knots of a column's map to normal scores, from a sample of it; and its atoms.

The score of a value v is the normal quantile of its rank, T(v) = Φ^-1(#{x < v} / n): a map under
which the column as a whole becomes a standard normal, whatever its shape. T is piecewise linear
between knots, and there are two kinds of them:

- **Steps.** A value that occurs five times or more is a step of T: a cell of scores as wide as its
  share, [T(v - step/2), T(v + step/2)] where the column lies on a grid and a jump at v where it
  does not. A smooth density over scores then gives every repeated value exactly its share, the
  spike of 60 % zeros and the heap at 5,000 alike. The 1,024 most frequent are kept.
- **Points.** The other values are followed by 128 points, half of them evenly spread over the ranks
  and half over the scores, so that the body and the tails are both followed. A value that is drawn
  between them is interpolated: none that is rarer than five is given out but by chance.

A stretch without any value keeps a hundredth of a row, so that T rises strictly.

**Atoms** are the values to which a network gives probabilities of their own: all of them where
there are at most 100 (ages, hours, ratings), else those that 2 in 1,000 rows share and that stand
out, three times as frequent as the values around them, at most 128. What is elsewhere has the
scores to itself: there an atom counts as one row. Two ways to say the same, a step and an atom, let
the heaps of one payment grow with those of the last.

This module does not know units or missing values.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import ndtr, ndtri

__all__ = ["Knots", "score_knots"]

REPEATED = 5  # rows that make a value common property
STEPS = 1_024
POINTS = 128
NOTHING = 0.01  # rows in a stretch without any
FEW = 100
ATOM = 0.002  # the share of the rows that makes a value an atom
MOST_ATOMS = 128
AROUND = 5  # values on either side
OUTSTANDING = 3.0  # times their median
CLOSEST = 1e-6  # of the spread of the middle nine tenths

Floats = NDArray[np.float64]


class Knots(NamedTuple):
    """What `score_knots` finds.

    Attributes:
        values: Raw values, increasing; the same value twice is a jump.
        scores: T of them, strictly increasing.
        atoms: Values with probabilities of their own, strictly increasing.
        closed: Whether the atoms are all values that there are.
    """

    values: Floats
    scores: Floats
    atoms: Floats
    closed: bool


def score_knots(sample: Floats, low: float, high: float, step: float | None) -> Knots:
    """The knots of a column.

    Args:
        sample: Values of the column `[n]`, n >= 1, finite.
        low: The column's smallest value, which may not be in the sample.
        high: Its largest.
        step: The grid that the values lie on, if there is one.
    """
    ends = [end for end in {low, high} if not (sample == end).any()]
    values, counts = np.unique(np.append(sample, ends), return_counts=True)
    closed = len(values) <= FEW
    atoms = values if closed else _frequent(values, counts)
    repeated = np.flatnonzero(counts >= REPEATED)
    repeated = repeated[np.argsort(-counts[repeated], kind="stable")[:STEPS]]
    is_step = np.zeros(len(values), dtype=bool)
    is_step[repeated] = True
    if not closed:
        counts = np.where(np.isin(values, atoms), 1, counts)
    edges, weights = _edges(values, counts, is_step, step, _closest(sample, high - low))
    ranks = np.cumsum(weights)
    scores = ndtri((ranks + 0.5) / (ranks[-1] + 1.0))
    return Knots(*_with_outer_ends(edges, scores), atoms, closed)


def _frequent(values: Floats, counts: NDArray[np.int64]) -> Floats:
    """The values that so many rows share, more than share those around them."""
    around = median_filter(counts, 2 * AROUND + 1, mode="mirror")
    least = np.maximum(OUTSTANDING * around, max(ATOM * counts.sum(), 2 * REPEATED))
    shared = np.flatnonzero(counts >= least)
    most = shared[np.argsort(-counts[shared], kind="stable")[:MOST_ATOMS]]
    return values[np.sort(most)]


def _edges(
    values: Floats,
    counts: NDArray[np.int64],
    is_step: NDArray[np.bool_],
    step: float | None,
    closest: float,
) -> tuple[Floats, Floats]:
    """Raw values of the knots, and for each the weight of the stretch that it ends."""
    half, noise = (0.0, 0.0) if step is None else (step / 2, step * 1e-6)
    points = np.flatnonzero(~is_step)
    followed = np.zeros(len(values), dtype=bool)
    followed[points[_spread(len(points))]] = True
    followed[[0, -1]] = True
    before = np.cumsum(counts) - counts  # rows below each value
    knots = [(values[0] - half, 0.0)]
    point = step is None and not is_step[0]  # whether the last knot is one
    for i in np.flatnonzero(is_step | followed):
        if is_step[i]:
            if point and values[i] - half - knots[-1][0] <= closest:
                knots.pop()
            if not knots or values[i] - half - knots[-1][0] > noise:
                knots.append((values[i] - half, before[i]))
            knots.append((values[i] + half, before[i] + counts[i]))
            point = False
        elif values[i] - knots[-1][0] > closest:
            knots.append((values[i], before[i] + counts[i] / 2))
            point = True
    if values[-1] + half - knots[-1][0] > (closest if step is None else noise):
        knots.append((values[-1] + half, float(counts.sum())))
    edges, reached = np.array(knots, dtype=np.float64).T
    weights = np.diff(reached, prepend=0.0)
    weights[1:] = np.maximum(weights[1:], 0.0) + NOTHING
    return edges, weights


def _spread(count: int) -> NDArray[np.intp]:
    """Which of so many sorted values are points."""
    if count <= POINTS:
        return np.arange(count)
    reach = -ndtri(0.5 / count)
    shares = (np.linspace(0.0, 1.0, POINTS // 2), ndtr(np.linspace(-reach, reach, POINTS // 2)))
    return np.unique(np.rint(np.concatenate(shares) * (count - 1)).astype(np.intp))


def _with_outer_ends(edges: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """The knots with one more at each end, so that T goes on slowly: a score for a whole range.

    It would otherwise go on as steeply as in the last cell, and a row beyond what was seen in
    training would lose millions of nats; or end in a jump, and not go on at all.
    """
    reach = edges[-1] - edges[0] or max(abs(edges[0]), 1.0)
    edges = np.concatenate([[edges[0] - reach], edges, [edges[-1] + reach]])
    return edges, np.concatenate([[scores[0] - 1.0], scores, [scores[-1] + 1.0]])


def _closest(sample: Floats, whole: float) -> float:
    """How close two points may come, so that rounding noise makes no density without bound."""
    for tail in (0.05, 0.005):
        a, b = np.quantile(sample, [tail, 1 - tail])
        if b > a:
            return CLOSEST * float(b - a)
    return CLOSEST * whole
