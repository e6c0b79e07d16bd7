"""The search for columns that others give to the last digit.

    pairs     y = a·x + b or y = |x|: the line through the rows of least and greatest x goes
              through all others
    sums      c_1·x_1 + … + c_k·x_k = c_0: a QR decomposition with pivoting puts the columns last
              that the others give; least squares on these says how
    shifts    y ± x is one of two or three numbers

Coefficients are rounded to as few digits as still give the column to the last digit in every row.
Numbers that were rounded before they were written (to three decimals and more) may be off by what
the rounding of all of them explains: that becomes the tolerance of the rule.

This module does not know dependences that no formula describes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from variate.table.constraints import Absolute, Linear, Sum
from variate.table.sheet import Sheet
from variate.table.summary import Numbers

__all__ = ["Equation", "equations"]

Floats = NDArray[np.float64]

CHANCE = 30.0
SHARE = 0.01
FIRST = 300  # rows on which all pairs are tried
LINE = 20  # grid steps that a column must span to be fitted by a line with rounding
ROUNDED = 1e-3  # columns on grids finer than this were rounded; others are counts and amounts
DIGITS = (1, 2, 3, 4, 5, 6, 8, 10, 12)
MOST_PARTS = 20
MOST_SHIFTS = 3
SLACK = 1 + 1e-6


@dataclass(frozen=True)
class Equation:
    """A rule, in how many rows it was tested, and the share that it would break in by chance."""

    rule: Sum | Linear | Absolute
    tested: int
    broken: float


class _Columns:
    """The numbers of the sample: names, values [S, P], the grid's step of each, and all rows."""

    def __init__(self, sheet: Sheet, names: Sequence[str]) -> None:
        self.sheet = sheet
        self.names = list(names)
        self.block = np.stack([sheet.measured[name] for name in names], 1)
        self.steps = np.array([_step(self.block[:, i]) for i in range(len(names))])
        self.spread = np.nanmax(self.block, 0) - np.nanmin(self.block, 0)
        self.distinct = [len(np.unique(self.block[:, i])) for i in range(len(names))]

    def whole(self, i: int) -> Floats:
        """A column in all rows."""
        return self.sheet.all_values(self.names[i])


def equations(sheet: Sheet, settled: set[str]) -> Iterator[Equation]:
    """Equations in which no settled column takes part, no column given by two."""
    times = [n for n, kind in sheet.kinds.items() if kind in ("moment", "instant", "span")]
    numbers = [name for name, kind in sheet.kinds.items() if kind == "number"]
    for names in (numbers, times):
        names = [name for name in names if name in sheet.measured and name not in settled]
        if len(names) < 2:
            continue
        columns = _Columns(sheet, names)
        given: set[int] = set()
        finders = (_pairs, _sums, _shifts) if names[0] in numbers else (_sums,)
        for finder in finders:
            for place, equation in finder(columns, given):
                if names[0] in numbers or isinstance(equation.rule, Sum):
                    given.add(place)
                    yield equation


def _step(values: Floats) -> float:
    """The grid of a column, or what floating point leaves of it."""
    known = values[~np.isnan(values)]
    numbers = Numbers(np.dtype(np.float64), 1)
    numbers.add(known)
    if numbers.decimals is None:
        return float(np.abs(known).max() * 1e-9) or 1e-300
    return 10.0**-numbers.decimals


# -- pairs --------------------------------------------------------------------------------------


def _pairs(columns: _Columns, given: set[int]) -> Iterator[tuple[int, Equation]]:
    head = columns.block[:FIRST]
    signed = np.nanmin(columns.block, 0) < 0
    for y in range(len(columns.names)):
        for x in _lines(head, columns, y):
            if x not in given and y not in given:
                found = [(p, _equation(columns, p, [q])) for p, q in ((x, y), (y, x))]
                fits = [(place, equation) for place, equation in found if equation is not None]
                if fits:  # the shorter one, and of two as short the one that gives the later column
                    yield min(fits, key=lambda fit: (len(repr(fit[1].rule)), -fit[0]))
        if y in given:
            continue
        for x in np.flatnonzero(signed).tolist() if columns.distinct[y] > 2 else ():
            off = np.abs(head[:, y] - np.abs(head[:, x]))
            if x == y or x in given or not np.nanmax(off, initial=0) <= columns.steps[y]:
                continue
            magnitude = _magnitude(columns, y, x)
            if magnitude is not None:
                yield y, magnitude
                break


