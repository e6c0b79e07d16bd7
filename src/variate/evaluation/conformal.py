r"""p-values from held-out scores, and alarms whose share of false ones is bounded.

A score is higher the stranger an item is. Of n calibration items, exchangeable with the normal
items among the new ones and not used to learn the score, s_1 … s_n are the scores. The conformal
p-value of a new item of score s (Vovk, Gammerman & Shafer 2005) is

    p = (1 + #{i : s_i ≥ s}) / (n + 1)

Of a normal item the rank of s among all n + 1 scores is uniform, and equal scores count against
the alarm, so that P(p ≤ t) ≤ t for every t, whatever the score's law and however bad the score.

**Alarms.** Benjamini & Hochberg (1995) raise the k alarms of smallest p-value, k being the largest
for which p_(k) ≤ q k / m, m the number of new items. The p-values share their calibration items
and so depend on each other, but positively (PRDS: Bates, Candès, Lei, Romano & Sesia 2023,
theorem 2), and for such the expected share of false alarms is at most q. It is an expectation over
calibration sets too. `null_share` estimates the share π of normal items (Storey 2002); at the level
q / π the bound still holds for conformal p-values (Marandon, Lei, Mary & Roquain 2024).

**Given the calibration set.** `conditional` maps p to h(p), for which P(h(p) ≤ t | calibration
set) ≤ t for all t at once with probability 1 - δ over calibration sets (Bates et al. 2023, section
3). With U_(1) ≤ … ≤ U_(n) the order statistics of n uniform numbers and

    P(U_(1) ≤ b_1, …, U_(n) ≤ b_n) ≥ 1 - δ,        h(p) = b_⌈(n+1)p⌉,   b_{n+1} = 1

the Simes adjustment has, for i = 1 … n and k = ⌊n/2⌋,

    b_{n+1-i} = 1 - δ^{1/k} (i (i-1) … (i-k+1) / (n (n-1) … (n-k+1)))^{1/k}

and the asymptotic one b_i = i/n + c √(i (n-i)) / (n √n), at most 1, where

    c = (-log(-log(1-δ)) + 2 log log n + ½ log log log n - ½ log π) / √(2 log log n)

which is the tighter for large p and is exact as n grows only.

**How few are too few.** No p-value is below 1/(n+1). To raise k alarms among m items, n must be
at least m / (q k) - 1 (`calibration_needed`).

**Drift.** Whether the calibration scores still describe what is normal is asked of the bulk alone,
so that anomalies do not matter. Let c be the r-th smallest of the calibration scores, r = ⌊0.9 n⌋.
Given c, the scores below it are, in either sample, independent draws of one law: they are compared
by the two-sample test of Kolmogorov and Smirnov. And if half of the m new items are normal, how
many of those lie above c is beta-binomial, which says when too many do. Twice the smaller of both
p-values is the p-value of drift.

This module does not know what was scored, nor by which model.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import betabinom, ks_2samp

from variate.errors import OptionError
from variate.options import at_least, share

__all__ = [
    "asymptotic_bounds",
    "benjamini_hochberg",
    "calibration_needed",
    "chance_of_extremes",
    "conditional",
    "drift",
    "null_share",
    "p_values",
    "simes_bounds",
]

Floats = NDArray[np.float64]
BULK = 0.9  # of the calibration scores, those that drift is looked for in
FEWEST = 8  # scores of each sample, below which they are not compared


def p_values(calibration: ArrayLike, scores: ArrayLike) -> Floats:
    """The conformal p-value of each score, `[m]`.

    Args:
        calibration: The scores of the calibration items, `[n]`.
        scores: Those of the new items, `[m]`; higher is stranger.

    Raises:
        OptionError: There is no calibration score, or one of either is NaN.
    """
    known = np.sort(_scores("calibration", calibration))
    new = _scores("scores", scores)
    if not len(known):
        raise OptionError("p-values need at least one calibration score, got none.")
    as_strange = len(known) - np.searchsorted(known, new, side="left")
    return np.asarray((1 + as_strange) / (len(known) + 1), dtype=np.float64)


def benjamini_hochberg(p: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which p-values are alarms, bool `[m]`.

    Args:
        p: The p-values, `[m]`.
        level: q, the most that the expected share of false alarms among the alarms may be.

    Raises:
        OptionError: The level is not between 0 and 1, or a p-value is not.
    """
    share("level", level)
    p_value = _p_values(p)
    m = len(p_value)
    ordered = np.sort(p_value)
    # with a hair to spare: k/(n+1) ≤ q k'/m may be an equality
    fine = np.flatnonzero(ordered <= level * np.arange(1, m + 1) / m * (1 + 1e-12))
    return p_value <= ordered[fine[-1]] if len(fine) else np.zeros(m, dtype=bool)


