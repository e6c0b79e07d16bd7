r"""The best action for each row of which something is unknown, its risk, and what to ask first.

For each row, S draws x^(s) ~ p(x_unknown | x_known) of what is not known (`completion`), the
utility U_a(x^(s)) of each action a in each of them (`utilities`), and what follows from these
(`evaluation.decisions`).

What is unknown is each column that is declared so, whatever it holds; each column that is not
there; and each missing cell of a column that the utility reads or that one could ask about. A
missing cell of any other column is known to be missing, if the column had such in training: that
may say something.

Draws come in ten groups, each from candidates of its own. The standard error of an expected utility
is taken over the groups, and so has the noise of the candidates in it.

This module does not know how draws are made, nor what a utility means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from variate.errors import DataError, OptionError, SchemaError
from variate.evaluation.decisions import Choice, Risk, choose, value_of_information
from variate.options import whole
from variate.table import columns as column_codec
from variate.table import files
from variate.table.completion import (
    CANDIDATES,
    Cells,
    complete_rows,
    known_cells,
    positions_of,
)
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import Frame, returned, to_arrow, to_frame
from variate.table.intake import received
from variate.table.schema import ColumnSchema
from variate.table.storage import plain
from variate.table.utilities import Utilities

__all__ = ["decide"]

GROUPS = 10
BLOCK = 65_536  # draws that are made at once
IMPOSSIBLE = -1e6  # nats; far below any density: what no outcome stands for
RESULTS = ("action", "abstain", "best_action", "expected_utility", "standard_error", "regret",
           "cvar", "perfect_information")  # fmt: skip

Values = dict[str, NDArray[Any]]


def decide(
    estimator: Any,
    X: Any,
    utilities: Utilities,
    *,
    unknown: Sequence[str],
    ask: Sequence[str] | Mapping[str, float] | None,
    risk: Risk,
    draws: int,
    seed: int | None,
) -> Any:
    """What is best for each row, see `TableVAE.decide`."""
    whole("draws", draws)
    if not isinstance(risk, Risk):
        raise OptionError(f"risk is a vt.Risk, such as vt.Risk(regret=0.3), got {risk!r:.80}.")
    with files.naming(X):
        frame = to_frame(received(estimator, X, reset=False))
        table = _named(estimator.codec_, frame)
        names = _columns(estimator.codec_)
        _expect_columns("unknown", unknown, names)
        costs = _costs(ask, names, unknown, table)
        others = [name for name in table.column_names if name not in names]
        if others == table.column_names:
            raise SchemaError(
                f"none of the columns {', '.join(map(repr, others))} is one of the model's, which "
                f"are {', '.join(map(repr, names))}."
            )
        utilities.expect_known([*names, *others])
        reads = utilities.reads
        needed = names if reads is None else [*unknown, *costs, *(n for n in names if n in reads)]
        cells = _cells(estimator.codec_, table, [*others, *unknown], needed)
        parts = _decided(
            estimator, cells, table.select(others), utilities, costs, risk, draws, seed
        )
    whole_table = {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}
    like = Frame(table.slice(0, 0).select([]), _type_of(frame), (), ())
    return returned(whole_table, like)


def _expect_columns(option: str, given: Any, names: Sequence[str]) -> None:
    """Refuse what is no list of names of columns.

    Raises:
        OptionError: It is not; the message has the name of the option.
    """
    listed = not isinstance(given, str) and isinstance(given, Sequence | Mapping | set | frozenset)
    if not listed or not all(isinstance(name, str) for name in given):
        raise OptionError(f"{option} is a list of names of columns, got {given!r:.80}.")
    if strange := [name for name in given if name not in names]:
        raise OptionError(
            f"{option} names {strange[0]!r}, which the model does not have; it has "
            f"{', '.join(map(repr, names))}."
        )


# -- what is known ---------------------------------------------------------------------------------


def _named(codec: ConstrainedCodec, frame: Frame) -> pa.Table:
    """The rows with the names of the model's columns: an array has none."""
    schema = codec.caller or codec.schema
    if frame.source == "numpy" and frame.table.num_columns == len(schema.names):
        return frame.table.rename_columns(list(schema.names))
    return frame.table


def _columns(codec: ConstrainedCodec) -> list[str]:
    """The names of the columns that the model gives back."""
    return [column.name for column in (codec.caller or codec.schema).columns]


def _costs(
    ask: Any, names: Sequence[str], unknown: Sequence[str], table: pa.Table
) -> dict[str, float]:
    """What it costs to ask about each column that one could ask about."""
    if ask is None:
        there = set(table.column_names)
        return {
            name: 0.0
            for name in names
            if name not in unknown and (name not in there or table.column(name).null_count)
        }
    _expect_columns("ask", ask, names)
    costs = ask if isinstance(ask, Mapping) else dict.fromkeys(ask, 0.0)
    for name, cost in costs.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < np.inf:
            raise OptionError(f"ask: the cost of {name!r} is a number of at least 0, got {cost!r}.")
    return {name: float(cost) for name, cost in costs.items()}


def _cells(
    codec: ConstrainedCodec,
    table: pa.Table,
    left_out: Sequence[str],
    needed: Sequence[str],
) -> Cells:
    """What is known of the rows, and which of the other cells must not be drawn as gaps."""
    if not table.num_rows:
        raise DataError("there are no rows to decide on.")
    given = table.select([name for name in table.column_names if name not in left_out])
    if given.num_columns:
        x, known, _ = known_cells(codec, given, fill=False)
    else:
        x = torch.full((table.num_rows, len(codec.modelled)), torch.nan, dtype=torch.float64)
        known = torch.zeros_like(x, dtype=torch.bool)
    asked = torch.zeros(len(codec.modelled), dtype=torch.bool)
    asked[list(positions_of(needed, codec))] = True
    known &= ~(x.isnan() & asked)
    gaps = torch.tensor([column.missing > 0 for column in codec.modelled])
    return Cells(x, known, ~known & gaps & asked)


