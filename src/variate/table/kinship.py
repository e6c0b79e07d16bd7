"""Who belongs to whom: children matched with their parents by key, and what a child is drawn given.

    owner    the row of a child's parent
    place    how many siblings come before it
    known    its parent's columns, its place, and what it knows of the siblings before it

Siblings stand in the order of their rows, or by a column that gives their order (a date, say).

This module does not know any model.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError, OptionError, SchemaError
from variate.table.storage import family, plain

__all__ = [
    "Known",
    "column_of",
    "counted",
    "expect_keys",
    "free_of",
    "in_order",
    "owners",
    "places",
]

Rows = NDArray[np.int64]


def expect_keys(keys: Any, what: str, *, distinct: bool) -> pa.Array:
    """A column of keys in its plain type.

    Args:
        keys: The column.
        what: What it is called in a message.
        distinct: Whether none may come twice.

    Raises:
        DataError: A key is missing, comes twice though it must not, or is neither text nor a
            number.
    """
    if family(keys.type) not in ("integer", "real", "text"):
        raise DataError(f"{what} is of the type {keys.type}; keys are text or whole numbers.")
    values = plain(keys)
    row = pc.index(pc.is_null(values), value=True).as_py()
    if row >= 0:
        raise DataError(
            f"{what} is missing in row {row} (counted from 0; {values.null_count:,} rows lack it). "
            "Every row needs a key: fill it in, or leave these rows out."
        )
    if distinct:
        codes = pc.dictionary_encode(values).indices.to_numpy(zero_copy_only=False)
        first = np.unique(codes, return_index=True)[1]
        if len(first) < len(codes):
            row = int(np.setdiff1d(np.arange(len(codes)), first)[0])
            raise DataError(
                f"{what} is {values[row].as_py()!r:.60} in row {row} (counted from 0), as in row "
                f"{pc.index(values, values[row]).as_py()} already; the key of a parent comes once. "
                "Leave the repeated rows out."
            )
    return values


def owners(keys: pa.Array, foreign: pa.Array, parent_key: str, foreign_key: str) -> Rows:
    """The row of each child's parent.

    Args:
        keys: The parents' keys, as `expect_keys` gives them.
        foreign: The children's.
        parent_key: What the former are called.
        foreign_key: What the latter are called.

    Raises:
        DataError: A child has no parent, or the two columns hold different things.
    """
    if family(keys.type) == "real" or family(foreign.type) == "real":
        keys, foreign = (
            k if family(k.type) == "text" else k.cast(pa.float64()) for k in (keys, foreign)
        )
    elif family(keys.type) == family(foreign.type) == "integer":
        keys, foreign = keys.cast(pa.int64()), foreign.cast(pa.int64())
    if keys.type != foreign.type:
        raise DataError(
            f"the parents' {parent_key!r} holds {family(keys.type)}, the children's "
            f"{foreign_key!r} {family(foreign.type)}; make them one type."
        )
    found = pc.index_in(foreign, value_set=keys)
    if found.null_count:
        row = pc.index(pc.is_null(found), value=True).as_py()
        lost = len(pc.unique(foreign.filter(pc.is_null(found))))
        raise DataError(
            f"the children's {foreign_key!r} is {foreign[row].as_py()!r:.60} in row {row} (counted "
            f"from 0), and no parent's {parent_key!r} is; {found.null_count:,} children of "
            f"{lost:,} such keys have no parent. Add the parents, or leave these children out."
        )
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


def in_order(owner: Rows, column: Any | None) -> Rows:
    """The children's rows, those of one parent together, in their order.

    Args:
        owner: The row of each one's parent.
        column: What siblings are ordered by; None: by their rows.

    Raises:
        OptionError: There is no order among the column's values.
    """
    if column is None:
        return np.argsort(owner, kind="stable")
    if family(column.type) == "other" or pa.types.is_dictionary(column.type):
        raise OptionError(f"siblings cannot be ordered by a column of the type {column.type}.")
    table = pa.table({"owner": owner, "by": plain(column)})
    order = pc.sort_indices(table, sort_keys=[("owner", "ascending"), ("by", "ascending")])
    return order.to_numpy(zero_copy_only=False).astype(np.int64)


def counted(owner: Rows, parents: int) -> Rows:
    """How many children each parent has."""
    return np.bincount(owner, minlength=parents)


def places(owner: Rows) -> Rows:
    """How many siblings come before each child, siblings standing together."""
    start = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    sizes = np.diff(np.r_[start, len(owner)])
    return np.arange(len(owner)) - np.repeat(start, sizes)


@dataclass(frozen=True)
class Known:
    """The names of the columns that a child is drawn given, in one table with its own.

    Attributes:
        count: In the parents' table: how many children there are.
        place: How many siblings come before.
        inherited: The parent's columns, as pairs of their name there and here.
        memory: What is known of the siblings before.
    """

    count: str
    place: str
    inherited: tuple[tuple[str, str], ...]
    memory: tuple[str, ...]

    @classmethod
    def of(
        cls,
        key: str,
        count: str,
        parents: Sequence[str],
        children: Sequence[str],
        memory: Sequence[str],
    ) -> Self:
        """Names that no column of the children has.

        Args:
            key: The foreign key, after which the parent's columns are called.
            count: The number of children.
            parents: The parents' columns, the count among them.
            children: The children's columns.
            memory: What is known of siblings.
        """
        taken = list(children)

        def free(name: str) -> str:
            taken.append(free_of(name, taken))
            return taken[-1]

        place = free(f"{key}.place")
        inherited = tuple((name, free(f"{key}.{name}")) for name in parents)
        return cls(count, place, inherited, tuple(map(free, memory)))

    @property
    def columns(self) -> list[str]:
        """The names in the joint table."""
        return [*(name for _, name in self.inherited), self.place, *self.memory]

    def table(self, parents: pa.Table, place: Rows, memory: Sequence[pa.Array]) -> pa.Table:
        """The known columns of some children, one row each.

        Args:
            parents: The parent of each.
            place: Of each among its siblings.
            memory: What each knows of the siblings before it.
        """
        columns = {name: parents.column(theirs) for theirs, name in self.inherited}
        columns[self.place] = pa.array(place)
        return pa.table(columns | dict(zip(self.memory, memory, strict=True)))

    def state(self) -> dict[str, Any]:
        """The names, as JSON-able values."""
        return {
            "count": self.count,
            "place": self.place,
            "inherited": [list(pair) for pair in self.inherited],
            "memory": list(self.memory),
        }

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """What `state` describes.

        Raises:
            ValueError: It is damaged (or KeyError, TypeError).
        """
        inherited = tuple((theirs, here) for theirs, here in state["inherited"])
        known = cls(state["count"], state["place"], inherited, tuple(state["memory"]))
        names = [known.count, *known.columns, *(theirs for theirs, _ in inherited)]
        if not all(isinstance(name, str) for name in names):
            raise ValueError("the names of known columns are damaged")
        if len(set(known.columns)) < len(known.columns):
            raise ValueError("a known column is named twice")
        return known


def free_of(name: str, taken: Collection[str]) -> str:
    """The name, with primes until it is none of those taken."""
    while name in taken:
        name += "'"
    return name


def column_of(table: pa.Table, name: str, whose: str) -> pa.ChunkedArray:
    """A column that must be there.

    Raises:
        SchemaError: It is not.
    """
    if name not in table.column_names:
        raise SchemaError(
            f"the {whose} have no column {name!r}; they have "
            f"{', '.join(map(repr, table.column_names))}."
        )
    return table.column(name)
