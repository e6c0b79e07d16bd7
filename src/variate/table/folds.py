r"""Alarms of small tables: every row of training as a calibration row, by models that it is new to.

`fit` holds a twentieth of the rows out, and of 500 rows the 25 scores allow no p-value below 1/26.
Cross-validation gives a score to all n: the rows are dealt into K folds, a model with the settings
of the fitted one learns from all folds but one, and scores that one,

    s_i = -log p_{-k(i)}(x_i)            p(s) = (1 + #{i : s_i ≥ s}) / (n + 1)

in which s is the score of a new row under the fitted model itself. The rows of a fold are as new to
their model as a new row is to the fitted one. What is not exact: the models are K + 1 instead of
one, and those of the folds have seen fewer rows, by which they are the worse and their scores the
higher. So p-values err upwards, towards fewer alarms, as far as more rows make a better model; that
is no theorem (Barber, Candès, Ramdas & Tibshirani 2021 have one for p-values that hold the new row
against all K models, at twice the level, for K times the work at each call).

A fold is new to the columns' ranges and levels too: of a small table not few new rows lie outside
of what was seen, in one of many columns, which scores that are held against them must have had the
chance of. A row with a level that the other folds lack is no calibration row, as in `detect` it
would be an alarm in any case.

This module does not know what is done with the scores. In a very small table a column may be
modelled otherwise without one fold, as one of few values, say: scores are in its own unit all the
same, but are higher then, and alarms fewer. More folds keep nearer to the fitted model.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from variate.alarms import DRAWS, scores_of
from variate.errors import DataError, OptionError, VariateWarning
from variate.evaluation import Reference
from variate.options import whole
from variate.table import files
from variate.table.estimator import TableVAE
from variate.table.frames import is_frame, to_arrow
from variate.table.intake import received

__all__ = ["cross_calibrate"]

FEWEST = 100  # rows in all

Floats = NDArray[np.float64]


def cross_calibrate(model: TableVAE, rows: Any, *, folds: int = 5) -> TableVAE:
    """Hold `detect` against all rows of the fit, each scored by a model that has not seen it.

    For small tables, of which `fit` holds out too few rows to raise an alarm. It takes as long as
    `folds` more fits. p-values are approximate: they err towards fewer alarms (docs/anomaly.md).

    Args:
        model: Fitted; its calibration is replaced, all else stays.
        rows: The rows that it was fitted on, all of them: a frame, an array, or a path.
        folds: K, how many models are fitted besides.

    Returns:
        The model.

    Raises:
        DataError: These are not as many rows as it was fitted on, fewer than 100, or of no use to a
            model that has not seen them.
        OptionError: folds is no whole number of at least 2, or the model is a private one or has no
            density.

    Examples:
        >>> import numpy as np, variate as vt
        >>> rows = np.random.default_rng(0).normal(size=(100, 2)).round(2)
        >>> model = vt.TableVAE(latent=2, epochs=2, seed=0).fit(rows)
        >>> model.calibration_.rows, vt.cross_calibrate(model, rows).calibration_.rows
        (5, 100)
    """
    check_is_fitted(model)
    _expect_repeatable(model, folds)
    with files.naming(rows):
        table = _rows_of(model, rows)
        _expect_rows_of_fit(model, len(table))
        scores = np.concatenate(list(_scores(model, table, folds)))
    model.calibration_ = Reference.of(scores, DRAWS)
    return model


def _rows_of(model: TableVAE, rows: Any) -> Any:
    """A table or an array, of which rows can be taken."""
    if isinstance(rows, str | Path):
        return files.read(rows)
    return to_arrow(rows) if is_frame(rows) else received(model, rows, reset=False)


def _scores(model: TableVAE, table: Any, folds: int) -> Iterator[Floats]:
    """The scores of each fold's rows."""
    fold = np.random.default_rng(model.seed).permutation(len(table)) % folds
    for k in range(folds):
        with warnings.catch_warnings():  # what there is to say was said by the fit
            warnings.simplefilter("ignore", VariateWarning)
            other = _fitted_on(model, _taken(table, fold != k))
            yield _scored(other, _taken(table, fold == k))


def _fitted_on(model: TableVAE, known: Any) -> TableVAE:
    """A model like this one, of other rows."""
    other: TableVAE = clone(model).fit(known)
    return other


def _scored(other: TableVAE, left_out: Any) -> Floats:
    try:
        return scores_of(other._items(left_out), DRAWS)
    except DataError as error:
        raise DataError(
            "rows of one fold are none to a model of the other folds, so that they cannot "
            f"calibrate ({error}). Give other rows that are normal: model.recalibrate(rows)."
        ) from error


def _taken(table: Any, chosen: NDArray[np.bool_]) -> Any:
    return table[chosen] if isinstance(table, np.ndarray) else table.take(np.flatnonzero(chosen))


def _expect_repeatable(model: TableVAE, folds: int) -> None:
    whole("folds", folds)
    if folds < 2:
        raise OptionError(f"folds must be at least 2, got {folds!r}.")
    if model.privacy is not None:
        raise OptionError(
            "a model that was fitted with privacy cannot be cross-calibrated: the scores of its "
            "rows would be no private ones. Give other rows: model.recalibrate(rows)."
        )
    if not model._has_density():
        raise OptionError(
            "a deterministic autoencoder has no density, so there is no log p(x) by which rows are "
            "strange; fit with a posterior that has one (the default)."
        )


def _expect_rows_of_fit(model: TableVAE, rows: int) -> None:
    known = model.codec_.schema.rows
    if rows != known:
        raise DataError(
            f"the model was fitted on {known:,} rows, and these are {rows:,}; give the very rows "
            "that it was fitted on. For rows that it has not seen there is model.recalibrate(rows)."
        )
    if rows < FEWEST:
        raise DataError(f"{rows:,} rows are too few to be dealt into folds; it takes {FEWEST}.")
