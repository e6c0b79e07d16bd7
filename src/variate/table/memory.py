r"""What a walk along the chain remembers of the columns that it has passed.

The j-th column is told Σ_{i<j} e_i W_ij. The embedding e_i follows from the outcome o_i of column i,
of which there are few, but for numbers that are no atom: their waves v_i over the score come in
addition, e_i = E_i[o_i] + v_i N_i. What is a product of weights alone is therefore made before any
row is drawn:

    gathered    Σ_{i<j} (E_i W_ij)[o_i] + (v_1, v_2, ...) (N_1 W_1j, N_2 W_2j, ...)
                outcomes and waves are kept; each column looks up what they mean to it
    carried     s <- s + (E_i V_i)[o_i] + v_i (N_i V_i),  then a(s) Q_j, where W_ij = V_i Q_j

To look up and to add is quicker than to multiply by a factor of about eight. Columns of very many
outcomes have no tables: their e_i is kept like waves are.

This module does not know what the columns are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Carried", "CarriedTables", "Gathered", "GatheredTables", "Memory", "Part", "Tables"]

WIDE = 256  # outcomes; beyond, tables for every later column are no gain


@dataclass(frozen=True)
class Part:
    """How one column is embedded.

    Attributes:
        outcomes: E_i, `[L, E]`.
        waves: N_i, `[F, E]`; None for a column that has none.
        rare: Whether the column hardly ever has waves.
    """

    outcomes: Tensor
    waves: Tensor | None
    rare: bool = False

    @property
    def wide(self) -> bool:
        """Whether it has too many outcomes for tables."""
        return len(self.outcomes) > WIDE

    def embedded(self, outcome: Tensor, rows: Tensor | None, waves: Tensor | None) -> Tensor:
        """e_i `[M, E]`; arguments as those of `Gathered.note`."""
        e = self.outcomes.index_select(0, outcome)
        if rows is not None and waves is not None and self.waves is not None:
            e.index_add_(0, rows, waves @ self.waves)
        return e


class GatheredTables:
    """The products of weights for columns that have a matrix for each pair.

    Args:
        parts: The columns in the order of the chain.
        weight: W, `[C, E, C, width]`.
    """

    def __init__(self, parts: Sequence[Part], weight: Tensor) -> None:
        self.parts = parts
        self.width = weight.shape[-1]
        flat = weight.flatten(2)
        begin, self.first, tables = 0, {}, [flat.new_zeros(0, flat.shape[-1])]
        ends = []
        for place, part in enumerate(parts):
            ends.append(begin)
            if not part.wide:
                self.first[place] = begin
                tables.append(part.outcomes @ flat[place])
                begin += len(part.outcomes)
        self.tables = _by_column(torch.cat(tables), self.width, ends)
        # what is kept of the rows: first of the columns that always have it
        kept = sorted(
            (place for place, part in enumerate(parts) if part.wide or part.waves is not None),
            key=lambda place: parts[place].rare and not parts[place].wide,
        )
        begin, self.slots, matrices = 0, {}, [flat.new_zeros(0, flat.shape[-1])]
        for place in kept:
            part = parts[place]
            wide = part.wide or part.waves is None
            matrices.append(flat[place] if wide else part.waves @ flat[place])
            self.slots[place] = slice(begin, begin + len(matrices[-1]))
            begin += len(matrices[-1])
        self.matrices = _by_column(torch.cat(matrices), self.width, [begin] * len(parts))

    def start(self, rows: int) -> "Gathered":
        """The memory of so many rows, of which nothing is known."""
        return Gathered(self, rows)


def _by_column(everything: Tensor, width: int, ends: Sequence[int]) -> list[Tensor]:
    """The rows up to an end of each column's part of a table `[rows, C · width]`."""
    parts = zip(ends, everything.split(width, -1), strict=True)
    return [part[:end].contiguous() for end, part in parts]


