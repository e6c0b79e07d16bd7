r"""Gaps filled: a table with missing cells in, an `Imputation` out.

    rows with gaps -> x, known -> draws of the cells (candidates.py) -> cells in the caller's terms

A cell that is there stays as the caller has it, to the last digit. Where constraints tie columns
together, whole rows are put together for each draw, and a row in which what is known cannot be met
by what was drawn is an error.

This module does not know how the cells are drawn, nor what is made of them.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from variate.errors import DataError, DataWarning, OptionError, SchemaError
from variate.models import VAE
from variate.options import whole
from variate.progress import tally
from variate.table import columns as column_codec
from variate.table.calendar import Calendar
from variate.table.candidates import CANDIDATES, MOST, Drawn, drawn_cells
from variate.table.completion import known_cells
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import Frame, to_frame
from variate.table.imputation import Cells, Imputation
from variate.table.schema import ColumnSchema
from variate.table.storage import parse_type, plain, scalar_array, stored

__all__ = ["KEPT", "imputed"]

KEPT = 100  # draws of each cell at the least: of fewer, quantiles say little
FEW = 5.0  # effective candidates, below which a row is mentioned


def imputed(
    model: VAE,
    codec: ConstrainedCodec,
    raw: object,
    draws: int,
    seed: int | None,
    *,
    show: bool = False,
) -> Imputation:
    """The table with its gaps filled.

    Args:
        model: One whose decoder is a chain of columns.
        codec: Its codec.
        raw: A frame or an array.
        draws: How many completed tables there are to be.
        seed: Makes the draws repeatable.
        show: Whether standard error is told how far it is.

    Raises:
        DataError: There are no rows, or a cell cannot be used.
        OptionError: draws is no whole number from 1 to `MOST`.
    """
    whole("draws", draws)
    if draws > MOST:
        raise OptionError(f"draws must be at most {MOST:,}, got {draws:,}.")
    frame = _framed(codec, raw)
    _mention_left(codec, frame)
    cells = known_cells(codec, _of_the_model(codec, frame.table), fill=True)
    x, known = _unflagged(codec, cells.x, cells.known)
    rows = (~known).any(1).nonzero().squeeze(-1)
    kept = max(draws, KEPT)
    k = max(CANDIDATES, 2 ** (kept - 1).bit_length())
    effective = np.full(len(x), np.inf)
    if len(rows):
        with tally("filled", show=show) as more:
            drawn = drawn_cells(
                model, x[rows], known[rows], kept, candidates=k, seed=seed, done=more
            )
        effective[rows.numpy()] = drawn.effective.numpy()
        _mention(codec, drawn, rows)
    else:
        empty = x.new_zeros(0)
        drawn = Drawn(empty.view(0, kept), empty, empty, empty.long())
    if codec.fitted is None:
        found = dict(_by_column(codec, frame, known, drawn))
    else:
        found = dict(_by_row(codec, frame, x, known, drawn))
    result = Imputation(frame, found, draws, effective)
    _expect_obeyed(codec, result)
    return result


def _framed(codec: ConstrainedCodec, raw: object) -> Frame:
    """The table as it came in, and empty columns for those that it lacks."""
    frame = to_frame(raw)
    schema = codec.schema if codec.caller is None else codec.caller
    table = frame.table
    if frame.source == "numpy" and table.num_columns == len(schema.names):
        table = table.rename_columns(list(schema.names))
    dtypes, labels = list(frame.dtypes), list(frame.labels)
    if not {column.name for column in _outward(codec)} & set(table.column_names):
        wanted = ", ".join(repr(column.name) for column in _outward(codec))
        raise SchemaError(
            f"the table has none of the columns that the model was trained on, which are {wanted}."
        )
    for column in _outward(codec):
        if column.name not in table.column_names:
            empty = pa.nulls(table.num_rows, parse_type(column.storage))
            table = table.append_column(column.name, empty)
            dtypes.append(column.dtype if schema.source == frame.source else str(empty.type))
            labels.append(column.label)
    return Frame(table, frame.source, tuple(dtypes), tuple(labels))


def _of_the_model(codec: ConstrainedCodec, table: pa.Table) -> pa.Table:
    """The columns that the model was trained on."""
    names = {column.name for column in _outward(codec)}
    return table.select([name for name in table.column_names if name in names])


def _outward(codec: ConstrainedCodec) -> tuple[ColumnSchema, ...]:
    """The columns as the caller has them."""
    return (codec.schema if codec.caller is None else codec.caller).columns


def _mention_left(codec: ConstrainedCodec, frame: Frame) -> None:
    """Say which columns have gaps that nothing is known of."""
    known = {column.name for column in _outward(codec) if column.kind != "missing"}
    known |= {column.name for column in codec.modelled}
    names = [n for n in frame.table.column_names if n not in known]
    if left := [n for n in names if frame.table.column(n).null_count]:
        _warn(
            f"the columns {', '.join(map(repr, left))} are no part of the model: their gaps are "
            "left as they are"
        )


def _unflagged(codec: ConstrainedCodec, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """A column that says where a computed value is missing shall say that none is."""
    flags = [getattr(part, "flag", None) for part in codec.fitted.parts] if codec.fitted else []
    for i, column in enumerate(codec.modelled):
        if column.name in flags:
            x[:, i] = [str(level).lower() for level in column.levels].index("false")
            known[:, i] = True
    return x, known


def _mention(codec: ConstrainedCodec, drawn: Drawn, rows: Tensor) -> None:
    """Say in which rows what is known is impossible, or leaves few candidates."""
    never = (drawn.impossible >= 0).nonzero().squeeze(-1)
    if len(never):
        row, column = int(rows[never[0]]), codec.modelled[int(drawn.impossible[never[0]])]
        _warn(
            f"row {row} (counted from 0): under the model the value of column {column.name!r} is "
            f"impossible together with the row's other values, so its gaps are filled as if that "
            f"value said nothing; so it is in {len(never):,} row(s). Correct the value, or make it "
            "missing"
        )
    few = ((drawn.effective < FEW) & (drawn.impossible < 0)).nonzero().squeeze(-1)
    if len(few):
        _warn(
            f"in {len(few):,} row(s), the first {int(rows[few[0]])} (counted from 0), what is "
            f"known suits few of the candidates (fewer than {FEW:g}, after more were tried), so "
            "that their draws vary less than they should; see Imputation.effective"
        )


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=5)


# -- without constraints: a column at a time ------------------------------------------------------


def _by_column(
    codec: ConstrainedCodec, frame: Frame, known: Tensor, drawn: Drawn
) -> Iterator[tuple[str, Cells]]:
    """The missing cells of each column."""
    row, place = (~known).nonzero(as_tuple=True)
    at = {column.name: (place == i, column) for i, column in enumerate(codec.modelled)}
    taken = {part for calendar in codec.calendars for part in calendar.parts}
    for name, (chosen, column) in at.items():
        if name not in taken and chosen.any():
            point, values = drawn.point[chosen], drawn.values[chosen].flatten()
            yield name, Cells(row[chosen].numpy(), _decoded(point, column), _coded(values, column))
    for calendar in codec.calendars:
        parts = [at[part] for part in calendar.parts]
        chosen = parts[0][0]
        if chosen.any():
            yield calendar.column.name, _moments(calendar, row[chosen], parts, drawn)
    for column in codec.schema.columns:
        empty = pc.is_null(frame.table.column(column.name)) if column.kind == "constant" else None
        if empty is not None and pc.any(empty).as_py():
            rows = np.flatnonzero(empty.to_numpy())
            value = _decoded(torch.zeros(len(rows)), column)
            many = np.repeat(np.arange(len(rows)), drawn.values.shape[1])
            yield column.name, Cells(rows, value, value.take(pa.array(many)))


def _moments(
    calendar: Calendar, rows: Tensor, parts: list[tuple[Tensor, ColumnSchema]], drawn: Drawn
) -> Cells:
    """Moments that were taken apart, put together; the middle one of each is the best guess."""
    columns = [_decoded(drawn.values[cells].flatten(), column) for cells, column in parts]
    table = calendar.restore(pa.table(columns, names=list(calendar.parts)))
    draws = _one(table.column(calendar.column.name))
    ticks = plain(draws).to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    middle = ticks.argsort(1)[:, ticks.shape[1] // 2] + np.arange(len(rows)) * ticks.shape[1]
    return Cells(rows.numpy(), draws.take(pa.array(middle)), draws)


def _decoded(x: Tensor, column: ColumnSchema) -> pa.Array:
    """Values of one column in the caller's terms, of a closed one the nearest that there is."""
    if column.closed and column.atoms and column.kind != "constant":
        atoms = torch.tensor(column.atoms, dtype=torch.float64)
        x = atoms[torch.searchsorted((atoms[1:] + atoms[:-1]) / 2, x)]
    return _one(column_codec.decode(x.double().numpy(), column))


