"""The search for rules that hold in every row, and that would not by chance.

    keys           distinct in every row, where as many draws would have met (n²/2M of them)
    formulas       a column that others give to the last digit (see `equations`)
    dependences    rows that agree in one column agree in the other
    orders         one column never above the other, although their ranges overlap
    combinations   pairs of categories of which most never meet

The measure of chance is the same throughout: how many rows would break the rule if the columns were
shuffled independently. A rule is found if it holds in all rows and at least `CHANCE` rows, and at
least a hundredth, would break it: in independent columns the probability that none does is below
exp(-CHANCE), for all pairs of 500 columns together below 1e-7. Columns that depend on each other
can still obey by habit and not by rule.

This module does not know which rules go together.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError
from variate.table import written
from variate.table.constraints import Determined, FixedCombinations, LessEqual, Rule, Unique
from variate.table.equations import Equation, equations
from variate.table.sheet import Sheet
from variate.table.storage import family, plain

__all__ = [
    "FINDERS",
    "Finding",
    "combinations",
    "dependences",
    "formulas",
    "keys",
    "orders",
    "taken",
]

Codes = NDArray[np.int64]

CHANCE = 30.0
SHARE = 0.01
NEAR = 0.01  # of the rows: the two come close, as where one bounds the other
FIRST = 300  # rows on which all pairs are tried
KEY_NAME = re.compile(r"(?i)(^|[^a-z])(id|key|uuid|guid|code|number|no|nr)($|[^a-z])|[a-z](Id|ID)$")
MOST_LEVELS = 100


@dataclass(frozen=True)
class Finding:
    """A rule that was found.

    Attributes:
        rule: It.
        evidence: Why, in words.
        tested: How many rows could have broken it.
        by_chance: How many would, if the columns were independent.
    """

    rule: Rule
    evidence: str
    tested: int
    by_chance: float


def taken(found: Sequence[Finding]) -> set[str]:
    """The columns that the findings settle."""
    return {name for finding in found for name in finding.rule.takes}


# -- keys ---------------------------------------------------------------------------------------


def keys(sheet: Sheet, found: Sequence[Finding]) -> Iterator[Finding]:  # noqa: ARG001
    """Columns that identify rows, of a make that can be continued."""
    for name in sheet.coded:
        kind = sheet.table.schema.field(name).type
        column = sheet.table.column(name)
        if family(kind) not in ("integer", "text") or pa.types.is_dictionary(kind):
            continue
        if column.null_count or pc.count_distinct(sheet.sample.column(name)).as_py() < len(
            sheet.sample
        ):
            continue
        values = plain(column)
        if family(kind) == "text" and _dated(values):
            continue
        if pc.count_distinct(values).as_py() < sheet.rows:
            continue
        n = sheet.rows
        if family(kind) == "integer":
            span = pc.max(values).as_py() - pc.min(values).as_py() + 1
            meetings = n * n / (2 * span)
            named = KEY_NAME.search(name) is not None
            if meetings < CHANCE and not named:
                continue
            chance = (
                f"as many random numbers of that range would meet {meetings:,.0f} times"
                if meetings >= CHANCE
                else "and it is named like a key"
            )
            yield Finding(
                Unique(name), f"no value comes twice in {n:,} rows; {chance}", n, meetings
            )
            continue
        rule = Unique(name)
        try:
            rule.learn(sheet.table)
        except DataError:
            continue
        shown = sheet.table.column(name)[0].as_py()
        yield Finding(rule, f"no text comes twice in {n:,} rows, all like {shown!r:.60}", n, n)


def _dated(text: pa.Array) -> bool:
    """Whether texts are times, which are measured and identify nothing."""
    head = text[:FIRST]
    return any(
        not pc.any(written.unreadable(head, written.read(head, form))).as_py()
        for form in written.FORMS
    )


# -- formulas -----------------------------------------------------------------------------------


def formulas(sheet: Sheet, found: Sequence[Finding]) -> Iterator[Finding]:
    """Columns that others give to the last digit."""
    for equation in equations(sheet, taken(found)):
        yield _formula(equation)


def _formula(equation: Equation) -> Finding:
    slack = equation.rule.tolerance
    how = f", give or take {slack:g} through rounding" if slack else " to the last digit"
    evidence = (
        f"holds in all {equation.tested:,} rows that have the values{how}; shuffled, "
        f"{equation.broken:.0%} of them would break it"
    )
    return Finding(equation.rule, evidence, equation.tested, equation.broken * equation.tested)


# -- dependences --------------------------------------------------------------------------------


def dependences(sheet: Sheet, found: Sequence[Finding]) -> Iterator[Finding]:
    """Columns that are a function of another."""
    settled = taken(found)
    codes = {name: c for name, c in sheet.coded.items() if name not in settled}
    if len(codes) < 2:
        return
    names = list(codes)
    block = np.stack([codes[name] for name in names], 1)
    levels = {name: int(codes[name].max()) + 1 for name in names}
    determines: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        if levels[name] > len(block) / 4:
            continue
        first = np.unique(block[:, i], return_index=True)[1][_ranked(block[:, i])]
        few = block[:FIRST] == block[first[:FIRST]]
        for j in np.flatnonzero(few.all(0)):
            if i != j and (block[:, j] == block[first, j]).all():
                determines.setdefault(name, []).append(names[j])
    yield from _dependences(sheet, determines, levels)


def _ranked(codes: Codes) -> Codes:
    return np.unique(codes, return_inverse=True)[1]


def _dependences(
    sheet: Sheet, determines: dict[str, list[str]], levels: dict[str, int]
) -> Iterator[Finding]:
    """For each column the one that determines it most closely, if all rows say so."""
    text = {name: sheet.kinds[name] == "text" for name in levels}
    places = {name: i for i, name in enumerate(sheet.table.column_names)}
    order = sorted(determines, key=lambda name: (levels[name], not text[name], places[name]))
    done: set[str] = set()
    for by in order:
        for name in determines[by]:
            same = by in determines.get(name, ()) and levels[name] == levels[by]
            earlier = (not text[name], places[name]) < (not text[by], places[by])
            if name in done or (same and earlier):
                continue
            finding = _dependence(sheet, name, by)
            if finding is not None:
                done.add(name)
                yield finding


def _dependence(sheet: Sheet, name: str, by: str) -> Finding | None:
    ours, theirs = sheet.all_codes(name), sheet.all_codes(by)
    distinct, first = np.unique(theirs, return_index=True)
    meant = ours[first][np.searchsorted(distinct, theirs)]
    if (meant != ours).any():
        return None
    tested = sheet.rows - len(distinct)
    shares = np.bincount(ours) / len(ours)
    broken = tested * (1 - float((shares**2).sum()))
    if broken < max(CHANCE, SHARE * sheet.rows):
        return None
    evidence = (
        f"rows that agree in {by!r} ({len(distinct):,} values) agree in {name!r} "
        f"({len(shares):,} values): {tested:,} rows repeat a value of {by!r}, of which shuffled "
        f"{broken / tested:.0%} would not agree"
    )
    return Finding(Determined(name, by=by), evidence, tested, broken)


# -- orders -------------------------------------------------------------------------------------


def orders(sheet: Sheet, found: Sequence[Finding]) -> Iterator[Finding]:
    """Columns that are never above another."""
    settled = taken(found)
    together = [{*f.rule.takes, *f.rule.reads} for f in found]
    pairs: set[tuple[str, str]] = set()
    groups: dict[str, list[str]] = {}
    for name in sheet.measured:
        if name not in settled:
            groups.setdefault(sheet.kinds[name], []).append(name)
    for names in groups.values():
        for low, high in _below(np.stack([sheet.measured[name] for name in names], 1)):
            pair = (names[low], names[high])
            if not any({*pair} <= columns for columns in together):
                pairs.add(pair)
    known: dict[tuple[str, str], Finding | None] = {}
    while True:  # what follows from others is looked at only once these have failed
        direct = _direct(pairs)
        for pair in direct:
            if pair not in known:
                known[pair] = _order(sheet, *pair)
        failed = {pair for pair in direct if known[pair] is None}
        if not failed:
            break
        pairs -= failed
    yield from (finding for pair in direct if (finding := known[pair]) is not None)


def _below(block: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Pairs of columns of the sample of which one is never above the other."""
    head = block[:FIRST]
    for high in range(block.shape[1]):
        with np.errstate(invalid="ignore"):
            fine = ~(head > head[:, [high]]).any(0)
            for low in np.flatnonzero(fine):
                if low != high and not (block[:, low] > block[:, high]).any():
                    yield int(low), high


