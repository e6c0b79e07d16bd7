"""Two processes train what one would; fewer than asked for is an error; a killed one comes back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_tiny import Bound, Distortion, correlated, points, tiny

from variate.errors import ProcessError
from variate.training import train
from variate.training.processes import share

HERE = Path(__file__).parent
X, HELD = correlated(361).split([301, 60])
OPTIONS = {"validation": HELD, "epochs": 4, "batch_size": 51}  # two processes make 50 of the 51

COMMON = """
import json, sys
from pathlib import Path
import torch
from test_training_processes import *
from training_tiny import *
from variate.errors import *
from variate.training import *
from variate.training import checkpoint
from variate.training.processes import processes_of

FOLDER = Path(sys.argv[1])
FOUND = {}

def run(name, model, objective, data=X, **options):
    options = OPTIONS | options
    events = list(train(model, objective, data, processes=2, **options))
    state = {k: v.flatten().tolist() for k, v in model.state_dict().items()}
    FOUND[name] = {
        "digest": digest(model),
        "state": state,
        "figures": [e.figure for e in events if isinstance(e, Validated)],
        "steps": events[-1].step,
        "batch_size": events[0].batch_size,
        "saved": sum(isinstance(e, Saved) for e in events),
        "resumed": events[0].resumed,
    }
    return events
"""

AGREE = (
    COMMON
    + """
with processes_of(2, "cpu", 30.0) as group:  # one connection for all the runs below
    FOUND["rank"] = group.rank
    mine = list(share(11, group.rank, 2))
    FOUND["gathered"] = group.gather(torch.tensor(mine).float().outer(torch.ones(2)), 11).tolist()
    FOUND["text"] = group.agree_text(f"from {group.rank}, é")
    run("points", points(), Distortion())
    run("bound", tiny(), Bound(), epochs=15)
    objective = WithCritic()
    run("critic", restless(), objective)
    FOUND["running"] = float(objective.running)
    run("one held out", points(), Distortion(), validation=HELD[:1])
    blocks = X.split(20)
    source = StreamSource([lambda b=b: b for b in blocks], [len(b) for b in blocks], window=3)
    run("stream", tiny(), Bound(), source, epochs=15)
    run("minutes", tiny(), Bound(), epochs=None, minutes=0.5 / 60)
    still = {"learning_rate": 1e-30, "patience": 3, "validate_every": 4}
    run("patience", tiny(), Bound(), epochs=20, **still)

    saving = {"checkpoint": FOLDER / "run", "checkpoint_seconds": 0.0, "resume": True}
    for event in train(restless(), WithCritic(), X, **OPTIONS, **saving):
        if isinstance(event, Step) and event.step == 10:
            break
    run("resumed", restless(), WithCritic(), **saving)

    class Poisoned(Distortion):
        def forward(self, model, x, moment):
            return super().forward(model, x + 0 * (90 - x[:, :1]).log(), moment)

    poisoned = X.clone()
    poisoned[7, 0] = 99.0
    try:
        run("poisoned", points(), Poisoned(), poisoned)
    except NonFiniteError as error:
        FOUND["poisoned"] = str(error)
(FOLDER / f"{FOUND['rank']}.json").write_text(json.dumps(FOUND))
"""
)

KILLED = (
    COMMON
    + """
import os, signal
checkpoint._SHARE = 0  # a checkpoint after every step
saving = {"checkpoint": FOLDER / "run", "checkpoint_seconds": 0.0, "resume": True, "timeout": 30.0}
life, rank = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), int(os.environ["RANK"])
model = restless()
for event in train(model, WithCritic(), X, processes=2, **OPTIONS, **saving):
    if isinstance(event, Started):
        resumed = event.resumed
    if isinstance(event, Step) and event.step == 15 and rank == 1 and life == 0:
        os.kill(os.getpid(), signal.SIGKILL)
