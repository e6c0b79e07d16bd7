r"""What people have of text -> a list of sentences, each with the place it came from.

    .txt (.gz)                    a line an item; empty lines are none
    a folder of .txt (.gz)        its files in the order of their names, a line an item; no hidden
    .csv .jsonl .parquet …        a column, which must be named unless there is only one of text
    a frame                       the same
    a list, an array, a series    of str

Text is Unicode, and nothing is done to it: what `decode` gives back is what was given, to the last
byte. Lines end in \n or \r\n and nowhere else. A file that is not UTF-8 is an error that says
where; UTF-16 is read where its mark says so.

This module does not know any token.
"""

import gzip
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from variate.errors import DataError, DataWarning
from variate.reading import files

__all__ = [
    "SUFFIXES",
    "Texts",
    "are_numbers",
    "expect_labels",
    "is_text",
    "name_of",
    "read",
]

SUFFIXES = (".txt", ".txt.gz")
MARKS = {  # the longer ones first: that of UTF-32 begins as one of UTF-16
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig",
}  # fmt: skip
TRIED = 1000  # values of a column that are looked at to see whether it holds text


@dataclass(frozen=True)
class Texts:
    """Sentences that were read.

    Attributes:
        items: The sentences.
        origin: What they were read from, for messages; "" for what was in memory.
        places: Where each was: a line or row number, counted as its source counts.
        notes: What is to be remembered: `empty_lines`, `files` and `other_files` (which are not
            .txt, and not read), where there were any.
        labels: What each is labelled with, as text; () where nothing is.
    """

    items: Sequence[str]
    origin: str = ""
    places: Sequence[str] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    labels: Sequence[str | None] = ()

    def place(self, number: int) -> str:
        """Where an item was, in words."""
        if not self.places:
            return f"item {number} (counted from 0)"
        return f"{self.origin}, {self.places[number]}"

    def part(self, numbers: Sequence[int]) -> "Texts":
        """Some of the sentences."""
        places = [self.places[n] for n in numbers] if self.places else ()
        labels = [self.labels[n] for n in numbers] if self.labels else ()
        return Texts([self.items[n] for n in numbers], self.origin, places, labels=labels)

    def labelled(self, labels: Any) -> "Texts":
        """The same sentences with a label each; None (NaN, NA) is no label.

        Raises:
            DataError: There are not as many labels as sentences.
        """
        given = list(labels)
        if len(given) != len(self.items):
            raise DataError(
                f"there are {len(given):,} labels for {len(self.items):,} sentences; give one for "
                "each (None where it is not known)."
            )
        return replace(self, labels=[None if _is_missing(x) else name_of(x) for x in given])

    def rows(self) -> list[int]:
        """Which rows of their table the sentences were, from 0."""
        return [int(place.removeprefix("row ")) - 1 for place in self.places]


def is_text(data: Any) -> bool:
    """Whether data are sentences, as far as can be told from outside.

    Args:
        data: A path (text by its ending; a folder with .txt files), or anything else (a list,
            an array or a series whose items are str).
    """
    if isinstance(data, str | Path):
        path = Path(data)
        if not files.exists(data):
            return _is_lines(path)
        if path.is_dir():
            tables = any(files.suffix_of(entry) for entry in path.rglob("*"))
            return not tables and any(map(_is_lines, path.rglob("*")))
        return _is_lines(path)
    if isinstance(data, list | tuple):
        return bool(data) and isinstance(data[0], str)
    if getattr(data, "ndim", 0) == 1 and hasattr(data, "__len__") and len(data):
        return isinstance(np.asarray(data)[0], str)
    return False


