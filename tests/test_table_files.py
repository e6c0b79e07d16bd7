"""Tables in files: what is written is read again, and an error says which file and line."""

import datetime as dt
import decimal
import errno
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variate.errors import DataError, OutputError
from variate.reading import delimited, jsonlines
from variate.table import files

TABLE = pa.table(
    {
        "real": [0.1, 1e300, None],
        "float32": pa.array([0.1, None, -3.3], pa.float32()),
        "whole": [1, None, -3],
        "large": pa.array([2**63 - 1, None, 9_007_199_254_740_993], pa.int64()),
        "text": ['x, "y"\nz', "", None],
        "padded": [" a ", None, "\tb"],
        "code": ["00123", "4", None],
        "word": ["NA", "null", "é"],
        "flag": [True, None, False],
        "day": [dt.date(2024, 2, 29), None, dt.date(1066, 10, 14)],
        "second": pa.array([0, None, 86_399], pa.timestamp("s")),
        "micro": pa.array([0, None, 1], pa.timestamp("us")),
        "zoned": pa.array([0, None, 3_600], pa.timestamp("s", "UTC")),
        "clock": pa.array([0, None, 86_399], pa.time32("s")),
        "empty": pa.nulls(3),
    }
)


def save(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def expect(path: Path, *words: str, **options: Any) -> None:
    """Reading fails, and the message names the file and has all the words."""
    with pytest.raises(DataError) as caught:
        files.read(path, **options)
    for word in (str(path), *words):
        assert word in str(caught.value)


def read(path: Path, content: str | bytes, **options: Any) -> dict[str, list[Any]]:
    return files.read(save(path, content), **options).to_pydict()


# -- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = files.write(TABLE, tmp_path / f"rows{suffix}")
    back = files.read(path)
    assert back.column_names == TABLE.column_names
    for name in TABLE.column_names:
        expected = TABLE.column(name).to_pylist()
        if name == "float32":
            assert [None if v is None else np.float32(v) for v in back[name].to_pylist()] == [
                None if v is None else np.float32(v) for v in expected
            ]
        else:
            assert back.column(name).to_pylist() == expected, name
    if suffix in (".arrow", ".feather"):  # Parquet has no times in seconds
        assert back.equals(TABLE)
    again = files.write(back, tmp_path / f"again{suffix}")
    assert files.read(again).equals(back)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".csv.gz"])
def test_equal_tables_give_equal_bytes(tmp_path: Path, suffix: str) -> None:
    one, two = (files.write(TABLE, tmp_path / f"{name}{suffix}") for name in "ab")
    assert one.read_bytes() == two.read_bytes()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=5)


@settings(max_examples=60)
@given(
    numbers=st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=2, max_size=9),
    words=st.lists(st.one_of(st.none(), TEXT), min_size=9, max_size=9),
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]),
)
def test_any_numbers_and_words_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    numbers: list[float | None],
    words: list[str | None],
    suffix: str,
) -> None:
    if suffix == ".jsonl":  # JSON has no infinity
        numbers = [None if v is not None and math.isinf(v) else v for v in numbers]
    numbers[0], words[0] = 0.5, "word"
    words = words[: len(numbers)]
    table = pa.table(
        {"n": pa.array(numbers, pa.float64()), "w": pa.array(words, pa.large_string())}
    )
    path = tmp_path_factory.mktemp("rows") / f"rows{suffix}"
    back = files.read(files.write(table, path)).to_pydict()
    assert back == table.to_pydict()
    alone = files.read(files.write(table.select(["w"]), path)).to_pydict()
    assert alone == {"w": words}


@pytest.mark.parametrize("make", [lambda t: t.to_pandas(), pl.from_arrow, lambda t: t])
def test_every_kind_of_frame_is_written(tmp_path: Path, make: Any) -> None:
    table = pa.table({"n": [1, 2, 3], "s": ["a", None, "c"]})
    expected = "n,s\n1,a\n2,\n3,c\n"
    assert files.write(make(table), tmp_path / "rows.csv").read_text() == expected
    assert files.to_csv(make(table)) == expected


def test_types_that_text_has_no_word_for(tmp_path: Path) -> None:
    table = pa.table(
        {
            "category": pa.array(["b", None, "a"]).dictionary_encode(),
            "decimal": [decimal.Decimal("1.20"), None, decimal.Decimal("-3.5")],
            "span": pa.array([1, None, 3], pa.duration("s")),
            "half": pa.array(np.array([0.5, 1.0, 2.0], "float16")),
            "nan": pa.array([1.0, float("nan"), 2.0]),
        }
    )
    for suffix in (".csv", ".jsonl"):
        back = files.read(files.write(table, tmp_path / f"rows{suffix}")).to_pydict()
        assert back["category"] == ["b", None, "a"]
        assert back["decimal"] == [1.2, None, -3.5]
        assert back["span"] == [1, None, 3]
        assert back["half"] == [0.5, 1.0, 2.0]
        assert back["nan"] == [1.0, None, 2.0]


