r"""What an imputation gives: a table with its gaps filled once, and often, and how sure that is.

For each missing cell there are M draws from p(x_missing | x_known), those of a row belonging
together, in the terms of the caller's table:

    filled       of a number the mean, which has the least squared error; of a category the most
                 probable level; of a moment the draw in the middle
    tables       whole draws, for multiple imputation: what is between them says how much is unknown
    interval     quantiles of the draws of a cell, or the levels with the most draws

This module does not know how the draws were made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.errors import OptionError
from variate.options import whole_from
from variate.table.frames import Frame, returned
from variate.table.storage import TEMPORAL, family, plain, ticks_per_second

__all__ = ["Cells", "Imputation", "Tables"]


@dataclass(frozen=True)
class Cells:
    """The missing cells of one column.

    Attributes:
        rows: In which rows they are, increasing, `[n]`.
        filled: The one value of each, `[n]`.
        draws: M draws of each, those of a cell together, `[n·M]`.
    """

    rows: NDArray[np.int64]
    filled: pa.Array
    draws: pa.Array

    def of(self, draw: int) -> pa.Array:
        """One of the draws of each cell, `[n]`."""
        many = len(self.draws) // max(len(self.rows), 1)
        return self.draws.take(pa.array(np.arange(len(self.rows)) * many + draw))


@dataclass(frozen=True)
class Imputation:
    """A table whose missing cells are filled.

    Attributes:
        frame: The table as it came in.
        cells: What is known of the missing cells, by column.
        draws: How many completed tables there are.
        effective: How many candidates each row's draws were worth, at the least, `[N]`; infinite
            where nothing is missing. Below about ten the draws of a row vary less than they should.
    """

    frame: Frame
    cells: dict[str, Cells]
    draws: int
    effective: NDArray[np.float64]

    @property
    def filled(self) -> Any:
        """The table with one value for each missing cell, in the caller's type.

        Of a number it is the mean of the draws on the column's grid, of a category the most
        probable level, of a date or time the draw in the middle. These are the best guesses cell by
        cell; their spread is less than that of real values. For what depends on the spread, or on
        how columns go together, take `tables`.
        """
        return self._with({name: part.filled for name, part in self.cells.items()})

    @property
    def tables(self) -> "Tables":
        """The completed tables: draws, not means. Each is made when it is asked for."""
        return Tables(self)

    @property
    def missing(self) -> int:
        """How many cells were missing, and are filled."""
        return sum(len(part.rows) for part in self.cells.values())

    def interval(self, level: float = 0.9) -> Any:
        """Where the value of each missing cell lies with this probability, a row for each.

        Args:
            level: The probability, between 0 and 1.

        Returns:
            A table with `row` (from 0), `column`, `filled` (as text), `low` and `high` (the
            quantiles (1 ± level) / 2 of the draws; numbers; empty for categories, of dates and
            times seconds since 1970), and `probability` (of the level that is filled in, the share
            of draws that have it; empty for numbers). It is of the library that the table came
            from; of arrays pyarrow.

        Raises:
            OptionError: The level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise OptionError(f"level must lie between 0 and 1, got {level!r}.")
        parts = [_intervals(name, part, level) for name, part in self.cells.items()]
        table = pa.concat_tables(parts) if parts else _intervals("", _NOTHING, level)
        table = table.sort_by([("row", "ascending")])
        return self._library(table)

    def probabilities(self, column: str) -> Any:
        """The probability of each level of a category, a row for each of its missing cells.

        Args:
            column: The name of the column.

        Returns:
            A table with `row` (from 0) and a column for each level that was drawn at all.

        Raises:
            OptionError: The column has no missing cell, or is no category.
        """
        part = self.cells.get(column)
        if part is None or not _coded(part.filled.type):
            have = [name for name, part in self.cells.items() if _coded(part.filled.type)]
            raise OptionError(
                f"{column!r} is no category with missing cells; these are "
                f"{', '.join(map(repr, have)) or 'none'}."
            )
        codes, levels = _codes(part)
        shares = [(codes == level).mean(1) for level in range(len(levels))]
        made = dict(zip([str(level) for level in levels], map(pa.array, shares), strict=True))
        return self._library(pa.table({"row": pa.array(part.rows)} | made))

    def table(self, draw: int) -> Any:
        """One completed table; the same as `tables[draw]`."""
        whole_from("draw", draw, 0)
        if draw >= self.draws:
            raise OptionError(f"draw must be below {self.draws}, got {draw}.")
        return self._with({name: part.of(draw) for name, part in self.cells.items()})

    def _with(self, values: dict[str, pa.Array]) -> Any:
        """The caller's table with these values in the missing cells."""
        table = self.frame.table
        columns = {name: _one(table.column(name)) for name in table.column_names}
        for name, value in values.items():
            columns[name] = _merged(columns[name], self.cells[name].rows, value)
        return returned(columns, self.frame)

    def _library(self, table: pa.Table) -> Any:
        source = "pyarrow" if self.frame.source == "numpy" else self.frame.source
        dtypes = tuple(_dtype(field.type, source) for field in table.schema)
        like = Frame(table, source, dtypes, (None,) * table.num_columns)
        return returned({n: _one(table.column(n)) for n in table.column_names}, like)

    def __repr__(self) -> str:
        """How much was filled."""
        rows = self.frame.table.num_rows
        return (
            f"Imputation of {self.missing:,} missing cells in {rows:,} rows: .filled, "
            f".tables ({self.draws}), .interval(0.9), .probabilities(column)"
        )


