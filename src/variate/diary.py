"""What is remembered of a training run: facts, and the validations in order.

This module does not know what was trained.
"""

import threading
from collections.abc import Iterator
from typing import Any

from variate.progress import watch
from variate.training import Event, Finished, Started, Step, Validated, interruptible

__all__ = ["follow"]


def follow(
    events: Iterator[Event], facts: dict[str, Any], history: list[dict[str, Any]], *, show: bool
) -> None:
    """Go through a run to its end, and write down what happens.

    Args:
        events: What `train` yields.
        facts: Gains `parameters`, `processes`, `rank`, and at the end or an interruption `stopped`
            (why), `steps`, `best_step`, `beta` (the weight of the KL in force), `seconds` and
            `cpu_seconds`.
        history: Gains one record per validation: `step`, `figure` and the objective's terms.
        show: Whether progress is shown on standard error.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the run was closed in order before this.
    """
    if threading.current_thread() is threading.main_thread():
        events = interruptible(events)
    try:
        for event in watch(events, show=show):
            _note(event, facts, history)
    except KeyboardInterrupt:
        facts["stopped"] = "interrupted"
        raise


def _note(event: Event, facts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    match event:
        case Started():
            facts["parameters"] = event.parameters
            facts["processes"], facts["rank"] = event.processes, event.rank
        case Validated():
            history.append({"step": event.step, "figure": event.figure, **event.terms})
            facts["beta"] = event.terms.get("beta")
            if event.best:
                facts["best_step"] = event.step
        case Step():  # what an interruption leaves is true
            facts["steps"] = event.step
            facts["seconds"] = round(event.seconds, 3)
            facts["cpu_seconds"] = round(event.cpu_seconds, 3)
        case Finished():
            facts["stopped"] = event.reason
            facts["steps"], facts["best_step"] = event.step, event.best_step
            facts["beta"] = event.terms.get("beta")
            facts["seconds"] = round(event.seconds, 3)
            facts["cpu_seconds"] = round(event.cpu_seconds, 3)
