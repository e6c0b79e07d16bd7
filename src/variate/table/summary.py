"""What one pass over a column's chunks finds out, in bounded memory.

    ColumnSummary   rows, missing values, and whichever of these suits the column
    ├── Levels      the distinct values, up to a limit
    ├── Numbers     range, recorded decimals, common divisor, a sample for the ranks
    └── Lookalikes  text that looks like numbers, and what among it does not

A table in memory and a file that is not are summarised by the same code and give the same result,
whatever the chunks: the sample keeps the values with the smallest of random keys that depend only
on the position in the column.

This module does not know what will be concluded from the summary.
"""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError
from variate.table import written
from variate.table.digits import decimals_of, digits_of
from variate.table.storage import TEMPORAL, Scalar, family, plain, value_type

__all__ = ["ColumnSummary", "Levels", "Lookalikes", "Numbers"]

HEAD = 100  # values that are tried before all of a chunk are
LEVEL_BYTES = 64 * 2**20  # of all levels of a column together
MOST_DECIMALS = 9
BITS = {  # how far below the largest value a step may lie, before it is only rounding
    np.dtype(np.float64): 40,
    np.dtype(np.float32): 20,
    np.dtype(np.float16): 7,
}
WRITTEN_BITS = 52  # the same, where all numbers have few digits and none is computed with
SHOWN = 5