def _lines(head: Floats, columns: _Columns, y: int) -> list[int]:
    """The columns that may give y along a line."""
    target = head[:, [y]]
    known = ~(np.isnan(head) | np.isnan(target))
    low = np.where(known, head, np.inf).argmin(0)
    high = np.where(known, head, -np.inf).argmax(0)
    places = np.arange(head.shape[1])
    with np.errstate(all="ignore"):
        slope = (target[high, 0] - target[low, 0]) / (head[high, places] - head[low, places])
        off = np.abs(target - (target[low, 0] + slope * (head - head[low, places])))
        off = np.where(known, off, 0).max(0)
    fine = columns.spread[y] >= LINE * columns.steps[y]
    allowed = 1.6 * columns.steps[y] if fine else 1e-6 * columns.steps[y]
    moving = np.isfinite(slope) & (np.abs(slope) * columns.spread > 0.5 * columns.spread[y])
    likely = (off <= allowed) & moving & (known.sum(0) > FIRST / 10)
    likely[y] = False
    return np.flatnonzero(likely).tolist() if columns.distinct[y] > 2 else []


def _magnitude(columns: _Columns, y: int, x: int) -> Equation | None:
    have, by = columns.whole(y), columns.whole(x)
    known = ~(np.isnan(have) | np.isnan(by))
    if (np.abs(have - np.abs(by))[known] > 0.5 * columns.steps[y] * SLACK).any():
        return None
    rule = Absolute(columns.names[y], columns.names[x])
    return _judged(rule, have[known], np.abs(by[known]), 0.5 * columns.steps[y])


# -- sums ---------------------------------------------------------------------------------------


def _sums(columns: _Columns, given: set[int]) -> Iterator[tuple[int, Equation]]:
    gaps = np.isnan(columns.block).mean(0)
    places = [i for i in range(len(columns.names)) if i not in given and gaps[i] < 0.3]
    block = columns.block[:, places]
    block = block[~np.isnan(block).any(1)]
    spreads = np.ptp(block, 0) if len(block) else np.zeros(len(places))
    places = [place for place, spread in zip(places, spreads, strict=True) if spread > 0]
    if len(places) < 3 or len(block) < max(100, 2 * len(places)):
        return
    block = columns.block[:, places]
    block = block[~np.isnan(block).any(1)]
    scale = block.std(0)
    standard = (block - block.mean(0)) / scale
    triangle, pivots = qr(standard, mode="r", pivoting=True)
    left = np.abs(np.diag(triangle)) / np.sqrt(len(block))
    steps = columns.steps[places]
    rounding = np.where(steps < ROUNDED, 3 * steps / scale, 0.0)[pivots]
    last = left <= np.maximum(rounding, 1e-7)
    basis, dependent = pivots[~last], pivots[last]
    for d in dependent.tolist():
        weights = np.linalg.lstsq(standard[:, basis], standard[:, d], rcond=None)[0]
        parts = [places[basis[i]] for i in np.flatnonzero(np.abs(weights) > 1e-3)]
        if not 2 <= len(parts) <= MOST_PARTS:
            continue
        found = _relation(columns, [places[d], *parts], given)
        if found is not None:
            yield found


def _relation(
    columns: _Columns, members: list[int], given: set[int]
) -> tuple[int, Equation] | None:
    """The members' equation, solved for the total, or else for the one that varies most."""
    weights, constant = _fitted(columns, members[0], members[1:])
    weights = [-1.0, *weights]
    rounded = [round(w) for w in weights]
    ones = all(abs(w - r) < 1e-4 and abs(r) == 1 for w, r in zip(weights, rounded, strict=True))
    total = int(np.argmax([np.nanstd(columns.block[:, m]) for m in members]))
    if ones and abs(constant) < 1e-4 * columns.spread[members].max():
        for sign in (1, -1):
            if rounded.count(sign) == 1:
                total = rounded.index(sign)
    order = [members[total], *(m for i, m in enumerate(members) if i != total)]
    for y in order:
        if y not in given:
            found = _equation(columns, y, sorted(m for m in members if m != y))
            if found is not None:
                return y, found
    return None


def _fitted(columns: _Columns, y: int, xs: Sequence[int]) -> tuple[list[float], float]:
    block = columns.block[:, [*xs, y]]
    block = block[~np.isnan(block).any(1)]
    middle = block.mean(0)
    weights = np.linalg.lstsq(block[:, :-1] - middle[:-1], block[:, -1] - middle[-1], rcond=None)[0]
    return weights.tolist(), float(middle[-1] - weights @ middle[:-1])


