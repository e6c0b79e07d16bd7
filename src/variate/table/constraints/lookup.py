"""Determined: a column that is a function of others, looked up.

Missing is a value of its own, and may determine something. What `by` never was in training (a
number between two, two categories that never met) determines what the nearest number determines, or
else the most common value: always the same, so that the column stays a function of `by`.

What was seen is kept, value by value, and is in the model file: the rule is for things that
everybody may know (codes and their names, towns and their countries), not for what singles out a
person.

This module does not know formulas.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.errors import DataError, OptionError
from variate.table.constraints import values
from variate.table.constraints.rule import (
    Fitted,
    Rule,
    Violation,
    column_of,
    distinct_names,
    first_violation,
    inserted,
    without,
)
from variate.table.constraints.values import Codes, Values

__all__ = ["Determined", "FittedLookup"]


@dataclass(frozen=True, repr=False)
class Determined(Rule):
    """column is a function of `by`: a code and its name, a town and its country.

    The column is taken out and looked up. Where it can be computed, `Linear`, `Sum` and `Absolute`
    need no table to look up.

    Args:
        column: The column that follows.
        by: The column that it follows from, or several.

    Raises:
        OptionError: The names are no distinct names.
    """

    column: str
    by: str | tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the names."""
        if not isinstance(self.by, str):
            object.__setattr__(self, "by", tuple(self.by))
        distinct_names(self, (self.column, *self.reads))
        if not self.reads:
            raise OptionError(f"{self!r} has no column that determines")

    @property
    def takes(self) -> tuple[str, ...]:
        """The column that follows."""
        return (self.column,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it follows from."""
        return (self.by,) if isinstance(self.by, str) else self.by

    def learn(self, table: pa.Table) -> "FittedLookup":
        """See `Rule.learn`."""
        names = (self.column, *self.reads)
        column, *by = (
            Values.of(name, column_of(table, name, self), self, values.MOST_LOOKED_UP)
            for name in names
        )
        codes = column.codes(table.column(self.column))
        joint = values.joint([side.codes(table.column(side.name)) for side in by], by, self)
        seen, rows = np.unique(joint, return_index=True)
        if not 0 < len(seen) <= values.MOST_LOOKED_UP:
            raise DataError(
                f"{self!r}: {', '.join(map(repr, self.reads))} has {len(seen):,} distinct values; "
                f"from 1 to {values.MOST_LOOKED_UP:,} can be looked up. Where the column can be "
                "computed, use Linear; or leave the constraint out."
            )
        usual = int(np.bincount(codes).argmax())
        place = table.column_names.index(self.column)
        found = tuple(codes[rows].tolist())
        return FittedLookup(self, place, (column, *by), tuple(seen.tolist()), found, usual)


@dataclass(frozen=True)
class FittedLookup(Fitted):
    """The rule and the table in which values are looked up.

    Attributes:
        rule: What was declared.
        place: Where the column stands.
        columns: The values of the column, then of those that determine it.
        seen: The combinations of these, each as one number.
        found: The number of the value that each determines.
        usual: The number of the most common value.
    """

    rule: Determined
    place: int
    columns: tuple[Values, ...]
    seen: tuple[int, ...]
    found: tuple[int, ...]
    usual: int

    def _codes(self, table: pa.Table) -> tuple[Codes, NDArray[np.bool_]]:
        """The value that is determined, and whether the table says so."""
        by = self.columns[1:]
        columns = [column_of(table, side.name, self.rule) for side in by]
        codes = [side.codes(column) for side, column in zip(by, columns, strict=True)]
        where = values.found(values.joint(codes, by, self.rule), np.array(self.seen))
        known = where >= 0
        if not known.all() and len(by) == 1 and by[0].numeric and by[0].values:
            near = values.found(by[0].nearest(columns[0]), np.array(self.seen))
            where = np.where(known, where, near)
        return np.where(where >= 0, np.array(self.found)[where], self.usual), known

    def check(self, table: pa.Table) -> Violation | None:
        """See `Fitted.check`."""
        meant, known = self._codes(table)
        column = self.columns[0]
        bad = known & (meant != column.codes(column_of(table, column.name, self.rule)))
        found = first_violation(table, (*self.rule.reads, column.name), bad)
        if found is None:
            return None
        other = column.take(meant[found.row : found.row + 1])[0].as_py()
        detail = f"other rows with the same {', '.join(map(repr, self.rule.reads))} have {other!r}"
        return Violation(found.row, found.values, found.rows, detail)

    def apply(self, table: pa.Table) -> pa.Table:
        """See `Fitted.apply`: the column is taken out."""
        return without(table, [self.rule.column])

    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:  # noqa: ARG002
        """See `Fitted.restore`."""
        codes, _ = self._codes(table)
        return inserted(table, self.place, self.rule.column, self.columns[0].take(codes))

    def state(self) -> dict[str, Any]:
        """See `Fitted.state`."""
        return {
            "place": self.place,
            "columns": [column.state() for column in self.columns],
            "seen": list(self.seen),
            "found": list(self.found),
            "usual": self.usual,
        }

    @classmethod
    def from_state(cls, rule: Determined, state: dict[str, Any]) -> Self:
        """See `Fitted.from_state`."""
        columns = tuple(Values.from_state(column) for column in state["columns"])
        seen = tuple(values.seen(state["seen"], columns[1:]).tolist())
        codes = [*state["found"], state["usual"]]
        levels, place = len(columns[0].values) + 1, int(state["place"])
        fine = [c.name for c in columns] == [rule.column, *rule.reads] and place >= 0
        fine = fine and len(codes) == len(seen) + 1
        if not (fine and all(type(code) is int and 0 <= code < levels for code in codes)):
            raise ValueError("the values to look up are damaged")
        return cls(rule, place, columns, seen, tuple(codes[:-1]), codes[-1])
