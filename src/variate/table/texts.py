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

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ALL", "GAPS", "TIMES", "TextColumn"]

GAPS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None")

BOOLEAN = r"^(true|false|True|False|TRUE|FALSE)$"
WHOLE = r"^-?(0|[1-9][0-9]*)$"
REAL = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(inf|Infinity)$"
TOO_LONG = r"^[+-]?[0-9]{16,}$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
CLOCK = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"

Reader = Callable[[pa.Array], pa.Array]


def _matching(text: pa.Array, pattern: str, kind: pa.DataType) -> pa.Array:
    if pc.all(pc.match_substring_regex(text, pattern)).as_py() is False:
        raise pa.ArrowInvalid("another form")
    return text.cast(kind)


def _reads_as(pattern: str, kind: pa.DataType) -> Reader:
    return lambda text: _matching(text, pattern, kind)


def _real(text: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(text, TOO_LONG)).as_py():
        raise pa.ArrowInvalid("too long for double")
    return _matching(pc.replace_substring_regex(text, r"^\+", ""), REAL, pa.float64())


def _clock(unit: str) -> Reader:
    kind = pa.time32("s") if unit == "s" else pa.time64(unit)

    def read(text: pa.Array) -> pa.Array:
        _matching(text, CLOCK, text.type)
        day, gap = (pa.scalar(part, text.type) for part in ("1970-01-01", " "))
        moments = pc.binary_join_element_wise(day, text, gap)
        return moments.cast(pa.timestamp(unit)).cast(kind)

    return read


TIMES: dict[str, Reader] = {
    "date32": _reads_as(DATE, pa.date32()),
    **{f"time {unit}": _clock(unit) for unit in ("s", "us", "ns")},
    **{f"timestamp {u}": _reads_as(MOMENT, pa.timestamp(u)) for u in ("s", "ms", "us", "ns")},
    **{f"instant {u}": _reads_as(MOMENT, pa.timestamp(u, "UTC")) for u in ("s", "ms", "us", "ns")},
}
ALL: dict[str, Reader] = {
    "bool": _reads_as(BOOLEAN, pa.bool_()),
    "int64": _reads_as(WHOLE, pa.int64()),
    "uint64": _reads_as(WHOLE, pa.uint64()),
    "double": _real,
    **TIMES,
}


class TextColumn:
    """The types that a column of text can still have.

    Args:
        readers: The types in question, the first that fits first.
        gaps: What stands for a missing value in a column that is not text.
    """

    def __init__(self, readers: dict[str, Reader] = ALL, gaps: Sequence[str] = GAPS) -> None:
        self.readers = readers
        self.gaps = pa.array(gaps, pa.large_string())
        self.fitting = list(readers)
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
        self.fitting = [name for name in self.fitting if self._fits(name, present)]

    def read(self, text: pa.Array) -> pa.Array:
        """A block in the type that was found: text if there is no other, null if nothing was."""
        if self.empty:
            return pa.nulls(len(text))
        if not self.fitting or self.gaps_only:
            return text
        return self.readers[self.fitting[0]](self._without_gaps(text.cast(pa.large_string())))

    def _without_gaps(self, text: pa.Array) -> pa.Array:
        bare = pc.utf8_trim_whitespace(text)
        return pc.if_else(pc.is_in(bare, value_set=self.gaps), None, bare)

    def _fits(self, name: str, text: pa.Array) -> bool:
        try:
            self.readers[name](text[:64])  # most types fail at once
            self.readers[name](text)
        except pa.ArrowInvalid:
            return False
        return True
