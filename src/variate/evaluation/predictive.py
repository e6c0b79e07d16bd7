r"""How good predictive distributions are: calibrated, and sharp.

A predictive distribution F of a number is known by S draws X_1, …, X_S, that of a category by the
probabilities p of its levels. With what was then observed, y:

    PIT         u = (#{X_s < y} + v (1 + #{X_s = y})) / (S + 1),  v uniform: uniform on (0, 1) if y
                has the law of the draws, and exactly so for any S, with or without ties (Czado et
                al. 2009)
    coverage    of the central interval of probability a: the share of |u - 1/2| <= a/2
    CRPS        E|X - y| - E|X - X'|/2, with the mean over pairs of different draws, so that it is
                that of F in expectation however few the draws (Gneiting & Raftery 2007; Ferro 2014)
    log score   log F's density or probability at y, in nats; higher is better
    Brier score Σ_l (p_l - 1[y = l])²
    reliability of the forecasts of an event that are about p, the share in which it happened
    ECE         ½ Σ_b n_b/N |share_b - mean p_b|, the expected calibration error, over bins b of p
                and all levels of N forecasts; for two levels it is the usual one of either

The ECE of forecasts that are perfectly calibrated is above 0, for shares are noisy; its floor is
found by letting outcomes be drawn from the forecasts themselves.

This module does not know who made the forecasts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Reliability",
    "brier_score",
    "calibration_error",
    "calibration_floor",
    "coverage",
    "crps",
    "pit",
    "reliability",
]

Floats = NDArray[np.float64]
BINS = 10
REPEATS = 20  # simulations of a floor


class Reliability(NamedTuple):
    """Forecasts of events in bins of their probability, those without any left out.

    Attributes:
        forecast: The mean forecast, `[B]`.
        share: How often the event happened, `[B]`.
        rows: How many forecasts, `[B]`.
    """

    forecast: Floats
    share: Floats
    rows: NDArray[np.int64]


def pit(draws: Floats, observed: Floats, *, seed: int) -> Floats:
    """The probability integral transform of each observation, `[N]`, within (0, 1).

    Args:
        draws: From the predictive distributions, `[N, S]`.
        observed: What was then observed, `[N]`.
        seed: Of what breaks ties.
    """
    below = (draws < observed[:, None]).sum(1)
    equal = (draws == observed[:, None]).sum(1)
    uniform = np.random.default_rng(seed).random(len(observed))
    result: Floats = (below + uniform * (1 + equal)) / (draws.shape[1] + 1)
    return result


def coverage(transformed: Floats, levels: Sequence[float] = (0.5, 0.8, 0.95)) -> tuple[float, ...]:
    """The share of observations inside the central intervals of these probabilities.

    Args:
        transformed: The PIT of each observation, `[N]`.
        levels: The probabilities.
    """
    return tuple(float((np.abs(transformed - 0.5) <= level / 2).mean()) for level in levels)


def crps(draws: Floats, observed: Floats) -> Floats:
    """The continuous ranked probability score of each forecast, `[N]`; 0 is best.

    Args:
        draws: From the predictive distributions, `[N, S]`, two or more.
        observed: What was then observed, `[N]`, in the same unit, which is that of the score.
    """
    size = draws.shape[1]
    ordered = np.sort(draws, 1)
    # Σ_{i<j} (X_j - X_i): the s-th smallest is added s times and taken away S - 1 - s times
    weight = 2.0 * np.arange(size) - (size - 1)
    apart = ordered @ weight / (size * (size - 1))  # half the mean distance of two draws
    result: Floats = np.abs(draws - observed[:, None]).mean(1) - apart
    return result


def brier_score(probability: Floats, observed: NDArray[np.int64]) -> Floats:
    """Brier's score of each forecast of a category, `[N]`, 0..2; 0 is best.

    Args:
        probability: Of each level, `[N, L]`.
        observed: The codes of the levels that came, `[N]`.
    """
    happened = np.arange(probability.shape[1]) == observed[:, None]
    result: Floats = np.square(probability - happened).sum(1)
    return result


def reliability(probability: Floats, happened: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """How often events happened, by how probable they were said to be.

    Args:
        probability: Forecasts of events, of any shape.
        happened: Whether they did, of the same shape.
        bins: Of equal width between 0 and 1.
    """
    chance = probability.ravel().astype(np.float64)
    where = np.minimum((chance * bins).astype(np.int64), bins - 1)
    count = np.bincount(where, minlength=bins)
    full = count > 0
    forecast = np.bincount(where, chance, bins)[full] / count[full]
    share = np.bincount(where, happened.ravel(), bins)[full] / count[full]
    return Reliability(forecast, share, count[full])


def calibration_error(found: Reliability, levels: int = 2) -> float:
    """The expected calibration error, 0..1.

    Args:
        found: Of the forecasts of all levels of a category, or of a single event.
        levels: How many levels there are; 2 for an event.
    """
    gap = np.abs(found.share - found.forecast)
    return float(levels / 2 * (found.rows * gap).sum() / found.rows.sum())


def calibration_floor(probability: Floats, *, seed: int, bins: int = BINS) -> float:
    """The calibration error that these forecasts of a category would have if they were right.

    Args:
        probability: Of each level, `[N, L]`.
        seed: Of the outcomes that are drawn from them.
        bins: As for the error.
    """
    rng = np.random.default_rng(seed)
    levels, edges = np.arange(probability.shape[1]), probability.cumsum(1)
    errors = []
    for _ in range(REPEATS):
        uniform = rng.random((len(probability), 1)) * edges[:, -1:]
        drawn = (uniform > edges).sum(1)
        found = reliability(probability, levels == drawn[:, None], bins)
        errors.append(calibration_error(found, len(levels)))
    return float(np.mean(errors))
