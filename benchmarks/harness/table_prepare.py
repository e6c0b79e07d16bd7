"""Tables of any origin brought into one form, so that every method is judged on the same footing.

The training split says what a column is: a category (named so in the schema, or text), a moment
(text or a type that is a date), or a number; truth values count as numbers 0 and 1. Then

    moments       become seconds since 1970;
    no value      in a category is a category of its own; in a number it becomes the median of the
                  training split, and a column `NAME is missing` (0 or 1, a category) is added
                  wherever the training split or the judged table has such a cell;
    types         are taken from the training split: a synthetic 3.0 for 3 or "3" for 3 is no
                  difference, while 3.1 in a column of whole numbers stays as it is.

This module does not know the figures.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["Prepared", "prepare", "read", "validity"]

MISSING = "(missing)"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?")


@dataclass(frozen=True)
class Prepared:
    """Tables with the same columns: floats, and text where a category is text.

    Attributes:
        frames: The tables, in the order in which they were given.
        categorical: The columns that are categories.
        numeric: The other columns.
    """

    frames: tuple[pd.DataFrame, ...]
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]


def read(path: Path) -> pd.DataFrame:
    """A table from CSV (compressed or not) or Parquet."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, float_precision="round_trip")


def prepare(train: pd.DataFrame, *others: pd.DataFrame, categorical: tuple[str, ...]) -> Prepared:
    """The training split and other tables in one form."""
    for other in others:
        if absent := [name for name in train if name not in other]:
            raise SystemExit(f"the judged table lacks the columns {', '.join(map(repr, absent))}")
    tables = (train, *others)
    categories = [c for c in train if c in categorical or _is_text(train[c])]
    columns: list[dict[str, pd.Series]] = [{} for _ in tables]
    indicators = []
    for name in train:
        cells = [_plain(table[name], like=train[name]) for table in tables]
        if name in categories:
            filled = [_with_missing(column, cells[0]) for column in cells]
        else:
            filled = [column.fillna(cells[0].median()) for column in cells]
            if any(column.isna().any() for column in cells):
                indicators.append(f"{name} is missing")
                for made, column in zip(columns, cells, strict=True):
                    made[indicators[-1]] = column.isna().astype(float)
        for made, column in zip(columns, filled, strict=True):
            made[name] = column
    return Prepared(
        tuple(pd.DataFrame(made) for made in columns),
        (*categories, *indicators),
        tuple(name for name in train if name not in categories),
    )


def validity(train: pd.DataFrame, table: pd.DataFrame, categorical: tuple[str, ...]) -> dict:
    """What in a table could not have been written by whoever wrote the training split.

    A row is invalid when any of its cells is: an unknown category, a value outside the observed
    range, text in a number, no value where there always is one. A format is kept when whole
    numbers are whole, decimals are no more than observed, moments are written alike and fall on
    the same second of the minute, minute of the hour, … wherever those never vary.
    """
    wrong = pd.Series(data=False, index=table.index)
    changed = [] if list(train) == list(table) else ["(names or order of the columns)"]
    for name in train:
        seen, cells = train[name], table[name]
        bad = cells.isna() & (not seen.isna().any())
        plain = _plain(cells, like=seen)
        observed = _plain(seen, like=seen)
        if name in categorical or _is_text(seen):
            bad |= plain.notna() & ~plain.isin(observed.unique())
        else:
            bad |= cells.notna() & ~plain.between(observed.min(), observed.max())
            if not _format_kept(seen, cells, observed, plain):
                changed.append(name)
        wrong |= bad.to_numpy()
    return {"invalid_rows_share": float(wrong.mean()), "formats_changed": changed}


def _format_kept(seen: pd.Series, cells: pd.Series, observed: pd.Series, plain: pd.Series) -> bool:
    if not _is_moment(seen):
        return _decimals(plain) <= _decimals(observed)
    grid = next(s for s in (86_400, 3_600, 60, 1, 1e-9) if (observed.dropna() % s == 0).all())
    on_grid = bool((plain.dropna() % grid == 0).all())
    if cells.dtype.kind == "M" or seen.dtype.kind == "M":
        return on_grid
    written = cells.dropna().astype(str).str.replace(r"\d", "0", regex=True)
    return on_grid and set(written) <= set(seen.dropna().str.replace(r"\d", "0", regex=True))


def _decimals(numbers: pd.Series) -> int:
    written = (np.format_float_positional(value, trim="-") for value in numbers.dropna().unique())
    return max((len(text.partition(".")[2]) for text in written), default=0)


def _is_moment(column: pd.Series) -> bool:
    if column.dtype.kind == "M":
        return True
    return _is_textual(column) and bool(column.dropna().astype(str).str.fullmatch(MOMENT).all())


def _is_text(column: pd.Series) -> bool:
    return _is_textual(column) and not _is_moment(column)


def _is_textual(column: pd.Series) -> bool:
    return column.dtype.kind not in "biufM"


def _plain(column: pd.Series, like: pd.Series) -> pd.Series:
    """A column as floats, or as text where `like` is text; NaN where there is no value."""
    column = column.reset_index(drop=True)
    if _is_moment(like):
        form = "ISO8601" if _is_textual(column) else None
        moments = pd.to_datetime(column, errors="coerce", format=form)
        return (moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    if _is_text(like):
        return column.astype(object).where(column.isna(), column.astype(str))
    if _is_textual(column):
        column = column.replace({"True": 1, "False": 0, "true": 1, "false": 0, True: 1, False: 0})
    return pd.to_numeric(column, errors="coerce").astype("float64")


def _with_missing(column: pd.Series, observed: pd.Series) -> pd.Series:
    """No value as a category of its own: a word among words, a number below all among numbers."""
    if column.dtype == object:
        return column.fillna(MISSING)
    return column.fillna(observed.min() - 1)
