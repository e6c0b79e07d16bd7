"""Series as they come in, on regular grids, and as windows and back."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from variate.errors import DataError, DataWarning, SchemaError
from variate.series.codec import SeriesCodec
from variate.series.period import dominant_period, window_length
from variate.series.reading import Columns, read
from variate.table.files import write


def frame(steps=60):
    t = np.arange(steps)
    return pd.DataFrame({
        "at": pd.date_range("2024-05-01", periods=steps, freq="h"),
        "load": (100 + 10 * np.sin(t)).round().astype(int),
        "temp": np.cos(t).round(1),
    })  # fmt: skip


def fitted(raw, **named):
    return SeriesCodec(Columns(**named), 8).fit(raw)


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "index", "csv", "parquet"])
def test_every_sort_of_table_gives_the_same_series(kind, tmp_path):
    given = frame()
    given.to_csv(tmp_path / "a.csv", index=False)
    given.to_parquet(tmp_path / "a.parquet")
    raw = {
        "pandas": given,
        "polars": pl.from_pandas(given),
        "pyarrow": pa.Table.from_pandas(given),
        "index": given.set_index("at"),
        "csv": tmp_path / "a.csv",
        "parquet": str(tmp_path / "a.parquet"),
    }[kind]
    found = read(raw, Columns())
    assert found.time == "at"
    assert found.channels == ("load", "temp")
    assert found.whole == (True, False)
    np.testing.assert_allclose(found.series[0].values, given[["load", "temp"]].to_numpy())
    assert SeriesCodec(Columns(), 8).fit(raw).length == 8


def test_arrays_of_every_shape():
    one = np.arange(10.0)
    assert read(one, Columns()).series[0].values.shape == (10, 1)
    assert read(torch.ones(10, 3), Columns()).channels == ("x0", "x1", "x2")
    several = read([one, np.arange(4)], Columns())
    assert [len(part.values) for part in several.series] == [10, 4]
    assert read([1.0, 2.0, 3.0], Columns()).series[0].values.shape == (3, 1)


def test_a_column_names_the_series():
    long = pd.concat([frame(20).assign(site="b"), frame(30).assign(site="a")])
    found = read(long, Columns(series="site"))
    assert [part.name for part in found.series] == ["b", "a"]
    assert [len(part.values) for part in found.series] == [20, 30]
    assert found.series[1].rows[0] == 20


BAD = {
    "no rows": (frame(0), {}, "no rows"),
    "no channel": (frame()[["at"]], {}, "no channel"),
    "text": (frame().assign(site="x"), {}, r"'site' holds text, not numbers.*series='site'"),
    "infinite": (frame().assign(temp=[np.inf] + [0.0] * 59), {}, "'temp', row 0 .*not finite"),
    "two times": (frame().assign(seen=frame()["at"]), {}, "'at', 'seen' all hold times"),
    "no such column": (frame(), {"time": "when"}, "no column 'when'"),
    "a missing time": (frame().assign(at=[pd.NaT, *frame()["at"][1:]]), {}, "row 0 .*no time"),
    "no such thing": ({"a": 1}, {}, "a dict is no series"),
    "three dimensions": (np.zeros((2, 3, 4)), {}, r"shape \(2, 3, 4\)"),
    "empty": (np.zeros(0), {}, "the array is empty"),
    "text array": (np.array(["a", "b"]), {}, "must be numeric"),
    "infinite array": (np.array([0.0, np.inf]), {}, "channel x0, row 1"),
    "widths": ([np.zeros((3, 1)), np.zeros((3, 2))], {}, "1 and 2 channels"),
    "ragged": (np.array([None, 1]), {}, "must be numeric"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_told(case):
    raw, named, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read(raw, Columns(**named))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "load\n", "a.csv has a header, but no rows"),
        ("a.tsv", "load\ttemp\n1\n", "a.tsv, line 2"),
        ("a.jsonl", '{"load": 1}\n{"load": \n', "a.jsonl, line 2"),
        (
            "a.csv",
            "load,load\n1,2\n",
            "a.csv, line 1: .*'load' are used more than once",
        ),
        ("a.csv", "load\n1\nlow\n", "a.csv: column 'load' holds text"),
        ("a.txt", "1", "the ending does not say"),
        ("a.parquet", "no parquet", "cannot be read, or is damaged"),
        ("a.npy", "no array", "cannot be read, is empty or damaged"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, Columns())
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none.csv", Columns())


@pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv", "a.jsonl", "a.ndjson.gz", "a.arrow"])
def test_a_file_of_any_format_is_the_same_series(tmp_path, name):
    table = pa.table({"at": frame()["at"], "load": frame()["load"], "temp": frame()["temp"]})
    write(table, tmp_path / name)
    found, given = read(tmp_path / name, Columns()), read(table, Columns())
    assert (found.time, found.channels, found.whole) == ("at", given.channels, given.whole)
    np.testing.assert_array_equal(found.series[0].values, given.series[0].values)
    np.testing.assert_array_equal(found.series[0].stamps, given.series[0].stamps)


# -- the grid ----------------------------------------------------------------------------------


def test_missing_stamps_are_gaps():
    codec = fitted(frame().drop(index=[5, 6, 20]))
    (part,) = codec.received(frame().drop(index=[5, 6, 20]))
    assert str(codec.step) == "1:00:00"
    assert np.flatnonzero(np.isnan(part.values[:, 0])).tolist() == [5, 6, 20]
    assert part.row_of()[[4, 5, 7]].tolist() == [4, -1, 5]
    assert codec.stamps(part, np.array([5]))[0].as_py() == pd.Timestamp("2024-05-01 05:00")


def test_rows_out_of_order_are_sorted_with_a_warning():
    mixed = frame().iloc[[1, 0, *range(2, 60)]]
    with pytest.warns(DataWarning, match=r"not in order of time \(row 1"):
        codec = fitted(mixed)
    with pytest.warns(DataWarning, match="sorted"):
        (part,) = codec.received(mixed)
    np.testing.assert_array_equal(part.values[:, 0], frame()["load"])


@pytest.mark.parametrize("clock", [1_700_000_000 + 60 * np.arange(60), 0.1 * np.arange(60)])
def test_a_time_that_is_taken_for_a_channel_is_told(clock):
    seconds = frame().assign(at=clock)
    with pytest.warns(DataWarning, match=r"channel 'at' rises at every step.*time='at'"):
        assert read(seconds, Columns()).channels == ("at", "load", "temp")
    assert read(seconds, Columns(time="at")).channels == ("load", "temp")
    assert read(seconds, Columns(channels=("at", "load"))).channels == ("at", "load")


def test_two_rows_of_one_time_are_an_error():
    twice = pd.concat([frame(), frame().iloc[[7]]], ignore_index=True)
    with (
        pytest.warns(DataWarning, match="sorted"),
        pytest.raises(
            DataError, match=r"rows 7 and 60 \(counted from 0\) have the same time.*1 pairs"
        ),
    ):
        fitted(twice)


def test_stamps_closer_than_the_step_are_an_error():
    close = frame()
    close.loc[10, "at"] = close.loc[9, "at"] + pd.Timedelta("5min")
    with pytest.raises(DataError, match=r"rows 9 and 10 .* are closer in time than the step"):
        fitted(close)


def test_stamps_a_little_off_are_taken_for_the_nearest_place():
    off = frame()
    off.loc[10, "at"] += pd.Timedelta("20min")
    with pytest.warns(DataWarning, match="1 of 60 stamps are off the regular grid"):
        codec = fitted(off)
    with pytest.warns(DataWarning, match="off the regular grid"):
        assert len(codec.received(off)[0].values) == 60


def test_a_gap_of_years_is_an_error():
    far = frame()
    far.loc[59, "at"] = pd.Timestamp("2034-05-01")
    with pytest.raises(DataError, match=r"only 60 have a row\. Check the time column"):
        fitted(far)


def test_one_time_for_all_rows_is_an_error():
    with pytest.raises(DataError, match="all rows have the same time"):
        fitted(frame().assign(at=pd.Timestamp("2024-01-01")))


@pytest.mark.parametrize("times", ["int", "float", "date", "zone"])
def test_every_sort_of_time(times):
    made = frame(40)
    made["at"] = {
        "int": np.arange(40) * 5,
        "float": np.arange(40) * 0.1,
        "date": pd.date_range("2024-01-01", periods=40).date,
        "zone": pd.date_range("2024-01-01", periods=40, freq="D", tz="Europe/Zurich"),
    }[times]
    codec = fitted(made, time="at")
    (part,) = codec.received(made)
    assert len(part.values) == 40
    restored = codec.stamps(part, np.arange(40))
    assert len(restored) == 40
    assert restored[0].as_py() == pa.Table.from_pandas(made)["at"][0].as_py()


# -- after fitting -----------------------------------------------------------------------------


def test_the_unit_of_the_times_does_not_matter(tmp_path):
    frame().to_csv(tmp_path / "a.csv", index=False)
    codec = fitted(tmp_path / "a.csv")  # whole seconds
    (part,) = codec.received(frame().astype({"at": "datetime64[ns]"}))
    assert len(part.values) == 60
    assert "1:00:00 apart" in codec.schema


def test_other_data_than_in_training_is_told():
    codec = fitted(frame())
    with pytest.raises(SchemaError, match="no column 'temp'"):
        codec.received(frame().drop(columns="temp"))
    with pytest.raises(SchemaError, match=r"steps are 1 day, 0:00:00 apart.* 1:00:00"):
        codec.received(frame().assign(at=pd.date_range("2024", periods=60, freq="D")))
    with pytest.raises(SchemaError, match="no times"):
        codec.received(np.zeros((30, 2)))
    with pytest.raises(SchemaError, match=r"has 3 channels.* trained on 1: x0"):
        fitted(np.arange(40.0)).received(np.zeros((30, 3)))
    extra = frame().assign(more=1.0)  # what was not there is left out
    assert codec.received(extra)[0].values.shape == (60, 2)


def test_values_finer_than_the_grid_are_rounded_with_a_warning():
    codec = fitted(frame())
    with pytest.warns(DataWarning, match="'load' has values that are finer than the steps of 1"):
        (part,) = codec.received(frame().assign(load=100.4))
    assert (part.values[:, 0] == 100).all()


def test_a_channel_without_values_and_a_single_step_are_errors():
    with pytest.raises(DataError, match="'temp' has no observed value"):
        fitted(frame().assign(temp=np.nan))
    with pytest.raises(DataError, match="more than one step"):
        fitted(np.array([1.0]))
    with pytest.raises(DataError, match=r"a window of 99 steps is longer than .* 60"):
        SeriesCodec(Columns(), 99).fit(frame())


def test_a_constant_channel_is_mentioned():
    with pytest.warns(DataWarning, match="'temp' has the one value 3 only"):
        fitted(frame().assign(temp=3.0))


@given(st.integers(2, 90), st.integers(4, 20), st.integers(1, 3))
def test_windows_hold_every_step_once(steps, length, channels):
    values = np.random.default_rng(steps).normal(size=(steps, channels))
    codec = SeriesCodec(Columns(), min(length, steps)).fit(values)
    x = codec.encode(values)
    assert x.shape[1:] == (codec.length, channels)
    np.testing.assert_allclose(codec.decode(x).reshape(-1, channels)[:steps], values)
    again = SeriesCodec.from_state(codec.state())
    assert torch.equal(again.encode(values).nan_to_num(), x.nan_to_num())


def test_windows_come_in_as_windows():
    codec = fitted(np.arange(40.0))
    x = codec.encode(np.arange(40.0))
    assert torch.equal(codec.encode(x), x)
    with pytest.raises(SchemaError, match=r"shape \[N, 8, 1\], got \[2, 7, 1\]"):
        codec.encode(np.zeros((2, 7, 1)))
    with pytest.raises(DataError, match="window 0, step 3"):
        codec.encode(np.where(np.arange(8)[None, :, None] == 3, np.inf, 0.0))


def test_frames_come_back_as_windows_in_the_callers_type():
    for raw, kind in ((frame(), pd.DataFrame), (pl.from_pandas(frame()), pl.DataFrame)):
        codec = fitted(raw)
        made = codec.decode(codec.encode(raw)[:2])
        assert isinstance(made, kind)
        assert list(made.columns) == ["window", "step", "load", "temp"]
        assert len(made) == 16


# -- the period --------------------------------------------------------------------------------


def test_the_dominant_period_is_found_with_gaps_and_noise():
    rng, t = np.random.default_rng(0), np.arange(2000)
    x = np.sin(2 * np.pi * t / 48) + 0.5 * rng.normal(size=2000)
    x[rng.random(2000) < 0.2] = np.nan
    assert abs(dominant_period([x[:, None]]) - 48) <= 1
    assert dominant_period([rng.normal(size=(2000, 1))]) is None
    assert dominant_period([np.full((50, 1), 2.0)]) is None


def test_the_length_of_a_window_follows():
    t = np.arange(4000)
    assert window_length([np.sin(2 * np.pi * t / 288)[:, None]]) == 360
    assert window_length([np.random.default_rng(0).normal(size=(4000, 1))]) == 128
    assert window_length([np.random.default_rng(0).normal(size=(400, 1))]) == 40
    assert window_length([np.zeros((5, 1))]) == 5


def test_a_parquet_file_with_gaps(tmp_path):
    table = pa.Table.from_pandas(frame()).set_column(
        2, "temp", pa.array([None] * 3 + [0.5] * 57, pa.float32())
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", Columns())
    assert np.isnan(found.series[0].values[:3, 1]).all()
