"""Looking back for steps whose gradient was not finite, and saying where it came from.

Such a step changes nothing, and training does not wait to learn of it. At the next look the step is
computed again: if a NaN or an infinity comes up, its birth is traced and told; if not (the weights
have moved on), a warning tells of it and training goes on, unless many in a row were lost.

This module does not know how a step is used.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from variate.errors import NonFiniteError, VariateWarning
from variate.inference import Moment, Objective
from variate.training.batches import Feed
from variate.training.descent import WINDOW, Descent
from variate.training.first_look import kept_buffers
from variate.training.heldout import HeldOut
from variate.training.noise import Noise
from variate.training.nonfinite import Birth, advice, trace
from variate.training.processes import Processes

__all__ = ["STEP_NOISE", "Inspector"]

STEP_NOISE = 5
_MANY = 20


class Inspector:
    """Looks at the norms that the optimiser kept.

    Args:
        model: The model.
        objective: The objective.
        feed: The batches.
        noise: The run's random numbers.
        processes: Who trains together.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        feed: Feed,
        noise: Noise,
        processes: Processes,
    ) -> None:
        self._model = model
        self._objective = objective
        self._feed = feed
        self._noise = noise
        self._processes = processes
        self._modules = [
            (name, module)
            for name, module in (("model", model), ("objective", objective))
            if isinstance(module, nn.Module)
        ]
        self.looked = 0
        self.skipped = 0
        self._streak = 0

    def due(self, step: int) -> bool:
        """Whether the memory for norms is full after `step` steps."""
        return step - self.looked >= WINDOW

    def look(self, descent: Descent, step: int, progress: float) -> None:
        """Look at the steps since the last look, up to `step` - 1.

        Raises:
            NonFiniteError: A NaN or an infinity can be traced, or there are many in a row.
        """
        bad = descent.bad_steps(self.looked, step)
        self._streak = _streak(bad, range(self.looked, step), self._streak)
        self.looked = step
        self.skipped += len(bad)
        if bad:
            self._explain(bad[0], progress)

    def _explain(self, step: int, progress: float) -> None:
        born = self._replay(step, progress)
        votes = torch.tensor([float(born is not None)], device=self._processes.control)
        self._processes.sum(votes)
        if born is not None:
            raise self._error(step, born)
        if votes.item() > 0:
            raise NonFiniteError(
                f"at step {step + 1} a NaN or an infinity was born in another process, "
                "whose message says where"
            )
        if self._streak >= _MANY:
            raise NonFiniteError(
                f"the gradients of the last {self._streak} steps were not finite, and computed "
                "again they cannot be traced to an operation; lower learning_rate, or look at "
                "the data for extreme values"
            )
        warnings.warn(
            f"the gradient of step {step + 1} was not finite, so the step was not used; computed "
            "again with the present weights it is finite, and training goes on",
            VariateWarning,
            stacklevel=2,
        )

    def _replay(self, step: int, progress: float) -> Birth | None:
        """Compute a step again with the present weights, and change nothing."""
        x = self._feed.batch(step).to(self._processes.device)
        moment = Moment(progress, self._feed.items)
        noise = self._noise.at(STEP_NOISE, step, self._processes.rank)
        with kept_buffers([module for _, module in self._modules]), noise:
            return trace(lambda: self._objective(self._model, x, moment), x, self._modules)

    def _error(self, step: int, born: Birth) -> NonFiniteError:
        rows = self._feed.rows(step)[list(born.rows)]
        return NonFiniteError(
            f"at step {step + 1} a NaN or an infinity was born {born}{_listed(rows)}. "
            f"The step was not used. What to do: {advice(born)}"
        )

    def explain(self, step: int, progress: float, error: ValueError) -> None:
        """Explain a step at which a distribution refused its parameters.

        Raises:
            NonFiniteError: They were not finite, and it can be told since when.
        """
        if "invalid values" in str(error):  # torch's words
            born = self._replay(step, progress)
            if born is not None:
                raise self._error(step, born) from error

    def warn_of_part(self, held_out: HeldOut, part: int, step: int) -> None:
        """Warn that a part of the items that weights are chosen by has no finite figure."""
        rows = held_out.rows(part)
        for _, module in self._modules:
            module.eval()
        x = held_out.x[rows.to(held_out.x.device)]
        born = trace(lambda: held_out.loss(part), x, self._modules, gradient=False)
        for _, module in self._modules:
            module.train()
        where = "in a value that cannot be traced"
        if born is not None:
            data = "held-out" if held_out.fresh else "training"
            where = f"{born}{_listed(rows[list(born.rows)], data)}"
        warnings.warn(
            f"after step {step} the figure of the averaged weights is not finite: a NaN or an "
            f"infinity was born {where}; these weights are not kept",
            VariateWarning,
            stacklevel=2,
        )

    def facts(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"looked": self.looked, "skipped": self.skipped, "streak": self._streak}

    def load(self, facts: dict[str, Any]) -> None:
        """Take the facts of a checkpoint."""
        self.looked, self.skipped = facts["looked"], facts["skipped"]
        self._streak = facts["streak"]


def _streak(bad: Sequence[int], looked_at: range, before: int) -> int:
    """How many steps in a row were bad, up to the last that was looked at."""
    length = 0
    for step in reversed(looked_at):
        if step not in bad:
            return length
        length += 1
    return length + before


def _listed(rows: Tensor, data: str = "training") -> str:
    if len(rows) == 0:
        return ""
    numbers = ", ".join(str(row) for row in rows.tolist())
    return f", on row{'s' if len(rows) > 1 else ''} {numbers} of the {data} data"
