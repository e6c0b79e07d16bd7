"""The distinct values of columns, numbered, and combinations of them as one number.

Values are numbered in the order of their first row; the number after the last stands for missing,
which is a value of its own. The numbers of a combination are the digits of one number, each in the
radix of its column.

This module does not know what a combination is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError, SchemaError
from variate.table.constraints.rule import Rule
from variate.table.storage import LossyError, Scalar, convert, family, parse_type, plain
from variate.table.storage import scalar_array as scalars

__all__ = ["MOST_LOOKED_UP", "Codes", "Values", "found", "joint", "seen", "split"]

Codes = NDArray[np.int64]

MOST_LOOKED_UP = 100_000
RADIX = 2**62


@dataclass(frozen=True)
class Values:
    """The distinct values of a column.

    Attributes:
        name: The column.
        storage: Its Arrow type as text.
        values: Its values, without missing.
        declared: The levels that a dictionary declares, in its order.
    """

    name: str
    storage: str
    values: tuple[Scalar, ...]
    declared: tuple[Scalar, ...] = ()

    @classmethod
    def of(cls, name: str, column: pa.ChunkedArray, rule: Rule, most: int) -> Self:
        """The values of a column.

        Raises:
            DataError: It is of a type without plain values, or has more than `most`.
        """
        if family(column.type) == "other":
            raise DataError(f"{rule!r}: the column {name!r} is of the type {column.type}")
        distinct = pc.unique(plain(column)).drop_null()
        if len(distinct) > most:
            raise DataError(
                f"{rule!r}: the column {name!r} has {len(distinct):,} distinct values, and at most "
                f"{most:,} can be kept. Group the rare ones, or leave the constraint out."
            )
        declared: dict[Scalar, None] = {}
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                declared |= dict.fromkeys(plain(chunk.dictionary).drop_null().to_pylist())
        values = tuple(distinct.to_pylist())
        if any(isinstance(value, float) and not np.isfinite(value) for value in values):
            raise DataError(f"{rule!r}: the column {name!r} holds an infinite number.")
        return cls(name, str(column.type), values, tuple(declared))

    def codes(self, column: Any) -> Codes:
        """The number of each value; that after the last for missing, -1 for one not known.

        Raises:
            SchemaError: The column has a type that does not convert without loss.
        """
        try:
            values = convert(column, parse_type(self.storage))
        except LossyError:
            raise SchemaError(
                f"column {self.name!r} was of the type {self.storage} in training and is "
                f"{column.type} now, which does not convert without loss; convert it yourself"
            ) from None
        if not self.values:
            return np.where(values.is_valid().to_numpy(zero_copy_only=False), -1, 0)
        places = pc.index_in(values, value_set=self._plain()).fill_null(-1)
        codes = places.to_numpy(zero_copy_only=False).astype(np.int64)
        missing = values.is_null().to_numpy(zero_copy_only=False)
        return np.where(missing, len(self.values), codes)

    def take(self, codes: Codes) -> pa.Array:
        """The values that the numbers stand for, in the column's own type."""
        storage = parse_type(self.storage)
        missing = codes >= len(self.values)
        if pa.types.is_null(storage) or not self.values:
            return pa.nulls(len(codes), storage)
        places = pa.array(np.where(missing, 0, codes), mask=missing)
        if not pa.types.is_dictionary(storage):
            return scalars(list(self.values), storage).take(places)
        where = {level: place for place, level in enumerate(self.declared)}
        positions = pa.array([where[value] for value in self.values], pa.int64())
        indices = positions.take(places).cast(storage.index_type)
        levels = scalars(list(self.declared), storage)
        return pa.DictionaryArray.from_arrays(indices, levels, ordered=storage.ordered)

    def nearest(self, column: Any) -> Codes:
        """The number of the nearest value, for numbers and times (those missing as missing)."""
        values = convert(column, parse_type(self.storage))
        missing = values.is_null().to_numpy(zero_copy_only=False)
        wanted = values.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
        known = self._plain().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        order = np.argsort(known, kind="stable")
        middle = (known[order][1:] + known[order][:-1]) / 2
        return np.where(missing, len(self.values), order[np.searchsorted(middle, wanted)])

    @property
    def numeric(self) -> bool:
        """Whether one value can be nearer than another."""
        storage = parse_type(self.storage)
        kinds = ("text", "boolean", "null", "other")
        return not pa.types.is_dictionary(storage) and family(storage) not in kinds

    def _plain(self) -> pa.Array:
        return plain(scalars(list(self.values), parse_type(self.storage)))

    def state(self) -> dict[str, Any]:
        """As JSON-able values."""
        held = {"name": self.name, "storage": self.storage}
        return {**held, "values": list(self.values), "declared": list(self.declared)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The values of `state`.

        Raises:
            ValueError: They are damaged (or TypeError, KeyError, an Arrow exception).
        """
        held = cls(state["name"], state["storage"], (*state["values"],), (*state["declared"],))
        storage = parse_type(held.storage)
        fine = isinstance(held.name, str) and family(storage) != "other"
        for some in (held.values, held.declared):
            fine = fine and all(isinstance(value, Scalar) for value in some)
            fine = fine and len(set(some)) == len(some) <= MOST_LOOKED_UP
            if some and fine:
                fine = len(pc.unique(plain(scalars(list(some), storage)))) == len(some)
        if pa.types.is_dictionary(storage):
            fine = fine and set(held.values) <= set(held.declared)
        if not fine:
            raise ValueError(f"the values of the column {held.name!r:.80} are damaged")
        return held


def joint(codes: Sequence[Codes], columns: Sequence[Values], rule: Rule) -> Codes:
    """One number for each combination; -1 where a value is not known."""
    size = 1
    numbers = np.zeros(len(codes[0]), np.int64)
    unknown = np.zeros(len(numbers), bool)
    for code, column in zip(codes, columns, strict=True):
        radix = len(column.values) + 1
        size *= radix
        numbers = numbers * radix + code
        unknown |= code < 0
    if size >= RADIX:
        raise DataError(f"{rule!r}: the columns have too many values for their combinations.")
    return np.where(unknown, -1, numbers)


def split(numbers: Codes, columns: Sequence[Values]) -> list[Codes]:
    """The numbers of which `joint` made one."""
    codes = []
    for column in reversed(columns):
        numbers, code = np.divmod(numbers, len(column.values) + 1)
        codes.append(code)
    return codes[::-1]


def found(numbers: Codes, known: Codes) -> Codes:
    """Where each combination stands among those seen; -1 where nowhere."""
    order = np.argsort(known, kind="stable")
    near = order[np.searchsorted(known[order], numbers).clip(0, len(known) - 1)]
    return np.where(known[near] == numbers, near, -1)


def seen(state: Any, columns: Sequence[Values]) -> Codes:
    """Combinations from a model file."""
    size = int(np.prod([len(column.values) + 1 for column in columns], dtype=object))
    fine = isinstance(state, list) and 0 < len(state) <= MOST_LOOKED_UP
    if not (fine and all(type(v) is int and 0 <= v < min(size, RADIX) for v in state)):
        raise ValueError("the combinations are damaged")
    if len(set(state)) < len(state):
        raise ValueError("a combination is given twice")
    return np.array(state, np.int64)
