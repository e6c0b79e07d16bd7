r"""The kernel distance of two sets of features (Bińkowski et al. 2018).

The squared maximum mean discrepancy with a kernel that compares the first three moments,

    k(u, v) = (u·v/D + 1)³
    MMD²    = E k(a, a') + E k(b, b') - 2 E k(a, b)

without bias when the means leave out the pairs of an item with itself: 0 in expectation for the
same law at any sample size, and of either sign. It is the KID if the features are Inception's.

Both samples are split at random into B disjoint blocks. The blocks' estimates are independent of
each other and each is unbiased, so their mean is, and

    error = √(Σ_b (MMD²_b - mean)² / (B (B - 1)))

is its standard error. The spread over 100 subsets that overlap, which is often reported, is none.

This module does not know where the features come from.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from variate.errors import OptionError
from variate.evaluation.features.inputs import Features, Floats, checked_alike, row_blocks

__all__ = ["KernelDistance", "kernel_distance"]

_ROWS = 1024


class KernelDistance(NamedTuple):
    """The kernel distance.

    Attributes:
        squared: The unbiased estimate of MMD², what a KID states.
        error: Its standard error.
    """

    squared: float
    error: float


def kernel_distance(
    real: ArrayLike | Tensor, drawn: ArrayLike | Tensor, *, blocks: int = 10, seed: int = 0
) -> KernelDistance:
    """The unbiased squared MMD of the features of real and of drawn items, with a cubic kernel.

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items.
        blocks: B, how many blocks there are: more make the error surer and the estimate less
            precise near 0, and are quicker.
        seed: Of the split.

    Raises:
        DataError: A set is no array of finite numbers, has fewer than two items for a block, or the
            two differ in their features.
        OptionError: `blocks` is below 2.
    """
    if blocks < 2:
        raise OptionError(f"`blocks` must be at least 2, for a standard error, however: {blocks=}")
    first, second = checked_alike(real, drawn, ("real", "drawn"), least=2 * blocks)
    generator = np.random.default_rng(seed)
    sides = (np.array_split(generator.permutation(len(x)), blocks) for x in (first, second))
    estimates = [_squared(first[i], second[j]) for i, j in zip(*sides, strict=True)]
    error = np.std(estimates, ddof=1) / np.sqrt(blocks)
    return KernelDistance(float(np.mean(estimates)), float(error))


def _squared(one: Features, other: Features) -> float:
    """The unbiased MMD² of two sets."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    m, n = len(a), len(b)
    within_a = (_total(a, a) - _kernel((a * a).sum(1), a.shape[1]).sum()) / (m * (m - 1))
    within_b = (_total(b, b) - _kernel((b * b).sum(1), b.shape[1]).sum()) / (n * (n - 1))
    return float(within_a + within_b - 2 * _total(a, b) / (m * n))


def _total(a: Floats, b: Floats) -> float:
    """Σ_ij k(a_i, b_j), a block of rows at a time."""
    return float(sum(_kernel(rows @ b.T, b.shape[1]).sum() for _, rows in row_blocks(a, _ROWS)))


def _kernel(product: Floats, width: int) -> Floats:
    """The kernel of inner products."""
    return (product / width + 1) ** 3
