"""JSON Lines: one object on each line, its names the columns.

As a comma-separated file, it is read twice: once for the type of each column, from all rows, and
once to convert. A name that an object lacks is missing in its row, as is null. Text that is an
ISO 8601 date or time in every row is read as such. Lists and objects stay what they are. A whole
number beyond 64 bits with sign becomes a double.

This module does not know schemas of models: a type here is only how a file is read.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from pyarrow import json as arrow_json

from variate.errors import DataError
from variate.reading.texts import TIMES, TextColumn

__all__ = ["JsonLines"]

BLOCK = 16 * 2**20  # bytes of text at once


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON Lines; gzip if it ends in .gz."""

    path: Path

    def columns(self) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
        """The types of the columns, from all rows, and a function that reads the rows in blocks.

        Raises:
            DataError: There are no rows, or a line is broken; the message names it.
        """
        schema = pa.schema([])
        texts: dict[str, TextColumn] = {}
        for line, block in self._blocks():
            self._expect_utf8(block, line)
            found = _times_as_text(self._parsed(block, line, None).schema)
            for name, text in _texts(self._parsed(block, line, found)):
                texts.setdefault(name, TextColumn(TIMES, gaps=())).narrow(text)
            schema = self._joined(schema, found, line)
        if not len(schema):
            raise DataError(f"{self.path} is empty; a table has an object on each line.")

        def blocks() -> Iterator[pa.RecordBatch]:
            for line, block in self._blocks():
                table = self._parsed(block, line, schema)
                for name, text in _texts(table):
                    where = table.schema.get_field_index(name)
                    table = table.set_column(where, name, texts[name].read(text))
                yield from table.to_batches()

        return _with_times(schema, texts), blocks

    def _open(self) -> BinaryIO:
        packed = self.path.suffix.lower() == ".gz"
        return cast("BinaryIO", gzip.open(self.path) if packed else open(self.path, "rb"))

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, about a BLOCK at a time, with the number of the first one."""
        number = 1
        try:
            with (
                gzip.open(self.path) if self.path.suffix == ".gz" else open(self.path, "rb") as file
            ):
                while block := file.read(BLOCK):
                    block += file.readline()
                    if block.strip():
                        yield number, block
                    number += block.count(b"\n")
        except (OSError, EOFError) as error:
            raise DataError(f"{self.path} cannot be read: {error}.") from error

    def _parsed(self, block: bytes, line: int, schema: pa.Schema | None) -> pa.Table:
        try:
            return arrow_json.read_json(
                io.BytesIO(block),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=arrow_json.ParseOptions(explicit_schema=schema),
            )
        except pa.ArrowInvalid as error:
            raise DataError(self._explained(block, line, error)) from error

    def _expect_utf8(self, block: bytes, line: int) -> None:
        try:
            block.decode()
        except UnicodeDecodeError as error:
            number = line + block.count(b"\n", 0, error.start)
            raise DataError(
                f"{self.path}, line {number}: the byte 0x{block[error.start]:02X} is not UTF-8. "
                "JSON is always UTF-8; save the file as that."
            ) from error

    def _joined(self, known: pa.Schema, found: pa.Schema, line: int) -> pa.Schema:
        """The types of the blocks before and of this one, put together."""
        fields = {field.name: field.type for field in known}
        for field in found:
            before = fields.get(field.name, pa.null())
            fields[field.name] = _common(before, field.type)
            if fields[field.name] is None:
                raise DataError(
                    f"{self.path}: {field.name!r} is {before} before line {line} and {field.type} "
                    "after it; make it one type."
                )
        return pa.schema(list(fields.items()))

    def _explained(self, block: bytes, first: int, error: Exception) -> str:
        """Which line is wrong, found by reading them one by one."""
        kinds: dict[str, tuple[str, int]] = {}
        for number, line in enumerate(block.split(b"\n"), start=first):
            where = f"{self.path}, line {number}"
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError as wrong:
                return (
                    f"{where}: {wrong}: {line[:120].decode()!r}. Each line must be one JSON object."
                )
            if not isinstance(row, dict):
                return f"{where}: expected an object, got {line[:120].decode()!r}."
            for name, value in row.items():
                kind = _kind(value)
                before, since = kinds.setdefault(name, (kind, number)) if kind else (kind, number)
                if kind != before:
                    return (
                        f"{where}: {name!r} is {kind} here, but {before} in line {since}; make it "
                        "one type."
                    )
        return f"{self.path}: {str(error).splitlines()[0]:.200}."


def _times_as_text(schema: pa.Schema) -> pa.Schema:
    """Arrow takes some times for times, and loses their zone; they are read here, as text."""
    kinds = {
        field.name: pa.string() if pa.types.is_timestamp(field.type) else field.type
        for field in schema
    }
    return pa.schema(list(kinds.items()))


def _texts(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.type == pa.string():
            yield name, pa.concat_arrays(column.chunks)


def _with_times(schema: pa.Schema, texts: dict[str, TextColumn]) -> pa.Schema:
    for name, text in texts.items():
        kind = text.read(pa.array([], pa.string())).type
        schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
    return schema


def _common(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The type that holds what both hold, or None."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    numbers = (pa.int64(), pa.float64())
    if a in numbers and b in numbers:
        return pa.float64()
    return None


def _kind(value: object) -> str | None:
    """What a JSON value is, in words; None for null."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text"}
    return None if value is None else names.get(type(value), "a list or object")
