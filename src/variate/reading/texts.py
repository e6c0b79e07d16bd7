"""The type of a column of text, narrowed down while its rows go by.

    bool                     true, false (True, TRUE, …)
    int64, uint64            whole numbers; with a leading zero (00123) they are text, kept as it is
    double                   3.5, 1e6, inf
    date32, time, timestamp  ISO 8601; with an offset or Z: UTC
    large_string             everything else
    null                     no value in any row

A type is a column's only if every value is written so; of those that are, the first of the list.
Whole numbers that floating point would round are not taken for reals.

This module does not know files.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ALL", "GAPS", "TIMES", "Form", "TextColumn"]

GAPS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None")

BOOLEAN = r"^(true|false|True|False|TRUE|FALSE)$"
WHOLE = r"^-?(0|[1-9][0-9]*)$"
REAL = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(inf|Infinity)$"
TOO_LONG = r"^[+-]?[0-9]{16,}$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
CLOCK = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"

Reader = Callable[[pa.Array], pa.Array]


class Form(NamedTuple):
    """How the values of a type are written: all as the pattern says, none as `never` does.

    The reader may refuse what the pattern lets pass, such as a 30th of February.
    """

    pattern: str
    read: Reader
    never: str | None = None


def _cast(kind: pa.DataType) -> Reader:
    return lambda text: text.cast(kind)


def _real(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text, r"^\+", "").cast(pa.float64())


def _clock(unit: str) -> Reader:
    kind = pa.time32("s") if unit == "s" else pa.time64(unit)

    def read(text: pa.Array) -> pa.Array:
        day, gap = (pa.scalar(part, text.type) for part in ("1970-01-01", " "))
        moments = pc.binary_join_element_wise(day, text, gap)
        return moments.cast(pa.timestamp(unit)).cast(kind)

    return read


UNITS = ("s", "ms", "us", "ns")
TIMES = {
    "date32": Form(DATE, _cast(pa.date32())),
    **{f"time {unit}": Form(CLOCK, _clock(unit)) for unit in ("s", "us", "ns")},
    **{f"timestamp {unit}": Form(MOMENT, _cast(pa.timestamp(unit))) for unit in UNITS},
    **{f"instant {unit}": Form(MOMENT, _cast(pa.timestamp(unit, "UTC"))) for unit in UNITS},
}
ALL = {
    "bool": Form(BOOLEAN, _cast(pa.bool_())),
    "int64": Form(WHOLE, _cast(pa.int64())),
    "uint64": Form(WHOLE, _cast(pa.uint64())),
    "double": Form(REAL, _real, never=TOO_LONG),
    **TIMES,
}


class TextColumn:
    """The types that a column of text can still have.

    Args:
        forms: The types in question, the first that fits first.
        gaps: What stands for a missing value in a column that is not text.
    """

    def __init__(self, forms: Mapping[str, Form] = ALL, gaps: Sequence[str] = GAPS) -> None:
        self.forms = forms
        self.gaps = pa.array(gaps, pa.large_string())
        self.fitting = list(forms)
        self.empty = True
        self.gaps_only = True

    def narrow(self, text: pa.Array) -> None:
        """Take in a block of the column."""
        text = text.cast(pa.large_string()).drop_null()
        if not len(text):
            return
        self.empty = False
        present = self._without_gaps(text).drop_null()
        self.gaps_only = self.gaps_only and not len(present)
        for part in (present[:64], present):  # most types fail at once
            self.fitting = [name for name in self.fitting if _fits(self.forms[name], part)]

    def read(self, text: pa.Array) -> pa.Array:
        """A block in the type that was found: text if there is no other, null if nothing was."""
        if self.empty:
            return pa.nulls(len(text))
        if not self.fitting or self.gaps_only:
            return text
        return self.forms[self.fitting[0]].read(self._without_gaps(text.cast(pa.large_string())))

    def _without_gaps(self, text: pa.Array) -> pa.Array:
        bare = pc.utf8_trim_whitespace(text)
        return pc.if_else(pc.is_in(bare, value_set=self.gaps), None, bare)


def _fits(form: Form, text: pa.Array) -> bool:
    if pc.all(pc.match_substring_regex(text, form.pattern)).as_py() is False:
        return False
    if form.never and pc.any(pc.match_substring_regex(text, form.never)).as_py():
        return False
    try:
        form.read(text)
    except pa.ArrowInvalid:
        return False
    return True
