"""Progress: what a training run tells, shown on standard error while it goes on.

    for event in watch(train(...), show=True):
        ...

On a terminal a bar with the share of the budget that is spent, the time left, the held-out figure
and the throughput; elsewhere a plain line now and then; and the events pass through untouched.

With progress p and p0 at the first step seen (a resumed run does not begin at 0), t seconds later

    time left = t (1 - p) / (p - p0)        throughput = items / seconds, over the last second or so

Nothing here reads a tensor, so that the device is never waited for: the figures come from
`Validated`, which are numbers already.

This module does not know how training works, nor who else reads the events.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from variate.training.events import Finished, Started, Step, Validated

__all__ = ["announce", "tally", "watch"]

REFRESH = 0.2  # seconds between two updates of the bar
LINES = 10  # parts of the budget, each ending with a plain line
LULL = 1.0  # seconds between two plain lines, at the least
BEST_LULL = 5.0  # seconds of silence before a new best figure is worth a line of its own
WINDOW = 1.0  # seconds over which the throughput is averaged
TALLY = 10.0  # seconds between two plain lines of a tally


def watch(events: Iterator[Any], *, show: bool) -> Iterator[Any]:
    """The events of a training run, shown as they pass.

    Args:
        events: What `train` yields. It is closed when this iterator is: by `break`, by an error
            in the loop's body, by Ctrl-C.
        show: Whether anything is shown; always on standard error, and by the first process alone.
    """
    try:
        with _display(show=show) as see:
            for event in events:
                see(event)
                yield event
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


@contextmanager
def _display(*, show: bool) -> Iterator[Callable[[Any], None]]:
    """What is told of each event: to a bar, to plain lines, or to nobody."""
    if not show:
        yield lambda _: None
        return
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as see:
            yield see
    else:
        yield _Lines(console).see


def announce(text: str, *, show: bool) -> None:
    """Say, on standard error, what comes next."""
    if show:
        _say(Console(stderr=True), text)


@contextmanager
def tally(what: str, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Count items of which nobody knows how many will come: "scored 81,920 rows, 1,200 a second".

    Args:
        what: What is done with them.
        show: Whether anything is shown, on standard error.

    Yields:
        What is told how many more items are done.
    """
    console, begun, done, said = Console(stderr=True), time.monotonic(), 0, time.monotonic()

    def more(items: int) -> None:
        nonlocal done, said
        done, now = done + items, time.monotonic()
        lull = REFRESH if console.is_terminal else TALLY
        if show and now - said >= lull:
            said = now
            end = "\r" if console.is_terminal else "\n"
            console.print(f"{what} {done:,} rows, {done / (now - begun):,.0f} a second", end=end)

    try:
        yield more
    finally:
        if console.is_terminal and said != begun:
            console.print()


# -- what is known so far -------------------------------------------------------------------------


