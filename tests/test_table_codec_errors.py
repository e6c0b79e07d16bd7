"""Bad input to the table codec: an error or a warning that says what, where and what to do."""

import datetime as dt
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from variate.errors import DataError, DataWarning, OptionError, SchemaError
from variate.table.codec import TableCodec


def expect(
    error: type[Exception], raw: Any, *words: str, columns: dict[str, str] | None = None
) -> None:
    """Fitting fails, and the message has all the words."""
    with pytest.raises(error) as caught:
        TableCodec(columns).fit(raw)
    for word in words:
        assert word in str(caught.value)


# -- fitting --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"a": []}), pl.DataFrame({"a": []}), np.ones((0, 2))]
)
def test_no_rows(frame: Any) -> None:
    expect(DataError, frame, "there are no rows")


def test_no_columns() -> None:
    expect(DataError, pd.DataFrame(index=range(3)), "no columns")


def test_one_row() -> None:
    expect(DataError, pd.DataFrame({"a": [1]}), "1 row", "at least 2 are needed")


def test_one_constant_column() -> None:
    expect(DataError, pd.DataFrame({"a": [7] * 9}), "nothing to learn", "a: always 7")


def test_nothing_but_gaps() -> None:
    with pytest.warns(DataWarning, match="no value at all"):
        expect(DataError, pd.DataFrame({"a": [None] * 9}), "nothing to learn", "no value at all")


def test_an_all_missing_column_is_kept() -> None:
    with pytest.warns(DataWarning, match="'a' has no value at all; it is kept"):
        TableCodec().fit(pa.table({"a": pa.nulls(3), "b": [1, 2, 3]}))


def test_duplicate_names() -> None:
    frame = pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=["x", "y", "x"])
    expect(DataError, frame, "'x'", "more than once", "rename")
    expect(DataError, pd.DataFrame([[1, 2]], columns=[1, "1"]), "'1'", "more than once")
    expect(DataError, pa.table([[1], [2]], names=["x", "x"]), "'x'", "more than once")


def test_names_that_are_no_names() -> None:
    index = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    expect(DataError, pd.DataFrame([[1, 2], [3, 4]], columns=index), "('a', 'b')", "rename")


@pytest.mark.parametrize("make", [pd.DataFrame, lambda d: np.array([d["x"], d["y"]], object).T])
def test_a_column_of_mixed_types(make: Any) -> None:
    frame = make({"x": [1, None, "two", 3.5, True], "y": [1, 2, 3, 4, 5]})
    expect(
        DataError,
        frame,
        "mixes values of several types",
        "number (first in row 0: 1)",
        "str (first in row 2: 'two')",
        "bool (first in row 4: True)",
        "'ignore'",
    )


def test_a_polars_column_of_objects() -> None:
    frame = pl.DataFrame({"x": pl.Series([1, "two"], dtype=pl.Object), "y": [1, 2]})
    expect(DataError, frame, "'x' mixes", "number (first in row 0: 1)")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_numbers(value: float) -> None:
    values = np.arange(200_000.0)
    values[150_000] = value
    expect(DataError, pd.DataFrame({"x": values}), "'x'", f"{value}", "row 150000", "'ignore'")
    expect(DataError, np.stack([values, values], 1), "'x0'", "row 150000")


def test_text_that_is_mostly_numbers() -> None:
    values = [str(i) for i in range(90)] + ["n/a", "12 kg"]
    frame = pd.DataFrame({"weight": values, "y": range(92)})
    words = "90 of its 92 values are numbers", "'n/a' in row 90", "'12 kg' in row 91", "'category'"
    expect(DataError, frame, "'weight'", *words)
    assert TableCodec({"weight": "category"}).fit(frame)
    assert TableCodec().fit(frame.assign(weight=frame.weight.astype("category")))


def test_codes_with_leading_zeros_are_text() -> None:
    frame = pd.DataFrame({"code": ["10115", "20095", "80331", "50667", "01067"] * 9})
    assert TableCodec().fit(frame).modelled[0].kind == "category"


def test_numbers_that_are_asked_for_and_are_not_there() -> None:
    frame = pd.DataFrame({"x": ["1", "2", "three"], "y": [1.5, 2.0, 3.0]})
    words = "'x' was to be read as numbers", "row 2", "'three'"
    expect(DataError, frame, *words, columns={"x": "continuous"})
    expect(DataError, frame, "holds fractions, such as 1.5", columns={"y": "integer"})


