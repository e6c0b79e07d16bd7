r"""Disentanglement, completeness and informativeness (Eastwood & Williams 2018).

A model learns to predict each factor from the whole code, and says how much it made use of each
dimension: R_dk >= 0, the importance of z_d for v_k. With P_dk = R_dk / Σ_j R_dj over the factors,
and Q_dk = R_dk / Σ_c R_ck over the dimensions,

    disentanglement   Σ_d w_d D_d     D_d = 1 + Σ_k P_dk log P_dk / log K    w_d = Σ_k R_dk / Σ R
    completeness      mean_k C_k      C_k = 1 + Σ_d Q_dk log Q_dk / log D
    informativeness   mean_k s_k      s_k = 1 - error / error of the best constant guess

Disentanglement is 1 if each dimension serves one factor, completeness if each factor is told by
one dimension. What nothing was made use of for counts 0. The error is that on items that the model
did not learn from, squared for an ordered factor, so that s is R², and the share of wrong guesses
for a category; s below 0 counts 0. (The paper reports the error relative to that guess.)

**The models** are part of the score, and values with different ones do not compare. As in the paper
they are random forests, of regression trees for an ordered factor and of classification trees for
a category; R is their impurity importance, which adds up to 1 for each factor. Each split looks at
all dimensions (one that looks at some credits dimensions that tell less), and a leaf keeps half a
per cent of the items. The public benchmark (Locatello et al. 2019) instead classifies the values of
every factor by gradient-boosted trees, as if they had no order, and weighs completeness by
importance. That takes minutes, and credits noise wherever neighbouring values cannot be told apart:
for codes that are the factors of dSprites and 5 % of noise, beside five dimensions of noise alone,
disentanglement is 0.99 here, 0.77 where forests classify all five factors (N = 10,000), and 0.80 by
boosted trees for the first three (N = 3,000).

Of a factor that the code does not tell, the importances add up to 1 as well: they are those of
noise, near 1/D, so that its completeness is low and disentanglement falls; look at `skill` beside.

This module does not know what the factors are, nor which of them are ordered.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import train_test_split
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.evaluation.disentanglement.inputs import Codes, Factors, checked, named_factors

__all__ = ["DCI", "dci"]

_TREES = 20
_LEAF = 0.005  # of the items


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, and what they are made of.

    Attributes:
        disentanglement: 0 to 1; does each dimension serve one factor?
        completeness: 0 to 1; is each factor told by one dimension?
        informativeness: 0 to 1, the mean of `skill`.
        importance: R, `[D, K]`.
        skill: How much of the error of a constant guess is saved, for each factor, `[K]`.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Codes
    skill: Codes


def dci(
    codes: ArrayLike | Tensor,
    factors: ArrayLike | Tensor,
    *,
    categories: Sequence[int] = (),
    regressor: Any = None,
    classifier: Any = None,
    held_out: float = 1 / 3,
    seed: int = 0,
) -> DCI:
    """Disentanglement, completeness and informativeness of codes.

    Args:
        codes: `[N, D]`, D >= 2, a code for each item, such as its posterior mean.
        factors: `[N, K]`, K >= 2, whole numbers: which value of each factor the item has.
        categories: Which of the K factors have values without an order.
        regressor: A scikit-learn regressor for ordered factors that has `feature_importances_` when
            fitted; None for a random forest of 20 trees.
        classifier: The same for categories.
        held_out: The share of the items, chosen at random, that errors are measured on.
        seed: Of the choice and the forests.

    Raises:
        DataError: A shape is wrong, a code is not finite, a factor has one value only, or there
            are too few items to hold some out.
        OptionError: The share is not between 0 and 1, `categories` names a factor that there is
            not, or a model has no importances.
    """
    if not 0 < held_out < 1:
        raise OptionError(f"`held_out` must be between 0 and 1, however: {held_out=}")
    z, v = checked(codes, factors, least=(2, 2))
    unordered = named_factors(categories, v.shape[1], "`categories`")
    try:
        train, test = train_test_split(np.arange(len(z)), test_size=held_out, random_state=seed)
    except ValueError as error:
        raise DataError(f"{len(z)} items are too few to hold out {held_out:g} of them") from error
    forest = {"max_features": None, "min_samples_leaf": _LEAF, "random_state": seed}
    regressor = RandomForestRegressor(_TREES, **forest) if regressor is None else regressor
    classifier = RandomForestClassifier(_TREES, **forest) if classifier is None else classifier
    importance, skill = np.zeros((z.shape[1], v.shape[1])), np.zeros(v.shape[1])
    for k, column in enumerate(v.T):
        model = clone(classifier if k in unordered else regressor).fit(z[train], column[train])
        importance[:, k] = _importances(model)
        guess = _constant(column[train], ordered=k not in unordered)
        found = _error(column[test], model.predict(z[test]), ordered=k not in unordered)
        worst = _error(column[test], guess, ordered=k not in unordered)
        skill[k] = max(0.0, 1 - found / worst) if worst > 0 else 0.0
    weights = importance.sum(1) / (importance.sum() or 1.0)
    return DCI(
        float(weights @ _concentration(importance)),
        float(_concentration(importance.T).mean()),
        float(skill.mean()),
        importance,
        skill,
    )


def _constant(column: Factors, *, ordered: bool) -> Any:
    """The constant guess of least error on the items learned from: the mean, or the commonest."""
    if ordered:
        return column.mean()
    values, counts = np.unique(column, return_counts=True)
    return values[counts.argmax()]


def _error(truth: Factors, guess: Any, *, ordered: bool) -> float:
    wrong = (truth - guess) ** 2 if ordered else truth != guess
    return float(np.mean(wrong))


def _concentration(importance: Codes) -> Codes:
    """1 - entropy / log(columns) of each row, 0 for a row that is all zero."""
    total = importance.sum(1, keepdims=True)
    share = importance / np.where(total > 0, total, 1.0)
    logs = np.log(np.where(share > 0, share, 1.0))
    found: Codes = 1 + (share * logs).sum(1) / np.log(importance.shape[1])
    return np.where(total[:, 0] > 0, found, 0.0)


def _importances(fitted: Any) -> Codes:
    try:
        found = fitted.feature_importances_
    except AttributeError as error:
        raise OptionError(
            f"{type(fitted).__name__} has no feature_importances_ when fitted; give a model that "
            "has, such as a random forest or gradient-boosted trees of scikit-learn"
        ) from error
    return np.abs(np.asarray(found, dtype=np.float64))
