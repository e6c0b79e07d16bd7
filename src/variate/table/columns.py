"""One column: raw values to the x of the tensor, and back.

    numbers, dates and times   x = (v - origin) / ticks, on the grid where there is one
    categories, booleans       x = the position of v among the levels
    no value                   x = NaN

A number recorded to d decimals is the floating number nearest to k / 10^d, which is what division
gives; decoding therefore finds the very number that was read. Whole numbers and times are taken
apart and put together as integers.

This module does not know frames, nor how a schema was inferred.
"""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError, SchemaError
from variate.table import written
from variate.table.digits import to_digits
from variate.table.schema import ColumnSchema
from variate.table.storage import (
    TEMPORAL,
    LossyError,
    convert,
    family,
    parse_type,
    plain,
    scalar_array,
    stored,
)

__all__ = ["decode", "deviation", "encode", "on_scale", "snapped", "unseen"]

Floats = NDArray[np.float64]

FAR = 10.0  # how many times the range a value may lie beyond it without a word
OFF = 0.125  # of a step: what a value may be off the grid without a word, as float32 is
LARGEST_WHOLE = 2**63 - 1


def snapped(x: Floats, step: float) -> Floats:
    """The nearest multiples of the step, which is 1 or a negative power of ten."""
    per_unit = round(1 / step)
    with np.errstate(over="ignore"):
        snap: Floats = np.rint(x * per_unit) / per_unit
    return np.where(np.isfinite(snap), snap, x)


def on_scale(values: NDArray[Any], origin: int | float, ticks: int) -> Floats:
    """(v - origin) / ticks, the difference of integers exact if it is less than 2^63."""
    rough: Floats = values.astype(np.float64) - float(origin)
    if values.dtype.kind not in "iu" or not origin:
        return rough / ticks
    apart = (values - values.dtype.type(origin)).astype(np.int64).astype(np.float64)
    return np.where(np.abs(rough) < 2.0**62, apart, rough) / ticks


# -- raw -> x -----------------------------------------------------------------------------------


def encode(array: Any, column: ColumnSchema) -> tuple[Floats, str | None]:
    """A column of any Arrow type as x `[N]`, and what the user should know of it.

    Raises:
        SchemaError: The column's type is another and does not convert without loss, or there is a
            category that the schema does not know.
        DataError: There is an infinite number.
    """
    values = _readable(array, column)
    if column.kind in ("category", "boolean"):
        return _codes(values, column), None
    _expect_finite(values, column)
    known = values.is_valid().to_numpy(zero_copy_only=False)
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    raw = on_scale(numbers, column.origin, column.ticks)
    x = raw if column.step is None else snapped(raw, column.step)
    return np.where(known, x, np.nan), _remark(raw, x, known, array, column)


def _remark(
    raw: Floats, x: Floats, known: NDArray[np.bool_], array: Any, column: ColumnSchema
) -> str | None:
    """What the user should know of values off the grid or far out of range, if there are any."""
    assert column.low is not None
    assert column.high is not None
    reach = FAR * (column.high - column.low)
    far = known & ((x < column.low - reach) | (x > column.high + reach))
    if far.any():
        row, count = int(far.argmax()), int(far.sum())
        return (
            f"column {column.name!r}: {count:,} values are far outside the range that the model "
            f"was trained on ({column.describe()}), the first {array[row]} in row {row} "
            "(counted from 0)"
        )
    off = known & (np.abs(raw - x) > OFF * (column.step or 0.0))
    if off.any():
        row, count = int(off.argmax()), int(off.sum())
        return (
            f"column {column.name!r} was recorded more coarsely in training "
            f"({column.describe()}): {count:,} values are rounded to that, the first {array[row]} "
            f"in row {row} (counted from 0)"
        )
    return None


