"""LessEqual: a column that is never below others.

    b = max over the lows that are there       high = b + difference,   difference >= 0

The difference is taken on the finer grid of the two, of which it is a whole number, so that high
comes back exactly; without a grid (floating numbers of full precision) it comes back to the last
digit or two. Where no low is there, high is not bound by the rule: the difference is then taken
from a fixed reference, so that it is still a number like the others. Where high is missing, so is
the difference.

A restored high is kept within the range of training where the lows allow it. Where a strict rule
leaves no value (the low is the largest of its type), high is missing.

This module does not know why a column is below another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.errors import OptionError
from variate.table.constraints.grid import BIG, Grid, Numeric, common, cut
from variate.table.constraints.rule import (
    Fitted,
    Rule,
    Violation,
    column_of,
    distinct_names,
    first_violation,
    inserted,
)
from variate.table.storage import convert

__all__ = ["FittedLessEqual", "LessEqual"]

Booleans = NDArray[np.bool_]
UNITS = {10**9: "s", 10**6: "ms", 10**3: "us", 1: "ns"}


@dataclass(frozen=True, repr=False)
class LessEqual(Rule):
    """low <= high in every row where both are there: numbers, dates or times.

    The column `high` is modelled as its distance from `low`. Chains a <= b <= c are two of these.

    Args:
        low: The column that is never above; several: none of them is.
        high: The column that is never below.
        strict: Whether they are never equal either.

    Raises:
        OptionError: The names are no distinct names.
    """

    low: str | tuple[str, ...]
    high: str
    strict: bool = False

    def __post_init__(self) -> None:
        """Check the names."""
        if isinstance(self.low, Sequence) and not isinstance(self.low, str):
            object.__setattr__(self, "low", tuple(self.low))
        if not isinstance(self.strict, bool):
            raise OptionError(f"strict must be True or False, got {self.strict!r}")
        distinct_names(self, (*self.lows, self.high))
        if not self.lows:
            raise OptionError(f"{self!r} has no column that is low")

    @property
    def lows(self) -> tuple[str, ...]:
        """The columns that are never above."""
        return (self.low,) if isinstance(self.low, str) else self.low

    @property
    def takes(self) -> tuple[str, ...]:
        """The column that becomes a difference."""
        return (self.high,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that are never above."""
        return self.lows

    def learn(self, table: pa.Table) -> "FittedLessEqual":
        """See `Rule.learn`."""
        names = (*self.lows, self.high)
        grids = tuple(Grid.of(name, column_of(table, name, self), self) for name in names)
        kinds = {grid.kind: grid for grid in grids}
        if len(kinds) > 1 and "number" not in kinds:
            one, other, *_ = kinds.values()
            raise _unlike(self, one, other)
        common(list(grids), self)
        place = table.column_names.index(self.high)
        blank = FittedLessEqual(self, place, grids, 0, 0)
        base, bound, high, there = blank.sides(table)
        alone, both = there & ~bound, there & bound
        reference = np.median(base[bound]) if bound.any() else high[there].min()
        if alone.any():
            reference = min(reference, high[alone].min())
        reference = int(reference) if blank.whole else float(reference)
        found = (high - base)[both]
        widest = found.max().item() if len(found) else 0
        return FittedLessEqual(self, place, grids, reference, max(widest, 0))


def _unlike(rule: Rule, one: Grid, other: Grid) -> OptionError:
    return OptionError(
        f"{rule!r}: {one.name!r} holds {one.storage} and {other.name!r} {other.storage}, of which "
        "neither is before the other (a time with a zone and one without, a date and a time of "
        "day); convert one of them"
    )


