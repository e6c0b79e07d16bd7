"""The table codec: decode(encode(rows)) == rows, for every kind of frame and column."""

import datetime as dt
import decimal
import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from variate.errors import DataWarning, MissingExtraError, ModelFileError, SchemaError
from variate.table.codec import TableCodec
from variate.table.schema import TableSchema

pytestmark = pytest.mark.filterwarnings("ignore:column .* is left out")

BERLIN = ZoneInfo("Europe/Berlin")
ROWS = 40


def again(frame: Any, **overrides: str) -> Any:
    """decode(encode(frame)), the codec having been through JSON."""
    codec = TableCodec(overrides or None).fit(frame)
    copy = TableCodec.from_state(json.loads(json.dumps(codec.state(), allow_nan=False)))
    assert copy.schema == codec.schema
    x = codec.encode(frame)
    assert x.dtype == torch.float64
    assert x.shape == (len(frame), len(codec.modelled))
    assert torch.equal(copy.encode(frame).nan_to_num(-1.5), x.nan_to_num(-1.5))
    return copy.decode(x)


def kinds(codec: TableCodec) -> dict[str, str]:
    return {column.name: column.kind for column in codec.schema.columns}


# -- every frame and column -----------------------------------------------------------------------


def times(*, zone: ZoneInfo | None = None) -> list[dt.datetime | None]:
    start = dt.datetime(2024, 3, 30, 23, 59, 58, 123456, tzinfo=zone)
    return [None, *(start + i * dt.timedelta(hours=5, microseconds=17) for i in range(ROWS - 1))]


def gappy(values: list[Any]) -> list[Any]:
    return [None if i % 7 == 3 else values[i % len(values)] for i in range(ROWS)]


def pandas_columns() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    series: dict[str, Any] = {
        "int": rng.integers(-9, 99, ROWS),
        "int8": rng.integers(-9, 99, ROWS).astype("int8"),
        "uint64": rng.integers(0, 99, ROWS).astype("uint64") + 2**63,
        "huge": rng.integers(0, 99, ROWS) + 2**62,
        "binary": rng.integers(0, 2, ROWS),
        "float": rng.normal(size=ROWS),
        "cents": np.round(rng.lognormal(8, 2, ROWS), 2),
        "float32": rng.normal(size=ROWS).astype("float32"),
        "tenths32": np.round(rng.normal(size=ROWS), 1).astype("float32"),
        "float16": np.round(rng.normal(size=ROWS), 1).astype("float16"),
        "gappy": gappy([1.25, 3.5, -7.0]),
        "whole": gappy([1.0, 3.0, -7.0]),
        "bool": rng.integers(0, 2, ROWS).astype(bool),
        "constant": ["always"] * ROWS,
        "number": [3.25] * ROWS,
        "name 7!": gappy(["a", "b"]),
    }
    typed = {
        "Int64": (gappy([1, 2, 3]), "Int64"),
        "Int8": (gappy([0, 1]), "Int8"),
        "Float32": (gappy([0.1, 2.2, 3.3]), "Float32"),
        "boolean": (gappy([True, False]), "boolean"),
        "object": (gappy(["x", "", "z"]), object),
        "object bool": (gappy([True, False]), object),
        "object int": (gappy([1, 5, 9]), object),
        "string": (gappy(["x", "y", "z"]), "string[python]"),
        "string arrow": (gappy(["x", "y", "z"]), "string[pyarrow]"),
        "arrow int": (gappy([4, 5, 9]), pd.ArrowDtype(pa.int16())),
        "arrow time": (times(zone=BERLIN), pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))),
        "dates": (gappy([dt.date(2024, 2, 29), dt.date(1066, 10, 14)]), object),
        "clock": (gappy([dt.time(1, 2, 3), dt.time(23, 59)]), object),
        "decimal": (gappy([decimal.Decimal("1.25"), decimal.Decimal("-3.10")]), object),
    }
    series |= {name: pd.Series(values, dtype=kind) for name, (values, kind) in typed.items()}
    moments = pd.Series(times())
    series |= {
        "time": moments.astype("datetime64[us]"),
        "time ns": moments.astype("datetime64[ns]"),
        "time s": moments.dt.floor("s").astype("datetime64[s]"),
        "zoned": pd.Series(times(zone=BERLIN)).astype("datetime64[us, Europe/Berlin]"),
        "span": (moments - moments[1]).astype("timedelta64[us]"),
        "category": pd.Categorical(gappy(["lo", "hi"]), ["lo", "mid", "hi"], ordered=True),
        "category int": pd.Categorical(gappy([3, 1])),
        "category float": pd.Categorical(gappy([0.5, 1.5])),
        "category constant": pd.Categorical(["b"] * ROWS, ["a", "b"]),
        "category object": pd.Categorical(gappy(["a", "b"]), pd.Index(["b", "a"], dtype=object)),
    }
    return series


