"""What a process costs together with all that it starts: wall and CPU seconds, and memory.

Peers hand parts of their work to processes of their own, some of which live on idle until the end,
so the CPU time is that of the process, of its children that have ended (RUSAGE_CHILDREN), and of
its living descendants (/proc; elsewhere than on Linux these are missed until they end).

This module does not know what the processes do.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Costs", "TreeStopwatch", "tree_bytes"]


class Costs(NamedTuple):
    """Seconds of wall time, and of CPU time of a process and all its descendants."""

    wall: float
    cpu: float


class TreeStopwatch:
    """Runs from the moment that it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def taken(self) -> Costs:
        """What has been taken so far."""
        return Costs(time.perf_counter() - self._wall, _cpu_seconds() - self._cpu)


def tree_bytes(pid: int) -> int:
    """The memory that a process and its descendants have resident now, added up."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(text.split()[1]) * page for text in _files((pid, *_descendants(pid)), "statm"))


def _cpu_seconds() -> float:
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    ticks = sum(  # of user and system, and the same of the children that it has waited for
        sum(map(int, text.rpartition(")")[2].split()[11:15]))
        for text in _files(_descendants(os.getpid()), "stat")
    )
    return own + ticks / os.sysconf("SC_CLK_TCK")


def _descendants(pid: int) -> Iterator[int]:
    for tasks in sorted(Path(f"/proc/{pid}/task").glob("*/children")):
        try:
            children = tasks.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _files(pids: Iterator[int] | tuple[int, ...], name: str) -> Iterator[str]:
    for pid in pids:
        try:
            yield Path(f"/proc/{pid}/{name}").read_text()
        except OSError:  # it has ended
            continue