def test_times_that_are_asked_for_and_are_not_there() -> None:
    frame = pd.DataFrame({"x": ["2024-01-31", "2024-02-30", "2024-03-01"]})
    words = "times in one format", "row 1", "'2024-02-30'"
    expect(DataError, frame, *words, columns={"x": "datetime"})


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"z": "integer"}, "names 'z', which the data does not have"),
        ({"i": "number"}, "a column can be continuous, integer"),
        ({"i": "datetime"}, "cannot be 'datetime'"),
        ({"t": "integer"}, "cannot be 'integer'"),
        ({"t": "category"}, "make text of it first"),
        ({"b": "continuous"}, "cannot be 'continuous'"),
        ({"i": "boolean"}, "more than two distinct values"),
        ({"t": "boolean"}, "cannot be boolean"),
        ({"e": "datetime"}, "a category by its type"),
    ],
)
def test_an_override_that_cannot_be(columns: dict[str, str], words: str) -> None:
    days = [dt.date(2024, 1, day) for day in (1, 2, 3)]
    texts = [str(day) for day in days]
    enum = pl.Series(texts, dtype=pl.Enum(texts))
    frame = pl.DataFrame({"i": [1, 2, 3], "t": days, "b": [True, False, True], "e": enum})
    expect(OptionError, frame, words, columns=columns)


def test_dates_that_can_be_read_in_two_ways() -> None:
    frame = pd.DataFrame({"x": ["01/02/2024", "03/04/2024"]})
    with pytest.warns(DataWarning, match="as %d/%m/%Y and as %m/%d/%Y; it is read as %d/%m/%Y"):
        codec = TableCodec({"x": "datetime"}).fit(frame)
    assert codec.encode(frame).flatten().tolist() == [0.0, 62.0]