@pytest.mark.parametrize("name", pandas_columns())
def test_a_pandas_column_comes_back(name: str) -> None:
    frame = pd.DataFrame({name: pandas_columns()[name], "other": range(ROWS)})
    assert_frame_equal(again(frame), frame, check_exact=True, check_freq=False)


def test_a_pandas_frame_comes_back() -> None:
    frame = pd.DataFrame(pandas_columns())
    assert_frame_equal(again(frame), frame, check_exact=True)


def test_integer_column_names_come_back() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 3)))
    assert_frame_equal(again(frame), frame)
    frame.columns = ["a", 7, "b"]
    assert_frame_equal(again(frame), frame)


def polars_frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "int": rng.integers(0, 99, ROWS),
            "uint8": pl.Series(rng.integers(0, 99, ROWS), dtype=pl.UInt8),
            "gappy": gappy([1, 5, 9]),
            "float": rng.normal(size=ROWS),
            "float32": pl.Series(gappy([0.1, 0.2, 7.5]), dtype=pl.Float32),
            "bool": gappy([True, False]),
            "text": gappy(["x", "", "z"]),
            "category": pl.Series(gappy(["x", "y", "z"]), dtype=pl.Categorical),
            "enum": pl.Series(gappy(["lo", "hi"]), dtype=pl.Enum(["lo", "mid", "hi"])),
            "date": gappy([dt.date(2024, 2, 29), dt.date(1066, 10, 14)]),
            "time": times(),
            "time ms": pl.Series(times(), dtype=pl.Datetime("us")).cast(pl.Datetime("ms")),
            "zoned": pl.Series(times(zone=BERLIN), dtype=pl.Datetime("us", "Europe/Berlin")),
            "clock": gappy([dt.time(1, 2, 3), dt.time(23, 59)]),
            "span": gappy([dt.timedelta(days=1), dt.timedelta(hours=-3)]),
            "decimal": gappy([decimal.Decimal("1.25"), decimal.Decimal("-3.10")]),
            "constant": [7] * ROWS,
        }
    )


def test_a_polars_frame_comes_back() -> None:
    frame = polars_frame()
    back = again(frame)
    assert back.schema == frame.schema
    assert back.equals(frame)
    assert TableCodec().fit(frame.lazy()).encode(frame).shape == (ROWS, frame.width - 1)


