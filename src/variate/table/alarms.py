"""Rows that are looked at for anomalies: read in batches, and told in the caller's type.

A value that no row of training had, in a column of levels or of one value, is no error here, as it
is elsewhere: it is what an alarm is for. The row is an alarm, its reason names the value, and what
else is in it is scored with the cell left empty. That is so where the model sees the column as the
user does: a column that a constraint is about must hold what the constraint allows.

This module does not know scores, nor why a row is strange.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.alarms import Items, Judgement, explained, judge
from variate.errors import DataError, DataWarning
from variate.records import Alarms
from variate.table import columns as column_codec
from variate.table import files
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import Frame, is_frame, returned, to_frame
from variate.table.intake import received
from variate.table.reasons import explain
from variate.table.schema import ColumnSchema
from variate.table.storage import plain
from variate.table.wording import shown

__all__ = ["TableItems", "alarm_tables", "as_table", "never_seen", "strange_weekdays"]

PART = 8_192  # rows of a file that are looked at together


class TableItems(Items):
    """Rows of a table, of which a file's are read in batches.

    Attributes:
        looked_at: The part that was looked at last, in the user's columns.
    """

    looked_at: pa.Table
    more = f"{Items.more}, or vt.cross_calibrate(model, the rows of fit) where there are no others"

    def parts(self) -> Iterator[Any]:
        """The table, or the batches of a file."""
        if not isinstance(self.X, str | Path):
            yield self.X
            return
        schema, batches = files.columns(self.X)
        rows = 0
        for batch in batches():
            for start in range(0, batch.num_rows, PART):
                yield pa.Table.from_batches([batch.slice(start, PART)], schema)
            rows += batch.num_rows
        if not rows:
            raise DataError(f"{self.X} has columns, but no rows.")

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """A part as x, and the rows with values that were never seen in training."""
        codec = self.estimator.codec_
        with files.naming(self.X):
            table = codec.table_of(received(self.estimator, part, reset=False))
            self.looked_at = table
            table, reasons = never_seen(codec, table)
            if not codec.calendars:
                x = codec.encode(table)
            else:
                parts, strange = strange_weekdays(codec, codec.applied(table), self.looked_at)
                x = codec.encode_applied(parts)
                for row, reason in strange.items():
                    reasons[row] = ", ".join(filter(None, [reasons.get(row), reason]))
        _mention_gaps(codec, x, reasons)
        return x, reasons

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """The columns that make these rows strange, and the nearest row that is normal."""
        return explain(self.estimator, x, strange, normal, start, self.looked_at)

    def told(self, found: Alarms) -> Any:
        """A table in the caller's type; of an array or a tensor the record itself."""
        if isinstance(self.X, str | Path):
            return as_table(found)
        if not is_frame(self.X):
            return found
        source = to_frame(self.X).source
        table = as_table(found)
        told = returned(dict(zip(table.column_names, table.columns, strict=True)), _like(source))
        if source == "pandas":
            told.index = self.X.index
        return told


def alarm_tables(
    estimator: Any, data: Any, *, fdr: float, draws: int | None
) -> tuple[Judgement, Iterator[pa.Table]]:
    """The alarms of a file's rows: what was found, and the tables that tell it, batch by batch.

    Args:
        estimator: A `TableVAE`, or a detector, fitted.
        data: The file, or what else it detects in.
        fdr: The most that the expected share of false alarms may be.
        draws: For the scores; None for as many as the calibration has.
    """
    items = estimator._items(data)
    judgement = judge(items, fdr=fdr, draws=draws)
    return judgement, map(as_table, explained(items, judgement))


def as_table(found: Alarms) -> pa.Table:
    """The four columns of alarms; a score that there is not is missing."""
    return pa.table(
        {
            "score": pa.array(found.score, mask=np.isnan(found.score)),
            "p_value": pa.array(found.p_value),
            "anomaly": pa.array(found.anomaly),
            "reasons": pa.array(found.reasons, pa.string()),
        }
    )