def test_missing_is_not_empty_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", 'a,b\n"",1\n,2\nx,3\n')["a"] == ["", None, "x"]
    assert read(tmp_path / "a.csv", 'a\n""\n\nx\n')["a"] == ["", None, "x"]
    assert read(tmp_path / "a.csv", 'a,b\n"",1\n5,2\n')["a"] == [None, 5]


DAY = dt.date(2024, 2, 29)
MIDNIGHT, TEN = dt.datetime(2024, 2, 29), dt.datetime(2024, 2, 29, 10)


# -- what is in a CSV -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind", "values"),
    [
        (["1", "-2", ""], "int64", [1, -2, None]),
        (["1", "2.5", "NA"], "double", [1.0, 2.5, None]),
        (["+1.5", "1e3", "nan"], "double", [1.5, 1000.0, None]),
        (["inf", "1", "-inf"], "double", [math.inf, 1.0, -math.inf]),
        ([" 1", "2 ", "3"], "int64", [1, 2, 3]),
        (["007", "8", "9"], "large_string", ["007", "8", "9"]),
        (["-007", "8", "9"], "large_string", ["-007", "8", "9"]),
        (["0.5", "00.5", "1"], "large_string", ["0.5", "00.5", "1"]),
        (["0x1F", "1", "2"], "large_string", ["0x1F", "1", "2"]),
        (["18446744073709551615", "1", "2"], "uint64", [2**64 - 1, 1, 2]),
        (["18446744073709551616", "1", "2"], "large_string", ["18446744073709551616", "1", "2"]),
        (["9007199254740993", "0.5", ""], "large_string", ["9007199254740993", "0.5", None]),
        (["true", "False", ""], "bool", [True, False, None]),
        (["true", "1", "0"], "large_string", ["true", "1", "0"]),
        (["NA", "NA", ""], "large_string", ["NA", "NA", None]),
        (["NA", "x", "None"], "large_string", ["NA", "x", "None"]),
        (["", "", ""], "null", [None, None, None]),
        (
            ["2024-02-29", "1066-10-14", ""],
            "date32[day]",
            [dt.date(2024, 2, 29), dt.date(1066, 10, 14), None],
        ),
        (["2024-02-30", "2024-01-01", ""], "large_string", ["2024-02-30", "2024-01-01", None]),
        (
            ["2024-01-01", "2024-01-01 10:00", ""],
            "timestamp[s]",
            [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 10), None],
        ),
        (["08:30", "23:59:59", ""], "time32[s]", [dt.time(8, 30), dt.time(23, 59, 59), None]),
        (["25:00", "23:59", ""], "large_string", ["25:00", "23:59", None]),
    ],
)
def test_the_type_of_a_column(
    tmp_path: Path, fields: list[str], kind: str, values: list[Any]
) -> None:
    rows = "".join(f"{field},{i}\n" for i, field in enumerate(fields))
    table = files.read(save(tmp_path / "a.csv", "x,row\n" + rows))
    assert str(table["x"].type) == kind
    assert table["x"].to_pylist() == values


def test_an_offset_makes_utc(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "t\n2024-01-01T10:00:00+02:00\n2024-01-01T10:00:00.25Z\n")
    table = files.read(path)
    assert table["t"].type == pa.timestamp("ms", "UTC")
    assert table["t"].cast(pa.int64()).to_pylist() == [1704096000000, 1704103200250]


def test_a_column_that_changes_after_the_first_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 4096)
    rows = [(i, i, "", i % 2) for i in range(3000)] + [(0.5, "x", "late", 7)]
    text = "real,text,empty,int\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    table = files.read(save(tmp_path / "a.csv", text))
    assert [str(kind) for kind in table.schema.types] == ["double", *["large_string"] * 2, "int64"]
    assert table["real"].to_pylist()[-2:] == [2999.0, 0.5]
    assert table["text"].to_pylist()[-2:] == ["2999", "x"]
    assert table["empty"].to_pylist()[-2:] == [None, "late"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_noticed(tmp_path: Path, delimiter: str) -> None:
    text = "a,b\n1,2\n".replace(",", delimiter)
    assert read(tmp_path / "a.csv", text) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_and_blank_lines(tmp_path: Path, ending: str) -> None:
    text = "\n\na,b\n1,x\n\n2,y".replace("\n", ending)
    assert read(tmp_path / "a.csv", text) == {"a": [1, 2], "b": ["x", "y"]}


def test_quotes_within_a_field(tmp_path: Path) -> None:
    text = 'a,b\n5" pipe,1\n"say ""no"", or\nnot",2\n6",3\n'
    assert read(tmp_path / "a.csv", text)["a"] == ['5" pipe', 'say "no", or\nnot', '6"']


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "utf-16-le"])
def test_another_encoding(tmp_path: Path, encoding: str) -> None:
    content = "a,b\n1,é\n2,ü\n".encode(encoding)
    assert read(tmp_path / "a.csv", content, encoding=encoding)["b"] == ["é", "ü"]


