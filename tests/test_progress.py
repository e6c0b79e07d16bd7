"""Progress: what is shown of a run, where, how often; and that the run is always closed."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from variate import progress
from variate.progress import tally, watch
from variate.training.events import Finished, Started, Step, Validated


class Untouchable:
    """A loss on a device: looking at it would wait for the device."""

    def __getattribute__(self, name):
        raise AssertionError(f"the loss was read: {name}")


class Events:
    """A run of `steps` steps of ten items, `pause` seconds of run time each."""

    def __init__(self, steps=100, pause=0.5, every=10, rank=0, budget=None, resumed=0):
        self.closed = 0
        self.steps, self.pause, self.every = steps, pause, every
        self.rank, self.budget, self.resumed = rank, budget, resumed

    def __iter__(self):
        total = None if self.budget else self.steps
        try:
            yield Started(
                1000, 100, 100, 10, total, self.budget, 1234, "cpu", "float32",
                self.resumed or None, self.rank, 1,
            )  # fmt: skip
            for step in range(self.resumed + 1, self.steps + 1):
                now = step * self.pause
                share = step / self.steps
                yield Step(step, step / 100, share, 10 * step, now, now, 1e-3, Untouchable())
                if step % self.every == 0:
                    yield Validated(step, share, now, now, -9.0 + share, {}, True, True)
            yield Finished("budget spent", self.steps, now, 2 * now, self.steps, -8.0, {}, True)
        finally:
            self.closed += 1


@pytest.fixture
def terminal(monkeypatch):
    """Standard error passes for a terminal of 120 columns."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("show", [False, True])
def test_events_pass_through_untouched(show, capsys):
    events = list(Events(steps=7))
    assert [id(event) for event in watch(iter(events), show=show)] == [id(e) for e in events]
    capsys.readouterr()


def test_nothing_is_shown_unless_asked_for(capsys, terminal):
    list(watch(iter(Events()), show=False))
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_plain_lines_where_there_is_no_terminal(capsys):
    list(watch(iter(Events(steps=100, pause=0.5)), show=True))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0] == (
        "training on 1,000 items (100 held out), 1,234 parameters, cpu float32, budget 100 steps"
    )
    assert len(lines) == 2 + 10  # one for each tenth
    # at step 50 the last validation was at step 40, -9 + 0.4; 10 items per half second; 25 s left
    assert lines[5] == " 50%  step 50  −8.600 nats/item  20 items/s  0:25 left"
    assert lines[-1] == (
        "stopped at step 100: budget spent; 0:50 wall, 1:40 CPU; "
        "best −8.000 nats/item (held out) at step 100"
    )
    assert "\x1b" not in captured.err


def test_short_runs_are_told_in_few_lines(capsys):
    list(watch(iter(Events(steps=100, pause=0.02)), show=True))
    assert len(capsys.readouterr().err.splitlines()) <= 2 + 2  # no two within a second


def test_a_new_best_is_told_between_two_tenths(capsys):
    list(watch(iter(Events(steps=20, pause=60.0, every=1)), show=True))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 + 20
    assert " 5%  step 1  " in lines[1]


def test_time_left_of_a_resumed_run_is_measured_from_where_it_was_taken_up(capsys):
    events = Events(steps=100, pause=2.0, resumed=60)
    list(watch(iter(events), show=True))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("budget 100 steps, taken up at step 60")
    eighty = next(line for line in lines if "step 80 " in line)
    assert eighty.endswith("0:40 left")


def test_time_left_of_a_budget_of_seconds_is_what_is_left_of_it(capsys):
    list(watch(iter(Events(steps=100, pause=1.0, budget=400.0)), show=True))
    lines = capsys.readouterr().err.splitlines()
    assert "budget 6:40" in lines[0]
    assert next(line for line in lines if "step 50 " in line).endswith("3:20 left")


def test_only_the_first_process_speaks(capsys):
    list(watch(iter(Events(rank=1)), show=True))
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_and_the_cursor_back(capsys, terminal):
    list(watch(iter(Events(steps=200, pause=0.05)), show=True))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "50 %" in captured.err
    assert "−8.750 nats/item" in captured.err
    assert "200 items/s" in captured.err
    assert "5.0 s left" in captured.err
    assert captured.err.count("\x1b[?25l") == captured.err.count("\x1b[?25h") == 1


def test_the_bar_moves_at_most_a_few_times_a_second(capsys, terminal):
    list(watch(iter(Events(steps=5_000, pause=0.001)), show=True))  # 5 s of run time
    frames = capsys.readouterr().err.count("items/s")
    assert 15 <= frames <= 5 / 0.2 + 3


@pytest.mark.parametrize("show", [False, True])
def test_leaving_the_loop_closes_the_run(show, capsys):
    events = Events()
    watched = watch(iter(events), show=show)
    next(watched)
    next(watched)
    assert events.closed == 0
    watched.close()
    assert events.closed == 1
    capsys.readouterr()


def test_an_error_in_the_run_comes_through_and_restores_the_terminal(capsys, terminal):
    def failing():
        yield from list(Events(steps=3))[:3]
        raise ArithmeticError("born in step 3")

    with pytest.raises(ArithmeticError, match="born in step 3"):
        list(watch(failing(), show=True))
    assert capsys.readouterr().err.count("\x1b[?25h") == 1


def test_any_iterator_will_do(capsys):
    assert len(list(watch(iter([1, 2]), show=True))) == 2
    assert capsys.readouterr().err == ""


PROGRAM = """
import signal, sys, time
sys.path.insert(0, {tests!r})
from test_progress import Events
from variate.progress import watch

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def run():
    try:
        for event in Events(steps=1000, pause=0.3):
            time.sleep(0.02)
            yield event
    finally:
        print("CLOSED", file=sys.stderr)

try:
    for event in watch(run(), show=True):
        pass
except KeyboardInterrupt:
    print("INTERRUPTED", file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_c_closes_the_run_and_restores_a_real_terminal():
    main, side = pty.openpty()
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=side, stdout=side, env=environment
    )
    os.close(side)
    output, press_at = b"", 0.0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            chunk = os.read(main, 65536)
        except OSError:  # the other side is closed
            break
        output += chunk
        running = b"nats/item" in output and b"CLOSED" not in output
        if running and time.monotonic() > press_at:
            press_at = time.monotonic() + 5.0  # an interrupt inside a callback of Python's is lost
            process.send_signal(signal.SIGINT)
        if not chunk:
            break
    os.close(main)
    assert process.wait(timeout=10) == 0
    text = output.decode()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert "CLOSED" in text
    assert text.rstrip().endswith("INTERRUPTED")
    assert text.rindex("\x1b[?25h") < text.index("INTERRUPTED")


# -- a tally -------------------------------------------------------------------------------------


@pytest.mark.parametrize("show", [True, False])
def test_a_tally_is_told_now_and_then(capsys, monkeypatch, show):
    monkeypatch.setattr(progress, "TALLY", 0.0)
    with tally("scored", show=show) as more:
        more(800)
        more(200)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (2 if show else 0)
    if show:
        assert lines[1].startswith("scored 1,000 rows, ")


def test_a_short_tally_is_not_told(capsys):
    with tally("scored", show=True) as more:
        more(10)
    assert capsys.readouterr().err == ""
