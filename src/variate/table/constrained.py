"""The table codec under constraints and the calendar: what the model sees, and what the user gets.

    fit     rows -> constraints fitted -> apply -> moments taken apart -> schema of what is left
    encode  rows -> apply -> take moments apart -> x
    decode  x -> rows of what is left -> put moments together -> restore -> rows that obey, in the
            caller's type

Without constraints and moments it is a `TableCodec`.

This module does not know what the constraints say, nor the calendar.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple, Self

import pyarrow as pa
from torch import Tensor

from variate.errors import DataError, DataWarning, ModelFileError, OptionError
from variate.table.calendar import Calendar, calendar_of
from variate.table.codec import CHUNK, TableCodec
from variate.table.constraints import Constraints, Fitted, FittedConstraints, Rule, Unique
from variate.table.constraints.combinations import FittedCombinations
from variate.table.constraints.lookup import FittedLookup
from variate.table.frames import Frame, restore, to_frame
from variate.table.inference import YEAR, with_years
from variate.table.schema import ColumnSchema, TableSchema

__all__ = ["ConstrainedCodec", "Source"]

HEAD = 1_000_000  # rows of a stream by which is decided how moments are taken apart


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
            caller = _caller(frame, _moments(self.schema))
            self._take_apart(frame.table, caller, lambda: [frame.table])
            return self
        self.fitted = self.constraints.fit(frame.table)
        applied = self.fitted.apply(frame.table)
        given = self.columns or {}
        unknown = [name for name in given if name not in frame.table.column_names]
        self.columns = {n: k for n, k in given.items() if n in applied.column_names or n in unknown}
        super().fit(applied)
        computed = _computed(frame.table, self.constraints.rules, given)
        self.caller = _caller(frame, [*_moments(self.schema), *computed])
        self._take_apart(applied, self.caller, lambda: [applied])
        return self

    def _take_apart(
        self, head: pa.Table, caller: TableSchema, tables: Callable[[], Iterable[pa.Table]]
    ) -> None:
        """Choose the moments that are taken apart, by some rows, and learn the parts from all."""
        found: list[Calendar] = []
        for column in self.schema.modelled:
            taken = [*self.schema.names, *(name for calendar in found for name in calendar.parts)]
            calendar = calendar_of(column, head.column(column.name), taken)
            found += [] if calendar is None else [calendar]
        if not found:
            return
        self.calendars, self.caller = tuple(found), caller
        whole = [calendar.column.name for calendar in found]
        apart = (_taken_apart(table.select(whole), found).to_batches() for table in tables())
        first = _taken_apart(head.select(whole).slice(0, 0), found)
        learned = TableCodec().fit_batches(first.schema, chain.from_iterable(apart)).schema
        weeks = {calendar.parts[0] for calendar in found if calendar.weekly}
        parts = [
            with_years(part, YEAR / 7) if part.name in weeks and part.kind == "integer" else part
            for part in learned.columns
        ]
        self.schema = replace(
            self.schema,
            columns=(*parts, *(c for c in self.schema.columns if c.name not in whole)),
            source="pyarrow",
            names=(*learned.names, *(name for name in self.schema.names if name not in whole)),
        )

    def fit_batches(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Self:
        """Learn the schema from batches of rows, moments as one number: see `fit_stream`.

        Raises:
            OptionError: There are constraints, which need the whole table.
        """
        if self.constraints.rules:
            raise OptionError(
                "constraints are learned from a table in memory, and this one is too large; leave "
                "constraints out, or give a sample of the rows."
            )
        super().fit_batches(schema, batches)
        return self

    def fit_stream(
        self, schema: pa.Schema, batches: Callable[[], Iterable[pa.RecordBatch]]
    ) -> Self:
        """As `fit`, from batches of rows that can be read again, in bounded memory.

        Raises:
            DataError: The table cannot be used; the message names the column and row.
            OptionError: There are constraints, or an override cannot be used.
        """
        self.fit_batches(schema, batches())
        if not any(column.kind == "datetime" for column in self.schema.modelled):
            return self
        some, rows = [], 0
        for batch in batches():
            some.append(batch)
            rows += batch.num_rows
            if rows >= HEAD:
                break
        dtypes, labels = tuple(map(str, schema.types)), (None,) * len(schema)
        caller = _caller(
            Frame(schema.empty_table(), "pyarrow", dtypes, labels), _moments(self.schema)
        )
        self._take_apart(
            pa.Table.from_batches(some),
            caller,
            lambda: (pa.Table.from_batches([batch]) for batch in batches()),
        )
        return self

    @property
    def read(self) -> tuple[str, ...]:
        """The names of the user's columns that `encode` looks at, without constraints."""
        parts = {part for calendar in self.calendars for part in calendar.parts}
        moments = (calendar.column.name for calendar in self.calendars)
        return (*moments, *(c.name for c in self.modelled if c.name not in parts))

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
        return super().encode(self.applied(self.table_of(raw)))

    def encode_applied(self, table: pa.Table) -> Tensor:
        """The columns that the model sees, from `applied`, as x `[N, C]`."""
        return super().encode(table)

    def table_of(self, raw: Any) -> pa.Table:
        """A table as it comes in later, in the user's columns."""
        return super().table_of(raw) if self.caller is None else to_frame(raw).table

    def decode(self, x: Tensor) -> Any:
        """x `[N, C]` as a table whose rows obey, in the caller's type.

        The same x gives the same keys.
        """
        if self.caller is None:
            return super().decode(x)
        digest = hashlib.sha256(x.detach().cpu().numpy().tobytes()).digest()
        made = self.put_together(x, seed=int.from_bytes(digest[:6], "little"))
        kept = [column for column in self.caller.columns if column.name in made.column_names]
        arrays = {c.name: made.column(c.name).combine_chunks() for c in kept}
        schema = TableSchema(tuple(kept), 0, self.caller.source, (), tuple(arrays))
        return restore(arrays, schema)

    def put_together(self, x: Tensor, *, seed: int) -> pa.Table:
        """x `[N, C]` as the user's columns, under constraints or with moments taken apart."""
        made = super().decode(x)
        for calendar in self.calendars:
            made = calendar.restore(made)
        return made if self.fitted is None else self.fitted.restore(made, seed=seed)

    # -- columns that the model does not see as the user does -------------------------------------

    def put_back(self) -> dict[str, Rule | Calendar]:
        """The user's columns that a rule computes or a calendar puts together, and which one."""
        found: dict[str, Rule | Calendar] = {c.column.name: c for c in self.calendars}
        for part in () if self.fitted is None else self.fitted.parts:
            found |= dict.fromkeys(part.rule.takes, part.rule)
        return found

    def outward(self, name: str) -> ColumnSchema:
        """What is known of one of these columns as the user knows it."""
        assert self.caller is not None
        return next(column for column in self.caller.columns if column.name == name)

    @property
    def asked_about(self) -> TableSchema:
        """The columns that a condition may name, as the user knows them."""
        outward = tuple(self.outward(name) for name in self.put_back())
        names = {column.name for column in outward}
        known = tuple(c for c in self.schema.columns if c.name not in names)
        return replace(
            self.schema,
            columns=known + outward,
            dropped=(),
            names=tuple(column.name for column in known + outward),
        )

    def source_of(self, name: str) -> "Source | None":
        """The one column from which a rule puts another back, if it needs no other."""
        for part in () if self.fitted is None else self.fitted.parts:
            if name in part.rule.takes and isinstance(part, FittedCombinations):
                return Source(part, part.joint)
            if name in part.rule.takes and isinstance(part, FittedLookup):
                reads = part.rule.reads
                return Source(part, reads[0]) if len(reads) == 1 else None
        return None

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


