"""Pictures in files: a folder of them, one file, a Parquet column of encoded ones, Pillow's own.

They are gone through twice, in parts. First the headers are read, which says what all of them can
be made into (see `shape_of`); then the pixels are decoded in parallel threads, which Pillow's
decoders allow, into one array; if it is large, that lies on the disk. What cannot be read is left
out, and told of.

This module does not know arrays, nor how a picture is decoded.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from variate.errors import DataError, DataWarning, OptionError
from variate.image.decoding import Form, Header, decode, look
from variate.progress import tally

__all__ = ["SUFFIXES", "Decoded", "Shelf", "decoded", "encoded_column", "shape_of", "shelf"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
DEFAULT_SIDE = 64
LARGEST_SIDE, SMALLEST_SIDE = 128, 8  # of pictures that are all of one size, to be kept so
LARGE = 1 << 30  # bytes that are decoded to memory; more goes to the disk
PART = 512  # pictures at a time
NAMED = 5  # of those that are left out

Source = Any  # a path, bytes, or a picture of Pillow's


class Shelf(NamedTuple):
    """Pictures that are still encoded.

    Attributes:
        parts: Goes through them, in parts: pairs of a name and a source.
        place: Where they are, for messages.
    """

    parts: Callable[[], Iterator[list[tuple[str, Source]]]]
    place: str


@dataclass
class Decoded:
    """Pictures that were decoded, and those that were left out.

    Attributes:
        pixels: `[N, C, H, W]`, uint8 or uint16.
        names: Of the pictures, in order.
        refused: Why a picture was left out, by its name.
        animated: How many are animations, of which the first frame was taken.
        cut: How many were cropped or resized.
    """

    pixels: NDArray[Any]
    names: list[str]
    refused: dict[str, str] = field(default_factory=dict)
    animated: int = 0
    cut: int = 0

    def notes(self) -> dict[str, Any]:
        """What is worth remembering, as JSON-able values."""
        return {
            "skipped": len(self.refused),
            "skipped_because": dict(Counter(self.refused.values())),
            "skipped_first": list(self.refused)[:NAMED],
            "animations": self.animated,
            "resized": self.cut,
        }


# -- where pictures are ---------------------------------------------------------------------------


def shelf(raw: Any) -> Shelf:
    """The pictures of a folder, of a file, of a Parquet file or of a list.

    Raises:
        DataError: There are none.
    """
    if not isinstance(raw, str | Path):
        images = [(f"picture {i}", image) for i, image in enumerate(raw)]
        return Shelf(lambda: _in_parts(images), "the list")
    path = Path(raw)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    return Shelf(lambda: iter([[(path.name, path)]]), str(path))


def encoded_column(schema: pa.Schema) -> str | None:
    """The first column that may hold encoded pictures: bytes, or a record with a field `bytes`."""
    for column in schema:
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return str(column.name)
    for column in schema:
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            return str(column.name)
    return None


def _in_parts(items: Sequence[tuple[str, Source]]) -> Iterator[list[tuple[str, Source]]]:
    for start in range(0, len(items), PART):
        yield list(items[start : start + PART])


def _folder(path: Path) -> Shelf:
    found = sorted(
        (entry.relative_to(path).as_posix(), entry)
        for entry in path.rglob("*")
        if entry.suffix.lower() in SUFFIXES
        and entry.is_file()
        and not any(part.startswith((".", "__MACOSX")) for part in entry.relative_to(path).parts)
    )
    if not found:
        others = sorted({e.suffix.lower() or e.name for e in path.rglob("*") if e.is_file()})
        holds = f"it holds {', '.join(others[:5])}" if others else "it is empty"
        raise DataError(
            f"{path} has no pictures: {holds}. Pictures end in {', '.join(SUFFIXES)}; folders "
            "within it are searched too."
        )
    return Shelf(lambda: _in_parts(found), str(path))


def _parquet(path: Path) -> Shelf:
    try:
        with pq.ParquetFile(path) as file:
            column, rows = encoded_column(file.schema_arrow), file.metadata.num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}.") from error
    if column is None or rows == 0:
        found = "no rows" if column else "no column of bytes"
        raise DataError(
            f"{path} has {found}; pictures in Parquet are a column of encoded bytes, or of records "
            "with a field 'bytes'."
        )
    return Shelf(partial(_parquet_parts, path, column), str(path))


def _parquet_parts(path: Path, column: str) -> Iterator[list[tuple[str, Source]]]:
    row = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=PART // 4, columns=[column]):
            part: list[tuple[str, Source]] = []
            for value in batch.column(0).to_pylist():
                content = value.get("bytes") if isinstance(value, dict) else value
                part.append((f"row {row}", content or b""))
                row += 1
            yield part


# -- what they are made into ----------------------------------------------------------------------


def shape_of(headers: Sequence[Header], size: tuple[int, int] | None, channels: int | None) -> Form:
    """What pictures are made into, for what is not asked for.

    Their own size if all have the same, of 8 to 128 pixels a side, else 64 x 64; one channel if
    none has colour, else three; 16 bits if all have them.
    """
    sizes = {header.size for header in headers}
    if size is None:
        only = next(iter(sizes))
        kept = len(sizes) == 1 and all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in only)
        size = only if kept else (DEFAULT_SIDE, DEFAULT_SIDE)
    if channels is None:
        channels = 1 if all(header.grey for header in headers) else 3
    return Form(size, channels, all(header.deep for header in headers))


def decoded(
    pictures: Shelf,
    form: Form | None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    scratch: Path | None = None,
    show: bool = False,
) -> Decoded:
    """Pictures as one array.

    Args:
        pictures: Where they are.
        form: What they are made into, or None to have it chosen.
        size: Where it is chosen: the height and the width, or None.
        channels: Where it is chosen: the channels, or None.
        scratch: A folder for what is large; None keeps all in memory.
        show: Whether to show progress.

    Raises:
        DataError: None of them can be read.
    """
    with _threads() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of bombs and damaged EXIF: see `decoding`
        headers, refused = _headers(pictures, pool)
        if not headers:
            raise DataError(_none_left(pictures.place, refused))
        form = shape_of(headers, size, channels) if form is None else form
        made = Decoded(_room(len(headers), form, scratch), [], refused)
        made.animated = sum(header.frames > 1 for header in headers)
        made.cut = sum(header.size != form.size for header in headers)
        _fill(made, pictures, form, pool, show=show)
    if not made.names:
        raise DataError(_none_left(pictures.place, refused))
    if refused:
        warnings.warn(_told(pictures.place, made), DataWarning, stacklevel=2)
    return made


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1), "variate-pictures")


def _headers(pictures: Shelf, pool: ThreadPoolExecutor) -> tuple[list[Header], dict[str, str]]:
    headers: list[Header] = []
    refused: dict[str, str] = {}
    for part in pictures.parts():
        for (name, _), found in zip(part, pool.map(_tried(look), part), strict=True):
            if isinstance(found, Header):
                headers.append(found)
            else:
                refused[name] = found
    return headers, refused


def _fill(
    made: Decoded, pictures: Shelf, form: Form, pool: ThreadPoolExecutor, *, show: bool
) -> None:
    """Decode all pictures that have a header into the array, which is cut to those that came."""
    with tally("pictures decoded", show=show) as more:
        for part in pictures.parts():
            good = [item for item in part if item[0] not in made.refused]
            tried = pool.map(_tried(partial(decode, form=form)), good)
            for (name, _), found in zip(good, tried, strict=True):
                if isinstance(found, str):
                    made.refused[name] = found
                    continue
                made.pixels[len(made.names)] = found.transpose(2, 0, 1)
                made.names.append(name)
            more(len(good))
    made.pixels = made.pixels[: len(made.names)]


def _tried(function: Callable[[Any], Any]) -> Callable[[tuple[str, Source]], Any]:
    """The same, of a named source, that gives back the reason where it fails."""

    def attempt(item: tuple[str, Source]) -> Any:
        try:
            return function(item[1])
        except DataError as error:
            return str(error)

    return attempt


def _room(count: int, form: Form, scratch: Path | None) -> NDArray[Any]:
    shape = (count, form.channels, *form.size)
    kind = np.dtype(np.uint16 if form.deep else np.uint8)
    if scratch is None or int(np.prod(shape)) * kind.itemsize <= LARGE:
        try:
            return np.empty(shape, kind)
        except MemoryError as error:
            raise OptionError(
                f"{count:,} pictures of {form.size[0]} x {form.size[1]} do not fit into memory; "
                "make them smaller with size=, or give fewer at a time."
            ) from error
    return np.memmap(scratch / "pixels", kind, "w+", shape=shape)


def _none_left(place: str, refused: dict[str, str]) -> str:
    name, reason = next(iter(refused.items()), ("", "there are none"))
    first = f"{name}: {reason}" if name else reason
    return f"{place} has no picture that can be read. The first of {len(refused):,}: {first}."


def _told(place: str, made: Decoded) -> str:
    refused = made.refused
    total = len(refused) + len(made.names)
    first = "; ".join(f"{name}: {reason}" for name, reason in list(refused.items())[:NAMED])
    more = f"; and {len(refused) - NAMED:,} more" if len(refused) > NAMED else ""
    return f"{place}: {len(refused):,} of {total:,} pictures are left out. {first}{more}."
