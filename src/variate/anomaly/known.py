"""Which rows were trained on, and what their scores are out of bag.

A row that the references hold is at no distance from itself, and looks as normal as can be. So rows
are known by a hash of 64 bits of their values, and a row that was trained on gets the score that
it has for members and references that are not it. Two rows with equal values are one to this.

This module does not know how a row is scored.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Known"]


class Known(nn.Module):
    """Hashes of training rows, ascending, `[K]`, and their scores `[K]`; empty until it learns."""

    hashes: Tensor
    scores: Tensor

    def __init__(self, rows: int = 0) -> None:
        super().__init__()
        self.register_buffer("hashes", torch.zeros(rows, dtype=torch.long))
        self.register_buffer("scores", torch.zeros(rows, dtype=torch.float64))

    def learn(self, x: Tensor, scores: Tensor) -> None:
        """Remember rows x `[N, C]` by their scores `[N]`; of equal rows the mean of theirs."""
        hashes, place, counts = np.unique(_hashes(x), return_inverse=True, return_counts=True)
        means = np.bincount(place, weights=scores.numpy()) / counts
        self.hashes, self.scores = torch.from_numpy(hashes), torch.from_numpy(means)

    def recall(self, x: Tensor, scores: Tensor) -> Tensor:
        """Scores `[N]` of rows x, those of rows that are known in the place of what was given."""
        if not len(self.hashes):
            return scores
        hashes = torch.from_numpy(_hashes(x))
        place = torch.searchsorted(self.hashes, hashes).clamp(max=len(self.hashes) - 1)
        return torch.where(self.hashes[place] == hashes, self.scores[place], scores)


def _hashes(x: Tensor) -> NDArray[np.int64]:
    """A hash of each row: splitmix64 (Steele, Lea & Flood 2014) folded over its values' bits."""
    values = np.where(np.isnan(x.numpy()), np.nan, x.numpy() + 0.0)  # one NaN, and no -0
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
    state = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        state = (state ^ column) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state.view(np.int64)
