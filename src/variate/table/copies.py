"""Numbers that repeat, or add up, what other columns of the same row have: found in the data.

A payment is often the very amount of the last bill, an average of one link its least and its most,
an absolute value the value or its negative, the last of some shares what is missing to one. A
density cannot say so, however narrow: the shares of rows in which it happens are given
probabilities of their own (`distributions.Copy`).

For each number x_c the columns before it are looked through for

    repeats    x_c = ±x_i                  in a hundredth of the rows or more
    shifts     x_c = ±x_i + b              b a constant, in a twentieth, and five times as often as
                                           when the rows of x_i are put in another order
    sums       x_c = Σ ±x_i + b            whichever columns a QR decomposition finds it to be a
                                           combination of, unless the parts are much coarser

and those are kept, at most three, that explain most; atoms and rows already explained are left out.
Parts are drawn, and what their sum is off moves its score by the slope of T at the sum over that at
the part. Where it is large, as for the least of some shares given the largest, the sum would hold
and its distribution would be lost. Such sums are found too, where every row obeys them, but are no
copies: the column is drawn like others, and the sum settled afterwards (see `sums`).

Numbers of a column without a grid are the same when their first seven digits are.

This module does not know what the columns mean.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.distributions.scores import Copy
from variate.errors import ModelFileError
from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["Copies", "checked_copies", "find_copies", "find_sums"]

SHARE = 0.01
SHIFTED = 0.05
CHANCE = 5  # times as often as by chance
MOST = 3
MOST_PARTS = 20
LOOKED_AT = 20_000
FIRST_LOOK = 2_000  # rows; what shows in a fifth of the share there is looked at again
FEW_COLUMNS = 100  # beyond, shifts are not looked for: they cost the square of the columns
DIGITS = 1e-7  # of the largest number of a column: what is less is rounding
COARSER = 10.0  # of the slopes of T, in a quarter of the rows
DEPENDENT = 1e-5  # of a column's deviation: what is left of it when others give it

Floats = NDArray[np.float64]
Copies = tuple[tuple[int, Copy], ...]


def find_copies(x: Floats, columns: Sequence[ColumnSchema]) -> Copies:
    """Which columns repeat which: pairs of a column and what it often is.

    Args:
        x: Rows `[N, C]`, in any order, NaN = missing.
        columns: The C modelled columns; a source comes before the column that repeats it.
    """
    x = x[:: max(1, len(x) // LOOKED_AT)]
    numbers = [c for c, column in enumerate(columns) if column.kind in NUMBER]
    largest = np.nanmax(np.abs(x), 0, initial=0.0, where=~np.isnan(x))
    sums = {
        c: copy
        for c, copy in _sums(x, numbers, largest)
        if not _coarser(x[:FIRST_LOOK], c, copy, columns)
    }
    found: list[tuple[int, Copy]] = []
    for place, c in enumerate(numbers):
        if columns[c].closed:
            continue
        left = ~(np.isin(x[:, c], columns[c].atoms) | np.isnan(x[:, c]))
        tolerance = 0.0 if columns[c].step else float(DIGITS * largest[c])
        candidates = _repeats(x, c, numbers[:place], left, tolerance)
        if len(numbers) <= FEW_COLUMNS:
            candidates += _shifts(
                x, c, numbers[:place], left, tolerance or 1e-3 * _step(columns[c])
            )
        if c in sums:
            candidates.append(sums[c])
        for _ in range(MOST):
            hits = [left & _same(x, c, copy, columns[c]) for copy in candidates]
            shares = [hit.mean() for hit in hits]
            if not shares or max(shares) < SHARE:
                break
            best = int(np.argmax(shares))
            found.append((c, candidates[best]))
            left &= ~hits[best]
    return tuple(found)


def find_sums(x: Floats, columns: Sequence[ColumnSchema]) -> Copies:
    """Which sums hold in every row and are no copies: see `find_copies`, whose arguments it has."""
    x = x[:: max(1, len(x) // LOOKED_AT)]
    numbers = [c for c, column in enumerate(columns) if column.kind in NUMBER]
    largest = np.nanmax(np.abs(x), 0, initial=0.0, where=~np.isnan(x))
    return tuple(
        (c, copy)
        for c, copy in _sums(x, numbers, largest)
        if _coarser(x[:FIRST_LOOK], c, copy, columns)
        and not all(columns[part].closed for part in (c, *copy.sources))
        and bool((_same(x, c, copy, columns[c]) | np.isnan(x[:, [c, *copy.sources]]).any(1)).all())
    )


def _step(column: ColumnSchema) -> float:
    return column.step or 0.0


def _same(x: Floats, column: int, copy: Copy, about: ColumnSchema) -> NDArray[np.bool_]:
    """Where the column is what the copy gives."""
    off = np.abs(x[:, column] - _value(x, copy))
    same: NDArray[np.bool_] = off <= copy.tolerance + 1e-3 * _step(about)
    return same


def _value(x: Floats, copy: Copy) -> Floats:
    value: Floats = x[:, copy.sources] @ np.array(copy.signs) + copy.constant
    return value


def _repeats(
    x: Floats, column: int, sources: Sequence[int], left: NDArray[np.bool_], tolerance: float
) -> list[Copy]:
    """Repeats that may explain enough, by a first look at some rows."""
    some = x[:FIRST_LOOK]
    if not sources:
        return []
    value, others = some[left[:FIRST_LOOK], column, None], some[left[:FIRST_LOOK]][:, sources]
    least = SHARE / 5 * len(some)
    return [
        Copy((sources[i],), (sign,), tolerance=tolerance)
        for sign in (1.0, -1.0)
        for i in np.flatnonzero(
            (np.abs(value - sign * others) <= tolerance).sum(0) >= least
        ).tolist()
    ]


def _shifts(
    x: Floats, column: int, sources: Sequence[int], left: NDArray[np.bool_], grain: float
) -> list[Copy]:
    """Shifts, by a first look at some rows."""
    some = x[:FIRST_LOOK][left[:FIRST_LOOK]]
    found = []
    for source in sources:
        shuffled = np.roll(some[:, source], len(some) // 2)
        for sign in (1.0, -1.0):
            constant, count = _commonest(some[:, column] - sign * some[:, source], grain)
            if count < SHIFTED * min(len(x), FIRST_LOOK) or abs(constant) <= grain:
                continue
            _, chance = _commonest(some[:, column] - sign * shuffled, grain)
            if count >= CHANCE * chance:
                found.append(Copy((source,), (sign,), constant, grain))
    return found


def _commonest(differences: Floats, grain: float) -> tuple[float, int]:
    """The commonest number, up to the grain, as short as the grain allows; and how often it is."""
    cells = np.round(differences[~np.isnan(differences)] / (grain or 1e-300))
    values, counts = np.unique(cells, return_counts=True)
    if not len(counts):
        return 0.0, 0
    commonest = values[counts.argmax()] * grain
    digits = next((d for d in range(13) if abs(round(commonest, d) - commonest) <= grain), 15)
    return round(float(commonest), digits), int(counts.max())


def _sums(x: Floats, numbers: Sequence[int], largest: Floats) -> Iterator[tuple[int, Copy]]:
    """For columns that two others or more give in every row: how."""
    rows = x[:FIRST_LOOK, list(numbers)]
    whole = np.isnan(rows).mean(0) < 0.5
    places = np.array(numbers)[whole]
    rows = rows[:, whole]
    rows = rows[~np.isnan(rows).any(1)]
    if len(places) < 3 or len(rows) < max(100, 2 * len(places)):
        return
    scale = rows.std(0)
    standard = (rows - rows.mean(0)) / np.where(scale > 0, scale, 1.0)
    left = np.abs(np.diag(np.linalg.qr(standard, mode="r"))) / np.sqrt(len(rows))
    free = [p for p in range(len(places)) if left[p] > DEPENDENT]
    for p in np.flatnonzero((left <= DEPENDENT) & (scale > 0)).tolist():
        basis = [q for q in free if q < p]
        weights = np.linalg.lstsq(standard[:, basis], standard[:, p], rcond=None)[0]
        weights = weights * scale[p] / scale[basis]
        signs = weights.round()
        parts = [q for q, sign in zip(basis, signs, strict=True) if sign]
        ones = bool((np.abs(signs) <= 1).all() and (np.abs(weights - signs) < 1e-2).all())
        if not ones or not 2 <= len(parts) <= MOST_PARTS:
            continue
        signs = signs[signs != 0]
        constants = rows[:, p] - rows[:, parts] @ signs
        sources = [int(places[q]) for q in parts]
        grain = float(DIGITS * largest[[int(places[p]), *sources]].sum())
        constant, count = _commonest(constants, grain)
        if count >= len(rows) / 2:
            column, tolerance = int(places[p]), 2 * grain
            yield column, Copy(tuple(sources), tuple(signs.tolist()), constant, tolerance)


def _coarser(x: Floats, column: int, copy: Copy, columns: Sequence[ColumnSchema]) -> bool:
    """Whether the scores of the parts say much less than that of their sum must be known by."""
    x = x[~np.isnan(x[:, [column, *copy.sources]]).any(1)]
    parts = [_slope(x[:, source], columns[source]) for source in copy.sources]
    ratio = _slope(x[:, column], columns[column]) / np.min(parts, 0)
    return bool(np.quantile(ratio, 0.75) > COARSER)


def _slope(values: Floats, column: ColumnSchema) -> Floats:
    """T' at the values."""
    knots = np.array(column.knots)
    rising = np.append(True, np.diff(knots) > 0)
    knots, scores = knots[rising], np.array(column.scores)[rising]
    place = np.searchsorted(knots[1:-1], values)
    slopes: Floats = (np.diff(scores) / np.diff(knots))[place]
    return slopes