class Levels:
    """The distinct values of a column, as long as there are not too many.

    Args:
        limit: How many are too many.

    Attributes:
        values: The distinct values, or None if there are too many.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self.values: set[Scalar] | None = set()

    def add(self, distinct: pa.Array) -> None:
        """Take in the distinct values of a chunk, no nulls."""
        if self.values is None:
            return
        if len(distinct) <= self.limit:
            new = set(distinct.to_pylist()) - self.values
            self.bytes += sum(len(level) for level in new if isinstance(level, str))
            self.values |= new
        if max(len(distinct), len(self.values)) > self.limit or self.bytes > LEVEL_BYTES:
            self.values = None


class Numbers:
    """Range, resolution and a sample of a column of numbers.

    Args:
        precision: The caller's floating type; what is recorded is judged in it.
        sample: How many values to keep for the ranks.
    """

    def __init__(self, precision: np.dtype[Any], sample: int) -> None:
        self.precision = precision
        self.limit = sample
        self.low: int | float = math.inf
        self.high: int | float = -math.inf
        self.divisor = 0
        self.first = 0
        self.count = 0
        self._decimals: int | None = 0
        self._digits: int | None = 1
        self._draws = np.random.default_rng(0)
        self._values: list[NDArray[Any]] = []
        self._keys: list[NDArray[np.float64]] = []
        self._kept = 0
        self._highest = 1.0

    def add(self, values: NDArray[Any]) -> None:
        """Take in the numbers of a chunk: int64, uint64 or finite float64."""
        if not len(values):
            return
        if not self.count:
            self.first = values[0].item()
        self.count += len(values)
        self.low = min(self.low, values.min().item())
        self.high = max(self.high, values.max().item())
        if values.dtype.kind == "f":
            self._decimals = decimals_of(values, self._decimals, self.precision)
            self._digits = digits_of(values, self._digits)
        elif self.divisor != 1:
            apart = np.abs((values - values.dtype.type(self.first)).astype(np.int64))
            self.divisor = math.gcd(self.divisor, int(np.gcd.reduce(apart)))
        keys = self._draws.random(len(values))
        low = keys <= self._highest
        self._values.append(values[low])
        self._keys.append(keys[low])
        self._kept += int(low.sum())
        if self._kept > 2 * self.limit:
            self._thin()

    @property
    def decimals(self) -> int | None:
        """The number of decimals that make a grid on which every value lies, if there is one."""
        if self._decimals is None or self._decimals > MOST_DECIMALS:
            return None
        return self._decimals if self._resolves(BITS[self.precision]) else None

    @property
    def places(self) -> int | None:
        """The most decimals that a value has, if that says anything of how they were written."""
        if self._decimals is None or self.digits is None:
            return None
        return self._decimals if self._resolves(WRITTEN_BITS) else None

    @property
    def digits(self) -> int | None:
        """The most significant digits that a value has, if that says anything."""
        return self._digits if self.precision == np.float64 else None

    def _resolves(self, bits: int) -> bool:
        """Whether one of the last decimals is more than rounding of the largest value."""
        assert self._decimals is not None
        largest = max(abs(self.low), abs(self.high))
        return 10.0**-self._decimals >= math.ldexp(largest, -bits)

    def sample(self) -> NDArray[Any]:
        """At most `sample` of the values, each as likely as any other."""
        if self._kept > self.limit:
            self._thin()
        return np.concatenate(self._values)

    def _thin(self) -> None:
        keys, values = np.concatenate(self._keys), np.concatenate(self._values)
        self._highest = float(np.partition(keys, self.limit - 1)[self.limit - 1])
        low = keys <= self._highest
        self._keys, self._values = [keys[low]], [values[low]]
        self._kept = self.limit


class Lookalikes:
    """Text that looks like numbers.

    Attributes:
        numeric: How many values look like numbers.
        coded: How many begin with a zero that a number would not have.
        others: The first values that look like neither, each with its row.
    """

    def __init__(self) -> None:
        self.numeric = 0
        self.coded = 0
        self.others: dict[str, int] = {}

    def add(self, chunk: pa.Array, counted: pa.StructArray, first_row: int) -> None:
        """Take in a chunk of text and the counts of its distinct values."""
        values, counts = counted.field("values"), counted.field("counts")
        numeric, coded = written.looks_numeric(values), written.looks_coded(values)
        self.numeric += pc.sum(counts.filter(numeric)).as_py() or 0
        self.coded += pc.sum(counts.filter(coded)).as_py() or 0
        if len(self.others) < SHOWN:
            neither = values.filter(pc.invert(pc.or_(numeric, coded)))[: SHOWN + len(self.others)]
            for value in neither:
                row = first_row + pc.index(chunk, value).as_py()
                self.others.setdefault(value.as_py(), row)
            self.others = dict(list(self.others.items())[:SHOWN])


class ColumnSummary:
    """One column, chunk by chunk.

    Args:
        name: The column's name, for error messages.
        storage: Its Arrow type.
        forms: The forms in which text may be read as numbers or times; empty: it is text.
        levels: How many distinct values are too many to be kept.
        sample: How many numbers to keep for the ranks.

    Attributes:
        rows: How many rows there were.
        missing: How many of them had no value.
        levels: The distinct values.
        declared: The levels that a dictionary declares, in its order.
        numbers: The numbers, by the form in which they are written (None: as numbers). A form
            that did not fit is gone.
        misfit: The row and value up to which some form did fit, if none fits now.
        lookalikes: What text looks like.
    """

    def __init__(
        self, name: str, storage: pa.DataType, *, forms: tuple[str, ...], levels: int, sample: int
    ) -> None:
        self.name = name
        self.storage = storage
        self.family = family(storage)
        self.rows = 0
        self.missing = 0
        self.levels = Levels(levels)
        self.declared: dict[Scalar, None] = {}
        self._dictionary: pa.Array | None = None
        self.lookalikes = Lookalikes()
        self.misfit: tuple[int, str] | None = None
        kept: tuple[str | None, ...] = forms if self.family == "text" else ()
        if self.family in ("integer", "real", *TEMPORAL):
            kept = (None,)
        self.numbers = {form: Numbers(_precision(storage), sample) for form in kept}

    def add(self, chunk: pa.Array) -> None:
        """Take in the next chunk.

        Raises:
            DataError: There is an infinite number.
        """
        first_row = self.rows
        self.rows += len(chunk)
        if pa.types.is_dictionary(chunk.type) and self.levels.values is not None:
            self._declare(chunk.dictionary)
        if self.family in ("null", "other"):
            self.missing += chunk.null_count
            return
        values = plain(chunk)
        self.missing += values.null_count
        self._expect_finite(values, first_row)
        if self.family == "text":
            counted = pc.value_counts(values.drop_null())
            self.levels.add(counted.field("values"))
            self.lookalikes.add(values, counted, first_row)
        elif self.levels.values is not None:
            self.levels.add(pc.unique(values.drop_null()))
        for form in list(self.numbers):
            self._read(values, form, first_row)

    def _declare(self, dictionary: pa.Array) -> None:
        if len(dictionary) > self.levels.limit:
            self.levels.values = None
        elif self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            self.declared |= dict.fromkeys(plain(dictionary).drop_null().to_pylist())

    def _expect_finite(self, values: pa.Array, first_row: int) -> None:
        if not pa.types.is_floating(values.type):
            return
        where = pc.index(pc.is_inf(values), value=True).as_py()
        if where >= 0:
            raise DataError(
                f"column {self.name!r} holds {values[where].as_py()} (infinity) in row "
                f"{first_row + where} (counted from 0). Replace infinite numbers by the number "
                f"that is meant or by a missing value, or leave the column out with "
                f"columns={{{self.name!r}: 'ignore'}}."
            )

    def _read(self, values: pa.Array, form: str | None, first_row: int) -> None:
        numbers = values
        if form is not None:
            for some in (values[:HEAD], values):  # most forms fail at once
                numbers = written.read(some, form)
                where = pc.index(written.unreadable(some, numbers), value=True).as_py()
                if where >= 0:
                    break
            if where >= 0:
                del self.numbers[form]
                if self.misfit is None or first_row + where > self.misfit[0]:
                    self.misfit = (first_row + where, values[where].as_py())
                return
        self.numbers[form].add(numbers.drop_null().to_numpy(zero_copy_only=False))


def _precision(storage: pa.DataType) -> np.dtype[Any]:
    kind = value_type(storage)
    return np.dtype(kind.to_pandas_dtype() if pa.types.is_floating(kind) else np.float64)