def _readable(array: Any, column: ColumnSchema) -> pa.Array:
    """The column as its plain type."""
    storage = parse_type(column.storage)
    try:
        if column.text is None:
            return convert(array, storage)
        if family(array.type) != "text":
            return convert(
                array, pa.float64() if column.text == written.NUMBER else pa.timestamp("s")
            )
    except LossyError as error:
        raise SchemaError(_other_type(array, column, error.row)) from None
    text = plain(array)
    values = written.read(text, column.text)
    row = pc.index(written.unreadable(text, values), value=True).as_py()
    if row >= 0:
        raise SchemaError(
            f"column {column.name!r} was written as {column.text!r} when the model was trained; "
            f"row {row} (counted from 0) holds {text[row].as_py()!r:.60}. Write it so, or make it "
            "missing."
        )
    return values


def _other_type(array: Any, column: ColumnSchema, row: int | None) -> str:
    where = "" if row is None else f": row {row} (counted from 0) holds {array[row].as_py()!r:.60}"
    return (
        f"column {column.name!r} was {_named(parse_type(column.storage))} when the model was "
        f"trained; it is {_named(array.type)} now, which does not convert without loss{where}. "
        "Convert the column yourself, or fit the model again."
    )


def _named(kind: pa.DataType) -> str:
    return "text" if family(kind) == "text" else str(kind)


def _codes(values: pa.Array, column: ColumnSchema) -> Floats:
    levels = plain(scalar_array(list(column.levels), parse_type(column.storage)))
    codes = pc.index_in(values, value_set=levels)
    unseen = pc.and_(pc.is_valid(values), pc.is_null(codes))
    if pc.any(unseen).as_py():
        _refuse_unseen(values, unseen, column)
    return codes.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)


def _refuse_unseen(values: pa.Array, unseen: pa.Array, column: ColumnSchema) -> None:
    found = pc.unique(values.filter(unseen)).to_pylist()
    shown = ", ".join(repr(value)[:40] for value in found[:5]) + (", …" if len(found) > 5 else "")
    known = ", ".join(repr(level)[:40] for level in column.levels[:8])
    more = ", …" if len(column.levels) > 8 else ""
    raise SchemaError(
        f"column {column.name!r} holds {shown}, first in row "
        f"{pc.index(unseen, value=True).as_py()} (counted from 0), which the model was not trained "
        f"on. It knows {known}{more}. Map the value to one of these, make it missing, or fit the "
        "model again with such rows."
    )


def _expect_finite(values: pa.Array, column: ColumnSchema) -> None:
    if not pa.types.is_floating(values.type):
        return
    row = pc.index(pc.is_inf(values), value=True).as_py()
    if row >= 0:
        raise DataError(
            f"column {column.name!r} holds {values[row].as_py()} (infinity) in row {row} (counted "
            "from 0); replace it by the number that is meant or by a missing value."
        )


def deviation(array: Any, column: ColumnSchema) -> int | None:
    """The first row in which a constant or empty column is not as it was, or None."""
    if column.kind == "missing":
        row = pc.index(array.is_valid(), value=True).as_py()
        return row if row >= 0 else None
    assert column.value is not None
    storage = parse_type(column.storage)
    try:
        values = convert(array, storage)
    except LossyError as error:
        return error.row or 0
    usual = plain(scalar_array([column.value], storage))[0]
    same = pc.equal(values, usual).fill_null(False)  # noqa: FBT003 - pyarrow's signature
    row = pc.index(same, value=False).as_py()
    return row if row >= 0 else None


def unseen(array: Any, column: ColumnSchema) -> pa.Array | None:
    """Where a column holds what it never held in training, for columns of levels or of one value.

    Args:
        array: The column.
        column: What is known of it.

    Returns:
        Truth values `[N]`, false for what is missing; None for columns whose values have an order.

    Raises:
        SchemaError: The column's type is another and does not convert without loss.
    """
    if column.kind == "missing":
        return plain(array).is_valid()
    if column.kind not in ("category", "boolean", "constant"):
        return None
    values = _readable(array, column)
    known = column.levels if column.value is None else (column.value,)
    levels = plain(scalar_array(list(known), parse_type(column.storage)))
    return pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=levels)))


# -- x -> raw -----------------------------------------------------------------------------------


