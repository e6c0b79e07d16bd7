"""Conditions on columns that the model does not see as the user does.

A rule computes a column from others (see `constraints`), a calendar puts a moment together. What is
asked of such a column is met in two ways, together:

    before    what follows for the columns that are modelled is a condition on these, met along the
              chain (`conditional`): the week of a moment, the towns of a region, a combination
    after     rows are drawn, the columns put back, and only rows that meet the condition are kept

The rows that are left are drawn from the model under the condition: the first only leaves out what
the second would throw away. No more than 999 rows of 1,000 are ever thrown away: a condition that
is rarer is refused, and the message says what to condition on instead.

This module does not know how rows are drawn, nor what the rules say.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.distributions import Allowed
from variate.errors import OptionError, SchemaError
from variate.models import VAE
from variate.table import columns as column_codec
from variate.table.calendar import Calendar
from variate.table.conditional import Conditional, draw_rows
from variate.table.conditions import Between, allowed_columns, allowed_values, expect_enough
from variate.table.constrained import ConstrainedCodec
from variate.table.constraints import Rule, Unique
from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["Asked", "asked_of", "draw_asked"]

PILOT = 8_192  # rows that tell how rare the condition is
RARE = 1e-3
MOST = 65_536  # rows that are drawn at once

Floats = NDArray[np.float64]


class Asked(NamedTuple):
    """What is asked of rows.

    Attributes:
        given: What the user asked.
        before: What modelled columns may be, by position.
        after: What columns that are put back may be, by name.
    """

    given: Mapping[str, Any]
    before: dict[int, Allowed]
    after: dict[str, Allowed]


def asked_of(given: Any, codec: ConstrainedCodec) -> Asked:
    """What conditions of a user's say of the columns.

    Raises:
        OptionError: A column is not there, or the condition can never be met.
    """
    put_back = codec.put_back()
    direct, after = given, {}
    if isinstance(given, Mapping):
        direct = {name: wanted for name, wanted in given.items() if str(name) not in put_back}
        for name in given.keys() - direct.keys():
            column = _expect_askable(codec, str(name), put_back[str(name)])
            after[column.name] = _open(allowed_values(given[name], column), given[name])
    before = allowed_columns(direct, codec.schema, also=tuple(put_back))
    for name, allowed in after.items():
        for place, implied in _implied(codec, name, put_back[name], allowed).items():
            before[place] = _both(before.get(place), implied)
    return Asked(given, before, after)


def draw_asked(
    model: VAE, codec: ConstrainedCodec, n: int, asked: Asked, temperature: float, seed: int | None
) -> Conditional:
    """n rows that meet what is asked, as x.

    Raises:
        OptionError: No row meets it, or too few do.
    """
    if not asked.after:
        found = draw_rows(model, n, asked.before, temperature, seed)
        expect_enough(found, n, asked.given)
        return found
    seeds = np.random.default_rng(seed)
    rows, met, kept, worth = 0, 0, [torch.empty(0, len(codec.modelled))], 1.0
    size = min(2 * n + 64, PILOT)
    while met < n:
        drawn = draw_rows(model, size, asked.before, temperature, int(seeds.integers(2**62)))
        expect_enough(drawn, 0, asked.given)
        worth = min(worth, drawn.effective / size)
        kept.append(drawn.x[torch.from_numpy(_meets(codec, drawn.x, asked.after))])
        rows, met = rows + size, met + len(kept[-1])
        if rows >= PILOT and met < RARE * rows:
            raise OptionError(_too_rare(codec, asked))
        size = int(min(max(1.1 * (n - met) * rows / met, 1_024), MOST)) if met else PILOT
    x = torch.cat(kept)[:n]
    found = Conditional(x, drawn.log_probability + math.log(met / rows), worth * n)
    expect_enough(found, n, asked.given)
    return found


def _expect_askable(codec: ConstrainedCodec, name: str, by: Rule | Calendar) -> ColumnSchema:
    """What is known of a column that is put back."""
    if isinstance(by, Unique):
        raise OptionError(
            f"given names the column {name!r}, a key: {by!r} makes every row a new one, so there "
            "is nothing to choose. Condition on other columns."
        )
    column = codec.outward(name)
    if column.kind in ("missing", "constant"):
        raise OptionError(
            f"given names the column {name!r}, which {_says(by)} and of which too little is known "
            f"to be asked about. Condition on {_instead(by)} instead."
        )
    return column


def _open(allowed: Allowed, wanted: Any) -> Allowed:
    """A range whose open ends are open: what is computed may lie outside of what was seen."""
    if not isinstance(wanted, Between):
        return allowed
    low = -math.inf if wanted.low is None else allowed.low
    high = math.inf if wanted.high is None else allowed.high
    return replace(allowed, low=low, high=high)


def _meets(codec: ConstrainedCodec, x: Tensor, after: Mapping[str, Allowed]) -> NDArray[np.bool_]:
    """Which rows have what is asked, once their columns are put back."""
    table = codec.put_together(x, seed=0)
    return np.logical_and.reduce([
        _within(_read(table.column(name), codec.outward(name)), allowed)
        for name, allowed in after.items()
    ])  # fmt: skip


def _read(array: Any, column: ColumnSchema) -> Floats:
    return column_codec.encode(array, column)[0]


def _within(x: Floats, allowed: Allowed) -> NDArray[np.bool_]:
    there = (x >= allowed.low) & (x <= allowed.high)
    if allowed.values is not None:
        there &= np.isin(x, np.array(allowed.values))
    return np.where(np.isnan(x), allowed.gap, there)


# -- what follows for modelled columns ------------------------------------------------------------


def _implied(
    codec: ConstrainedCodec, name: str, by: Rule | Calendar, allowed: Allowed
) -> dict[int, Allowed]:
    """What the modelled columns must be, as far as that is known."""
    places = {column.name: i for i, column in enumerate(codec.modelled)}
    if isinstance(by, Calendar):
        return _parts(by, allowed, {n: (i, codec.modelled[i]) for n, i in places.items()})
    source = codec.source_of(name)
    if source is None or source.source not in places or source.source in codec.put_back():
        return {}  # what has the name of the source may be a difference from another column
    place = places[source.source]
    column = codec.modelled[place]
    if column.kind in NUMBER and not column.closed:
        return {}
    values = column.atoms if column.kind in NUMBER else range(len(column.levels))
    x = np.array([*map(float, values), *([math.nan] if column.missing else [])])
    table = pa.table({column.name: column_codec.decode(x, column)})
    made = source.part.restore(table).column(name)
    fits = _within(_read(made, codec.outward(name)), allowed)
    codes = tuple(x[fits & ~np.isnan(x)].tolist())
    return {place: Allowed(values=codes, gap=bool(fits[np.isnan(x)].any()))}


def _parts(
    calendar: Calendar, allowed: Allowed, modelled: Mapping[str, tuple[int, ColumnSchema]]
) -> dict[int, Allowed]:
    """What the parts of a moment must be: all of single ones, the weeks or days of a range."""
    single = allowed.values is not None
    ends = (allowed.low, allowed.high) if allowed.values is None else allowed.values
    range_of = (calendar.column.low, calendar.column.high)
    table = calendar.parts_of(np.clip(np.array(ends, dtype=np.float64), *range_of))
    found = {}
    for name in table.column_names if single else calendar.parts[:1]:
        if name not in modelled:
            continue
        place, column = modelled[name]
        if not (single or column.kind in NUMBER):
            continue
        try:
            x = _read(table.column(name), column)
        except SchemaError as error:
            raise OptionError(f"given asks for what was never seen: {error}") from error
        gap = allowed.gap and column.missing > 0
        if single:
            found[place] = Allowed(values=tuple(np.unique(x).tolist()), gap=gap)
        else:
            found[place] = Allowed(low=float(x[0]), high=float(x[1]), gap=gap)
    return found


def _both(one: Allowed | None, other: Allowed) -> Allowed:
    """What both allow."""
    if one is None:
        return other
    low, high = max(one.low, other.low), min(one.high, other.high)
    gap = one.gap and other.gap
    sets = [allowed.values for allowed in (one, other) if allowed.values is not None]
    if not sets:
        return Allowed(low=low, high=high, gap=gap)
    both = [v for v in sets[0] if v in sets[-1] and low <= v <= high]
    return replace(one, values=tuple(both), low=-math.inf, high=math.inf, gap=gap)


# -- words --------------------------------------------------------------------------------------


def _says(by: Rule | Calendar) -> str:
    return "is a moment" if isinstance(by, Calendar) else f"{by!r} computes"


def _instead(by: Rule | Calendar) -> str:
    names = by.parts if isinstance(by, Calendar) else by.reads
    return ", ".join(map(repr, names)) or "other columns"


def _too_rare(codec: ConstrainedCodec, asked: Asked) -> str:
    shown = ", ".join(f"{name}={wanted!r:.60}" for name, wanted in asked.given.items())
    put_back = codec.put_back()
    why = "; ".join(
        f"{name!r}, which {_says(put_back[name])}: condition on {_instead(put_back[name])} instead"
        for name in asked.after
    )
    return (
        f"given {shown}: fewer than one row in {1 / RARE:,.0f} that the model draws meets this, "
        f"and all others would be thrown away. It is about {why}, or ask for a wider range."
    )
