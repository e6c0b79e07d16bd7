"""Cells of rows in words: in the user's columns and units, whatever the model sees instead.

A model does not see every column as the user does: a moment is a week, a weekday and a time of day
(`calendar`), and a column that a constraint is about is a difference, a joint category, or which of
several constants applies (`constraints`). What another value of such a cell would mean to the user
depends on the other cells of the row: the row is put together with it (`ConstrainedCodec`).

What was found is read off the user's own table where there is one: what is put together again obeys
the constraints and lies within the range of training, and what was found need not.

This module does not know why a cell is looked at.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.report.style import shorten
from variate.table import columns as column_codec
from variate.table.constrained import ConstrainedCodec
from variate.table.constraints.combinations import FittedCombinations
from variate.table.constraints.sums import FittedFormula

__all__ = ["STRANGE", "Wording", "Words", "homes", "shown", "strangest"]

STRANGE = 3.0  # nats: twenty times less likely than what would be expected
NAMED = 4  # columns of a row, at the most
WIDE = 40  # characters of a value
SEED = 0  # of keys, which are never told


class Wording(Protocol):
    """How the cells of some rows are written."""

    def home(self, c: int) -> tuple[str, ...]:
        """The user's columns that the c-th column of x is about."""

    def cell(self, row: int, c: int) -> str:
        """What was found: COLUMN=VALUE."""

    def told(self, c: int, values: NDArray[np.float64], rows: Sequence[int]) -> list[str]:
        """Other values of the c-th column of x `[M]`, in so many rows."""


class Words:
    """How the cells of rows are written.

    Args:
        codec: The model's.
        x: The rows, `[N, C]`.
        table: The same rows in the user's columns; None where there are only the x.
    """

    def __init__(self, codec: ConstrainedCodec, x: Tensor, table: pa.Table | None = None) -> None:
        self.codec, self.x = codec, x
        self.homes = homes(codec)
        self._table = table
        self._weekdays = {c.parts[1] for c in codec.calendars if c.weekly}

    def home(self, c: int) -> tuple[str, ...]:
        """The user's columns that the c-th column of x is about."""
        return self.homes[c] or (self.codec.modelled[c].name,)

    def cell(self, row: int, c: int) -> str:
        """What was found: COLUMN=VALUE."""
        if not self.homes[c]:
            return f"{self.home(c)[0]}={self._plain(c, float(self.x[row, c]))}"
        text = _joined(self._found, self.homes[c], row)
        day = float(self.x[row, c])
        if self.codec.modelled[c].name in self._weekdays and not np.isnan(day):
            text += f", {self._plain(c, day)}"
        return text

    def told(self, c: int, values: NDArray[np.float64], rows: Sequence[int]) -> list[str]:
        """Other values of the c-th column of x `[M]`, in so many rows, as the user writes them."""
        if not self.homes[c] or self.codec.modelled[c].name in self._weekdays:
            return [self._plain(c, float(value)) for value in values]
        changed = self.x[list(rows)].clone()
        changed[:, c] = torch.as_tensor(values, dtype=changed.dtype)
        made = self.codec.put_together(changed, seed=SEED)
        names = self.homes[c]
        if len(names) == 1:
            return [shown(value) for value in made.column(names[0]).to_pylist()]
        return [_joined(made, names, i) for i in range(len(changed))]

    @property
    def _found(self) -> pa.Table:
        if self._table is None:
            self._table = self.codec.put_together(self.x, seed=SEED)
        return self._table

    def _plain(self, c: int, value: float) -> str:
        """A value of a column that the user has as the model does; a weekday by its name."""
        made = column_codec.decode(np.array([value]), self.codec.modelled[c])
        if isinstance(made, pa.DictionaryArray):
            made = made.dictionary_decode()
        return shown(made[0].as_py())


def strangest(words: Wording, ratios: Tensor) -> list[list[int]]:
    """For each row the columns that are worth naming, each of the user's once, the strangest first.

    Args:
        words: Of the rows.
        ratios: By how much what would be expected is likelier than what was found, `[N, C]`.
    """
    named = []
    for row in ratios.tolist():
        first: dict[tuple[str, ...], int] = {}
        for c in sorted(range(len(row)), key=lambda c: -row[c]):
            if row[c] >= STRANGE:
                first.setdefault(words.home(c), c)
        named.append(list(first.values())[:NAMED])
    return named


def homes(codec: ConstrainedCodec) -> list[tuple[str, ...]]:
    """For each column of x the user's columns that it is about; none where it is one of these."""
    about: dict[str, tuple[str, ...]] = {}
    for part in () if codec.fitted is None else codec.fitted.parts:
        about |= {name: (name,) for name in part.rule.takes}
        if isinstance(part, FittedCombinations):
            about[part.joint] = part.rule.takes
        if isinstance(part, FittedFormula) and part.flag is not None:
            about[part.flag] = part.rule.takes
    for calendar in codec.calendars:
        about |= dict.fromkeys(calendar.parts, (calendar.column.name,))
    return [about.get(column.name, ()) for column in codec.modelled]


def shown(value: Any) -> str:
    """A value in a few characters."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    return shorten(value, WIDE)


def _joined(table: pa.Table, names: Sequence[str], row: int) -> str:
    return ", ".join(f"{name}={shown(table.column(name)[row].as_py())}" for name in names)
