"""Unique: keys and identifiers, which are made and never modelled.

A key says which row, not what is in it. It is taken out before a model is trained, and new rows
get new keys of the same make: numbers and numbered texts (CUST-000123), texts of one length and a
pattern (AB-1234, UUIDs), or a pattern of the user's. None of them occurs in training, and none
comes twice in a call (see `keyspace` for why); the same seed gives the same keys. No training key
is kept but, of numbers, the least and the greatest.

This module does not know of other tables in which the key occurs.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from variate.errors import DataError, OptionError
from variate.table.constraints.keyspace import Free, Numbered, Patterned, alphabets_of, draws
from variate.table.constraints.rule import (
    Fitted,
    Rule,
    Violation,
    column_of,
    distinct_names,
    first_violation,
    inserted,
    without,
)
from variate.table.storage import family, parse_type, plain

__all__ = ["FittedUnique", "Unique"]


@dataclass(frozen=True, repr=False)
class Unique(Rule):
    r"""A key: no value comes twice.

    Args:
        column: The key.
        pattern: What new keys look like, where the data does not show it: characters, `\\d`, `\\w`
            and classes such as `[A-Z]`, each perhaps with a number of repetitions such as `{4}`.

    Raises:
        OptionError: The name is no name, or the pattern cannot be used.
    """

    column: str
    pattern: str | None = None

    def __post_init__(self) -> None:
        """Check name and pattern."""
        distinct_names(self, (self.column,))
        if self.pattern is not None:
            if not isinstance(self.pattern, str):
                raise OptionError(f"a pattern is text, got {self.pattern!r}")
            alphabets_of(self.pattern)

    @property
    def takes(self) -> tuple[str, ...]:
        """The key."""
        return (self.column,)

    def learn(self, table: pa.Table) -> "FittedUnique":
        """See `Rule.learn`."""
        column = column_of(table, self.column, self)
        values = plain(column)
        missing = values.null_count / max(len(values), 1)
        if not len(values.drop_null()):
            raise DataError(f"{self!r}: the column has no value at all.")
        space = self._space(values.drop_null(), column.type)
        place = table.column_names.index(self.column)
        return FittedUnique(self, place, str(column.type), missing, space)

    def _space(self, values: pa.Array, storage: pa.DataType) -> Numbered | Patterned:
        found = family(storage)
        whole = found == "integer" or (found == "real" and _all_whole(values))
        if pa.types.is_dictionary(storage) or not (whole or found == "text"):
            raise DataError(
                f"{self!r}: a key is text or whole numbers, but the column is of the type "
                f"{storage}; convert it, or leave it out."
            )
        if self.pattern is not None:
            return self._patterned(values, whole=whole)
        if whole:
            if max(abs(pc.min(values).as_py()), abs(pc.max(values).as_py())) >= 2**61:
                raise DataError(f"{self!r}: the numbers are too large; make text of them.")
            return Numbered.of(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
        space = Numbered.read(values) or Patterned.read(values)
        if space is None:
            raise DataError(
                f"{self!r}: the values, such as {values[0].as_py()!r:.60}, are neither numbered "
                "nor of one length, so that new ones cannot be made like them. Leave the column "
                "out, or say what new ones look like: "
                rf"Unique({self.column!r}, pattern='[A-Z]{{2}}-\d{{6}}')."
            )
        return space

    def _patterned(self, values: pa.Array, *, whole: bool) -> Patterned:
        assert self.pattern is not None
        alphabets = alphabets_of(self.pattern)
        if whole:
            if not _digits(alphabets):
                raise OptionError(
                    f"{self!r}: the column holds numbers; the pattern must be of digits, 18 at most"
                )
            values = pc.utf8_lpad(values.cast(pa.int64()).cast(pa.string()), len(alphabets), "0")
        return Patterned.of(values, alphabets)


def _digits(alphabets: Sequence[str]) -> bool:
    """Whether a pattern makes whole numbers of 64 bits."""
    return len(alphabets) <= 18 and all(a.isdecimal() and a.isascii() for a in alphabets)


def _all_whole(values: pa.Array) -> bool:
    numbers = values.to_numpy(zero_copy_only=False)
    return bool((np.abs(numbers) < 2**53).all() and (numbers == np.rint(numbers)).all())


@dataclass(frozen=True)
class FittedUnique(Fitted):
    """The rule and where new keys come from.

    Attributes:
        rule: What was declared.
        place: Where the column stands.
        storage: Its Arrow type as text.
        missing: The share of rows without a key.
        space: What new keys look like, and which are free.
    """

    rule: Unique
    place: int
    storage: str
    missing: float
    space: Numbered | Patterned

    def check(self, table: pa.Table) -> Violation | None:
        """See `Fitted.check`."""
        column = column_of(table, self.rule.column, self.rule)
        values = plain(column)
        codes = pc.dictionary_encode(values.drop_null()).indices.to_numpy(zero_copy_only=False)
        again = np.ones(len(codes), bool)
        again[np.unique(codes, return_index=True)[1]] = False
        if not again.any():
            return None
        bad = np.zeros(len(column), bool)
        bad[values.is_valid().to_numpy(zero_copy_only=False)] = again
        earlier = pc.index(values, values[int(bad.argmax())]).as_py()
        detail = f"as in row {earlier} already"
        return first_violation(table, [self.rule.column], bad, detail)

    def apply(self, table: pa.Table) -> pa.Table:
        """See `Fitted.apply`: the key is taken out, if it is there."""
        return without(table, [self.rule.column])

    def restore(self, table: pa.Table, *, seed: int | None = None, first: int = 0) -> pa.Table:
        """See `Fitted.restore`.

        Raises:
            DataError: There are not so many keys.
        """
        seed = secrets.randbits(63) if seed is None else seed
        entropy = [abs(int(seed)), int(seed < 0), *self.rule.column.encode()]
        key = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
        keys = self._made(first, table.num_rows, key)
        if self.missing:
            share = draws(first, table.num_rows, key, -1).astype(np.float64) / 2.0**64
            keys = pc.if_else(pa.array(share < self.missing), pa.scalar(None, keys.type), keys)
        return inserted(table, self.place, self.rule.column, keys)

    def _made(self, first: int, rows: int, key: int) -> pa.Array:
        storage = parse_type(self.storage)
        if isinstance(self.space, Patterned):
            made = self.space.make(first, rows, key)
            return (
                made.cast(pa.int64()).cast(storage)
                if family(storage) != "text"
                else made.cast(storage)
            )
        numbers = self.space.make(first, rows, key)
        if family(storage) == "text":
            return self.space.written(numbers).cast(storage)
        try:
            return pa.array(numbers).cast(storage)
        except pa.ArrowInvalid:
            raise DataError(
                f"{self.rule!r}: {first + rows:,} new keys do not fit into a column of the type "
                f"{storage} after {self.space.high:,}, the highest of training. Make the column "
                "wider (int64), or give a pattern with more room."
            ) from None

    def state(self) -> dict[str, Any]:
        """See `Fitted.state`."""
        space: dict[str, Any] = dict(vars(self.space))
        free = self.space.free
        space["free"] = (
            None
            if free is None
            else {"size": free.size, "stretches": [list(stretch) for stretch in free.stretches]}
        )
        if isinstance(self.space, Patterned):
            space["alphabets"] = list(self.space.alphabets)
        kind = type(self.space).__name__
        held = {"place": self.place, "storage": self.storage, "missing": self.missing}
        return {**held, "kind": kind, "space": space}

    @classmethod
    def from_state(cls, rule: Unique, state: dict[str, Any]) -> Self:
        """See `Fitted.from_state`."""
        space = dict(state["space"])
        if space["free"] is not None:
            stretches = tuple((start, length) for start, length in space["free"]["stretches"])
            space["free"] = Free(space["free"]["size"], stretches)
        if "alphabets" in space:
            space["alphabets"] = tuple(space["alphabets"])
        kinds = {kind.__name__: kind for kind in (Numbered, Patterned)}
        place, missing = int(state["place"]), float(state["missing"])
        storage = parse_type(state["storage"])
        fine = place >= 0 and 0 <= missing < 1 and family(storage) in ("integer", "real", "text")
        if not fine or pa.types.is_dictionary(storage):
            raise ValueError("the column of the keys is damaged")
        made = kinds[state["kind"]](**space)
        numeric = family(storage) != "text"
        if numeric and isinstance(made, Patterned) and not _digits(made.alphabets):
            raise ValueError("the pattern makes no numbers")
        return cls(rule, place, state["storage"], missing, made)
