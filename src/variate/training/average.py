"""The average of the weights over the last steps, and the best of these averages.

The exponential moving average θ̄ <- θ̄ + (1 - d)·(θ - θ̄) of the weights (Polyak & Juditsky 1992)
is better held-out than the weights themselves. Its horizon 1 / (1 - d) must stay short beside the
run, so the decay grows with the steps t that are done,

    d_t = min(d, (1 + t) / (10 + t))            a horizon of a tenth of the run so far

and since θ moves little in a few steps, one update in `STRIDE` with d_t^STRIDE does for all of
them, at a `STRIDE`-th of the cost. Buffers (the running statistics of a normalisation) are
averages already, and are taken as they are.

This module does not know how good a set of weights is; it is told.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Average", "Best"]

STRIDE = 8
_EVERY_STEP = 100


class Average:
    """The exponential moving average of some parameters.

    Args:
        parameters: The parameters.
        decay: d, from 0 (no averaging) to below 1.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self.decay = decay
        self._values = [p.detach() if decay == 0.0 else p.detach().clone() for p in parameters]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        stride = 1 if step < _EVERY_STEP else STRIDE
        if self.decay == 0.0 or step % stride:
            return
        decay = min(self.decay, (1 + step) / (10 + step)) ** stride
        with torch.no_grad():
            torch._foreach_lerp_(self._values, self._parameters, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the averaged weights inside this block, at no cost."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def adopt(self) -> None:
        """The model takes the averaged weights, for good."""
        self._swap()

    def _swap(self) -> None:
        if self.decay == 0.0:
            return
        for i, p in enumerate(self._parameters):
            p.data, self._values[i] = self._values[i], p.data

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        if self.decay == 0.0:
            return {}
        return {f"average/{i}": value for i, value in enumerate(self._values)}


class Best:
    """One copy of a model's weights and buffers: the best so far; and for how long they are it.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._kept = [tensor.detach().clone() for tensor in self._live()]
        self.figure = float("-inf")
        self.step = 0
        self.waited = 0
        self.terms: dict[str, float | list[float]] = {}

    def _live(self) -> list[Tensor]:
        return [*self._model.parameters(), *self._model.buffers()]

    @torch.no_grad()
    def consider(
        self, step: int, figure: float, terms: dict[str, float | list[float]], *, counts: bool
    ) -> bool:
        """Keep the weights that the model has now if their figure is the highest so far.

        Args:
            step: The step they were reached at.
            figure: Their figure; never kept if it is not finite.
            terms: What is remembered about them.
            counts: Whether a failure to improve counts as waiting.
        """
        better = float("-inf") < figure < float("inf") and figure > self.figure
        if better:
            torch._foreach_copy_(self._kept, self._live())
            self.figure, self.step, self.terms = figure, step, terms
        self.waited = 0 if better else self.waited + counts
        return better

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back into the model, if there were any."""
        if self.step:
            torch._foreach_copy_(self._live(), self._kept)

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors that a checkpoint must hold."""
        return {f"best/{i}": value for i, value in enumerate(self._kept)}

    def facts(self) -> dict[str, Any]:
        """The rest of what a checkpoint must hold."""
        return {
            "figure": self.figure,
            "step": self.step,
            "waited": self.waited,
            "terms": self.terms,
        }

    def load(self, facts: dict[str, Any]) -> None:
        """Take the facts of a checkpoint."""
        self.figure, self.step, self.waited = facts["figure"], facts["step"], facts["waited"]
        self.terms = facts["terms"]
