"""What tables look like from outside, where the work is done on Arrow tables inside.

A frame is taken apart once; whatever rows are made later take its type again, column by column:
those that a model has, with the model's schema, and keys, which no model has.

This module does not know what the rows say.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from variate.errors import DataError
from variate.table import files
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import Frame, restore, to_frame
from variate.table.schema import ColumnSchema, TableSchema
from variate.table.storage import value_type

__all__ = ["frame_of", "given_back", "outward", "restored", "without"]


def frame_of(raw: Any, whose: str, keys: Collection[str]) -> Frame:
    """A frame, or the table in a file, with its keys as plain values and not as categories.

    Raises:
        DataError: It is no table whose columns have names.
    """
    with files.naming(raw):
        frame = to_frame(files.read(raw) if isinstance(raw, str | Path) else raw)
    if frame.source == "numpy":
        raise DataError(f"the {whose} are an array, whose columns have no names; give a frame.")
    table = frame.table
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if name in keys and pa.types.is_dictionary(column.type):
            table = table.set_column(place, name, column.cast(value_type(column.type)))
    return replace(frame, table=table)


def without(table: pa.Table, *names: str | None) -> pa.Table:
    """The table without these columns."""
    return table.select([name for name in table.column_names if name not in names])


def given_back(codec: ConstrainedCodec) -> dict[str, ColumnSchema]:
    """The columns that a codec of Arrow tables gives back, by name."""
    none = codec.decode(torch.empty(0, len(codec.modelled), dtype=torch.float64))
    schema = codec.schema if codec.caller is None else codec.caller
    return {column.name: column for column in schema.columns if column.name in none.column_names}


def outward(
    frame: Frame, known: Mapping[str, ColumnSchema], keys: Collection[str | None]
) -> TableSchema:
    """The schema of what is given back: the frame's columns that are modelled, and its keys.

    Args:
        frame: The table that came in.
        known: What is known of its columns, and perhaps of others.
        keys: The columns that no model has.
    """
    columns = []
    for field, dtype, label in zip(frame.table.schema, frame.dtypes, frame.labels, strict=True):
        if field.name in keys:
            bare = _bare(dtype)
            column = ColumnSchema(field.name, "missing", bare, str(field.type), label=label)
            columns.append(column)
        elif field.name in known:
            columns.append(replace(known[field.name], dtype=dtype, label=label))
    names = tuple(column.name for column in columns)
    return TableSchema(tuple(columns), frame.table.num_rows, frame.source, names=names)


def restored(table: pa.Table, schema: TableSchema) -> Any:
    """The schema's columns, in its order, in the type of the frame that it is from."""
    columns = {name: table.column(name).combine_chunks() for name in schema.names}
    return restore({name: _one(array) for name, array in columns.items()}, schema)


def _one(array: Any) -> pa.Array:
    """One array, whatever `combine_chunks` made of it."""
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _bare(dtype: str) -> str:
    """The type of a key: new ones are no members of an old set of categories."""
    if dtype.startswith("category["):
        return dtype[len("category[") : -1]
    return "String" if dtype in ("Enum", "Categorical") else dtype
