"""A table laid out for a search through its columns: a sample of rows, and all rows on demand.

    values  numbers and times as float64, NaN = missing (times in seconds)
    codes   every column as small integers, equal where the values are; missing is a value

Searching looks at pairs of columns, of which 500 columns have a quarter of a million: it is done on
the sample, and only what survives there is looked at in all rows.

This module does not know what is searched for.
"""

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.table.storage import TEMPORAL, family, plain, ticks_per_second

__all__ = ["Sheet"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

ROWS = 4_000
KEPT = 40  # whole columns at once


class Sheet:
    """A table and a sample of its rows.

    Args:
        table: The table.
        seed: Which rows are in the sample.

    Attributes:
        table: The table.
        sample: Some of its rows, in random order.
        rows: How many rows the table has.
    """

    def __init__(self, table: pa.Table, seed: int) -> None:
        self.table = table
        self.rows = table.num_rows
        rng = np.random.default_rng(seed)
        rows = rng.choice(self.rows, min(self.rows, ROWS), replace=False)
        self.sample = pa.table({n: _taken(table.column(n), rows) for n in table.column_names})
        self.all_values = lru_cache(KEPT)(lambda name: _values(table.column(name)))
        self.all_codes = lru_cache(KEPT)(lambda name: _codes(table.column(name)))

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Each column's family; "number" for integers and reals, "other" for their categories."""
        found = {}
        for name in self.table.column_names:
            kind = self.table.schema.field(name).type
            one = family(kind)
            if pa.types.is_dictionary(kind):
                one = "text" if one == "text" else "other"
            found[name] = "number" if one in ("integer", "real") else one
        return found

    @cached_property
    def measured(self) -> dict[str, Floats]:
        """The sample's values of columns of numbers and times that are not constant."""
        found = {}
        for name, kind in self.kinds.items():
            if kind not in ("number", *TEMPORAL):
                continue
            values = _values(self.sample.column(name))
            known = values[~np.isnan(values)]
            if len(known) > 1 and np.isfinite(known).all() and np.ptp(known) > 0:
                found[name] = values
        return found

    @cached_property
    def coded(self) -> dict[str, Codes]:
        """The sample's codes of all columns with plain values that are not constant."""
        found = {}
        for name in self.table.column_names:
            if family(self.table.schema.field(name).type) in ("other", "null"):
                continue
            codes = _codes(self.sample.column(name))
            if codes.min() < codes.max():
                found[name] = codes
        return found


def _taken(column: Any, rows: Codes) -> pa.Array:
    taken = column.combine_chunks().take(pa.array(rows))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _values(column: Any) -> Floats:
    values = plain(column)
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if family(column.type) in TEMPORAL:
        numbers = numbers / ticks_per_second(column.type)
    return np.asarray(numbers, np.float64)


def _codes(column: Any) -> Codes:
    encoded = pc.dictionary_encode(plain(column), null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
