"""Numbers that repeat what another column of the same row has: found in the data.

A payment is often the very amount of the last bill, an average of one link its least and its most,
an absolute value the value or its negative. A density cannot say so, however narrow: the shares of
rows in which it happens are given probabilities of their own (`distributions.Copy`).

For each number the columns before it are looked through, and those are kept, at most three, that
explain a hundredth of the rows or more, atoms and rows already explained left out.

This module does not know what the columns mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import ModelFileError
from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["checked_copies", "find_copies"]

SHARE = 0.01
MOST = 3
LOOKED_AT = 20_000
FIRST_LOOK = 2_000  # rows; what shows in a fifth of the share there is looked at again

Floats = NDArray[np.float64]


def find_copies(x: Floats, columns: Sequence[ColumnSchema]) -> tuple[tuple[int, int, int], ...]:
    """Which columns repeat which: triples of column, source and sign (1 or -1).

    Args:
        x: Rows `[N, C]`, in any order, NaN = missing.
        columns: The C modelled columns; a source comes before the column that repeats it.
    """
    x = x[:: max(1, len(x) // LOOKED_AT)]
    numbers = [c for c, column in enumerate(columns) if column.kind in NUMBER]
    found: list[tuple[int, int, int]] = []
    for place, c in enumerate(numbers):
        if columns[c].closed:
            continue
        left = ~(np.isin(x[:, c], columns[c].atoms) | np.isnan(x[:, c]))
        candidates = _candidates(x, c, numbers[:place], left)
        for _ in range(MOST):
            shares = [(left & (x[:, c] == sign * x[:, i])).mean() for i, sign in candidates]
            if not shares or max(shares) < SHARE:
                break
            source, sign = candidates[int(np.argmax(shares))]
            found.append((c, source, sign))
            left &= x[:, c] != sign * x[:, source]
    return tuple(found)


def _candidates(
    x: Floats, column: int, sources: Sequence[int], left: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Sources and signs that may explain enough, by a first look at some rows."""
    some = x[:FIRST_LOOK]
    if not sources:
        return []
    value, others = some[left[:FIRST_LOOK], column, None], some[left[:FIRST_LOOK]][:, sources]
    least = SHARE / 5 * len(some)
    return [
        (sources[i], sign)
        for sign in (1, -1)
        for i in np.flatnonzero((value == sign * others).sum(0) >= least).tolist()
    ]


def checked_copies(state: Any, columns: Sequence[ColumnSchema]) -> tuple[tuple[int, int, int], ...]:
    """The copies that a model file names, if they make sense.

    Raises:
        ModelFileError: They do not.
    """
    numbers = {c for c, column in enumerate(columns) if column.kind in NUMBER}
    sound = isinstance(state, list) and all(
        isinstance(copy, list)
        and len(copy) == 3
        and all(type(part) is int for part in copy)
        and {copy[0], copy[1]} <= numbers
        and copy[1] < copy[0]
        and copy[2] in (1, -1)
        and state.count(copy) == 1
        for copy in state[: MOST * len(columns) + 1]
    )
    sound = sound and len(state) <= MOST * len(columns)
    if not sound:
        raise ModelFileError(
            "the model file names columns that repeat others in a way that makes no sense; "
            "fit and save the model again."
        )
    return tuple((column, source, sign) for column, source, sign in state)
