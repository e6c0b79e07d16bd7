r"""Calibration scores to keep: any number of them in a bounded number of places.

A p-value asks for A(s) = #{i : s_i ≥ s} of n calibration scores. With t_1 < … < t_K some of them
and B(t_k) = #{i : s_i > t_k},

    t_k < s ≤ t_{k+1}        A(s) ≤ B(t_k),        A(s) ≤ n  for s ≤ t_1

which are equalities where the t_k are all distinct scores. Of more than `MOST` scores the strangest
are kept in half of the places, for there alarms are decided, and of the others every so many, by
rank. So p is exact where it is small, and is rounded up, by less than a thousandth, where it is
not; and as ranks are chosen by n alone, p stays a p-value, and the p-values stay positively
dependent (they are an increasing function of the exact ones).

Two sets of calibration scores are put together by the sum of their B at the places of both.

This module does not know what was scored.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variate.errors import ModelFileError, OptionError
from variate.evaluation import conformal

__all__ = ["MOST", "Reference"]

MOST = 2_000  # places that are kept

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Reference:
    """The scores of calibration items, higher for stranger ones.

    Attributes:
        rows: n, how many items there are.
        scores: t, increasing, `[K]`.
        beyond: B(t), `[K]`.
        draws: With how many draws the scores were made; with others they have another law.
    """

    rows: int
    scores: Floats
    beyond: Whole
    draws: int

    @classmethod
    def of(cls, scores: ArrayLike, draws: int) -> Self:
        """The reference of these scores, `[n]`.

        Raises:
            OptionError: There are none, or one is NaN.
        """
        array = np.sort(_finite(scores))
        if not len(array) or np.isnan(array).any():
            raise OptionError("a calibration needs at least one item, each with a score.")
        places = np.unique(array[_kept(len(array))])
        beyond = len(array) - np.searchsorted(array, places, side="right")
        return cls(len(array), places, beyond, draws)

    def joined(self, other: Self) -> Self:
        """Both sets of items together."""
        places = np.union1d(self.scores, other.scores)
        beyond = self._beyond(places) + other._beyond(places)
        rows = self.rows + other.rows
        if len(places) > MOST:  # the place of each rank that is to be kept
            ranks = rows - 1 - _kept(rows)
            chosen = np.unique(np.searchsorted(-beyond, -ranks).clip(0, len(places) - 1))
            places, beyond = places[chosen], beyond[chosen]
        return type(self)(rows, places, beyond, self.draws)

    def p_values(self, scores: ArrayLike) -> Floats:
        """The conformal p-value of each score, `[m]`."""
        place = np.searchsorted(self.scores, _finite(scores), side="left")
        found: Floats = (1.0 + np.append(self.rows, self.beyond)[place]) / (self.rows + 1.0)
        return found

    def drift(self, scores: ArrayLike) -> float:
        """The p-value of the bulk of these scores being as that of the calibration scores."""
        levels = np.append(self.rows, self.beyond)
        known = np.repeat(np.arange(len(self.scores)), levels[:-1] - levels[1:])
        return conformal.drift(known, np.searchsorted(self.scores, _finite(scores), side="left"))

    def state(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "rows": self.rows,
            "draws": self.draws,
            "scores": self.scores.tolist(),
            "beyond": self.beyond.tolist(),
        }

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The reference that `state` describes.

        Raises:
            ModelFileError: The state is damaged.
        """
        try:
            rows, draws = state["rows"], state["draws"]
            scores = np.asarray(state["scores"], dtype=np.float64)
            beyond = np.asarray(state["beyond"], dtype=np.int64)
            fine = type(rows) is int and type(draws) is int and rows >= 1 and draws >= 1
            fine = fine and scores.ndim == 1 and 1 <= len(scores) == len(beyond) <= 2 * MOST
            fine = fine and bool(np.isfinite(scores).all() and (np.diff(scores) > 0).all())
            levels = np.concatenate([[rows], beyond, [0]])
            fine = fine and bool((np.diff(levels) <= 0).all()) and beyond[-1] == 0
        except (KeyError, TypeError, ValueError, OverflowError):
            fine = False
        if not fine:
            raise ModelFileError(
                "the calibration scores in the model file are damaged; make new ones with "
                "model.recalibrate(rows), from rows that are believed to be normal."
            )
        return cls(rows, scores, beyond, draws)

    def _beyond(self, values: Floats) -> Whole:
        """At most how many scores are higher than each value."""
        place = np.searchsorted(self.scores, values, side="right")
        found: Whole = np.append(self.rows, self.beyond)[place]
        return found


def _finite(scores: ArrayLike) -> Floats:
    """Scores that JSON can hold: infinity is the largest number."""
    largest = np.finfo(np.float64).max
    return np.clip(np.asarray(scores, dtype=np.float64).ravel(), -largest, largest)


def _kept(n: int) -> Whole:
    """Which of n scores in increasing order are kept: all, or the last ones and some before."""
    half = MOST // 2
    if n <= MOST:
        return np.arange(n)
    before = np.linspace(0, n - half - 1, half).round().astype(np.int64)
    return np.append(before, np.arange(n - half, n))
