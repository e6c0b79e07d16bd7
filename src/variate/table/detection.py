r"""Can a classifier tell a synthetic table from a real one? And would it learn the same from both?

Detection is the classifier two-sample test of `evaluation.samples`, by two classifiers:

    boosted    gradient-boosted trees, which see any dependence; categories and gaps are values
               of their own, without an order
    linear     logistic regression on ranks, gap flags and one-hot levels, which sees columns one
               by one: a table of independent columns passes, so it is no more than a side figure

Efficacy asks what a table is good for: a model of the same kind (boosted trees) learns a target
column from synthetic rows and is tested on real ones, next to one that learned from as many real
rows. It is measured by the AUC for a category (one level against the others, weighted by the
levels' shares in the test rows) and by R^2 for a number.

Tables are in codec space: float64 `[N, C]`, NaN = missing, categories as codes. Levels beyond the
most common ones are one level to a classifier, which can mark apart no more than 255; trees do not
look at a level that is in fewer than ten of the rows they learn from.

This module does not know any model, nor how a table came about.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from variate.evaluation.samples import TwoSample, two_sample
from variate.table.measures import Kind

__all__ = ["Efficacy", "chances", "efficacy", "linear_auc", "two_sample_auc"]

FOLDS = 3
ENOUGH = 20  # rows of each table below which a classifier tells nothing
ROWS = 10_000  # of each table, at most
CELLS = 1_000_000  # of both tables: a wide one is judged by fewer rows, 1,000 of 500 columns
WIDE = 100  # columns above which trees are small
LEVELS = 254  # what a tree can mark apart, less one for the others
CLASSES = 20  # levels of a target that are told apart; the trees of each boosting step
STEPS = 100


class Efficacy(NamedTuple):
    """How well a model that learned from a table predicts real rows.

    Attributes:
        score: The AUC or R^2 on the test rows; NaN where they do not allow one.
        measure: Which of the two it is: "AUC" or "R²".
        rows: How many rows it learned from.
    """

    score: float
    measure: str
    rows: int


def two_sample_auc(
    x_real: np.ndarray,
    x_synthetic: np.ndarray,
    kinds: Sequence[Kind] = (),
    *,
    most: int = ROWS,
    seed: int = 0,
) -> TwoSample:
    """How well boosted trees tell the tables apart: an AUC of 0.5 is not at all, 1 is perfectly.

    Args:
        x_real: `[N, C]`; rows that the model was not trained on.
        x_synthetic: `[M, C]`.
        kinds: What each column is; none: all are numbers.
        most: Rows of each table, at most; as many of the one are taken as of the other, and fewer
            of a wide table.
        seed: Of the choice of rows, the folds and the classifier.

    Returns:
        The cross-validated AUC and its standard error; NaN with fewer than 20 rows.
    """
    tables = _like(x_real, x_synthetic, most, seed)
    if tables is None:
        return TwoSample(np.nan, np.nan)
    codes = _categories(kinds)
    real, synthetic = _few_levels(tables, codes)
    trees = HistGradientBoostingClassifier(
        categorical_features=codes or None, random_state=seed, **_size(real.shape[1])
    )
    return two_sample(real, synthetic, classifier=trees, folds=FOLDS, seed=seed)


def linear_auc(
    x_real: np.ndarray,
    x_synthetic: np.ndarray,
    kinds: Sequence[Kind],
    *,
    most: int = ROWS,
    seed: int = 0,
) -> TwoSample:
    """How well logistic regression tells the tables apart; it cannot see any dependence.

    Args:
        x_real: `[N, C]`; rows that the model was not trained on.
        x_synthetic: `[M, C]`.
        kinds: What each column is.
        most: Rows of each table, at most; as many of the one are taken as of the other, and fewer
            of a wide table.
        seed: Of the choice of rows and the folds.

    Returns:
        The cross-validated AUC and its standard error; NaN with fewer than 20 rows.
    """
    tables = _like(x_real, x_synthetic, most, seed)
    if tables is None:
        return TwoSample(np.nan, np.nan)
    codes = _categories(kinds)
    numbers = [c for c in range(x_real.shape[1]) if c not in codes]
    ranked = np.concatenate(tables)
    for c in numbers:
        ranked[:, c] = _ranks(ranked[:, c])
    parts = [
        ("numbers", SimpleImputer(add_indicator=True, keep_empty_features=True), numbers),
        ("levels", OneHotEncoder(max_categories=64, handle_unknown="infrequent_if_exist"), codes),
    ]
    classifier = make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a side figure
        warnings.filterwarnings("ignore", "Found unknown categories")
        real, synthetic = ranked[: len(tables[0])], ranked[len(tables[0]) :]
        return two_sample(real, synthetic, classifier=classifier, folds=FOLDS, seed=seed)


def efficacy(
    x_train: np.ndarray, x_test: np.ndarray, target: int, kinds: Sequence[Kind], *, seed: int = 0
) -> Efficacy:
    """What boosted trees that learn a column from one table predict of it in another.

    Args:
        x_train: The rows to learn from `[N, C]`, in any order; those without a target are left out,
            and of a wide table the first are taken.
        x_test: Real rows `[M, C]`, as well.
        target: The position of the column that is predicted from all others.
        kinds: What each column is.
        seed: Of the trees.
    """
    measure = "AUC" if kinds[target] == "category" else "R²"
    most = max(ENOUGH, CELLS // max(1, x_train.shape[1]))
    train, test = (x[~np.isnan(x[:, target])][:most] for x in (x_train, x_test))
    if len(train) < ENOUGH or len(test) < ENOUGH or x_train.shape[1] < 2:
        return Efficacy(np.nan, measure, len(train))
    wanted = [x[:, target] for x in (train, test)]
    known, options = _others((train, test), target, kinds, seed)
    score = _auc if measure == "AUC" else _explained
    return Efficacy(score(known, wanted, options), measure, len(train))


def chances(
    x_train: np.ndarray,
    x_test: np.ndarray,
    target: int,
    kinds: Sequence[Kind],
    *,
    seed: int = 0,
    weighted: bool = False,
) -> dict[float, np.ndarray]:
    """How probable boosted trees that learn a category from one table find each level in another.

    Args:
        x_train: The rows to learn from `[N, C]`; those without a target are left out.
        x_test: Real rows `[M, C]`, as well.
        target: The position of the category.
        kinds: What each column is.
        seed: Of the trees.
        weighted: Whether each level shall weigh the same.

    Returns:
        By code of a level `[M']`, for each level that either table has.
    """
    train, test = (x[~np.isnan(x[:, target])] for x in (x_train, x_test))
    known, options = _others((train, test), target, kinds, seed)
    levels = np.unique(train[:, target])
    trees = HistGradientBoostingClassifier(
        max_iter=_steps(len(levels)), class_weight="balanced" if weighted else None, **options
    ).fit(known[0], train[:, target])
    found = dict(zip(trees.classes_.tolist(), trees.predict_proba(known[1]).T, strict=True))
    return dict.fromkeys(np.unique(test[:, target]).tolist(), np.zeros(len(test))) | found


# -- the two tasks of efficacy --------------------------------------------------------------------


def _auc(
    known: tuple[np.ndarray, np.ndarray], wanted: Sequence[np.ndarray], options: dict[str, Any]
) -> float:
    """The AUC of each level against the others, weighted by its share of the test rows."""
    levels, counts = np.unique(wanted[1], return_counts=True)
    if len(levels) < 2:
        return np.nan
    common = levels[np.argsort(-counts, kind="stable")[:CLASSES]]
    train, test = (np.where(np.isin(y, common), y, -1.0) for y in wanted)
    if len(np.unique(train)) < 2:
        return 0.5
    trees = HistGradientBoostingClassifier(max_iter=_steps(len(common)), **options).fit(
        known[0], train
    )
    chances = dict(zip(trees.classes_.tolist(), trees.predict_proba(known[1]).T, strict=True))
    nothing = np.zeros(len(test))
    shown, counts = np.unique(test, return_counts=True)
    areas = [roc_auc_score(test == level, chances.get(level, nothing)) for level in shown.tolist()]
    return float(np.average(areas, weights=counts))


def _explained(
    known: tuple[np.ndarray, np.ndarray], wanted: Sequence[np.ndarray], options: dict[str, Any]
) -> float:
    """R^2: one less the mean squared error over the variance of the test rows."""
    scale = max(np.abs(wanted[0]).max(), np.abs(wanted[1]).max()) or 1.0  # squares may overflow
    train, test = (y / scale for y in wanted)
    spread = test.var()
    if spread == 0:
        return np.nan
    trees = HistGradientBoostingRegressor(max_iter=STEPS, **options).fit(known[0], train)
    return float(1 - np.square(trees.predict(known[1]) - test).mean() / spread)


# -- tables as a classifier takes them ------------------------------------------------------------


def _others(
    tables: tuple[np.ndarray, np.ndarray], target: int, kinds: Sequence[Kind], seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, Any]]:
    """The columns that the target is predicted from, and how trees are to take them."""
    given = [kind for c, kind in enumerate(kinds) if c != target]
    codes = _categories(given)
    first, second = (np.delete(x, target, axis=1) for x in tables)
    return _few_levels((first, second), codes), {
        "categorical_features": codes or None,
        "early_stopping": False,
        "random_state": seed,
        **_size(len(given)),
    }


def _steps(levels: int) -> int:
    """Of boosting: each grows a tree for every level."""
    return STEPS if levels <= 2 else max(20, 2 * STEPS // levels)


def _size(columns: int) -> dict[str, Any]:
    """How large trees are: what they cost is in the columns times the leaves."""
    return {} if columns <= WIDE else {"max_leaf_nodes": 8}


def _like(
    x_real: np.ndarray, x_synthetic: np.ndarray, most: int, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """As many rows of both tables, or None if they are too few."""
    most = min(most, max(ENOUGH, CELLS // (2 * max(1, x_real.shape[1]))))
    rows = min(len(x_real), len(x_synthetic), most)
    if rows < ENOUGH:
        return None
    rng = np.random.default_rng(seed)
    real, synthetic = (
        x[np.sort(rng.choice(len(x), rows, replace=False))] for x in (x_real, x_synthetic)
    )
    return real, synthetic


def _categories(kinds: Sequence[Kind]) -> list[int]:
    return [c for c, kind in enumerate(kinds) if kind == "category"]


def _few_levels(
    tables: tuple[np.ndarray, ...], codes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The tables with the levels of their categories numbered anew, the rare ones as one."""
    first, second = (x.copy() for x in tables)
    for c in codes:
        both = np.concatenate([first[:, c], second[:, c]])
        levels, counts = np.unique(both[~np.isnan(both)], return_counts=True)
        common = np.sort(levels[np.argsort(-counts, kind="stable")[:LEVELS]])
        for x in (first, second):
            place = np.searchsorted(common, x[:, c]).clip(0, max(0, len(common) - 1))
            known = np.isin(x[:, c], common)
            x[:, c] = np.where(np.isnan(x[:, c]), np.nan, np.where(known, place, LEVELS))
    return first, second


def _ranks(column: np.ndarray) -> np.ndarray:
    """The ranks of the observed values as numbers of mean 0 and variance about 1."""
    ranks = np.full(len(column), np.nan)
    observed = ~np.isnan(column)
    share = (rankdata(column[observed]) - 0.5) / max(1, observed.sum())
    ranks[observed] = np.sqrt(12) * (share - 0.5)
    return ranks
