r"""Are drawn items like real ones, and are all kinds of real ones drawn?

A set is taken as the union of balls around its items, each as wide as the distance to the item's
k-th nearest other one in the set. With N real items x_i, their radii r_i, M drawn items y_j and
their radii s_j (Kynkäänniemi et al. 2019),

    precision  =  (1/M) Σ_j [some i:  |y_j - x_i| ≤ r_i]         drawn items that look real
    recall     =  (1/N) Σ_i [some j:  |x_i - y_j| ≤ s_j]         real items that could be drawn

One item far out has a wide ball, which flatters both. Counting balls, and asking only for those of
the real items, does not fall for it (Naeem et al. 2020),

    density    =  (1/(k M)) Σ_ij [|y_j - x_i| ≤ r_i]             1 for the same law, and above 1 for
                                                                 items where real ones are densest
    coverage   =  (1/N) Σ_i [some j:  |y_j - x_i| ≤ r_i]

For the same law, whatever it is, if no two distances are equal,

    E density  =  1
    E coverage =  1 - Π_{l=0}^{k-1} (N - 1 - l)/(N + M - 1 - l)

since each of the N - 1 + M other items is as likely as the others to be among the nearest of x_i.
Precision and recall have no such constant: hold them against those of real items set apart.

This module does not know where the features come from.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from variate.evaluation.features.inputs import checked_alike
from variate.evaluation.features.neighbours import radii, within

__all__ = ["DensityCoverage", "PrecisionRecall", "density_coverage", "precision_recall"]

_NAMES = ("real", "drawn")


class PrecisionRecall(NamedTuple):
    """How many drawn items are among the real ones, and how many real ones among the drawn.

    Attributes:
        precision: The share of drawn items in the balls of real ones.
        recall: The share of real items in the balls of drawn ones.
    """

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """How densely drawn items lie among the real ones, and how many of these they reach.

    Attributes:
        density: The balls of real items that a drawn item is in, over k; 1 for the same law.
        coverage: The share of real items whose balls hold a drawn item.
        expected_coverage: What the coverage is in expectation for the same law.
    """

    density: float
    coverage: float
    expected_coverage: float


def precision_recall(
    real: ArrayLike | Tensor, drawn: ArrayLike | Tensor, *, k: int = 3
) -> PrecisionRecall:
    """The improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items; as many as there are real ones, for the two figures to
            mean the same.
        k: Which neighbour is on the boundary of a ball.

    Raises:
        DataError: A set is no array of finite numbers, has not more than k items, or the two differ
            in their features.
        OptionError: `k` is below 1.
    """
    x, y = checked_alike(real, drawn, _NAMES, least=1)
    of_real, of_drawn = radii(x, k, "real"), radii(y, k, "drawn")
    precision = within(y, x, of_real)[0] > 0
    recall = within(x, y, of_drawn)[0] > 0
    return PrecisionRecall(float(precision.mean()), float(recall.mean()))


def density_coverage(
    real: ArrayLike | Tensor, drawn: ArrayLike | Tensor, *, k: int = 5
) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, eq. 3 and 4).

    Args:
        real: `[N, *event]`, the features of real items.
        drawn: `[M, *event]`, of drawn items.
        k: Which neighbour is on the boundary of a ball.

    Raises:
        DataError: A set is no array of finite numbers, there are not more than k real items, or the
            two differ in their features.
        OptionError: `k` is below 1.
    """
    x, y = checked_alike(real, drawn, _NAMES, least=1)
    balls, reached = within(y, x, radii(x, k, "real"))
    others = len(x) - 1 - np.arange(k)
    expected = 1 - np.prod(others / (others + len(y)))
    return DensityCoverage(float(balls.mean() / k), float(reached.mean()), float(expected))
