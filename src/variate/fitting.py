"""From data made ready to a model: what `fit` does, once for all kinds.

This module does not know any kind of data, nor how a step of training is made.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from variate import alarms
from variate.diary import follow
from variate.errors import VariateWarning
from variate.preparation import Prepared
from variate.progress import announce
from variate.randomness import isolated
from variate.settling import Course, first_share, settle
from variate.training import Event, tensorboard, train

__all__ = ["Course", "begin", "course_of", "run", "unchanged_by_failure"]

CHECKPOINT_SECONDS = 10.0  # between two checkpoints, at the least; they cost under 2 % anyway
HELD_OUT_ROWS = 2_000  # the standard error is reported beside the figure


@contextmanager
def unchanged_by_failure(estimator: Any, *, by_interruption: bool = False) -> Iterator[None]:
    """Take back what an estimator has learned within, if it fails.

    Args:
        estimator: The estimator.
        by_interruption: Whether Ctrl-C is a failure too: where what there is then is of no use.
    """
    before = dict(vars(estimator))
    failures = (Exception, KeyboardInterrupt) if by_interruption else (Exception,)
    try:
        yield
    except failures:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def begin(estimator: Any, prepared: Prepared) -> None:
    """Make the model that training starts from."""
    estimator.calibration_ = None
    with isolated(estimator.seed):
        model = estimator._build(prepared.codec, prepared.example)
        estimator.model_ = estimator._started(model, prepared.example)


def course_of(estimator: Any, prepared: Prepared, course: Course) -> Iterator[Event]:
    """The training run of a model, not yet begun.

    Args:
        estimator: With a model.
        prepared: The rows.
        course: Of the run.
    """
    minutes = estimator.minutes
    return train(
        estimator.model_,
        copy.deepcopy(estimator._objective()),
        prepared.training,
        validation=prepared.validation,
        minutes=None if minutes is None else minutes * first_share(estimator.model_),
        seed=int(estimator.seed),  # NumPy's do not go where torch's generators are seeded
        device=estimator.device,
        precision=estimator.precision,
        checkpoint=course.checkpoint,
        checkpoint_seconds=CHECKPOINT_SECONDS,
        resume=course.resume,
        processes=course.processes,
        fingerprint=prepared.fingerprint(estimator.get_params(deep=False)),
        **estimator._habits(estimator.facts_["training_rows"]),
    )


def run(
    estimator: Any,
    events: Iterator[Event],
    prepared: Prepared,
    course: Course,
    logdir: str | Path | None,
) -> None:
    """Go through a training run, settle what is left and measure.

    Args:
        estimator: With a model, `facts_` and `history_`, which are filled.
        events: The run.
        prepared: The rows.
        course: Of the run.
        logdir: A folder for TensorBoard event files.
    """
    if logdir is not None:
        events = tensorboard(events, logdir)
    try:
        follow(events, estimator.facts_, estimator.history_, show=estimator.verbose)
    finally:
        _conclude(estimator, prepared, course)


def _conclude(estimator: Any, prepared: Prepared, course: Course) -> None:
    """Settle the prior and measure what is there, be it the end or an interruption."""
    estimator.model_.eval()
    if "stopped" not in estimator.facts_:
        return
    if estimator.facts_["stopped"] == "interrupted":
        announce(
            "stopping: the best model so far is measured; Ctrl-C again leaves that out",
            show=estimator.verbose and estimator.facts_["rank"] == 0,
        )
    with _said_once(estimator.facts_["rank"]):
        try:
            settle(estimator, prepared, course)
        finally:
            _measure(estimator, prepared)


@contextmanager
def _said_once(rank: int) -> Iterator[None]:
    """Warnings of the first process only: what follows training is the same in all."""
    with warnings.catch_warnings():
        if rank > 0:
            warnings.simplefilter("ignore", VariateWarning)
        yield


def _measure(estimator: Any, prepared: Prepared) -> None:
    estimator._settle(prepared)
    if prepared.held_out is not None:
        x = prepared.held_out[:HELD_OUT_ROWS]
        draws = estimator._draws()
        figures = estimator._figures(x, draws=draws, seed=estimator.seed)
        estimator.facts_["held_out"] = {"rows": len(x)} | figures
        if estimator._has_density() and estimator.judges_items:
            estimator.calibration_ = alarms.reference_of(estimator, prepared.held_out, draws)
