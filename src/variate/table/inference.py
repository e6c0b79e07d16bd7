"""From the summary of a column to its schema: the rules of inference, in one place.

    bool                                 boolean
    text written as ISO 8601 times       datetime      any other text, categorical, enum: category
    integer                              integer; at most two distinct values: category
    floating, decimal                    continuous, on the grid of its decimals if it has one;
                                         whole numbers only: as integer
    date, time, timestamp, duration      datetime, in the coarsest unit that its values share
    one value in every row               constant        no value in any row         missing
    list, struct, binary, …              left out

An override of the user's goes before all of these but the last three.

This module does not know how the summary was made, nor rows, nor files.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from variate.errors import DataError, OptionError
from variate.table import written
from variate.table.columns import on_scale, snapped
from variate.table.knots import score_knots
from variate.table.schema import UNITS, ColumnSchema, Dropped
from variate.table.storage import TEMPORAL, Scalar, family, parse_type, ticks_per_second
from variate.table.summary import ColumnSummary, Numbers

__all__ = ["OVERRIDES", "YEAR", "Verdict", "conclude", "summary_for", "with_years"]

OVERRIDES = ("continuous", "integer", "boolean", "category", "datetime", "ignore")

MOST_LEVELS = 5_000  # of a category that nobody asked for
MOST_LEVELS_ASKED = 50_000
NUMERIC_SHARE = 0.8  # of text that looks like numbers, from which on the rest is a mistake
YEAR = 365.2425  # days
KEY = 100.0  # pairs of equal numbers that chance would make, from which on there being none tells
EXACT = 2**53  # whole numbers up to here are exact in float64
REACH = 1e150  # beyond this a difference or a slope overflows


@dataclass(frozen=True)
class Verdict:
    """What was concluded of a column, and what the user should know about it."""

    column: ColumnSchema | Dropped
    note: str | None = None


def summary_for(
    name: str, storage: pa.DataType, override: str | None, sample: int
) -> ColumnSummary:
    """An empty summary that will find out what a column's rule needs."""
    forms: tuple[str, ...] = ()
    if override == "datetime":
        forms = written.FORMS
    elif override in ("continuous", "integer"):
        forms = (written.NUMBER,)
    elif override is None and not pa.types.is_dictionary(storage):
        forms = written.ISO
    levels = 2  # whether there are more is all that a rule for numbers asks
    if override == "category":
        levels = MOST_LEVELS_ASKED
    elif family(storage) == "text" or pa.types.is_dictionary(storage):
        levels = MOST_LEVELS
    return ColumnSummary(name, storage, forms=forms, levels=levels, sample=sample)


def conclude(
    summary: ColumnSummary, override: str | None, dtype: str, label: int | None
) -> Verdict:
    """The schema of a column.

    Args:
        summary: What was found out.
        override: The kind that the user asked for, if any.
        dtype: The caller's type.
        label: The caller's name, where it is an integer.

    Raises:
        DataError: The column cannot be what it was asked to be, or mixes numbers and text.
        OptionError: A column of this type cannot be what it was asked to be.
    """
    name, values = summary.name, summary.levels.values
    base = ColumnSchema(
        name=name,
        kind="missing",
        dtype=dtype,
        storage=str(summary.storage) if summary.family != "other" else "null",
        missing=summary.missing,
        declared=tuple(summary.declared),
        label=label,
    )
    if summary.missing == summary.rows:
        note = f"column {name!r} has no value at all; it is kept, but nothing is learned from it"
        return Verdict(base, note)
    if summary.family == "other" or (_declared(summary) and summary.family in TEMPORAL):
        return _dropped(name, f"a column of the type {summary.storage} cannot be modelled")
    if values is not None and len(values) == 1 and not summary.missing:
        return Verdict(replace(base, kind="constant", value=next(iter(values))))
    match override or _inferred(summary):
        case "category":
            return _category(base, summary, override)
        case "boolean":
            return _boolean(base, summary)
        case kind:
            return _numbers(base, summary, kind, asked=override is not None)


def _inferred(summary: ColumnSummary) -> str:
    """The kind of a column that the user said nothing about."""
    few = summary.levels.values is not None and len(summary.levels.values) <= 2
    match summary.family:
        case "boolean":
            return "boolean"
        case "text":
            return "datetime" if summary.numbers and not few else "category"
        case "integer" | "real":
            whole = summary.family == "integer" or summary.numbers[None].decimals == 0
            if _declared(summary) or (few and whole):
                return "category"
            return "integer" if whole else "continuous"
    return "datetime"


def _declared(summary: ColumnSummary) -> bool:
    """Whether the caller's type is a category, whatever its values are."""
    return bool(pa.types.is_dictionary(summary.storage))


def _dropped(name: str, reason: str) -> Verdict:
    return Verdict(Dropped(name, reason), f"column {name!r} is left out: {reason}")


# -- categories ---------------------------------------------------------------------------------


