"""Music on the command line."""

import csv
import json

import pytest
from tunes import hymns, tunes

from variate.music import write
from variate.music.codec import MusicCodec
from variate.music.extraction import Wanted
from variate.music.reading import read
from variate.music.wholes import wholes

pytest.importorskip("symusic")
pytestmark = [
    pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning"),
    pytest.mark.filterwarnings("ignore::variate.errors.DataWarning"),
]


def read_pieces(path):
    windows, _ = read(path, Wanted(2, clean=False))
    codec = MusicCodec(2, 1).learn(windows)
    return wholes(codec, path)


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


@pytest.fixture
def choir(run, folder):
    out = folder / "h.variate"
    if not out.exists():
        status, said, _ = run(
            "fit", folder / "hymns", "--latent", 4, "--epochs", 1, "--quiet", "--json", "--out", out
        )
        assert status == 0
        assert json.loads(said)["extraction"]["files"] == 12
    return out


def test_four_voices(run, choir, folder, tmp_path):
    words = ("impute", choir, folder / "hymns", "--voices", "2-4")
    status, _, _ = run(*words, "--out", tmp_path / "v")
    assert status == 0
    status, said, _ = run("info", choir)
    assert "4 voices on the grid of sixteenths" in said


def test_pieces_go_on(run, model, folder, tmp_path):
    path, out = folder / "tunes" / "00003.mid", tmp_path / "longer.mid"
    assert run("continue", model, path, "--bars", 3, "--seed", 0, "--out", out)[0] == 0
    (before,), (after,) = read_pieces(path), read_pieces(out)
    assert after.quarters == before.quarters + 12
    status, _, said = run("continue", model, path, "--item", 1, "--out", tmp_path / "x.mid")
    assert status == 2
    assert "has the pieces 0 to 0; there is no piece 1" in said
    status, _, said = run("continue", model, folder / "tunes", "--out", tmp_path / "x")
    assert status == 1
    assert "broken.mid: damaged" in said


def test_a_style_is_a_model(run, model, folder, tmp_path):
    out = tmp_path / "mine.variate"
    status, said, _ = run("adapt", model, folder / "tunes" / "00003.mid", "--json", "--out", out)
    assert status == 0
    assert json.loads(said)["items"] == 2
    assert run("sample", out, "-n", 1, "--seed", 0, "--out", tmp_path / "new.mid")[0] == 0
    assert run("adapt", model, folder / "tunes", "--spread", 2, "--out", out)[0] == 2


def test_voices_are_written_to_tunes(run, model, choir, folder, tmp_path):
    path = folder / "hymns" / "00003.mid"
    words = ("accompany", choir, path, "--seed", 0, "--draws", 2)
    status, said, _ = run(*words, "--json", "--out", tmp_path / "all")
    assert status == 0
    assert json.loads(said)["pieces"] == 2
    assert run(*words[:-1], 0, "--out", tmp_path / "no")[0] == 2
    status, _, said = run("accompany", model, path, "--out", tmp_path / "none")
    assert status == 2
    assert "accompanies nothing" in said


def test_options_of_other_kinds_are_refused(run, model, folder, tmp_path):
    assert run("fit", folder / "tunes", "--levels", 3, "--out", tmp_path / "x.variate")[0] == 2
    assert run("sample", model, "--top-p", 0.9, "--out", tmp_path / "x")[0] == 2
    assert run("sample", model)[0] == 2  # music needs --out