def test_a_pyarrow_table_comes_back() -> None:
    frame = polars_frame().drop("category", "enum").to_arrow()
    indices = pa.array(gappy([0, 2]), pa.int8())
    ordered = pa.DictionaryArray.from_arrays(indices, ["lo", "mid", "hi"], ordered=True)
    for name, column in {
        "ordered": ordered,
        "string": pa.array(gappy(["a", "b"]), pa.string()),
        "half": pa.array(np.linspace(0, 1, ROWS).astype("float16")),
        "date64": pa.array(gappy([0, 86_400_000, 864_000_000]), pa.date64()),
        "time32": pa.array(gappy([0, 3_600, 86_399]), pa.time32("s")),
        "decimal256": pa.array(gappy([decimal.Decimal("1.5"), None]), pa.decimal256(40, 1)),
        "uint64": pa.array(gappy([2**64 - 1, 2**64 - 3, 2**64 - 9]), pa.uint64()),
    }.items():
        frame = frame.append_column(name, column)
    back = again(frame)
    assert back.schema == frame.schema
    assert back.equals(frame)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "uint8", "bool", "<U3"]
)
def test_an_array_comes_back(dtype: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(50, 20, size=(ROWS, 3)).clip(0).astype("uint8" if dtype == "bool" else dtype)
    array = (array > 50) if dtype == "bool" else array
    back = again(array)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_an_array_with_gaps_comes_back() -> None:
    array = np.random.default_rng(0).normal(size=(ROWS, 3)).round(2)
    array[3, 1] = np.nan
    assert np.array_equal(again(array), array, equal_nan=True)
    assert np.array_equal(again(torch.from_numpy(array)), array, equal_nan=True)
    assert np.array_equal(again(array.tolist()), array, equal_nan=True)


def test_a_column_without_any_value_comes_back() -> None:
    frame = pd.DataFrame({"a": range(ROWS), "none": pd.Series([None] * ROWS, dtype="Int64")})
    with pytest.warns(DataWarning, match="'none' has no value at all"):
        codec = TableCodec().fit(frame)
    assert [column.name for column in codec.modelled] == ["a"]
    assert_frame_equal(codec.decode(codec.encode(frame)), frame)


# -- property -------------------------------------------------------------------------------------

INTEGERS = st.one_of(st.integers(-5, 5), st.integers(-(2**52), 2**52))
NUMBERS = st.one_of(
    st.floats(-1e9, 1e9).filter(lambda v: v == 0 or abs(v) > 1e-100),
    st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
    st.integers(-(10**6), 10**6).map(lambda i: i / 100),
    st.just(0.0),
)
MOMENTS = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2200, 1, 1))  # 2^53 us: 285 years
COLUMNS: dict[str, tuple[st.SearchStrategy[Any], Callable[[list[Any]], Any]]] = {
    "Int64": (INTEGERS, lambda v: pd.array(v, dtype="Int64")),
    "float64": (NUMBERS, lambda v: pd.Series(v, dtype="float64")),
    "boolean": (st.booleans(), lambda v: pd.array(v, dtype="boolean")),
    "string": (st.text(max_size=4), lambda v: pd.array(v, dtype="string[python]")),
    "datetime": (MOMENTS, lambda v: pd.Series(v, dtype="datetime64[us]")),
    "date": (MOMENTS.map(dt.datetime.date), lambda v: pd.Series(v, dtype=object)),
    "category": (st.sampled_from("abc"), lambda v: pd.Categorical(v, list("cabd"))),
}


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    rows = draw(st.integers(2, 12))
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    made = {}
    for name in names:
        values, make = COLUMNS[draw(st.sampled_from(sorted(COLUMNS)))]
        cells = st.one_of(values, st.none()) if draw(st.booleans()) else values
        made[name] = make(draw(st.lists(cells, min_size=rows, max_size=rows)))
    made["row"] = np.arange(rows)
    return pd.DataFrame(made)


@settings(max_examples=150)
@given(frame=frames())
@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_any_frame_comes_back(frame: pd.DataFrame) -> None:
    overrides = {name: "category" for name in frame if frame[name].dtype == "string"}
    codec = TableCodec(overrides).fit(frame)
    assert not codec.schema.dropped
    assert_frame_equal(codec.decode(codec.encode(frame)), frame, check_exact=True)
    arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    other = TableCodec(overrides).fit(arrow)
    assert other.decode(codec.encode(arrow)).equals(arrow)


# -- what is inferred -----------------------------------------------------------------------------


def test_kinds_are_inferred() -> None:
    codec = TableCodec().fit(polars_frame())
    assert kinds(codec) == {
        "int": "integer",
        "uint8": "integer",
        "gappy": "integer",
        "float": "continuous",
        "float32": "continuous",
        "bool": "boolean",
        "text": "category",
        "category": "category",
        "enum": "category",
        "date": "datetime",
        "time": "datetime",
        "time ms": "datetime",
        "zoned": "datetime",
        "clock": "datetime",
        "span": "datetime",
        "decimal": "continuous",
        "constant": "constant",
    }


