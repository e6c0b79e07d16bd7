r"""The mutual information gap (Chen, Li, Grosse & Duvenaud 2018).

    I(z_d; v_k) = Σ_{b,v} p(b, v) log [p(b, v) / (p(b) p(v))]        z_d cut into B bins
    gap_k       = [I(z_d*; v_k) - max_{d≠d*} I(z_d; v_k)] / H(v_k)   d* the most informative
    MIG         = mean_k gap_k

The paper takes the information of a draw z ~ q(z|x). Here the code of an item is one number for
each dimension, by custom the posterior mean, cut into B bins of equal width between the smallest
and the largest code of the N items, as the public benchmark does (Locatello et al. 2019: B = 20,
N = 10,000). The values of the two definitions differ: bins do not see how sure the posterior is.

**What it depends on.** The information of B bins is at most log B, and at most H(b), the entropy of
the bins. A factor of more values than bins, or whose values fall unevenly into them, has a gap
below 1 however good the code is: 20 bins of the equally spaced values of dSprites (3, 6, 40, 32 and
32 of them) end at a MIG of 0.902. One far code widens all bins of its dimension. And information
estimated from counts is too large: with B' bins that are not empty and V values, independent of
each other, by

    E[Î] ≈ (B' - 1)(V - 1) / (2N)     nats                     (Miller 1955; Treves & Panzeri 1995)

which for 20 bins, 40 values and N = 10,000 is 0.037 nats, 1 % of log 40, and for N = 1,000 a tenth.
A gap is the difference of two such estimates; where the code does not tell the factor both carry
the same bias, so it is much smaller than that, but being the largest less the second it is never
below 0: noise does not score 0 but a little above, the less the larger N. Nothing is subtracted
here. Compare scores of the same N and B only.

This module does not know what the factors are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from variate.errors import OptionError
from variate.evaluation.disentanglement.inputs import (
    Codes,
    Factors,
    checked,
    levels,
    top_two_gap,
)

__all__ = ["MIG", "mig"]


class MIG(NamedTuple):
    """The mutual information gap, and what it is made of.

    Attributes:
        score: The mean of the gaps, 0 to 1.
        gaps: The gap of each factor, `[K]`, as a share of its entropy.
        information: I(z_d; v_k) in nats, `[D, K]`.
        entropies: H(v_k) in nats, `[K]`.
    """

    score: float
    gaps: Codes
    information: Codes
    entropies: Codes


def mig(codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, *, bins: int = 20) -> MIG:
    """The mutual information gap of codes, cut into bins of equal width.

    Args:
        codes: `[N, D]`, a code for each item, such as its posterior mean.
        factors: `[N, K]`, whole numbers: which value of each factor the item has.
        bins: B, at least 2.

    Returns:
        The score and its parts. With one dimension the second-best information is 0; a dimension
        that is constant tells nothing.

    Raises:
        DataError: A shape is wrong, a code is not finite, or a factor has one value only.
        OptionError: There are fewer than 2 bins.
    """
    if bins < 2:
        raise OptionError(f"`bins` must be at least 2, however: {bins=}")
    z, v = checked(codes, factors)
    cut = np.stack([_bins(column, bins) for column in z.T])
    information, entropies = np.empty((z.shape[1], v.shape[1])), np.empty(v.shape[1])
    for k, column in enumerate(v.T):
        level, count = levels(column)
        entropies[k] = _entropy(np.bincount(level))
        for d, binned in enumerate(cut):
            counts = np.bincount(binned * count + level, minlength=bins * count)
            information[d, k] = _information(counts.reshape(bins, count))
    gaps = top_two_gap(information) / entropies
    return MIG(float(gaps.mean()), gaps, information, entropies)


def _bins(column: Codes, bins: int) -> Factors:
    """Which of the bins of equal width each code falls into, `[N]`; all into one if all are equal.

    Halves, as the difference of two very large numbers of either sign is no finite number.
    """
    low, high = column.min() / 2, column.max() / 2
    if not high > low:
        return np.zeros(len(column), dtype=np.int64)
    place = np.floor((column / 2 - low) / (high - low) * bins)
    return np.minimum(place, bins - 1).astype(np.int64)


def _information(counts: NDArray[np.int64]) -> float:
    """The mutual information in nats of a table of counts, at least 0."""
    joint = _entropy(counts.ravel())
    return max(0.0, _entropy(counts.sum(0)) + _entropy(counts.sum(1)) - joint)


def _entropy(counts: NDArray[np.int64]) -> float:
    """The entropy of counts, in nats."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
