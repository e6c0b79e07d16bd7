"""Priors that are settled when the model is trained: what is fitted to its codes, for all kinds.

    Aggregate      a mixture, by expectation-maximisation: seconds
    SecondStage    any prior that can be trained, by the loop that trains models

The codes are draws z ~ q(z|x) of the training data; those of a second stage are of one pass over
it (fewer if they would fill the memory). It has a share of the budget, a bar of its own, and under
a checkpoint one of its own beside the first, so that a run that was killed goes on in the stage
where it was. If the codes are others than before, as a first stage under a budget of wall time may
make them, the second stage is begun anew.

This module does not know any kind of data, nor how the model came about.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from variate import verbs
from variate.diary import follow
from variate.errors import CheckpointError, CollapseWarning
from variate.inference import Loss, Moment
from variate.models import flows, priors
from variate.preparation import Prepared
from variate.progress import announce
from variate.training import MemorySource, Source, train
from variate.training.noise import mix

__all__ = ["Course", "checkpoint_of_prior", "first_share", "negative_log_density", "settle"]

CODES = 40_000  # that a mixture is fitted to
NUMBERS = 1 << 27  # of all codes of a second stage: half a gigabyte
CHECKPOINT_SECONDS = 10.0  # between two checkpoints, at the least
RATE = 2e-3  # the learning rate of a second stage
CODE_RATE, USUAL = 3e-3, 64  # of an autoregressive one so wide; a wider one has less
BATCH = 64  # codes in a step, at the most: steps count for more than their size
# Purposes of random numbers: noise that a prior is fitted to, or chosen by, must not be that which
# it is measured with, and measures begin at the seed itself.
_CODE, _HELD_OUT, _MIXTURE = 31, 32, 33


class Course(NamedTuple):
    """How a run is to go on if it is interrupted, and in how many processes it is."""

    checkpoint: str | Path | None = None
    resume: bool = False
    processes: int | None = None


def first_share(model: nn.Module) -> float:
    """The share of a budget of minutes in which the model itself is trained."""
    prior = getattr(model, "prior", None)
    return 1.0 - prior.share if isinstance(prior, priors.SecondStage) else 1.0


def checkpoint_of_prior(checkpoint: str | Path) -> Path:
    """Where the second stage of a run with this checkpoint keeps its own."""
    path = Path(checkpoint)
    return path.with_name(path.name + ".prior")


def settle(estimator: Any, prepared: Prepared, course: Course) -> None:
    """Fit the prior of a trained model to its codes, if it is one that waits for that.

    Args:
        estimator: With a model, and `facts_`, which gains `second_stage` where there was one.
        prepared: The rows.
        course: Of the run.
    """
    prior = estimator.model_.prior
    if isinstance(prior, priors.Aggregate):
        seed = int(estimator.seed)
        codes = verbs.codes(estimator.model_, prepared.many(), CODES, seed=mix(seed, _MIXTURE))
        prior.fit(codes, seed=seed)
    elif isinstance(prior, priors.SecondStage):
        if estimator.facts_["stopped"] == "interrupted":
            warnings.warn(
                "interrupted before the second stage: the prior is not fitted to the codes, and "
                "what is drawn from it will not resemble the data; resume to go on",
                CollapseWarning,
                stacklevel=2,
            )
            return
        _second_stage(estimator, prior, prepared, course)


def negative_log_density(prior: nn.Module, z: Tensor, moment: Moment) -> Loss:  # noqa: ARG001
    """The mean of -log p(z) in nats: an objective whose model is a prior and whose data are z.

    Args:
        prior: The prior to be fitted.
        z: Draws `[N, D]` of the posterior.
        moment: Not used.
    """
    length = -prior().log_prob(z).mean()
    return Loss(length, {"code_length": length.detach()})


def _second_stage(
    estimator: Any, prior: priors.SecondStage, prepared: Prepared, course: Course
) -> None:
    model, seed = estimator.model_, int(estimator.seed)
    z = _codes_of(model, prepared.training, seed)
    held_out = None
    if prepared.validation is not None:
        validation, noise = prepared.validation, mix(seed, _HELD_OUT)
        held_out = verbs.codes(model, validation, len(validation), seed=noise)
    objective = _begun(prior.prior, z)
    told: dict[str, Any] = {"codes": len(z), "stopped": "interrupted"}
    if not isinstance(prior.prior, flows.FlowMatching):
        with torch.no_grad():
            first = z[:1000].to(verbs.device_of(model))
            told["nats_before"] = -float(prior.first().log_prob(first).mean())
    estimator.facts_["second_stage"] = told
    habits = estimator._habits(len(z))
    minutes = estimator.minutes
    options: dict[str, Any] = {
        "validation": held_out,
        "minutes": None if minutes is None else minutes * prior.share,
        "epochs": None if minutes is not None else habits.get("epochs"),
        "batch_size": min(BATCH, habits["batch_size"]),
        "learning_rate": _rate(prior.prior),
        "seed": seed,
        "device": estimator.device,
        "precision": estimator.precision,
        "processes": course.processes,
    }
    show = estimator.verbose and estimator.facts_["rank"] == 0
    announce("second stage: the prior is fitted to the codes", show=show)
    with _trainable(prior):
        try:
            _follow(prior.prior, objective, z, options, course, told, show=estimator.verbose)
        finally:
            prior.settle()


def _follow(
    prior: nn.Module,
    objective: Callable[..., Loss],
    z: Tensor,
    options: dict[str, Any],
    course: Course,
    told: dict[str, Any],
    *,
    show: bool,
) -> None:
    """Train a prior; from its own checkpoint if that is of the same codes, else from the start."""
    history: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    resume = course.resume
    if course.checkpoint is not None:
        digest = hashlib.sha256(z.contiguous().numpy().tobytes()).hexdigest()
        kept = {
            "checkpoint": checkpoint_of_prior(course.checkpoint),
            "checkpoint_seconds": CHECKPOINT_SECONDS,
            "fingerprint": digest,
        }
    try:
        events = train(prior, objective, z, **options, **kept, resume=resume and bool(kept))
        follow(events, facts, history, show=show)
    except CheckpointError:
        if not resume:
            raise
        follow(train(prior, objective, z, **options, **kept), facts, history, show=show)
    finally:
        told |= {name: facts[name] for name in ("stopped", "steps", "seconds") if name in facts}
        if history and "code_length" in history[0]:
            told["nats_after"] = min(record["code_length"] for record in history)


def _rate(prior: nn.Module) -> float:
    if not isinstance(prior, priors.AutoregressiveCodes):
        return RATE
    return CODE_RATE * min(1.0, (USUAL / prior.hidden) ** 0.5)


def _begun(prior: nn.Module, z: Tensor) -> Callable[..., Loss]:
    """The objective that fits a prior to codes."""
    if isinstance(prior, flows.FlowMatching):
        prior.start(z.to(prior.location))
        return flows.matching
    return negative_log_density


@contextmanager
def _trainable(prior: priors.SecondStage) -> Iterator[None]:
    """Within, the second stage's parameters are trained; elsewhere they are held."""
    parameters = list(prior.prior.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)  # noqa: FBT003 - a tensor's
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)  # noqa: FBT003 - a tensor's


def _codes_of(model: Any, data: Tensor | Source, seed: int) -> Tensor:
    """A draw z ~ q(z|x) for each of the training items, in one pass, `[M, D]`."""
    source = MemorySource(data) if isinstance(data, Tensor) else data
    most = max(1, min(source.items, NUMBERS // model.prior.latent))
    size = min(source.items, verbs.BLOCK)
    drawn: list[Tensor] = []
    with closing(source.batches(0, size, seed)) as stream:
        for step, x in enumerate(islice(stream, -(-most // size))):
            drawn.append(verbs.codes(model, x, len(x), seed=mix(seed, _CODE, step)))
    return torch.cat(drawn)[:most]
