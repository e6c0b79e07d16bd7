"""Comma-separated files: what is in them, and in which line something is wrong.

A file is read twice. The first pass finds the type of each column from *all* of its rows (see
`texts`): a column that is whole numbers for the first million rows and has a fraction later is a
column of reals. The second pass converts. Both go block by block.

An empty field is missing; "" in quotes is empty text in a text column. In a column of another type
NA, N/A, NaN, null, None and the like are missing too; in a text column they are text.

This module does not know schemas of models: a type here is only how a file is read.
"""

import codecs
import csv
import gzip
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa
from pyarrow import csv as arrow_csv

from variate.errors import DataError
from variate.reading.texts import TextColumn

__all__ = ["Delimited"]

BLOCK = 16 * 2**20  # bytes of text at once; no record may be larger


@dataclass(frozen=True)
class Delimited:
    """A comma-separated file, whose header was read.

    Attributes:
        path: Where it is; gzip if it ends in .gz.
        delimiter: What parts the fields.
        encoding: How its text is written.
        names: The columns.
    """

    path: Path
    delimiter: str
    encoding: str
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, encoding: str | None) -> "Delimited":
        """Read the header.

        Raises:
            DataError: The file is empty, cannot be read, or a name comes twice.
        """
        head, encoding = _head(path, encoding)
        first = head.lstrip("\r\n").split("\n", 1)[0]
        if not first.strip():
            raise DataError(f"{path} is empty; a table has a line of column names and rows.")
        delimiter = "\t" if ".tsv" in path.name.lower() else ","
        if delimiter not in first:
            delimiter = next((mark for mark in ";\t|" if mark in first), delimiter)
        names = next(csv.reader(io.StringIO(head.lstrip("\r\n"), newline=""), delimiter=delimiter))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"{path}, line 1: the column names {', '.join(map(repr, twice))} are used more "
                "than once; rename the columns so that each name is used once."
            )
        return cls(path, delimiter, encoding, tuple(names))

    def columns(self) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
        """The types of the columns, from all rows, and a function that reads the rows in blocks.

        Raises:
            DataError: There are no rows, or one is broken; the message names the line.
        """
        columns = [TextColumn() for _ in self.names]
        rows = 0
        last: pa.RecordBatch | None = None
        for block in self._text():
            rows += block.num_rows
            last = block
            for column, text in zip(columns, block.columns, strict=True):
                column.narrow(text)
        if last is None or not rows:
            raise DataError(f"{self.path} has a header, but no rows; add rows below line 1.")
        self._expect_closed(last)

        def blocks() -> Iterator[pa.RecordBatch]:
            for block in self._text():
                yield self._typed(block, columns)

        schema = self._typed(last.slice(0, 0), columns).schema
        return schema, blocks

    def texts(self) -> pa.Table:
        """All rows, every field as it is written.

        Raises:
            DataError: There are no rows, or one is broken; the message names the line.
        """
        blocks = list(self._text())
        if not sum(block.num_rows for block in blocks):
            raise DataError(f"{self.path} has a header, but no rows; add rows below line 1.")
        self._expect_closed(blocks[-1])
        return pa.Table.from_batches(blocks)

    def _typed(self, block: pa.RecordBatch, columns: list[TextColumn]) -> pa.RecordBatch:
        read = [column.read(text) for column, text in zip(columns, block.columns, strict=True)]
        return pa.RecordBatch.from_arrays(read, names=list(self.names))

    def _text(self) -> Iterator[pa.RecordBatch]:
        """The rows in blocks, every field as text or null."""
        broken: list[arrow_csv.InvalidRow] = []

        def remember(row: arrow_csv.InvalidRow) -> str:
            broken.append(row)
            return "error"

        try:
            with pa.input_stream(str(self.path), compression=_compression(self.path)) as source:
                yield from arrow_csv.open_csv(
                    source,
                    read_options=arrow_csv.ReadOptions(
                        use_threads=False, block_size=BLOCK, encoding=self.encoding
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self.delimiter,
                        newlines_in_values=True,
                        ignore_empty_lines=len(self.names) > 1,
                        invalid_row_handler=remember,
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.names, pa.large_string()),
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
        except UnicodeError as error:
            raise DataError(_wrong_encoding(self.path, self.encoding)) from error
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(self._explained(error, broken)) from error

    def _explained(self, error: Exception, broken: list[arrow_csv.InvalidRow]) -> str:
        """What is wrong with the file, and where."""
        message = str(error)
        if broken:
            row = broken[0]
            first = "".join(row.text.splitlines()[:1])
            line = self._line_where(lambda line: line == first)
            return (
                f"{self.path}, line {line}: expected {row.expected_columns} columns, "
                f"got {row.actual_columns}: {row.text[:120]!r}. Correct the line; a field that "
                f"holds {self.delimiter!r} or a line break must be in double quotes."
            )
        if "UTF8" in message:
            return _wrong_encoding(self.path, self.encoding)
        if "straddling" in message:
            return (
                f"{self.path}: a record is longer than {BLOCK // 2**20} MiB; probably a double "
                "quote that opens a field is never closed."
            )
        if "Empty CSV" in message or "cannot infer number of columns" in message:
            return f"{self.path} has a header, but no rows; add rows below line 1."
        return f"{self.path} cannot be read: {message.splitlines()[0]:.200}."

    def _line_where(self, condition: Callable[[str], bool]) -> int | str:
        """The number of the first line that meets a condition."""
        with _open_text(self.path, self.encoding) as file:
            for number, line in enumerate(file, start=1):
                if condition(line.rstrip("\r\n")):
                    return number
        return "unknown"

    def _expect_closed(self, last: pa.RecordBatch) -> None:
        """A quote that is never closed swallows the rest of the file as one field."""
        field = last.column(last.num_columns - 1)[-1].as_py()
        if field is None or "\n" not in field:
            return
        with _open_binary(self.path) as file:
            end = b""
            while block := file.read(BLOCK):
                end = (end + block)[-256:]
        if not end.decode(self.encoding, errors="replace").rstrip("\r\n").endswith('"'):
            opened = '"' + field.splitlines()[0]
            number = self._line_where(lambda line: line.endswith(opened))
            raise DataError(
                f"{self.path}, line {number}: {opened[:60]!r} opens a field that is never closed. "
                "Close it, or write a quote within a field as two."
            )


def _compression(path: Path) -> str | None:
    return "gzip" if path.suffix.lower() == ".gz" else None


def _open_binary(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb") if _compression(path) else open(path, "rb"))


def _open_text(path: Path, encoding: str) -> IO[str]:
    return io.TextIOWrapper(_open_binary(path), encoding=encoding, errors="replace", newline="\n")


def _head(path: Path, encoding: str | None) -> tuple[str, str]:
    """The beginning of the file as text, and the encoding: as given, by its mark, or UTF-8."""
    try:
        with _open_binary(path) as file:
            start = file.read(2**20)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if encoding is None:
        marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if marked else "utf-8"
    try:
        decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
        return decoder.decode(start), encoding
    except LookupError as error:
        raise DataError(f"{path}: there is no encoding {encoding!r}.") from error
    except UnicodeError as error:
        raise DataError(_wrong_encoding(path, encoding)) from error


def _wrong_encoding(path: Path, encoding: str) -> str:
    """Where the bytes stop to be text."""
    advice = (
        "Save it as UTF-8, or give a frame: pandas.read_csv(path, encoding='latin-1') in Python, "
        "'cp1252' of many files from Windows."
    )
    if encoding.lower().replace("-", "") not in ("utf8", "utf8sig", "ascii"):
        return f"{path} is not written in {encoding}. {advice}"
    with _open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return (
                    f"{path}, line {number}: the byte 0x{line[error.start]:02X} at position "
                    f"{error.start + 1} is not {encoding.upper()}. {advice}"
                )
    return f"{path} is not written in {encoding}. {advice}"
