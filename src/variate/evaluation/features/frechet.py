r"""The Fréchet distance of two sets of features, each taken as a normal distribution.

With means a, b and covariances A, B (Dowson & Landau 1982; Heusel et al. 2017),

    d²  =  |a - b|²  +  tr A + tr B - 2 tr (A B)^{1/2}

It is the FID if the features are those of the Inception network that the field has agreed upon, and
is not comparable with any published FID if they are not.

**Without a matrix root.** For any factors with A = RᵀR and B = SᵀS, the eigenvalues of A B are the
squares of the singular values of R Sᵀ, so that

    tr (A B)^{1/2}  =  Σ_i σ_i(R Sᵀ)

R is the triangular factor of the centred features, divided by √(N - 1), and is updated block by
block. No covariance is made or inverted, so singular ones (fewer items than features, features
that never vary) are as exact as others: the error is of the order of 1e-15 (tr A + tr B), where a
root of an eigenvalue that should be 0 has 1e-8 of it. Given covariances are factored by their
eigenvectors.

**It is too large for small samples,** whatever they are samples of. Two samples of N items each of
the same normal distribution, with eigenvalues λ of the covariance, have to order 1/N

    E d²  =  (1/N) [2 Σ_i λ_i  +  Σ_ij λ_i λ_j (1 + δ_ij)/(λ_i + λ_j)]
          =  D (D + 5)/(2 N)    for λ = 1

by expansion in the errors of the moments, whose variances are those of normal samples. Models
differ in it (Chong & Forsyth 2020), so that not even comparisons at the same N are fair.

**Extrapolated.** Split at random into k parts, each sample has parts of N/k and M/k items, for
which d² is biased k times as much: a line through the mean distance of the parts over k = 1 … K has
the distance of infinite samples at k = 0. Chong & Forsyth take smaller samples of the drawn items
alone, which leaves the bias of the real ones in; here both are split, so that, to order 1/N, it is
0 in expectation for the same law. It may be negative.

This module does not know where the features come from.
"""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import qr
from torch import Tensor

from variate.errors import DataError, DataWarning, OptionError
from variate.evaluation.features.inputs import Features, Floats, checked_alike, row_blocks

__all__ = [
    "Frechet",
    "FrechetLimit",
    "frechet_distance",
    "frechet_distance_of_moments",
    "frechet_limit",
]

_NAMES = ("real", "drawn")
_ROWS = 1024


class Frechet(NamedTuple):
    """The squared Fréchet distance, in squared units of the features.

    Attributes:
        squared: d², what an FID states.
        means: The part of the means, |a - b|².
        covariances: The part of the covariances.
    """

    squared: float
    means: float
    covariances: float


class FrechetLimit(NamedTuple):
    """The squared Fréchet distance as it would be for infinite samples.

    Attributes:
        squared: d² at k = 0, without the bias of order 1/N; of either sign.
        observed: d² of the samples as they are, k = 1.
        by_parts: The mean d² of k parts, k = 1 … K, `[K]`: as near to a line as the figure is good.
    """

    squared: float
    observed: float
    by_parts: Floats


def frechet_distance(real: ArrayLike | Tensor, drawn: ArrayLike | Tensor) -> Frechet:
    """The Fréchet distance of the features of real and of drawn items.

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items.

    Raises:
        DataError: A set is no array of finite numbers, has fewer than two items, or the two differ
            in their features.

    Warns:
        DataWarning: A set has no more items than features: the distance is then mostly bias.
    """
    first, second = checked_alike(real, drawn, _NAMES, least=2)
    fewest, width = min(len(first), len(second)), first.shape[1]
    if fewest <= width:
        warnings.warn(
            f"there are {fewest} items in the smaller set and {width} features: a Fréchet distance "
            "is then mostly the bias of small samples. Give more items than features, many times "
            "as many if it can be had, or use the kernel distance, which has no bias",
            DataWarning,
            stacklevel=2,
        )
    return _distance(_moments(first), _moments(second))


