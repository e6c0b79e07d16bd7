r"""Dates and times as the calendar has them: weeks, weekdays, times of day.

    moment t   ->   week ⌊t / 7 days⌋,  weekday,  time of day            and back, exactly

As one number a moment has a density over years, in which a night or a weekend is too short to be
seen, by its own law and by the laws of other columns. As three columns it has

    p(t) = p(week) p(weekday | week) p(time of day | week, weekday)

(in the order of the chain), which is the same quantity, in the same unit, and in which hours,
weekdays and seasons are kept; each part is seen by the columns after it. Only the parts that a
column calls for are made: dates have no time of day. Where dates are few and come again and again,
such as the first of each month or the days of shows, a day, or the moment itself, stays one number:
the product would have combinations that never were.

A moment is missing where a part is. One that was put together outside the range of training is
moved into it by whole weeks (days, where days are one number).

Times with a time zone are taken apart in UTC, for local ones are not one to one with moments.

This module does not know how the parts are modelled, nor constraints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import chi2

from variate.errors import SchemaError
from variate.table import columns as column_codec
from variate.table.schema import ColumnSchema
from variate.table.storage import family, parse_type, plain, stored, ticks_per_second

__all__ = ["WEEKDAYS", "Calendar", "calendar_of"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONDAY = 3  # days from the first Monday before 1970 to 1970

DENSE = 0.5  # the share of all combinations of two parts that were seen, from which they are apart
REPEATED = 2.0  # rows of each moment, from which single moments are what there is
SURE = 1e-6  # of weekdays that are even, the chance to look so uneven

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Calendar:
    """A column of moments that is taken apart.

    Attributes:
        column: What is known of it as one number.
        parts: The names of the columns made of it: week and weekday, or day; time of day.
        weekly: Whether days are taken apart into week and weekday.
        daily: Whether the time of day is apart.

    Raises:
        ValueError: The attributes contradict each other.
    """

    column: ColumnSchema
    parts: tuple[str, ...]
    weekly: bool
    daily: bool

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        kinds = (self.weekly, self.daily)
        fine = all(type(flag) is bool for flag in kinds) and any(kinds)
        fine = fine and len(self.parts) == 1 + sum(kinds) == len(set(self.parts))
        fine = fine and all(isinstance(name, str) for name in self.parts)
        if not fine or self.column.kind != "datetime" or not _is_moment(self.column):
            raise ValueError(f"the calendar of the column {self.column.name!r:.80} is damaged")

    @property
    def day(self) -> int:
        """Units of the storage in a day."""
        return round(86_400 * ticks_per_second(_storage(self.column)))

    def split(self, x: NDArray[np.float64]) -> tuple[Whole, Whole]:
        """Days since a Monday before 1970, and units of the storage since midnight."""
        ticks = np.rint(x).astype(np.int64) * self.column.ticks + int(self.column.origin)
        days, time = np.divmod(ticks, self.day)
        return days + MONDAY, time

    def apply(self, table: pa.Table) -> pa.Table:
        """The table with the parts, before all other columns, instead of the column.

        Raises:
            SchemaError: The column is missing, or is of another type.
        """
        name = self.column.name
        if name not in table.column_names:
            raise SchemaError(
                f"the columns {name!r} are missing; the model was trained on it. Add it (empty "
                "where the values are not known)."
            )
        x, _ = column_codec.encode(table.column(name), self.column)
        columns = [*self.parts_of(x).itercolumns(), *table.drop_columns([name]).itercolumns()]
        names = [*self.parts, *(other for other in table.column_names if other != name)]
        return pa.table(columns, names=names)

    def parts_of(self, x: NDArray[np.float64]) -> pa.Table:
        """The parts of moments in terms of the column as one number."""
        missing = np.isnan(x)
        days, time = self.split(np.where(missing, 0.0, x))
        made: list[pa.Array] = []
        if self.weekly:
            weeks, weekdays = np.divmod(days, 7)
            codes = pa.array(weekdays.astype(np.int8), mask=missing)
            made.append(pa.array(weeks, mask=missing))
            made.append(pa.DictionaryArray.from_arrays(codes, pa.array(WEEKDAYS, pa.string())))
        else:
            made.append(stored(pa.array(days - MONDAY, mask=missing), pa.date32()))
        if self.daily:
            made.append(stored(pa.array(time, mask=missing), self._clock))
        return pa.table(made, names=list(self.parts))

    @property
    def _clock(self) -> pa.DataType:
        """The type of times of day."""
        storage = _storage(self.column)
        unit = getattr(storage, "unit", "ms")
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)

    def restore(self, table: pa.Table) -> pa.Table:
        """The table with the column, at the end, instead of the parts."""
        found = [_numbers(table.column(name)) for name in self.parts]
        missing = np.logical_or.reduce([gap for _, gap in found])
        parts = [values for values, _ in found]
        days = parts[0] * 7 + parts[1] - MONDAY if self.weekly else parts[0]
        ticks = days * self.day + (parts[-1] if self.daily else 0)
        x = (self._within(ticks) - int(self.column.origin)) / self.column.ticks
        made = column_codec.decode(np.where(missing, np.nan, x), self.column)
        return table.drop_columns(list(self.parts)).append_column(self.column.name, made)

    def _within(self, ticks: Whole) -> Whole:
        """The moments, those out of range moved into it by whole weeks or days, if they can be."""
        assert self.column.low is not None
        assert self.column.high is not None
        ends = np.array([self.column.low, self.column.high])
        low, high = np.rint(ends).astype(np.int64) * self.column.ticks + int(self.column.origin)
        period = self.day * (7 if self.weekly else 1)
        ticks = ticks - -(-np.maximum(ticks - high, 0) // period) * period
        ticks = ticks + -(-np.maximum(low - ticks, 0) // period) * period
        return ticks.clip(low, high)

    def state(self) -> dict[str, Any]:
        """What was chosen, as JSON-able values; the column itself is kept elsewhere."""
        return {
            "column": self.column.name,
            "parts": list(self.parts),
            "weekly": self.weekly,
            "daily": self.daily,
        }

    @classmethod
    def from_state(cls, state: Any, columns: Mapping[str, ColumnSchema]) -> Self:
        """The calendar that `state` describes, of one of these columns.

        Raises:
            ValueError: It is damaged (or KeyError, TypeError).
        """
        parts = tuple(state["parts"])
        return cls(columns[state["column"]], parts, state["weekly"], state["daily"])


def calendar_of(column: ColumnSchema, array: Any, names: Sequence[str]) -> Calendar | None:
    """How a column is taken apart, or None where it is better one number.

    Args:
        column: What is known of it.
        array: Its values.
        names: Those that other columns have.
    """
    if column.kind != "datetime" or not _is_moment(column) or column.closed:
        return None
    x, _ = column_codec.encode(array, column)
    whole = Calendar(column, ("", " "), weekly=False, daily=True)
    days, time = whole.split(x[~np.isnan(x)])
    daily = len(np.unique(time)) > 1 and _apart(days, time)
    weekly = _apart(*np.divmod(days, 7), even=True)
    if not (weekly or daily):
        return None
    parts = ["week", "weekday"] if weekly else ["day"]
    parts += ["time of day"] * daily
    return Calendar(column, _free(column.name, parts, names), weekly, daily)


def _apart(first: Whole, second: Whole, *, even: bool = False) -> bool:
    """Whether two parts of moments are better modelled apart.

    Args:
        first: The greater part.
        second: The lesser.
        even: Whether the lesser part says nothing if all its values are equally frequent.
    """
    kinds, index, counts = np.unique(second, return_inverse=True, return_counts=True)
    seen = len(np.unique((first - first.min()) * len(kinds) + index))
    if seen >= DENSE * len(np.unique(first)) * len(kinds):
        return True
    if len(first) >= REPEATED * seen:
        return False
    return not even or _chance_of_evenness(counts) < SURE


def _chance_of_evenness(counts: NDArray[np.int64]) -> float:
    """Of seven equally frequent weekdays: how likely counts are at least as uneven as these."""
    expected = counts.sum() / 7
    deviance = 2 * float((counts * np.log(counts / expected)).sum())
    return float(chi2.sf(deviance, 6))


def _free(name: str, parts: Sequence[str], taken: Sequence[str]) -> tuple[str, ...]:
    made: list[str] = []
    for part in parts:
        free = f"{name}: {part}"
        while free in taken:
            free += "'"
        made.append(free)
    return tuple(made)


def _numbers(column: Any) -> tuple[Whole, NDArray[np.bool_]]:
    """A part as whole numbers, and where it is missing."""
    values = plain(column)
    if family(column.type) == "text":
        values = pc.index_in(values, value_set=pa.array(WEEKDAYS, values.type))
    gaps = values.is_null().to_numpy(zero_copy_only=False)
    return values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), gaps


def _storage(column: ColumnSchema) -> pa.DataType:
    return parse_type(column.storage) if column.text is None else pa.timestamp("s")


def _is_moment(column: ColumnSchema) -> bool:
    return family(_storage(column)) in ("moment", "instant")