def read(raw: Any, column: str | None = None, label: str | None = None) -> Texts:
    """Sentences from raw data.

    Args:
        raw: A path, a frame, or a list, array or series of str.
        column: Of a table: which one holds the text.
        label: Of a table: which one holds labels, if it is there.

    Raises:
        DataError: There are none, or they cannot be read; the message says where and why.
    """
    if isinstance(raw, Texts):
        return raw
    if isinstance(raw, str | Path):
        return _from_path(raw, column, label)
    frame = nw.from_native(raw, pass_through=True)
    if isinstance(frame, nw.DataFrame | nw.LazyFrame):
        whole = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        return _checked(_from_table(whole.to_arrow(), "the frame", column, label))
    if isinstance(raw, Mapping):
        raise DataError(
            "a mapping is no list of sentences; give one of its values, or a frame and column=."
        )
    try:
        items = raw.to_pylist() if hasattr(raw, "to_pylist") else list(raw)  # pyarrow's arrays
    except TypeError:
        raise DataError(
            f"text is a path, or a list of str, got {type(raw).__name__}; give one of these."
        ) from None
    for number, item in enumerate(items):
        if not isinstance(item, str):
            raise DataError(
                f"item {number} (counted from 0) is {item!r:.60}, and not text; leave it out, or "
                "make it text (str)."
            )
    return _checked(Texts(items))


def name_of(label: Any) -> str:
    """A label in words: 3.0 is 3, since a gap among whole numbers makes them floating ones."""
    whole = isinstance(label, float | np.floating) and float(label).is_integer()
    return str(int(label)) if whole else str(label)


def _from_path(given: str | Path, column: str | None, label: str | None) -> Texts:
    if not files.exists(given):
        raise DataError(
            f"{str(given)!r:.120} does not exist. A path is wanted here; sentences go in a list."
        )
    path = Path(given)
    if path.is_dir():
        return _from_folder(path)
    if _is_lines(path):
        items, places, empty = _lines(path)
        notes = {"empty_lines": empty} if empty else {}
        return _checked(Texts(items, str(path), places, notes))
    if files.suffix_of(path) is None:
        raise DataError(
            f"{path}: the ending does not say how the text is written; variate reads "
            f"{', '.join(SUFFIXES)} (a line an item), {', '.join(files.SUFFIXES)} (a column)."
        )
    return _checked(_from_table(files.read_untyped(path), str(path), column, label))


def expect_labels(texts: Texts, label: str | None) -> Texts:
    """The sentences, if they have the labels that are asked for.

    Raises:
        DataError: A column of labels is named, and there is none.
    """
    if label is None or texts.labels:
        return texts
    raise DataError(
        f"{texts.origin or 'the list'}: there is no column {label!r} of labels (label=, --label); "
        "name one that there is, or give the labels of a list to fit(X, labels)."
    )


