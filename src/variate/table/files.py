"""Tables in files: writing them whole or not at all, and reading them (see `variate.reading`).

What is written can be read again: floating numbers are written with as many digits as give the same
number back, a missing value is an empty field (null in JSON), and empty text is "" in quotes. Text
files have no types, so a column may come back as another type that holds the same values: whole
seconds instead of microseconds, plain text instead of a categorical, times with a zone as UTC, and
text that consists of numbers as numbers. Durations are written as counts of their unit. (Parquet
has no times in whole seconds: they come back in milliseconds.)

This module does not know what the columns mean.
"""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from pyarrow import ipc

from variate.errors import OutputError
from variate.output import replacing
from variate.reading.files import (
    GROUP,
    SUFFIXES,
    beginning,
    columns,
    naming,
    parquet_batches,
    parquet_files,
    read,
    read_untyped,
    suffix_of,
)  # fmt: skip
from variate.table.frames import is_frame, to_arrow
from variate.table.storage import family

__all__ = [
    "GROUP",
    "SUFFIXES",
    "beginning",
    "columns",
    "expect_suffix",
    "in_memory",
    "is_frame",
    "naming",
    "parquet_batches",
    "parquet_files",
    "read",
    "read_untyped",
    "suffix_of",
    "to_arrow",
    "to_csv",
    "write",
]

UNSAFE = r'["\r\n{}]|^$|^\s|\s$'  # text that must be in quotes


def write(table: Any, path: str | Path) -> Path:
    """Write a table of any library; what was at `path` is replaced when the new file is complete.

    Raises:
        OutputError: The ending is unknown, a column has a type that the format cannot hold, or the
            file cannot be written.
    """
    suffix = expect_suffix(path)
    rows = to_arrow(table)
    with replacing(path) as file:
        if suffix.endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                _write(rows, packed, suffix.removesuffix(".gz"))  # type: ignore[arg-type]
        else:
            _write(rows, file, suffix)
    return Path(path)


def expect_suffix(path: str | Path) -> str:
    """The ending that says how a table is written.

    Raises:
        OutputError: The ending is unknown.
    """
    suffix = suffix_of(path)
    if suffix is None:
        raise OutputError(
            f"cannot write {path}: the ending says how, and variate writes {', '.join(SUFFIXES)}."
        )
    return suffix


def to_csv(table: Any) -> str:
    """A table of any library as the text of a comma-separated file."""
    return in_memory(to_arrow(table), ".csv").decode()


def in_memory(table: pa.Table, suffix: str) -> bytes:
    """What a file of this ending, not packed, holds of a table."""
    file = io.BytesIO()
    _write(table, file, suffix)
    return file.getvalue()


def _write(table: pa.Table, file: BinaryIO, suffix: str) -> None:
    match suffix:
        case ".csv":
            _write_delimited(table, file, ",")
        case ".tsv":
            _write_delimited(table, file, "\t")
        case ".jsonl" | ".ndjson":
            _write_json(table, file)
        case ".parquet":
            pq.write_table(table, file, row_group_size=GROUP)
        case _:
            with ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)


def _write_delimited(table: pa.Table, file: BinaryIO, delimiter: str) -> None:
    header = io.StringIO()
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(table.column_names)
    file.write(header.getvalue().encode())
    made = [_text_ready(table.column(i), name) for i, name in enumerate(table.column_names)]
    unsafe = UNSAFE.replace("{}", delimiter)
    quoted = any(
        pa.types.is_large_string(column.type)
        and pc.any(pc.match_substring_regex(column, unsafe)).as_py()
        for column in made
    )
    arrow_csv.write_csv(
        pa.table(made, names=table.column_names),
        file,
        arrow_csv.WriteOptions(
            include_header=False,
            delimiter=delimiter,
            quoting_style="needed" if quoted else "none",
        ),
    )


def _write_json(table: pa.Table, file: BinaryIO) -> None:
    made = {
        name: _text_ready(table.column(i), name, for_json=True)
        for i, name in enumerate(table.column_names)
    }
    for name, column in made.items():
        if pa.types.is_floating(column.type) and pc.any(pc.is_inf(column)).as_py():
            raise OutputError(f"column {name!r} holds infinity, which JSON has no word for.")
    for batch in pa.table(made).to_batches(max_chunksize=GROUP):
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in batch.to_pylist())
        file.write("".join(f"{line}\n" for line in lines).encode())


def _text_ready(column: pa.ChunkedArray, name: str, *, for_json: bool = False) -> Any:
    """A column as a type that a text file can hold, without loss."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    match family(kind):
        case "text":
            return column.cast(pa.large_string())
        case "real":
            if pa.types.is_decimal(kind):
                return column.cast(pa.float64()) if for_json else column
            numbers = pc.if_else(pc.is_nan(column), None, column)
            if for_json and pa.types.is_float32(kind):  # 0.1, not 0.10000000149011612
                return numbers.cast(pa.string()).cast(pa.float64())
            return numbers
        case "span":
            return column.cast(pa.int64())
        case "instant" | "moment" | "clock":
            coarse = _coarsest(column)
            if not for_json:
                return coarse
            return pc.replace_substring(coarse.cast(pa.large_string()), " ", "T")
        case "other":
            raise OutputError(
                f"column {name!r} has the type {kind}, which a text file cannot hold; write "
                ".parquet instead."
            )
    return column


def _coarsest(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times in the coarsest unit that loses nothing, so that whole seconds are written as such."""
    kind = column.type
    if pa.types.is_date(kind):
        return column
    units: list[pa.DataType] = [pa.time32("s"), pa.time32("ms"), pa.time64("us")]
    if pa.types.is_timestamp(kind):
        units = [pa.timestamp(unit, kind.tz) for unit in ("s", "ms", "us")]
    for coarser in units:
        try:
            return column.cast(coarser)
        except pa.ArrowInvalid:
            continue
    return column
