"""A table that is written part by part, for it need not fit into memory.

What was at the path is replaced when the last part is written, and stays if one cannot be made.

This module does not know where the parts come from.
"""

import gzip
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from variate.errors import OutputError
from variate.output import replacing
from variate.table import files

__all__ = ["text_parts", "write_parts"]


def write_parts(parts: Iterable[pa.Table], path: str | Path) -> int:
    """Write tables of one schema as one, in the format that the ending says.

    Args:
        parts: The tables, one at least.
        path: The file.

    Returns:
        How many rows were written.

    Raises:
        OutputError: The ending is unknown, or the file cannot be written.
    """
    suffix = files.suffix_of(path)
    if suffix is None:
        raise OutputError(
            f"cannot write {path}: the ending says how, and variate writes "
            f"{', '.join(files.SUFFIXES)}."
        )
    counted = _Counted(parts)
    plain = suffix.removesuffix(".gz")
    with replacing(path) as file:
        if plain in (".parquet", ".arrow", ".feather"):
            _write_typed(counted, file, parquet=plain == ".parquet")
        elif plain == suffix:
            file.writelines(text_parts(counted, plain))
        else:
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                packed.writelines(text_parts(counted, plain))
    return counted.rows


def text_parts(parts: Iterable[pa.Table], suffix: str) -> Iterator[bytes]:
    """Tables of one schema as pieces of one text file of this ending, not packed."""
    for i, part in enumerate(parts):
        text = files.in_memory(part, suffix)
        headed = i and suffix in (".csv", ".tsv")
        yield text.split(b"\n", 1)[1] if headed else text


def _write_typed(parts: Iterable[pa.Table], file: BinaryIO, *, parquet: bool) -> None:
    parts = iter(parts)
    first = next(parts)
    open_ = pq.ParquetWriter if parquet else ipc.new_file
    with open_(file, first.schema) as writer:
        for part in chain([first], parts):
            writer.write_table(part)


class _Counted:
    """Tables, and how many rows of them have gone by."""

    def __init__(self, parts: Iterable[pa.Table]) -> None:
        self._parts = parts
        self.rows = 0

    def __iter__(self) -> Iterator[pa.Table]:
        for part in self._parts:
            self.rows += part.num_rows
            yield part
