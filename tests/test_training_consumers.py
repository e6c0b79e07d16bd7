"""Consumers of the events: Ctrl-C between two of them, and TensorBoard files."""

import os
import signal
import sys

import pytest
from training_tiny import Bound, correlated, digest, tiny

from variate.errors import MissingExtraError
from variate.training import Started, Step, interruptible, tensorboard, train

X = correlated(200)


OPTIONS = {"epochs": 10, "batch_size": 50, "seed": 1}


def events(model):
    return train(model, Bound(), X, **OPTIONS)


class Pressing(Bound):
    """Presses Ctrl-C so many times in the ninth step, which is the tenth pass."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def forward(self, model, x, moment):
        loss = super().forward(model, x, moment)
        if self.training and len(self.seen) == 10:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)
        return loss


def test_ctrl_c_completes_the_step_closes_the_run_and_then_interrupts(tmp_path):
    options = OPTIONS | {"checkpoint": tmp_path / "run"}
    before = signal.getsignal(signal.SIGINT)
    model = tiny()
    with pytest.raises(KeyboardInterrupt):
        list(interruptible(train(model, Pressing(1), X, **options)))
    assert signal.getsignal(signal.SIGINT) == before
    assert not model.training
    resumed, whole = tiny(), tiny()
    events = list(train(resumed, Pressing(0), X, resume=True, **options))
    assert events[0].resumed == 9
    list(train(whole, Bound(), X, **OPTIONS))
    assert digest(resumed) == digest(whole)


def test_a_second_ctrl_c_interrupts_at_once(tmp_path):
    options = OPTIONS | {"checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        list(interruptible(train(tiny(), Pressing(2), X, **options)))
    assert not (tmp_path / "run").exists()  # the state was torn, so nothing was written


def test_without_ctrl_c_all_events_pass():
    ours, plain = tiny(), tiny()
    passed = list(interruptible(events(ours)))
    assert [type(e) for e in passed] == [type(e) for e in events(plain)]
    assert digest(ours) == digest(plain)


def test_leaving_the_loop_closes_the_run():
    model = tiny()
    run = interruptible(events(model))
    assert isinstance([next(run) for _ in range(3)][-1], Step)
    assert model.training
    run.close()
    assert not model.training


def test_tensorboard_writes_curves_and_passes_the_events_on(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    model = tiny()
    passed = list(tensorboard(events(model), tmp_path))
    assert isinstance(passed[0], Started)
    curves = reader.EventAccumulator(str(tmp_path))
    curves.Reload()
    names = set(curves.Tags()["scalars"])
    assert {
        "training/loss",
        "training/kl",
        "held-out/figure",
        "held-out/kl_per_dimension/1",
    } <= names
    figures = [scalar.value for scalar in curves.Scalars("held-out/figure")]
    assert figures == pytest.approx([e.figure for e in passed if hasattr(e, "best")], rel=1e-5)


def test_tensorboard_that_is_not_installed_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'variate\[tensorboard\]'"):
        next(tensorboard(events(tiny()), tmp_path))
