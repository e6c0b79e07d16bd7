"""Tables in files: reading them whole, writing them whole or not at all.

    .csv .tsv (.gz)            text, types found from all rows (see `delimited`)
    .jsonl .ndjson (.gz)       an object on each line (see `jsonlines`)
    .parquet .arrow .feather   with types

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
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from pyarrow import ipc

from variate.errors import DataError, OutputError
from variate.output import replacing
from variate.table.delimited import Delimited
from variate.table.frames import is_frame, to_arrow
from variate.table.jsonlines import JsonLines
from variate.table.storage import family

__all__ = [
    "GROUP",
    "SUFFIXES",
    "beginning",
    "columns",
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

DELIMITED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
JSON = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
ARROW = (".arrow", ".feather")
SUFFIXES = (*DELIMITED, *JSON, ".parquet", *ARROW)
GROUP = 65_536  # rows of a Parquet row group, and what is read at once
PAGE = 2**20  # bytes of a column that are read at once
UNSAFE = r'["\r\n{}]|^$|^\s|\s$'  # text that must be in quotes


def suffix_of(path: str | Path) -> str | None:
    """The known ending of a path, or None."""
    name = Path(path).name.lower()
    return max((s for s in SUFFIXES if name.endswith(s)), key=len, default=None)


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Whatever is wrong with the data of a file, the error names the file.

    Args:
        source: A path; anything else has no name to give.
    """
    try:
        yield
    except DataError as error:
        if not isinstance(source, str | Path) or str(source) in str(error):
            raise
        raise type(error)(f"{source}: {error}") from error


# -- reading ------------------------------------------------------------------------------------


def read(path: str | Path, *, encoding: str | None = None) -> pa.Table:
    """Read a table; a folder is read as the Parquet files in it, in order of their names.

    Args:
        path: The file.
        encoding: How a CSV's text is written; None is UTF-8, or UTF-16 where its mark says so.

    Raises:
        DataError: The file is not there, not a table, empty or broken; the message names the file
            and line.
    """
    schema, batches = columns(path, encoding=encoding)
    table = pa.Table.from_batches(batches(), schema)
    if not table.num_rows:
        raise DataError(f"{path} has columns, but no rows.")
    return table


def read_untyped(path: str | Path) -> pa.Table:
    """Read a table whose types no row decides: every column of a CSV as text, others as `read`.

    Raises:
        DataError: As `read`.
    """
    path = Path(path)
    if suffix_of(path) in DELIMITED and path.is_file():
        return Delimited.open(path, None).texts()
    return read(path)


def columns(
    path: str | Path, *, encoding: str | None = None
) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """The types of a table's columns, and a function that reads its rows in bounded memory.

    Raises:
        DataError: The file is not there, not a table, empty or broken; the message names the file
            and line.
    """
    path, suffix = Path(path), suffix_of(path)
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    if path.is_dir() or suffix == ".parquet":
        return _parquet(path)
    if suffix in DELIMITED:
        return Delimited.open(path, encoding).columns()
    if suffix in JSON:
        return JsonLines(path).columns()
    if suffix in ARROW:
        return _arrow(path)
    raise DataError(
        f"{path}: the ending does not say how the table is written; variate reads "
        f"{', '.join(SUFFIXES)}, and folders of .parquet files."
    )


def parquet_files(path: Path) -> dict[Path, pq.FileMetaData]:
    """A Parquet file, or those in a folder and its folders in order of their paths.

    Raises:
        DataError: There is none, or one is damaged.
    """
    parts = [path]
    if path.is_dir():
        parts = sorted(part for part in path.rglob("*.parquet") if part.is_file())
    if not parts:
        raise DataError(f"the folder {path} holds no .parquet files.")
    metadata = {}
    for part in parts:
        with _reading(part):
            metadata[part] = pq.read_metadata(part)
    return metadata


def parquet_batches(
    path: Path, metadata: pq.FileMetaData, schema: pa.Schema, rows: int, groups: list[int]
) -> Generator[pa.RecordBatch, None, None]:
    """Some row groups of a file, `rows` rows at a time, with the columns of the schema.

    Pages are read as they are needed, and nothing is read ahead.
    """
    with (
        _reading(path),
        pq.ParquetFile(path, metadata=metadata, pre_buffer=False, buffer_size=PAGE) as file,
    ):
        for batch in file.iter_batches(rows, groups, schema.names, use_threads=False):
            found = {name: batch.column(name) for name in batch.schema.names}
            yield pa.RecordBatch.from_arrays(
                [
                    found[field.name].cast(field.type)
                    if field.name in found
                    else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ],
                schema=schema,
            )


def beginning(path: Path, size: int) -> tuple[bytes, float]:
    """The first bytes of a file's text, and about which share of the file they are."""
    with open(path, "rb") as file:
        packed = path.suffix.lower() == ".gz"
        start = gzip.GzipFile(fileobj=file).read(size) if packed else file.read(size)
        return start, file.tell() / max(path.stat().st_size, 1)


def _parquet(path: Path) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    parts = parquet_files(path)
    schemas = [metadata.schema.to_arrow_schema() for metadata in parts.values()]
    for part, schema in zip(parts, schemas, strict=True):
        _expect_distinct(part, schema.names)
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive").remove_metadata()
    except pa.ArrowException as error:
        raise DataError(f"the files in {path} do not fit together: {_brief(error)}.") from error

    def batches() -> Iterator[pa.RecordBatch]:
        for part, metadata in parts.items():
            groups = list(range(metadata.num_row_groups))
            yield from parquet_batches(part, metadata, schema, GROUP, groups)

    return schema, batches


def _arrow(path: Path) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    def batches() -> Iterator[pa.RecordBatch]:
        with _reading(path), pa.memory_map(str(path)) as source:
            reader = _arrow_reader(source)
            whole = getattr(reader, "num_record_batches", None)
            yield from reader if whole is None else map(reader.get_batch, range(whole))

    with _reading(path), pa.memory_map(str(path)) as source:
        schema = _arrow_reader(source).schema
    _expect_distinct(path, schema.names)
    return schema, batches


def _arrow_reader(source: pa.NativeFile) -> Any:
    try:
        return ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return ipc.open_stream(source)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Errors of the reader as errors of the data."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read, or is damaged: {_brief(error)}.") from error


def _expect_distinct(path: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{path}: the column names {', '.join(map(repr, twice))} are used more than once; "
            "rename the columns so that each name is used once."
        )


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


# -- writing ------------------------------------------------------------------------------------


def write(table: Any, path: str | Path) -> Path:
    """Write a table of any library; what was at `path` is replaced when the new file is complete.

    Raises:
        OutputError: The ending is unknown, a column has a type that the format cannot hold, or the
            file cannot be written.
    """
    suffix = suffix_of(path)
    if suffix is None:
        raise OutputError(
            f"cannot write {path}: the ending says how, and variate writes {', '.join(SUFFIXES)}."
        )
    rows = to_arrow(table)
    with replacing(path) as file:
        if suffix.endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                _write(rows, packed, suffix.removesuffix(".gz"))  # type: ignore[arg-type]
        else:
            _write(rows, file, suffix)
    return Path(path)


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
