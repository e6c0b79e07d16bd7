"""variate detect and variate recalibrate: what is written, and every stated error."""

import contextlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
from tables import people

from variate import AnomalyDetector, TableVAE, cli, kinds, load
from variate.table import alarms, files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    files.write(people(2_000), folder / "people.csv")
    files.write(people(700, seed=1), folder / "normal.csv")
    rows = people(200, seed=2)
    rows.loc[:19, ["age", "income"]] = [19, 300_000.0]
    files.write(rows, folder / "new.csv")
    model = TableVAE(latent=3, hidden=(16,), width=8, components=3, epochs=15, seed=0).fit(
        folder / "people.csv"
    )
    model.save(folder / "bare.variate")
    model.recalibrate(folder / "normal.csv").save(folder / "m.variate")
    return folder


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl", ".csv.gz"])
def test_four_columns_a_row_each_in_order(run, folder, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(alarms, "PART", 64)
    out = tmp_path / f"alarms{ending}"
    status, said, _ = run("detect", folder / "m.variate", folder / "new.csv", "--out", out)
    found = files.read(out)
    assert status == 0
    assert found.column_names == ["score", "p_value", "anomaly", "reasons"]
    want = load(folder / "m.variate").score_samples(folder / "new.csv")
    np.testing.assert_allclose(found["score"].to_numpy(), -want, rtol=1e-6)
    assert all(found["anomaly"].to_pylist()[:20])
    assert "income=300000" in found["reasons"][0].as_py()
    assert "anomalies" in said


def test_figures_and_rows_for_machines(run, folder, tmp_path):
    words = ("detect", folder / "m.variate", folder / "new.csv", "--fdr", 0.1, "--json")
    status, said, _ = run(*words)
    told = json.loads(said)
    assert status == 0
    assert len(told["rows"]) == 200
    assert told["figures"]["calibration_rows"] == 700
    assert told["figures"]["anomalies"] == sum(row["anomaly"] for row in told["rows"])
    status, said, _ = run(*words, "--out", tmp_path / "a.csv")
    assert json.loads(said) == told["figures"] | {"out": str(tmp_path / "a.csv")}


def test_without_out_it_is_csv_on_standard_output(run, folder, monkeypatch):
    monkeypatch.setattr(alarms, "PART", 64)
    status, said, _ = run("detect", folder / "m.variate", folder / "new.csv")
    lines = said.splitlines()
    assert status == 0
    assert lines[0] == "score,p_value,anomaly,reasons"
    assert len(lines) == 201
    assert lines[1].split(",")[2] == "true"


def test_rows_that_are_normal_can_come_along(run, folder, tmp_path):
    words = ("detect", folder / "bare.variate", folder / "new.csv", "--json")
    status, said, _ = run(*words, "--fdr", 0.2)
    assert json.loads(said)["figures"]["calibration_rows"] == 100
    status, said, _ = run(*words, "--normal", folder / "normal.csv", "--draws", 16)
    assert status == 0
    assert json.loads(said)["figures"]["calibration_rows"] == 700
    assert load(folder / "bare.variate").calibration_.rows == 100  # the file is as it was


def test_recalibrate_writes_a_model(run, folder, tmp_path):
    out = tmp_path / "m.variate"
    words = ("recalibrate", folder / "bare.variate", folder / "normal.csv", "--out", out)
    status, said, _ = run(*words, "--json")
    assert status == 0
    assert json.loads(said) == {"model": str(out), "calibration_rows": 700, "draws": 64}
    status, said, _ = run("recalibrate", out, folder / "new.csv", "--extend", "--json")
    assert (status, json.loads(said)["calibration_rows"]) == (0, 900)
    again = load(out)
    assert again.calibration_.rows == 900
    assert not again.verbose


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--fdr", "0"), 2, "fdr must be between 0 and 1"),
        (("--fdr", "much"), 2, "--fdr"),
        (("--draws", "8"), 2, "variate recalibrate --draws 8"),
        (("--out", "no/such/folder.csv"), 1, "does not exist"),
        (("--normal", "none.csv"), 1, "none.csv does not exist"),
    ],
)
def test_stated_errors(run, folder, words, status, says):
    found, _, said = run("detect", folder / "m.variate", folder / "new.csv", *words)
    assert found == status
    assert says in said
    assert "Traceback" not in said


