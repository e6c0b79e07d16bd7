r"""Do two samples come from the same law? Two tests that need nothing but the samples.

Classifier two-sample test (Friedman 2003; Lopez-Paz & Oquab 2017). A classifier learns to tell the
samples apart on all folds but one and scores the items of that fold; with scores s of m items of
`a` and t of n items of `b` in a fold,

    AUC = (1/mn) Σ_ij ψ(s_i, t_j)      ψ = 1 if t_j > s_i, ½ if equal, 0 if less

is ½ for the same law and tends to 1 the better they can be told apart. It is taken fold by fold,
since scores of different classifiers do not compare, and averaged. Given its classifier a fold's
AUC is a two-sample U-statistic, whose variance (DeLong et al. 1988) is

    Var(AUC) = Var_i(mean_j ψ)/m + Var_j(mean_i ψ)/n

The folds are not independent: what one tests on, the others learned from. With the correlation
ρ = 1/K between folds, the share of the items that a fold tests (Nadeau & Bengio 2003), the standard
error of the mean over K folds is

    error = √((1 + (K-1) ρ) Σ_k Var_k)/K = √((2 - 1/K) Σ_k Var_k)/K

The correlation is an approximation, since no unbiased estimate of it exists; for the same law the
error came within about a tenth of the AUC's spread over repetitions (K = 2..10, 100..1,000 items).

Maximum mean discrepancy (Gretton et al. 2012), with the kernel k(u, v) = exp(-|u - v|²/(2 h²)):

    MMD² = E k(a, a') + E k(b, b') - 2 E k(a, b)

without bias when the means leave out the pairs of an item with itself. Under the same law every
split of the m + n pooled items into m and n is as likely as the one observed, so

    p = (1 + how many of P random splits have MMD² >= the observed)/(1 + P)

is exact: P(p <= α) <= α. With c the 0/1 vector of a split, K the kernel matrix with a zero
diagonal and r = K 1 its row sums, every split needs only cᵀKc and cᵀr,

    Σ_aa = cᵀKc      Σ_ab = cᵀr - cᵀKc      Σ_bb = 1ᵀr - 2 cᵀr + cᵀKc

so K is made in blocks of rows and never held.

This module does not know what the samples are: columns count as numbers unless the classifier is
told which are codes, and for the MMD they should be of like scale.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist, pdist
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

__all__ = ["MMD", "TwoSample", "mmd", "two_sample"]

Matrix = NDArray[np.float64]

_BLOCK = 1024
_MEDIAN_ITEMS = 1000


class TwoSample(NamedTuple):
    """How well a classifier tells two samples apart.

    Attributes:
        auc: The cross-validated area under the ROC curve, ½ for the same law.
        error: Its standard error.
    """

    auc: float
    error: float


class MMD(NamedTuple):
    """The maximum mean discrepancy of two samples.

    Attributes:
        squared: The unbiased estimate of MMD², about 0 (of either sign) for the same law.
        p_value: The probability of as large a value under the same law.
    """

    squared: float
    p_value: float


def two_sample(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    categories: Sequence[int] = (),
    classifier: Any = None,
    folds: int = 5,
    seed: int = 0,
) -> TwoSample:
    """The AUC of gradient-boosted trees that tell `b` from `a`.

    Args:
        a: One sample `[N, *event]`, numbers; NaN counts as a value of its own.
        b: The other `[M, *event]`.
        categories: Which numbers of an event, counted over its flat entries, are codes without an
            order, each a whole number below 255.
        classifier: A scikit-learn classifier to use instead, which minds categories and NaN itself.
        folds: How many times to split, train and test.
        seed: Of the split and the trees.

    Raises:
        ValueError: The events differ in size, or a sample is smaller than two items per fold.
    """
    first, second = _pair(a, b)
    if folds < 2 or min(len(first), len(second)) < 2 * folds:
        raise ValueError(
            "the test needs at least 2 folds and 2 items of each sample in every fold, "
            f"however: {folds=}, items {len(first)} and {len(second)}"
        )
    rows = np.concatenate([first, second])
    label = np.repeat([0, 1], [len(first), len(second)])
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    if classifier is None:
        classifier = HistGradientBoostingClassifier(
            categorical_features=list(categories) or None, random_state=seed
        )
    areas, variances = [], []
    for train, test in splits.split(rows, label):
        fitted = clone(classifier).fit(rows[train], label[train])
        score = fitted.predict_proba(rows[test])[:, 1]
        area, variance = _area(score[label[test] == 0], score[label[test] == 1])
        areas.append(area)
        variances.append(variance)
    return TwoSample(
        float(np.mean(areas)), float(np.sqrt((2 - 1 / folds) * np.sum(variances)) / folds)
    )


def mmd(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    bandwidth: float | None = None,
    permutations: int = 500,
    seed: int = 0,
) -> MMD:
    """The unbiased squared MMD with a Gaussian kernel, and its permutation p-value.

    Args:
        a: One sample `[N, *event]`, finite numbers of like scale in every column.
        b: The other `[M, *event]`.
        bandwidth: h, in the units of the data; None for the median distance of the pooled items
            (of 1,000 of them at random), which the splits leave as it is.
        permutations: P, how many random splits; the p-value is at least 1/(1 + P).
        seed: Of the splits.

    Raises:
        ValueError: The events differ in size, a sample has fewer than two items, a number is not
            finite, the bandwidth is not positive, or `permutations` is less than 1.
    """
    first, second = _pair(a, b)
    pooled = np.concatenate([first, second])
    m, n = len(first), len(second)
    if min(m, n) < 2 or permutations < 1 or not np.isfinite(pooled).all():
        raise ValueError(
            "the discrepancy needs two finite items of each sample and a permutation, however: "
            f"items {m} and {n}, {permutations=}, "
            f"rows with numbers that are not finite: {(~np.isfinite(pooled).all(1)).sum()}"
        )
    generator = np.random.default_rng(seed)
    h = _median_distance(pooled, generator) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"`bandwidth` must be positive, however: bandwidth={h}")
    observed = np.arange(m + n) < m
    splits = np.stack([observed, *(generator.permutation(observed) for _ in range(permutations))])
    squared = _squared(pooled, splits.astype(np.float64), h, m, n)
    as_large = np.count_nonzero(squared[1:] >= squared[0])
    return MMD(float(squared[0]), float((1 + as_large) / (1 + permutations)))


def _pair(a: ArrayLike | Tensor, b: ArrayLike | Tensor) -> tuple[Matrix, Matrix]:
    """Both samples as matrices `[items, columns]`."""
    first, second = (
        np.asarray(s.detach().cpu() if isinstance(s, Tensor) else s, dtype=np.float64)
        for s in (a, b)
    )
    if first.ndim == 0 or first.shape[1:] != second.shape[1:]:
        raise ValueError(
            "the samples must be [N, *event] and [M, *event] with the same event shape, "
            f"however their shapes are {first.shape} and {second.shape}"
        )
    return first.reshape(len(first), -1), second.reshape(len(second), -1)


def _area(low: Matrix, high: Matrix) -> tuple[float, float]:
    """The AUC of scores that should be low and high, and its variance (DeLong et al. 1988)."""

    def below(sample: Matrix, points: Matrix) -> Matrix:
        """The share of the sample below each point, ties counting half."""
        ordered = np.sort(sample)
        left = np.searchsorted(ordered, points, side="left")
        right = np.searchsorted(ordered, points, side="right")
        return (left + right) / (2 * len(ordered))

    of_high = below(low, high)
    of_low = 1 - below(high, low)
    variance = of_low.var(ddof=1) / len(low) + of_high.var(ddof=1) / len(high)
    return float(of_high.mean()), float(variance)


def _median_distance(pooled: Matrix, generator: np.random.Generator) -> float:
    """The median distance between different items; 1 if more than half of the items are equal."""
    some = pooled[generator.permutation(len(pooled))[:_MEDIAN_ITEMS]]
    return float(np.median(pdist(some))) or 1.0


def _squared(pooled: Matrix, splits: Matrix, h: float, m: int, n: int) -> Matrix:
    """The unbiased MMD² of every split `[P, m + n]` of the pooled items."""
    quadratic = np.zeros(len(splits))
    linear = np.zeros(len(splits))
    total = 0.0
    for start in range(0, len(pooled), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(pooled)))
        kernel = np.exp(cdist(pooled[block], pooled, "sqeuclidean") / (-2 * h**2))
        kernel[:, block][np.diag_indices(len(kernel))] = 0.0
        sums = kernel.sum(1)
        quadratic += ((splits @ kernel.T) * splits[:, block]).sum(1)
        linear += splits[:, block] @ sums
        total += sums.sum()
    within_a = quadratic / (m * (m - 1))
    within_b = (total - 2 * linear + quadratic) / (n * (n - 1))
    return within_a + within_b - 2 * (linear - quadratic) / (m * n)
