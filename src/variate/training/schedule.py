r"""What is a function of how much of the budget is spent: the progress p in [0, 1].

A budget is a number of steps T or of seconds. With s steps done after t seconds

    p = s / T        or        p = t / seconds

and everything that changes during a run is laid over p, so that it is complete when the budget is:
the objective's own schedules (`Moment.progress`) and the learning rate

    η(p) = η_max · max(p / w, 1/100)                    p < w     linear warm-up
    η(p) = η_max · (1 + cos(π (p - w) / (1 - w))) / 2   p >= w    cosine (Loshchilov & Hutter 2017)

A run under a budget of steps can be repeated bit by bit. Under a budget of seconds the clock is an
input like the data, and no two runs are the same.

Validations cost a forward pass over V held-out items each, a third of a training step per item, so
k of them cost the share k·V / (3·T·B) of a run of T steps of B items; k is chosen to keep that
below a twentieth. Under a budget of seconds the same is done with the measured cost.

This module does not know what a step does.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "Budget",
    "Cadence",
    "Clock",
    "Plan",
    "Seconds",
    "Steps",
    "default_epochs",
    "learning_rate",
    "planned",
]

WARM_UP = 0.02
MOST_VALIDATIONS = 30
FEWEST_VALIDATIONS = 4
VALIDATION_SHARE = 0.05
DEFAULT_PATIENCE = 8
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Steps:
    """A budget of `total` steps."""

    total: int

    def progress(self, step: int, seconds: float) -> float:  # noqa: ARG002 - as in Seconds
        """The share that is spent after so many steps."""
        return min(1.0, step / self.total)


@dataclass(frozen=True)
class Seconds:
    """A budget of `total` seconds of wall time."""

    total: float

    def progress(self, step: int, seconds: float) -> float:  # noqa: ARG002 - as in Steps
        """The share that is spent after so many seconds."""
        return min(1.0, seconds / self.total)


Budget = Steps | Seconds


def learning_rate(peak: float, progress: float) -> float:
    """The learning rate at `progress`: a short linear warm-up, then a cosine down to zero."""
    if progress < WARM_UP:
        return peak * max(progress / WARM_UP, 0.01)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - WARM_UP) / (1.0 - WARM_UP)))


def default_epochs(items: int, batch_size: int) -> float:
    """Epochs that bring a small network near convergence when the user names no budget.

    At least 4,000 steps and five passes; a hundred passes if these are fewer than 20,000 steps.

    Example:
        >>> default_epochs(1_000, 250), default_epochs(20_000, 250), default_epochs(10**7, 250)
        (1000.0, 100.0, 5.0)
    """
    per_epoch = items / batch_size
    return max(4_000 / per_epoch, min(100.0, 20_000 / per_epoch), 5.0)


class Cadence:
    """When to validate: after every `interval` of progress, or after every so many steps.

    Args:
        interval: Progress between two validations.
        every: Steps between two validations; if given, `interval` counts for nothing.
    """

    def __init__(self, interval: float, every: int | None = None) -> None:
        self.interval = interval
        self.every = every
        self.next = interval
        self.last_step = 0

    def due(self, step: int, progress: float) -> bool:
        """Whether a validation is due; always at the end of the budget, never twice at a step."""
        if step == self.last_step:
            return False
        if progress >= 1.0:
            return True
        return progress >= self.next - _ROUNDING if self.every is None else step % self.every == 0

    def done(self, step: int, progress: float, cost: float) -> None:
        """A validation was made at `step` and cost the share `cost` of the budget."""
        self.last_step = step
        self.next = progress + max(self.interval, cost / VALIDATION_SHARE)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"next": self.next, "last_step": self.last_step}

    def load(self, facts: dict[str, Any]) -> None:
        """Take the facts of a checkpoint."""
        self.next, self.last_step = facts["next"], facts["last_step"]


class Plan(NamedTuple):
    """What can be spent, when to validate, and how long to wait for a better figure."""

    budget: Budget
    cadence: Cadence
    patience: int | None


def planned(
    *,
    epochs: float | None,
    minutes: float | None,
    patience: int | None,
    every: int | None,
    items: int,
    batch_size: int,
    probe: int,
) -> Plan:
    """The plan of a run over `items`, each validation looking at `probe` items.

    Without `epochs` and `minutes` the epochs are chosen from the size of the data, and a patience
    keeps a run that has nothing more to learn from spending them all.
    """
    if minutes is not None:
        return Plan(Seconds(60.0 * minutes), Cadence(1.0 / MOST_VALIDATIONS, every), patience)
    if epochs is None:
        epochs = default_epochs(items, batch_size)
        patience = patience or DEFAULT_PATIENCE
    steps = max(1, round(epochs * items / batch_size))
    affordable = int(3 * VALIDATION_SHARE * steps * batch_size / probe)
    number = min(steps, max(FEWEST_VALIDATIONS, min(MOST_VALIDATIONS, affordable)))
    return Plan(Steps(steps), Cadence(1.0 / number, every), patience)


class Clock:
    """Wall time and process time of a run, continued over a resume.

    Args:
        seconds: Wall time of the run before this process took it up.
        cpu_seconds: Process time of the run before.
    """

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._wall = time.perf_counter() - seconds
        self._cpu = time.process_time() - cpu_seconds

    def seconds(self) -> float:
        """Wall time of the run."""
        return time.perf_counter() - self._wall

    def cpu_seconds(self) -> float:
        """Process time of the run."""
        return time.process_time() - self._cpu