def never_seen(codec: ConstrainedCodec, table: pa.Table) -> tuple[pa.Table, dict[int, str]]:
    """A table with what was never seen in training taken out of it, and in which rows it was.

    Args:
        codec: The model's.
        table: The rows, in the user's columns.
    """
    tied = {
        name
        for part in (() if codec.fitted is None else codec.fitted.parts)
        for name in (*part.rule.takes, *part.rule.reads)
    }
    reasons: dict[int, list[str]] = {}
    for column in codec.schema.columns:
        if column.name in tied or column.name not in table.column_names:
            continue
        place = table.column_names.index(column.name)
        array = table.column(place)
        strange = column_codec.unseen(array, column)
        if strange is None or not (pc.any(strange).as_py() or column.kind == "constant"):
            continue
        for row in pc.indices_nonzero(strange).to_pylist():
            reasons.setdefault(row, []).append(_named(array[row], column))
        table = table.set_column(place, column.name, _taken_out(array, strange, column))
    return table, {row: ", ".join(parts) for row, parts in reasons.items()}


def strange_weekdays(
    codec: ConstrainedCodec, parts: pa.Table, table: pa.Table
) -> tuple[pa.Table, dict[int, str]]:
    """A table without weekdays on which training had no date, and in which rows they were.

    Args:
        codec: The model's.
        parts: The rows as the model sees them.
        table: The rows in the user's columns.
    """
    known = {column.name: column for column in codec.schema.columns}
    reasons: dict[int, list[str]] = {}
    for calendar in codec.calendars:
        if not calendar.weekly:
            continue
        name, of_dates = calendar.column.name, calendar.parts[1]
        place = parts.column_names.index(of_dates)
        days, column = parts.column(place), known[of_dates]
        strange = column_codec.unseen(days, column)
        if strange is None or not pc.any(strange).as_py():
            continue
        for row in pc.indices_nonzero(strange).to_pylist():
            date = shown(table.column(name)[row].as_py())
            day = days[row].as_py()
            told = f"{name}={date} (never seen in training: a {day})"
            reasons.setdefault(row, []).append(told)
        parts = parts.set_column(place, of_dates, _taken_out(days, strange, column))
    return parts, {row: ", ".join(told) for row, told in reasons.items()}


def _named(value: pa.Scalar, column: ColumnSchema) -> str:
    usual = {"constant": f"always {shown(column.value)}", "missing": "always empty"}
    known = f": {usual[column.kind]}" if column.kind in usual else ""
    return f"{column.name}={shown(value.as_py())} (never seen in training{known})"


def _taken_out(array: Any, strange: pa.Array, column: ColumnSchema) -> pa.Array:
    """The column without what was never seen; one that says nothing as it always was."""
    if column.kind == "missing":
        return pa.nulls(len(array), array.type)
    if column.kind == "constant":
        return column_codec.decode(np.zeros(len(array)), column)
    values = plain(array)
    return pc.if_else(strange, pa.scalar(None, values.type), values)


def _mention_gaps(codec: ConstrainedCodec, x: Tensor, certain: Mapping[int, str]) -> None:
    """Say which rows lack a value where no row of training did: they score as shorter rows."""
    gaps = x.isnan()
    gaps[list(certain)] = False
    gaps[gaps.all(1)] = False
    whole = torch.tensor([column.missing == 0 for column in codec.modelled])
    lacking = gaps & whole
    rows = lacking.any(1).nonzero().squeeze(-1)
    if not len(rows):
        return
    names = [codec.modelled[c].name for c in lacking.any(0).nonzero().squeeze(-1).tolist()]
    warnings.warn(
        f"{len(rows):,} rows have no value in {', '.join(map(repr, names))}, where no row of "
        f"training lacked one (the first is row {int(rows[0])}, counted from 0): what is not known "
        "adds nothing to their scores, so that their p-values, which are those of whole rows, are "
        "off. Fit the model on rows with such gaps, or fill them.",
        DataWarning,
        stacklevel=6,
    )


def _like(source: str) -> Frame:
    return Frame(pa.table({}), source, (), ())