def checked_copies(state: Any, columns: Sequence[ColumnSchema]) -> Copies:
    """The copies or sums that a model file names, if they make sense.

    Raises:
        ModelFileError: They do not.
    """
    numbers = {c for c, column in enumerate(columns) if column.kind in NUMBER}
    sound = isinstance(state, list) and len(state) <= MOST * len(columns)
    sound = sound and all(_makes_sense(copy, numbers) for copy in state)
    sound = sound and all(state.count(copy) == 1 for copy in state)
    if not sound:
        raise ModelFileError(
            "the model file names columns that repeat others in a way that makes no sense; "
            "fit and save the model again."
        )
    return tuple(
        (column, Copy(tuple(sources), tuple(map(float, signs)), float(constant), float(tolerance)))
        for column, sources, signs, constant, tolerance in state
    )


def _makes_sense(copy: Any, numbers: set[int]) -> bool:
    """Whether this is a column, its sources, their signs, a constant and a tolerance."""
    if not (isinstance(copy, list) and len(copy) == 5):
        return False
    column, sources, signs, constant, tolerance = copy
    return (
        all(isinstance(part, list) and 1 <= len(part) <= MOST_PARTS for part in (sources, signs))
        and len(sources) == len(signs)
        and all(type(part) is int for part in (column, *sources))
        and {column, *sources} <= numbers
        and len({*sources}) == len(sources)
        and max(sources) < column
        and all(type(sign) in (int, float) and sign in (1, -1) for sign in signs)
        and all(type(part) in (int, float) and np.isfinite(part) for part in (constant, tolerance))
        and tolerance >= 0
    )
