"""Constraints that are found in the data, and proposed.

`propose` looks for keys, formulas, dependences, orders and combinations (see `search`), keeps those
that hold in every row and that rows shuffled column by column would break, and returns some that
fit together: `Constraints(propose(table).constraints)` can always be made.

That a rule holds in every row of a table does not say that it must: a proposal is to be read by
somebody who knows what the columns mean.

This module does not know what the columns mean.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from variate.errors import DataError, OptionError
from variate.table.constraints import Constraints, Rule
from variate.table.frames import to_arrow
from variate.table.search import FINDERS, Finding
from variate.table.sheet import Sheet

__all__ = ["Proposal", "Proposals", "propose"]

FEWEST = 100  # rows, below which anything may be coincidence


@dataclass(frozen=True)
class Proposal:
    """A constraint that the data obeys.

    Attributes:
        constraint: It.
        evidence: Why it is hardly a coincidence, in words.
        rows: In how many rows it holds.
        tested: How many rows could have broken it.
        by_chance: How many rows would break it if its columns were independent.
    """

    constraint: Rule
    evidence: str
    rows: int
    tested: int
    by_chance: float

    def __str__(self) -> str:
        """The line that declares it, and the evidence."""
        return f"{self.constraint!r}\n    {self.evidence}"


class Proposals(tuple[Proposal, ...]):
    """Proposals that fit together: printed, a list to read; `constraints` is what to use."""

    __slots__ = ()

    @property
    def constraints(self) -> list[Rule]:
        """The constraints alone."""
        return [proposal.constraint for proposal in self]

    def __str__(self) -> str:
        """One constraint after the other, each with its evidence."""
        if not self:
            return "no constraints were found"
        return "\n".join(map(str, self))


def propose(data: Any, *, seed: int = 0) -> Proposals:
    """Constraints that every row of a table obeys, and hardly by chance.

    Args:
        data: A table; see `frames` for what is one.
        seed: Which rows are searched first; every row is looked at in the end.

    Raises:
        DataError: It is no table.
    """
    table = data if isinstance(data, pa.Table) else to_arrow(data)
    if table.num_rows < FEWEST or not table.num_columns:
        return Proposals()
    sheet = Sheet(table, seed)
    found: list[Finding] = []
    for finder in FINDERS:
        found += _fitting(found, finder(sheet, found), table)
    return Proposals(
        Proposal(f.rule, f.evidence, table.num_rows, f.tested, f.by_chance) for f in found
    )


def _fitting(before: list[Finding], new: Iterable[Finding], table: pa.Table) -> list[Finding]:
    """Those of the new findings that go with the others, and that hold to the last digit."""
    kept: list[Finding] = []
    for finding in new:
        try:
            Constraints([f.rule for f in (*before, *kept, finding)])
            finding.rule.fit(table)
        except (OptionError, DataError):
            continue
        kept.append(finding)
    return kept
