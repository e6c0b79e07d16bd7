"""variate detect and variate recalibrate: what is written, and every stated error."""

import json

import numpy as np
import pandas as pd
import pytest
from tables import people

from variate import AnomalyDetector, TableVAE, load
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


def test_a_detector_in_a_file(run, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    path = AnomalyDetector().fit(frame).save(tmp_path / "d.variate")
    frame.loc[3, "a"] = 50.0
    frame[:10].to_csv(tmp_path / "new.csv", index=False)
    found = tmp_path / "found.csv"
    status, _, _ = run("detect", path, tmp_path / "new.csv", "--fdr", "0.4", "--out", found)
    assert status == 0
    assert pd.read_csv(found)["anomaly"].tolist() == [i == 3 for i in range(10)]
    status, told, _ = run("recalibrate", path, tmp_path / "rows.csv", "--json")
    assert status == 0
    assert json.loads(told)["calibration_rows"] == 300
    for words in (["sample", path], ["info", path], ["encode", path, tmp_path / "new.csv"]):
        status, _, error = run(*words)
        assert status == 2
        assert "holds an anomaly detector" in error
    status, _, error = run("detect", path, tmp_path / "new.csv", "--draws", "3")
    assert status == 2
    assert "draws" in error