def _is_lines(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _is_missing(value: Any) -> bool:
    """Whether a label is none: None, NaN, or what pandas has for it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _from_folder(folder: Path) -> Texts:
    there = [path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder)]
    parts = sorted(path for path in there if _is_lines(path))
    if not parts:
        raise DataError(f"the folder {folder} holds no .txt files (nor .txt.gz).")
    items: list[str] = []
    places: list[str] = []
    empty = 0
    for part in parts:
        found, where, blank = _lines(part)
        items += found
        places += [f"{part.relative_to(folder)}, {place}" for place in where]
        empty += blank
    notes = {"files": len(parts)} | ({"empty_lines": empty} if empty else {})
    notes |= {"other_files": len(there) - len(parts)} if len(there) > len(parts) else {}
    return _checked(Texts(items, str(folder), places, notes))


def _hidden(path: Path, folder: Path) -> bool:
    """Whether a file is one that nobody put there: macOS adds ._a.txt to a.txt, editors folders."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _lines(path: Path) -> tuple[list[str], list[str], int]:
    """The lines of a file that have something on them, their numbers, and how many have not."""
    try:
        content = gzip.decompress(path.read_bytes()) if _packed(path) else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    lines = list(enumerate(_decoded(content, path).split("\n"), start=1))
    kept = [(number, line.removesuffix("\r")) for number, line in lines]
    items = [(number, line) for number, line in kept if line.strip()]
    blank = len(lines) - len(items) - (not lines[-1][1])  # the last line ends in a line feed
    return [line for _, line in items], [f"line {number}" for number, _ in items], blank


def _packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _decoded(content: bytes, path: Path) -> str:
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"{path}, {_where(content, error.start)}"
        if encoding in ("utf-16", "utf-32"):
            raise DataError(
                f"{path}: its mark says {encoding.upper()}, which it is not from byte "
                f"{error.start + 1} on ({error.reason}); it is cut short, or another file."
            ) from error
        if b"\x00" in content:
            raise _binary(path, content) from error
        raise DataError(
            f"{where}: the byte 0x{content[error.start]:02X} is not UTF-8. If the text is in "
            "another encoding, convert the file: iconv -f WINDOWS-1252 -t UTF-8 (say)."
        ) from error
    if "\x00" in text:
        raise _binary(path, text.encode())
    return text


def _binary(path: Path, content: bytes) -> DataError:
    """What is said of a file with a zero byte."""
    return DataError(
        f"{path}, {_where(content, content.find(0))}: there is a zero byte, so this is no text "
        "file but a binary one (or UTF-16 without its mark); convert it to text first."
    )


def _where(content: bytes, place: int) -> str:
    """The line of a byte and its place there, both from 1."""
    line = content.count(b"\n", 0, place) + 1
    begin = content.rfind(b"\n", 0, place)
    return f"line {line}, byte {place - begin}"


def _from_table(table: Any, origin: str, column: str | None, label: str | None) -> Texts:
    columns = [name for name in _text_columns(table) if name != label]
    if column is None and len(columns) == 1:
        column = columns[0]
    if column is None or column not in table.column_names:
        asked = (
            "which column holds the text must be said"
            if column is None
            else (f"there is no column {column!r}")
        )
        raise DataError(
            f"{origin}: {asked} when a model is fitted: column='NAME' (variate fit --column NAME); "
            "or give a table with one column of text. There is: "
            f"{', '.join(map(repr, table.column_names))}."
        )
    items: list[str] = []
    places: list[str] = []
    kept: list[int] = []
    empty = 0
    for number, value in enumerate(table.column(column).to_pylist(), start=1):
        if value is None or (isinstance(value, str) and not value.strip()):
            empty += 1
            continue
        if not isinstance(value, str):
            raise DataError(
                f"{origin}, row {number}: {column!r} is {value!r:.60}, and not text; name a column "
                "of text."
            )
        items.append(value)
        places.append(f"row {number}")
        kept.append(number - 1)
    found = Texts(items, origin, places, {"empty_lines": empty} if empty else {})
    _mention_empty(found, column, table.num_rows)
    if label is None or label not in table.column_names:
        return found
    labels = table.column(label).to_pylist()
    return found.labelled([labels[i] for i in kept])


def _mention_empty(texts: Texts, column: str, rows: int) -> None:
    """Rows without text are no sentences: what is made of the others does not line up with rows."""
    if texts.items and len(texts.items) < rows:
        warnings.warn(
            f"{texts.origin}: {rows - len(texts.items):,} of {rows:,} rows have no text in "
            f"{column!r} and are left out; what comes of the others has {len(texts.items):,} "
            "items.",
            DataWarning,
            stacklevel=5,
        )


def _text_columns(table: Any) -> list[str]:
    return [name for name in table.column_names if _holds_text(table.column(name))]


def _holds_text(column: Any) -> bool:
    said = column.drop_null().slice(0, TRIED).to_pylist()
    return bool(said) and all(isinstance(value, str) for value in said) and not are_numbers(said)


def are_numbers(values: Sequence[str]) -> bool:
    """Whether all of some texts are numbers."""
    try:
        [float(value) for value in values]
    except ValueError:
        return False
    return True


def _checked(texts: Texts) -> Texts:
    if not texts.items:
        raise DataError(
            f"{texts.origin or 'the list'} is empty: there is no sentence in it (empty lines are "
            "none)."
        )
    for number, item in enumerate(texts.items):
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{texts.place(number)}: there is half of a surrogate pair, which no encoding can "
                "write; repair the text where it was decoded."
            ) from error
    return texts
