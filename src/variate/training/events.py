"""What a training run tells: one record per thing that happened.

`for event in train(...)` gives one `Started`, then `Step`s with now and then a `Validated` or a
`Saved` between them, and one `Finished`. A progress bar, a log, live curves, a web page or a stop
button are consumers of these records; the loop knows none of them.

Numbers that live on the device stay there: `Step.loss` holds tensors, and reading one of them
(`float(step.loss.total)`) waits for the device. All figures are in nats per item.

This module does not know how any of its numbers was made.
"""

from dataclasses import dataclass
from pathlib import Path

from variate.inference import Loss

__all__ = ["Event", "Finished", "Saved", "Started", "Step", "Validated"]


@dataclass(frozen=True, slots=True)
class Started:
    """The run is set up and the first step comes next.

    Attributes:
        items: Training items N.
        held_out: Held-out items; 0 if there are none, and then the figures of the run are
            measured on `probe` training items and say nothing about new data.
        probe: How many items a validation looks at.
        batch_size: Items per step, over all processes.
        steps: Steps of the whole run, or None under a budget of minutes.
        seconds: The budget of wall time, or None under a budget of epochs.
        parameters: Free parameters of the model.
        device: Where the tensors are.
        precision: "float32" or "bfloat16".
        resumed: The step at which a checkpoint is taken up, or None for a fresh start.
        rank: This process, 0 to processes - 1.
        processes: Processes that train together.
    """

    items: int
    held_out: int
    probe: int
    batch_size: int
    steps: int | None
    seconds: float | None
    parameters: int
    device: str
    precision: str
    resumed: int | None = None
    rank: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser is done.

    Attributes:
        step: Steps done, from 1.
        epoch: Passes over the training data, a fraction.
        progress: The share of the budget that is spent, 0 to 1.
        items: Items seen, over all processes.
        seconds: Wall time of the run, without the time between a kill and a resume.
        cpu_seconds: Process time of the run (this process).
        learning_rate: The rate of this step.
        loss: The loss of this process's part of the batch, on the device and without a graph.
    """

    step: int
    epoch: float
    progress: float
    items: int
    seconds: float
    cpu_seconds: float
    learning_rate: float
    loss: Loss


@dataclass(frozen=True, slots=True)
class Validated:
    """The averaged weights were measured, in evaluation mode and at the end of every schedule.

    Attributes:
        step: Steps done.
        progress: The share of the budget that is spent.
        seconds: Wall time of the run.
        cpu_seconds: Process time of the run.
        figure: Minus the objective's total, a mean over items; higher is better.
        terms: The objective's terms, means over items; a list for `kl_per_dimension`.
        best: Whether no earlier figure was higher.
        held_out: Whether the items were held out of training.
    """

    step: int
    progress: float
    seconds: float
    cpu_seconds: float
    figure: float
    terms: dict[str, float | list[float]]
    best: bool
    held_out: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint was written.

    Attributes:
        step: The step at which the run can be taken up again.
        path: The file.
        size: Its bytes.
        seconds: What writing it took.
    """

    step: int
    path: Path
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over; the model holds the best weights and is in evaluation mode.

    Attributes:
        reason: Why it stopped, for people.
        step: Steps done.
        seconds: Wall time of the run.
        cpu_seconds: Process time of the run.
        best_step: The step whose averaged weights were best.
        best_figure: Their figure.
        terms: Their terms.
        held_out: Whether the figure is of held-out items.
        skipped: Steps whose gradient was not finite, and which changed nothing.
    """

    reason: str
    step: int
    seconds: float
    cpu_seconds: float
    best_step: int
    best_figure: float
    terms: dict[str, float | list[float]]
    held_out: bool
    skipped: int = 0


Event = Started | Step | Validated | Saved | Finished
