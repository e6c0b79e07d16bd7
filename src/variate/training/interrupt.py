"""Ctrl-C between two events.

    for event in interruptible(train(...)):
        ...

A KeyboardInterrupt in the middle of a step would leave the state torn, and no checkpoint could be
written. Here the first Ctrl-C is kept until the next event, where the run is closed in order: the
checkpoint is written, the best weights are in the model, and only then KeyboardInterrupt is raised.
A second Ctrl-C is not kept.

This module does not know what the events are.
"""

import signal
from collections.abc import Generator as Generates
from collections.abc import Iterator
from types import FrameType

from variate.training.events import Event

__all__ = ["interruptible"]


def interruptible(events: Iterator[Event]) -> Generates[Event, None, None]:
    """Pass events on, and let Ctrl-C take effect between two of them. For the main thread only.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the run was closed in order before this.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    before = signal.signal(signal.SIGINT, press)
    try:
        for event in events:
            yield event  # also of the step in which it was pressed, which is done
            if pressed:
                break
    finally:
        if isinstance(events, Generates):
            events.close()
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