def test_categories_of_times_are_left_out() -> None:
    days = pd.Categorical(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-01"]))
    with pytest.warns(DataWarning, match="'x' is left out: a column of the type dictionary"):
        TableCodec().fit(pd.DataFrame({"x": days, "y": [1, 2, 3]}))


def test_names_and_identifiers_are_left_out() -> None:
    frame = pd.DataFrame({"id": [f"u{i}" for i in range(200)], "x": np.arange(200) % 7})
    with pytest.warns(DataWarning, match=r"'id' is left out: it has 200 distinct.*category"):
        codec = TableCodec().fit(frame)
    assert [column.name for column in codec.schema.columns] == ["x"]
    assert codec.decode(codec.encode(frame)).columns.tolist() == ["x"]
    assert len(TableCodec({"id": "category"}).fit(frame).modelled[0].levels) == 200


def test_numbers_as_text_with_many_values_say_how() -> None:
    frame = pd.DataFrame({"x": [f"{i}.5" for i in range(200)], "y": [*range(50)] * 4})
    with pytest.warns(DataWarning, match="'x'.*'continuous'.* keeps it"):
        TableCodec().fit(frame)


def test_times_and_numbers_as_europeans_write_them_say_how() -> None:
    frame = pd.DataFrame({
        "day": [f"{1 + i % 28:02d}.{1 + i // 28 % 12:02d}.{2020 + i // 336}" for i in range(400)],
        "price": [f"{i},50" for i in range(400)],
        "y": [*range(50)] * 8,
    })  # fmt: skip
    with pytest.warns(DataWarning) as told:
        TableCodec().fit(frame)
    day, price = (str(warning.message) for warning in told)
    assert "columns={'day': 'datetime'} keeps it" in day
    assert "decimal commas: write them with points" in price
    with pytest.warns(DataWarning, match="price"):
        assert TableCodec({"day": "datetime"}).fit(frame).modelled[0].name == "day"


def test_a_million_distinct_texts_are_fast() -> None:
    values = pa.array(np.arange(1_000_000)).cast(pa.string())
    table = pa.table({"id": pc_prefix(values), "x": np.arange(1_000_000) % 7})
    start = time.process_time()
    with pytest.warns(DataWarning, match="more than 5,000 distinct values in 1,000,000 rows"):
        TableCodec().fit(table)
    assert time.process_time() - start < 2
    expect(DataError, table, "more than 50,000 distinct", columns={"id": "category"})


def pc_prefix(values: pa.Array) -> pa.Array:
    return pa.compute.binary_join_element_wise("user", values, "-")


def test_integers_too_far_apart_for_floating_point() -> None:
    frame = pd.DataFrame({"hash": [-(2**62), 5, 2**62], "x": [1, 2, 3]})
    with pytest.warns(DataWarning, match="'hash' is left out.*cannot tell.*'continuous'"):
        TableCodec().fit(frame)
    codec = TableCodec({"hash": "continuous"}).fit(frame)
    assert codec.decode(codec.encode(frame))["hash"].tolist() == [-(2**62), 5, 2**62]


def test_numbers_too_large_to_be_subtracted() -> None:
    with pytest.warns(DataWarning, match="'x' is left out.*too large.*rescale"):
        TableCodec().fit(pd.DataFrame({"x": [-1e308, 0.5, 1e308], "y": [1, 2, 3]}))


def test_times_too_far_apart_for_their_precision() -> None:
    frame = pl.DataFrame({"t": [dt.datetime(1, 1, 1), dt.datetime(2024, 1, 1, 0, 0, 0, 1)]})
    with pytest.warns(DataWarning, match="kept to the ms"):
        codec = TableCodec().fit(frame)
    assert codec.decode(codec.encode(frame))["t"][1] == dt.datetime(2024, 1, 1)


def test_nested_columns_are_left_out() -> None:
    table = pa.table({"x": [1, 2, 3], "list": [[1], [2], None], "bytes": [b"a", b"b", b"c"]})
    with pytest.warns(DataWarning, match="is left out: a column of the type") as caught:
        TableCodec().fit(table)
    assert len(caught) == 2


@pytest.mark.parametrize("raw", [None, 7, "text", {"a": [1, 2]}, pd.Series([1, 2]), object()])
def test_what_is_no_table(raw: Any) -> None:
    expect(DataError, raw, "is not a table", "Give a pandas, polars or pyarrow frame")


def test_arrays_of_another_shape() -> None:
    expect(DataError, np.arange(3.0), "array.reshape(-1, 1)")
    expect(DataError, np.ones((2, 2, 2)), "(2, 2, 2)")
    expect(DataError, np.ones((2, 2), dtype=complex), "Complex data not supported")


def test_types_that_arrow_does_not_know() -> None:
    frame = pd.DataFrame({"z": [1j, 2j], "x": [1, 2]})
    expect(DataError, frame, "'z' cannot be read", "'ignore'")
    assert TableCodec({"z": "ignore"}).fit(frame)


# -- encoding -------------------------------------------------------------------------------------

TRAINED = pd.DataFrame(
    {
        "age": [31, 47, 5, 62],
        "height": [1.75, 1.6, 1.1, 1.82],
        "sex": ["f", "m", "f", "m"],
        "on": [True, False, True, True],
        "day": pd.to_datetime(["2024-01-01", "2024-03-01", "2024-01-01", "2024-02-02"]),
        "unit": ["cm"] * 4,
    }
)


@pytest.fixture(scope="module")
def codec() -> TableCodec:
    return TableCodec().fit(TRAINED)


def refuses(
    codec: TableCodec, frame: Any, *words: str, error: type[Exception] = SchemaError
) -> None:
    with pytest.raises(error) as caught:
        codec.encode(frame)
    for word in words:
        assert word in str(caught.value)


def test_reordered_columns_are_the_same(codec: TableCodec) -> None:
    assert torch.equal(codec.encode(TRAINED[TRAINED.columns[::-1]]), codec.encode(TRAINED))


def test_a_missing_column(codec: TableCodec) -> None:
    expected = "trained on 'age', 'height', 'sex', 'on', 'day'"
    refuses(codec, TRAINED.drop(columns=["sex", "day"]), "'sex', 'day' are missing", expected)
    assert codec.encode(TRAINED.drop(columns="unit")).shape == (4, 5)  # it says nothing


def test_extra_columns_are_ignored_with_one_warning(codec: TableCodec) -> None:
    with pytest.warns(DataWarning, match="'a', 'b' were not there in training") as caught:
        x = codec.encode(TRAINED.assign(a=1, b=2))
    assert len(caught) == 1
    assert torch.equal(x, codec.encode(TRAINED))


def test_an_unseen_category(codec: TableCodec) -> None:
    frame = TRAINED.assign(sex=["f", "x", None, "d"])
    refuses(codec, frame, "'sex'", "'x', 'd'", "row 1", "It knows 'f', 'm'", "make it missing")
    x = codec.encode(TRAINED.assign(sex=["f", None, "m", None]))
    assert x[:, 2].isnan().tolist() == [False, True, False, True]


def test_types_that_convert_without_loss(codec: TableCodec) -> None:
    expected = codec.encode(TRAINED)
    frame = TRAINED.assign(
        age=TRAINED.age.astype("float32"),
        sex=TRAINED.sex.astype("category"),
        on=[1, 0, 1, 1],
        day=TRAINED.day.astype("datetime64[s]"),
    )
    assert torch.equal(codec.encode(frame), expected)
    dates = TRAINED.assign(day=TRAINED.day.dt.date, height=TRAINED.height.astype("Float64"))
    assert torch.equal(codec.encode(dates), expected)
    ints = TableCodec().fit(pd.DataFrame({"x": [0.5, 1.0, 2.0]}))
    assert ints.encode(pd.DataFrame({"x": [1, 2, None]})).shape == (3, 1)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        (
            "age",
            ["31", "47", "5", "62"],
            "was int64 when the model was trained; it is text now",
        ),
        ("age", [31, 47.5, 5, 62], "row 1 (counted from 0) holds 47.5"),
        ("height", ["a", "b", "c", "d"], "was double"),
        ("sex", [1, 2, 1, 2], "it is int64 now"),
        ("on", [1, 0, 2, 1], "row 2 (counted from 0) holds 2"),
        ("on", ["true", "false"] * 2, "was bool"),
        ("day", [1, 2, 3, 4], "was timestamp["),
        ("day", pd.to_datetime(["2024-01-01"] * 4, utc=True), "tz=UTC"),
    ],
)
def test_types_that_do_not(codec: TableCodec, name: str, values: Any, words: str) -> None:
    refuses(codec, TRAINED.assign(**{name: values}), f"column {name!r}", words)