class Tables(Sequence[Any]):
    """The completed tables of an imputation, each made when it is asked for.

    Args:
        imputation: What they are tables of.
    """

    def __init__(self, imputation: Imputation) -> None:
        self._imputation = imputation

    def __len__(self) -> int:
        """How many there are."""
        return self._imputation.draws

    def __getitem__(self, index: Any) -> Any:
        """One of them, or a list of those of a slice."""
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return [self._imputation.table(draw) for draw in chosen]
        return self._imputation.table(chosen)

    def __iter__(self) -> Iterator[Any]:
        """All of them, one after the other."""
        return (self._imputation.table(draw) for draw in range(len(self)))


_NOTHING = Cells(np.zeros(0, np.int64), pa.array([], pa.float64()), pa.array([], pa.float64()))


def _one(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _merged(column: pa.Array, rows: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """The column with these values in these rows, of its type; a dictionary may grow."""
    place = np.arange(len(column))
    place[rows] = len(column) + np.arange(len(rows))
    if not pa.types.is_dictionary(column.type):
        values = plain(values) if pa.types.is_dictionary(values.type) else values
        kind = values.type if pa.types.is_null(column.type) else column.type
        both = pa.concat_arrays([column.cast(kind), _one(values.cast(kind, safe=False))])
        return both.take(pa.array(place))
    levels = column.dictionary.to_pylist()
    values = plain(values).cast(column.dictionary.type)
    new = [level for level in dict.fromkeys(values.to_pylist()) if level not in levels]
    dictionary = pa.array([*levels, *new], column.dictionary.type)
    known = {level: code for code, level in enumerate(dictionary.to_pylist())}
    codes = pa.array([known[level] for level in values.to_pylist()], pa.int32())
    both = pa.concat_arrays([column.indices.cast(pa.int32()), codes]).take(pa.array(place))
    return pa.DictionaryArray.from_arrays(both, dictionary, ordered=column.type.ordered)


def _coded(kind: pa.DataType) -> bool:
    return family(kind) in ("text", "boolean") or pa.types.is_dictionary(kind)


def _codes(part: Cells) -> tuple[NDArray[np.int64], list[Any]]:
    """The draws of a category as codes `[n, M]`, and the levels."""
    encoded = plain(part.draws).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes.reshape(len(part.rows), -1), encoded.dictionary.to_pylist()


def _intervals(name: str, part: Cells, level: float) -> pa.Table:
    """The rows of `Imputation.interval` of one column."""
    n = len(part.rows)
    low = high = probability = pa.nulls(n, pa.float64())
    if n and _coded(part.filled.type):
        codes, levels = _codes(part)
        known = {value: code for code, value in enumerate(levels)}
        best = np.array([known.get(value, -1) for value in plain(part.filled).to_pylist()])
        probability = pa.array((codes == best[:, None]).mean(1))
    elif n:
        draws = _numbers(part.draws).reshape(n, -1)
        ends = [(1 - level) / 2, (1 + level) / 2]
        # at (M + 1) p in order: so between M independent draws lies what is promised
        low, high = map(pa.array, np.quantile(draws, ends, axis=1, method="weibull"))
    text = [None if value is None else str(value) for value in part.filled.to_pylist()]
    return pa.table({
        "row": pa.array(part.rows), "column": pa.array([name] * n, pa.string()),
        "filled": pa.array(text, pa.string()), "low": low, "high": high,
        "probability": probability,
    })  # fmt: skip


def _numbers(values: pa.Array) -> NDArray[np.float64]:
    """Numbers as they are, dates and times as seconds."""
    if family(values.type) in TEMPORAL:
        return plain(values).to_numpy(zero_copy_only=False) / ticks_per_second(values.type)
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _dtype(kind: pa.DataType, source: str) -> str:
    """The name of a column's type in a library."""
    if source == "pandas":
        return {"int64": "int64", "double": "float64", "string": "object"}[str(kind)]
    return str(kind)
