"""Consumers of the events: Ctrl-C between two of them, and TensorBoard files."""

import os
import signal
import sys

import pytest
from training_tiny import Bound, correlated, digest, tiny

from variate.diary import follow
from variate.errors import MissingExtraError, OutputError
from variate.training import Finished, Started, Step, interruptible, tensorboard, train

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


def test_what_is_remembered_of_an_interrupted_run_is_true():
    """It was said to have stopped after 0 steps and 0.0 s, with a beta of None."""
    facts, history = {}, []

    def pressed():
        for event in events(tiny()):
            if isinstance(event, Finished):
                raise KeyboardInterrupt
            yield event

    with pytest.raises(KeyboardInterrupt):
        follow(pressed(), facts, history, show=False)
    assert facts["stopped"] == "interrupted"
    assert facts["steps"] == 40
    assert facts["best_step"] == max(history, key=lambda record: record["figure"])["step"]
    assert facts["beta"] == history[-1].get("beta")
    assert facts["seconds"] > 0


def test_the_step_in_which_ctrl_c_was_pressed_is_told():
    told = []
    with pytest.raises(KeyboardInterrupt):
        told.extend(interruptible(train(tiny(), Pressing(1), X, **OPTIONS)))
    assert isinstance(told[-1], Step)
    assert told[-1].step == 9


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


def test_a_folder_of_event_files_that_cannot_be_made_is_named(tmp_path):
    """It was a traceback of TensorBoard's."""
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("words")
    with pytest.raises(OutputError, match=r"cannot write TensorBoard files to .*file"):
        list(tensorboard(events(tiny()), tmp_path / "file"))