def test_marks_of_unicode_are_understood(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        content = "a,b\n1,é\n".encode(encoding)
        assert read(tmp_path / "a.csv", content) == {"a": [1], "b": ["é"]}


# -- what is wrong with a CSV ---------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n", "\ufeff", "\r\n\r\n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    expect(save(tmp_path / "a.csv", content), "is empty")


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\n\n", "a\n"])
def test_header_only(tmp_path: Path, content: str) -> None:
    expect(save(tmp_path / "a.csv", content), "has a header, but no rows")


def test_duplicate_headers(tmp_path: Path) -> None:
    expect(save(tmp_path / "a.csv", "a,b,a\n1,2,3\n"), "line 1", "'a'", "more than once")


@pytest.mark.parametrize(
    ("rows", "line", "got"),
    [
        ("1,2\n3\n4,5\n", 3, "got 1: '3'"),
        ("1,2\n3,4,5\n", 3, "got 3: '3,4,5'"),
        ("1,2\n\n\n3,4,5\n", 5, "got 3"),
        ('1,"x\ny"\n3,4,5\n', 4, "got 3"),
        ("1,2\n" * 2000 + "oops\n" + "1,2\n", 2002, "got 1: 'oops'"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_broken_row(tmp_path: Path, rows: str, line: int, got: str, suffix: str) -> None:
    content = ("a,b\n" + rows).encode()
    path = save(tmp_path / f"a{suffix}", gzip.compress(content) if "gz" in suffix else content)
    expect(path, f"line {line}: expected 2 columns, {got}", "double quotes")


def test_a_quote_that_is_never_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.csv", 'a,b\n1,2\n1,"x\n2,y\n3,z\n')
    expect(path, "line 3", '"x', "never closed")
    monkeypatch.setattr(delimited, "BLOCK", 4096)
    path = save(tmp_path / "b.csv", 'a,b\n1,"x\n' + "2,y\n" * 5000)
    expect(path, "quote that opens a field is never closed")


def test_the_wrong_encoding(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "a,b\n1,x\n2,é\n".encode("latin-1"))
    expect(path, "line 3", "0xE9 at position 3", "not UTF-8", "encoding='latin-1'")
    expect(save(tmp_path / "b.csv", "é,b\n1,2\n".encode("latin-1")), "line 1", "0xE9")
    expect(path, "is not written in utf-16", encoding="utf-16")
    expect(path, "there is no encoding 'klingon'", encoding="klingon")


def test_damaged_gzip(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n" + np.random.default_rng(0).bytes(4000).hex().encode())
    expect(save(tmp_path / "a.csv.gz", content[:-20]), "cannot be read")
    expect(save(tmp_path / "b.csv.gz", b"a,b\n1,2\n"), "cannot be read")
    expect(save(tmp_path / "c.jsonl.gz", b'{"a": 1}\n'), "cannot be read")


# -- JSON Lines -----------------------------------------------------------------------------------


def test_lines_may_lack_names_and_have_others(tmp_path: Path) -> None:
    text = '{"a": 1, "b": "x"}\n\n{"a": 2.5}\n{"c": true, "a": null}\n'
    expected = {"a": [1.0, 2.5, None], "b": ["x", None, None], "c": [None, None, True]}
    assert read(tmp_path / "a.jsonl", text) == expected


def test_json_lines_go_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "BLOCK", 4096)
    lines = [f'{{"n": {i}, "t": "2024-01-01", "late": null}}\n' for i in range(500)]
    text = "".join(lines) + '{"n": 0.5, "t": "soon", "late": 3, "new": "z"}\n'
    table = files.read(save(tmp_path / "a.jsonl", text))
    assert [str(kind) for kind in table.schema.types] == ["double", "string", "int64", "string"]
    assert table.slice(499).to_pylist() == [
        {"n": 499.0, "t": "2024-01-01", "late": None, "new": None},
        {"n": 0.5, "t": "soon", "late": 3, "new": "z"},
    ]
    lines += ['{"n": null}\n'] * 800 + ['{"n": "x"}\n']
    expect(save(tmp_path / "b.jsonl", "".join(lines)), "'n' is int64 before line", "string after")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("{}\n", ["is empty"]),
        ('{"a": 1}\n{"a": }\n', ["line 2", "one JSON object"]),
        ('{"a": 1}\n[1, 2]\n', ["line 2", "expected an object", "[1, 2]"]),
        ('{"a": 1}\n{"a": null}\n{"a": "x"}\n', ["line 3", "'a' is text here", "in line 1"]),
        ('{"a": true}\n{"a": 1}\n', ["line 2", "'a' is a number here, but a boolean"]),
        ('{"a": 1, "a": 2}\n', ["twice"]),
    ],
)
def test_broken_lines(tmp_path: Path, text: str, words: list[str]) -> None:
    expect(save(tmp_path / "a.jsonl", text), *words)


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", '{"a": "x"}\n{"a": "é"}\n'.encode("latin-1"))
    expect(path, "line 2", "0xE9", "not UTF-8")


# -- Parquet, Arrow, folders ----------------------------------------------------------------------


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [3.5], "b": ["x"]}), tmp_path / "part" / "2.parquet")
    expected = {"a": [1.0, 2.0, 3.5], "b": [None, None, "x"]}
    assert files.read(tmp_path).to_pydict() == expected
    pq.write_table(pa.table({"a": ["text"]}), tmp_path / "3.parquet")
    expect(tmp_path, "do not fit together")


