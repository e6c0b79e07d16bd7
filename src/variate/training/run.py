"""One run: its parts, its state, and what can be done with it.

    advance    one step of the optimiser
    inspect    look back for gradients that were not finite
    validate   measure the averaged weights
    save       write the state to a checkpoint
    close      leave the best weights in the model

The state is the weights, their average, the best of these, the moments of the optimiser, the
buffers, the step and the clock; everything the run does next is a function of it. Between two of
these calls the state is whole, so a run that is taken up from a checkpoint goes on exactly.

This module does not know in which order they are called; `loop` does.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from variate.errors import CheckpointError, OutputError
from variate.inference import Objective
from variate.training.average import Average, Best
from variate.training.batches import Feed
from variate.training.checkpoint import CheckpointWriter, read_checkpoint
from variate.training.descent import Descent
from variate.training.events import Finished, Saved, Step, Validated
from variate.training.heldout import HeldOut
from variate.training.inspection import STEP_NOISE, Inspector
from variate.training.noise import Noise
from variate.training.processes import Processes, SharedBuffers
from variate.training.schedule import Clock, Plan, Seconds, learning_rate
from variate.training.step import Stepping

__all__ = ["Run"]

_AGREE_EVERY = 10
_PATIENT_FROM = 0.2


@dataclass
class Run:
    """The parts and the state of a run.

    Attributes:
        model: The model, on its device.
        objective: The equation.
        feed: The batches.
        held_out: What weights are chosen by.
        descent: The optimiser.
        average: The averaged weights.
        plan: What can be spent, and when to look at the figure.
        noise: The run's random numbers.
        processes: Who trains together.
        stepping: How a step is made.
        peak: The largest learning rate.
        precision: In which the networks compute.
    """

    model: nn.Module
    objective: Objective
    feed: Feed
    held_out: HeldOut
    descent: Descent
    average: Average
    plan: Plan
    noise: Noise
    processes: Processes
    stepping: Stepping
    peak: float
    precision: str
    writer: CheckpointWriter | None = None
    step: int = 0
    progress: float = 0.0
    beta: Tensor | float | None = None
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        parts = (("model", self.model), ("objective", self.objective))
        self._modules = {name: part for name, part in parts if isinstance(part, nn.Module)}
        self._buffers = SharedBuffers(list(self._modules.values()), self.processes)
        self.best = Best(self.model)
        self.inspector = Inspector(
            self.model, self.objective, self.feed, self.noise, self.processes
        )

    def advance(self, x: Tensor) -> Step:
        """One step of the optimiser on the batch x."""
        x = x.to(self.processes.device, non_blocking=True)
        rate = learning_rate(self.peak, self.progress)
        self._buffers.mark()
        try:
            with self.noise.at(STEP_NOISE, self.step, self.processes.rank):
                loss = self.stepping(x, self.progress, rate)
                self.descent.remember(self.step)
        except ValueError as error:
            self.inspector.explain(self.step, self.progress, error)
            raise
        self._buffers.settle()
        self.step += 1
        self.average.update(self.step)
        self.beta = loss.terms.get("beta")
        seconds = self.clock.seconds()
        self._spend(seconds)
        items = self.step * self.feed.size
        return Step(
            step=self.step,
            epoch=items / self.feed.items,
            progress=self.progress,
            items=items,
            seconds=seconds,
            cpu_seconds=self.clock.cpu_seconds(),
            learning_rate=rate,
            loss=loss,
        )

    def _spend(self, seconds: float) -> None:
        """Update the progress; the first process reads the clock for all, now and then."""
        if isinstance(self.plan.budget, Seconds) and self.processes.world > 1:
            if self.step % _AGREE_EVERY:
                return
            seconds = self.processes.agree(seconds)
        self.progress = self.plan.budget.progress(self.step, seconds)

    def inspect(self) -> None:
        """Look back for gradients that were not finite.

        Raises:
            NonFiniteError: One can be traced, or there are many in a row.
        """
        self.inspector.look(self.descent, self.step, self.progress)

    def validation_due(self) -> bool:
        """Whether the averaged weights are to be measured now."""
        return self.plan.cadence.due(self.step, self.progress)

    def validate(self) -> Validated:
        """Measure the averaged weights, and keep them if they are the best so far."""
        begin = self.clock.seconds()
        with self.average.in_place():
            figure, terms, bad_part = self.held_out.measure()
            warm = self.processes.agree(float(self._warm(terms)))  # β may differ a little
            opened = self.processes.agree(float(self._opened(terms)))
            better = opened > 0 and self.best.consider(self.step, figure, terms, counts=warm > 0)
            if bad_part is not None and self.processes.rank == 0:
                self.inspector.warn_of_part(self.held_out, bad_part, self.step)
        seconds = self.clock.seconds()
        cost = 0.0
        if isinstance(self.plan.budget, Seconds):
            cost = self.processes.agree(seconds - begin) / self.plan.budget.total
        self.plan.cadence.done(self.step, self.progress, cost)
        return Validated(
            step=self.step,
            progress=self.progress,
            seconds=seconds,
            cpu_seconds=self.clock.cpu_seconds(),
            figure=figure,
            terms=terms,
            best=better,
            held_out=self.held_out.fresh,
        )

    def _warm(self, terms: dict[str, float | list[float]]) -> bool:
        """Whether every warm-up is over, as far as can be told: β is what it is at the end."""
        last = terms.get("beta")
        if self.progress < _PATIENT_FROM:
            return False
        if self.beta is None or not isinstance(last, float):
            return True
        return math.isclose(float(self.beta), last, rel_tol=1e-3, abs_tol=1e-6)

    def _opened(self, terms: dict[str, float | list[float]]) -> bool:
        """Whether the codes had any weight yet, if they are to have some: else no weights are kept.

        An encoder that nothing was asked of is worth nothing, however good the figure may be.
        """
        last = terms.get("beta")
        if not self.step or self.beta is None or not isinstance(last, float):
            return True
        if self.progress >= 1.0:
            return True  # the last chance: a run may be of one step
        return float(self.beta) > 0.0 or last == 0.0

    def stalled(self) -> bool:
        """Whether the patience is at its end."""
        return self.plan.patience is not None and self.best.waited >= self.plan.patience

    def finished(self, reason: str) -> Finished:
        """The last event."""
        return Finished(
            reason=reason,
            step=self.step,
            seconds=self.clock.seconds(),
            cpu_seconds=self.clock.cpu_seconds(),
            best_step=self.best.step,
            best_figure=self.best.figure,
            terms=self.best.terms,
            held_out=self.held_out.fresh,
            skipped=self.inspector.skipped,
        )

    def close(self) -> None:
        """Leave the best weights in the model: the averaged ones where none were measured."""
        if self.best.step:
            self.best.restore()
        else:
            self.average.adopt()
        for module in self._modules.values():
            module.eval()

    def begin(
        self, checkpoint: str | Path | None, every: float, caller: str, *, resume: bool
    ) -> int | None:
        """Take up the run: from the checkpoint if there is one, in all processes alike.

        Args:
            checkpoint: The file, which only the first process opens.
            every: The fewest seconds between two checkpoints.
            caller: The caller's own fingerprint.
            resume: Whether to go on from the file.

        Returns:
            The step that is gone on from, or None for a fresh start.

        Raises:
            CheckpointError: The file is damaged or of another run; in all processes alike.
            OutputError: The file could not be written; in all processes alike.
        """
        found, trouble = None, None
        live = self.tensors()
        if checkpoint is not None and self.processes.rank == 0:
            fingerprint = self._fingerprint(caller)
            try:
                self.writer = CheckpointWriter(Path(checkpoint), every, fingerprint)
                if resume and Path(checkpoint).exists():
                    found = read_checkpoint(Path(checkpoint), fingerprint)
                    _copy(found.tensors, live)
            except (CheckpointError, OutputError) as error:
                trouble = error
        self.processes.raise_alike(trouble)
        self.processes.copy(live.values())
        facts = json.loads(self.processes.agree_text(json.dumps(found and found.facts)))
        if facts is not None:
            self._take(facts)
        seconds = self.processes.agree(self.clock.seconds())
        self.progress = self.plan.budget.progress(self.step, seconds)
        if self.writer is not None:
            self.writer.begin(seconds, live)
        return None if facts is None else self.step

    def save(self) -> Saved:
        """Write the state to the checkpoint."""
        assert self.writer is not None
        seconds = self.clock.seconds()
        facts = {
            "step": self.step,
            "seconds": seconds,
            "cpu_seconds": self.clock.cpu_seconds(),
            "beta": None if self.beta is None else float(self.beta),
            "inspector": self.inspector.facts(),
            "cadence": self.plan.cadence.facts(),
            "best": self.best.facts(),
        }
        took = self.writer.write(self.tensors(), facts, seconds)
        return Saved(self.step, self.writer.path, self.writer.path.stat().st_size, took)

    def _take(self, facts: dict[str, Any]) -> None:
        self.step, self.beta = facts["step"], facts["beta"]
        self.clock = Clock(facts["seconds"], facts["cpu_seconds"])
        self.inspector.load(facts["inspector"])
        self.plan.cadence.load(facts["cadence"])
        self.best.load(facts["best"])

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors of the state, by name."""
        own = {
            f"{name}/{key}": tensor
            for name, module in self._modules.items()
            for key, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        return own | self.descent.tensors() | self.average.tensors() | self.best.tensors()

    def _fingerprint(self, caller: str) -> dict[str, Any]:
        """What a run must have in common with the checkpoint that it goes on from."""
        shapes = [(name, list(tensor.shape)) for name, tensor in self.model.state_dict().items()]
        return {
            "model": hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16],
            "objective": type(self.objective).__name__,
            "items": self.feed.items,
            "held-out items": len(self.held_out.x) if self.held_out.fresh else 0,
            "batch_size": self.feed.size,
            "seed": self.feed.seed,
            "budget": str(self.plan.budget),
            "patience": self.plan.patience,
            "validate_every": self.plan.cadence.every,
            "learning_rate": self.peak,
            "weight_decay": self.descent.weight_decay,
            "clip": self.descent.clip,
            "skip": self.descent.skip,
            "ema": self.average.decay,
            "precision": self.precision,
            "processes": self.processes.world,
            "fingerprint": caller,
        }


@torch.no_grad()
def _copy(found: dict[str, Tensor], live: dict[str, Tensor]) -> None:
    for name in {**live, **found}:
        here, there = live.get(name), found.get(name)
        if here is None or there is None or here.shape != there.shape or here.dtype != there.dtype:
            raise CheckpointError(
                f"the checkpoint does not fit this run: '{name}' is {_described(there)} in the "
                f"file and {_described(here)} in the run; start afresh without resume"
            )
        here.copy_(there)


def _described(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
