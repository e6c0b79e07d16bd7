r"""What a walk along the chain remembers of the columns that it has passed.

The j-th column is told Σ_{i<j} e_i W_ij. The embedding e_i follows from the outcome o_i of column
i, of which there are few, but for numbers that are no atom: their waves v_i over the score come in
addition, e_i = E_i[o_i] + v_i N_i. What is a product of weights alone is therefore made before any
row is drawn:

    gathered    Σ_{i<j} (E_i W_ij)[o_i] + (v_1, v_2, ...) (N_1 W_1j, N_2 W_2j, ...)
                outcomes and waves are kept; each column looks up what they mean to it
    carried     s <- s + (E_i V_i)[o_i] + v_i (N_i V_i),  then a(s) Q_j, where W_ij = V_i Q_j

To look up and to add is quicker than to multiply by a factor of about eight. Columns of very many
outcomes have no tables: their e_i is kept like waves are.

The features f_i that the columns show each other in the second mixing follow from whole rows; they
are kept side by side, or summed where V is of low rank.

This module does not know what the columns are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Carried",
    "CarriedTables",
    "Gathered",
    "GatheredTables",
    "Kept",
    "KeptTables",
    "Part",
    "Summed",
    "SummedTables",
]

LARGEST = 2**18  # numbers in a column's tables; where there were more, they would be no gain


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

    def is_wide(self, weight: Tensor) -> bool:
        """Whether it has too many outcomes to multiply each by a weight `[E, N]`."""
        return len(self.outcomes) * weight.shape[-1] > LARGEST

    def mixed(self, weight: Tensor) -> Tensor | None:
        """From what is kept of a row, waves or e_i itself, to e_i times a weight `[E, N]`."""
        if self.is_wide(weight):
            return weight
        return None if self.waves is None else self.waves @ weight

    def embedded(self, outcome: Tensor, waves: Tensor | None, rows: Tensor | None) -> Tensor:
        """e_i `[M, E]`; arguments as those of `Gathered.note`."""
        e = self.outcomes.index_select(0, outcome)
        if waves is not None and self.waves is not None:
            _add(e, waves @ self.waves, rows)
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
        weights = weight.flatten(2)  # [C, E, C · width]
        nothing = weights.new_zeros(0, weights.shape[-1])
        # where the outcomes of a column begin in the tables of those after it
        self.first: dict[int, int] = {}
        tables, ends = [nothing], []
        for place, part in enumerate(parts):
            ends.append(sum(map(len, tables)))
            if not part.is_wide(weights[place]):
                self.first[place] = ends[-1]
                tables.append(part.outcomes @ weights[place])
        self.tables = _by_column(torch.cat(tables), self.width, ends)
        # where the features of a column are kept: those last that hardly ever are
        self.slots: dict[int, slice] = {}
        matrices = [nothing]
        for place in sorted(range(len(parts)), key=lambda place: parts[place].rare):
            matrix = parts[place].mixed(weights[place])
            if matrix is not None:
                begin = sum(map(len, matrices))
                self.slots[place] = slice(begin, begin + len(matrix))
                matrices.append(matrix)
        kept = torch.cat(matrices)
        self.matrices = _by_column(kept, self.width, [len(kept)] * len(parts))

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
        self._outcomes = torch.zeros(rows, len(tables.first), dtype=torch.int32, device=like.device)
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
        self, place: int, outcome: Tensor, waves: Tensor | None = None, rows: Tensor | None = None
    ) -> None:
        """Remember the column at this place.

        Args:
            place: Which one; the one after that noted last.
            outcome: Its outcomes, int32 `[M]`.
            waves: Of the rows that have them, `[m, F]`.
            rows: Which those are, `[m]`; None: all.
        """
        tables, part = self._tables, self._tables.parts[place]
        if place in tables.first:
            self._outcomes[:, self._noted] = outcome + tables.first[place]
            self._noted += 1
            if waves is not None:
                self._keep(place, waves, rows)
        else:
            self._keep(place, part.embedded(outcome, waves, rows))

    def _keep(self, place: int, features: Tensor, rows: Tensor | None = None) -> None:
        slot = self._tables.slots[place]
        self._reach = max(self._reach, slot.stop)
        if rows is None:
            self._kept[:, slot] = features
        else:
            self._kept[:, slot].index_copy_(0, rows, features)

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._outcomes, self._kept = self._outcomes[rows], self._kept[rows]

    def move(self, to: Tensor, of: Tensor) -> None:
        """The rows `to` become copies of the rows `of`, as these were."""
        _moved(self._outcomes[:, : self._noted], to, of)
        _moved(self._kept[:, : self._reach], to, of)


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
            None if part.is_wide(v) else part.outcomes @ v
            for part, v in zip(parts, into, strict=True)
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
        self, place: int, outcome: Tensor, waves: Tensor | None = None, rows: Tensor | None = None
    ) -> None:
        """Remember the column at this place; see `Gathered.note`."""
        table, matrix = self._tables.tables[place], self._tables.waves[place]
        if table is None:
            e = self._tables.parts[place].embedded(outcome, waves, rows)
            self._sums.addmm_(e, self._tables.into[place])
            return
        self._sums.add_(table.index_select(0, outcome))
        if waves is not None and matrix is not None:
            _add(self._sums, waves @ matrix, rows)

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._sums = self._sums[rows]

    def move(self, to: Tensor, of: Tensor) -> None:
        """The rows `to` become copies of the rows `of`, as these were."""
        _moved(self._sums, to, of)


class KeptTables:
    """Σ_{i<=j} f_i V_ij, from features that are kept side by side.

    Args:
        weight: V, `[C, F, C, width]`.
    """

    def __init__(self, weight: Tensor) -> None:
        columns, self.features = weight.shape[:2]
        self.matrices = [weight[: p + 1, :, p].flatten(0, 1).contiguous() for p in range(columns)]

    def start(self, rows: int) -> "Kept":
        """The features of so many rows, of which nothing is known."""
        return Kept(self, rows)


class Kept:
    """The features of the columns of M rows.

    Args:
        tables: What they mean.
        rows: M.
    """

    def __init__(self, tables: KeptTables, rows: int) -> None:
        self._tables = tables
        self._kept = tables.matrices[-1].new_zeros(rows, len(tables.matrices[-1]))
        self._shown = 0  # beyond, nothing is kept yet

    def told(self, place: int, features: Tensor) -> Tensor:
        """What the column at this place is told, `[M, width]`, once it shows its own `[M, F]`."""
        end = (place + 1) * self._tables.features
        self._kept[:, end - self._tables.features : end] = features
        self._shown = max(self._shown, end)
        return self._kept[:, :end] @ self._tables.matrices[place]

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._kept = self._kept[rows]

    def move(self, to: Tensor, of: Tensor) -> None:
        """The rows `to` become copies of the rows `of`, as these were."""
        _moved(self._kept[:, : self._shown], to, of)


class SummedTables:
    """The same from one sum, of low rank.

    Args:
        into: `[C, F, rank]`.
        out: `[C, rank, width]`.
    """

    def __init__(self, into: Tensor, out: Tensor) -> None:
        self.into = into
        self.out = out

    def start(self, rows: int) -> "Summed":
        """The sum of so many rows, of which nothing is known."""
        return Summed(self, rows)


class Summed:
    """The sum of the features of M rows.

    Args:
        tables: What goes into it and comes out of it.
        rows: M.
    """

    def __init__(self, tables: SummedTables, rows: int) -> None:
        self._tables = tables
        self._sums = tables.into.new_zeros(rows, tables.into.shape[-1])

    def told(self, place: int, features: Tensor) -> Tensor:
        """What the column at this place is told; once for each place. See `Kept.told`."""
        self._sums.addmm_(features, self._tables.into[place])
        return F.silu(self._sums) @ self._tables.out[place]

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows."""
        self._sums = self._sums[rows]

    def move(self, to: Tensor, of: Tensor) -> None:
        """The rows `to` become copies of the rows `of`, as these were."""
        _moved(self._sums, to, of)


def _moved(all_: Tensor, to: Tensor, of: Tensor) -> None:
    """Overwrite some rows by others."""
    all_.index_copy_(0, to, all_.index_select(0, of))


def _add(sums: Tensor, terms: Tensor, rows: Tensor | None) -> None:
    """Add terms to some rows, or to all."""
    if rows is None:
        sums.add_(terms)
    else:
        sums.index_add_(0, rows, terms)
