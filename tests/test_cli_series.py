"""Series on the command line."""

import contextlib
import json
import sys

import numpy as np
import pandas as pd
import pytest

from variate import TableVAE, cli, load
from variate.table import files

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    t, rng = np.arange(600), np.random.default_rng(0)
    frame = pd.DataFrame({
        "at": pd.date_range("2024-05-01", periods=600, freq="h"),
        "load": (100 + 30 * np.sin(t / 4) + rng.normal(0, 3, 600)).round().astype(int),
    }).drop(index=[50, 51])  # fmt: skip
    frame.to_csv(folder / "load.csv", index=False)
    return folder


QUICK = ["--window", "40", "--hidden", "16", "--latent", "2", "--epochs", "8", "--quiet"]


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "load.variate"
    sys.argv = ["variate", "fit", str(folder / "load.csv"), "--kind", "series", *QUICK]
    sys.argv += ["--out", str(path), "--channel", "load"]
    with contextlib.suppress(SystemExit):
        cli.main()
    return path


def test_fit_and_info(run, model):
    fitted = load(model)
    assert fitted.kind == "series"
    assert fitted.codec_.length == 40
    status, said, _ = run("info", model)
    assert status == 0
    assert "windows of 40 steps" in said
    assert "load:" in said
    status, said, _ = run("info", model, "--json")
    assert json.loads(said)["schema"]["channels"] == ["load"]


def test_detect_writes_a_row_for_each_alarm(run, folder, model, tmp_path):
    strange = pd.read_csv(folder / "load.csv")
    strange.loc[300:310, "load"] = 400
    strange.to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "alarms.csv"
    status, _, _ = run("detect", model, tmp_path / "new.csv", "--fdr", 0.1, "--out", out)
    assert status == 0
    table = files.read(out)
    assert table.column_names[:2] == ["start", "end"]
    assert any("load=400" in reason for reason in table.column("reasons").to_pylist())
    status, said, _ = run("detect", model, folder / "load.csv", "--json")
    assert isinstance(json.loads(said)["rows"], list)
    assert run("detect", model, folder / "load.csv", "--fdr", 2)[0] == 2


def test_recalibrate_writes_a_model(run, folder, model, tmp_path):
    out = tmp_path / "new.variate"
    status, said, _ = run("recalibrate", model, folder / "load.csv", "--out", out, "--json")
    assert status == 0
    assert json.loads(said)["calibration_blocks"] == len(load(out).facts_["block_scores"])


def test_forecast(run, folder, model):
    words = ("forecast", model, folder / "load.csv", "--steps", 3, "--draws", 20, "--seed", 0)
    status, said, _ = run(*words)
    assert status == 0
    assert said.splitlines()[0].replace('"', "") == "at,load,load_low,load_high"
    assert said.splitlines()[1].startswith("2024-05-26 00:00:00")
    assert run(*words)[1] == said
    assert len(json.loads(run(*words, "--json")[1])["rows"]) == 3
    assert run("forecast", model, folder / "load.csv", "--steps", 0)[0] == 2
    assert run("forecast", model, folder / "none.csv", "--steps", 3)[0] == 1


def test_impute_adds_the_missing_stamps(run, folder, model, tmp_path):
    out, sure = tmp_path / "filled.csv", tmp_path / "sure.csv"
    words = ("impute", model, folder / "load.csv", "--seed", 0, "--out", out, "--intervals", sure)
    assert run(*words)[0] == 0
    filled = files.read(out)
    assert filled.num_rows == 600
    assert filled.column_names == ["at", "load"]
    assert files.read(sure).num_rows == 2
    status, said, _ = run(*words[:3], "--draws", 2, "--json")
    assert status == 0
    assert len(json.loads(said)["rows"]) == 1200


def test_windows_are_the_rows_of_the_other_verbs(run, folder, model):
    data = folder / "load.csv"
    status, said, _ = run("score", model, data, "--draws", 2)
    assert status == 0
    assert said.splitlines()[0].replace('"', "") == "start,end,log_likelihood"
    assert len(said.splitlines()) == 1 + 15
    assert len(run("encode", model, data)[1].splitlines()) == 1 + 15
    assert len(run("sample", model, "-n", 2, "--seed", 0)[1].splitlines()) == 1 + 2 * 40
    assert len(run("vary", model, data, "--item", 1, "-n", 2)[1].splitlines()) == 1 + 2 * 40
    way = run("interpolate", model, data, "--from", 0, "--to", 2, "--steps", 3)
    assert len(way[1].splitlines()) == 1 + 3 * 40
    status, _, said = run("vary", model, data, "--item", 99)
    assert status == 2
    assert "windows 0 to 14" in said


def test_evaluate_and_its_report(run, folder, model, tmp_path):
    out = tmp_path / "r.html"
    status, said, _ = run(
        "evaluate", model, folder / "load.csv", "--draws", 2, "--out", out, "--json"
    )
    assert status == 0
    assert {"elbo", "nats_per_value", "coverage_90", "alarms"} <= set(json.loads(said))
    assert "Alarms" in out.read_text(encoding="utf-8")


WRONG = {
    "--given": (["sample", "MODEL", "--given", "a=b"], "--given is for models of the kind 'table'"),
    "--rows": (["sample", "MODEL", "--rows", "DATA"], "--rows is for models of the kind 'table'"),
    "balance": (["balance", "MODEL", "DATA", "--column", "load"], "balance is for models"),
    "decide": (["decide", "MODEL", "DATA", "--spec", "DATA"], "decide is for models"),
    "--target": (["evaluate", "MODEL", "DATA", "--target", "load"], "--target is for models"),
    "--column": (["fit", "DATA", "--kind", "series", "--column", "a=integer"], "--column is for"),
    "--window": (["fit", "DATA", "--window", "9"], "--window is for series"),
    "--kind": (["fit", "DATA", "--kind", "song"], "no kind 'song'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_wrong_usage(run, folder, model, case):
    words, message = WRONG[case]
    named = {"MODEL": model, "DATA": folder / "load.csv"}
    status, _, said = run(*(named.get(word, word) for word in words))
    assert status == 2
    assert message in said


def test_forecast_is_for_series_alone(run, folder, tmp_path):
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 3})
    path = tmp_path / "table.variate"
    TableVAE(latent=2, hidden=(8,), width=4, epochs=1, components=2).fit(frame).save(path)
    status, _, said = run("forecast", path, folder / "load.csv", "--steps", 2)
    assert status == 2
    assert "--kind series" in said


def test_bad_files_are_stated_errors(run, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    status, _, said = run("fit", tmp_path / "empty.csv", "--kind", "series", *QUICK)
    assert status == 1
    assert "empty.csv is empty" in said
    (tmp_path / "text.csv").write_text("at,load\n2024-01-01,low\n2024-01-02,high\n")
    status, _, said = run("fit", tmp_path / "text.csv", "--kind", "series", *QUICK)
    assert status == 1
    assert "text.csv: column 'load' holds text, not numbers" in said