def test_whole_numbers_are_integers_whatever_their_type() -> None:
    frame = pd.DataFrame({"gaps": [1.0, 2.0, None, 5.0], "two": [0.0, 1.0, None, 1.0]})
    first, second = TableCodec().fit(frame).modelled
    assert (first.kind, first.step, first.dtype) == ("integer", 1.0, "float64")
    assert (second.kind, second.levels) == ("category", (0, 1))


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([0.5, 1.25, 3.0], 0.01),
        ([0.1 + 0.2, 0.5, 1.0], None),
        ([19.99, 1e6, 0.01], 0.01),
        ([1e-9, 2e-9, 1e-8], 1e-9),
        ([np.pi, np.e, 1.0], None),
        ([1e12 + 0.25, 0.5, 1.0], None),  # the decimals are only rounding
        ([1e17, 3e17, 5e17], None),
    ],
)
def test_recorded_decimals_are_the_grid(values: list[float], step: float | None) -> None:
    (column,) = TableCodec().fit(pd.DataFrame({"x": values})).modelled
    assert column.step == step


@pytest.mark.parametrize(
    ("every", "unit"),
    [
        (dt.timedelta(days=3), "day"),
        (dt.timedelta(hours=2), "hour"),
        (dt.timedelta(minutes=90), "minute"),
        (dt.timedelta(seconds=7), "second"),
        (dt.timedelta(milliseconds=5), "ms"),
        (dt.timedelta(microseconds=1), "us"),
    ],
)
def test_times_are_counted_in_the_unit_they_share(every: dt.timedelta, unit: str) -> None:
    noon = dt.datetime(2024, 1, 1, 12)  # the offset that all share is no finer unit
    codec = TableCodec().fit(pl.DataFrame({"t": [noon + i * every for i in (0, 1, 5)]}))
    (column,) = codec.modelled
    assert (column.unit, column.step) == (unit, 1.0)
    moved = codec.decode(torch.tensor([[0.4], [0.6]], dtype=torch.float64))["t"].to_list()
    assert moved[0] == noon
    assert noon < moved[1] <= noon + every


def test_levels_keep_their_type_and_order() -> None:
    frame = pd.DataFrame(
        {
            "text": ["b", "a", "b"],
            "int": [7, 3, 7],
            "bool": [True, False, True],
            "declared": pd.Categorical(["x", "z", "x"], ["z", "y", "x"]),
        }
    )
    levels = {column.name: column.levels for column in TableCodec().fit(frame).modelled}
    assert levels == {
        "text": ("a", "b"),
        "int": (3, 7),
        "bool": (False, True),
        "declared": ("z", "x"),
    }


def test_a_level_that_is_declared_but_never_seen_is_kept_in_the_type_alone() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["x", "z", "x"], ["z", "y", "x"], ordered=True)})
    codec = TableCodec().fit(frame)
    assert list(codec.decode(codec.encode(frame))["c"].cat.categories) == ["z", "y", "x"]
    with pytest.raises(SchemaError, match="'y'"):
        codec.encode(frame.assign(c=pd.Categorical(["y"] * 3, ["z", "y", "x"])))


def test_a_number_has_knots_and_atoms_in_its_own_units() -> None:
    values = np.r_[np.random.default_rng(0).gamma(2.0, 300.0, 5_000).round(2), [0.0] * 2_000]
    (column,) = TableCodec().fit(pd.DataFrame({"x": values})).modelled
    scores = np.interp(values[:5_000], column.knots, column.scores)
    assert column.atoms == (0.0,)
    assert not column.closed
    assert (column.low, column.high) == (0.0, values.max())
    assert np.abs(np.sort(scores)[[500, 2_500]] - [-1.28, 0.0]).max() < 0.02  # of the others
    (few,) = TableCodec().fit(pd.DataFrame({"x": [3, 5, 5, 9] * 30})).modelled
    assert few.atoms == (3.0, 5.0, 9.0)
    assert few.closed


