"""Real rows, and drawn ones beside them for the levels of a column that are rare.

With n_k real rows of level k, and N = max_k n_k,

    drawn_k = max(0, ceil(ratio N) - n_k)        rows ~ p(row | column = k)

so that a ratio of 1 makes all levels equally frequent. Rows of a level are drawn under a condition
(`conditional`), not by throwing others away. Real rows stay as they are, in their order, and what
was drawn comes after them and is marked.

This module does not know whether drawn rows help a model that learns from them: `augmentation`
measures that.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sklearn.utils.validation import check_is_fitted

from variate.errors import OptionError
from variate.options import above_zero
from variate.table import files
from variate.table.estimator import TableVAE
from variate.table.frames import returned, to_frame
from variate.table.storage import plain

__all__ = ["balance", "lacking_rows"]

MARK = "synthetic"
LEVELS = 100  # of the column, at most: each is a condition of its own


def balance(
    model: TableVAE,
    rows: Any,
    column: str,
    *,
    ratio: float = 1.0,
    temperature: float = 1.0,
    mark: str | None = MARK,
    seed: int | None = None,
) -> Any:
    """Real rows, followed by rows that a model draws for the rare levels of a column.

    Args:
        model: Fitted; on no row that is to measure the benefit.
        rows: The real rows: a frame, an array, or the path of a table.
        column: The column of which all levels shall be frequent.
        ratio: Each level gets at least so many rows for each row of the most common one.
        temperature: Of the draws; less than 1 makes them more typical.
        mark: The name of a column that says which rows were drawn; None for none.
        seed: Makes the draws repeatable.

    Returns:
        The rows in the type that they came in (of a path, a pyarrow table); in an array the mark
        is 0 or 1, last. Columns that the model does not have are empty in the drawn rows. A
        missing value is no level.

    Raises:
        OptionError: There is no such column, it has more than 100 levels or one that the model has
            never seen, or ratio is not above 0 and at most 1.
        DataError: It is no table.

    Examples:
        >>> import pandas as pd, variate as vt
        >>> rows = pd.DataFrame({"kind": ["a"] * 90 + ["b"] * 10, "size": [0, 1, 2, 3] * 25})
        >>> model = vt.TableVAE(latent=2, epochs=2).fit(rows)
        >>> more = vt.balance(model, rows, "kind", seed=0)
        >>> more["kind"].value_counts().to_dict(), int(more["synthetic"].sum())
        ({'a': 90, 'b': 90}, 80)
    """
    check_is_fitted(model)
    above_zero("ratio", ratio)
    above_zero("temperature", temperature)
    if ratio > 1:
        raise OptionError(f"ratio must be at most 1, at which all levels are equal; got {ratio!r}.")
    with files.naming(rows):
        frame = to_frame(files.read(rows) if isinstance(rows, str | Path) else rows)
    real = frame.table
    if mark is not None and mark in real.column_names:
        raise OptionError(
            f"the rows have a column {mark!r} already; give another name, such as "
            f"mark={mark + '_row'!r}, or mark=None."
        )
    lacking = lacking_rows(real, column, ratio)
    drawn = _drawn(model, column, lacking, temperature, seed)
    columns = {name: _joined(real.column(name), drawn, name) for name in real.column_names}
    if mark is not None:
        count = sum(lacking.values())
        columns[mark] = pa.array(np.arange(real.num_rows + count) >= real.num_rows)
    return returned(columns, frame)


def lacking_rows(table: pa.Table, column: str, ratio: float) -> dict[Any, int]:
    """How many rows each level of a column lacks, those that lack none left out.

    Raises:
        OptionError: There is no such column, or it has no levels or too many.
    """
    if column not in table.column_names:
        raise OptionError(
            f"there is no column {column!r} to balance; there are "
            f"{', '.join(map(repr, table.column_names))}."
        )
    counted = pc.value_counts(plain(table.column(column)).drop_null())
    if not 1 <= len(counted) <= LEVELS:
        raise OptionError(
            f"column {column!r} has {len(counted):,} different values; a column to balance has at "
            f"most {LEVELS}. Group its values first."
        )
    counts = {pair["values"]: pair["counts"] for pair in counted.to_pylist()}
    wanted = math.ceil(ratio * max(counts.values()) - 1e-9)
    return {level: wanted - count for level, count in counts.items() if count < wanted}


def _drawn(
    model: TableVAE, column: str, lacking: dict[Any, int], temperature: float, seed: int | None
) -> pa.Table | None:
    """The rows that are lacking; decoded together, so that keys that are made differ."""
    if not lacking:
        return None
    seeds = np.random.SeedSequence(seed).generate_state(len(lacking)).tolist()
    parts = [
        model._draw_given(count, {column: level}, temperature, each)
        for (level, count), each in zip(lacking.items(), seeds, strict=True)
    ]
    return to_frame(model.codec_.decode(torch.cat(parts))).table


def _joined(real: pa.ChunkedArray, drawn: pa.Table | None, name: str) -> pa.Array:
    """A column of the real rows and of those that were drawn, in the type of the former."""
    first = real.combine_chunks()
    if drawn is None:
        return first
    if name not in drawn.column_names:
        return pa.concat_arrays([first, pa.nulls(drawn.num_rows, first.type)])
    second = plain(drawn.column(name)) if pa.types.is_dictionary(first.type) else drawn.column(name)
    if not pa.types.is_dictionary(first.type):
        if pa.types.is_dictionary(second.type):
            second = plain(second)
        return pa.concat_arrays([first, _one(second.cast(first.type))])
    levels = first.dictionary
    second = _one(second.cast(levels.type))
    new = pc.unique(second.drop_null())
    levels = pa.concat_arrays([levels, new.filter(pc.invert(pc.is_in(new, value_set=levels)))])
    codes = pa.concat_arrays(
        [first.indices.cast(pa.int32()), pc.index_in(second, value_set=levels).cast(pa.int32())]
    )
    return pa.DictionaryArray.from_arrays(codes, levels, ordered=first.type.ordered)


def _one(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
