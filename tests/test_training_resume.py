"""A run that is killed at any moment, even in the middle of a write, goes on bit by bit."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_tiny import WithCritic, correlated, digest, restless

from variate.errors import CheckpointError
from variate.training import MemorySource, Step, StreamSource, train

HERE = Path(__file__).parent
OPTIONS = {"epochs": 12, "batch_size": 50, "seed": 4, "validate_every": 17, "patience": 3}

SCRIPT = """
import sys
from test_training_resume import SOURCES, OPTIONS, restless, WithCritic, correlated, digest
from variate.training import Saved, Step, checkpoint, train

checkpoint._SHARE = 0  # a checkpoint after every step, so that a kill often meets a write
model, objective = restless(), WithCritic()
options = OPTIONS | {"checkpoint": sys.argv[2], "checkpoint_seconds": 0.0, "resume": True}
data = SOURCES[sys.argv[1]]()
for event in train(model, objective, data, validation=correlated(60, seed=9), **options):
    if isinstance(event, Saved):
        print("saved", event.step, flush=True)
print("done", digest(model), digest(objective), flush=True)
"""


def memory():
    return MemorySource(correlated(430))


def stream():
    blocks = correlated(430).split(37)
    return StreamSource([lambda b=b: b for b in blocks], [len(b) for b in blocks], window=3)


SOURCES = {"memory": memory, "stream": stream}


def start(kind, path):
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(("kind", "kills"), [("memory", 2), ("stream", 1)])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path, kind, kills):
    model, objective = restless(), WithCritic()
    list(train(model, objective, SOURCES[kind](), validation=correlated(60, seed=9), **OPTIONS))
    draw = random.Random(kind)
    reached = 0
    for _ in range(kills):
        stop_at = reached + draw.randint(5, 35)
        with start(kind, tmp_path / "run") as child:
            for line in child.stdout:
                reached = int(line.split()[1])
                if reached >= stop_at:
                    child.send_signal(signal.SIGKILL)
                    break
        assert child.returncode == -signal.SIGKILL
    with start(kind, tmp_path / "run") as child:
        words = child.stdout.read().split("\n")
    first_saved = int(words[0].split()[1])
    assert first_saved >= reached
    assert words[-2] == f"done {digest(model)} {digest(objective)}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 1e-3}, "learning_rate was 0.002, now 0.001"),
        ({"seed": 5}, "seed was 4, now 5"),
        ({"epochs": 40}, r"budget was 'Steps\(total=103\)', now 'Steps\(total=344\)'"),
        ({"fingerprint": "other data"}, "fingerprint was '', now 'other data'"),
    ],
)
def test_another_run_cannot_be_resumed(tmp_path, change, words):
    options = OPTIONS | {"checkpoint": tmp_path / "run"}
    for event in train(restless(), WithCritic(), memory(), **options):
        if isinstance(event, Step):
            break
    with pytest.raises(CheckpointError, match=words):
        next(train(restless(), WithCritic(), memory(), resume=True, **(options | change)))


def test_another_model_cannot_be_resumed(tmp_path):
    options = OPTIONS | {"checkpoint": tmp_path / "run"}
    for event in train(restless(), WithCritic(), memory(), **options):
        if isinstance(event, Step):
            break
    wider = restless()
    wider.extra = torch.nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match="model was"):
        next(train(wider, WithCritic(), memory(), resume=True, **options))


def test_the_state_of_the_run_itself_is_all_in_the_file(tmp_path):
    """Closing and resuming after every single step changes nothing."""
    options = OPTIONS | {"epochs": 3, "validate_every": 4}
    whole, chopped = restless(), None
    list(train(whole, WithCritic(), memory(), **options))
    saving = options | {"checkpoint": tmp_path / "run", "resume": True}
    finished = False
    while not finished:
        chopped = restless()
        finished = True
        for event in train(chopped, WithCritic(), memory(), **saving):
            if isinstance(event, Step):
                finished = False
                break
    assert digest(chopped) == digest(whole)