def frechet_distance_of_moments(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> Frechet:
    """The Fréchet distance of two normal distributions.

    Args:
        mean_a: `[D]`.
        covariance_a: `[D, D]`, symmetric, no eigenvalue below 0 (but for rounding).
        mean_b: `[D]`.
        covariance_b: `[D, D]`.

    Raises:
        DataError: The shapes do not match, or a matrix is no covariance.
    """
    a, b = _given(mean_a, covariance_a, "a"), _given(mean_b, covariance_b, "b")
    if len(a[0]) != len(b[0]):
        raise DataError(f"a has {len(a[0])} dimensions and b has {len(b[0])}; they must be equal")
    return _distance(a, b)


def frechet_limit(
    real: ArrayLike | Tensor, drawn: ArrayLike | Tensor, *, parts: int = 4, seed: int = 0
) -> FrechetLimit:
    """The Fréchet distance extrapolated to infinite samples, K(K + 1)/2 distances of parts.

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items.
        parts: K, into how many parts the samples are split at most. The parts must have more items
            than features, better many times as many, for the bias to be of order 1/N.
        seed: Of the splits.

    Raises:
        DataError: A set is no array of finite numbers, is too small, or the two differ in their
            features.
        OptionError: `parts` is below 2.
    """
    if parts < 2:
        raise OptionError(f"`parts` must be at least 2, for a line, however: {parts=}")
    first, second = checked_alike(real, drawn, _NAMES, least=2)
    fewest, width = min(len(first), len(second)), first.shape[1]
    if fewest // parts <= width:
        raise DataError(
            f"each of {parts} parts must have more items than the {width} features, which takes "
            f"{parts * (width + 1)} items of each set, however one has {fewest}. Give more items, "
            "fewer parts, or use the kernel distance, which has no bias"
        )
    generator = np.random.default_rng(seed)
    by_parts = np.empty(parts)
    for k in range(1, parts + 1):
        sides = (np.array_split(generator.permutation(len(x)), k) for x in (first, second))
        distances = [
            _distance(_moments(first[i]), _moments(second[j])).squared
            for i, j in zip(*sides, strict=True)
        ]
        by_parts[k - 1] = np.mean(distances)
    _, intercept = np.polyfit(np.arange(1, parts + 1), by_parts, 1)
    return FrechetLimit(float(intercept), float(by_parts[0]), by_parts)


def _moments(features: Features) -> tuple[Floats, Floats]:
    """The mean `[D]` and a factor R `[r, D]` with RᵀR the covariance."""
    rows = max(_ROWS, features.shape[1])
    mean = features.mean(0, dtype=np.float64)
    factor: Floats = np.empty((0, features.shape[1]))
    for _, block in row_blocks(features, rows):
        factor = qr(np.vstack([factor, block - mean]), mode="r")[0][: features.shape[1]]
    return mean, factor / np.sqrt(len(features) - 1)


def _given(mean: ArrayLike, covariance: ArrayLike, name: str) -> tuple[Floats, Floats]:
    """The same of moments that are given."""
    centre, matrix = (np.asarray(x, dtype=np.float64) for x in (mean, covariance))
    if centre.ndim != 1 or matrix.shape != (len(centre), len(centre)) or not len(centre):
        raise DataError(
            f"the mean of {name} must be [D] and its covariance [D, D], however their shapes are "
            f"{list(centre.shape)} and {list(matrix.shape)}"
        )
    if not (np.isfinite(centre).all() and np.isfinite(matrix).all()):
        raise DataError(f"the mean and the covariance of {name} must be finite")
    values, vectors = np.linalg.eigh(matrix)
    rounding = 1e-6 * np.abs(values).max()  # covariances are often kept in float32
    if values[0] < -rounding or np.abs(matrix - matrix.T).max() > rounding:
        raise DataError(
            f"the covariance of {name} must be symmetric without a negative eigenvalue, however "
            f"its smallest eigenvalue is {values[0]:.3g} and entries differ from their mirror "
            f"image by up to {np.abs(matrix - matrix.T).max():.3g}"
        )
    return centre, np.sqrt(values.clip(0))[:, None] * vectors.T


def _distance(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Frechet:
    """The distance from means and factors of the covariances."""
    (mean_a, r), (mean_b, s) = one, other
    means = float(((mean_a - mean_b) ** 2).sum())
    cross = np.linalg.svd(r @ s.T, compute_uv=False).sum()
    covariances = max(0.0, float((r**2).sum() + (s**2).sum() - 2 * cross))
    return Frechet(means + covariances, means, covariances)