def _category(base: ColumnSchema, summary: ColumnSummary, override: str | None) -> Verdict:
    name, values = summary.name, summary.levels.values
    if summary.family in TEMPORAL:
        raise OptionError(
            f"column {name!r} holds {summary.storage}, which cannot be a category; "
            "make text of it first"
        )
    declared = _declared(summary)
    if override is None and summary.family == "text" and not declared:
        _expect_numbers_or_text(summary)
    if values is None and override is not None:
        raise DataError(
            f"column {name!r} has more than {summary.levels.limit:,} distinct values, too many "
            f"for a category. Group the rare ones, or leave it out with columns={{{name!r}: "
            "'ignore'}."
        )
    crowded = values is not None and summary.rows > 100 and len(values) > summary.rows / 2
    if override is None and (values is None or (crowded and not declared)):
        found = f"more than {MOST_LEVELS:,}" if values is None else f"{len(values):,}"
        reason = (
            f"it has {found} distinct values in {summary.rows:,} rows, as names, identifiers or "
            f"free text have; {_advice(summary)}"
        )
        return _dropped(name, reason)
    return Verdict(replace(base, kind="category", levels=_levels(base, values)))


def _advice(summary: ColumnSummary) -> str:
    """What to do with a column of many texts: some are numbers or times, written in other ways."""
    name, found = summary.name, summary.lookalikes
    if found.numeric == summary.rows - summary.missing:
        return f"these are numbers: columns={{{name!r}: 'continuous'}} keeps it"
    some = pa.array(summary.levels.values or found.others, pa.large_string())
    if written.has_commas(some):
        return (
            "these are numbers with decimal commas: write them with points (pandas.read_csv(path, "
            "sep=';', decimal=',') gives such a frame)"
        )
    if written.is_time(some):
        return f"these are times: columns={{{name!r}: 'datetime'}} keeps it"
    return (
        f"constraints=[constraints.Unique({name!r})] makes identifiers anew, "
        f"columns={{{name!r}: 'category'}} keeps it"
    )


def _boolean(base: ColumnSchema, summary: ColumnSummary) -> Verdict:
    values = summary.levels.values
    if summary.family == "boolean":
        values = {False, True}
    if values is None or len(values) > 2 or summary.family in TEMPORAL:
        raise OptionError(
            f"column {summary.name!r} cannot be boolean: it has more than two distinct values"
        )
    return Verdict(replace(base, kind="boolean", levels=_levels(base, values)))


def _levels(base: ColumnSchema, values: Any) -> tuple[Scalar, ...]:
    """The levels that were seen: in the declared order, if there is one."""
    return tuple(level for level in base.declared if level in values) or _ordered(values)


def _ordered(values: Any) -> tuple[Scalar, ...]:
    """The levels in order; whole numbers that were floats only because of gaps as integers."""
    levels = sorted(values)
    if all(isinstance(level, float) and level.is_integer() for level in levels):
        return tuple(int(level) for level in levels)
    return tuple(levels)


def _expect_numbers_or_text(summary: ColumnSummary) -> None:
    """Text that is mostly numbers is numbers with something else among them."""
    found, name = summary.lookalikes, summary.name
    present = summary.rows - summary.missing
    if found.coded or not NUMERIC_SHARE * present <= found.numeric < present:
        return
    shown = ", ".join(f"{value!r:.40} in row {row}" for value, row in found.others.items())
    raise DataError(
        f"column {name!r} is text, but {found.numeric:,} of its {present:,} values are numbers. "
        f"The others begin with {shown} (rows counted from 0). Make these numbers or missing, or "
        f"say that it is meant as text: columns={{{name!r}: 'category'}}."
    )


# -- numbers, dates and times -------------------------------------------------------------------


def _numbers(base: ColumnSchema, summary: ColumnSummary, kind: str, *, asked: bool) -> Verdict:
    form, numbers = _form(summary, kind)
    base = replace(base, text=form)
    temporal = form not in (None, written.NUMBER) or summary.family in TEMPORAL
    if temporal != (kind == "datetime"):
        raise OptionError(
            f"column {summary.name!r} holds {summary.storage} and cannot be {kind!r}; "
            "dates and times are 'datetime', and only they and text can be"
        )
    if temporal:
        verdict = _times(base, numbers)
        return replace(verdict, note=_ambiguity(summary)) if len(summary.numbers) > 1 else verdict
    if isinstance(numbers.low, int):
        return _integers(base, numbers, kind, asked=asked)
    return _reals(base, numbers, kind)


def _form(summary: ColumnSummary, kind: str) -> tuple[str | None, Numbers]:
    """How the column's numbers are written, and what they are."""
    if _declared(summary):
        raise OptionError(
            f"column {summary.name!r} is a category by its type and cannot be {kind!r}; convert it "
            "to text, numbers or times first"
        )
    for form, numbers in summary.numbers.items():
        return form, numbers
    if summary.misfit is None:
        raise OptionError(f"column {summary.name!r} holds {summary.storage} and cannot be {kind!r}")
    row, value = summary.misfit
    what = "times in one format" if kind == "datetime" else "numbers"
    raise DataError(
        f"column {summary.name!r} was to be read as {what}, but row {row} (counted from 0) holds "
        f"{value!r:.60}. Correct it, make it missing, or leave the column a category."
    )


