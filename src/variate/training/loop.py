"""Training is a generator: `for event in train(model, objective, data): ...`.

The step is the whole of it. With the batch x of the step, made from (seed, step) alone,

    loss  = objective(model, x, Moment(progress, N))
    θ    <- AdamW on the gradient of loss.total, clipped by scaling, at η(progress)
    θ̄    <- the moving average of θ

and from time to time θ̄ is measured on held-out items and kept if it is the best so far. When the
generator ends, is closed or fails, the model holds the best averaged weights and is in evaluation
mode. To stop early, leave the loop; there is no callback and no trainer.

This module does not know what the data are, nor what the objective maximises.
"""

import math
import sys
from collections.abc import Generator as Generates
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn

from variate.errors import DataError, NonFiniteError, OptionError
from variate.inference import Objective
from variate.training.average import Average
from variate.training.batches import Feed, MemorySource, Source
from variate.training.descent import Descent
from variate.training.events import Event, Started
from variate.training.execution import chosen_precision, executed
from variate.training.first_look import check_data, first_look
from variate.training.health import warn_of_collapse
from variate.training.heldout import HeldOut
from variate.training.noise import Noise
from variate.training.processes import Processes, processes_of
from variate.training.run import Run
from variate.training.schedule import Seconds, Steps, planned
from variate.training.step import Eager, Graphed

__all__ = ["train"]

_PROBE = 2_048


def train(  # noqa: PLR0913 - the signature is the configuration
    model: nn.Module,
    objective: Objective,
    data: Tensor | Source,
    *,
    validation: Tensor | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    batch_size: int = 256,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.0,
    ema: float = 0.999,
    clip: float | None = 10.0,
    skip: float | None = None,
    patience: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str = "float32",
    compile: bool = False,
    graph: bool = False,
    validate_every: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    fingerprint: str = "",
    processes: int | None = None,
    timeout: float = 60.0,
) -> Generates[Event, None, None]:
    """Train a model, and tell of each thing that happens.

    Args:
        model: What is trained; it is moved to the device and changed in place.
        objective: What is minimised; see `inference.Objective`.
        data: x `[N, *event]`, kept on the device; or a `Source`, for data bigger than memory.
        validation: Held-out items `[V, *event]`. Without them the weights are chosen by their
            figure on training items.
        epochs: The budget, in passes over the data. Without `epochs` and `minutes` it is chosen
            from the size of the data, with a patience of 8.
        minutes: The budget, in wall time.
        batch_size: Items per step, over all processes; at most N.
        learning_rate: The peak of the schedule.
        weight_decay: Decoupled weight decay, of parameters with two dimensions or more.
        ema: The decay of the averaged weights; 0 for no averaging.
        clip: The norm that gradients are scaled down to, or None.
        skip: A step whose gradient has a norm more than this many times the usual one of late
            changes nothing; None for no such rule. Deep hierarchies need it (10, say).
        patience: Stop after so many validations without a better figure; counted when all
            warm-up is over.
        seed: What the order of the items and all noise is drawn from.
        device: "cpu" or "cuda"; None takes a GPU if there is one.
        precision: "float32", "bfloat16" (inside the networks only) or "auto".
        compile: Compile the model with `torch.compile`, which takes up to minutes at the start.
        graph: Record the step once and play it again, on one CUDA device: small steps then take a
            fraction of the time. For models whose steps launch the same kernels each time; one
            that cannot be recorded is trained without, with a warning. Elsewhere it does nothing.
            With `compile` the objective is compiled too, and not the model's `forward` alone.
        validate_every: Steps between validations; None for about thirty in a run.
        checkpoint: A file from which the run can be resumed.
        checkpoint_seconds: The fewest seconds between two checkpoints.
        resume: Go on from the checkpoint if there is one.
        fingerprint: What else the run depends on (the data, the objective's numbers); a resume
            with another fingerprint is refused.
        processes: How many processes there must be; None for as many as torchrun started.
        timeout: Seconds after which a silent process counts as lost.

    Yields:
        `Started`, then `Step`, `Validated` and `Saved` as they happen, then `Finished`. Every
        process yields the same events (but `Saved`, which only the first one yields), and all
        must leave the loop at the same one.

    Raises:
        OptionError: An argument cannot be used.
        SupportError: An item lies outside of the likelihood's support.
        NonFiniteError: A NaN or an infinity was born; the message says where.
        CheckpointError: The checkpoint is damaged or belongs to another run.
        ProcessError: There are not as many processes as asked for, or one was lost.
    """
    _require_above_zero(epochs=epochs, minutes=minutes, clip=clip, learning_rate=learning_rate)
    _require_finite(epochs=epochs, minutes=minutes, learning_rate=learning_rate)
    _require_one_or_more(batch_size=batch_size, patience=patience, validate_every=validate_every)
    _require(epochs is None or minutes is None, "epochs and minutes are both given; choose one")
    _require(checkpoint is not None or not resume, "resume=True needs checkpoint=FILE")
    _require(weight_decay >= 0, f"weight_decay={weight_decay} must not be negative")
    _require(skip is None or skip > 1, f"skip={skip} must be above 1")
    _require(0 <= ema < 1, f"ema={ema} must be at least 0 and below 1")
    with ExitStack() as stack:
        group = stack.enter_context(processes_of(processes, device, timeout))
        noise = Noise(group.device, seed)
        feed = _feed(data, batch_size, seed, group)
        sample = feed.sample(_PROBE if validation is None else feed.size).to(group.device)
        probe = sample if validation is None else validation.to(group.device)
        model.to(group.device)
        _check_data(model, data, sample, validation, noise, group.device)
        critic = first_look(model, objective, sample[: feed.size], feed.items, noise)
        precision = chosen_precision(precision, group.device)
        graph = graph and group.device.type == "cuda" and group.world == 1
        forward_compiled = compile and not graph
        stack.enter_context(executed(model, group.device, precision, compiled=forward_compiled))
        descent = _descent(model, objective, group, weight_decay, clip, skip, critic=critic)
        eager = Eager(model, objective, descent, feed.items)
        run = Run(
            model=model,
            objective=objective,
            feed=feed,
            held_out=HeldOut(
                model,
                objective,
                probe,
                fresh=validation is not None,
                items=feed.items,
                part=feed.size,
                noise=noise,
                processes=group,
            ),
            descent=descent,
            stepping=Graphed(eager, compiled=compile) if graph else eager,
            average=Average([p for p in model.parameters() if p.requires_grad], ema),
            plan=planned(
                epochs=epochs,
                minutes=minutes,
                patience=patience,
                every=validate_every,
                items=feed.items,
                batch_size=feed.size,
                probe=len(probe),
            ),
            noise=noise,
            processes=group,
            peak=learning_rate,
            precision=precision,
        )
        resumed = run.begin(checkpoint, checkpoint_seconds, fingerprint, resume=resume)
        stack.callback(run.close)
        yield _started(run, resumed)
        yield from _events(run)


