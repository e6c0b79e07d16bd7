"""One step, computed anew each time, or recorded once and played again on the device.

    Eager      loss <- objective(model, x, moment);   descent on it
    Graphed    the same, its kernels recorded by a CUDA graph and started by one call

Starting a small kernel takes the processor longer than running it takes a GPU; a step of a small
network is some hundred of them. A graph replays them with the addresses of the recording: the batch
is copied to where it was, and what moves from step to step (the learning rate, β, free bits) is in
scalars on the device. `Moment.at` gives an objective such a scalar and notes the schedule; before
each replay the schedules are asked and the scalars filled. Random numbers come from the generator's
seed, which a replay reads anew, so that both ways draw the same.

A step can be recorded if it launches the same kernels each time, reads nothing back from the device
and draws from torch's generators only. One that cannot, or an objective that computes with
`moment.progress` itself, goes on as before, and a warning tells why.

This module does not know what the objective maximises, nor when a step is made.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from variate.errors import VariateWarning
from variate.inference import Loss, Moment, Objective
from variate.training.descent import Descent

__all__ = ["Eager", "Graphed", "Stepping", "Tape"]

_BEFORE = 11  # steps before the recording: kernels are chosen, compiled and their memory taken
_MOST = 16  # coefficients of an objective


class Stepping(Protocol):
    """A way to make a step."""

    def __call__(self, x: Tensor, progress: float, rate: float) -> Loss:
        """Move the parameters on the batch x `[B, *event]`; the loss, without a graph."""
        ...


class Eager:
    """A step that is computed anew each time.

    Args:
        model: What is trained.
        objective: What is minimised.
        descent: What moves the parameters.
        items: How many items the training data has.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, descent: Descent, items: int
    ) -> None:
        self.model = model
        self.objective = objective
        self.descent = descent
        self.items = items

    def __call__(self, x: Tensor, progress: float, rate: float) -> Loss:
        """The step: see `Stepping`."""
        return self.at(x, Moment(progress, self.items), rate)

    def at(self, x: Tensor, moment: Moment, rate: float | Tensor) -> Loss:
        """The step at a moment."""
        return self.descend(self.objective(self.model, x, moment), rate)

    def descend(self, loss: Loss, rate: float | Tensor) -> Loss:
        """Use a loss; the same without a graph."""
        self.descent.step(loss, rate)
        critic = None if loss.critic is None else loss.critic.detach()
        return Loss(loss.total.detach(), loss.terms, critic)


class Graphed:
    """A step that is recorded and played again, where it can be.

    Args:
        eager: The step.
        compiled: Whether the objective and what it calls is compiled by `torch.compile`: all of
            it, as its coefficients are no numbers here, and so nothing is compiled twice.
    """

    def __init__(self, eager: Eager, *, compiled: bool) -> None:
        self._eager = eager
        self._compiled = compiled
        self._done = 0
        self._tape: Tape | None = None
        self._can = True

    def __call__(self, x: Tensor, progress: float, rate: float) -> Loss:
        """The step: see `Stepping`."""
        if not self._can or (self._tape is not None and x.shape != self._tape.x.shape):
            return self._eager(x, progress, rate)
        if self._tape is None:
            self._tape = Tape(self._eager, x, compiled=self._compiled)
        try:
            if self._done == _BEFORE:
                self._tape.record()
            self._done += 1
            return self._tape.play(x, progress, rate)
        except RuntimeError as error:
            if self._done > _BEFORE:
                raise
            self._can = False
            warnings.warn(
                "the step could not be recorded as a CUDA graph, so training goes on without, only "
                f"slower: {str(error).partition(chr(10))[0]}. A step that can be recorded reads "
                "nothing back from the device and launches the same kernels each time; graph=False "
                "asks for none",
                VariateWarning,
                stacklevel=2,
            )
            return self._eager(x, progress, rate)


class Tape:
    """A step that is computed with its batch, coefficients and loss always in the same places.

    Args:
        eager: The step.
        x: A batch like those that come.
        compiled: Whether the objective is compiled.

    Attributes:
        x: Where a batch is put.
    """

    def __init__(self, eager: Eager, x: Tensor, *, compiled: bool = False) -> None:
        self.x = x.clone()
        self._again: Callable[[], object] = self.compute
        self._eager = eager
        self._moment = _Moving(x.device, eager.items)
        self._rate = torch.zeros((), device=x.device)
        self._loss = torch.compile(self._objective) if compiled else self._objective
        self._shapes: dict[str, torch.Size] = {}
        self._flat: Tensor | None = None

    def _objective(self, x: Tensor) -> Loss:
        self._moment.place = 0
        return self._eager.objective(self._eager.model, x, self._moment)

    def record(self) -> None:
        """From now on, what `compute` does is started by one call.

        Raises:
            RuntimeError: It cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.compute()
        self._again = graph.replay

    def compute(self) -> None:
        """The step on what is in its places.

        Raises:
            RuntimeError: The objective computes with `moment.progress`.
        """
        loss = self._eager.descend(self._loss(self.x), self._rate)
        parts = {"/total": loss.total, **loss.terms}
        if loss.critic is not None:
            parts["/critic"] = loss.critic
        flat = torch.cat([part.detach().reshape(-1).float() for part in parts.values()])
        if self._flat is None:
            self._shapes = {name: part.shape for name, part in parts.items()}
            self._flat = flat
        else:
            self._flat.copy_(flat)

    def play(self, x: Tensor, progress: float, rate: float) -> Loss:
        """The step on another batch, at another time."""
        self.x.copy_(x)
        self._rate.fill_(rate)
        self._moment.move(progress)
        self._again()
        assert self._flat is not None
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = self._flat.clone().split(sizes)  # the next replay writes to the same place
        parts = {
            name: piece.view(shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }
        return Loss(parts.pop("/total"), critic=parts.pop("/critic", None), terms=parts)


class _Moving(Moment):
    """A moment whose coefficients are scalars on the device.

    Args:
        device: The device.
        items: How many items the training data has.
    """

    values: Sequence[Tensor]
    schedules: list[Callable[[float], float]]
    place: int

    def __new__(cls, device: torch.device, items: int) -> "_Moving":
        made = super().__new__(cls, 1.0, items)
        made.values = torch.zeros(_MOST, device=device).unbind()  # none is made while recording
        made.schedules = []
        made.place = 0
        return made

    @property
    def progress(self) -> float:
        """What cannot be recorded.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            "the objective computes with moment.progress, a number that would be recorded once and "
            "for all; moment.at(schedule) gives one that moves"
        )

    def at(self, coefficient: float | Callable[[float], float]) -> float:
        """The number itself, or a scalar that will be filled with the schedule's value."""
        if not callable(coefficient):
            return coefficient
        if self.place == len(self.schedules):
            if self.place == _MOST:
                raise RuntimeError(f"the objective asks for more than {_MOST} coefficients")
            self.schedules.append(coefficient)
        self.place += 1
        return cast("float", self.values[self.place - 1])  # a scalar computes like a number

    def move(self, progress: float) -> None:
        """Fill the scalars with what the schedules say."""
        for schedule, value in zip(self.schedules, self.values, strict=False):
            value.fill_(schedule(progress))
