"""Columns that are declared and not looked up: what is made of a table for private training.

A declaration (`variate.privacy`) and the caller's library decide everything about a column: its
kind, its type, its levels or its range and grid. The rows only fill x in:

    Levels   x = the position of the value among the levels
    Range    x = the value, cut to the range and rounded to the grid
    Times    x = units since the first moment, cut to the range

Each value is read by itself, whatever type the rest of its column was read as: a number written as
text is that number. What is none of the declared values is not observed, without an error and
without a word, for both would tell of a single row.

This module does not know noise, nor how scores are found.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import OptionError
from variate.privacy import Declaration, Levels, Range, Times, microseconds
from variate.table import written
from variate.table.schema import UNITS, ColumnSchema
from variate.table.storage import family, plain

__all__ = ["blank_column", "expect_declared", "read_column"]

Floats = NDArray[np.float64]

MICROSECONDS = pa.timestamp("us")


def expect_declared(
    names: list[str], declared: Mapping[str, Declaration], ignored: set[str]
) -> None:
    """Refuse columns that nothing is known of, and declarations of columns that are not there.

    Raises:
        OptionError: There are some.
    """
    if unknown := [name for name in names if name not in declared and name not in ignored]:
        raise OptionError(
            f"privacy needs to be told what is public about the columns "
            f"{', '.join(map(repr, unknown))}: finding it out from the rows would give them away. "
            "Declare each in Privacy(columns={name: Levels(...), Range(...) or Times(...)}), or "
            "leave it out with columns={name: 'ignore'}."
        )
    if absent := [name for name in declared if name not in names]:
        raise OptionError(
            f"privacy declares the columns {', '.join(map(repr, absent))}, which the data does "
            f"not have; it has {', '.join(map(repr, names))}."
        )


def blank_column(
    name: str, declared: Declaration, source: str, *, numeric: bool, label: int | None
) -> ColumnSchema:
    """The schema of a declared column, with a straight line for scores where it is a number.

    Args:
        name: Of the column.
        declared: What is public about it.
        source: The caller's library.
        numeric: Whether all columns are numbers, which an array of them then holds.
        label: The caller's name, where it is an integer.
    """
    shared: dict[str, Any] = {"name": name, "label": label, "missing": int(declared.missing)}
    if isinstance(declared, Levels):
        kind = type(declared.values[0])
        storage = {str: "string", int: "int64", bool: "bool"}[kind]
        shared |= {"kind": "boolean" if kind is bool else "category"}
        shared |= {"levels": tuple(declared.values)}
    elif isinstance(declared, Range):
        whole = declared.step == 1
        storage = "int64" if whole else "double"
        shared |= {"kind": "integer" if whole else "continuous", "step": declared.step}
        shared |= _range(float(declared.low), float(declared.high), declared.step)
    else:
        storage, (first, last) = str(MICROSECONDS), declared.ends()
        high = float((last - first) // _ticks(declared))
        shared |= {"kind": "datetime", "unit": declared.unit, "origin": first, "step": 1.0}
        shared |= _range(0.0, max(high, 1.0), 1.0)
    return ColumnSchema(storage=storage, dtype=_dtype(storage, source, numeric), **shared)


def _range(low: float, high: float, step: float | None) -> dict[str, Any]:
    half = 0.0 if step is None else step / 2
    knots, scores = (low - half, high + half), (-3.0, 3.0)
    return {"low": low, "high": high, "knots": knots, "scores": scores}


def _dtype(storage: str, source: str, numeric: bool) -> str:  # noqa: FBT001 - see blank_column
    """The caller's type that decoding restores: by the declaration, not by the data."""
    if source == "numpy":
        return "float64" if numeric else "object"
    if source != "pandas":
        return storage
    if storage == "string":  # str or object, as this pandas has it
        return str(import_module("pandas").Series(["a"]).dtype)
    names = {"int64": "int64", "double": "float64", "bool": "bool"}
    return names.get(storage, "datetime64[us]")


def read_column(array: Any, declared: Declaration) -> Floats:
    """A column of any Arrow type as x `[N]`; NaN where it holds nothing that is declared."""
    if isinstance(declared, Levels):
        return _codes(array, declared)
    if isinstance(declared, Range):
        values = _numbers(array)
        if declared.step is not None:
            per_unit = round(1 / declared.step)
            with np.errstate(over="ignore"):
                values = np.rint(values.clip(declared.low, declared.high) * per_unit) / per_unit
        return values.clip(declared.low, declared.high)
    first, last = declared.ends()
    moments = _moments(array)
    units = np.floor((moments.clip(first, last) - first) / _ticks(declared))
    return units.clip(0.0, (last - first) // _ticks(declared))


def _ticks(declared: Times) -> int:
    return round(UNITS[declared.unit] * 1e6)


def _floats(values: pa.Array) -> Floats:
    numbers: Floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(numbers, dtype=np.float64)


def _numbers(array: Any) -> Floats:
    """Numbers, truth values and numbers that are written out; NaN for anything else."""
    kind, values = family(array.type), plain(array)
    match kind:
        case "boolean":
            return _floats(values.cast(pa.int64()))
        case "integer" | "real":
            return _floats(values)
        case "text":
            return _floats(written.read(values, written.NUMBER))
    return np.full(len(array), np.nan)


def _moments(array: Any) -> Floats:
    """Microseconds since 1970, of times of any type and of ISO text; NaN for anything else."""
    kind, values = family(array.type), plain(array)
    if kind in ("moment", "instant"):
        unit = {"date32": 86_400e6, "date64": 1e3}.get(str(array.type).split("[")[0])
        if unit is None:
            unit = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[array.type.unit]
        return _floats(values) * unit
    if kind != "text":
        return np.full(len(array), np.nan)
    distinct = pc.dictionary_encode(values)
    moments = pa.array([_moment(text) for text in distinct.dictionary.to_pylist()], pa.float64())
    return _floats(moments.take(distinct.indices))


def _moment(text: str) -> float | None:
    """Microseconds since 1970 of an ISO text, or None."""
    try:
        return float(microseconds(text.strip()))
    except ValueError:
        return None


def _codes(array: Any, declared: Levels) -> Floats:
    levels = list(declared.values)
    if isinstance(levels[0], str):
        codes = pc.index_in(_texts(array), value_set=pa.array(levels, pa.large_string()))
        return _floats(codes)
    values = _truths(array) if isinstance(levels[0], bool) else _numbers(array)
    codes = np.full(len(values), np.nan)
    for code, level in enumerate(levels):
        codes[values == float(level)] = code
    return codes


def _texts(array: Any) -> pa.Array:
    """Values as text: whole numbers without a point, truth values as true and false."""
    kind, values = family(array.type), plain(array)
    if kind == "text":
        return values
    if kind == "real":
        whole = pc.equal(pc.floor(values), values)
        short = pc.if_else(pc.and_(whole, pc.less(pc.abs(values), 2.0**53)), values, None)
        as_text = values.cast(pa.large_string())
        return pc.coalesce(short.cast(pa.int64()).cast(pa.large_string()), as_text)
    if kind in ("integer", "boolean"):
        return values.cast(pa.large_string())
    return pa.nulls(len(array), pa.large_string())


def _truths(array: Any) -> Floats:
    """Truth values, 0 and 1, and both written out, as 0 and 1."""
    if family(array.type) != "text":
        return _numbers(array)
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(plain(array)))
    yes, no = (pc.is_in(lower, pa.array(words, pa.large_string())) for words in TRUTHS)
    return np.where(yes, 1.0, np.where(no, 0.0, np.nan))


TRUTHS = (["true", "1"], ["false", "0"])
