"""Columns of numbers and times as whole numbers, so that sums and differences are exact.

    integers                v itself                          ticks of 1
    reals, d decimals       k = v · 10^d                      ticks of 10^-d
    dates, times, spans     the storage's unit                ticks of so many nanoseconds
    text in ISO 8601        seconds since 1970                ticks of 10^9 ns
    reals without a grid    v itself, in floating point       no ticks

Two columns meet on the finer of their grids. Times that are all whole days (hours, …) apart keep
to that: `step` says how many ticks lie between two values that the column can take.

This module does not know any rule.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError, SchemaError
from variate.table import written
from variate.table.schema import UNITS
from variate.table.storage import (
    TEMPORAL,
    LossyError,
    convert,
    family,
    parse_type,
    plain,
    stored,
    ticks_per_second,
)
from variate.table.summary import Numbers

__all__ = ["BIG", "Grid", "common", "cut"]

Numeric = NDArray[Any]  # int64 ticks, or float64 where there is no grid
Booleans = NDArray[np.bool_]

BIG = 2**62  # sums of two whole numbers below this are exact
NANO = 10**9
MOST_DECIMALS = 9


@dataclass(frozen=True)
class Grid:
    """How a column lies on whole numbers.

    Attributes:
        name: The column.
        storage: Its Arrow type as text.
        form: How times are written where the column is text.
        kind: "number", "moment", "instant", "clock" or "span".
        decimals: Of a number; None: there is no grid.
        tick: Nanoseconds in a tick of a time; 1 for numbers.
        step: Ticks from one value that the column can take to the next.
        origin: A value that it can take, less than a step.
        low: The smallest value, in ticks.
        high: The largest.
    """

    name: str
    storage: str
    form: str | None
    kind: str
    decimals: int | None
    tick: int
    step: int
    origin: int
    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        storage = parse_type(self.storage)
        found = family(storage)
        kind = "number" if found in ("integer", "real") else found
        kind = "moment" if self.form in written.ISO and found == "text" else kind
        whole = (self.tick, self.step, self.origin)
        fine = (
            isinstance(self.name, str)
            and self.kind == kind
            and kind in ("number", *TEMPORAL)
            and not pa.types.is_dictionary(storage)
            and (self.form is None) == (found != "text")
            and all(type(value) is int and abs(value) < BIG for value in whole)
            and self.tick == _nanoseconds(storage, self.form)
            and 0 <= self.origin < self.step
            and (self.decimals is None or self.decimals in range(MOST_DECIMALS + 1))
            and all(type(value) in (int, float) for value in (self.low, self.high))
            and -math.inf < self.low <= self.high < math.inf
        )
        if self.whole:
            fine = fine and all(type(v) is int and abs(v) < BIG for v in (self.low, self.high))
            fine = fine and (found != "integer" or self.decimals == 0)
        else:
            fine = fine and kind == "number" and found == "real" and self.step == 1
        if not fine:
            raise ValueError(f"the grid of the column {self.name!r:.80} is not one")

    @property
    def whole(self) -> bool:
        """Whether there is a grid."""
        return self.kind != "number" or self.decimals is not None

    @classmethod
    def of(cls, name: str, column: Any, why: object) -> Self:
        """The grid of a column.

        Raises:
            DataError: It holds neither numbers nor times, or has no value, or has values too
                large for exact arithmetic; `why` is what needs the grid.
        """
        storage, form = column.type, None
        found = family(storage)
        if found == "text":
            form = _iso(plain(column))
        readable = found in ("integer", "real", *TEMPORAL) or form is not None
        if pa.types.is_dictionary(storage) or not readable:
            raise DataError(
                f"{why!r} is about numbers, dates or times, but the column {name!r} is of the type "
                f"{storage}; convert it, or leave the constraint out."
            )
        numbers = _summary(name, column, form, why)
        ends = (numbers.low, numbers.high)
        if found == "real":
            decimals = numbers.decimals
            if pa.types.is_decimal(storage):  # these are not read without rounding
                decimals = storage.scale if 0 <= storage.scale <= MOST_DECIMALS else None
            if decimals is not None:
                ends = tuple(round(end * 10**decimals) for end in ends)
            return cls(name, str(storage), None, "number", decimals, 1, 1, 0, *ends)
        if max(map(abs, ends)) >= BIG:
            raise DataError(
                f"{why!r}: the column {name!r} holds {max(ends, key=abs)}, which is too large for "
                "exact arithmetic; subtract an offset from it."
            )
        if found == "integer":
            return cls(name, str(storage), None, "number", 0, 1, 1, 0, *ends)
        tick, kind = _nanoseconds(storage, form), "moment" if form else found
        units = [round(seconds * NANO) // tick for seconds in UNITS.values()]
        step = next(unit for unit in units if unit and numbers.divisor % unit == 0)
        return cls(name, str(storage), form, kind, None, tick, step, int(ends[0]) % step, *ends)

    def read(self, column: Any) -> tuple[Numeric, Booleans]:
        """The values in ticks (0 where there is none), and where there is one.

        Raises:
            SchemaError: The column has another type, or a text that is no time.
        """
        values = self._plain(column)
        known = values.is_valid().to_numpy(zero_copy_only=False)
        numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
        if self.decimals:
            with np.errstate(over="ignore"):
                numbers = np.rint(numbers * 10.0**self.decimals)
        if self.whole and numbers.dtype.kind == "f":
            numbers = numbers.clip(-BIG, BIG)
        return numbers.astype(np.int64 if self.whole else np.float64), known

    def _plain(self, column: Any) -> pa.Array:
        storage = parse_type(self.storage)
        try:
            if self.form is not None and family(column.type) == "text":
                text = plain(column)
                values = written.read(text, self.form)
                if pc.any(written.unreadable(text, values)).as_py():
                    raise LossyError
                return values
            wanted = storage if self.form is None else pa.timestamp("s")
            if family(wanted) == "integer" and family(column.type) == "real":
                wanted = pa.int64()
            values = convert(column, wanted)
            return values.cast(pa.int64()) if pa.types.is_uint64(values.type) else values
        except (LossyError, pa.ArrowException):
            raise SchemaError(
                f"column {self.name!r} was of the type {self.storage} in training and is "
                f"{column.type} now, which does not convert without loss; convert it yourself, or "
                "fit the model again"
            ) from None

    def write(self, values: Numeric, known: Booleans) -> pa.Array:
        """Ticks as the column's own type; None where the type cannot hold them."""
        storage = parse_type(self.storage)
        least, most = _limits(storage)
        known = known & (values >= least) & (values <= most)
        if self.whole and self.kind != "number":
            numbers = pa.array(np.where(known, values, 0), mask=~known)
            if self.form is not None:
                return written.write(numbers, self.form).cast(storage)
            return stored(numbers, storage)
        if family(storage) == "integer":
            return pa.array(np.where(known, values, 0), mask=~known).cast(storage)
        numbers = np.where(known, values, 0)
        if self.decimals is not None:
            numbers = numbers / 10.0**self.decimals
        return pa.array(numbers.astype(np.float64), mask=~known).cast(storage, safe=False)

    def state(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The grid of `state`.

        Raises:
            TypeError: It is damaged (or ValueError).
        """
        return cls(**state)


def cut(values: Numeric, grid: Grid, factor: int) -> Numeric:
    """Values on a grid that is `factor` times finer, raised to what the column can take."""
    if not grid.whole:
        return values
    step = grid.step * factor
    raised: Numeric = -((grid.origin * factor - values) // step) * step + grid.origin * factor
    return raised


def common(grids: list[Grid], why: object) -> list[int] | None:
    """How many ticks of the finest grid are in a tick of each; None: one of them has no grid.

    Raises:
        DataError: Numbers meet times, or the values are too large for the finest grid.
    """
    times = [grid.kind != "number" for grid in grids]
    if any(times) and not all(times):
        one, other = grids[times.index(True)], grids[times.index(False)]
        raise DataError(
            f"{why!r}: the column {one.name!r} holds times ({one.storage}), {other.name!r} numbers "
            f"({other.storage}), and these cannot be compared or added; convert one of them."
        )
    if not all(grid.whole for grid in grids):
        return None
    finest = min(grid.tick for grid in grids)
    decimals = max(grid.decimals or 0 for grid in grids)
    factors = [grid.tick // finest * 10 ** (decimals - (grid.decimals or 0)) for grid in grids]
    reach = sum(
        max(abs(grid.low), abs(grid.high)) * factor
        for grid, factor in zip(grids, factors, strict=True)
    )
    if reach >= BIG:
        raise DataError(
            f"{why!r}: the columns {', '.join(repr(grid.name) for grid in grids)} hold numbers or "
            "times that are too large for exact arithmetic at the finest resolution of them; "
            "rescale them, or record them to the same unit."
        )
    return factors


def _iso(text: pa.Array) -> str | None:
    """The ISO 8601 form in which every text is written."""
    if text.null_count == len(text):
        return None
    for form in written.ISO:
        if all(
            not pc.any(written.unreadable(some, written.read(some, form))).as_py()
            for some in (text[:100], text)
        ):
            return form
    return None


def _summary(name: str, column: Any, form: str | None, why: object) -> Numbers:
    storage = column.type
    precision = storage.to_pandas_dtype() if pa.types.is_floating(storage) else np.float64
    values = plain(column)
    values = (written.read(values, form) if form else values).drop_null()
    if not len(values):
        raise DataError(f"{why!r}: the column {name!r} has no value at all.")
    found = values.to_numpy(zero_copy_only=False)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise DataError(f"{why!r}: the column {name!r} holds an infinite number.")
    numbers = Numbers(np.dtype(precision), 1)
    numbers.add(found)
    return numbers


def _nanoseconds(storage: pa.DataType, form: str | None) -> int:
    if form is not None:
        return NANO
    return round(NANO / ticks_per_second(storage)) if family(storage) in TEMPORAL else 1


def _limits(storage: pa.DataType) -> tuple[float, float]:
    """The least and largest ticks that fit a storage, cautiously."""
    if pa.types.is_time(storage):
        return 0, round(86_400 * ticks_per_second(storage)) - 1
    if family(storage) == "integer":
        info = np.iinfo(storage.to_pandas_dtype())
        return max(int(info.min), -BIG), min(int(info.max), BIG)
    if family(storage) in TEMPORAL and storage.bit_width == 32:
        return -(2**31) + 1, 2**31 - 1
    return (-BIG, BIG) if family(storage) != "real" else (-math.inf, math.inf)
