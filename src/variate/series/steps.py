"""How far apart steps are: a fixed time, or months of the calendar.

    Ticks     a number, or microseconds: always the same
    Months    1, 3, 12 … months of 28 to 31 days, so that a stamp on the 1st is followed by the
              next 1st, and one on the last day of a month by the last day of the next

The step of data is the commonest difference between neighbours. It is counted in months if all
stamps lie on a grid of months, within `STRAY` of one, though their differences are not the same, or
if all of them are on the same day of their month. The calendar is that of the column's time zone.

This module does not know which steps are missing, nor what is measured at them.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError

__all__ = ["OFF", "Months", "Step", "Ticks", "arrow_type", "step_from", "step_of"]

OFF = 0.1  # of a step, by which a stamp may be off without a word
STRAY = 0.15  # of a month, by which stamps of months may be off: weekends move them by days
MONTH = 30.436875 * 24 * 3600 * 1e6  # microseconds of a month, on average

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


class Ticks(NamedTuple):
    """A fixed time.

    Attributes:
        size: In the units of the time column, microseconds of temporal ones.
        time_type: The Arrow type of the column, as text.
    """

    size: float
    time_type: str = ""

    def places(self, stamps: NDArray[Any]) -> Floats:
        """Where stamps lie on the grid of the first of them, in steps, `[T]`."""
        found: Floats = (stamps - stamps[0]) / self.size
        return found

    def stamps(self, origin: Any, places: Whole) -> pa.Array:
        """The stamps of places on the grid of an origin, in the type of the column."""
        kind = arrow_type(self.time_type)
        if kind is None:
            return pa.array(places)
        if pa.types.is_floating(kind):
            return pa.array(origin + places * self.size, kind)
        ticks = origin + np.round(places * self.size).astype(np.int64)
        if pa.types.is_integer(kind):
            return pa.array(ticks, kind)
        return pa.array(ticks, pa.timestamp("us", getattr(kind, "tz", None))).cast(kind, safe=False)

    def state(self) -> Any:
        """What is kept of it in a file."""
        return self.size

    def __str__(self) -> str:
        kind = arrow_type(self.time_type)
        if kind is None or not pa.types.is_temporal(kind):
            return f"{self.size:g}"
        return str(timedelta(microseconds=self.size))


class Months(NamedTuple):
    """Months of the calendar.

    Attributes:
        number: How many.
        last: Whether stamps are on the last days of months.
        time_type: The Arrow type of the column, as text.
    """

    number: int
    last: bool
    time_type: str

    @property
    def size(self) -> float:
        """Its microseconds, on average."""
        return self.number * MONTH

    def places(self, stamps: NDArray[Any]) -> Floats:
        """Where stamps lie on the grid of the first of them, in steps, `[T]`."""
        at = _in_months(_local(stamps, self.time_type))
        found: Floats = (at - at[0]) / self.number
        return found

    def stamps(self, origin: Any, places: Whole) -> pa.Array:
        """The stamps of places on the grid of an origin, in the type of the column."""
        first = _local(np.array([origin]), self.time_type)[0]
        begin = first.astype("M8[M]")
        months = begin + places * self.number
        days = (months + 1).astype("M8[D]") - months.astype("M8[D]")
        into = first - begin.astype("M8[us]")
        day, rest = into.astype("m8[D]"), into - into.astype("m8[D]")
        behind = days - 1 if self.last else np.minimum(day, days - 1)
        return _of_local((months.astype("M8[D]") + behind).astype("M8[us]") + rest, self.time_type)

    def state(self) -> Any:
        """What is kept of it in a file."""
        return {"months": self.number, "last": self.last}

    def __str__(self) -> str:
        years, months = divmod(self.number, 12)
        count, unit = (years, "year") if not months else (self.number, "month")
        return f"{count} {unit}" + "s" * (count > 1)


Step = Ticks | Months


def step_of(stamps: Sequence[NDArray[Any]], time_type: str) -> Step:
    """The commonest difference between neighbours in the stamps of some series.

    Raises:
        DataError: No series has two different stamps.
    """
    apart = np.concatenate([np.diff(np.sort(some)) for some in stamps])
    apart = apart[apart > 0]
    if not len(apart):
        raise DataError("all rows have the same time: a series needs at least two steps.")
    if apart.dtype.kind == "f":
        apart = np.array([float(f"{value:.9g}") for value in apart])
    found = _months_of(stamps, time_type, constant=len(np.unique(apart)) == 1)
    return found or Ticks(float(_commonest(apart)), time_type)


def step_from(state: Any, time_type: str) -> Step | None:
    """The step that `state` gave; None of none."""
    if isinstance(state, dict):
        return Months(int(state["months"]), bool(state["last"]), time_type)
    return None if state is None else Ticks(float(state), time_type)


def arrow_type(text: str) -> pa.DataType | None:
    """The Arrow type of a name; None of no name."""
    if text.startswith("timestamp[") and "tz=" in text:
        unit, zone = text[len("timestamp[") : -1].split(", tz=")
        return pa.timestamp(unit, zone)
    return pa.type_for_alias(text) if text else None


def _months_of(stamps: Sequence[NDArray[Any]], time_type: str, *, constant: bool) -> Months | None:
    """The step in months, if stamps lie on a grid of them."""
    kind = arrow_type(time_type)
    if kind is None or not pa.types.is_temporal(kind):
        return None
    dates = [np.unique(_local(some, time_type)) for some in stamps]
    at = [_in_months(some) for some in dates]
    apart = np.round(np.concatenate([np.diff(some) for some in at])).astype(np.int64)
    count = int(_commonest(apart))
    if count < 1 or any(_astray(some, count) for some in at):
        return None
    every = np.concatenate(dates)
    last = bool((every.astype("M8[D]") + 1 == (every.astype("M8[M]") + 1).astype("M8[D]")).all())
    days = every.astype("M8[D]") - every.astype("M8[M]").astype("M8[D]")
    if constant and not last and len(np.unique(days)) > 1:
        return None
    return Months(count, last, time_type)


def _astray(at: Floats, count: int) -> bool:
    exact = (at - at[0]) / count
    return bool((np.abs(exact - np.round(exact)) * count > STRAY).any())


def _in_months(dates: NDArray[Any]) -> Floats:
    """Local times in months since 1970, the share of the month that is over among them."""
    months = dates.astype("M8[M]")
    begin, end = months.astype("M8[us]"), (months + 1).astype("M8[us]")
    found: Floats = months.astype(np.int64) + (dates - begin) / (end - begin)
    return found


def _local(stamps: NDArray[Any], time_type: str) -> NDArray[Any]:
    """Ticks in microseconds as times on the clocks of the column's zone."""
    zone = getattr(arrow_type(time_type), "tz", None)
    times = pa.array(stamps.astype(np.int64), pa.timestamp("us", zone))
    local = times if zone is None else pc.local_timestamp(times)
    found: NDArray[Any] = local.to_numpy(zero_copy_only=False).astype("M8[us]")
    return found


def _of_local(times: NDArray[Any], time_type: str) -> pa.Array:
    kind = arrow_type(time_type)
    made, zone = pa.array(times, pa.timestamp("us")), getattr(kind, "tz", None)
    if zone is not None:
        made = pc.assume_timezone(made, zone, ambiguous="earliest", nonexistent="latest")
    return made.cast(kind, safe=False)


def _commonest(values: NDArray[Any]) -> Any:
    found, counts = np.unique(values, return_counts=True)
    return found[counts.argmax()]
