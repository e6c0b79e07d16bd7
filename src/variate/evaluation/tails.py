r"""p-values beyond the strangest calibration score, where scores have an exponential tail.

With n calibration scores no conformal p-value is below 1/(n+1). Where calibration items are few,
as blocks of a series are, that is too coarse to raise an alarm among many. A score that is itself
minus the log of a tail probability has an exponential tail, and so has a maximum or a short mean of
such scores, far enough out. Then more can be said.

Let u be an order statistic of the calibration scores with k scores above it, s_i, and
S = Σ_i (s_i - u). The excesses over u are k independent exponentials of one unknown mean, S a gamma
variable of shape k, and the excess y of a new score over u, if it is above, one more exponential of
that mean, so that

    P(y > c S) = E e^{-c Γ_k} = (1 + c)^{-k}

whatever the mean. With the conformal rank of u this gives the p-value

    p(s) = (k + 1)/(n + 1) · (1 + (s - u)/S)^{-k}        s > u
    p(s) = (1 + #{i : s_i ≥ s}) / (n + 1)                s ≤ u

It is exact for exponential tails, averaged over calibration sets, as a conformal p-value is for any
law; with heavier tails it is too small far out, with lighter ones too large. Anomalies among the
calibration scores make S, and so p, larger.

Where nobody has looked whether there are any, the r highest scores are set aside: only that they
are at least as high as the next one, s_(k-r), is used. Of k exponentials so censored

    S = Σ_{i ≤ k-r} (s_(i) - u) + r (s_(k-r) - u)

is a gamma variable of shape k - r (Epstein & Sobel 1953), and the p-value, with the exponent k - r,
is as exact as before.

Scores that depend on each other tell less of the tail than as many independent ones. If k of them
are worth ν k, 0 < ν ≤ 1, the mean excess is as uncertain as a mean of ν k, and the exponent and S
above are multiplied by ν.

This module does not know what was scored.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variate.errors import OptionError

__all__ = ["tail_p_values"]

Floats = NDArray[np.float64]

SHARE = 0.5  # of the calibration scores that the tail is fitted to


def tail_p_values(
    calibration: ArrayLike,
    scores: ArrayLike,
    *,
    share: float = SHARE,
    aside: float = 0.0,
    worth: float = 1.0,
) -> Floats:
    """p-values of scores, continued exponentially beyond the bulk of the calibration's, `[m]`.

    Args:
        calibration: The scores of calibration items, `[n]`, at least one.
        scores: Those of new items, `[m]`.
        share: k/n, the share of calibration scores that makes the tail.
        aside: r/n, the share of the highest that may be anomalies themselves; less than `share`.
        worth: ν, how many independent scores a calibration score counts for.

    Raises:
        OptionError: There is no calibration score, or a score is NaN.
    """
    known = np.sort(np.asarray(calibration, dtype=np.float64).ravel())
    new = np.asarray(scores, dtype=np.float64).ravel()
    n = len(known)
    if not n or np.isnan(known).any() or np.isnan(new).any():
        raise OptionError(
            "p-values need at least one calibration score, and scores that are no NaN."
        )
    above = (n - np.searchsorted(known, new, side="left")).astype(np.float64)
    ranks: Floats = (1.0 + above) / (n + 1.0)
    k = min(int(share * n), n - 1)
    u = known[n - 1 - k]
    r = min(int(aside * n), k - 1)
    if k < 1:
        return ranks
    total = float((known[n - k : n - r] - u).sum() + r * (known[n - 1 - r] - u))  # S
    if total <= 0:
        return ranks
    beyond = np.maximum(new - u, 0.0) / (worth * total)
    tail = (k + 1.0) / (n + 1.0) * np.exp(-worth * (k - r) * np.log1p(beyond))
    found: Floats = np.where(new > u, tail, ranks)
    return found