class Gathered:
    """The outcomes and waves of M rows.

    Args:
        tables: What they mean.
        rows: M.
    """

    def __init__(self, tables: GatheredTables, rows: int) -> None:
        self._tables = tables
        like = tables.tables[0]
        self._outcomes = torch.zeros(
            rows, len(tables.first), dtype=torch.int32, device=like.device
        )
        self._noted = 0
        self._kept = like.new_zeros(rows, len(tables.matrices[0]))
        self._reach = 0  # beyond, all that is kept is zero

    def at(self, place: int) -> Tensor:
        """What the column at this place is told, `[M, width]`."""
        table, matrix = self._tables.tables[place], self._tables.matrices[place]
        if not self._noted:
            told = matrix.new_zeros(len(self._kept), self._tables.width)
        else:
            told = F.embedding_bag(self._outcomes[:, : self._noted], table, mode="sum")
        if self._reach:
            told.addmm_(self._kept[:, : self._reach], matrix[: self._reach])
        return told

    def note(
        self, place: int, outcome: Tensor, rows: Tensor | None = None, waves: Tensor | None = None
    ) -> None:
        """Remember the column at this place.

        Args:
            place: Which one; the one after that noted last.
            outcome: Its outcomes, int32 `[M]`.
            rows: Those that have waves, `[m]`, if there are any.
            waves: Theirs, `[m, F]`.
        """
        tables, part = self._tables, self._tables.parts[place]
        if place in tables.first:
            self._outcomes[:, self._noted] = outcome + tables.first[place]
            self._noted += 1
        if part.wide:
            self._keep(place, None, part.embedded(outcome, rows, waves))
        elif rows is not None and waves is not None:
            self._keep(place, rows, waves)

    def _keep(self, place: int, rows: Tensor | None, features: Tensor) -> None:
        slot = self._tables.slots[place]
        self._reach = max(self._reach, slot.stop)
        if rows is None:
            self._kept[:, slot] = features
        else:
            self._kept[:, slot].index_copy_(0, rows, features)

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._outcomes, self._kept = self._outcomes[rows], self._kept[rows]


class CarriedTables:
    """The products of weights for columns that meet in one sum.

    Args:
        parts: The columns in the order of the chain.
        into: V, `[C, E, rank]`.
        out: Q, `[C, rank, width]`.
    """

    def __init__(self, parts: Sequence[Part], into: Tensor, out: Tensor) -> None:
        self.parts = parts
        self.into = into
        self.out = out
        self.tables = [
            None if part.wide else part.outcomes @ v for part, v in zip(parts, into, strict=True)
        ]
        self.waves = [
            None if part.waves is None else part.waves @ v
            for part, v in zip(parts, into, strict=True)
        ]

    def start(self, rows: int) -> "Carried":
        """The memory of so many rows, of which nothing is known."""
        return Carried(self, rows)


class Carried:
    """The sum of M rows.

    Args:
        tables: What goes into it and comes out of it.
        rows: M.
    """

    def __init__(self, tables: CarriedTables, rows: int) -> None:
        self._tables = tables
        self._sums = tables.into.new_zeros(rows, tables.into.shape[-1])

    def at(self, place: int) -> Tensor:
        """What the column at this place is told, `[M, width]`."""
        return F.silu(self._sums) @ self._tables.out[place]

    def note(
        self, place: int, outcome: Tensor, rows: Tensor | None = None, waves: Tensor | None = None
    ) -> None:
        """Remember the column at this place; see `Gathered.note`."""
        table, matrix = self._tables.tables[place], self._tables.waves[place]
        if table is None:
            e = self._tables.parts[place].embedded(outcome, rows, waves)
            self._sums.addmm_(e, self._tables.into[place])
            return
        self._sums.add_(table.index_select(0, outcome))
        if rows is not None and waves is not None and matrix is not None:
            self._sums.index_add_(0, rows, waves @ matrix)

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._sums = self._sums[rows]


Tables = GatheredTables | CarriedTables
Memory = Gathered | Carried
