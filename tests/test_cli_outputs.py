"""Where results go: not over what was read, nor onto what is no file; refused before the work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from variate import ImageVAE, TableVAE, cli, console
from variate.errors import OutputError
from variate.image import estimator as images
from variate.image.pictures import write_picture
from variate.output import replacing

X = (load_digits().images * 15).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    rows = [f"{i % 13},{'xyz'[i % 3]}" for i in range(80)]
    (folder / "t.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    TableVAE(latent=2, hidden=(8,), epochs=1).fit(folder / "t.csv").save(folder / "t.variate")
    ImageVAE(latent=3, width=4, epochs=1).fit(X[:60]).save(folder / "i.variate")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A folder of one's own, with the models, a table, pictures, a mask."""
    for name in ("t.csv", "t.variate", "i.variate"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    np.save(tmp_path / "p.npy", X[60:70])
    write_picture(X[3][..., None], tmp_path / "p.png")
    np.save(tmp_path / "mask.npy", np.eye(8, dtype=bool))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- what is read is not written over -----------------------------------------------------------

OVER = {
    "reconstruct": ["reconstruct", "i.variate", "p.png", "--out", "p.png"],
    "vary": ["vary", "i.variate", "p.png", "--out", "./p.png"],
    "interpolate": ["interpolate", "i.variate", "p.npy", "--from", 0, "--to", 1, "--out", "p.npy"],
    "traverse": ["traverse", "i.variate", "p.png", "--out", "p.png"],
    "impute": ["impute", "i.variate", "p.npy", "--mask", "mask.npy", "--out", "mask.npy"],
    "impute a table": ["impute", "t.variate", "t.csv", "--out", "t.csv"],
    "score": ["score", "t.variate", "t.csv", "--out", "t.csv"],
    "encode": ["encode", "t.variate", "t.csv", "--out", "link.csv"],
    "sample": ["sample", "t.variate", "--rows", "t.csv", "--out", "t.csv"],
    "balance": ["balance", "t.variate", "t.csv", "--column", "b", "--out", "t.csv"],
    "detect": ["detect", "t.variate", "t.csv", "--normal", "n.csv", "--out", "n.csv"],
    "decide": ["decide", "t.variate", "t.csv", "--spec", "s.toml", "--out", "t.csv"],
    "labels": ["direction", "i.variate", "p.npy", "--labels", "l.json", "--out", "l.json"],
    "evaluate": ["evaluate", "i.variate", "p.html", "--out", "p.html"],
    "one of a folder": ["vary", "i.variate", ".", "--out", "p.png"],
    "adapt": ["adapt", "i.variate", "p.npy", "--out", "i.variate"],
}  # fmt: skip


@pytest.mark.parametrize("name", OVER)
def test_what_is_read_is_not_written_over(here, run, name):
    """A picture was replaced by its reconstruction, a table by its scores."""
    (here / "link.csv").symlink_to("t.csv")
    for other, content in (
        ("n.csv", "a,b\n1,x\n"),
        ("s.toml", ""),
        ("l.json", "[]"),
        ("p.html", ""),
    ):
        (here / other).write_text(content)
    before = {path: path.read_bytes() for path in here.iterdir()}
    status, said, told = run(*OVER[name])
    assert status == 1
    assert "it is read here" in told
    assert not said
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_two_results_do_not_go_into_one_file(here, run):
    """The intervals were written, and the table over them."""
    words = ("impute", "t.variate", "t.csv", "--out", "x.csv", "--intervals", "./x.csv")
    status, _, told = run(*words)
    assert status == 2
    assert "two results" in told
    assert not (here / "x.csv").exists()


def test_a_model_may_take_the_place_of_itself(here, run):
    """Of a new calibration, MODEL is the place by default."""
    assert run("recalibrate", "i.variate", "p.npy", "--out", "i.variate")[0] == 0


# ---- what is no file -----------------------------------------------------------------------------


def test_a_device_or_a_pipe_is_not_replaced_by_a_file(here, run):
    """As root, --out /dev/null made a file of it."""
    os.mkfifo(here / "pipe.variate")
    os.mkfifo(here / "pipe.npy")
    for words in (
        ("fit", "p.npy", "--epochs", 1, "--out", "pipe.variate"),
        ("reconstruct", "i.variate", "p.npy", "--out", "pipe.npy"),
    ):
        status, _, told = run(*words)
        assert status == 1
        assert "is no file, but a device or a pipe" in told
    with pytest.raises(OutputError, match="a device or a pipe"), replacing(here / "pipe.npy"):
        pass
    assert (here / "pipe.npy").is_fifo()
    assert (here / "pipe.variate").is_fifo()


def test_a_model_is_not_trained_for_a_folder(here, run, monkeypatch):
    """It was trained, and then could not be written."""
    monkeypatch.setattr(images.ImageVAE, "fit", None)
    (here / "empty").mkdir()
    status, _, told = run("fit", "p.npy", "--epochs", 1, "--out", "empty")
    assert status == 1
    assert "it is a folder" in told
    assert "empty.variate" in told


def test_a_name_that_is_too_long_is_a_sentence(here, run):
    """It was a traceback."""
    status, _, told = run("sample", "i.variate", "--out", "x" * 300 + ".png")
    assert status == 1
    assert "its name is too long" in told


def test_a_folder_that_is_none(here, run):
    (here / "dangling").symlink_to("nowhere")
    status, _, told = run("sample", "i.variate", "-n", 1, "--out", "dangling")
    assert status == 1
    assert "name a new folder" in told


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_an_array_that_does_not_fit_says_that_the_disk_is_full(here, monkeypatch):
    """NumPy says how many numbers were written, and no more."""

    def short(*_, **__):
        raise OSError("4320000 requested and 307072 written")

    monkeypatch.setattr(np, "save", short)
    with pytest.raises(OutputError, match="the disk is full"), replacing(here / "x.npy") as file:
        np.save(file, X)


# ---- before the work -----------------------------------------------------------------------------

ENDINGS = {
    "sample": ["sample", "i.variate", "--out", "x.csv"],
    "sample to nowhere": ["sample", "i.variate"],
    "sample a table": ["sample", "t.variate", "--out", "x.png"],
    "reconstruct": ["reconstruct", "i.variate", "p.npy", "--out", "x.txt"],
    "reconstruct a table": ["reconstruct", "t.variate", "t.csv", "--out", "x"],
    "vary": ["vary", "i.variate", "p.npy", "--out", "x.mid"],
    "interpolate": ["interpolate", "i.variate", "p.npy", "--from", 0, "--to", 1, "--animate",
                    "--out", "x.png"],
    "traverse": ["traverse", "i.variate", "--out", "x.csv"],
    "impute": ["impute", "i.variate", "p.npy", "--mask", "mask.npy", "--out", "x.csv"],
    "impute a table": ["impute", "t.variate", "t.csv", "--out", "x.png"],
    "intervals": ["impute", "t.variate", "t.csv", "--out", "x.csv", "--intervals", "x.png"],
    "encode": ["encode", "i.variate", "p.npy", "--out", "x.png"],
    "score": ["score", "i.variate", "p.npy", "--out", "x.png"],
    "detect": ["detect", "i.variate", "p.npy", "--out", "x.png"],
    "heat": ["detect", "i.variate", "p.npy", "--heat", "x.csv"],
    "balance": ["balance", "t.variate", "t.csv", "--column", "b", "--out", "x.png"],
    "direction": ["direction", "i.variate", "p.npy", "--labels", "l.npy", "--out", "x.png"],
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_that_cannot_be_is_refused_before_the_work(here, run, monkeypatch, name):
    """Minutes of scores were lost, since --out was looked at when there were some."""
    for estimator in (images.ImageVAE, TableVAE):
        for verb in ("sample", "encode", "decode", "impute", "traverse", "score_samples", "detect"):
            monkeypatch.setattr(estimator, verb, None, raising=False)
    status, said, told = run(*ENDINGS[name])
    assert status in (1, 2)
    assert "cannot write" in told or "need --out" in told or "end in .gif or .webp" in told
    assert not said
    assert not (here / "x.png").exists()


# ---- standard output -----------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
@pytest.mark.parametrize("words", [["info", "t.variate"], ["--help"]])
def test_a_full_standard_output_is_an_error(here, words):
    """What was short was in the buffer, and failed when Python was on its way out, with 120."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "variate", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_standard_output_that_is_closed_is_an_error(here, monkeypatch, capsys):
    """It was an AttributeError of None."""
    for words in (["info", "t.variate"], ["encode", "t.variate", "t.csv"]):
        monkeypatch.setattr(sys, "argv", ["variate", *words])
        with monkeypatch.context() as closed:
            closed.setattr(sys, "stdout", None)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        assert ended.value.code == 1
        assert "cannot write to standard output: it is closed" in capsys.readouterr().err


def test_nothing_is_said_where_nobody_listens(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    console.say("words")


# ---- numbers that make no picture ----------------------------------------------------------------


@pytest.mark.parametrize("far", ["inf", "nan", "0"])
def test_pictures_at_no_place_are_not_drawn(here, run, far):
    """They were drawn, with a warning of NumPy's."""
    status, _, told = run("traverse", "i.variate", "--extent", far, "--out", "x.png")
    assert status == 2
    assert "extent" in told
    assert not (here / "x.png").exists()


def test_a_step_without_end_is_refused(here, run):
    np.save(here / "l.npy", np.arange(10) % 2)
    assert run("direction", "i.variate", "p.npy", "--labels", "l.npy", "--out", "w.json")[0] == 0
    words = ("move", "i.variate", "p.npy", "--direction", "w.json", "--strength", "inf")
    status, _, told = run(*words, "--out", "x.png")
    assert status == 2
    assert "strength must be a finite number" in told
    assert not (here / "x.png").exists()


def test_no_draws_are_not_the_mean(here, run):
    """`--draws 0` filled with the means in silence."""
    words = ("impute", "i.variate", "p.npy", "--mask", "mask.npy", "--draws", 0, "--out", "x.png")
    status, _, told = run(*words)
    assert status == 2
    assert "draws must be greater than 0" in told


@pytest.mark.filterwarnings("ignore:no alarm")
def test_where_no_alarm_is_there_is_no_heat_and_that_is_said(here, run):
    words = ("detect", "i.variate", "p.npy", "--heat", "heat.png", "--json")
    status, said, told = run(*words)
    assert status == 0, told
    assert not any(row["anomaly"] for row in json.loads(said)["rows"])
    assert "heat.png is not written" in told