def test_float32_is_not_taken_for_rounded() -> None:
    values = np.round(np.random.default_rng(0).uniform(-9, 9, 500), 5).astype("float32")
    codec = TableCodec().fit(pd.DataFrame({"x": values}))
    assert codec.modelled[0].step == 1e-5
    assert (codec.decode(codec.encode(pd.DataFrame({"x": values})))["x"] == values).all()


def test_a_rare_value_that_the_sample_misses_is_a_knot() -> None:
    values = np.zeros(1_000_000)
    values[7] = 5.5
    (column,) = TableCodec().fit(pd.DataFrame({"x": values})).modelled
    assert 5.5 in column.atoms
    assert column.high == 5.5
    assert any(abs(knot - 5.5) < 0.1 for knot in column.knots)


def test_levels_that_come_again_do_not_count_again() -> None:
    rows = pa.array([f"{i % 1000:01000d}" for i in range(100_000)])
    table = pa.table({"x": rows, "y": np.arange(100_000) % 50})
    codec = TableCodec().fit_batches(table.schema, table.to_batches(max_chunksize=1000))
    assert len(codec.modelled[0].levels) == 1000


@pytest.mark.parametrize("values", [[5e-324, 0.0, 1.0], [0.0, 1.0, 1e30], [1.0, 1.0, None, 1.0]])
def test_knots_and_scores_always_increase(values: list[float | None]) -> None:
    (column,) = TableCodec({"x": "continuous"}).fit(pd.DataFrame({"x": values})).modelled
    apart = np.diff(column.knots)
    slopes = np.diff(column.scores)[apart > 0] / apart[apart > 0]
    assert np.isfinite(slopes).all()
    assert (slopes > 0).all()
    assert (np.diff(column.scores) > 0).all()


def test_chunks_do_not_change_the_schema() -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "x": rng.normal(size=300_000).round(3),  # more than the sample
            "k": rng.integers(0, 50, 300_000),
            "s": rng.choice(["a", "b", None], 300_000),
        }
    )
    whole = TableCodec().fit(table).schema
    for size in (1_000, 70_000):
        parts = TableCodec().fit_batches(table.schema, table.to_batches(max_chunksize=size))
        assert parts.schema == whole


# -- overrides ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2, 3, 2], "category", "category"),
        ([1, 2, 3, 2], "continuous", "continuous"),
        ([0, 1, 1, 0], "boolean", "boolean"),
        ([0, 1, 1, 0], "integer", "integer"),
        ([1.5, 2.5, 1.5, 3.5], "category", "category"),
        ([1.0, 2.0, 9.0, 3.0], "continuous", "continuous"),
        (["no", "yes", "no", "no"], "boolean", "boolean"),
        (["2024-01-31", "2024-02-29", "2023-05-06", "2024-01-31"], "datetime", "datetime"),
        (["31.12.2024 23:59", "01.01.2025 00:00"] * 2, "datetime", "datetime"),
        (["01/31/2024", "02/01/2024"] * 2, "datetime", "datetime"),
    ],
)
def test_an_override_decides(values: list[Any], kind: str, found: str) -> None:
    frame = pd.DataFrame({"x": values, "row": range(4)})
    assert kinds(TableCodec({"x": kind}).fit(frame))["x"] == found
    assert_frame_equal(again(frame, x=kind), frame, check_exact=True)


def test_text_that_is_read_as_numbers_stays_numbers() -> None:
    frame = pd.DataFrame({"x": ["1.50", " 2", "+3", None]})
    codec = TableCodec({"x": "continuous"}).fit(frame)
    assert codec.encode(frame).flatten().nan_to_num(-1).tolist() == [1.5, 2.0, 3.0, -1.0]
    assert codec.decode(codec.encode(frame))["x"].tolist()[:3] == [1.5, 2.0, 3.0]