def test_infinity_when_encoding(codec: TableCodec) -> None:
    frame = TRAINED.assign(height=[1.0, 2.0, np.inf, 1.0])
    refuses(codec, frame, "'height'", "infinity", "row 2", error=DataError)


def test_no_rows_when_encoding(codec: TableCodec) -> None:
    refuses(codec, TRAINED.head(0), "no rows", error=DataError)


def test_values_out_of_range_are_fine_until_they_are_far(codec: TableCodec) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = codec.encode(TRAINED.assign(age=[0, 90, 100, -5]))
    assert x[:, 0].tolist() == [0, 90, 100, -5]
    with pytest.warns(
        DataWarning, match=r"'age': 2 values are far outside.*5 to 62.*10000 in row 1"
    ):
        codec.encode(TRAINED.assign(age=[0, 10_000, 50, -9_999]))


def test_values_between_the_steps_are_rounded_with_a_warning(codec: TableCodec) -> None:
    frame = TRAINED.assign(height=[1.75, 1.604, 1.1, None])
    with pytest.warns(DataWarning, match=r"'height' was recorded more coarsely.*in row 1"):
        x = codec.encode(frame)
    assert x[:3, 1].tolist() == [1.75, 1.6, 1.1]
    times = TRAINED.assign(day=TRAINED.day + pd.Timedelta(hours=7))
    with pytest.warns(DataWarning, match="'day' was recorded more coarsely.*by day"):
        codec.encode(times)


def test_a_constant_that_changes_is_mentioned(codec: TableCodec) -> None:
    frame = TRAINED.assign(unit=["cm", "cm", "in", None])
    with pytest.warns(DataWarning, match="'unit' had always cm in training, but row 2.*'in'"):
        codec.encode(frame)
    with pytest.warns(DataWarning, match="'unit'.*row 0"):
        codec.encode(TRAINED.assign(unit=7))


def test_a_column_that_had_no_value_and_has_one_now() -> None:
    frame = pd.DataFrame({"a": [None, None], "b": [1, 2]})
    with pytest.warns(DataWarning):
        codec = TableCodec().fit(frame)
    assert codec.encode(frame).shape == (2, 1)
    with pytest.warns(DataWarning, match="'a' had no value at all in training, but row 1.*'x'"):
        codec.encode(frame.assign(a=[None, "x"]))


def test_an_array_of_another_width(codec: TableCodec) -> None:
    refuses(codec, np.ones((2, 5)), "trained on 6 columns, but X has 5 features")


def test_text_times_in_another_format() -> None:
    frame = pd.DataFrame({"day": ["31.12.2024", "01.01.2025"]})
    codec = TableCodec({"day": "datetime"}).fit(frame)
    refuses(codec, frame.assign(day=["31.12.2024", "2025-01-01"]), "'%d.%m.%Y'", "row 1")
    assert torch.equal(codec.encode(frame.assign(day=pd.to_datetime(frame.day, dayfirst=True))),
                       codec.encode(frame))  # fmt: skip
