"""The command line: every verb, every format, every stated error."""

import json
import os
import signal
import subprocess
import sys
import time
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from tables import people

from variate import TableVAE, cli, load
from variate.table import files

QUICK = ["--epochs", "2", "--latent", "3", "--hidden", "16", "--width", "8", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    frame = people()
    files.write(frame, folder / "people.csv")
    TableVAE(latent=3, hidden=(16,), width=8, epochs=3).fit(folder / "people.csv").save(
        folder / "m.variate"
    )
    return folder


def test_fit_writes_a_model_and_reports_held_out_figures(run, folder, tmp_path):
    out = tmp_path / "people.variate"
    status, said, _ = run("fit", folder / "people.csv", "--out", out, "--json", *QUICK)
    facts = json.loads(said)
    assert status == 0
    assert facts["model"] == str(out)
    assert facts["held_out"]["elbo"] <= facts["held_out"]["log_likelihood"] + 1e-6
    assert load(out).latent_ == 3
    assert [path.name for path in tmp_path.iterdir()] == ["people.variate"]


def test_every_constructor_argument_is_an_option():
    objects = {"objective", "prior", "posterior"}  # these are Python objects
    renamed = {"columns": "column", "verbose": "quiet", "privacy": "epsilon"}
    given = signature(TableVAE).parameters
    wanted = {renamed.get(name, name) for name in given if name not in objects}
    options = signature(cli.fit).parameters
    assert wanted <= set(options)
    # on the command line the constraints are a file, and the learning rate is what suits the kind
    for name in (set(given) & set(options)) - {"constraints", "learning_rate"}:
        assert options[name].default == given[name].default, name


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_sample_in_every_format(run, folder, tmp_path, ending):
    out = tmp_path / f"new{ending}"
    status, _, _ = run("sample", folder / "m.variate", "-n", 20, "--seed", 0, "--out", out)
    made = files.read(out)
    assert status == 0
    assert made.num_rows == 20
    assert made.column_names == list(people().columns)


def test_balance_writes_the_rows_and_then_those_that_were_drawn(run, folder, tmp_path):
    out = tmp_path / "more.csv"
    words = ("balance", folder / "m.variate", folder / "people.csv", "--column", "note")
    status, _, _ = run(*words, "--seed", 0, "--out", out)
    more = files.read(out)
    assert status == 0
    assert more.column_names == [*people().columns, "synthetic"]
    assert not any(more.column("synthetic").to_pylist()[:400])
    assert all(more.column("synthetic").to_pylist()[400:])
    status, _, said = run(*words[:3], "--column", "town")
    assert status == 2
    assert "no column 'town'" in said


def test_impute_writes_one_table_or_several(run, folder, tmp_path):
    out, sure = tmp_path / "filled.csv", tmp_path / "sure.parquet"
    words = ("impute", folder / "m.variate", folder / "people.csv", "--seed", 0)
    status, _, said = run(*words, "--out", out, "--intervals", sure)
    made, cells = files.read(out), files.read(sure)
    assert status == 0
    assert made.column_names == list(people().columns)
    assert not any(column.null_count for column in made.columns)
    assert f"{cells.num_rows} missing cells of 400 rows are filled" in said
    status, _, _ = run(*words, "--out", out, "--draws", 3)
    made = files.read(out)
    assert made.column_names[-1] == "imputation"
    assert made.column("imputation").to_pylist() == [1] * 400 + [2] * 400 + [3] * 400
    assert run(*words, "--draws", 0)[0] == 2
    assert "--level must lie" in run(*words, "--level", 90)[2]
    status, _, said = run("impute", folder / "m.variate", out, "--draws", 2)
    assert status == 2
    assert "a column 'imputation' already" in said


def test_evaluate_trains_the_model_without_its_code(run, folder):
    words = ("evaluate", folder / "m.variate", folder / "people.csv", "--draws", 2, "--json")
    status, said, progress = run(*words, "--train", folder / "people.csv", "--without-z")
    figures = json.loads(said)
    assert status == 0
    assert figures["without_z"]["rows"] == 400
    assert "code_gain" in figures
    assert "steps" in progress
    status, _, said = run(*words, "--without-z")
    assert status == 2
    assert "--train FILE" in said


def test_sample_without_out_is_csv_on_standard_output(run, folder):
    _, first, _ = run("sample", folder / "m.variate", "-n", 3, "--seed", 1)
    _, again, _ = run("sample", folder / "m.variate", "-n", 3, "--seed", 1)
    assert first == again
    assert len(first.splitlines()) == 4
    assert first.splitlines()[0].replace('"', "").split(",") == list(people().columns)


def test_score_keeps_the_rows_and_ends_in_log_likelihood(run, folder, tmp_path):
    out = tmp_path / "scores.csv"
    status, _, _ = run("score", folder / "m.variate", folder / "people.csv", "--out", out)
    scored = files.read(out)
    assert status == 0
    assert scored.column_names == [*people().columns, "log_likelihood"]
    want = load(folder / "m.variate").score_samples(folder / "people.csv")
    np.testing.assert_array_equal(scored["log_likelihood"].to_numpy(), want)


def test_encode_writes_means_and_scales(run, folder, tmp_path):
    out = tmp_path / "codes.parquet"
    status, _, _ = run("encode", folder / "m.variate", folder / "people.csv", "--out", out)
    codes = files.read(out)
    assert status == 0
    assert codes.column_names == ["z1", "z2", "z3", "scale1", "scale2", "scale3"]
    mean, scale = load(folder / "m.variate").encode(folder / "people.csv")
    np.testing.assert_array_equal(codes["z2"].to_numpy(), mean[:, 1])
    np.testing.assert_array_equal(codes["scale3"].to_numpy(), scale[:, 2])


def test_reconstruct_vary_interpolate(run, folder, tmp_path):
    model, data = folder / "m.variate", folder / "people.csv"
    assert run("reconstruct", model, data, "--out", tmp_path / "r.csv")[0] == 0
    assert files.read(tmp_path / "r.csv").num_rows == 400
    assert run("vary", model, data, "--item", 3, "-n", 5, "--out", tmp_path / "v.csv")[0] == 0
    assert files.read(tmp_path / "v.csv").num_rows == 5
    way = ("interpolate", model, data, "--from", 0, "--to", 7, "--steps", 4)
    status, said, _ = run(*way, "--json")
    assert status == 0
    assert len(json.loads(said)["rows"]) == 4


def test_evaluate_prints_the_contracts_figures_and_writes_a_report(run, folder, tmp_path):
    words = ("evaluate", folder / "m.variate", folder / "people.csv", "--draws", 8)
    status, said, _ = run(*words, "--out", tmp_path / "r.html", "--json")
    figures = json.loads(said)
    assert status == 0
    assert {"elbo", "log_likelihood", "kl", "active_units"} <= set(figures)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_info_shows_the_schema(run, folder):
    status, said, _ = run("info", folder / "m.variate")
    assert status == 0
    assert all(name in said for name in people().columns)
    status, said, _ = run("info", folder / "m.variate", "--json")
    assert json.loads(said)["kind"] == "table"


def test_column_kinds_can_be_overridden(run, folder, tmp_path):
    out = tmp_path / "m.variate"
    words = ("fit", folder / "people.csv", "--out", out, "--column", "age=category", *QUICK)
    assert run(*words)[0] == 0
    kinds = {column.name: column.kind for column in load(out).codec_.schema.columns}
    assert kinds["age"] == "category"


# -- stated errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["fitt"], ["sample"], ["sample", "m", "--nope"], ["vary", "m"]])
def test_wrong_usage_is_2(run, words):
    status, _, said = run(*words)
    assert status == 2
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["sample", "info", "encode", "score", "evaluate", "vary"])
def test_a_model_that_is_not_there(run, folder, tmp_path, verb):
    data = [] if verb in ("sample", "info") else [folder / "people.csv"]
    status, _, said = run(verb, tmp_path / "none.variate", *data)
    assert status == 1
    assert "none.variate" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("empty.csv", "", "empty"),
        ("header.csv", "a,b\n", "no rows"),
        ("broken.csv", "a,b\n1,2\n3,4,5\n6,7\n", "line 3"),
        ("twice.csv", "a,a\n1,2\n3,4\n", "'a'"),
        ("one.csv", "a,b\n1,2\n", "1 row"),
        ("constant.csv", "a\n1\n1\n1\n", "constant"),
    ],
)
def test_a_data_file_that_cannot_be_used(run, tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    status, _, said = run("fit", path, "--out", tmp_path / "m.variate", *QUICK)
    assert status == 1
    assert says in said
    assert name in said
    assert "Traceback" not in said


def test_the_wrong_encoding_says_where(run, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("name,n\nBär,1\nKuh,2\n".encode("latin-1"))
    status, _, said = run("fit", path, *QUICK)
    assert status == 1
    assert "line 2" in said


@pytest.mark.parametrize(
    "words",
    [["score"], ["encode"], ["vary", "--item", "0"], ["interpolate", "--from", "0", "--to", "1"]],
    ids=lambda words: words[0],
)
def test_what_is_wrong_with_the_data_names_the_file(run, folder, tmp_path, words):
    poor = tmp_path / "poor.csv"
    files.write(people().drop(columns="age"), poor)
    status, _, error = run(words[0], folder / "m.variate", poor, *words[1:])
    assert status == 1
    assert str(poor) in error
    assert "age" in error


def test_a_data_file_that_is_not_there(run, tmp_path):
    status, _, said = run("fit", tmp_path / "none.csv")
    assert (status, "does not exist" in said) == (1, True)


def test_an_unknown_ending_lists_the_known_ones(run, folder, tmp_path):
    status, _, said = run("sample", folder / "m.variate", "--out", tmp_path / "new.xls")
    assert status == 1
    assert ".parquet" in said


def test_a_folder_that_is_not_there_is_found_out_before_training(run, folder, tmp_path):
    started = time.monotonic()
    status, _, said = run("fit", folder / "people.csv", "--out", tmp_path / "no" / "m.variate")
    assert (status, "does not exist" in said) == (1, True)
    assert time.monotonic() - started < 5


def test_a_row_that_is_not_there(run, folder):
    words = ("vary", folder / "m.variate", folder / "people.csv", "--item", 4000)
    status, _, said = run(*words)
    assert (status, "0 to 399" in said) == (2, True)


# -- stopping and going on -----------------------------------------------------------------------


def start(*words, cwd):
    script = "from variate import cli, fitting; fitting.CHECKPOINT_SECONDS = 0.1; cli.main()"
    command = [sys.executable, "-c", script, *map(str, words)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*words, cwd):
    with start(*words, cwd=cwd) as process:
        said = process.stderr.read()
    assert process.returncode == 0, said


def wait_for(path, process):
    for _ in range(600):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.1)


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_model_and_says_how_to_go_on(folder, tmp_path):
    out = tmp_path / "m.variate"
    words = ("fit", folder / "people.csv", *QUICK[2:-1], "--out", out, "--epochs", 3_000)
    with start(*words, cwd=tmp_path) as process:
        for line in process.stderr:
            if "nats" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 1
    assert "--resume" in said
    assert "Traceback" not in said
    assert load(out).facts_["stopped"] == "interrupted"


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(folder, tmp_path):
    words = ["fit", folder / "people.csv", *QUICK[2:], "--epochs", 100, "--seed", 4]
    whole, killed = tmp_path / "whole.variate", tmp_path / "killed.variate"
    finish(*words, "--out", whole, cwd=tmp_path)
    with start(*words, "--out", killed, cwd=tmp_path) as process:
        wait_for(Path(f"{killed}.checkpoint"), process)
        process.kill()
    assert not killed.exists(), "the run was over before it was killed"
    finish(*words, "--out", killed, "--resume", cwd=tmp_path)
    first, second = load(whole).model_.state_dict(), load(killed).model_.state_dict()
    assert all(first[name].equal(second[name]) for name in first)