def _order(sheet: Sheet, low: str, high: str) -> Finding | None:
    """That one column is never above the other, if all rows say so and it is not trivial."""
    broken = _crossing(sheet.measured[low], sheet.measured[high])
    if broken < 2 * SHARE:
        return None
    below, above = sheet.all_values(low), sheet.all_values(high)
    both = ~(np.isnan(below) | np.isnan(above))
    gap, tested = (above - below)[both], int(both.sum())
    if broken * tested < CHANCE or gap.min() < 0:
        return None
    ties = int((gap == 0).sum())
    near = float((gap <= 0.01 * np.quantile(gap, 0.99)).mean())
    if ties == tested or (not ties and near < NEAR):
        return None
    evidence = (
        f"holds in all {tested:,} rows that have both, with equality in {ties:,}; shuffled, "
        f"{broken:.0%} of them would break it"
    )
    return Finding(LessEqual(low, high), evidence, tested, broken * tested)


def _crossing(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """P(low > high) if the two were independent."""
    low, high = np.sort(low[~np.isnan(low)]), high[~np.isnan(high)]
    above = len(low) - np.searchsorted(low, high, side="right")
    return float(above.mean() / max(len(low), 1)) if len(high) else 0.0


def _direct(pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs that do not follow from others (a <= c from a <= b and b <= c), without circles."""
    above: dict[str, set[str]] = {}
    for low, high in pairs:
        above.setdefault(low, set()).add(high)
    equal = {pair for pair in pairs if (pair[1], pair[0]) in pairs}
    return sorted(
        (low, high)
        for low, high in pairs - equal
        if not any(high in above.get(middle, ()) for middle in above[low] if middle != high)
    )


# -- combinations -------------------------------------------------------------------------------


def combinations(sheet: Sheet, found: Sequence[Finding]) -> Iterator[Finding]:
    """Pairs of categories of which most never meet."""
    used = taken(found)
    names = [
        name
        for name, codes in sheet.coded.items()
        if name not in used and sheet.kinds[name] == "text" and 3 <= codes.max() + 1 <= MOST_LEVELS
    ]
    candidates = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            finding = _combination(sheet, one, other)
            if finding is not None:
                candidates.append(finding)
    yield from sorted(candidates, key=lambda finding: -finding.by_chance)


def _combination(sheet: Sheet, one: str, other: str) -> Finding | None:
    if _unseen(sheet.coded[one], sheet.coded[other])[0] < 0.2:
        return None
    broken, seen, single = _unseen(sheet.all_codes(one), sheet.all_codes(other))
    n = sheet.rows
    if broken < 0.2 or broken * n < CHANCE or single > max(1, 0.0005 * n):
        return None
    evidence = (
        f"{seen:,} combinations in {n:,} rows, {single:,} of them only once (so that about "
        f"{single / n:.1g} of new rows would have another); shuffled, {broken:.0%} of the rows "
        "would have others"
    )
    return Finding(FixedCombinations((one, other)), evidence, n, broken * n)


def _unseen(one: Codes, other: Codes) -> tuple[float, int, int]:
    """The share of rows with unseen combinations by chance; combinations, and those seen once."""
    shape = int(one.max()) + 1, int(other.max()) + 1
    table = np.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).reshape(shape)
    chance = np.outer(table.sum(1), table.sum(0)) / len(one) ** 2
    return float(chance[table == 0].sum()), int((table > 0).sum()), int((table == 1).sum())


FINDERS: tuple[Callable[[Sheet, Sequence[Finding]], Iterator[Finding]], ...] = (
    keys,
    formulas,
    dependences,
    orders,
    combinations,
)