def _events(run: Run) -> Generates[Event, None, None]:
    """Everything that happens after the start; the state is whole at every `yield`."""
    stream = run.feed.batches(run.step)
    try:
        while True:
            if run.inspector.due(run.step):
                run.inspect()
            if run.validation_due():
                run.inspect()
                yield run.validate()
            if run.stalled() or run.progress >= 1.0:
                break
            if run.writer is not None and run.writer.due(run.clock.seconds()):
                yield run.save()
            yield run.advance(next(stream))
    except GeneratorExit:
        if run.writer is not None and not sys.is_finalizing():
            run.save()
        raise
    finally:
        stream.close()
    if not run.best.step:
        raise NonFiniteError(
            "the figure of the averaged weights was never finite, so there are no weights to "
            "keep; look at the warnings before this for the operation and the rows"
        )
    if run.processes.rank == 0:
        warn_of_collapse(run.best.terms)
    yield run.finished(_reason(run))


def _reason(run: Run) -> str:
    if run.progress < 1.0:
        return f"no improvement for {run.best.waited} validations"
    budget = run.plan.budget
    if isinstance(budget, Steps):
        return f"budget spent ({budget.total} steps)"
    return f"budget spent ({budget.total / 60:g} minutes)"


def _started(run: Run, resumed: int | None) -> Started:
    budget = run.plan.budget
    return Started(
        items=run.feed.items,
        held_out=len(run.held_out.x) if run.held_out.fresh else 0,
        probe=len(run.held_out.x),
        batch_size=run.feed.size,
        steps=budget.total if isinstance(budget, Steps) else None,
        seconds=budget.total if isinstance(budget, Seconds) else None,
        parameters=sum(p.numel() for p in run.model.parameters() if p.requires_grad),
        device=str(run.processes.device),
        precision=run.precision,
        resumed=resumed,
        rank=run.processes.rank,
        processes=run.processes.world,
    )


def _feed(data: Tensor | Source, batch_size: int, seed: int, group: Processes) -> Feed:
    source = MemorySource(data.to(group.device)) if isinstance(data, Tensor) else data
    size = min(batch_size, source.items)
    size -= size % group.world
    if size == 0:
        raise DataError(
            f"the data has {source.items} items and a batch {batch_size}, too few for "
            f"{group.world} {'process' if group.world == 1 else 'processes'}: each needs one "
            "item in every step"
        )
    return Feed(source, size, seed, group.rank, group.world)


def _check_data(
    model: nn.Module,
    data: Tensor | Source,
    sample: Tensor,
    validation: Tensor | None,
    noise: Noise,
    device: torch.device,
) -> None:
    """Check what is in memory; of a stream, only the sample is."""
    sets = {"the data": data if isinstance(data, Tensor) else sample}
    if validation is not None:
        if len(validation) == 0:
            raise DataError("the held-out data has no items; give validation=None instead")
        sets["the held-out data"] = validation
    check_data(model, sets, noise, device)


def _descent(
    model: nn.Module,
    objective: Objective,
    group: Processes,
    weight_decay: float,
    clip: float | None,
    skip: float | None,
    *,
    critic: bool,
) -> Descent:
    own = [p for p in model.parameters() if p.requires_grad]
    if not own:
        raise OptionError("the model has no parameters that can be trained")
    theirs = []
    if isinstance(objective, nn.Module):
        known = {id(p) for p in model.parameters()}
        theirs = [p for p in objective.parameters() if p.requires_grad and id(p) not in known]
    return Descent(
        own if critic else own + theirs,
        theirs if critic else [],
        weight_decay=weight_decay,
        clip=clip,
        skip=skip,
        processes=group,
    )


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise OptionError(otherwise)


def _require_above_zero(**values: float | None) -> None:
    for name, value in values.items():
        _require(value is None or value > 0, f"{name}={value} must be above 0")


def _require_finite(**values: float | None) -> None:
    for name, value in values.items():
        _require(value is None or math.isfinite(value), f"{name}={value} must be finite")


def _require_one_or_more(**values: int | None) -> None:
    for name, value in values.items():
        _require(value is None or value >= 1, f"{name}={value} must be at least 1")