def test_an_ignored_column_is_not_even_read() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "mixed": [1, "a", None], "y": [0.5, 1.5, 2.5]})
    codec = TableCodec({"mixed": "ignore"}).fit(frame)
    assert codec.encode(frame).shape == (3, 2)
    assert_frame_equal(codec.decode(codec.encode(frame)), frame[["x", "y"]])
    assert [drop.name for drop in codec.schema.dropped] == ["mixed"]


# -- decoding what a model makes up ---------------------------------------------------------------


def test_decoding_stays_within_the_type() -> None:
    frame = pd.DataFrame(
        {
            "int8": np.array([1, 5, 9], dtype="int8"),
            "uint8": np.array([1, 5, 9], dtype="uint8"),
            "float32": np.array([0.5, 1.0, 2.25], dtype="float32"),
            "cents": [0.01, 2.5, 1.33],
            "level": ["a", "b", "c"],
            "day": pd.to_datetime(["2024-01-01", "2024-01-05", "2024-02-01"]),
        }
    )
    codec = TableCodec().fit(frame)
    huge = codec.decode(torch.full((1, 6), 1e300, dtype=torch.float64))
    low = codec.decode(torch.full((1, 6), -1e300, dtype=torch.float64))
    between = codec.decode(torch.full((1, 6), 1.004999, dtype=torch.float64))
    assert huge.dtypes.equals(frame.dtypes)
    assert (huge["int8"][0], low["int8"][0]) == (127, -128)
    assert (huge["uint8"][0], low["uint8"][0]) == (255, 0)
    assert np.isfinite(huge["float32"][0])
    assert (huge["level"][0], low["level"][0]) == ("c", "a")
    assert between.iloc[0].tolist() == [1, 1, 1.0, 1.0, "b", pd.Timestamp("2024-01-02")]


def test_a_gap_in_a_column_that_had_none() -> None:
    frame = pd.DataFrame({"i": [1, 2, 3], "b": [True, False, True], "u": np.uint8([1, 2, 3])})
    codec = TableCodec().fit(frame)
    back = codec.decode(torch.full((2, 3), torch.nan, dtype=torch.float64))
    assert back.dtypes.astype(str).tolist() == ["Int64", "boolean", "UInt8"]
    assert back.isna().all(axis=None)


def test_x_of_another_width_is_a_mistake_of_the_caller() -> None:
    codec = TableCodec().fit(pd.DataFrame({"i": [1, 2, 3]}))
    with pytest.raises(ValueError, match=r"x must be \[N, 1\]"):
        codec.decode(torch.zeros(3, 2))


# -- one codec, other frames ----------------------------------------------------------------------


def test_a_codec_encodes_every_kind_of_frame() -> None:
    table = pa.table({"n": [1, None, 3, 9], "s": ["a", "b", None, "a"], "f": [0.5, 1.0, 1.5, None]})
    pandas, polars = table.to_pandas(), pl.from_arrow(table)
    frames: list[Any] = [table, pandas, polars, table.to_pylist()]
    expected = TableCodec().fit(table).encode(table).nan_to_num(-1)
    for fitted in frames:
        for other in frames:
            x = TableCodec().fit(fitted).encode(other)
            assert torch.equal(x.nan_to_num(-1), expected)


def test_an_array_is_taken_by_position() -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5], "k": ["c"] * 3, "b": [1, 5, 9]})[["a", "b"]]
    codec = TableCodec().fit(frame)
    assert torch.equal(codec.encode(frame.to_numpy()), codec.encode(frame))
    other = TableCodec().fit(frame.to_numpy())
    assert torch.equal(other.encode(frame), codec.encode(frame))


# -- the schema -----------------------------------------------------------------------------------