def test_categories_of_several_row_groups(tmp_path: Path) -> None:
    column = pa.array(["b", "a"] * 50 + ["c"] * 100).dictionary_encode()
    pq.write_table(pa.table({"k": column}), tmp_path / "a.parquet", row_group_size=50)
    assert files.read(tmp_path / "a.parquet")["k"].to_pylist() == column.to_pylist()


def test_arrow_streams_are_read_too(tmp_path: Path) -> None:
    with pa.ipc.new_stream(tmp_path / "a.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert files.read(tmp_path / "a.arrow").equals(TABLE)
    pyarrow.feather.write_feather(TABLE, tmp_path / "b.feather", compression="zstd")
    assert files.read(tmp_path / "b.feather").equals(TABLE)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_files_that_are_not_what_they_say(tmp_path: Path, suffix: str) -> None:
    expect(save(tmp_path / f"a{suffix}", b"something else"), "damaged")
    path = files.write(pa.table({"a": range(9999)}), tmp_path / f"b{suffix}")
    save(path, path.read_bytes()[:-50])
    expect(path, "damaged")
    expect(files.write(TABLE.slice(0, 0), tmp_path / f"c{suffix}"), "no rows")


def test_paths_that_are_no_tables(tmp_path: Path) -> None:
    expect(tmp_path / "none.csv", "does not exist")
    expect(save(tmp_path / "a.xlsx", b"x"), ".csv", ".parquet")
    empty = tmp_path / "folder"
    empty.mkdir()
    expect(empty, "holds no .parquet files")


# -- writing --------------------------------------------------------------------------------------


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"rows\.xlsx.*\.csv, .*\.parquet"):
        files.write(TABLE, tmp_path / "rows.xlsx")


def test_a_type_that_text_cannot_hold(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl"):
        with pytest.raises(OutputError, match=r"'a' has the type list.*\.parquet"):
            files.write(pa.table({"a": [[1]]}), tmp_path / f"rows{suffix}")
    with pytest.raises(OutputError, match="infinity"):
        files.write(pa.table({"a": [math.inf]}), tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(TABLE, tmp_path / f"rows{suffix}")
    before = path.read_bytes()

    class Full:
        """A file on a disk that is full after some bytes."""

        def __init__(self, name: Path, mode: str) -> None:
            self.file = open(name, mode)  # noqa: SIM115 - closed by __exit__
            self.left = 60

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, content: Any) -> int:
            self.left -= len(content)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(content)

    monkeypatch.setattr("variate.output.open", Full, raising=False)
    with pytest.raises(OutputError, match="the disk is full"):
        files.write(pa.concat_tables([TABLE] * 50), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pandas_writes_what_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, None, 3.0], "b": ["x", None, "z"], "c": [True, False, True]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    expected = {"a": [1.5, None, 3.0], "b": ["x", None, "z"], "c": [True, False, True]}
    for suffix in (".csv", ".jsonl", ".parquet"):
        assert files.read(tmp_path / f"a{suffix}").to_pydict() == expected
