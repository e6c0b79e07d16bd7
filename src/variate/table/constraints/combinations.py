"""FixedCombinations: values that only occur together, as one joint category.

Missing is a value of its own: (Paris, missing) is a combination.

What was seen is kept, value by value, and is in the model file: the rule is for things that
everybody may know (towns and countries, makes and models), not for what singles out a person.

This module does not know how likely a combination is.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from variate.errors import DataError, OptionError, SchemaError
from variate.table.constraints import values
from variate.table.constraints.rule import (
    Fitted,
    Rule,
    Violation,
    column_of,
    distinct_names,
    first_violation,
    free_name,
    inserted,
    without,
)
from variate.table.constraints.values import Codes, Values
from variate.table.storage import plain

__all__ = ["MOST", "FittedCombinations", "FixedCombinations"]

MOST = 5_000  # combinations: as many levels as a category may have


@dataclass(frozen=True, repr=False)
class FixedCombinations(Rule):
    """Only combinations of values that were seen: town and country, make and model.

    The columns are modelled as one joint category.

    Args:
        columns: Two columns or more, of few values each.

    Raises:
        OptionError: These are no two distinct names.
    """

    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the names."""
        object.__setattr__(self, "columns", tuple(self.columns))
        distinct_names(self, self.columns)
        if len(self.columns) < 2:
            raise OptionError(f"{self!r}: a combination has two columns or more")

    @property
    def takes(self) -> tuple[str, ...]:
        """All of the columns."""
        return self.columns

    def learn(self, table: pa.Table) -> "FittedCombinations":
        """See `Rule.learn`."""
        columns = [Values.of(n, column_of(table, n, self), self, MOST) for n in self.columns]
        codes = [column.codes(table.column(column.name)) for column in columns]
        seen, counts = np.unique(values.joint(codes, columns, self), return_counts=True)
        if len(seen) > MOST:
            raise DataError(
                f"{self!r}: the columns have {len(seen):,} distinct combinations, and a category "
                f"can have at most {MOST:,}. Group rare values, or give fewer columns; where one "
                "column follows from others, Determined keeps that without a limit as low."
            )
        if not len(seen):
            raise DataError(f"{self!r}: there are no rows to see combinations in.")
        joint = free_name(without(table, self.columns), " × ".join(self.columns))
        places = tuple(table.column_names.index(name) for name in self.columns)
        common = seen[np.argsort(-counts, kind="stable")]
        return FittedCombinations(self, joint, places, tuple(columns), tuple(common.tolist()))


@dataclass(frozen=True)
class FittedCombinations(Fitted):
    """The rule and the combinations seen.

    Attributes:
        rule: What was declared.
        joint: The name of the joint column.
        places: Where the columns stand.
        columns: Their values.
        seen: The combinations, the most common first, each as one number.
    """

    rule: FixedCombinations
    joint: str
    places: tuple[int, ...]
    columns: tuple[Values, ...]
    seen: tuple[int, ...]

    @property
    def labels(self) -> list[str]:
        """The levels of the joint column, one for each combination."""
        parts = values.split(np.array(self.seen), self.columns)
        texts = [[*map(str, column.values), "missing"] for column in self.columns]
        labels: dict[str, None] = {}
        for codes in zip(*parts, strict=True):
            label = " | ".join(text[code] for text, code in zip(texts, codes, strict=True))
            while label in labels:
                label += "'"
            labels[label] = None
        return list(labels)

    def _codes(self, table: pa.Table) -> Codes:
        codes = [c.codes(column_of(table, c.name, self.rule)) for c in self.columns]
        return values.found(values.joint(codes, self.columns, self.rule), np.array(self.seen))

    def check(self, table: pa.Table) -> Violation | None:
        """See `Fitted.check`."""
        detail = "a combination that was not seen"
        return first_violation(table, self.rule.columns, self._codes(table) < 0, detail)

    def apply(self, table: pa.Table) -> pa.Table:
        """See `Fitted.apply`: one category instead of the columns."""
        codes = self._codes(table)
        unseen = first_violation(table, self.rule.columns, codes < 0)
        if unseen is not None:
            raise SchemaError(f"{self.rule!r}: training had no such combination as {unseen}")
        labels = pa.array(self.labels, pa.string())
        joint = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), labels)
        left = without(table, self.rule.columns)
        return inserted(left, min(self.places), self.joint, joint)

    def restore(self, table: pa.Table, *, seed: int = 0, first: int = 0) -> pa.Table:  # noqa: ARG002
        """See `Fitted.restore`; what is no combination becomes the most common one."""
        text = plain(column_of(table, self.joint, self.rule))
        codes = pc.index_in(text, value_set=pa.array(self.labels, text.type)).fill_null(0)
        seen = np.array(self.seen)[codes.to_numpy(zero_copy_only=False)]
        left = without(table, [self.joint])
        parts = values.split(seen, self.columns)
        for place, column, part in sorted(
            zip(self.places, self.columns, parts, strict=True), key=lambda item: item[0]
        ):
            left = inserted(left, place, column.name, column.take(part))
        return left

    def state(self) -> dict[str, Any]:
        """See `Fitted.state`."""
        return {
            "joint": self.joint,
            "places": list(self.places),
            "columns": [column.state() for column in self.columns],
            "seen": list(self.seen),
        }

    @classmethod
    def from_state(cls, rule: FixedCombinations, state: dict[str, Any]) -> Self:
        """See `Fitted.from_state`."""
        columns = tuple(Values.from_state(column) for column in state["columns"])
        seen = tuple(values.seen(state["seen"], columns).tolist())
        places = tuple(map(int, state["places"]))
        fine = [c.name for c in columns] == [*rule.columns] and len(places) == len(columns)
        if not (
            fine and isinstance(state["joint"], str) and len(seen) <= MOST and min(places) >= 0
        ):
            raise ValueError("the columns are not those of the rule")
        return cls(rule, state["joint"], places, columns, seen)
