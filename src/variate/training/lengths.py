r"""Batches of items that are about equally long, without the places that all of them leave empty.

Each epoch is its own permutation π_e of the items, as in `batches`. It is cut into stretches of 64
batches; within a stretch the items are put in the order of their lengths and cut into batches of B,
and the batches are put in an order that is drawn again. So every item is still seen once per epoch,
a batch's items are a fair draw among those of their length, and a batch is as wide as its longest
item (rounded up to a multiple of 4), not as the longest of all.

The batch of any step is made without those before it: it is a function of the seed and the step.

This module does not know what is at the places, only how many of them an item uses.
"""

from collections.abc import Generator as Generates
from itertools import count

import torch
from torch import Tensor

from variate.training.noise import mix

__all__ = ["LengthSource"]

_STRETCH = 64  # batches that are sorted together
_WIDE = 4  # widths are multiples of it
_ORDER = 8


class LengthSource:
    """Items in memory that use some of their places.

    Args:
        data: x `[N, T, ...]`.
        lengths: How many places of each item are used, `[N]`; what is behind may be cut off.
    """

    def __init__(self, data: Tensor, lengths: Tensor) -> None:
        self.data = data
        self.lengths = lengths.cpu()

    @property
    def items(self) -> int:
        """How many items the data has."""
        return len(self.data)

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `Source.batches`."""
        known: dict[int, Tensor] = {}
        for step in count(start):
            rows = self._rows(step, size, seed, rank, world, known)
            longest = int(self.lengths[rows].max())
            width = min(-(-longest // _WIDE) * _WIDE, self.data.shape[1])
            yield self.data[rows.to(self.data.device), :width]

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the items in the batch of `step`: see `Source.rows`."""
        return self._rows(step, size, seed, rank, world, {})

    def _rows(
        self, step: int, size: int, seed: int, rank: int, world: int, known: dict[int, Tensor]
    ) -> Tensor:
        first, last = step * size, (step + 1) * size
        epochs = range(first // self.items, (last - 1) // self.items + 1)
        for epoch in [epoch for epoch in known if epoch not in epochs]:
            del known[epoch]
        pieces = []
        for epoch in epochs:
            if epoch not in known:
                known[epoch] = self._order(epoch, size, seed)
            begin = epoch * self.items
            pieces.append(known[epoch][max(first - begin, 0) : max(last - begin, 0)])
        share = size // world
        return torch.cat(pieces)[rank * share : (rank + 1) * share]

    def _order(self, epoch: int, size: int, seed: int) -> Tensor:
        """The items of an epoch in their order; batches begin where those of the run do."""
        generator = torch.Generator().manual_seed(mix(seed, _ORDER, epoch))
        order = torch.randperm(self.items, generator=generator)
        begun = -epoch * self.items % size  # what is left of the batch that the epoch before began
        pieces, stretch = [order[:begun]], _STRETCH * size
        for part in order[begun:].split(stretch):
            batches = part[self.lengths[part].argsort(stable=True)].split(size)
            whole = len(batches) - (len(batches[-1]) < size)
            turns = torch.randperm(whole, generator=generator).tolist()
            pieces += [batches[turn] for turn in turns] + list(batches[whole:])
        return torch.cat(pieces)