def _equation(columns: _Columns, y: int, xs: Sequence[int]) -> Equation | None:
    """y from xs with coefficients of as few digits as will do, if they do in all rows."""
    weights, _ = _fitted(columns, y, xs)
    block = columns.block[:, [*xs, y]]
    block = block[~np.isnan(block).any(1)]
    exact = 0.5 * columns.steps[y]
    for digits in DIGITS:
        rounded = [_digits(w, digits) for w in weights]
        rest = float(np.median(block[:, -1] - block[:, :-1] @ np.array(rounded)))
        shift = _digits(rest, digits) if abs(rest) > exact else 0.0
        bound = exact
        if max(columns.steps[[y, *xs]]) < ROUNDED:
            bound += 0.5 * float(np.abs(rounded) @ columns.steps[list(xs)])
        off = np.abs(block[:, -1] - block[:, :-1] @ np.array(rounded) - shift)
        if off.max() <= bound * SLACK and all(rounded):
            return _verified(columns, y, xs, rounded, shift, bound)
    return None


def _verified(
    columns: _Columns,
    y: int,
    xs: Sequence[int],
    weights: list[float],
    shift: float,
    bound: float,
) -> Equation | None:
    have = columns.whole(y)
    meant = np.full(len(have), shift)
    for weight, x in zip(weights, xs, strict=True):
        meant += weight * columns.whole(x)
    known = ~(np.isnan(have) | np.isnan(meant))
    off = np.abs(have - meant)[known]
    if (off > bound * SLACK).any():
        return None
    exact = 0.5 * columns.steps[y]
    worst = float(off.max())
    tolerance = 0.0
    if worst > exact * SLACK:
        tolerance = float(np.ceil(worst / columns.steps[y] * (1 - 1e-6)) * columns.steps[y])
        tolerance = float(f"{tolerance:.6g}")
    by = tuple(columns.names[x] for x in xs)
    if shift == 0 and len(xs) > 1 and all(w == 1 for w in weights):
        rule: Sum | Linear = Sum(columns.names[y], by, tolerance=tolerance)
    else:
        rule = Linear(columns.names[y], by, tuple(map(_plain, weights)), _plain(shift), tolerance)
    return _judged(rule, have[known], meant[known], max(exact, tolerance))


def _judged(
    rule: Sum | Linear | Absolute, have: Floats, meant: Floats, allowed: float
) -> Equation | None:
    """The equation, if enough shuffled rows would break it."""
    shuffled = np.random.default_rng(0).permutation(have)
    broken = float((np.abs(shuffled - meant) > allowed * SLACK).mean()) if len(have) else 0.0
    if broken < SHARE or broken * len(have) < CHANCE:
        return None
    return Equation(rule, len(have), broken)


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _plain(value: float) -> float:
    """A whole number as an integer, which is how one writes it."""
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else value


# -- shifts -------------------------------------------------------------------------------------


def _shifts(columns: _Columns, given: set[int]) -> Iterator[tuple[int, Equation]]:
    many = [i for i, n in enumerate(columns.distinct) if n >= LINE and i not in given]
    head = columns.block[:FIRST]
    for y in many:
        others = np.array([x for x in many if x < y and x not in given], int)
        if y in given or not len(others):
            continue
        allowed = 2 * np.maximum(columns.steps[y], columns.steps[others])
        for sign in (-1, 1):
            apart = head[:, [y]] - sign * head[:, others]
            same = np.stack([np.nanmean(np.abs(apart - r) <= allowed, 0) for r in apart[:3]])
            for x in others[same.max(0) >= 0.5].tolist():
                found = _shift(columns, y, x, sign)
                if found is not None and y not in given:
                    yield y, found


def _shift(columns: _Columns, y: int, x: int, sign: int) -> Equation | None:
    have, by = columns.whole(y), sign * columns.whole(x)
    known = ~(np.isnan(have) | np.isnan(by))
    apart = (have - by)[known]
    step = max(columns.steps[y], columns.steps[x])
    levels: list[float] = []
    left = apart
    while len(left) and len(levels) <= MOST_SHIFTS:
        level = round(float(np.median(left)), 9)
        levels.append(level)
        left = left[np.abs(left - level) > step * SLACK]
    if not 2 <= len(levels) <= MOST_SHIFTS:
        return None
    off = np.abs(apart[:, None] - np.array(levels)).min(1)
    worst = float(off.max())
    tolerance = step if worst > 0.5 * step * SLACK else 0.0
    if tolerance and step >= ROUNDED:
        return None
    shifts = tuple(_plain(level) for level in sorted(levels))
    rule = Linear(columns.names[y], (columns.names[x],), (sign,), shifts, tolerance)
    shuffled = np.random.default_rng(0).permutation(have[known])
    near = np.abs((shuffled - by[known])[:, None] - np.array(levels)).min(1) <= max(step, tolerance)
    broken = float(1 - near.mean())
    if broken < SHARE or broken * len(apart) < CHANCE:
        return None
    return Equation(rule, len(apart), broken)
