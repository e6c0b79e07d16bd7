r"""The kernel distance of two sets of features (Bińkowski et al. 2018).

The squared maximum mean discrepancy with a kernel that compares the first three moments,

    k(u, v) = (u·v/D + 1)³
    MMD²    = E k(a, a') + E k(b, b') - 2 E k(a, b)

without bias when the means leave out the pairs of an item with itself: 0 in expectation for the
same law at any sample size, and of either sign. It is the KID if the features are Inception's.

All pairs are used. Both samples are split at random into B disjoint blocks, and with θ_b the
estimate without block b of both,

    error² = (B - 1)/B Σ_b (θ_b - mean θ)²

is the jackknife's estimate of its variance. It is right where the laws differ. Where they do not,
the estimate is a degenerate U-statistic, and the variance is given as twice what it is (Efron &
Stein 1981): the error is then some √2 too large, on the safe side. The spread over subsets that
overlap, which is often reported, is no standard error.

With the sums of k over each pair of blocks every estimate is a matter of adding them, so that the
kernel matrix is made once, a block of rows at a time, and never held.

This module does not know where the features come from.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from variate.errors import OptionError
from variate.evaluation.features.inputs import Features, Floats, Whole, checked_alike, row_blocks

__all__ = ["KernelDistance", "kernel_distance"]

_CELLS = 4_000_000  # entries of the kernel matrix that are held at once


class KernelDistance(NamedTuple):
    """The kernel distance.

    Attributes:
        squared: The unbiased estimate of MMD², what a KID states.
        error: Its standard error.
    """

    squared: float
    error: float


def kernel_distance(
    real: ArrayLike | Tensor, drawn: ArrayLike | Tensor, *, blocks: int = 20, seed: int = 0
) -> KernelDistance:
    """The unbiased squared MMD of the features of real and of drawn items, with a cubic kernel.

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items.
        blocks: B, how many blocks the error is taken from.
        seed: Of the blocks; the estimate does not depend on it.

    Raises:
        DataError: A set is no array of finite numbers, has fewer than two items for a block, or the
            two differ in their features.
        OptionError: `blocks` is below 2.
    """
    if blocks < 2:
        raise OptionError(f"`blocks` must be at least 2, for a standard error, however: {blocks=}")
    a, b = checked_alike(real, drawn, ("real", "drawn"), least=2 * blocks)
    generator = np.random.default_rng(seed)
    of_a, of_b = (generator.permutation(np.arange(len(x)) % blocks) for x in (a, b))
    sums = (
        _sums(a, a, of_a, of_a) - np.diag(_own(a, of_a)),
        _sums(b, b, of_b, of_b) - np.diag(_own(b, of_b)),
        _sums(a, b, of_a, of_b),
    )
    sizes = np.bincount(of_a), np.bincount(of_b)
    kept = ~np.eye(blocks, dtype=bool)
    without = np.array([_estimate(sums, sizes, keep) for keep in kept])
    error = np.sqrt((blocks - 1) / blocks * ((without - without.mean()) ** 2).sum())
    return KernelDistance(_estimate(sums, sizes, np.ones(blocks, dtype=bool)), float(error))


def _estimate(
    sums: tuple[Floats, Floats, Floats], sizes: tuple[Whole, Whole], keep: NDArray[np.bool_]
) -> float:
    """The unbiased MMD² of some of the blocks."""
    m, n = (size[keep].sum() for size in sizes)
    of_a, of_b, across = (table[keep][:, keep].sum() for table in sums)
    return float(of_a / (m * (m - 1)) + of_b / (n * (n - 1)) - 2 * across / (m * n))


def _sums(a: Features, b: Features, of_a: Whole, of_b: Whole) -> Floats:
    """Σ k(a_i, b_j) over each pair of blocks, `[B, B]`."""
    others, member = b.astype(np.float64), np.eye(of_b.max() + 1)
    found = np.zeros((of_a.max() + 1, of_b.max() + 1))
    for where, rows in row_blocks(a, max(1, _CELLS // len(b))):
        kernel = _kernel(rows @ others.T, b.shape[1])
        found += member[of_a[where]].T @ (kernel @ member[of_b])
    return found


def _own(x: Features, block: Whole) -> Floats:
    """Σ k(x_i, x_i) over each block, `[B]`."""
    squares = [(rows * rows).sum(1) for _, rows in row_blocks(x, 4096)]
    found: Floats = np.eye(block.max() + 1)[block].T @ _kernel(np.concatenate(squares), x.shape[1])
    return found


def _kernel(product: Floats, width: int) -> Floats:
    """The kernel of inner products."""
    above = product / width + 1
    return above * above * above
