"""The figures of a synthetic table against the real one, all methods judged alike.

    python -m harness.table_judge DATA NAME TABLE [--seed S] [--threads T] [--details]

prints them as JSON. It needs pandas < 3, sdmetrics, xgboost and lightgbm: the peers' environment.
TABLE is a CSV or Parquet file, or the word `test`: then the real test split is judged as if it
were synthetic, which gives the noise floor of every figure.

    shape_error, trend_error      100 (1 - score) of sdmetrics' column shapes and pair trends, over
                                  all pairs, numbers cut into the bins of the training split
    trend_error_own_bins          the same, with each table cut into ten bins of its own range, as
                                  sdmetrics does it: one extreme value more or less moves them all
    trend_error_sdmetrics         as its quality report has it today: that, and without the pairs
                                  that are weakly related in the training split
    downstream, downstream_real   LightGBM trained on the table, and on the training split, tested
                                  on the real test split: AUC, or R^2 of log(1 + target)
    gbm_auc                       LightGBM told to tell the table from the training split: AUC over
                                  3 folds of up to 10,000 rows of each; 0.5 is perfect
    xgb_detection, lr_detection   sdmetrics' detection score with XGBoost (as TabPC has it) and
                                  with logistic regression: 1 - mean(2 max(AUC, .5) - 1); 1 is
                                  perfect. Integers stay integers there, as in the files
    dcr_share, memorised, copies  see `table_distances`; `copies_real`: of the real test split
    invalid_rows_share            see `table_prepare.validity`

This module does not know the methods.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from sdmetrics.reports.single_table._properties import ColumnPairTrends, ColumnShapes
from sdmetrics.reports.utils import (
    DEFAULT_REAL_ASSOCIATION_THRESHOLD,
    DEFAULT_REAL_CORRELATION_THRESHOLD,
)
from sdmetrics.single_table import LogisticDetection
from sdmetrics.single_table.detection.sklearn import ScikitLearnClassifierDetectionMetric
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from xgboost import XGBClassifier

from harness.table_distances import copies, nearer_to_train
from harness.table_prepare import Prepared, prepare, read, validity
from harness.table_sets import TableSet, table_set

__all__ = ["judge"]

ROWS = 10_000  # of each kind in the two-sample test


def judge(
    table: pd.DataFrame, about: TableSet, *, seed: int, threads: int, details: bool
) -> dict[str, Any]:
    """All figures of a synthetic table."""
    train, test = read(about.train), read(about.test)
    tables = prepare(train, table, test, categorical=about.categorical)
    told: dict[str, Any] = {"rows": len(table), "seed": seed}
    told |= _shape_and_trend(tables, details=details)
    told |= _downstream(tables, about, threads)
    told |= _two_sample(tables, seed, threads, details=details)
    told |= _detection(tables, seed, threads)
    told |= nearer_to_train(tables, seed)
    told["copies"] = copies(tables.frames[1], tables.frames[0])
    told["copies_real"] = copies(tables.frames[2], tables.frames[0])
    return told | validity(train, table, about.categorical)


def noise_floor(about: TableSet, *, seed: int, threads: int, details: bool) -> dict[str, Any]:
    """The test split as if it were synthetic; what is then measured against itself is left out."""
    told = judge(read(about.test), about, seed=seed, threads=threads, details=details)
    for name in ("downstream", "memorised", *(name for name in told if name.startswith("dcr_"))):
        told[name] = None
    return told


class _SameBins(ColumnPairTrends):
    """Pair trends that cut both tables into the bins of the real one."""

    def __init__(self, real: pd.DataFrame) -> None:
        super().__init__()
        self._real = real

    def _discretize_column(self, name: str, data: pd.Series, bin_edges: Any = None) -> Any:  # noqa: ARG002
        edges = np.histogram_bin_edges(self._real[name])
        return super()._discretize_column(name, data, edges)


def _shape_and_trend(tables: Prepared, *, details: bool) -> dict[str, Any]:
    real, table = (frame.copy() for frame in tables.frames[:2])
    kinds = dict.fromkeys(tables.categorical, "categorical")
    kinds |= dict.fromkeys(tables.numeric, "numerical")
    metadata = {"columns": {name: {"sdtype": kinds[name]} for name in real}}
    shapes, pairs = ColumnShapes(), _SameBins(real)
    own, strong = ColumnPairTrends(), ColumnPairTrends()
    strong.real_correlation_threshold = DEFAULT_REAL_CORRELATION_THRESHOLD
    strong.real_association_threshold = DEFAULT_REAL_ASSOCIATION_THRESHOLD
    told: dict[str, Any] = {
        "shape_error": 100 * (1 - shapes.get_score(real, table, metadata)),
        "trend_error": 100 * (1 - pairs.get_score(real, table, metadata)),
        "trend_error_own_bins": 100 * (1 - own.get_score(real, table, metadata)),
        "trend_error_sdmetrics": 100 * (1 - strong.get_score(real, table, metadata)),
    }
    if details:
        worst = shapes.details.sort_values("Score").head(8)
        told["worst_columns"] = dict(zip(worst["Column"], 100 * (1 - worst["Score"]), strict=True))
        worst = pairs.details.sort_values("Score").head(8)
        names = worst["Column 1"] + " x " + worst["Column 2"]
        told["worst_pairs"] = dict(zip(names, 100 * (1 - worst["Score"]), strict=True))
    return told


def _with_levels(tables: Prepared) -> list[pd.DataFrame]:
    """The frames as LightGBM takes them: every category a code of the same list of levels."""
    whole = pd.concat(tables.frames, ignore_index=True)
    for name in tables.categorical:
        whole[name] = pd.Categorical(pd.factorize(whole[name], sort=True)[0])
    whole.columns = [str(place) for place in range(whole.shape[1])]  # names that it would mangle
    ends = np.cumsum([len(frame) for frame in tables.frames])
    return [whole.iloc[end - len(f) : end] for f, end in zip(tables.frames, ends, strict=True)]


def _downstream(tables: Prepared, about: TableSet, threads: int) -> dict[str, float]:
    place = str(list(tables.frames[0]).index(about.target))
    train, table, test = ((f.drop(columns=place), f[place]) for f in _with_levels(tables))
    if about.task == "binary":
        scores = [_auc(known, test, threads) for known in (table, train)]
    else:
        scores = [_r2(known, test, threads) for known in (table, train)]
    return dict(zip(("downstream", "downstream_real"), scores, strict=True))


def _auc(known: tuple[Any, Any], test: tuple[Any, Any], threads: int) -> float:
    (x, y), (asked, truth) = known, test
    real = y.isin(truth.unique())  # a class that is not real teaches nothing
    if y[real].nunique() < 2:
        return 0.5
    model = lightgbm.LGBMClassifier(n_jobs=threads, random_state=0, verbose=-1)
    model.fit(x[real], y[real].astype(int))
    return float(roc_auc_score(truth.astype(int), model.predict_proba(asked)[:, 1]))


def _r2(known: tuple[Any, Any], test: tuple[Any, Any], threads: int) -> float:
    (x, y), (asked, truth) = known, test
    model = lightgbm.LGBMRegressor(n_jobs=threads, random_state=0, verbose=-1)
    model.fit(x, np.log1p(y.clip(lower=0)))
    return float(r2_score(np.log1p(truth), model.predict(asked)))


def _two_sample(tables: Prepared, seed: int, threads: int, *, details: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    some = [f.iloc[rng.permutation(len(f))[:ROWS]] for f in _with_levels(tables)[:2]]
    x, y = pd.concat(some, ignore_index=True), np.repeat([1, 0], [len(f) for f in some])
    aucs, gains = [], np.zeros(x.shape[1])
    for known, asked in StratifiedKFold(3, shuffle=True, random_state=seed).split(x, y):
        model = lightgbm.LGBMClassifier(
            n_jobs=threads, random_state=seed, verbose=-1, importance_type="gain"
        )
        model.fit(x.iloc[known], y[known])
        aucs.append(roc_auc_score(y[asked], model.predict_proba(x.iloc[asked])[:, 1]))
        gains += model.feature_importances_
    told: dict[str, Any] = {"gbm_auc": float(np.mean(aucs))}
    if details:
        shares = pd.Series(gains / gains.sum(), list(tables.frames[0]))
        told["gbm_gain_shares"] = shares.sort_values(ascending=False).head(8).to_dict()
    return told


def _detection(tables: Prepared, seed: int, threads: int) -> dict[str, float]:
    class XGBoostDetection(ScikitLearnClassifierDetectionMetric):
        @staticmethod
        def _get_classifier() -> XGBClassifier:
            return XGBClassifier(
                eval_metric="logloss", enable_categorical=True, random_state=0, n_jobs=threads
            )

    real, table = _one_hot(tables)
    told = {}
    kinds = {"xgb_detection": XGBoostDetection, "lr_detection": LogisticDetection}
    for name, kind in kinds.items():
        np.random.seed(seed)  # noqa: NPY002 - its folds are drawn from the global generator
        told[name] = float(kind.compute(real.copy(), table.copy()))
    return told


def _one_hot(tables: Prepared) -> list[pd.DataFrame]:
    """Text as 0 and 1, as sdmetrics does it, with a column also for levels that are not real."""
    whole = pd.concat(tables.frames[:2], ignore_index=True)
    text = [name for name in whole if whole[name].dtype == object]
    whole = pd.get_dummies(whole, columns=text, dtype=float).astype(float)
    end = len(tables.frames[0])
    return [whole.iloc[:end], whole.iloc[end:].reset_index(drop=True)]


def main() -> None:
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    made.add_argument("data", type=Path)
    made.add_argument("name")
    made.add_argument("table")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--details", action="store_true", help="also what is worst")
    options = made.parse_args()
    about = table_set(options.data, options.name)
    asked = {name: getattr(options, name) for name in ("seed", "threads", "details")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own, of which there are many
        if options.table == "test":
            told = noise_floor(about, **asked)
        else:
            told = judge(read(Path(options.table)), about, **asked)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