def decode(x: Floats, column: ColumnSchema) -> pa.Array:
    """x `[N]` as the column's storage; what is not on the grid or out of range is moved there.

    Of a constant column and of one without any value only the length of x counts.
    """
    storage = parse_type(column.storage)
    if column.kind == "missing":
        return _repeated(None, len(x), column, storage)
    if column.kind == "constant":
        return _repeated(column.value, len(x), column, storage)
    missing = np.isnan(x)
    known = np.where(missing, 0.0, x)
    if column.kind in ("category", "boolean"):
        codes = np.rint(known).clip(0, len(column.levels) - 1).astype(np.int64)
        return _levelled(pa.array(codes, mask=missing), column, storage)
    known = _as_written(known, column)
    if column.text == written.NUMBER:
        storage = pa.int64() if column.step == 1.0 else pa.float64()
    elif column.text is not None:
        seconds = pa.array(_whole(known, column, pa.int64()), mask=missing)
        return written.write(seconds, column.text).cast(storage)
    if family(storage) == "real":
        return pa.array(_within(known, storage), mask=missing).cast(storage, safe=False)
    return stored(pa.array(_whole(known, column, storage), mask=missing), storage)


def _as_written(x: Floats, column: ColumnSchema) -> Floats:
    """x on the grid, with no more digits and decimals than the column's numbers have."""
    step = column.step if column.places is None else 10.0**-column.places
    x = x if step is None else snapped(x, step)
    return x if column.digits is None else to_digits(x, column.digits)


def _levelled(codes: pa.Array, column: ColumnSchema, storage: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(storage):
        return scalar_array(list(column.levels), storage).take(codes)
    places = {level: place for place, level in enumerate(column.declared)}
    indices = pa.array([places[level] for level in column.levels], pa.int64()).take(codes)
    return _declared(indices, column, storage)


def _declared(indices: pa.Array, column: ColumnSchema, storage: pa.DataType) -> pa.Array:
    """Positions among the declared levels as a dictionary column."""
    levels = scalar_array(list(column.declared), storage)
    indices = indices.cast(storage.index_type)
    return pa.DictionaryArray.from_arrays(indices, levels, ordered=storage.ordered)


def _repeated(value: Any, rows: int, column: ColumnSchema, storage: pa.DataType) -> pa.Array:
    """A value (None: no value) in every row."""
    if pa.types.is_dictionary(storage):
        place = None if value is None else column.declared.index(value)
        return _declared(pa.array([place], pa.int64()).take(_zeros(rows)), column, storage)
    one = pa.nulls(1, storage) if value is None else scalar_array([value], storage)
    return one.take(_zeros(rows))


def _zeros(rows: int) -> pa.Array:
    return pa.array(np.zeros(rows, dtype=np.int64))


def _whole(x: Floats, column: ColumnSchema, storage: pa.DataType) -> NDArray[Any]:
    """origin + ticks · x as integers that the storage can hold."""
    kind = np.dtype(np.uint64 if pa.types.is_uint64(storage) else np.int64)
    low, high = _bounds(storage)
    origin, ticks = int(column.origin), column.ticks
    least = max(-((origin - low) // ticks), -LARGEST_WHOLE)
    most = min((high - origin) // ticks, LARGEST_WHOLE)
    whole = np.rint(x).clip(_inner(least), _inner(most)).astype(np.int64).astype(kind)
    return whole * kind.type(ticks) + np.array(origin, dtype=kind)


def _inner(end: int) -> float:
    """The floating number at or just inside the end of a range around zero."""
    near = float(end)
    return math.nextafter(near, 0.0) if abs(int(near)) > abs(end) else near


def _bounds(storage: pa.DataType) -> tuple[int, int]:
    """The least and the largest integer behind a value of the storage."""
    if family(storage) == "clock":
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[storage.unit]
        return 0, 86_400 * per_second - 1
    if family(storage) in TEMPORAL:
        bits = storage.bit_width
        return -(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1  # the least is "not a time" elsewhere
    info = np.iinfo(storage.to_pandas_dtype())
    return int(info.min), int(info.max)


def _within(x: Floats, storage: pa.DataType) -> Floats:
    """x cut to what the storage can hold."""
    if pa.types.is_decimal(storage):
        most = 10.0 ** (storage.precision - storage.scale) - 10.0**-storage.scale
    else:
        most = float(np.finfo(storage.to_pandas_dtype()).max)
    return x.clip(-most, most)
