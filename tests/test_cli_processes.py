"""Two processes from one command, and scores in the order of the rows."""

import os
import subprocess
import sys

import pytest
from tables import people

from variate import load
from variate.table import files

ENVIRONMENT = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def run(*words, cwd):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.slow
def test_two_processes_fit_and_score_as_one_would(tmp_path):
    files.write(people(600), tmp_path / "people.csv")
    words = ["fit", "people.csv", "--latent", 3, "--hidden", 16, "--hidden", 16, "--epochs", 3]
    status, said = run(
        "variate", *words, "--processes", 2, "--out", "m.variate", "--quiet", cwd=tmp_path
    )
    assert status == 0, said
    assert load(tmp_path / "m.variate").facts_["processes"] == 2

    torchrun = ["torch.distributed.run", "--nproc-per-node", 2, "--rdzv-backend", "c10d",
                "--rdzv-endpoint", "localhost:0", "-m", "variate"]  # fmt: skip
    score = ["score", "m.variate", "people.csv", "--out"]
    status, said = run(*torchrun, *score, "two.csv", cwd=tmp_path)
    assert status == 0, said
    assert run("variate", *score, "one.csv", cwd=tmp_path)[0] == 0
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


@pytest.mark.slow
def test_an_error_in_two_processes_is_a_sentence_and_not_a_traceback(tmp_path):
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n3\n")
    status, said = run("variate", "fit", "broken.csv", "--processes", 2, cwd=tmp_path)
    assert status == 1
    assert "line 3" in said
    assert "Traceback" not in said
