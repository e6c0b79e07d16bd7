"""What a user asks of the rows to be drawn, as what each column may be.

    given={"sex": "Female"}                     a value; None for a missing one
    given={"city": {"Basel", "Zug"}}            one of several, as a set or a list
    given={"age": Between(30, 40)}              a range, both ends included; either may be left out

A condition is checked against the schema before anything is drawn: a level that was never seen, or
a range in which nothing lies, is an error that says what there is.

This module does not know how the rows are drawn.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from variate.distributions import Allowed
from variate.errors import DataError, DataWarning, OptionError
from variate.table import columns as column_codec
from variate.table.conditional import Conditional
from variate.table.schema import NUMBER, ColumnSchema, TableSchema

__all__ = [
    "Between",
    "allowed_columns",
    "allowed_values",
    "expect_enough",
    "read_conditions",
]


@dataclass(frozen=True)
class Between:
    """A range of numbers, dates or times, both ends included.

    Attributes:
        low: The least; None: no limit.
        high: The largest; None: no limit.
    """

    low: Any = None
    high: Any = None


def allowed_columns(
    given: Mapping[str, Any], schema: TableSchema, also: Sequence[str] = ()
) -> dict[int, Allowed]:
    """What the columns that are asked about may be, by their position among the modelled ones.

    Args:
        given: What is asked.
        schema: The columns.
        also: Names of columns that could be asked about as well.

    Raises:
        OptionError: A column is not there, or the condition can never be met.
    """
    if not isinstance(given, Mapping):
        raise OptionError(
            f"given must be a mapping from columns to what they shall be, got {given!r:.80}; "
            'for example given={"sex": "Female"}.'
        )
    modelled = {column.name: i for i, column in enumerate(schema.modelled)}
    columns = {column.name: column for column in schema.columns}
    found: dict[int, Allowed] = {}
    for name, wanted in given.items():
        if str(name) not in columns:
            raise OptionError(
                f"given names the column {name!r}, which the model does not have; it has "
                f"{', '.join(map(repr, [*columns, *also]))}."
            )
        column = columns[str(name)]
        if column.modelled:
            found[modelled[column.name]] = allowed_values(wanted, column)
        elif not _is_constant(wanted, column):
            raise OptionError(
                f"given={{{name!r}: {wanted!r:.60}}}: the column holds {column.describe()}, so "
                "there is nothing to choose."
            )
    return found


def read_conditions(texts: Sequence[str], schema: TableSchema) -> dict[str, Any]:
    """Conditions written as COLUMN=VALUE, COLUMN=A|B or COLUMN=LOW..HIGH, in the columns' types.

    An empty value is a missing one; either end of a range may be left out.

    Raises:
        OptionError: A text is written otherwise, or a value does not suit its column.
    """
    columns = {column.name: column for column in schema.columns}
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or name not in columns:
            raise OptionError(
                f"--given takes COLUMN=VALUE, COLUMN=A|B or COLUMN=LOW..HIGH, got {text!r}; the "
                f"columns are {', '.join(map(repr, columns))}."
            )
        column = columns[name]
        if column.kind in NUMBER and ".." in value:
            low, _, high = value.partition("..")
            found[name] = Between(_typed(low, column), _typed(high, column))
        else:
            found[name] = [_typed(part, column) for part in value.split("|")]
    return found


def _typed(text: str, column: ColumnSchema) -> Any:
    """A value as its column has it; None for no text."""
    if not text:
        return None
    values = column.levels or ((column.value,) if column.value is not None else ())
    for level in values:
        if text == str(level) or text.lower() == str(level).lower():
            return level
    try:
        if column.kind == "datetime":
            return datetime.fromisoformat(text)
        if column.kind in NUMBER:
            return float(text) if set(text.lower()) & set(".en") else int(text)
    except ValueError as error:
        raise OptionError(
            f"--given {column.name}={text}: column {column.name!r} holds {column.describe()}."
        ) from error
    return text


def expect_enough(found: Conditional, n: int, given: Mapping[str, Any]) -> None:
    """Say so where a condition is hardly ever met.

    Raises:
        OptionError: It was met by no row.
    """
    shown = ", ".join(f"{name}={wanted!r:.60}" for name, wanted in given.items())
    if not len(found.x):
        raise OptionError(
            f"given {shown}: the model draws no such row, for the values were never seen together. "
            "Leave out one of the conditions."
        )
    if found.effective < n / 2:
        warnings.warn(
            f"given {shown}: the condition has a probability of about "
            f"{math.exp(min(found.log_probability, 0.0)):.1g} under the model; the {n:,} rows grew "
            f"from about {max(1, round(found.effective)):,} different beginnings and vary less "
            "than they should",
            DataWarning,
            stacklevel=5,
        )


def allowed_values(wanted: Any, column: ColumnSchema) -> Allowed:
    """What one column may be.

    Raises:
        OptionError: The condition can never be met.
    """
    if isinstance(wanted, Between):
        return _range(wanted, column)
    several = isinstance(wanted, set | frozenset | list | tuple | np.ndarray)
    values = list(wanted) if several else [wanted]
    if not values:
        raise OptionError(f"given for column {column.name!r} is empty; name a value at least.")
    present = [value for value in values if not _is_missing(value)]
    gap = len(present) < len(values)
    if gap and not column.missing:
        raise OptionError(
            f"given asks for a missing value of column {column.name!r}, which had none in training."
        )
    codes = tuple(dict.fromkeys(_code(value, column) for value in present))
    return Allowed(values=codes, gap=gap)


def _range(wanted: Between, column: ColumnSchema) -> Allowed:
    if column.kind not in NUMBER:
        raise OptionError(
            f"given asks for a range of column {column.name!r}, which is a {column.kind}; name "
            f"the levels instead: {column.describe()}."
        )
    assert column.low is not None
    assert column.high is not None
    low = -math.inf if wanted.low is None else _number(wanted.low, column)
    high = math.inf if wanted.high is None else _number(wanted.high, column)
    if low > high or high < column.low or low > column.high:
        raise OptionError(
            f"given={{{column.name!r}: {wanted}}} holds nothing: the column holds "
            f"{column.describe()}."
        )
    return Allowed(low=max(low, column.low), high=min(high, column.high))


def _code(value: Any, column: ColumnSchema) -> float:
    """The value as x."""
    x = _number(value, column)
    if column.kind in NUMBER:
        assert column.low is not None
        assert column.high is not None
        if not column.low <= x <= column.high or (column.closed and x not in column.atoms):
            raise OptionError(
                f"given asks for {value!r} in column {column.name!r}, which was never seen there: "
                f"it holds {column.describe()}."
            )
    return x


def _number(value: Any, column: ColumnSchema) -> float:
    try:
        x, _ = column_codec.encode(pa.chunked_array([pa.array([_plain(value)])]), column)
    except (DataError, pa.ArrowException) as error:
        raise OptionError(
            f"given asks for {value!r:.60} in column {column.name!r}, which holds "
            f"{column.describe()} ({error})"
        ) from error
    return float(x[0])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "NaT"


def _is_constant(wanted: Any, column: ColumnSchema) -> bool:
    if column.kind == "missing":
        return _is_missing(wanted)
    values: Sequence[Any] = list(wanted) if isinstance(wanted, set | list | tuple) else [wanted]
    return any(value == column.value for value in values)
