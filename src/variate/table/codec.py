"""The table codec: frames of mixed columns <-> x [N, C], float64, NaN = missing.

    fit     rows -> schema      one pass over chunks of rows, in bounded memory
    encode  rows -> x           numbers as they are, categories as codes, one column of x for each
                                modelled column, in the schema's order
    decode  x -> rows           in the type and with the types of columns that were put in

decode(encode(rows)) gives back the rows. Columns that say nothing (one value only, or none) are no
part of x and are put back by decode; columns that cannot be modelled are left out, with a warning.
A codec that was fitted on one kind of frame encodes every other.

This module does not know any model, nor how files are read.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from variate.codec import Codec
from variate.errors import DataError, DataWarning, ModelFileError, OptionError, SchemaError
from variate.table import columns as column_codec
from variate.table.copies import Copies, checked_copies, find_copies, find_sums
from variate.table.frames import Frame, restore, to_frame
from variate.table.inference import OVERRIDES, conclude, summary_for
from variate.table.schema import ColumnSchema, Dropped, TableSchema

__all__ = ["TableCodec"]

CHUNK = 65_536  # rows that are summarised at once
SAMPLE = 200_000  # numbers of a column that are kept for its ranks
SAMPLES = 6_000_000  # of all columns together


class TableCodec(Codec):
    """Rows of columns of mixed kinds, with gaps.

    Args:
        columns: Kinds that override what is inferred, by column name: "continuous", "integer",
            "boolean", "category", "datetime" or "ignore".

    Attributes:
        schema: What was learned; there after `fit`.
        copies: Which numbers repeat which, see `find_copies`; there after `notice`.
        sums: Which sums hold in every row and are no copies, see `find_sums`; there after `notice`.
        width: Of the columns' networks, once it was chosen for this table.

    Examples:
        >>> import pyarrow as pa
        >>> from variate.table.codec import TableCodec
        >>> rows = pa.table({"age": [31, 47, None], "sex": ["f", "m", "f"]})
        >>> codec = TableCodec(columns={"age": "integer"})
        >>> x = codec.fit(rows).encode(rows)
        >>> x.tolist()
        [[31.0, 0.0], [47.0, 1.0], [nan, 0.0]]
        >>> codec.decode(x).equals(rows)
        True
    """

    schema: TableSchema
    copies: Copies
    sums: Copies
    width: int | None

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        self.columns = columns
        self.copies = ()
        self.sums = ()
        self.width = None

    @property
    def modelled(self) -> tuple[ColumnSchema, ...]:
        """The columns of x, in order."""
        return self.schema.modelled

    def fit(self, raw: Any) -> Self:
        """Learn the schema from a table; see `frames` for what is one.

        Raises:
            DataError: The table cannot be used; the message names the column and row.
            OptionError: An override cannot be used.
        """
        ignored = [name for name, kind in self._overrides().items() if kind == "ignore"]
        frame = to_frame(raw, ignored)
        return self._learn(frame, frame.table.to_batches(max_chunksize=CHUNK))

    def fit_batches(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Self:
        """Learn the schema from batches of rows, of which only one is looked at at a time.

        Args:
            schema: Names and types of the columns.
            batches: The rows; their columns must have these types.

        Raises:
            DataError: The table cannot be used; the message names the column and row.
            OptionError: An override cannot be used.
        """
        dtypes = tuple(map(str, schema.types))
        frame = Frame(schema.empty_table(), "pyarrow", dtypes, (None,) * len(schema))
        return self._learn(frame, batches)

    def encode(self, raw: Any) -> Tensor:
        """A table as x `[N, C]`, float64; columns may come in any order.

        Raises:
            SchemaError: A column is missing, has another type or a category never seen.
            DataError: It is no table, has no rows, or holds an infinite number.
        """
        table = TableCodec.table_of(self, raw)
        self._expect_modelled(table.column_names)
        if not table.num_rows:
            raise DataError(f"there are no rows: 0 sample(s) (shape={table.shape}).")
        x = np.empty((table.num_rows, len(self.modelled)))
        for i, column in enumerate(self.modelled):
            x[:, i], note = column_codec.encode(table.column(column.name), column)
            _warn(note)
        self._mention_changes(table)
        return torch.from_numpy(x)

    def table_of(self, raw: Any) -> pa.Table:
        """A table as it comes in later, its columns by the names that they had in training."""
        return self._renamed(to_frame(raw, [drop.name for drop in self.schema.dropped]))

    def decode(self, x: Tensor) -> Any:
        """x `[N, C]` as a table of the type that the schema was learned from.

        Raises:
            ValueError: x does not have one column for each modelled one.
            MissingExtraError: The library that the table came from is not installed here.
        """
        if x.ndim != 2 or x.shape[1] != len(self.modelled):
            raise ValueError(f"x must be [N, {len(self.modelled)}], got {list(x.shape)}")
        values = x.detach().to("cpu", torch.float64).numpy()
        modelled = {column.name: i for i, column in enumerate(self.modelled)}
        made = {
            column.name: column_codec.decode(values[:, modelled.get(column.name, 0)], column)
            for column in self.schema.columns
        }
        return restore(made, self.schema)

    def notice(self, x: Tensor) -> None:
        """Learn from encoded rows `[N, C]` what only whole rows show: which numbers repeat others.

        Some ten thousand of them are enough.
        """
        self.copies = find_copies(x.numpy(), self.modelled)
        self.sums = find_sums(x.numpy(), self.modelled)

    def state(self) -> dict[str, Any]:
        """The overrides and what was learned, as JSON-able values."""
        return {
            "columns": self._overrides(),
            "schema": self.schema.to_json(),
            "copies": [[column, *asdict(copy).values()] for column, copy in self.copies],
            "sums": [[column, *asdict(copy).values()] for column, copy in self.sums],
            "width": self.width,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ModelFileError: The state is damaged.
        """
        given = state.get("columns") if isinstance(state, dict) else None
        names = {"columns", "schema", "copies", "sums", "width"}
        whole = isinstance(given, dict) and state.keys() == names
        width = state["width"] if whole else None
        if not whole or not (width is None or (type(width) is int and width >= 1)):
            raise ModelFileError("the codec in the model file is damaged; fit and save it again.")
        codec = cls(given or None)
        codec.schema = TableSchema.from_json(state["schema"])
        codec.copies = checked_copies(state["copies"], codec.modelled)
        codec.sums = checked_copies(state["sums"], codec.modelled)
        codec.width = width
        return codec

    # -- learning -------------------------------------------------------------------------------

    def _overrides(self) -> dict[str, str]:
        overrides = {str(name): kind for name, kind in (self.columns or {}).items()}
        for name, kind in overrides.items():
            if kind not in OVERRIDES:
                raise OptionError(
                    f"columns={{{name!r}: {kind!r}}}: a column can be {', '.join(OVERRIDES)}"
                )
        return overrides

    def _learn(self, frame: Frame, batches: Iterable[pa.RecordBatch]) -> Self:
        overrides, names = self._overrides(), frame.table.column_names
        _expect_columns(names, overrides)
        sample = min(SAMPLE, SAMPLES // len(names))
        summaries = {
            field.name: summary_for(field.name, field.type, overrides.get(field.name), sample)
            for field in frame.table.schema
            if overrides.get(field.name) != "ignore"
        }
        rows = 0
        for batch in batches:
            rows += batch.num_rows
            for name, summary in summaries.items():
                summary.add(batch.column(name))
        _expect_rows(rows, len(names))
        verdicts: list[ColumnSchema | Dropped] = []
        for name, dtype, label in zip(names, frame.dtypes, frame.labels, strict=True):
            if name not in summaries:
                verdicts.append(Dropped(name, "ignored, as asked"))
                continue
            verdict = conclude(summaries[name], overrides.get(name), dtype, label)
            _warn(verdict.note)
            verdicts.append(verdict.column)
        self.schema = TableSchema(
            columns=tuple(v for v in verdicts if isinstance(v, ColumnSchema)),
            rows=rows,
            source=frame.source,
            dropped=tuple(v for v in verdicts if isinstance(v, Dropped)),
            names=tuple(names),
        )
        _expect_something(self.schema)
        return self

    # -- columns as they come in later ------------------------------------------------------------

    def _renamed(self, frame: Frame) -> pa.Table:
        """An array has no names: its columns are taken in order, if there are as many."""
        names = list(self.schema.names)
        if "numpy" not in (frame.source, self.schema.source) or frame.table.column_names == names:
            return frame.table
        if frame.table.num_columns != len(names):
            raise SchemaError(
                f"the model was trained on {len(names)} columns, but X has "
                f"{frame.table.num_columns} features; an array must have the same columns in the "
                "same order"
            )
        return frame.table.rename_columns(names)

    def _expect_modelled(self, names: list[str]) -> None:
        wanted = [column.name for column in self.modelled]
        if missing := [name for name in wanted if name not in names]:
            strange = [repr(name) for name in names if name not in self.schema.names]
            instead = f" The data has {', '.join(strange[:10])} instead." if strange else ""
            raise SchemaError(
                f"the columns {', '.join(map(repr, missing))} are missing; the model was trained "
                f"on {', '.join(map(repr, wanted))}.{instead} Rename them, or add them (empty "
                "where the values are not known)."
            )
        if extra := [name for name in names if name not in self.schema.names]:
            _warn(
                f"the columns {', '.join(map(repr, extra))} were not there in training and are "
                "ignored"
            )

    def _mention_changes(self, table: pa.Table) -> None:
        """Columns that said nothing in training are not looked at by the model."""
        for column in self.schema.columns:
            if column.modelled or column.name not in table.column_names:
                continue
            given = table.column(column.name)
            row = column_codec.deviation(given, column)
            if row is not None:
                _warn(
                    f"column {column.name!r} had {column.describe()} in training, but row {row} "
                    f"(counted from 0) holds {given[row].as_py()!r:.60}; the model does not look "
                    "at this column"
                )


def _expect_columns(names: list[str], overrides: Mapping[str, str]) -> None:
    if not names:
        raise DataError("the table has no columns; give one with at least one column and two rows.")
    if unknown := [name for name in overrides if name not in names]:
        raise OptionError(
            f"columns names {', '.join(map(repr, unknown))}, which the data does not have; "
            f"it has {', '.join(map(repr, names))}"
        )


def _expect_rows(rows: int, columns: int) -> None:
    if rows == 0:
        raise DataError(
            f"there are no rows: 0 sample(s) (shape=(0, {columns})) while a minimum of 2 is "
            "required."
        )
    if rows == 1:
        raise DataError(
            "there is 1 row (1 sample); at least 2 are needed to learn anything, and some hundreds "
            "to learn something useful."
        )


def _expect_something(schema: TableSchema) -> None:
    if not schema.modelled:
        reasons = "; ".join(f"{line['column']}: {line['values']}" for line in schema.summary()[:10])
        raise DataError(
            f"there is nothing to learn: no column varies ({reasons}). Give data with at least one "
            "column that has two different values."
        )


def _warn(note: str | None) -> None:
    if note is not None:
        warnings.warn(note, DataWarning, stacklevel=4)