def test_what_is_wrong_with_the_data_names_the_file(run, folder, tmp_path):
    poor, hot = tmp_path / "poor.csv", tmp_path / "hot.parquet"
    files.write(people().drop(columns="age"), poor)
    rows = people()
    rows.loc[3, "income"] = np.inf
    files.write(rows, hot)
    for verb in ("detect", "recalibrate"):
        status, _, said = run(verb, folder / "m.variate", poor)
        assert status == 1
        assert str(poor) in said
        assert "'age'" in said
        status, _, said = run(verb, folder / "m.variate", hot)
        assert status == 1
        assert "row 3" in said
        assert str(hot) in said


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A folder with tables and arrays, and a detector of each, fitted by the command line."""
    folder = tmp_path_factory.mktemp("detector")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(["x", "y"], 300)})
    array = rng.normal(size=(300, 2))
    new, other = frame[:10].copy(), array[:10].copy()
    new.loc[3, "a"], other[3, 0] = 50.0, 50.0
    for name, table in (("rows", frame), ("new", new)):
        for ending in (".csv", ".parquet", ".jsonl"):
            files.write(table, folder / f"{name}{ending}")
    np.save(folder / "rows.npy", array)
    np.save(folder / "new.npy", other)
    np.save(folder / "objects.npy", np.array([{}, {}], dtype=object))
    np.save(folder / "line.npy", array[:, 0])
    for data, model in (("rows.csv", "d.variate"), ("rows.npy", "array.variate")):
        sys.argv = ["variate", "fit", str(folder / data), "--kind", "anomaly", "--quiet"]
        sys.argv += ["--level", "0.1", "--out", str(folder / model)]
        with contextlib.suppress(SystemExit):
            cli.main()
    return folder


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("d", "new.csv"),
        ("d", "new.parquet"),
        ("d", "new.jsonl"),
        ("array", "new.npy"),
    ],
)
def test_a_detector_of_a_table_or_an_array(run, detector, tmp_path, model, data):
    out = tmp_path / "found.csv"
    path = detector / f"{model}.variate"
    status, _, _ = run("detect", path, detector / data, "--fdr", "0.4", "--out", out)
    assert status == 0
    assert load(path).level == 0.1
    assert pd.read_csv(out)["anomaly"].tolist()[3]
    assert pd.read_csv(out)["p_value"].idxmin() == 3


def test_a_detector_is_the_one_of_python(detector):
    ours = AnomalyDetector(level=0.1).fit(detector / "rows.csv")
    fitted = load(detector / "d.variate")
    np.testing.assert_array_equal(
        ours.score_samples(detector / "new.csv"), fitted.score_samples(detector / "new.csv")
    )
    assert kinds.fit(np.load(detector / "rows.npy"), kind="anomaly").kind == "anomaly"


def test_a_detector_is_shown_and_recalibrated(run, detector, tmp_path):
    status, said, _ = run("info", detector / "d.variate")
    assert status == 0
    assert "300 rows of 2 columns" in said
    assert "2 levels: x, y" in said
    told = json.loads(run("info", detector / "d.variate", "--json")[1])
    assert (told["kind"], told["calibration_rows"]) == ("anomaly", 300)
    assert json.loads(run("info", detector / "array.variate", "--json")[1])["schema"] is None
    for model, data in (("d", "rows.csv"), ("array", "rows.npy")):
        words = (detector / f"{model}.variate", detector / data, "--out", tmp_path / "m.variate")
        status, said, _ = run("recalibrate", *words, "--extend", "--json")
        assert (status, json.loads(said)["calibration_rows"]) == (0, 600)


@pytest.mark.parametrize("verb", ["sample", "encode", "score", "evaluate", "impute", "forecast"])
def test_what_a_detector_does_not_do_is_said(run, detector, verb):
    words = {"sample": [], "forecast": [detector / "new.csv", "--steps", 2]}
    status, _, error = run(verb, detector / "d.variate", *words.get(verb, [detector / "new.csv"]))
    assert status == 2
    assert "holds an anomaly detector" in error
    assert "`variate detect`" in error


WRONG = {
    "detect d new.csv --draws 3": (2, "leave draws out"),
    "detect array new.csv": (1, "was fitted on an array"),
    "detect d new.npy": (1, "new.npy is an array, and this detector was fitted on a table"),
    "detect array objects.npy": (1, "objects.npy cannot be read"),
    "detect array line.npy": (1, "line.npy holds float64 of the shape [300]"),
    "detect array none.npy": (1, "none.npy does not exist"),
    "fit rows.csv --kind anomaly --epochs 3": (2, "--epochs does not go with --kind anomaly"),
    "fit rows.csv --kind anomaly --window 3": (2, "--window does not go with --kind anomaly"),
    "fit rows.csv --kind anomaly --resume": (2, "--resume does not go with --kind anomaly"),
    "fit rows.csv --kind anomaly --level 2": (2, "level must be between 0 and 1"),
    "fit rows.npy --kind anomaly --column a=ignore": (2, "an array has no names"),
    "fit none.npy --kind anomaly": (1, "none.npy does not exist"),
    "fit rows.csv --level 0.1": (2, "--level is for detectors"),
    "fit rows.csv --kind anomaly --children new.csv --key a --foreign-key a": (2, "--kind is for"),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_of_a_detector(run, detector, words):
    status, says = WRONG[words]
    named = {"d": detector / "d.variate", "array": detector / "array.variate"}
    verb, *others = words.split()
    found = [named.get(w, detector / w if w.partition(".")[2][:1].isalpha() else w) for w in others]
    ended, _, error = run(verb, *found)
    assert ended == status
    assert says in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
