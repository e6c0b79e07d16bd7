"""The table codec under constraints: what the model sees, and what the user gets.

    fit     rows -> constraints fitted -> apply -> schema of what is left
    encode  rows -> apply -> x
    decode  x -> rows of what is left -> restore -> rows that obey, in the caller's type

Without constraints it is a `TableCodec`.

This module does not know what the constraints say.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import pyarrow as pa
from torch import Tensor

from variate.errors import DataError, ModelFileError, OptionError
from variate.table.codec import TableCodec
from variate.table.constraints import Constraints, FittedConstraints, Rule
from variate.table.frames import Frame, restore, to_frame
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
        self.caller: TableSchema | None = None

    def fit(self, raw: Any) -> Self:
        """Learn the constraints and the schema from a table.

        Raises:
            DataError: The table cannot be used, or a row breaks a constraint.
            OptionError: An override or a constraint cannot be used.
        """
        if not self.constraints.rules:
            super().fit(raw)
            return self
        frame = to_frame(raw)
        self.fitted = self.constraints.fit(frame.table)
        self.caller = _caller(frame)
        applied = self.fitted.apply(frame.table)
        given = self.columns or {}
        unknown = [name for name in given if name not in frame.table.column_names]
        self.columns = {n: k for n, k in given.items() if n in applied.column_names or n in unknown}
        super().fit(applied)
        return self

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

    def encode(self, raw: Any) -> Tensor:
        """A table as x `[N, C]`."""
        if self.fitted is None:
            return super().encode(raw)
        return super().encode(self.fitted.apply(to_frame(raw).table))

    def decode(self, x: Tensor) -> Any:
        """x `[N, C]` as a table whose rows obey, in the caller's type.

        The same x gives the same keys.
        """
        made = super().decode(x)
        if self.fitted is None or self.caller is None:
            return made
        digest = hashlib.sha256(x.detach().cpu().numpy().tobytes()).digest()
        whole = self.fitted.restore(made, seed=int.from_bytes(digest[:6], "little"))
        kept = [column for column in self.caller.columns if column.name in whole.column_names]
        arrays = {c.name: whole.column(c.name).combine_chunks() for c in kept}
        schema = TableSchema(tuple(kept), 0, self.caller.source, (), tuple(arrays))
        return restore(arrays, schema)

    def state(self) -> dict[str, Any]:
        """The overrides, the schema and the constraints, as JSON-able values."""
        state = super().state()
        if self.fitted is not None and self.caller is not None:
            state["constraints"] = self.fitted.state()
            state["caller"] = self.caller.to_json()
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ModelFileError: The state is damaged.
        """
        if not isinstance(state, dict):
            raise ModelFileError("the codec in the model file is damaged; fit and save it again.")
        rest = {key: value for key, value in state.items() if key not in ("constraints", "caller")}
        codec = super().from_state(rest)
        if rest.keys() != state.keys():
            if not {"constraints", "caller"} <= state.keys():
                raise ModelFileError("the codec in the model file is damaged; fit and save it.")
            codec.fitted = FittedConstraints.from_state(state["constraints"])
            codec.caller = TableSchema.from_json(state["caller"])
            try:
                codec.constraints = Constraints([part.rule for part in codec.fitted.parts])
            except (OptionError, DataError) as error:
                raise ModelFileError(f"the model file's constraints clash: {error}") from error
        return codec


def _caller(frame: Frame) -> TableSchema:
    """The columns as the caller has them, of which only types and names matter."""
    columns = tuple(
        ColumnSchema(name=name, kind="missing", dtype=dtype, storage=str(kind), label=label)
        for name, kind, dtype, label in zip(
            frame.table.column_names, frame.table.schema.types, frame.dtypes, frame.labels,
            strict=True,
        )
    )  # fmt: skip
    return TableSchema(columns, 0, frame.source, (), tuple(frame.table.column_names))
