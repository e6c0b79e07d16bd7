"""The table codec under constraints and the calendar: what the model sees, and what the user gets.

    fit     rows -> constraints fitted -> apply -> moments taken apart -> schema of what is left
    encode  rows -> apply -> take moments apart -> x
    decode  x -> rows of what is left -> put moments together -> restore -> rows that obey, in the
            caller's type

Without constraints and moments it is a `TableCodec`.

This module does not know what the constraints say, nor the calendar.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa
from torch import Tensor

from variate.errors import DataError, ModelFileError, OptionError
from variate.table.calendar import Calendar, calendar_of
from variate.table.codec import CHUNK, TableCodec
from variate.table.constraints import Constraints, FittedConstraints, Rule
from variate.table.frames import Frame, restore, to_frame
from variate.table.inference import YEAR, with_years
from variate.table.schema import ColumnSchema, TableSchema

__all__ = ["ConstrainedCodec"]


class ConstrainedCodec(TableCodec):
    """A table codec whose rows obey constraints.

    Args:
        columns: Kinds that override what is inferred, by column name.
        constraints: Rules of `variate.table.constraints`.
    """

    def __init__(
        self, columns: Mapping[str, str] | None = None, constraints: Sequence[Rule] = ()
    ) -> None:
        super().__init__(columns)
        self.constraints = Constraints(constraints)
        self.fitted: FittedConstraints | None = None
        self.calendars: tuple[Calendar, ...] = ()
        self.caller: TableSchema | None = None

    def fit(self, raw: Any) -> Self:
        """Learn the constraints and the schema from a table.

        Raises:
            DataError: The table cannot be used, or a row breaks a constraint.
            OptionError: An override or a constraint cannot be used.
        """
        frame = to_frame(raw, [n for n, kind in self._overrides().items() if kind == "ignore"])
        if not self.constraints.rules:
            self._learn(frame, frame.table.to_batches(max_chunksize=CHUNK))
            self._take_apart(frame.table, _caller(frame, self.schema))
            return self
        self.fitted = self.constraints.fit(frame.table)
        applied = self.fitted.apply(frame.table)
        given = self.columns or {}
        unknown = [name for name in given if name not in frame.table.column_names]
        self.columns = {n: k for n, k in given.items() if n in applied.column_names or n in unknown}
        super().fit(applied)
        self.caller = _caller(frame, self.schema)
        self._take_apart(applied, self.caller)
        return self

    def _take_apart(self, table: pa.Table, caller: TableSchema) -> None:
        """Choose the moments that are taken apart, and learn the schema of the parts."""
        found: list[Calendar] = []
        for column in self.schema.modelled:
            taken = [*self.schema.names, *(name for calendar in found for name in calendar.parts)]
            calendar = calendar_of(column, table.column(column.name), taken)
            found += [] if calendar is None else [calendar]
        if not found:
            return
        whole = table.select([calendar.column.name for calendar in found])
        self.calendars, self.caller = tuple(found), caller
        weeks = {calendar.parts[0] for calendar in found if calendar.weekly}
        parts = [
            with_years(part, YEAR / 7) if part.name in weeks and part.kind == "integer" else part
            for part in TableCodec().fit(_taken_apart(whole, self.calendars)).schema.columns
        ]
        left = [c for c in self.schema.columns if c.name not in whole.column_names]
        names = [name for name in self.schema.names if name not in whole.column_names]
        self.schema = replace(
            self.schema,
            columns=(*parts, *left),
            source="pyarrow",
            names=(*(part.name for part in parts), *names),
        )

    def fit_batches(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Self:
        """Learn the schema from batches of rows; constraints need the whole table.

        Raises:
            OptionError: There are constraints.
        """
        if self.constraints.rules:
            raise OptionError(
                "constraints are learned from a table in memory, and this one is too large; leave "
                "constraints out, or give a sample of the rows."
            )
        super().fit_batches(schema, batches)
        return self

    def applied(self, table: pa.Table) -> pa.Table:
        """The columns that the model sees, of a table in the user's.

        Raises:
            SchemaError: A column is missing, has another type, or values that training had not.
        """
        if self.fitted is not None:
            table = self.fitted.apply(table)
        return _taken_apart(table, self.calendars)

    def encode(self, raw: Any) -> Tensor:
        """A table as x `[N, C]`."""
        if self.caller is None:
            return super().encode(raw)
        return super().encode(self.applied(to_frame(raw).table))

    def decode(self, x: Tensor) -> Any:
        """x `[N, C]` as a table whose rows obey, in the caller's type.

        The same x gives the same keys.
        """
        made = super().decode(x)
        if self.caller is None:
            return made
        for calendar in self.calendars:
            made = calendar.restore(made)
        if self.fitted is not None:
            digest = hashlib.sha256(x.detach().cpu().numpy().tobytes()).digest()
            made = self.fitted.restore(made, seed=int.from_bytes(digest[:6], "little"))
        kept = [column for column in self.caller.columns if column.name in made.column_names]
        arrays = {c.name: made.column(c.name).combine_chunks() for c in kept}
        schema = TableSchema(tuple(kept), 0, self.caller.source, (), tuple(arrays))
        return restore(arrays, schema)

    def modelled_for(self, *names: str) -> list[str]:
        """The names of what the model sees of columns of the user's."""
        parts = {calendar.column.name: calendar.parts for calendar in self.calendars}
        return [part for name in names for part in parts.get(name, (name,))]

    def state(self) -> dict[str, Any]:
        """The overrides, the schema, the constraints and calendars, as JSON-able values."""
        state = super().state()
        if self.caller is not None:
            state["caller"] = self.caller.to_json()
            state["calendars"] = [calendar.state() for calendar in self.calendars]
        if self.fitted is not None:
            state["constraints"] = self.fitted.state()
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ModelFileError: The state is damaged.
        """
        if not isinstance(state, dict):
            raise ModelFileError("the codec in the model file is damaged; fit and save it again.")
        own = ("caller", "calendars", "constraints")
        codec = super().from_state({key: v for key, v in state.items() if key not in own})
        if not state.keys() & set(own):
            return codec
        try:
            codec.caller = TableSchema.from_json(state["caller"])
            columns = {column.name: column for column in codec.caller.columns}
            calendars = (Calendar.from_state(part, columns) for part in state.get("calendars", []))
            codec.calendars = tuple(calendars)
            if "constraints" in state:
                codec.fitted = FittedConstraints.from_state(state["constraints"])
                codec.constraints = Constraints([part.rule for part in codec.fitted.parts])
        except (DataError, KeyError, OptionError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the constraints or calendars in the model file are damaged ({error}); fit and "
                "save the model again."
            ) from error
        return codec


def _taken_apart(table: pa.Table, calendars: Sequence[Calendar]) -> pa.Table:
    """The table with the parts of its moments, first of all columns, in their order."""
    for calendar in reversed(calendars):
        table = calendar.apply(table)
    return table


def _caller(frame: Frame, known: TableSchema) -> TableSchema:
    """The columns as the caller has them: what is known of moments, types and names of all."""
    moments = {column.name: column for column in known.columns if column.kind == "datetime"}
    columns = []
    for field, dtype, label in zip(frame.table.schema, frame.dtypes, frame.labels, strict=True):
        column = moments.get(field.name)
        if column is None or column.storage != str(field.type):
            column = ColumnSchema(field.name, "missing", dtype, str(field.type))
        columns.append(replace(column, dtype=dtype, label=label))
    return TableSchema(tuple(columns), 0, frame.source, (), tuple(frame.table.column_names))
