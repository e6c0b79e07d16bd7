"""Music on the command line."""

import csv
import json

import pytest
from tunes import hymns, tunes

from variate.music import write

pytest.importorskip("symusic")
pytestmark = [
    pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning"),
    pytest.mark.filterwarnings("ignore::variate.errors.DataWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    write(tunes(30), folder / "tunes")
    write(hymns(12), folder / "hymns")
    (folder / "tunes" / "broken.mid").write_bytes(b"MThd no")
    return folder


@pytest.fixture
def model(run, folder):
    out = folder / "t.variate"
    if not out.exists():
        status, _, said = run(
            "fit", folder / "tunes", "--latent", 4, "--epochs", 1, "--preset", "fidelity",
            "--quiet", "--out", out,
        )  # fmt: skip
        assert status == 0
        assert "30 of 31 files are read" in said
        assert "refused: 1 files, damaged: it is cut short, or no MIDI: broken.mid" in said
    return out


def test_a_folder_of_midi_becomes_a_model_and_that_a_folder(run, model, tmp_path):
    status, said, _ = run(
        "sample", model, "-n", 2, "--seed", 0, "--json", "--out", tmp_path / "new"
    )
    assert status == 0
    assert json.loads(said)["files"] == 2
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["00000.mid", "00001.mid"]
    status, _, _ = run(
        "sample", model, "-n", 1, "--given", "density=6", "--given", "meter=4/4", "--audio", "wav",
        "--out", tmp_path / "given",
    )  # fmt: skip
    assert status == 0
    assert (tmp_path / "given" / "00000.wav").stat().st_size > 100_000


def test_scores_are_written_beside(run, model, folder, tmp_path):
    pytest.importorskip("verovio")
    status, _, _ = run(
        "vary", model, folder / "tunes" / "00000.mid", "--item", 0, "-n", 2, "--score", "svg",
        "--out", tmp_path / "varied",
    )  # fmt: skip
    assert status == 0
    assert (tmp_path / "varied" / "00001.svg").read_text().startswith("<svg")


def test_tables_about_music_name_the_bars(run, model, folder):
    path = folder / "tunes" / "00003.mid"
    for verb in (("score", "--draws", 2), ("encode",), ("detect",)):
        status, said, _ = run(verb[0], model, path, *verb[1:])
        assert status == 0
        rows = list(csv.DictReader(said.splitlines()))
        assert [row["music"] for row in rows] == ["00003.mid:1-2", "00003.mid:3-4"]


def test_bars_are_rewritten(run, model, folder, tmp_path):
    path = folder / "tunes" / "00003.mid"
    for bars, status in (("2", 0), ("3", 2), ("two", 2)):
        assert run("impute", model, path, "--bars", bars, "--out", tmp_path / bars)[0] == status


def test_four_voices(run, folder, tmp_path):
    out = tmp_path / "h.variate"
    status, said, _ = run(
        "fit", folder / "hymns", "--latent", 4, "--epochs", 1, "--quiet", "--json", "--out", out
    )
    assert status == 0
    assert json.loads(said)["extraction"]["files"] == 12
    status, _, _ = run("impute", out, folder / "hymns", "--voices", "2-4", "--out", tmp_path / "v")
    assert status == 0
    status, said, _ = run("info", out)
    assert "4 voices on the grid of sixteenths" in said


def test_options_of_other_kinds_are_refused(run, model, folder, tmp_path):
    assert run("fit", folder / "tunes", "--levels", 3, "--out", tmp_path / "x.variate")[0] == 2
    assert run("sample", model, "--top-p", 0.9, "--out", tmp_path / "x")[0] == 2
    assert run("sample", model)[0] == 2  # music needs --out