def _type_of(frame: Frame) -> str:
    """Names beside numbers: what came as an array goes as a pyarrow table."""
    return "pyarrow" if frame.source == "numpy" else frame.source


# -- block by block --------------------------------------------------------------------------------


def _decided(
    estimator: Any,
    cells: Cells,
    others: pa.Table,
    utilities: Utilities,
    costs: Mapping[str, float],
    risk: Risk,
    draws: int,
    seed: int | None,
) -> list[dict[str, pa.Array]]:
    groups = min(GROUPS, draws)
    each = -(-draws // groups)
    size = max(1, BLOCK // (groups * each))
    starts = range(0, len(cells.x), size)
    seeds = np.random.SeedSequence(seed).generate_state(len(starts)).tolist()
    parts = []
    for start, own in zip(starts, seeds, strict=True):
        block = Cells(*(part[start : start + size] for part in cells))
        rows = len(block.x)
        values = _drawn(estimator, block, start, groups, each, own)
        for name in others.column_names:
            known = _array(others.column(name).slice(start, rows))
            values[name] = np.repeat(known, groups * each)
        shape = (rows, groups * each)
        utility = utilities(values, shape, start)
        choice = choose(utility, level=risk.level, groups=groups)
        parts.append(
            _told(choice, risk, list(utilities.actions)) | _asked(utility, values, shape, costs)
        )
    return parts


def _drawn(estimator: Any, cells: Cells, first: int, groups: int, each: int, seed: int) -> Values:
    """The columns of the draws of some rows, those of a row one after the other."""
    several = Cells(*(part.repeat_interleave(groups, 0) for part in cells))
    found = complete_rows(estimator.model_, several, CANDIDATES, seed, draws=each)
    never = (~(found.likeliest > IMPOSSIBLE)).nonzero().flatten().tolist()
    if never:
        raise DataError(
            f"row {first + never[0] // groups}: what is known of it has the probability zero under "
            "the model: the values were never seen together. Correct the row, or leave one of its "
            "values out. Rows are counted from 0."
        )
    table = to_arrow(estimator.codec_.decode(found.x))
    codec = estimator.codec_
    table = table.rename_columns(_columns(codec))
    known = (codec.caller or codec.schema).columns
    return {column.name: _values(table.column(column.name), column) for column in known}


def _values(array: pa.ChunkedArray, column: ColumnSchema) -> NDArray[Any]:
    """A column of the draws; dates that are written as text are times all the same."""
    if column.kind != "datetime" or column.text is None:
        return _array(array)
    x, _ = column_codec.encode(array, column)
    gaps = np.isnan(x)
    ticks = np.rint(np.where(gaps, 0.0, x)).astype(np.int64) * column.ticks + int(column.origin)
    return np.where(gaps, np.datetime64("NaT"), ticks.astype("datetime64[s]"))


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as numbers (missing ones NaN), truth values, times or text."""
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("us"), safe=False).to_numpy())
    values = plain(column)
    if pa.types.is_boolean(values.type) and values.null_count:
        values = values.cast(pa.float64())
    found = np.asarray(values.to_numpy(zero_copy_only=False))
    return found.astype(np.float64) if found.dtype == object and _is_number(values) else found


def _is_number(values: Any) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(kind(values.type) for kind in kinds)


def _told(choice: Choice, risk: Risk, actions: Sequence[str]) -> dict[str, pa.Array]:
    """The columns of the result that do not depend on what one could ask."""
    best, over = [actions[a] for a in choice.best], risk.passed(choice)
    chosen = [None if passed else action for action, passed in zip(best, over, strict=True)]
    names = (pa.array(chosen, pa.string()), pa.array(over), pa.array(best, pa.string()))
    numbers = (choice.expected.max(0), choice.error, choice.regret, choice.cvar, choice.perfect)
    columns = [*names, *map(pa.array, numbers)]
    return dict(zip(RESULTS, columns, strict=True)) | {
        f"expected_utility_{action}": pa.array(row)
        for action, row in zip(actions, choice.expected, strict=True)
    }


def _asked(
    utility: NDArray[np.float64],
    values: Values,
    shape: tuple[int, int],
    costs: Mapping[str, float],
) -> dict[str, pa.Array]:
    """What knowing each column first is worth, and which is worth most beyond its cost."""
    if not costs:
        return {}
    worth = {name: _worth(utility, values[name].reshape(shape)) for name in costs}
    gain = np.stack([worth[name] - cost for name, cost in costs.items()])
    first = np.array(list(costs), dtype=object)[gain.argmax(0)]
    found = {f"value_of_{name}": pa.array(value) for name, value in worth.items()}
    found["ask_first"] = pa.array(np.where(gain.max(0) > 0, first, None), pa.string())
    return found


def _worth(utility: NDArray[np.float64], seen: NDArray[Any]) -> NDArray[np.float64]:
    number = seen.dtype.kind in "iufM"
    if seen.dtype.kind == "M":
        seen = np.where(np.isnat(seen), np.nan, seen.astype(np.int64).astype(np.float64))
    if not number:
        seen = np.unique(seen.astype(str), return_inverse=True)[1].reshape(seen.shape)
    return value_of_information(utility, seen.astype(np.float64), number=number)