@dataclass(frozen=True)
class FittedLessEqual(Fitted):
    """The rule and the grids on which differences are taken.

    Attributes:
        rule: What was declared.
        place: Where the column `high` stands.
        grids: Of the lows, then of high.
        reference: What high is measured from where no low is there.
        widest: The largest difference in training.
    """

    rule: LessEqual
    place: int
    grids: tuple[Grid, ...]
    reference: int | float
    widest: int | float

    @property
    def whole(self) -> bool:
        """Whether the differences are whole numbers of ticks."""
        return all(grid.whole for grid in self.grids)

    @property
    def difference(self) -> pa.DataType:
        """The type of the column of differences."""
        if self.grids[-1].kind != "number":
            return pa.duration(UNITS[min(self._tick, 10**9)])
        return pa.int64() if self.whole and not self._decimals else pa.float64()

    @property
    def _tick(self) -> int:
        return min(grid.tick for grid in self.grids)

    @property
    def _decimals(self) -> int:
        return max(grid.decimals or 0 for grid in self.grids)

    def sides(self, table: pa.Table) -> tuple[Numeric, Booleans, Numeric, Booleans]:
        """The greatest low and where there is one, high and where it is there; in common ticks."""
        high, there = self._ticks(table, self.grids[-1])
        return (*self._base(table), high, there)

    def _base(self, table: pa.Table) -> tuple[Numeric, Booleans]:
        lows = [self._ticks(table, grid) for grid in self.grids[:-1]]
        least = -BIG if self.whole else -np.inf
        base = reduce(np.maximum, [np.where(known, low, least) for low, known in lows])
        bound = reduce(np.logical_or, [known for _, known in lows])
        return np.where(bound, base, self.reference), bound

    def _ticks(self, table: pa.Table, grid: Grid) -> tuple[Numeric, Booleans]:
        values, known = grid.read(column_of(table, grid.name, self.rule))
        if self.whole:
            return values * self._factor(grid), known
        return values / 10.0 ** (grid.decimals or 0), known

    def _factor(self, grid: Grid) -> int:
        factors = common(list(self.grids), self.rule)
        return 1 if factors is None else factors[self.grids.index(grid)]

    def check(self, table: pa.Table) -> Violation | None:
        """See `Fitted.check`."""
        base, bound, high, there = self.sides(table)
        wrong = high <= base if self.rule.strict else high < base
        names = (*self.rule.lows, self.rule.high)
        return first_violation(table, names, bound & there & wrong)

    def apply(self, table: pa.Table) -> pa.Table:
        """See `Fitted.apply`: `high` becomes the difference."""
        base, _, high, there = self.sides(table)
        apart = np.where(there, high - base, 0)
        kind = self.difference
        if pa.types.is_duration(kind):
            units = pa.array(apart * max(self._tick // 10**9, 1), mask=~there)
            values = units.cast(kind)
        elif pa.types.is_integer(kind):
            values = pa.array(apart, mask=~there)
        else:
            per_unit = 10.0**self._decimals if self.whole else 1.0
            values = pa.array(apart / per_unit, mask=~there)
        return inserted(table, self.place, self.rule.high, values)

    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:  # noqa: ARG002
        """See `Fitted.restore`."""
        column = convert(column_of(table, self.rule.high, self.rule), self.difference)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        apart = column.fill_null(0).to_numpy(zero_copy_only=False)
        if pa.types.is_duration(self.difference):
            apart = apart // max(self._tick // 10**9, 1)
        elif self.whole and apart.dtype.kind == "f":
            apart = np.rint(apart * 10.0**self._decimals).clip(-BIG, BIG).astype(np.int64)
        base, bound = self._base(table)
        values = self._whole(base, bound, apart) if self.whole else self._real(base, bound, apart)
        high = self.grids[-1]
        restored = high.write(values, there) if self.whole else self._raised(values, table, there)
        return inserted(table, self.place, self.rule.high, restored)

    def _within(self, base: Numeric, bound: Booleans, apart: Numeric, least: Any) -> Numeric:
        """base + difference, within the range of training where the lows allow it."""
        high = self.grids[-1]
        scale = self._factor(high) if self.whole else 10.0 ** -(high.decimals or 0)
        values = base + np.where(bound, apart.clip(least, max(self.widest, least)), apart)
        values = values.clip(high.low * scale, high.high * scale)
        return np.where(bound, np.maximum(values, base + least), values)

    def _whole(self, base: Numeric, bound: Booleans, apart: Numeric) -> Numeric:
        """High in its own ticks."""
        high, least = self.grids[-1], int(self.rule.strict)
        apart = apart.clip(-BIG // 2, BIG // 2)
        values = self._within(base.clip(-BIG // 2, BIG // 2), bound, apart, least)
        factor = self._factor(high)
        return cut(values, high, factor) // factor

    def _real(self, base: Numeric, bound: Booleans, apart: Numeric) -> Numeric:
        """High in its own units."""
        return self._within(base, bound, apart, 0.0)

    def _raised(self, values: Numeric, table: pa.Table, there: Booleans) -> pa.Array:
        """High as its own type, raised as little as it allows where rounding lowered it."""
        high = self.grids[-1]
        if high.whole:  # a low without a grid: up to the next value on high's
            scaled = values * 10.0 ** (high.decimals or 0)
            near = np.rint(scaled)
            fits = np.isclose(scaled, near, rtol=1e-12, atol=1e-6)
            values = np.where(fits, near, np.ceil(scaled)).clip(-BIG, BIG).astype(np.int64)
        base, bound = self._base(table)
        for _ in range(3):
            restored = high.write(values, there)
            back, _ = self._ticks(inserted(table, self.place, high.name, restored), high)
            wrong = there & bound & ((back <= base) if self.rule.strict else (back < base))
            if not wrong.any():
                break
            values = np.where(wrong, self._next(values), values)
        return restored

    def _next(self, values: Numeric) -> Numeric:
        high = self.grids[-1]
        if high.whole:
            return values + 1
        kinds = {"halffloat": np.float16, "float": np.float32}
        own: Numeric = values.astype(kinds.get(high.storage, np.float64))
        raised: Numeric = np.nextafter(own, own.dtype.type(np.inf)).astype(np.float64)
        return np.maximum(raised, np.nextafter(values, np.inf))

    def state(self) -> dict[str, Any]:
        """See `Fitted.state`."""
        return {
            "place": self.place,
            "grids": [grid.state() for grid in self.grids],
            "reference": self.reference,
            "widest": self.widest,
        }

    @classmethod
    def from_state(cls, rule: LessEqual, state: dict[str, Any]) -> Self:
        """See `Fitted.from_state`."""
        grids = tuple(Grid.from_state(grid) for grid in state["grids"])
        fitted = cls(rule, int(state["place"]), grids, state["reference"], state["widest"])
        limits = (fitted.reference, fitted.widest)
        kinds = (int,) if fitted.whole else (int, float)
        if [grid.name for grid in grids] != [*rule.lows, rule.high] or fitted.place < 0:
            raise ValueError("the grids are not those of the columns")
        fine = all(type(value) in kinds and np.isfinite(value) for value in limits)
        if not fine or not fitted.widest >= 0 or (fitted.whole and max(map(abs, limits)) >= BIG):
            raise ValueError("the differences are not what they can be")
        common(list(grids), rule)
        return fitted
