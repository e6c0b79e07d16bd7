"""How rare each value of a row is, column by column: the sum of -log density of histograms.

A histogram of twenty bins of equal width, with half a row added to each; what lies outside of the
range of training has half a row. It sees no dependence, and so it cannot be fooled by one
(Goldstein & Dengel 2012).

This module does not know what the columns are.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["Margins"]

BINS = 20
EXTRA = 0.5  # rows in each bin


class Margins(nn.Module):
    """Histograms of C columns, of which rows are to be scored.

    Args:
        columns: C.
    """

    low: Tensor
    width: Tensor
    counts: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(columns))
        self.register_buffer("width", torch.ones(columns))
        self.register_buffer("counts", torch.zeros(columns, BINS + 2))

    def learn(self, x: Tensor) -> None:
        """Count rows x `[N, C]`."""
        self.low = x.nan_to_num(math.inf).amin(0).nan_to_num(0.0, 0.0, 0.0)
        high = x.nan_to_num(-math.inf).amax(0).nan_to_num(0.0, 0.0, 0.0)
        self.width = ((high - self.low) / BINS).clamp_min(1e-6)
        bins, present = self._bins(x)
        counts = torch.zeros(x.shape[1], BINS + 2)
        self.counts = counts.scatter_add_(1, bins.T, present.T.float())

    def surprise(self, x: Tensor, *, own: bool) -> Tensor:
        """-log density of each cell in nats, `[N, C]`, up to a constant; 0 where it is missing.

        Args:
            x: Rows.
            own: Whether they are among the rows counted; each is then left out for itself.
        """
        bins, present = self._bins(x)
        count = (self.counts.gather(1, bins.T).T - float(own)).clamp_min(0.0)
        total = self.counts.sum(1) - float(own) + EXTRA * BINS
        return (total.log() - (count + EXTRA).log()) * present

    def _bins(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The bin of each cell, the outer two being beyond the range; where there is a value."""
        place = (x - self.low) / self.width
        place = torch.where((place >= BINS) & (place < BINS + 1e-3), BINS - 0.5, place)
        return place.nan_to_num(0.0).floor().clamp(-1, BINS).long() + 1, ~x.isnan()