def _ambiguity(summary: ColumnSummary) -> str:
    first, second, *_ = summary.numbers
    return (
        f"column {summary.name!r} can be read as {first} and as {second}; it is read as {first}. "
        "If that is wrong, write its dates as year-month-day"
    )


def _integers(base: ColumnSchema, numbers: Numbers, kind: str, *, asked: bool) -> Verdict:
    low, high = int(numbers.low), int(numbers.high)
    if high - low <= EXACT:
        origin = 0 if max(abs(low), abs(high)) <= EXACT // 2 else low
        note = None if asked else _key_note(base.name, numbers, high - low + 1)
        return Verdict(_scaled(base, numbers, kind, origin=origin, step=1.0), note)
    if kind == "continuous":
        return Verdict(_scaled(base, numbers, kind))
    return _dropped(
        base.name,
        f"its integers lie up to {high - low:,} apart, which floating point cannot tell "
        f"from their neighbours; columns={{{base.name!r}: 'continuous'}} keeps them rounded",
    )


def _key_note(name: str, numbers: Numbers, size: int) -> str | None:
    """What to say of whole numbers of which none comes twice, where chance would repeat some."""
    sample = numbers.sample()
    rows = len(sample)
    if rows * (rows - 1) / (2 * size) < KEY or len(np.unique(sample)) < rows:
        return None
    return (
        f"column {name!r}: no whole number comes twice in {rows:,} rows, as in keys; it is "
        "modelled as a quantity, and drawn rows may repeat a number. "
        f"constraints=[constraints.Unique({name!r})] makes keys anew, columns={{{name!r}: "
        "'ignore'} leaves it out"
    )


def _reals(base: ColumnSchema, numbers: Numbers, kind: str) -> Verdict:
    low, high = float(numbers.low), float(numbers.high)
    if max(abs(low), abs(high)) > REACH or 0 < high - low < 1 / REACH:
        reason = f"its numbers, {low:g} to {high:g}, are too large or too close; rescale them"
        return _dropped(base.name, reason)
    decimals = numbers.decimals
    if kind == "integer" and decimals != 0:
        sample = numbers.sample()
        broken = sample[np.rint(sample) != sample]
        shown = f", such as {broken[0]}" if len(broken) else ""
        raise DataError(
            f"column {base.name!r} was to be 'integer', but holds fractions{shown}; "
            f"round it, or use columns={{{base.name!r}: 'continuous'}}."
        )
    if decimals == 0:
        return Verdict(_scaled(base, numbers, kind, step=1.0))
    step = None if decimals is None else 10.0**-decimals
    places = numbers.places if step is None else None
    base = replace(base, digits=numbers.digits, places=places)
    return Verdict(_scaled(base, numbers, kind, step=step))


def _times(base: ColumnSchema, numbers: Numbers) -> Verdict:
    storage = pa.timestamp("s") if base.text else parse_type(base.storage)
    per_second = ticks_per_second(storage)
    ticks = {unit: round(seconds * per_second) for unit, seconds in UNITS.items()}
    units = [unit for unit in UNITS if ticks[unit] >= 1]
    low, high = int(numbers.low), int(numbers.high)
    shared = next(unit for unit in units if numbers.divisor % ticks[unit] == 0)
    kept = shared
    while (high - low) // ticks[kept] > EXACT:
        kept = units[units.index(kept) - 1]
    note = None
    if kept != shared:
        note = (
            f"column {base.name!r} spans too long a time for its precision; "
            f"it is kept to the {kept}"
        )
    found = _scaled(base, numbers, "datetime", origin=low, step=1.0, unit=kept, ticks=ticks[kept])
    if family(storage) in ("moment", "instant"):
        found = with_years(found, YEAR * 86_400 / UNITS[kept])
    return Verdict(found, note)


def with_years(column: ColumnSchema, year: float) -> ColumnSchema:
    """The column with the length of a year as its period, if it spans more than one."""
    assert column.low is not None
    assert column.high is not None
    return replace(column, period=year) if column.high - column.low > year else column


def _scaled(
    base: ColumnSchema,
    numbers: Numbers,
    kind: str,
    *,
    origin: int = 0,
    step: float | None = None,
    unit: str | None = None,
    ticks: int = 1,
) -> ColumnSchema:
    """The column with its range, knots and scores in x."""
    sample = numbers.sample()
    ends = np.array([numbers.low, numbers.high], dtype=sample.dtype)
    x, ends = (on_scale(values, origin, ticks) for values in (sample, ends))
    if step is not None:
        x, ends = (snapped(values, step) for values in (x, ends))
    low, high = ends.tolist()
    found = score_knots(x, low, high, step)
    return replace(
        base,
        kind=kind,
        origin=origin,
        step=step,
        unit=unit,
        low=low,
        high=high,
        knots=tuple(found.values.tolist()),
        scores=tuple(found.scores.tolist()),
        atoms=tuple(found.atoms.tolist()),
        closed=found.closed,
    )
