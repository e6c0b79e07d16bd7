"""detect on tables: every kind of frame, files in batches, values never seen, and bad input."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables import people

from variate import Alarms, TableVAE, constraints, load
from variate.errors import DataError, DataWarning, OptionError, OutputError, SchemaError
from variate.table import alarms, files, parts

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")
TINY = {"latent": 3, "hidden": (16,), "width": 8, "components": 3, "seed": 0}


@pytest.fixture(scope="module")
def model():
    with pytest.warns(DataWarning, match="'spare' has no value at all"):
        model = TableVAE(epochs=15, **TINY).fit(people(2_000).assign(country="CH", spare=None))
    return model.recalibrate(people(1_500, seed=1).assign(country="CH", spare=None))


@pytest.fixture
def rows():
    """Thirty strange rows before those that are not."""
    rows = people(300, seed=2).assign(country="CH", spare=None)
    rows["city"] = rows["city"].astype(object)
    rows.loc[:29, ["age", "income"]] = [19, 150_000.0]
    return rows


# -- frames -------------------------------------------------------------------------------------


def test_a_table_of_four_columns_a_row_each_in_order(model, rows):
    found = model.detect(rows)
    assert list(found.columns) == ["score", "p_value", "anomaly", "reasons"]
    assert found["anomaly"][:30].all()
    assert found["anomaly"][30:].mean() < 0.02
    assert (found["reasons"].str.len() > 0).eq(found["anomaly"]).all()
    assert found["reasons"][:30].str.contains("income=150000").all()
    np.testing.assert_array_equal(found["score"], -model.score_samples(rows))
    turned = model.detect(rows[::-1])
    np.testing.assert_allclose(turned["score"][::-1], found["score"], rtol=1e-6)


def test_the_callers_type_comes_back(model, rows):
    rows = rows.drop(columns="spare").assign(spare=np.nan)
    want = model.detect(rows)
    from_polars = model.detect(pl.from_pandas(rows))
    from_arrow = model.detect(pa.Table.from_pandas(rows))
    assert isinstance(from_polars, pl.DataFrame)
    assert from_polars["anomaly"].dtype == pl.Boolean
    assert isinstance(from_arrow, pa.Table)
    for found in (from_polars["p_value"].to_numpy(), from_arrow["p_value"].to_numpy()):
        np.testing.assert_array_equal(found, want["p_value"])
    assert from_arrow["reasons"].to_pylist() == want["reasons"].tolist()


def test_the_index_of_a_pandas_frame_stays(model, rows):
    some = rows[rows.index % 3 == 0]
    found = model.detect(some)
    assert found.index.equals(some.index)
    assert len(some[found["anomaly"]]) >= 10


def test_of_an_array_the_record_comes_back():
    rng = np.random.default_rng(0)
    array = rng.normal(size=(600, 3)).round(2)
    array[:, 2] = array[:, 0] > 0
    model = TableVAE(epochs=10, **TINY).fit(array)
    model.recalibrate(np.column_stack([array[:, 0], rng.permutation(array[:, 1]), array[:, 2]]))
    new = array[:40].copy()
    new[0, 2], new[1, 0] = 7, np.nan
    new[2] = np.nan
    with (
        pytest.warns(DataWarning, match="in 1 of the rows no cell is known, the first is row 2"),
        pytest.warns(DataWarning, match=r"1 rows have no value in 'x0'.*the first is row 1"),
    ):
        found = model.detect(new)
    assert isinstance(found, Alarms)
    assert found.anomaly[0]
    assert found.reasons[0] == "x2=7 (never seen in training)"
    assert np.isfinite(found.score[1])
    assert (np.isnan(found.score[2]), found.p_value[2], found.anomaly[2]) == (True, 1, False)
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.detect(array[:, :2])


# -- values that were never seen -----------------------------------------------------------------


def test_a_level_that_was_never_seen_is_an_alarm_and_no_error(model, rows):
    rows.loc[200, "city"] = "Atlantis"
    found = model.detect(rows)
    assert found["anomaly"][200]
    assert found["reasons"][200] == "city=Atlantis (never seen in training)"
    assert found["p_value"][200] == 1 / 1_501
    assert np.isfinite(found["score"][200])
    others = np.delete(np.arange(300), 200)
    rows.loc[200, "city"] = "Basel"
    again = model.detect(rows)
    np.testing.assert_array_equal(found["score"][others], again["score"][others])


def test_a_column_of_one_value_that_has_another(model, rows):
    rows["spare"] = np.where(rows.index == 100, "x", None)
    rows.loc[[100, 101], "country"] = ["FR", None]
    found = model.detect(rows)
    assert found["reasons"][100] == (
        "country=FR (never seen in training: always CH), "
        "spare=x (never seen in training: always empty)"
    )
    assert not found["reasons"][101]  # a gap is not another value


def test_what_a_constraint_is_about_must_be_allowed():
    frame = people(300)
    frame["region"] = frame["city"].map({"Basel": "west", "Zug": "east"}).astype(object)
    frame["city"] = frame["city"].astype(object)
    rule = constraints.Determined("region", by="city")
    model = TableVAE(epochs=3, constraints=[rule], **TINY).fit(frame)
    model.detect(frame[:20], fdr=0.2)
    frame.loc[3, "city"] = "Atlantis"
    with pytest.raises(SchemaError, match="Atlantis"):
        model.detect(frame[:20], fdr=0.2)


def test_rows_of_which_nothing_is_known(model, rows):
    rows = rows.convert_dtypes()
    for column in rows:
        rows.loc[rows.index[-1], column] = None
    with pytest.warns(DataWarning, match="in 1 of the rows no cell is known"):
        found = model.detect(rows)
    last = found.iloc[-1]
    assert (np.isnan(last["score"]), last["p_value"]) == (True, 1.0)
    assert not last["anomaly"]
    with pytest.raises(DataError, match=r"row 299 .* nothing is known"):
        model.recalibrate(rows)


def test_a_gap_where_training_had_none_is_said(model, rows):
    rows["age"] = rows["age"].astype("float64")
    rows.loc[[40, 41], "age"] = np.nan
    with pytest.warns(DataWarning, match=r"2 rows have no value in 'age'.*the first is row 40"):
        found = model.detect(rows)
    assert np.isfinite(found["score"]).all()


# -- bad input ----------------------------------------------------------------------------------


def test_an_infinite_value_is_named(model, rows):
    rows.loc[7, "income"] = np.inf
    with pytest.raises(DataError, match=r"'income' holds inf \(infinity\) in row 7"):
        model.detect(rows)


def test_a_column_that_is_not_there_is_named(model, rows, tmp_path):
    files.write(rows.drop(columns=["age", "spare"]), tmp_path / "poor.csv")
    with pytest.raises(SchemaError, match=r"poor\.csv: the columns 'age' are missing"):
        model.detect(tmp_path / "poor.csv")


def test_a_column_that_was_not_there_in_training_is_ignored_and_said(model, rows):
    with pytest.warns(DataWarning, match="'colour' were not there in training"):
        found = model.detect(rows.assign(colour="red"))
    assert found.equals(model.detect(rows))


def test_anomalies_only(model, rows):
    with pytest.warns(DataWarning, match="do not score as the 1,500"):
        found = model.detect(rows[:30])
    assert found["anomaly"].all()
    assert not found["reasons"].str.contains("nearest").any()  # there is none


@pytest.mark.filterwarnings("ignore:these rows do not score")
@pytest.mark.parametrize("row", [0, 200])
def test_one_row_repeated(model, rows, row):
    found = model.detect(rows.iloc[[row] * 50])
    assert found["anomaly"].all() if row == 0 else not found["anomaly"].any()
    assert found["p_value"].nunique() == 1
    assert (found["reasons"] != "").all() == (row == 0)


def test_equal_rows_are_equally_strange():
    """Rounding, which depends on where a row stands, must not set equal rows apart."""
    rng = np.random.default_rng(0)
    coarse = pd.DataFrame({"a": rng.integers(0, 2, 800), "b": rng.integers(0, 2, 800)})
    model = TableVAE(epochs=2, **TINY).fit(coarse[:400]).recalibrate(coarse[400:700])
    found = model.detect(coarse[700:], fdr=0.2)
    assert found["p_value"].nunique() <= 4
    assert found["p_value"].max() == 1


def test_a_constant_table_cannot_be_learned_and_one_row_of_two_kinds_can():
    with pytest.raises(DataError, match="nothing to learn"):
        TableVAE(**TINY).fit(pd.DataFrame({"a": [1] * 50, "b": ["x"] * 50}))
    nearly = pd.DataFrame({"a": [1, 2] * 100, "b": ["x"] * 200})
    model = TableVAE(epochs=2, **TINY).fit(nearly)
    with pytest.warns(DataWarning, match="want of calibration scores"):
        found = model.detect(nearly)
    assert not found["anomaly"].any()
    assert model.detect(nearly, fdr=0.2)["p_value"].min() > 0.2


@pytest.mark.parametrize("fdr", [0.0, 1.0, 2.0])
def test_a_rate_that_is_none(model, rows, fdr):
    with pytest.raises(OptionError, match="fdr must be between 0 and 1"):
        model.detect(rows, fdr=fdr)


def test_no_rows(model, rows, tmp_path):
    with pytest.raises(DataError, match="no rows"):
        model.detect(rows[:0])
    (tmp_path / "none.csv").write_text(",".join(rows.columns) + "\n")
    with pytest.raises(DataError, match=r"none\.csv.*no rows"):
        model.detect(tmp_path / "none.csv")


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_a_file_is_looked_at_in_batches_and_order_is_kept(
    model, rows, tmp_path, monkeypatch, ending
):
    monkeypatch.setattr(alarms, "PART", 64)
    rows = rows.sample(frac=1, random_state=0, ignore_index=True).drop(columns="spare")
    rows.loc[250, "city"] = "Atlantis"
    files.write(rows.assign(spare=np.nan), tmp_path / f"rows{ending}")
    found = model.detect(tmp_path / f"rows{ending}")
    want = model.detect(rows.assign(spare=np.nan))
    assert isinstance(found, pa.Table)
    np.testing.assert_allclose(found["score"].to_numpy(), want["score"])
    np.testing.assert_allclose(found["p_value"].to_numpy(), want["p_value"])
    np.testing.assert_array_equal(found["anomaly"].to_numpy(), want["anomaly"])
    assert "Atlantis" in found["reasons"][250].as_py()
    named = [text.split(" ")[-2:] for text in found["reasons"].to_pylist() if "nearest" in text]
    assert named  # counted over the whole file
    for text in found["reasons"].to_pylist():
        if "nearest normal row" in text:
            near = int(text.split("nearest normal row ")[1].split(":")[0])
            assert not want["anomaly"][near]


@pytest.mark.filterwarnings("ignore:these rows do not score")  # they lack a column
def test_what_is_worth_a_word_in_many_batches_is_said_once(model, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(alarms, "PART", 64)
    rows["age"] = rows["age"].astype("float64")
    rows.loc[rows.index >= 130, "age"] = np.nan
    files.write(rows.drop(columns="spare").assign(spare=np.nan), tmp_path / "rows.parquet")
    with pytest.warns(DataWarning, match="no value in 'age'") as said:
        model.detect(tmp_path / "rows.parquet")
    said = [str(one.message) for one in said if "'age'" in str(one.message)]
    assert len(said) == 1
    assert "the first is row 2, counted from 0" in said[0]
    assert said[0].endswith("Here rows are counted from row 128 of the data.")


def test_what_is_wrong_in_a_later_batch_says_where(model, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(alarms, "PART", 64)
    rows.loc[130, "income"] = np.inf
    files.write(rows.drop(columns="spare").assign(spare=np.nan), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet: .*in row 2 .* from row 128 of the data"):
        model.detect(tmp_path / "rows.parquet")


def test_the_calibration_is_kept_in_the_model_file(model, rows, tmp_path):
    model.save(tmp_path / "m.variate")
    again = load(tmp_path / "m.variate")
    assert again.calibration_.rows == 1_500
    pd.testing.assert_frame_equal(again.detect(rows), model.detect(rows))


@pytest.mark.parametrize("ending", [".csv", ".tsv.gz", ".jsonl", ".parquet", ".arrow"])
def test_a_table_is_written_part_by_part(tmp_path, ending):
    whole = pa.table({"a": list(range(100)), "b": ["x, y", ""] * 50, "c": [None, 0.5] * 50})
    path = tmp_path / f"t{ending}"
    assert parts.write_parts((whole.slice(i, 30) for i in range(0, 100, 30)), path) == 100
    assert files.read(path).to_pylist() == whole.to_pylist()


def test_a_part_that_cannot_be_made_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}), path)

    def broken():
        yield pa.table({"a": [2]})
        raise DataError("no more")

    with pytest.raises(DataError):
        parts.write_parts(broken(), path)
    assert pq.read_table(path).to_pylist() == [{"a": 1}]
    with pytest.raises(OutputError, match="the ending says how"):
        parts.write_parts([], tmp_path / "t.xls")
