"""The curves of a run as TensorBoard event files.

    for event in tensorboard(train(...), "runs/first"):
        ...

A consumer of events like any other: it passes on what it sees. Steps are written a few times per
second at most, because reading a loss waits for the device.

This module does not know what is trained.
"""

from collections.abc import Generator as Generates
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variate.errors import MissingExtraError, OutputError
from variate.training.events import Event, Started, Step, Validated

__all__ = ["tensorboard"]

_SECONDS = 0.5


def tensorboard(events: Iterator[Event], folder: str | Path) -> Generates[Event, None, None]:
    """Write the figures of the events to `folder`, and pass the events on.

    Of several processes the first one writes.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        OutputError: The folder cannot be made or written to.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        need = "writing TensorBoard files"
        raise MissingExtraError(need, "tensorboard", "tensorboard") from error
    written = float("-inf")
    writer = None
    try:
        for event in events:
            if isinstance(event, Started) and event.rank == 0:
                writer = _writer(SummaryWriter, folder)
            elif writer is None:
                pass
            elif isinstance(event, Step) and event.seconds - written >= _SECONDS:
                written = event.seconds
                _write_step(writer, event)
            elif isinstance(event, Validated):
                _write_validated(writer, event)
            yield event
    finally:
        if writer is not None:
            writer.close()
        if isinstance(events, Generates):
            events.close()


def _writer(kind: Any, folder: str | Path) -> Any:
    try:
        return kind(str(folder))
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write TensorBoard files to {folder}: {reason}; name a folder that can be made "
            "or written to."
        ) from error


def _write_step(writer: Any, event: Step) -> None:
    writer.add_scalar("training/learning_rate", event.learning_rate, event.step)
    for name, term in {"loss": event.loss.total, **event.loss.terms}.items():
        if term.ndim == 0:
            writer.add_scalar(f"training/{name}", float(term), event.step)


def _write_validated(writer: Any, event: Validated) -> None:
    writer.add_scalar("held-out/figure", event.figure, event.step)
    for name, value in event.terms.items():
        if isinstance(value, float):
            writer.add_scalar(f"held-out/{name}", value, event.step)
        else:
            for i, part in enumerate(value):
                writer.add_scalar(f"held-out/{name}/{i}", part, event.step)