def test_the_schema_is_readable() -> None:
    frame = pd.DataFrame(
        {
            "age": [31, 47, 5],
            "price": [0.25, None, 3.0],
            "day": pd.to_datetime(["2024-01-01", "2024-03-01", "2024-01-01"]),
            "sex": ["f", "m", "f"],
            "unit": ["cm"] * 3,
            "notes": [[1], [2], [3]],
        }
    )
    lines = str(TableCodec().fit(frame).schema).splitlines()
    assert [line.split()[0] for line in lines] == ["column", *frame.columns]
    for line, words in zip(
        lines[1:],
        [
            "5 to 47",
            "33.3%  0.25 to 3, step 0.01",
            "2024-01-01 00:00:00 to 2024-03-01 00:00:00, by day",
            "2 levels: f, m",
            "always cm",
            "cannot be modelled",
        ],
        strict=True,
    ):
        assert words in line


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.pop("columns"),
        lambda s: s.update(source="excel"),
        lambda s: s.update(rows=-1),
        lambda s: s.update(names=["x"]),
        lambda s: s.update(names=["x", "y", "y"]),
        lambda s: s.update(columns=None),
        lambda s: s["columns"].append("column"),
        lambda s: s["columns"][0].update(kind="text"),
        lambda s: s["columns"][0].update(unknown=1),
        lambda s: s["columns"][0].update(knots=[2.0, 1.0]),
        lambda s: s["columns"][0].update(knots=[1.0], scores=[1.0]),
        lambda s: s["columns"][0].update(knots=["a", "b"]),
        lambda s: s["columns"][0].update(atoms=[3.0, 1.0]),
        lambda s: s["columns"][0].update(atoms=[1.0, float("nan")]),
        lambda s: s["columns"][0].update(atoms="1"),
        lambda s: s["columns"][0].update(atoms=[], closed=True),
        lambda s: s["columns"][0].update(closed=1),
        lambda s: s["columns"][0].update(step=0),
        lambda s: s["columns"][0].update(step="1"),
        lambda s: s["columns"][0].update(storage="int65"),
        lambda s: s["columns"][0].update(storage=3),
        lambda s: s["columns"][0].update(low=None),
        lambda s: s["columns"][0].update(storage="string"),
        lambda s: s["columns"][0].update(
            storage="dictionary<values=int64, indices=int8, ordered=0>"
        ),
        lambda s: s["columns"][0].update(storage="dictionary<values=" * 9999),
        lambda s: s["columns"][0].update(kind="datetime", unit="us", storage="date32[day]"),
        lambda s: s["columns"][0].update(kind="constant", value=[1]),
        lambda s: s["columns"][1].update(storage="int64"),
        lambda s: s["columns"][1].update(levels=[]),
        lambda s: s["columns"][1].update(levels=["a", "a"]),
        lambda s: s["columns"][1].update(levels=[["a"], "b"]),
    ],
)
def test_a_damaged_schema_is_refused(damage: Callable[[dict[str, Any]], Any]) -> None:
    state = TableCodec().fit(pd.DataFrame({"x": [1, 2, 3], "y": list("aba")})).state()
    copy = json.loads(json.dumps(state["schema"]))
    assert TableSchema.from_json(copy)
    damage(copy)
    with pytest.raises(ModelFileError, match="fit and save the model again"):
        TableCodec.from_state(
            {"columns": {}, "schema": copy, "copies": [], "sums": [], "width": None}
        )


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = TableCodec().fit(pd.DataFrame({"x": [1, 2, 3]}))
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pandas"):
        codec.decode(torch.zeros(1, 1))


def test_text_in_iso_form_is_read_as_times_and_written_as_text_again() -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=200, freq="37h"))
    frame = pd.DataFrame(
        {
            "day": days.dt.strftime("%Y-%m-%d").mask(days.index % 7 == 0),
            "moment": days.dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "yes_no": ["2024-01-01", "2024-01-02"] * 100,
            "other": [f"2024-1-{i % 9}" for i in range(200)],
        }
    )
    codec = TableCodec().fit(frame)
    kinds = {column.name: column.kind for column in codec.modelled}
    assert kinds == {
        "day": "datetime",
        "moment": "datetime",
        "yes_no": "category",
        "other": "category",
    }
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame)