class Source(NamedTuple):
    """A rule that puts a column back from one other.

    Attributes:
        part: The fitted rule.
        source: The name of the other column.
    """

    part: Fitted
    source: str


def _taken_apart(table: pa.Table, calendars: Sequence[Calendar]) -> pa.Table:
    """The table with the parts of its moments, first of all columns, in their order."""
    for calendar in reversed(calendars):
        table = calendar.apply(table)
    return table


def _caller(frame: Frame, known: Sequence[ColumnSchema]) -> TableSchema:
    """The columns as the caller has them: their types, and of some all that is known."""
    full = {column.name: column for column in known}
    columns = []
    for field, dtype, label in zip(frame.table.schema, frame.dtypes, frame.labels, strict=True):
        column = full.get(field.name)
        if column is None or column.storage != str(field.type):
            column = ColumnSchema(field.name, "missing", dtype, str(field.type))
        columns.append(replace(column, dtype=dtype, label=label))
    return TableSchema(tuple(columns), 0, frame.source, (), tuple(frame.table.column_names))


def _moments(schema: TableSchema) -> list[ColumnSchema]:
    return [column for column in schema.columns if column.kind == "datetime"]


def _computed(
    table: pa.Table, rules: Sequence[Rule], columns: Mapping[str, str]
) -> tuple[ColumnSchema, ...]:
    """What is known of the columns that rules compute, before they are taken out."""
    names = [n for rule in rules if not isinstance(rule, Unique) for n in rule.takes]
    codec = TableCodec({name: kind for name, kind in columns.items() if name in names})
    try:
        with warnings.catch_warnings():  # what there is to say is said of what is modelled
            warnings.simplefilter("ignore", DataWarning)
            return codec.fit(table.select(names)).schema.columns
    except DataError:  # none of them varies, or cannot be read: there is nothing to ask
        return ()
