"""Who fills gaps: variate, and what others are used for it, each at its defaults.

    mean          the mean of a number, the commonest level of a category
    iterative     scikit-learn's IterativeImputer with its Bayesian ridge; categories are codes in
                  the order of their levels, rounded afterwards
    knn           scikit-learn's KNNImputer on standardised numbers and one-hot categories; the
                  level with the largest mean
    missforest    Stekhoven & Bühlmann 2012: column after column, those with few gaps first, is
                  predicted from all others by a random forest (of classification trees for a
                  category) until the change grows again, at most ten times; 100 trees, √p columns
                  tried at a split, as in their R package
    iterative_trees   IterativeImputer with 50 extremely randomised trees, codes as above

One-hot columns would be worse for IterativeImputer: each is predicted from the others of its
category, which are missing where it is and add up to one.

This module does not know the truth.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it enables the next line
from sklearn.impute import IterativeImputer, KNNImputer

from harness.gaps import Gapped

__all__ = ["METHODS"]

Filled = tuple[pd.DataFrame, pd.DataFrame | None]  # the table, and 90 % intervals of the cells
TREES = 100
ROUNDS = 10


def variate(given: Gapped, seed: int) -> Filled:
    from variate import TableVAE

    kinds = dict.fromkeys(given.categorical, "category")
    model = TableVAE(columns=kinds, seed=seed).fit(given.gaps)
    made = model.impute(given.gaps, seed=seed)
    return made.filled, made.interval(0.9)


def mean(given: Gapped, seed: int) -> Filled:
    del seed
    values = {
        name: given.gaps[name].mode()[0] if name in given.categorical else given.gaps[name].mean()
        for name in given.gaps
    }
    return given.gaps.fillna(values), None


def iterative(given: Gapped, seed: int) -> Filled:
    return _by_codes(given, IterativeImputer(random_state=seed))


def iterative_trees(given: Gapped, seed: int) -> Filled:
    trees = ExtraTreesRegressor(50, random_state=seed)
    return _by_codes(given, IterativeImputer(trees, random_state=seed))


def knn(given: Gapped, seed: int) -> Filled:
    del seed
    codes, levels = _codes(given)
    parts = {
        name: _one_hot(codes[name], len(levels[name])) if name in levels else codes[[name]]
        for name in codes
    }
    made = KNNImputer().fit_transform(np.hstack(list(parts.values())))
    ends = np.cumsum([part.shape[1] for part in parts.values()])[:-1]
    columns = dict(zip(parts, np.split(made, ends, axis=1), strict=True))
    found = {n: v.argmax(1) if n in levels else v[:, 0] for n, v in columns.items()}
    return _back(given, pd.DataFrame(found), levels), None


def missforest(given: Gapped, seed: int) -> Filled:
    codes, levels = _codes(given)
    order = codes.isna().sum().sort_values().index
    start = {n: codes[n].mode()[0] if n in levels else codes[n].mean() for n in codes}
    best, least = codes.fillna(start), (np.inf, np.inf)
    now = best
    for _ in range(ROUNDS):
        before, now = now, now.copy()
        for name in order:
            _grow(now, codes[name], seed, classes=name in levels)
        change = _change(before, now, codes, levels)
        if all(new >= old for new, old in zip(change, least, strict=True)):
            break
        best, least = now, change
    return _back(given, best, levels), None


def _grow(table: pd.DataFrame, column: pd.Series, seed: int, *, classes: bool) -> None:
    """Predict a column's gaps from all others, in place."""
    gap = column.isna()
    if not gap.any():
        return
    kind = RandomForestClassifier if classes else RandomForestRegressor
    forest = kind(TREES, max_features="sqrt", random_state=seed)
    others = table.drop(columns=column.name)
    forest.fit(others[~gap], column[~gap])
    table.loc[gap, column.name] = forest.predict(others[gap])


def _change(
    before: pd.DataFrame, now: pd.DataFrame, codes: pd.DataFrame, levels: dict[str, np.ndarray]
) -> tuple[float, float]:
    """How much numbers and categories changed, as their stopping rule has it."""
    numbers = [name for name in codes if name not in levels]
    off = ((now[numbers] - before[numbers]) ** 2).sum().sum() / (now[numbers] ** 2).sum().sum()
    names = list(levels)
    gaps = max(int(codes[names].isna().sum().sum()), 1)
    return float(off), float((now[names] != before[names]).sum().sum() / gaps)


def _by_codes(given: Gapped, imputer: IterativeImputer) -> Filled:
    codes, levels = _codes(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        made = pd.DataFrame(imputer.fit_transform(codes), columns=codes.columns)
    for name in levels:
        made[name] = made[name].round().clip(0, len(levels[name]) - 1)
    return _back(given, made, levels), None


def _codes(given: Gapped) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Numbers standardised, categories as codes, gaps NaN; and the levels of the categories."""
    codes, levels = {}, {}
    for name, column in given.gaps.items():
        if name in given.categorical:
            found, levels[name] = pd.factorize(column, sort=True)
            codes[name] = np.where(found < 0, np.nan, found)
        else:
            codes[name] = (column - column.mean()) / column.std()
    return pd.DataFrame(codes), levels


def _one_hot(codes: pd.Series, levels: int) -> np.ndarray:
    """A column for each level, all missing where the code is."""
    made = np.eye(levels)[codes.fillna(0).astype(int)]
    made[codes.isna()] = np.nan
    return made


def _back(given: Gapped, made: pd.DataFrame, levels: dict[str, np.ndarray]) -> pd.DataFrame:
    """What was made, in the table's own terms; what is known as it was."""
    columns = {}
    for name, column in given.gaps.items():
        if name in levels:
            values = np.asarray(levels[name])[made[name].astype(int)]
        else:
            values = made[name] * column.std() + column.mean()
        columns[name] = column.where(column.notna(), values)
    return pd.DataFrame(columns)


METHODS: dict[str, Callable[[Gapped, int], Filled]] = {
    "variate": variate,
    "mean": mean,
    "iterative": iterative,
    "knn": knn,
    "missforest": missforest,
    "iterative_trees": iterative_trees,
}