def null_share(p: ArrayLike, calibration: int) -> float:
    """An estimate of the share of normal items that errs upwards, at most 1 (Storey 2002).

    `benjamini_hochberg(p, q / null_share(p, n))` has the bound q too, and is the stronger where
    many items are anomalies.

    Args:
        p: Conformal p-values, `[m]`, m at least 1.
        calibration: n, the calibration scores that they come from.
    """
    p_value = _p_values(p)
    if not len(p_value):
        raise OptionError("the share of normal items needs at least one p-value, got none.")
    cut = -(-(calibration + 1) // 2) / (calibration + 1)  # a value that p-values take
    above = np.count_nonzero(p_value >= cut * (1 - 1e-12))
    return float(min(1.0, (1 + above) / (len(p_value) * (1 - cut))) if cut < 1 else 1.0)


def simes_bounds(n: int, delta: float) -> Floats:
    """b_1 … b_n of the Simes adjustment."""
    at_least("n", n, 1)
    share("delta", delta)
    k = max(1, n // 2)
    i = np.arange(1, n + 1)
    within = i >= k  # else the product has a factor of zero
    logs = np.where(within, gammaln(i + 1.0) - gammaln(np.where(within, i - k + 1.0, 1.0)), -np.inf)
    logs -= gammaln(n + 1.0) - gammaln(n - k + 1.0)
    found: Floats = 1.0 - np.exp((np.log(delta) + logs) / k)
    return found[::-1]


def asymptotic_bounds(n: int, delta: float) -> Floats:
    """b_1 … b_n of the asymptotic adjustment; n must be at least 16."""
    share("delta", delta)
    if n < 16:
        raise OptionError(f"the asymptotic adjustment needs n of at least 16, got {n!r}.")
    loglog = np.log(np.log(n))
    c = -np.log(-np.log1p(-delta)) + 2 * loglog + 0.5 * np.log(loglog) - 0.5 * np.log(np.pi)
    c /= np.sqrt(2 * loglog)
    i = np.arange(1, n + 1)
    bounds: Floats = np.clip(i / n + c * np.sqrt(i * (n - i)) / (n * np.sqrt(n)), 0.0, 1.0)
    return np.maximum.accumulate(bounds)


def conditional(p: ArrayLike, bounds: ArrayLike) -> Floats:
    """p-values that are valid given the calibration set, with probability 1 - δ, `[m]`.

    Args:
        p: Conformal p-values, multiples of 1/(n+1), `[m]`.
        bounds: b_1 … b_n, such as `simes_bounds(n, delta)`.
    """
    b = np.append(np.asarray(bounds, dtype=np.float64), 1.0)
    place = np.ceil(_p_values(p) * len(b) * (1 - 1e-12)).astype(np.int64)
    found: Floats = b[np.clip(place, 1, len(b)) - 1]
    return found


def calibration_needed(level: float, items: int, alarms: int = 1) -> int:
    """How many calibration scores it takes to raise so many alarms among so many items."""
    share("level", level)
    return max(1, int(np.ceil(items / (level * alarms) * (1 - 1e-12) - 1)))


def chance_of_extremes(calibration: int, items: int, extremes: int) -> float:
    """The chance that so many of normal items, or more, are stranger than all of the calibration.

    The share of the law beyond the largest of n scores is Beta(1, n), so that their number among m
    items is beta-binomial.
    """
    return float(betabinom.sf(extremes - 1, items, 1, calibration))


def drift(calibration: ArrayLike, scores: ArrayLike) -> float:
    """The p-value of the bulk of the scores being as that of the calibration scores.

    It is valid where at least half of the new items are normal. Where there are too few scores to
    tell, it is 1.

    Args:
        calibration: The scores of the calibration items, `[n]`.
        scores: Those of the new items, `[m]`.
    """
    known, new = np.sort(_scores("calibration", calibration)), _scores("scores", scores)
    rank = int(BULK * len(known))  # r
    if rank < 1 or not len(new):
        return 1.0
    cut = known[rank - 1]
    inside, bulk = known[: rank - 1], new[new < cut]
    inside = inside[inside < cut]  # where scores are equal
    shape = 1.0
    if min(len(inside), len(bulk)) >= FEWEST:
        shape = float(ks_2samp(inside, bulk, method="asymp").pvalue)
    return min(1.0, 2 * min(shape, _too_many_above(known, new, rank)))


def _too_many_above(known: Floats, new: Floats, rank: int) -> float:
    """The chance that of a normal half of the items so many are above the r-th score."""
    normal = -(-len(new) // 2)
    above = int(np.count_nonzero(new > known[rank - 1])) - (len(new) - normal)
    if above <= 0:
        return 1.0
    return float(betabinom.sf(above - 1, normal, len(known) - rank + 1, rank))


# -- what is given ------------------------------------------------------------------------------


def _scores(name: str, values: ArrayLike) -> Floats:
    array: Floats = np.asarray(values, dtype=np.float64).ravel()
    if np.isnan(array).any():
        raise OptionError(f"{name} holds NaN; leave out what has no score.")
    return array


def _p_values(values: ArrayLike) -> Floats:
    array: Floats = np.asarray(values, dtype=np.float64).ravel()
    if not ((array >= 0) & (array <= 1)).all():
        raise OptionError("a p-value lies between 0 and 1; leave out what has none.")
    return array
