"""Series as they come in: files, frames and arrays -> named series of stamped steps.

    .csv .tsv .jsonl .parquet …  a table (see `variate.reading.files`): a row is a step of a series
    pandas, polars, pyarrow      the same; a pandas index of times is the time column
    array [T] or [T, C]          one series
    a list of such arrays        several
    .npy                         an array

In a table, one column may hold the time (found by its type, or named), one may name the series that
a row belongs to, and the others are channels: numbers, of which missing ones are gaps. Rows keep
the number that they have in the data, counted from 0, so that every message can name one.

This module does not know how far apart the steps are (see `clock`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from variate.errors import DataError, DataWarning, MissingExtraError, SchemaError
from variate.reading import files

__all__ = ["SUFFIXES", "Columns", "Recording", "Recordings", "give_back", "read"]

SUFFIXES = (*files.SUFFIXES, ".npy")
FEW, HALF = 10, 0.5  # steps, and the share of them, from which a channel is taken for a clock

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """Which columns are what.

    Attributes:
        time: The column of stamps; None finds one by its type.
        series: The column that names the series; None where there is one series.
        channels: The columns to model; None for all others.
    """

    time: str | None = None
    series: str | None = None
    channels: Sequence[str] | None = None


@dataclass(frozen=True)
class Recording:
    """One series as it came in.

    Attributes:
        name: What the series is called; None where there is but one.
        values: `[T, C]`, NaN where nothing was observed.
        stamps: The time of each step in ticks, `[T]`, or None.
        rows: The row of the data that each step is, `[T]`.
    """

    name: Any
    values: Floats
    stamps: NDArray[Any] | None
    rows: Whole


@dataclass(frozen=True)
class Recordings:
    """All series of some data.

    Attributes:
        series: The series.
        channels: The names of the channels.
        whole: Which channels hold whole numbers by their type.
        source: "array", "arrays", "pandas", "polars" or "pyarrow".
        time: The name of the time column, or None.
        time_type: Its Arrow type, as text.
        key: The name of the column that names the series, or None.
    """

    series: tuple[Recording, ...]
    channels: tuple[str, ...]
    whole: tuple[bool, ...]
    source: str
    time: str | None = None
    time_type: str = ""
    key: str | None = None


def read(raw: Any, columns: Columns) -> Recordings:
    """The series in a path, a frame or arrays.

    Raises:
        DataError: The data is no series, or a channel holds no finite numbers; the message names
            file, column and row.
        SchemaError: A column that was named is not there.
    """
    if isinstance(raw, str | Path):
        try:
            opened = _open(Path(raw))
            return _of_arrays(opened) if isinstance(opened, np.ndarray) else _table(opened, columns)
        except DataError as error:
            if str(raw) in str(error):
                raise
            raise type(error)(f"{raw}: {error}") from error
    if isinstance(raw, Tensor):
        raw = raw.detach().cpu().numpy()
    if isinstance(raw, np.ndarray | list | tuple):
        return _of_arrays(raw)
    return _table(raw, columns)


def give_back(table: pa.Table, source: str) -> Any:
    """A table in the type that the data came in; a pyarrow table where that was no frame.

    Raises:
        MissingExtraError: The caller's library is not installed here.
    """
    if source not in ("pandas", "polars"):
        return table
    try:
        return nw.to_native(
            nw.from_arrow(table, backend="pandas" if source == "pandas" else "polars")
        )
    except ImportError as error:
        raise MissingExtraError(f"data that came from {source}", source, "table") from error


# -- files and frames ---------------------------------------------------------------------------


def _open(path: Path) -> Any:
    """A table or an array from a file."""
    if path.name.lower().endswith(".npy"):
        return _loaded(path)
    if path.exists() and not path.is_dir() and files.suffix_of(path) is None:
        raise DataError(
            f"{path}: the ending does not say how the series is written; variate reads series "
            f"from {', '.join(SUFFIXES)}, and folders of .parquet files."
        )
    return files.read(path)


def _loaded(path: Path) -> NDArray[Any]:
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        brief = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise DataError(f"{path} cannot be read, is empty or damaged: {brief}.") from error
    return found


def _table(raw: Any, columns: Columns) -> Recordings:
    table, source = _arrow(raw)
    names = table.column_names
    time = columns.time if columns.time is not None else _time_column(table)
    _expect_columns(table, columns)
    if not table.num_rows:
        raise DataError("there are columns, but no rows: a series needs at least two steps.")
    apart = (time, columns.series)
    channels = list(columns.channels or [name for name in names if name not in apart])
    if not channels:
        raise DataError("there is no channel: beside time and series, no column is left to model.")
    values = np.stack([_numbers(table.column(name), name) for name in channels], axis=1)
    stamps = None if time is None else _stamps(table.column(time), time)
    series = _parted(table, columns.series, values, stamps)
    if time is None and columns.channels is None:
        _mention_counters(series, channels)
    return Recordings(
        tuple(series),
        tuple(channels),
        tuple(pa.types.is_integer(table.schema.field(name).type) for name in channels),
        source,
        time,
        "" if time is None else str(table.schema.field(time).type),
        columns.series,
    )


def _arrow(raw: Any) -> tuple[pa.Table, str]:
    """A frame of any library as a pyarrow table, and the library."""
    try:
        frame = nw.from_native(raw, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(
            f"column names are used more than once; rename them. {' '.join(str(error).split())}"
        ) from None
    if isinstance(frame, nw.Series):
        frame = frame.rename(frame.name or "value").to_frame()
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        raise DataError(
            f"a {type(raw).__name__} is no series. Give a pandas, polars or pyarrow frame, an "
            "array of steps (and channels), a list of arrays, or the path of a file."
        )
    if not frame.implementation.is_pandas():
        return frame.to_arrow(), "polars" if frame.implementation.is_polars() else "pyarrow"
    native = nw.to_native(frame)
    if native.index.dtype.kind == "M":  # the habit of pandas: time is the index
        native = native.rename_axis(native.index.name or "time").reset_index()
    native = native.rename(columns=str)
    try:
        return pa.Table.from_pandas(native, preserve_index=False), "pandas"
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"the frame cannot be read: {str(error).splitlines()[0]:.200}.") from error


def _time_column(table: pa.Table) -> str | None:
    found = [field.name for field in table.schema if _is_time(field.type)]
    if len(found) > 1:
        raise DataError(
            f"the columns {', '.join(map(repr, found))} all hold times; say which is the time of "
            "the steps: time='NAME', and leave the others out by channels=[...]."
        )
    return found[0] if found else None


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _expect_columns(table: pa.Table, columns: Columns) -> None:
    named = [columns.time, columns.series, *(columns.channels or ())]
    if missing := [name for name in named if name is not None and name not in table.column_names]:
        raise SchemaError(
            f"there is no column {missing[0]!r}; there is: {', '.join(table.column_names)}."
        )


def _numbers(column: pa.ChunkedArray, name: str) -> Floats:
    """A channel as float64, NaN where nothing is known."""
    kind = column.type
    plain = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if not (plain or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise DataError(
            f"column {name!r} holds {_called(kind)}, not numbers: a channel must be numeric. If it "
            f"names the series that a row belongs to, say series={name!r}; if it is the time, "
            f"time={name!r}; else leave it out by channels=[...]."
        )
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    values = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    _expect_finite(values, np.arange(len(values)), name)
    return values


def _called(kind: pa.DataType) -> str:
    """A type, for people."""
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return "text" if text else str(kind)


def _stamps(column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    """The times as ticks, microseconds or whole numbers as they are; float64 if they are real."""
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(
            f"column {name!r}, row {row} (counted from 0): there is no time. Fill it in, or leave "
            f"the row out ({column.null_count:,} rows have none)."
        )
    kind = column.type
    if pa.types.is_floating(kind):
        times: NDArray[Any] = column.cast(pa.float64()).to_numpy()
        _expect_finite(times, np.arange(len(times)), name, gaps=False)
        return times
    if not (_is_time(kind) or pa.types.is_integer(kind)):
        raise DataError(
            f"column {name!r} holds {_called(kind)}, not times: write them as 2024-05-01 12:30:00, "
            "or as numbers."
        )
    if _is_time(kind):  # whatever the unit, and the zone
        column = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
    ticks: NDArray[Any] = column.cast(pa.int64()).to_numpy()
    return ticks


def _parted(
    table: pa.Table, key: str | None, values: Floats, stamps: NDArray[Any] | None
) -> list[Recording]:
    """The rows of each series, in order of the first row of each."""
    rows = np.arange(len(values))
    if key is None:
        return [Recording(None, values, stamps, rows)]
    names = table.column(key).to_pylist()
    places: dict[Any, list[int]] = {}
    for row, name in enumerate(names):
        if name is None:
            raise DataError(f"column {key!r}, row {row} (counted from 0): no series is named.")
        places.setdefault(name, []).append(row)
    parts = {name: np.array(found) for name, found in places.items()}
    return [
        Recording(name, values[at], None if stamps is None else stamps[at], at)
        for name, at in parts.items()
    ]


def _mention_counters(series: Sequence[Recording], channels: Sequence[str]) -> None:
    """Say which channels rise as the seconds of a clock do: they are seldom meant as channels."""
    for c, name in enumerate(channels):
        rises = np.concatenate([np.diff(part.values[:, c]) for part in series])
        if len(rises) >= FEW and (rises > 0).all() and _alike(rises) > HALF:
            warnings.warn(
                f"the channel {name!r} rises at every step, mostly by the same, as a time does. If "
                f"it is the time, say time={name!r} (--time {name}); if it is to be modelled, name "
                "all channels: channels=[...].",
                DataWarning,
                stacklevel=4,
            )


def _alike(rises: Floats) -> float:
    return float(np.isclose(rises, np.median(rises), rtol=1e-6, atol=0.0).mean())


# -- arrays -------------------------------------------------------------------------------------


def _of_arrays(raw: Any) -> Recordings:
    several = isinstance(raw, list | tuple) and bool(raw) and np.ndim(raw[0]) > 0
    parts = [_array(part) for part in (raw if several else [raw])]
    widths = {part.shape[1] for part in parts}
    if len(widths) > 1:
        raise DataError(
            f"the series have {' and '.join(map(str, sorted(widths)))} channels; all must have "
            "the same."
        )
    channels = tuple(f"x{c}" for c in range(widths.pop()))
    made = []
    for i, part in enumerate(parts):
        values = part.astype(np.float64)
        rows = np.arange(len(part))
        for c, name in enumerate(channels):
            where = f"series {i}, channel {name}" if several else f"channel {name}"
            _expect_finite(values[:, c], rows, where, kind="")
        made.append(Recording(i if several else None, values, None, rows))
    whole = all(part.dtype.kind in "iub" for part in parts)
    source = "arrays" if several else "array"
    return Recordings(tuple(made), channels, (whole,) * len(channels), source)


def _array(part: Any) -> NDArray[Any]:
    try:
        array = np.asarray(part.detach().cpu() if isinstance(part, Tensor) else part)
    except ValueError as error:
        raise DataError(f"this is no array of steps: {error}.") from None
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"an array of {array.dtype} is no series: a channel must be numeric, with NaN for gaps."
        )
    if array.ndim not in (1, 2):
        raise DataError(
            f"a series is an array [T] or [T, C], steps and channels; this one has the shape "
            f"{array.shape}. Give several series as a list of arrays."
        )
    array = array[:, None] if array.ndim == 1 else array
    if not array.shape[0] or not array.shape[1]:
        raise DataError("the array is empty: a series needs at least two steps.")
    return array


def _expect_finite(
    values: Floats, rows: Whole, name: str, *, kind: str = "column ", gaps: bool = True
) -> None:
    bad = np.isinf(values) if gaps else ~np.isfinite(values)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        shown = repr(name) if kind else name
        raise DataError(
            f"{kind}{shown}, row {int(rows[at])} (counted from 0): the value {values[at]:g} is not "
            f"finite, as are {int(bad.sum()):,} in all. Repair them, or make them gaps (NaN)."
        )
