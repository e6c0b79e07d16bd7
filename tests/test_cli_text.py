"""Text on the command line."""

import contextlib
import csv
import json
import sys

import pytest
from sentences import sentences

from variate import cli, load

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

TEXT = sentences(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "said.txt").write_text("\n".join(TEXT[:260]) + "\n")
    (folder / "new.txt").write_text("\n".join(TEXT[260:]) + "\n")
    rows = [
        json.dumps({"id": n, "said": s, "asks": s[:4] == "does"}) for n, s in enumerate(TEXT[:60])
    ]
    (folder / "said.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "said.variate"
    sys.argv = ["variate", "fit", str(folder / "said.txt"), "--vocabulary", "300", "--latent", "4"]
    sys.argv += ["--epochs", "2", "--batch-size", "32", "--quiet", "--out", str(path)]
    with contextlib.suppress(SystemExit):
        cli.main()
    return path


def test_sentences_are_drawn_a_line_each(run, model, tmp_path):
    status, said, _ = run("sample", model, "-n", 3, "--seed", 0, "--temperature", 0.7)
    assert status == 0
    assert said.count("\n") >= 3
    out = tmp_path / "drawn.txt"
    assert run("sample", model, "-n", 5, "--seed", 0, "--top-p", 0.5, "--out", out)[0] == 0
    assert out.read_text() == "".join(s + "\n" for s in load(model).sample(5, seed=0, top_p=0.5))
    table = tmp_path / "drawn.jsonl"
    assert run("sample", model, "-n", 5, "--out", table)[0] == 0
    assert set(json.loads(table.read_text().splitlines()[0])) == {"text"}
    status, _, told = run("sample", model, "--given", "a=1")
    assert status != 0
    assert "there is no label 'a=1'" in told


def test_what_is_made_of_sentences(run, model, folder, tmp_path):
    new = folder / "new.txt"
    out = tmp_path / "again.csv"
    assert run("reconstruct", model, new, "--out", out)[0] == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["sentence"] for row in rows] == TEXT[260:]
    assert set(rows[0]) == {"sentence", "text"}
    status, said, _ = run("interpolate", model, new, "--from", 0, "--to", 3, "--steps", 4)
    assert status == 0
    assert len(said.splitlines()) >= 4
    assert run("vary", model, new, "--item", 1, "-n", 2, "--out", tmp_path / "v.txt")[0] == 0
    status, _, told = run("vary", model, new, "--item", 99)
    assert status != 0
    assert "has the sentences 0 to 39; there is no sentence 99" in told
    assert run("encode", model, new, "--out", tmp_path / "z.csv")[0] == 0


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_sentences_are_scored_and_odd_ones_found(run, model, folder, tmp_path):
    status, said, _ = run("score", model, folder / "new.txt", "--draws", 4)
    assert status == 0
    rows = list(csv.DictReader(said.splitlines()))
    assert [row["text"] for row in rows] == TEXT[260:]
    assert float(rows[0]["log_likelihood"]) < 0
    out = tmp_path / "alarms.csv"
    assert run("detect", model, folder / "new.txt", "--out", out)[0] == 0
    assert set(next(csv.DictReader(out.read_text().splitlines()))) == {
        "text", "score", "p_value", "anomaly", "reasons",
    }  # fmt: skip


def test_info_and_evaluate(run, model, folder, tmp_path):
    status, said, _ = run("info", model)
    assert status == 0
    assert "of a vocabulary of 300 (256 bytes and 44 joined ones)" in said
    page = tmp_path / "a.html"
    status, said, _ = run("evaluate", model, folder / "new.txt", "--draws", 4, "--json",
                          "--train", folder / "said.txt", "--out", page)  # fmt: skip
    assert status == 0
    assert {"perplexity", "bleu", "near_copies"} <= json.loads(said).keys()
    assert page.exists()