class _Run:
    """The state of a run as its events tell it."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.step: Step | None = None
        self.validated: Validated | None = None
        self.rate: float | None = None  # items per second
        self._first: Step | None = None
        self._mark: Step | None = None

    def see(self, event: Any) -> None:
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, Validated):
            self.validated = event
        elif isinstance(event, Step):
            self.step = event
            if self._first is None or self._mark is None:
                self._first = self._mark = event
            elif event.seconds - self._mark.seconds >= WINDOW:
                self.rate = _rate(self._mark, event)
                self._mark = event
            elif self.rate is None:
                self.rate = _rate(self._mark, event)

    @property
    def leading(self) -> bool:
        """Whether this process speaks for the run."""
        return self.started is not None and self.started.rank == 0

    @property
    def share(self) -> float:
        """The share of the budget that is spent."""
        return 0.0 if self.step is None else self.step.progress

    @property
    def left(self) -> float | None:
        """Seconds left, once a share of the budget has been spent."""
        if self.started is None or self.step is None or self._first is None:
            return None
        if self.started.seconds is not None:
            return max(0.0, self.started.seconds * (1 - self.step.progress))
        gained = self.step.progress - self._first.progress
        if gained <= 0:
            return None
        return (self.step.seconds - self._first.seconds) * (1 - self.step.progress) / gained

    def figure_text(self) -> str:
        if self.validated is None:
            return ""
        text = f"{_nats(self.validated.figure)} nats/item"
        return text if self.validated.held_out else f"{text} (training items)"

    def rate_text(self) -> str:
        return "" if self.rate is None else f"{self.rate:,.0f} items/s"

    def left_text(self) -> str:
        return "" if self.left is None else f"{_clock(self.left)} left"


def _rate(earlier: Step, later: Step) -> float | None:
    seconds = later.seconds - earlier.seconds
    return (later.items - earlier.items) / seconds if seconds > 0 else None


# -- a bar, on a terminal -------------------------------------------------------------------------


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[Any], None]]:
    run, shown_at = _Run(), float("-inf")
    bar = Progress(
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:3.0f} %", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[figure]}", style="bold", markup=False),
        TextColumn("{task.fields[rate]}", style="dim", markup=False),
        console=console,
        auto_refresh=False,  # no thread beside training: the bar moves when a step is done
        transient=True,
        redirect_stdout=False,  # what goes to standard output is the caller's
    )
    task = bar.add_task("", total=1.0, left="", figure="", rate="")

    def see(event: Any) -> None:
        nonlocal shown_at
        run.see(event)
        if not run.leading:
            return
        if isinstance(event, Started):
            _say(console, _beginning(event))
            bar.start()
        elif isinstance(event, Finished):
            bar.stop()
            _say(console, _end(event))
        elif isinstance(event, Step) and event.seconds - shown_at >= REFRESH:
            shown_at = event.seconds
            bar.update(
                task,
                completed=run.share,
                left=run.left_text(),
                figure=run.figure_text(),
                rate=run.rate_text(),
                refresh=True,
            )

    try:
        yield see
    finally:
        bar.stop()  # gives the terminal its cursor back, whatever happened


# -- plain lines, elsewhere -----------------------------------------------------------------------


class _Lines:
    """A line at the start, at every tenth of the budget, at a new best figure, and at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run = _Run()
        self.tenths = 0
        self.told_at = float("-inf")

    def see(self, event: Any) -> None:
        self.run.see(event)
        if not self.run.leading:
            return
        if isinstance(event, Started):
            _say(self.console, _beginning(event))
        elif isinstance(event, Finished):
            _say(self.console, _end(event))
        elif isinstance(event, Step):
            tenths = int(LINES * event.progress)
            if tenths > self.tenths and event.seconds - self.told_at >= LULL:
                self.tenths = tenths
                self._tell(event.seconds)
        elif (
            isinstance(event, Validated)
            and event.best
            and event.seconds - self.told_at >= BEST_LULL
        ):
            self._tell(event.seconds)

    def _tell(self, seconds: float) -> None:
        self.told_at = seconds
        run = self.run
        step = "" if run.step is None else f"step {run.step.step:,}"
        parts = [f"{run.share:4.0%}", step, run.figure_text(), run.rate_text(), run.left_text()]
        _say(self.console, "  ".join(part for part in parts if part))


# -- words ----------------------------------------------------------------------------------------


def _beginning(started: Started) -> str:
    held_out = f"{started.held_out:,} held out" if started.held_out else "none held out"
    if started.seconds is not None:
        budget = _clock(started.seconds)
    else:
        budget = "no budget" if started.steps is None else f"{started.steps:,} steps"
    parts = [
        f"training on {started.items:,} items ({held_out})",
        f"{started.parameters:,} parameters",
        f"{started.device} {started.precision}",
        f"{started.processes} processes" if started.processes > 1 else "",
        f"budget {budget}",
        "" if started.resumed is None else f"taken up at step {started.resumed:,}",
    ]
    return ", ".join(part for part in parts if part)


def _end(finished: Finished) -> str:
    where = "held out" if finished.held_out else "training items"
    parts = [
        f"stopped at step {finished.step:,}: {finished.reason}",
        f"{_clock(finished.seconds)} wall, {_clock(finished.cpu_seconds)} CPU",
        f"best {_nats(finished.best_figure)} nats/item ({where}) at step {finished.best_step:,}"
        if math.isfinite(finished.best_figure)
        else "",
        f"{finished.skipped:,} steps skipped, their gradient was not finite"
        if finished.skipped
        else "",
    ]
    return "; ".join(part for part in parts if part)


def _nats(value: float) -> str:
    return f"{value:,.3f}".replace("-", "−")


def _clock(seconds: float) -> str:
    """Seconds as 9.3 s, 1:02 or 1:01:02."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
