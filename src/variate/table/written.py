"""Numbers and times that are written as text, and how to write them again.

    "number"        3, -0.5, 1e6        read as float64
    a strftime form 31.12.2024 23:59    read as whole seconds since 1970

A column keeps to one form: every value, read and written again, must give the same text. A number
is not asked to (1.50 is read as 1.5): a column read as numbers stays numbers.

This module does not know which columns are to be read so.
"""

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "FORMS",
    "ISO",
    "NUMBER",
    "has_commas",
    "is_time",
    "looks_coded",
    "looks_numeric",
    "read",
    "unreadable",
    "write",
]

NUMBER = "number"

FORMS = (  # day before month where both fit: the order matters
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%SZ",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d",
    "%Y-%m",
    "%m/%Y",
    "%H:%M",
    "%H:%M:%S",
)

ISO = FORMS[:6]  # written so, a time is a time and nothing else

NUMERIC = r"^\s*[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
CODED = r"^\s*[+-]?0[0-9]"
COMMAS = r"^\s*[+-]?[0-9][0-9. ]*,[0-9]+\s*$"


def looks_numeric(text: pa.Array) -> pa.Array:
    """Whether each value is written as a number."""
    return pc.match_substring_regex(text, NUMERIC)


def looks_coded(text: pa.Array) -> pa.Array:
    """Whether each value begins with a zero that a number would not have, as in 00123."""
    return pc.match_substring_regex(text, CODED)


def has_commas(text: pa.Array) -> bool:
    """Whether all values are numbers with a decimal comma, as in 1.234,50."""
    return bool(len(text) and pc.all(pc.match_substring_regex(text, COMMAS)).as_py())


def is_time(text: pa.Array) -> bool:
    """Whether all values are times in one of the forms."""
    return bool(len(text)) and any(read(text, form).null_count == 0 for form in FORMS)


def read(text: pa.Array, form: str) -> pa.Array:
    """Text `[N]` in a form as float64 (numbers) or int64 (seconds); null where it is not."""
    if form == NUMBER:
        trimmed = pc.utf8_trim_whitespace(text)
        fine = pc.match_substring_regex(trimmed, NUMERIC)
        bare = pc.replace_substring_regex(trimmed, r"^\+", "")
        return pc.if_else(fine, bare, None).cast(pa.float64())
    times = pc.strptime(text, format=form, unit="s", error_is_null=True)
    again = pc.strftime(times, format=form).cast(text.type)
    return pc.if_else(pc.equal(again, text), times, None).cast(pa.int64())


def write(values: pa.Array, form: str) -> pa.Array:
    """Seconds `[N]` (int64) as text in a strftime form."""
    return pc.strftime(values.cast(pa.timestamp("s")), format=form)


def unreadable(text: pa.Array, values: pa.Array) -> pa.Array:
    """Whether each text is there but was not read."""
    return pc.and_(pc.is_valid(text), pc.is_null(values))
