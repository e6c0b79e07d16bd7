"""What every constraint is: a declaration, and what it becomes on a table.

    Rule      what the user declares: names of columns, nothing else
    Fitted    the rule with what it learned from a table (grids, levels, the highest key)

A fitted rule is a reversible transform of Arrow tables. `apply` gives what a model is trained on:
columns that follow from others are taken out or expressed anew, so that no value of what is left
can break the rule. `restore` puts the columns back, in their places and of their types:

    restore(apply(rows)) = rows     for rows that obey
    check(restore(any)) = None      for any values of the columns of apply(rows)

A rule `takes` the columns that it takes out or expresses anew, and `reads` those that it needs to
put them back.

This module does not know any rule.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.errors import DataError, OptionError, SchemaError

__all__ = [
    "Fitted",
    "Rule",
    "Violation",
    "column_of",
    "distinct_names",
    "first_violation",
    "free_name",
    "inserted",
    "without",
]

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Violation:
    """Rows that break a rule.

    Attributes:
        row: The first of them, counted from 0.
        values: What that row holds in the columns of the rule.
        rows: How many there are.
        detail: What in particular is wrong, where the values alone do not say it.
    """

    row: int
    values: dict[str, Any]
    rows: int
    detail: str = ""

    def __str__(self) -> str:
        """The row and its values."""
        held = ", ".join(f"{name!r} is {value!r:.60}" for name, value in self.values.items())
        detail = f" ({self.detail})" if self.detail else ""
        return f"row {self.row} (counted from 0): {held}{detail}"


class Rule(ABC):
    """A declared constraint: a frozen dataclass of names and numbers."""

    @property
    @abstractmethod
    def takes(self) -> tuple[str, ...]:
        """The columns that are taken out or expressed anew."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns from which they are put back."""
        return ()

    @abstractmethod
    def learn(self, table: pa.Table) -> "Fitted":
        """The rule with what it needs to know of the table, whose rows need not obey.

        Raises:
            SchemaError: A column is not there.
            DataError: The columns are of types that the rule has no meaning for.
        """

    def check(self, table: pa.Table) -> Violation | None:
        """The first row that breaks the rule, or None."""
        return self.learn(table).check(table)

    def fit(self, table: pa.Table) -> "Fitted":
        """As `learn`, of rows that must obey.

        Raises:
            SchemaError: A column is not there.
            DataError: A row breaks the rule, or the rule has no meaning for the columns.
        """
        fitted = self.learn(table)
        found = fitted.check(table)
        if found is not None:
            more = f"; {found.rows:,} rows break it" if found.rows > 1 else ""
            raise DataError(
                f"the constraint {self!r} does not hold in {found}{more}. Correct the rows, make "
                "the values missing, or leave the constraint out."
            )
        return fitted

    def __repr__(self) -> str:
        """The line of Python that declares it."""
        parts = []
        for field in fields(self):  # type: ignore[arg-type]  # every rule is a dataclass
            value = getattr(self, field.name)
            if field.default is MISSING:
                parts.append(repr(value))
            elif value != field.default:
                parts.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


class Fitted(ABC):
    """A rule and what it learned.

    Attributes:
        rule: What was declared, a Rule.
    """

    rule: Any

    @abstractmethod
    def check(self, table: pa.Table) -> Violation | None:
        """The first row of a table in the user's columns that breaks the rule, or None."""

    @abstractmethod
    def apply(self, table: pa.Table) -> pa.Table:
        """The table that a model is trained on.

        Raises:
            SchemaError: A column is missing, has another type, or values that training had not.
        """

    @abstractmethod
    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:
        """The user's columns, in rows that all obey.

        Args:
            table: What `apply` gives, or rows with its columns.
            seed: Repeats what is drawn (keys).
            first: How many rows of the same call have been restored already.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""

    @classmethod
    @abstractmethod
    def from_state(cls, rule: Any, state: dict[str, Any]) -> "Fitted":
        """A rule with what `state` kept.

        Raises:
            ValueError: It is damaged (or KeyError, TypeError, an Arrow exception).
        """


# -- columns of Arrow tables --------------------------------------------------------------------


def column_of(table: pa.Table, name: str, rule: Rule) -> pa.ChunkedArray:
    """A column that the rule needs."""
    if name not in table.column_names:
        raise SchemaError(
            f"the constraint {rule!r} needs the column {name!r}, which the table does not have; "
            f"it has {', '.join(map(repr, table.column_names))}"
        )
    return table.column(name)


def inserted(table: pa.Table, place: int, name: str, values: Any) -> pa.Table:
    """The table with a column at its place, instead of one of that name if there is one."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.add_column(min(place, table.num_columns), name, values)


def without(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table without these columns, which need not be there. The rows stay."""
    return table.select([name for name in table.column_names if name not in names])


def free_name(table: pa.Table, name: str) -> str:
    """The name, with primes until no column of the table has it."""
    while name in table.column_names:
        name += "'"
    return name


def first_violation(
    table: pa.Table, names: Sequence[str], bad: Booleans, detail: str = ""
) -> Violation | None:
    """What the first row marked as bad holds in the columns."""
    if not bad.any():
        return None
    row = int(bad.argmax())
    values = {name: table.column(name)[row].as_py() for name in names}
    return Violation(row, values, int(bad.sum()), detail)


def distinct_names(rule: Rule, names: Sequence[Any]) -> None:
    """Refuse names that are not text, or one that is given twice.

    Raises:
        OptionError: They are not names of distinct columns.
    """
    if not all(isinstance(name, str) for name in names):
        raise OptionError(f"{rule!r}: the names of columns must be text")
    if len(set(names)) < len(names):
        raise OptionError(f"{rule!r} names a column twice")
