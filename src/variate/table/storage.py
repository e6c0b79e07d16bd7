"""Arrow types: their names as text, the families that convert into each other, and conversion.

A column is stored in an Arrow type (its storage, such as int8, timestamp[us, tz=UTC] or
dictionary<values=string, …>), and is worked on in the plain type of its family:

    family    storages                       plain type
    boolean   bool                           bool
    integer   int8 … int64, uint8 … uint64   int64, or uint64
    real      half, float, double, decimals  float64
    text      string, large_string, …        large_string
    moment    date32, date64, timestamp[u]   int64, in the storage's unit since 1970
    instant   timestamp[u, tz]               int64, in the storage's unit since 1970, UTC
    clock     time32, time64                 int64, in the storage's unit since midnight
    span      duration                       int64, in the storage's unit
    null      null                           —
    other     lists, structs, binary, …      —

A dictionary has the family of its values. Conversion between families is only ever without loss:
integers to reals and back where exact, booleans to numbers, 0 and 1 to booleans. Text never
becomes a number of its own accord, nor a number text.

This module does not know columns, names or schemas.
"""

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "TEMPORAL",
    "LossyError",
    "Scalar",
    "convert",
    "family",
    "parse_type",
    "plain",
    "scalar_array",
    "stored",
    "ticks_per_second",
    "value_type",
]

Scalar = str | int | float | bool

TIMEZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=([^\]]+)\]")
DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(u?int\d+), ordered=([01])>")

TEMPORAL = ("moment", "instant", "clock", "span")
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class LossyError(Exception):
    """A conversion would lose something. `row` is the first one, or None for all of them."""

    def __init__(self, row: int | None = None) -> None:
        super().__init__(row)
        self.row = row


def parse_type(text: str) -> pa.DataType:
    """The type whose `str` is the text.

    Raises:
        ValueError: There is no such type, or it is none that a column is stored in.
    """
    if match := TIMEZONED.fullmatch(text):
        return pa.timestamp(match[1], match[2])
    if match := DECIMAL.fullmatch(text):
        return getattr(pa, f"decimal{match[1]}")(int(match[2]), int(match[3]))
    match = DICTIONARY.fullmatch(text)
    if match and not match[1].startswith("dictionary"):
        values, indices = parse_type(match[1]), parse_type(match[2])
        return pa.dictionary(indices, values, ordered=match[3] == "1")
    return pa.type_for_alias(text)


def value_type(storage: pa.DataType) -> pa.DataType:
    """The storage itself, or the type of a dictionary's values."""
    return storage.value_type if pa.types.is_dictionary(storage) else storage


def family(storage: pa.DataType) -> str:
    """The family of a storage type; see the module's table."""
    kind = value_type(storage)
    tests = {
        "null": pa.types.is_null,
        "boolean": pa.types.is_boolean,
        "integer": pa.types.is_integer,
        "real": lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t),
        "text": lambda t: str(t) in ("string", "large_string", "string_view"),
        "instant": lambda t: pa.types.is_timestamp(t) and t.tz is not None,
        "moment": lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t),
        "clock": pa.types.is_time,
        "span": pa.types.is_duration,
    }
    return next((name for name, test in tests.items() if test(kind)), "other")


def ticks_per_second(storage: pa.DataType) -> float:
    """How many units of a temporal storage make a second (1/86400 for a count of days)."""
    if pa.types.is_date32(storage):
        return 1 / 86_400
    return TICKS["ms" if pa.types.is_date64(storage) else storage.unit]


def plain(array: Any) -> pa.Array:
    """An array (or chunks) of any storage as one array of its family's plain type, nulls kept.

    A NaN is a null.
    """
    return _map_chunks(array, _plain)


def _plain(chunk: pa.Array) -> pa.Array:
    match family(chunk.type):
        case "integer":
            return chunk.cast(pa.uint64() if pa.types.is_uint64(chunk.type) else pa.int64())
        case "real":
            numbers = chunk.cast(pa.float64(), safe=False)
            return pc.if_else(pc.is_nan(numbers), None, numbers)
        case "text":
            return chunk.cast(pa.large_string())
        case "moment" | "instant" | "clock" | "span":
            return _narrow(chunk, chunk.type).cast(pa.int64())
    return chunk


def _narrow(array: pa.Array, storage: pa.DataType) -> pa.Array:
    """Arrow casts a temporal type of 32 bits to and from int32 only."""
    return array.cast(pa.int32()) if storage.bit_width == 32 else array


def _map_chunks(array: Any, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A function of each chunk, dictionaries decoded, as one array."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    if not chunks:
        chunks = [pa.array([], array.type)]
    decoded = (c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in chunks)
    return pa.concat_arrays([function(chunk) for chunk in decoded])


def stored(values: pa.Array, storage: pa.DataType) -> pa.Array:
    """An array of a family's plain type (or int64 for any number) in its storage; not a dictionary.

    Numbers that are out of the storage's range must have been clipped.
    """
    temporal = family(storage) in TEMPORAL
    return (_narrow(values, storage) if temporal else values).cast(storage)


def scalar_array(scalars: list[Scalar], storage: pa.DataType) -> pa.Array:
    """Plain Python values (temporal ones as integers) as an array in the storage."""
    kind = value_type(storage)
    if family(kind) in TEMPORAL:
        return stored(pa.array(scalars, pa.int64()), kind)
    return pa.array(scalars).cast(kind) if family(kind) == "real" else pa.array(scalars, kind)


def convert(array: Any, storage: pa.DataType) -> pa.Array:
    """An array of any storage as the plain type of another storage, without loss.

    Raises:
        LossyError: Something would be lost, or the families do not convert into each other.
    """
    source, target = family(array.type), family(storage)
    kind = value_type(storage)
    if source == "null":
        return pa.nulls(len(array), plain(pa.array([], kind)).type)
    if source == target and source in TEMPORAL:
        return plain(_map_chunks(array, lambda c: c if c.type == kind else _exact(c, kind)))
    values = plain(array)
    if source == target == "integer":
        return _same_sign(values, pa.uint64() if pa.types.is_uint64(kind) else pa.int64())
    if source == target and source != "other":
        return values
    if source == "boolean" and target in ("integer", "real"):
        return values.cast(pa.int64()).cast(pa.int64() if target == "integer" else pa.float64())
    if (source, target) in (("integer", "real"), ("real", "integer")):
        return _exact(values, pa.float64() if target == "real" else pa.int64())
    if source in ("integer", "real") and target == "boolean":
        return _exact(values, pa.bool_())
    raise LossyError


def _same_sign(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Integers of 64 bits with or without a sign as the other, if they are the same numbers."""
    if values.type == kind:
        return values
    fits = (
        pc.greater_equal(values, 0)
        if kind == pa.uint64()
        else pc.less_equal(values, pa.scalar(2**63 - 1, pa.uint64()))
    )
    _expect(fits)
    return values.cast(kind)


def _exact(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast, and be sure that casting back gives the same."""
    converted = values.cast(kind, safe=False)
    _expect(pc.equal(converted.cast(values.type, safe=False), values))
    return converted


def _expect(fine: pa.Array) -> None:
    if pc.any(pc.invert(fine)).as_py():
        raise LossyError(pc.index(fine, value=False).as_py())
