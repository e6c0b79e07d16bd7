"""A stopwatch for wall time and for the CPU time of this process, all its threads together.

CPU time is what a loop costs; wall time is what a user waits. On a machine that others use, the
first is the steadier of the two.

This module does not know what is timed.
"""

import time
from typing import NamedTuple

__all__ = ["Stopwatch", "Taken"]


class Taken(NamedTuple):
    """Seconds of wall time and of this process's CPU time."""

    wall: float
    cpu: float


class Stopwatch:
    """Runs from the moment that it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def taken(self) -> Taken:
        """What has been taken so far."""
        return Taken(time.perf_counter() - self._wall, time.process_time() - self._cpu)
