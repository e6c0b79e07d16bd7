r"""Which raw value is drawn for a score, and which scores are drawn as a value.

A score t stands for T^-1(t), on the column's grid where it has one, and never beyond the range that
was observed. In a closed column nothing but atoms is drawn: t stands for the atom that is nearest,
the border between two of them being an edge of a cell of the grid.

This module does not know the distribution over scores.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from variate.distributions.grid import OFF_GRID
from variate.distributions.outcomes import NEVER
from variate.distributions.scores import Cells, Numeric, ScoreMaps

__all__ = ["Landing"]


class Landing:
    """Where the scores of a number land.

    Args:
        column: What the column is.
        maps: Its map to scores.

    Attributes:
        atoms: The column's, float64 `[A]`.
    """

    def __init__(self, column: Numeric, maps: ScoreMaps) -> None:
        self.column = column
        self.maps = maps
        self.atoms = torch.tensor(column.atoms, dtype=torch.float64, device=maps.step.device)

    def raw(self, score: Tensor) -> Tensor:
        """The raw values of scores `[M]`, within the range that is drawn."""
        x: Tensor = self.maps.inverse(score.unsqueeze(-1)).squeeze(-1)
        x = x.clamp(self.column.low, self.column.high)
        return self.atoms[torch.searchsorted(self.borders(), x)] if self.column.closed else x

    def borders(self) -> Tensor:
        """Between two atoms, what is nearer to the lower than to the upper ends here."""
        middle, step = (self.atoms[1:] + self.atoms[:-1]) / 2, self.column.step
        if step is None:
            return middle
        k = torch.floor((middle - self.column.origin) / step + OFF_GRID)
        return self.column.origin + (k + 0.5) * step

    def cells(self, values: Tensor, low: float, high: float) -> Cells:
        """The cells of some values `[V]`; in a closed column of what is drawn as each of them.

        Args:
            values: Raw ones.
            low: The scores that are drawn: from here, a number,
            high: to here.
        """
        cells = Cells(*(part.squeeze(-1) for part in self.maps.cells(values.unsqueeze(-1))))
        if not self.column.closed:
            return cells
        borders = self.borders()
        scores = self.maps(borders.unsqueeze(-1)).squeeze(-1).clamp(low, high)
        edges = F.pad(F.pad(scores, (1, 0), value=low), (0, 1), value=high)
        which = torch.searchsorted(borders, values)
        is_atom = (self.atoms[which] - values).abs() <= OFF_GRID * (self.column.step or 0.0)
        width = torch.where(is_atom, edges.diff()[which], 0.0)
        return Cells(edges[which], width, torch.full_like(width, NEVER))

    def scores_of(self, low: float, high: float) -> tuple[float, float]:
        """The scores of the cells of all values from low to high."""
        ends = torch.tensor([[low], [high]], dtype=torch.float64)
        if self.column.step is not None:
            k = (ends - self.column.origin) / self.column.step
            k = torch.stack([(k[0] - OFF_GRID).ceil() - 0.5, (k[1] + OFF_GRID).floor() + 0.5])
            ends = self.column.origin + k * self.column.step
        edges = self.maps.edges(ends.to(self.atoms.device))
        return float(edges[0]), float(edges[1])