def test_a_column_of_a_table_and_a_preset(run, folder, tmp_path):
    out = tmp_path / "a.variate"
    status, said, _ = run(
        "fit", folder / "said.jsonl", "--kind", "text", "--column", "said", "--preset", "fidelity",
        "--label", "asks",
        "--epochs", 1, "--latent", 3, "--vocabulary", 270, "--length", 60, "--quiet", "--json",
        "--out", out,
    )  # fmt: skip
    assert status == 0
    assert json.loads(said)["sentences"] == 60
    assert load(out).preset.nats == 60
    assert run("sample", out, "-n", 2, "--given", "True")[0] == 0
    for words, told in (
        (("--preset", "best"), "--preset is one of sampling, fidelity"),
        (("--levels", 3), "--levels is for pictures, and does not go with text"),
    ):
        status, _, error = run("fit", folder / "said.txt", *words, "--quiet", "--out", out)
        assert status != 0
        assert told in error


def test_bad_files_are_told_in_a_sentence(run, model, tmp_path):
    bad = tmp_path / "bad.txt"
    for content, told in (
        (b"", "is empty: there is no sentence"),
        (b"ok\ncaf\xe9\n", "line 2, byte 4: the byte 0xE9 is not UTF-8"),
        (b"\x00\x01", "there is a zero byte"),
    ):
        bad.write_bytes(content)
        for words in (("fit", bad, "--out", tmp_path / "b.variate"), ("score", model, bad)):
            status, _, error = run(*words)
            assert status != 0
            assert told in error
            assert "Traceback" not in error


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_sentences_are_moved_in_a_direction(run, model, folder, tmp_path):
    way, out, new = tmp_path / "way.json", tmp_path / "moved.txt", folder / "new.txt"
    gap = tmp_path / "said.jsonl"
    gap.write_text('{"said": null, "asks": null}\n' + (folder / "said.jsonl").read_text())
    for data in (folder / "said.jsonl", gap):
        assert run("direction", model, data, "--labels", "asks", "--out", way)[0] == 0
        fitted, told = load(model), json.loads(way.read_text())["direction"]
        asks = [s[:4] == "does" for s in TEXT[:60]]
        assert told == pytest.approx(fitted.direction(TEXT[:60], asks).tolist(), abs=1e-6)
    (tmp_path / "asks.csv").write_text(
        "label\n" + "".join(f"{s[:4] == 'does'}\n" for s in TEXT[260:])
    )
    status, _, told = run("direction", model, new, "--labels", tmp_path / "asks.csv", "--out", way)
    assert status == 0, told
    words = ("--direction", way, "--strength", 2, "--steps", 3, "--out", out)
    assert run("move", model, new, *words)[0] == 0
    moved, way = out.read_text().splitlines(), json.loads(way.read_text())["direction"]
    assert len(moved) == 120
    assert moved[::3] == fitted.reconstruct(TEXT[260:])
    assert moved[2::3] == fitted.move(TEXT[260:], way, 2.0)
    status, _, told = run("direction", model, new, "--labels", "asks", "--out", way_of(tmp_path))
    assert status == 2
    assert "this is neither a file" in told


def way_of(folder):
    return folder / "other.json"


def test_an_ending_that_no_sentences_have_is_told_before_the_work(run, model, folder, tmp_path):
    new, way = folder / "new.txt", tmp_path / "none.json"
    moved, between = ("move", new, "--direction", way), ("interpolate", new, "--from", 0, "--to", 1)
    for words in (("sample",), ("reconstruct", new), ("vary", new), moved, between):
        verb, *rest = words
        status, _, told = run(verb, model, *rest, "--out", tmp_path / "x.mid")
        assert status != 0
        assert "sentences as .txt (a line for each) or as a table: .csv" in told


REFUSED = {
    "gaps": (("impute", "DATA"), "no gaps"),
    "animation": (("interpolate", "DATA", "--from", 0, "--to", 1, "--animate"), "kind 'image'"),
    "scores": (("sample", "--score", "svg"), "kind 'music'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_for_other_kinds_is_refused(run, model, folder, name):
    (verb, *words), reason = REFUSED[name]
    words = [folder / "new.txt" if word == "DATA" else word for word in words]
    status, _, said = run(verb, model, *words)
    assert status == 2
    assert reason in said
