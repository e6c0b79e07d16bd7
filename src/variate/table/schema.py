"""What is known of a table's columns: enough to turn rows into x and back, exactly.

    ColumnSchema  one column: its kind, its type, and what its kind needs
    TableSchema   all columns, in the caller's order, and those that were left out

A modelled number v of the caller's is x = (v - origin) / ticks in the tensor, where ticks is 1 but
for dates and times: there v counts the storage's unit (microseconds, say) and x the unit that the
column is recorded to (days, say). On a grid, x lies on the multiples of `step`.

Everything is plain: `to_json` gives JSON-able values, `from_json` checks them, since they may come
from a model file of any origin.

This module does not know how a schema is inferred, nor how a column is encoded.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

import pyarrow as pa

from variate.errors import ModelFileError
from variate.table.digits import MOST_DIGITS, MOST_PLACES
from variate.table.storage import (
    TEMPORAL,
    Scalar,
    family,
    parse_type,
    scalar_array,
    ticks_per_second,
)

__all__ = ["KINDS", "NUMBER", "SOURCES", "UNITS", "ColumnSchema", "Dropped", "TableSchema"]

KINDS = ("continuous", "integer", "boolean", "category", "datetime", "constant", "missing")
NUMBER = ("continuous", "integer", "datetime")
SOURCES = ("pandas", "polars", "pyarrow", "numpy")

UNITS = {  # seconds
    "day": 86_400.0,
    "hour": 3_600.0,
    "minute": 60.0,
    "second": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}


@dataclass(frozen=True)
class ColumnSchema:
    """One column.

    Attributes:
        name: Its name.
        kind: "continuous", "integer", "boolean", "category" or "datetime"; "constant" (one value,
            never missing) and "missing" (no value at all) are carried, but are not part of x.
        dtype: The caller's type as text, restored on decoding.
        storage: The Arrow type as text.
        missing: How many rows had no value.
        levels: The values behind the codes 0, 1, … of a category or boolean, with their types:
            those that were seen.
        declared: All the levels that the caller's type declares, in its order, seen or not; only
            decoding needs them.
        step: The grid of x: 1 for integers, dates and times, 10^-d for numbers recorded to d
            decimals; None where there is no grid.
        digits: The most significant digits that numbers are written with, where fewer than floating
            point has.
        places: The most decimals that they are written with, where there is no step.
        origin: What is taken off before the numbers become floating point, so that large integers
            and times stay exact.
        unit: What x counts, for dates and times: "day", "hour", "minute", "second", "ms", "us",
            "ns".
        text: How numbers or times are written where the column is text: "number", or a strftime
            format.
        knots: Increasing x at which the scores are known, for numbers; twice the same x is a jump.
        scores: Φ^-1 of the rank of each knot: strictly increasing.
        atoms: The x that have probabilities of their own, strictly increasing.
        closed: Whether the atoms are all values that there are.
        low: The smallest x seen.
        high: The largest x seen.
        period: The length of a year in x, of weeks, dates and times that span more than one.
        value: The value of a constant column (dates and times as integers in the storage's unit).
        label: The caller's name where it is not text but an integer.

    Raises:
        ValueError: The attributes contradict each other.
    """

    name: str
    kind: str
    dtype: str
    storage: str
    missing: int = 0
    levels: tuple[Scalar, ...] = ()
    declared: tuple[Scalar, ...] = ()
    step: float | None = None
    digits: int | None = None
    places: int | None = None
    origin: int | float = 0
    unit: str | None = None
    text: str | None = None
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()
    closed: bool = False
    low: float | None = None
    high: float | None = None
    period: float | None = None
    value: Scalar | None = None
    label: int | None = None

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        texts = (self.name, self.kind, self.dtype, self.storage)
        _require(all(isinstance(text, str) for text in texts), "name, kind, dtype, storage: text")
        _require(self.kind in KINDS, f"the kind {self.kind!r} is none of {', '.join(KINDS)}")
        _require(type(self.missing) is int and self.missing >= 0, "missing counts rows")
        _require(self.label is None or type(self.label) is int, "the label is not an integer")
        _require(self.text is None or isinstance(self.text, str), "the format is not text")
        for levels in (self.levels, self.declared):
            _require(all(isinstance(level, Scalar) for level in levels), "a level is not plain")
            _require(len(set(levels)) == len(levels), "a level is given twice")
        if self.declared:
            _require(set(self.levels) <= set(self.declared), "a level is not declared")
        if self.kind in ("boolean", "category"):
            _require(len(self.levels) > 0, "it has no levels")
        if self.kind in NUMBER:
            self._check_numbers()
        if self.kind == "constant":
            _require(isinstance(self.value, Scalar), "it has no value")
            _require(not self.levels or self.value in self.levels, "its value is no level")

    def _check_numbers(self) -> None:
        if self.kind == "datetime":
            _require(self.unit in UNITS, f"the unit {self.unit!r} is none of {', '.join(UNITS)}")
        storage = parse_type(self.storage)
        held = TEMPORAL if self.kind == "datetime" else ("integer", "real")
        fits = family(storage) in (held if self.text is None else ("text",))
        fits = fits and not pa.types.is_dictionary(storage)
        _require(fits, f"a column of the type {storage} is no {self.kind} one")
        _require(self.ticks >= 1, f"{self.storage} has no {self.unit}")
        ends = (self.origin, self.low, self.high, self.step or 1.0, self.period or 1.0)
        plain = (*self.knots, *self.scores, *self.atoms, *ends)
        finite = all(isinstance(v, int | float) and math.isfinite(v) for v in plain)
        _require(finite, "knots, scores, origin, range and step must be finite numbers")
        for count, most in ((self.digits, MOST_DIGITS), (self.places, MOST_PLACES)):
            fine = count is None or (type(count) is int and 0 <= count <= most)
            _require(fine, f"{count} digits or decimals are not what numbers have")
        _require(self.step is None or self.step > 0, f"the step {self.step} is not positive")
        _require(self.period is None or self.period > 0, f"the period {self.period} is none")
        _require(len(self.knots) == len(self.scores) >= 2, "there must be two knots and scores")
        for values in (self.scores, self.atoms):
            rising = all(a < b for a, b in pairwise(values))
            _require(rising, "scores and atoms must increase strictly")
        _require(all(a <= b for a, b in pairwise(self.knots)), "knots must increase")
        _require(type(self.closed) is bool and (len(self.atoms) > 0 or not self.closed), "no atoms")

    @property
    def modelled(self) -> bool:
        """Whether the column is part of x."""
        return self.kind not in ("constant", "missing")

    @property
    def decimals(self) -> int | None:
        """How many decimals its numbers are recorded to, if they are."""
        return None if self.step is None else round(-math.log10(self.step))

    @property
    def ticks(self) -> int:
        """How many units of the storage x = 1 stands for, for dates and times; else 1."""
        if self.kind != "datetime" or self.unit is None:
            return 1
        storage = parse_type(self.storage) if self.text is None else pa.timestamp("s")
        return round(UNITS[self.unit] * ticks_per_second(storage))

    def describe(self) -> str:
        """Its range, levels or value, in a few words."""
        if self.kind == "missing":
            return "no value at all"
        if self.kind == "constant":
            return f"always {self._shown(self.value)}"
        if self.kind in ("category", "boolean"):
            shown = ", ".join(str(level) for level in self.levels[:5])
            more = ", …" if len(self.levels) > 5 else ""
            return f"{len(self.levels)} levels: {shown}{more}"
        assert self.low is not None
        assert self.high is not None
        if self.kind == "datetime":
            ends = (self._shown(round(x) * self.ticks + self.origin) for x in (self.low, self.high))
            return " to ".join(ends) + f", by {self.unit}"
        if self.step == 1.0:
            return f"{round(self.low) + self.origin} to {round(self.high) + self.origin}"
        by = "" if self.step is None else f", step {self.step:g}"
        return f"{self.low + self.origin:.10g} to {self.high + self.origin:.10g}{by}"

    def _shown(self, value: Any) -> str:
        storage = pa.timestamp("s") if self.text else parse_type(self.storage)
        if family(storage) in ("moment", "instant", "clock"):
            text = str(scalar_array([int(value)], storage).cast(pa.string())[0])
            return re.sub(r"\.0+(?=$|[+-])", "", text)
        return str(value)


@dataclass(frozen=True)
class Dropped:
    """A column that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table.

    Attributes:
        columns: Those that are kept, in the caller's order.
        rows: How many rows the schema was learned from.
        source: Where they came from, which is what decoding gives back: "pandas", "polars",
            "pyarrow" or "numpy".
        dropped: The columns that were left out.
        names: All names that came in, in order.
    """

    columns: tuple[ColumnSchema, ...]
    rows: int
    source: str
    dropped: tuple[Dropped, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        _require(self.source in SOURCES, f"the source {self.source!r} is unknown")
        _require(type(self.rows) is int and self.rows >= 0, "rows counts rows")
        known = {column.name for column in self.columns} | {drop.name for drop in self.dropped}
        _require(set(self.names) == known, "the names are not those of the columns")
        _require(len(self.names) == len(self.columns) + len(self.dropped), "a name comes twice")

    @property
    def modelled(self) -> tuple[ColumnSchema, ...]:
        """The columns of x, in order."""
        return tuple(column for column in self.columns if column.modelled)

    def summary(self) -> list[dict[str, str]]:
        """One line for each column that came in: column, kind, missing, values."""
        kept = {column.name: column for column in self.columns}
        reasons = {drop.name: drop.reason for drop in self.dropped}
        lines = []
        for name in self.names:
            if name in reasons:
                line = {"column": name, "kind": "left out", "missing": "", "values": reasons[name]}
            else:
                share = f"{kept[name].missing / max(self.rows, 1):.1%}"
                missing = share if kept[name].missing else ""
                line = {"column": name, "kind": kept[name].kind, "missing": missing}
                line["values"] = kept[name].describe()
            lines.append(line)
        return lines

    def __str__(self) -> str:
        """A table for people."""
        head = {"column": "column", "kind": "kind", "missing": "missing", "values": "values"}
        lines = [head, *self.summary()]
        widths = {key: max(len(line[key]) for line in lines) for key in ("column", "kind")}
        return "\n".join(
            f"{line['column']:<{widths['column']}}  {line['kind']:<{widths['kind']}}  "
            f"{line['missing']:>7}  {line['values']}".rstrip()
            for line in lines
        )

    def to_json(self) -> dict[str, Any]:
        """The schema as JSON-able values."""
        return {
            "source": self.source,
            "rows": self.rows,
            "names": list(self.names),
            "columns": [_without_defaults(column) for column in self.columns],
            "dropped": [asdict(drop) for drop in self.dropped],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """The schema that `to_json` gave.

        Raises:
            ModelFileError: It is damaged.
        """
        try:
            return cls(
                columns=tuple(_column(column) for column in state["columns"]),
                rows=state["rows"],
                source=state["source"],
                dropped=tuple(Dropped(**drop) for drop in state["dropped"]),
                names=tuple(state["names"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelFileError(
                f"the table's schema in the model file is damaged ({error}); "
                "fit and save the model again."
            ) from error


def _column(state: dict[str, Any]) -> ColumnSchema:
    try:
        frozen: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in state.items()
        }
        column = ColumnSchema(**frozen)
        values = [value for value in (*column.levels, column.value) if value is not None]
        scalar_array(values, parse_type(column.storage))
        return column
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"column {state.get('name')!r:.80}: {error}") from error


def _without_defaults(column: ColumnSchema) -> dict[str, Any]:
    values = {field.name: getattr(column, field.name) for field in fields(column)}
    return {
        field.name: _listed(values[field.name])
        for field in fields(column)
        if values[field.name] != field.default
    }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - it is the subject
    if not condition:
        raise ValueError(otherwise)
