r"""SAP, the separated attribute predictability (Kumar, Sattigeri & Balakrishnan 2018).

    S_dk  = how well v_k is told from z_d alone
    SAP   = mean_k [S_d*k - max_{d≠d*} S_dk]             d* the dimension that tells it best

For a factor whose values are ordered S is R² of a linear regression on z_d, the square of Pearson's
correlation, over all items:

    S_dk = Cov(z_d, v_k)² / (Var z_d Var v_k)

For a category it is the balanced accuracy of thresholds on z_d, at most one fewer than there are
values, on held-out items. They are found as the leaves of a tree whose items weigh the same for
each value. It is 1/V for a code that tells nothing of V values, so that the gap of a category is
at most 1 - 1/V.

R² asks for a line: a factor that comes back to its start, such as an angle, has none on any single
dimension. Without a `categories` all factors count as ordered. The public benchmark (Locatello et
al. 2019) takes all factors of dSprites as categories, by a linear support vector machine of small
weight and plain accuracy, which is another number.

This module does not know what the factors are, nor which of them are ordered.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from variate.evaluation.disentanglement.inputs import (
    Codes,
    Factors,
    checked,
    levels,
    named_factors,
    top_two_gap,
)

__all__ = ["SAP", "sap"]


class SAP(NamedTuple):
    """The separated attribute predictability, and what it is made of.

    Attributes:
        score: The mean of the gaps, 0 to 1.
        gaps: The gap of each factor, `[K]`.
        predictability: S, `[D, K]`.
    """

    score: float
    gaps: Codes
    predictability: Codes


def sap(
    codes: ArrayLike | Tensor,
    factors: ArrayLike | Tensor,
    *,
    categories: Sequence[int] = (),
    seed: int = 0,
) -> SAP:
    """The separated attribute predictability of codes.

    Args:
        codes: `[N, D]`, a code for each item, such as its posterior mean.
        factors: `[N, K]`, whole numbers: which value of each factor the item has.
        categories: Which of the K factors have values without an order.
        seed: Of which half of the items the thresholds of a category are tested on.

    Returns:
        The score and its parts. With one dimension the second-best counts 0; a constant dimension
        has R² 0.

    Raises:
        DataError: A shape is wrong, a code is not finite, or a factor has one value only.
        OptionError: `categories` names a factor that there is not.
    """
    z, v = checked(codes, factors)
    unordered = named_factors(categories, v.shape[1], "`categories`")
    columns = [
        _balanced_accuracy(z, column, seed) if k in unordered else _squared_correlation(z, column)
        for k, column in enumerate(v.T)
    ]
    predictability = np.stack(columns, axis=1)
    gaps = top_two_gap(predictability)
    return SAP(float(gaps.mean()), gaps, predictability)


def _squared_correlation(z: Codes, column: Factors) -> Codes:
    """R² of the factor on each dimension, `[D]`."""
    scale = np.abs(z).max(0)
    centred = z / np.where(scale > 0, scale, 1.0)  # no square overflows
    constant = np.ptp(centred, axis=0) == 0
    centred = centred - centred.mean(0)
    value = column - column.mean()
    below = (centred**2).sum(0) * (value**2).sum()
    return np.where(constant, 0.0, (value @ centred) ** 2 / np.where(constant, 1.0, below))


def _balanced_accuracy(z: Codes, column: Factors, seed: int) -> Codes:
    """The mean over the values of the share told right by thresholds on each dimension, `[D]`."""
    level, count = levels(column)
    train, test = train_test_split(np.arange(len(z)), test_size=0.5, random_state=seed)
    present = np.unique(level[test])
    found = np.empty(z.shape[1])
    for d in range(z.shape[1]):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=count, class_weight="balanced", random_state=seed
        ).fit(z[train, d : d + 1], level[train])
        right = tree.predict(z[test, d : d + 1]) == level[test]
        found[d] = np.mean([right[level[test] == value].mean() for value in present])
    return found
