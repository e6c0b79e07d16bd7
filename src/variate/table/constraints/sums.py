"""A column that is computed from others, and how.

    column = c_1·x_1 + c_2·x_2 + … + c_0        or the magnitude of that

The column is taken out and computed again, rounded to the precision that it is recorded to. Where
all coefficients are whole and all columns lie on grids, this is done in whole numbers; otherwise in
floating point. A training row obeys if the column is what would be computed from the row, give or
take half a unit of a coarser recording and the `tolerance` of the rule.

What cannot be computed is kept: where a column that is read is missing, the value itself (of
training rows that have such values); where the column is missing although all others are there,
that it is. There may be several c_0 (rates that sum to one, or to zero where there is nothing to
rate): the column then becomes the category of which of them applies.

This module does not know whether a computed value lies within the range of training.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError
from variate.table.constraints.grid import BIG, Grid, Numeric, common
from variate.table.constraints.rule import (
    Fitted,
    Rule,
    Violation,
    column_of,
    first_violation,
    free_name,
    inserted,
    without,
)

__all__ = ["FittedFormula", "Formula"]

Booleans = NDArray[np.bool_]
ROUNDING = 1e-9  # of the numbers that are added: what floating point may do to a sum


class Formula(Rule):
    """A rule of one column that is computed from others."""

    tolerance: float

    @property
    def computed(self) -> str:
        """The column."""
        return self.takes[0]

    @property
    def coefficients_of(self) -> tuple[float, ...]:
        """What each column that is read is multiplied by."""
        return (1.0,) * len(self.reads)

    @property
    def intercepts(self) -> tuple[float, ...]:
        """What is added."""
        return (0.0,)

    @property
    def magnitude(self) -> bool:
        """Whether the sign of the result is dropped."""
        return False

    def learn(self, table: pa.Table) -> "FittedFormula":
        """See `Rule.learn`."""
        names = (self.computed, *self.reads)
        grids = tuple(Grid.of(name, column_of(table, name, self), self) for name in names)
        common(list(grids), self)
        _expect_times(self, grids)
        place = table.column_names.index(self.computed)
        blank = FittedFormula(self, place, grids, flag=None, kept=False)
        _, there = grids[0].read(table.column(self.computed))
        _, known = blank.sums(table)
        flag = free_name(table, f"{self.computed} is missing")
        kept = bool((there & ~known).any())
        if kept and len(self.intercepts) > 1:
            row = int((there & ~known).argmax())
            raise DataError(
                f"{self!r}: in row {row} (counted from 0) {self.computed!r} has the value "
                f"{table.column(self.computed)[row].as_py()!r} while a column that it follows from "
                "has none; with several intercepts such a row cannot be kept. Make it missing."
            )
        gaps = bool((known & ~there).any()) and len(self.intercepts) == 1
        return FittedFormula(self, place, grids, flag=flag if gaps else None, kept=kept)


def _expect_times(rule: Formula, grids: tuple[Grid, ...]) -> None:
    """Times are added as durations, moments are not."""
    kinds = [grid.kind for grid in grids]
    if "number" in kinds:
        return
    points = [kind for kind in kinds[1:] if kind != "span"]
    balance = sum(
        c for c, kind in zip(rule.coefficients_of, kinds[1:], strict=True) if kind != "span"
    )
    meant = 0.0 if kinds[0] == "span" else 1.0
    if balance != meant or rule.magnitude or not {*points} <= {kinds[0], "span", *points[:1]}:
        raise DataError(
            f"{rule!r}: columns of the types {', '.join(grid.storage for grid in grids)} do not "
            "add up; an end is a start and a duration, a duration the difference of two times."
        )


@dataclass(frozen=True)
class FittedFormula(Fitted):
    """The rule and the grids on which it is computed.

    Attributes:
        rule: What was declared.
        place: Where the column stands.
        grids: Of the column, then of those that are read.
        flag: The column that says where a value is missing that could be computed, if any is.
        kept: Whether values that cannot be computed are kept.
    """

    rule: Formula
    place: int
    grids: tuple[Grid, ...]
    flag: str | None
    kept: bool

    def sums(self, table: pa.Table) -> tuple[Numeric, Booleans]:
        """What is computed before the intercept, in the column's own ticks, and where.

        Without a grid, and where rounding is needed, these are floating point numbers.
        """
        sides = [grid.read(column_of(table, grid.name, self.rule)) for grid in self.grids[1:]]
        known = np.logical_and.reduce([there for _, there in sides])
        factors, coefficients = self._factors(), self.rule.coefficients_of
        if factors is not None and all(float(c).is_integer() for c in coefficients):
            total: Numeric = np.zeros(len(known), np.int64)
            for (values, _), factor, c in zip(sides, factors[1:], coefficients, strict=True):
                total += values * (factor * int(c))
            whole, rest = np.divmod(total, factors[0])
            exact = whole if not rest.any() else total / factors[0]
            return (np.abs(exact) if self.rule.magnitude else exact), known
        real = np.zeros(len(known))
        for (values, _), grid, c in zip(sides, self.grids[1:], coefficients, strict=True):
            real += values * c * _unit(grid) / _unit(self.grids[0])
        return (np.abs(real) if self.rule.magnitude else real), known

    def _factors(self) -> list[int] | None:
        factors = common(list(self.grids), self.rule)
        if factors is None:
            return None
        heaviest = max(abs(c) for c in self.rule.coefficients_of)
        reach = sum(
            max(abs(g.low), abs(g.high)) * f for g, f in zip(self.grids, factors, strict=True)
        )
        return factors if reach * heaviest < BIG / 4 else None

    def _candidates(self, sums: Numeric) -> list[Numeric]:
        """The column in its own ticks, for each intercept."""
        column = self.grids[0]
        found = []
        for intercept in self.rule.intercepts:
            shift = intercept / _unit(column)
            if sums.dtype.kind == "i" and float(shift).is_integer() and abs(shift) < BIG:
                found.append(sums + int(shift))
                continue
            values = sums + shift
            if column.whole:  # 0.1 · 3 is 0.30000000000000004: the tie is decided after that
                values = np.rint(np.round(values, 6)).clip(-BIG, BIG).astype(np.int64)
            found.append(values)
        return found

    def _errors(self, sums: Numeric, have: Numeric) -> Numeric:
        """How far the column is off, for each intercept, beyond what rounding explains."""
        column, magnitude = self.grids[0], np.abs(have) + np.abs(sums)
        found = []
        for intercept, value in zip(self.rule.intercepts, self._candidates(sums), strict=True):
            shift = intercept / _unit(column)
            off = np.abs(have - value).astype(np.float64)
            if column.whole:  # a tie may have been rounded either way
                tie = np.abs(sums + shift - have) <= 0.5 * (1 + ROUNDING)
                off = np.where(tie, 0.0, off)
            slack = self.rule.tolerance / _unit(column) * (1 + ROUNDING)
            rounding = 0.0 if column.whole else ROUNDING * (magnitude + abs(shift))
            found.append(np.maximum(off - slack - rounding, 0.0))
        return np.stack(found)

    def check(self, table: pa.Table) -> Violation | None:
        """See `Fitted.check`."""
        have, there = self.grids[0].read(column_of(table, self.rule.computed, self.rule))
        sums, known = self.sums(table)
        bad = there & known & (self._errors(sums, have) > 0).all(0)
        found = first_violation(table, (self.rule.computed, *self.rule.reads), bad)
        if found is None:
            return None
        row = slice(found.row, found.row + 1)
        sums, _ = self.sums(table.slice(found.row, 1))
        likely = self.grids[0].write(self._candidates(sums)[0], np.ones(1, bool))[0].as_py()
        off = float((have[row] - self._candidates(sums)[0])[0]) * _unit(self.grids[0])
        detail = f"{likely!r} would follow from the others"
        if self.grids[0].kind == "number" and self.rule.tolerance == 0:
            rounding = f"; tolerance={abs(off):.2g} allows for such rounding"
            detail += rounding if abs(off) < 1e-3 else ""
        return Violation(found.row, found.values, found.rows, detail)

    def apply(self, table: pa.Table) -> pa.Table:
        """See `Fitted.apply`: the column is taken out."""
        name = self.rule.computed
        column = column_of(table, name, self.rule)
        have, there = self.grids[0].read(column)
        sums, known = self.sums(table)
        if len(self.rule.intercepts) > 1:
            which = np.abs(np.stack(self._candidates(sums)) - have).argmin(0)
            return inserted(table, self.place, name, self._category(which, there & known))
        left = without(table, [name])
        if self.kept:
            exception = pa.array(there & ~known)
            left = inserted(left, self.place, name, pc.if_else(exception, column, None))
        if self.flag is not None:
            left = inserted(left, left.num_columns, self.flag, pa.array(known & ~there))
        return left

    def _category(self, which: NDArray[Any], known: Booleans) -> pa.Array:
        levels = pa.array([repr(float(intercept)) for intercept in self.rule.intercepts])
        codes = pa.array(which.astype(np.int32), mask=~known)
        return pa.DictionaryArray.from_arrays(codes, levels)

    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:  # noqa: ARG002
        """See `Fitted.restore`."""
        name, column = self.rule.computed, self.grids[0]
        sums, known = self.sums(table)
        if len(self.rule.intercepts) > 1:
            values, chosen = self._chosen(table, sums)
            known &= chosen
        else:
            values = self._candidates(sums)[0]
        if self.flag is not None and self.flag in table.column_names:
            missing = pc.equal(table.column(self.flag).cast(pa.string()), "true")
            known &= ~pc.fill_null(missing, False).to_numpy().astype(bool)  # noqa: FBT003
            table = without(table, [self.flag])
        restored = column.write(values, known)
        if self.kept and name in table.column_names and len(self.rule.intercepts) == 1:
            computable = self.sums(table)[1]
            spare = pa.chunked_array(table.column(name)).combine_chunks()
            restored = pc.if_else(pa.array(computable), restored, spare.cast(restored.type))
        return inserted(table, self.place, name, restored)

    def _chosen(self, table: pa.Table, sums: Numeric) -> tuple[Numeric, Booleans]:
        """The value by the modelled intercept, or by one that keeps it in the range of training."""
        text = column_of(table, self.rule.computed, self.rule).cast(pa.string())
        levels = pa.array([repr(float(intercept)) for intercept in self.rule.intercepts])
        codes = pc.index_in(text, value_set=levels).combine_chunks()
        chosen = codes.is_valid().to_numpy(zero_copy_only=False)
        wanted = codes.fill_null(0).to_numpy(zero_copy_only=False)
        candidates, column = np.stack(self._candidates(sums)), self.grids[0]
        outside = np.maximum(column.low - candidates, candidates - column.high).clip(0)
        outside = outside.astype(np.float64)
        rows = np.arange(len(sums))
        fine = outside[wanted, rows] <= 0
        best = np.where(fine, wanted, outside.argmin(0))
        return candidates[best, rows], chosen

    def state(self) -> dict[str, Any]:
        """See `Fitted.state`."""
        return {
            "place": self.place,
            "grids": [grid.state() for grid in self.grids],
            "flag": self.flag,
            "kept": self.kept,
        }

    @classmethod
    def from_state(cls, rule: Formula, state: dict[str, Any]) -> Self:
        """See `Fitted.from_state`."""
        grids = tuple(Grid.from_state(grid) for grid in state["grids"])
        fitted = cls(rule, int(state["place"]), grids, state["flag"], state["kept"])
        if [grid.name for grid in grids] != [rule.computed, *rule.reads] or fitted.place < 0:
            raise ValueError("the grids are not those of the columns")
        if fitted.kept not in (True, False) or not isinstance(fitted.flag, str | None):
            raise ValueError("what is kept is neither true nor false")
        common(list(grids), rule)
        return fitted


def _unit(grid: Grid) -> float:
    """A tick in the column's own units, seconds for times."""
    return grid.tick / 1e9 if grid.kind != "number" else 10.0 ** -(grid.decimals or 0)