def _coded(x: Tensor, column: ColumnSchema) -> pa.Array:
    """The same; categories as codes and levels, which take less room."""
    if column.kind not in ("category", "boolean"):
        return _decoded(x, column)
    levels = plain(scalar_array(list(column.levels), parse_type(column.storage)))
    return pa.DictionaryArray.from_arrays(pa.array(x.int().numpy()), levels)


def _one(values: object) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


# -- under constraints: whole rows ----------------------------------------------------------------


def _by_row(
    codec: ConstrainedCodec, frame: Frame, x: Tensor, known: Tensor, drawn: Drawn
) -> Iterator[tuple[str, Cells]]:
    """The missing cells of each column, of rows that were put together for each draw."""
    empty = {
        name: np.flatnonzero(plain(frame.table.column(name)).is_null().to_numpy(False))  # noqa: FBT003
        for name in (column.name for column in _outward(codec))
    }
    wanted = {name: rows for name, rows in empty.items() if len(rows)}
    filled = _put_together(codec, x, known, drawn.point)
    kept = drawn.values.shape[1]
    tables = [_put_together(codec, x, known, drawn.values[:, d], d) for d in range(kept)]
    for name, rows in wanted.items():
        if name not in filled.column_names:
            continue
        at = pa.array(rows)
        each = [plain(table.column(name).take(at)) for table in tables]
        order = np.arange(kept * len(rows)).reshape(kept, -1).T.ravel()
        kind = filled.column(name).type
        together = pa.concat_arrays(each).take(pa.array(order))
        values = _one(filled.column(name).take(at))
        yield name, Cells(rows, values, _as_kind(together, kind))


def _put_together(
    codec: ConstrainedCodec, x: Tensor, known: Tensor, values: Tensor, seed: int = 0
) -> pa.Table:
    """The rows with these values in the cells that were not known."""
    whole_rows = x.clone()
    whole_rows[~known] = values
    return codec.put_together(whole_rows, seed=seed)


def _as_kind(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Plain values in the type of their column, a dictionary's as its values."""
    return stored(values, kind.value_type if pa.types.is_dictionary(kind) else kind)


def _expect_obeyed(codec: ConstrainedCodec, result: Imputation) -> None:
    """Known cells stay, so that a rule may be broken by what was drawn beside them.

    Raises:
        DataError: It is; the message names the row and the rule.
    """
    if codec.fitted is None or not result.missing:
        return
    plainly = replace(result, frame=replace(result.frame, source="pyarrow"))
    for table in (plainly.filled, *plainly.tables):
        found = codec.fitted.check(table)
        if found is not None:
            rule, violation = found
            raise DataError(
                f"{rule!r} ties columns together of which some are known and some are missing, and "
                f"what was drawn does not suit what is known: {violation}. Make the known ones "
                "missing too, or work out the missing ones."
            )
