"""Tables in files: reading them whole, or batch by batch in bounded memory.

    .csv .tsv (.gz)            text, types found from all rows (see `delimited`)
    .jsonl .ndjson (.gz)       an object on each line (see `jsonlines`)
    .parquet .arrow .feather   with types; a folder of .parquet files is one table

This module does not know what the columns mean, nor how tables are written.
"""

import gzip
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from variate.errors import DataError
from variate.reading.delimited import Delimited
from variate.reading.jsonlines import JsonLines

__all__ = [
    "GROUP",
    "SUFFIXES",
    "beginning",
    "columns",
    "exists",
    "naming",
    "parquet_batches",
    "parquet_files",
    "read",
    "read_untyped",
    "suffix_of",
]

DELIMITED = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
JSON = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
ARROW = (".arrow", ".feather")
SUFFIXES = (*DELIMITED, *JSON, ".parquet", *ARROW)
GROUP = 65_536  # rows of a Parquet row group, and what is read at once
PAGE = 2**20  # bytes of a column that are read at once


def suffix_of(path: str | Path) -> str | None:
    """The known ending of a path, or None."""
    name = Path(path).name.lower()
    return max((s for s in SUFFIXES if name.endswith(s)), key=len, default=None)


def exists(path: str | Path) -> bool:
    """Whether a path leads anywhere; text that was given for one may be too long to be one."""
    try:
        return str(path) != "" and Path(path).exists()
    except (OSError, ValueError):
        return False


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
    if not exists(path):
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