whole = restless()
list(train(whole, WithCritic(), X, **OPTIONS))
result = {"resumed": resumed, "life": life, "same": digest(model) == digest(whole)}
(FOLDER / f"{rank}.json").write_text(json.dumps(result))
"""
)


def torchrun(script, folder, *options):
    """Start two processes as a user would, and give back what each has written."""
    (folder / "script.py").write_text(script)
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", *options]
    done = subprocess.run(
        [sys.executable, *launch, str(folder / "script.py"), str(folder)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return torchrun(AGREE, tmp_path_factory.mktemp("two"))


RUNS = ["points", "bound", "critic", "one held out", "stream", "minutes", "patience", "resumed"]


@pytest.mark.parametrize("name", RUNS)
def test_both_processes_end_alike(found, name):
    first, second = (results[name] for results in found)
    keys = ("figures", "steps", "state" if name == "critic" else "digest")
    assert {key: first[key] for key in keys} == {key: second[key] for key in keys}
    assert first["steps"] > 5
    assert first["batch_size"] == 50


def test_without_noise_they_are_one_process_at_the_same_batch(found):
    alone = points()
    options = OPTIONS | {"batch_size": 50}
    events = list(train(alone, Distortion(), X, **options))
    for name, tensor in alone.state_dict().items():
        together = torch.tensor(found[0]["points"]["state"][name]).reshape(tensor.shape)
        torch.testing.assert_close(together, tensor, rtol=1e-5, atol=1e-5)
    figures = [event.figure for event in events if hasattr(event, "best")]
    assert found[0]["points"]["figures"] == pytest.approx(figures, abs=1e-5)


@pytest.mark.parametrize("name", ["bound", "stream"])
def test_with_noise_they_are_one_process_within_the_noise(found, name):
    events = list(train(tiny(), Bound(), X, **(OPTIONS | {"batch_size": 50, "epochs": 15})))
    assert max(found[0][name]["figures"]) == pytest.approx(events[-1].best_figure, abs=0.1)


def test_buffers_are_averaged_like_gradients(found):
    assert found[0]["running"] == found[1]["running"] != 0.0


def test_a_run_of_two_is_resumed_exactly_and_only_the_first_writes(found):
    assert [results["resumed"]["resumed"] for results in found] == [10, 10]
    assert found[0]["resumed"]["digest"] == found[0]["critic"]["digest"]
    assert found[1]["resumed"]["saved"] == 0


def test_a_nan_in_one_process_stops_both(found):
    messages = [results["poisoned"] for results in found]
    assert sorted("on row 7" in message for message in messages) == [False, True]
    assert sorted("in another process" in message for message in messages) == [False, True]


def test_rows_are_gathered_in_order_and_the_first_process_decides(found):
    rows = [[float(row), float(row)] for row in range(11)]
    assert [results["gathered"] for results in found] == [rows, rows]
    assert [results["text"] for results in found] == ["from 0, é"] * 2


@pytest.mark.parametrize("items", [0, 1, 7, 100])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shares_are_in_order_and_even(items, world):
    shares = [share(items, rank, world) for rank in range(world)]
    assert [row for part in shares for row in part] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_killed_process_is_started_again_and_the_run_goes_on_exactly(tmp_path):
    results = torchrun(KILLED, tmp_path, "--max-restarts", "3")
    assert all(result["life"] >= 1 for result in results)
    assert results[0]["resumed"] == results[1]["resumed"] >= 14
    assert all(result["same"] for result in results)


def test_asked_for_two_and_got_one_is_an_error():
    with pytest.raises(ProcessError, match="asked for 2 processes, but 1 is running") as caught:
        next(train(tiny(), Bound(), X, processes=2))
    assert "torchrun --nproc-per-node 2" in str(caught.value)


def test_asked_for_one_and_got_one_is_fine():
    events = train(tiny(), Bound(), X, processes=1)
    assert next(events).processes == 1
    events.close()


def test_others_that_cannot_be_reached_are_an_error_within_the_timeout(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "9")
    with pytest.raises(ProcessError, match="process 1 of 2, but the others could not be reached"):
        next(train(tiny(), Bound(), X, timeout=1.0))
