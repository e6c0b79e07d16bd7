"""Sum, Linear, Absolute: the formulas by which a column is computed from others.

    Sum        total  = p_1 + p_2 + …
    Linear     column = c_1·x_1 + c_2·x_2 + … + c_0
    Absolute   column = |x|

This module does not know how they are computed (see `sums`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from variate.errors import OptionError
from variate.table.constraints.rule import distinct_names
from variate.table.constraints.sums import Formula

__all__ = ["Absolute", "Linear", "Sum"]


@dataclass(frozen=True, repr=False)
class Sum(Formula):
    """total = the sum of parts, in every row where all are there.

    Numbers, or times: an end is the sum of a start and a duration.

    Args:
        total: The column that is taken out and computed.
        parts: The columns that are added.
        tolerance: How far training rows may be off, in the column's units: parts that were rounded
            before they were written do not add up exactly. Restored rows do.

    Raises:
        OptionError: The names are no distinct names.
    """

    total: str
    parts: tuple[str, ...]
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check the names."""
        object.__setattr__(self, "parts", _names(self.parts))
        _expect_formula(self)

    @property
    def takes(self) -> tuple[str, ...]:
        """The total."""
        return (self.total,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The parts."""
        return self.parts


@dataclass(frozen=True, repr=False)
class Linear(Formula):
    """column = coefficients · by + intercept, in every row where all are there.

    Args:
        column: The column that is taken out and computed.
        by: The columns that it is computed from.
        coefficients: What they are multiplied by, one number each.
        intercept: What is added; several numbers: one of them, the column becoming the category
            of which one.
        tolerance: How far training rows may be off, in the column's units, through rounding.

    Raises:
        OptionError: The names are no distinct names, or the numbers no numbers, one for each.
    """

    column: str
    by: tuple[str, ...]
    coefficients: tuple[float, ...] = (1.0,)
    intercept: float | tuple[float, ...] = 0.0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check names and numbers."""
        object.__setattr__(self, "by", _names(self.by))
        given = self.coefficients
        numbers = tuple(given) if isinstance(given, Sequence) else (given,)
        object.__setattr__(self, "coefficients", numbers)
        if isinstance(self.intercept, Sequence):
            object.__setattr__(self, "intercept", tuple(self.intercept))
        if len(numbers) != len(self.by):
            raise OptionError(
                f"{self!r} has {len(numbers)} coefficients for {len(self.by)} columns"
            )
        if not self.intercepts or len(set(self.intercepts)) < len(self.intercepts):
            raise OptionError(f"{self!r}: the intercepts must be distinct numbers, at least one")
        _expect_formula(self)

    @property
    def takes(self) -> tuple[str, ...]:
        """The column that is computed."""
        return (self.column,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it is computed from."""
        return self.by

    @property
    def coefficients_of(self) -> tuple[float, ...]:
        """What they are multiplied by."""
        return self.coefficients

    @property
    def intercepts(self) -> tuple[float, ...]:
        """What is added."""
        return self.intercept if isinstance(self.intercept, tuple) else (self.intercept,)


@dataclass(frozen=True, repr=False)
class Absolute(Formula):
    """column = |by|, in every row where both are there.

    Args:
        column: The column that is taken out and computed.
        by: The column whose sign is dropped.
        tolerance: How far training rows may be off, in the column's units, through rounding.

    Raises:
        OptionError: The names are no distinct names.
    """

    column: str
    by: str
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check the names."""
        _expect_formula(self)

    @property
    def takes(self) -> tuple[str, ...]:
        """The column that is computed."""
        return (self.column,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The column whose sign is dropped."""
        return (self.by,)

    @property
    def magnitude(self) -> bool:
        """It is dropped."""
        return True


def _names(given: Any) -> tuple[str, ...]:
    """One name or several, as several."""
    return (given,) if isinstance(given, str) else tuple(given)


def _expect_formula(rule: Formula) -> None:
    """Refuse what is no formula."""
    distinct_names(rule, (*rule.takes, *rule.reads))
    if not rule.reads:
        raise OptionError(f"{rule!r} has no column to compute from")
    numbers = (*rule.coefficients_of, *rule.intercepts, rule.tolerance)
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
        raise OptionError(f"{rule!r}: coefficients, intercepts and tolerance must be numbers")
    if rule.tolerance < 0:
        raise OptionError(f"{rule!r}: the tolerance must not be negative")
