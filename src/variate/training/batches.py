"""Where the batches come from: the batch of a step is a function of the seed and the step.

Let π_e be the permutation of the N items in epoch e, drawn from (seed, e) alone. The run sees the
endless concatenation π_0, π_1, π_2, …; the batch of step s is its items

    [s·B, (s + 1)·B)

so every batch has B items, every item is seen once per epoch, and the batch of any step can be made
without making those before it. With W processes rank r takes the r-th of W equal slices of the
batch, so that the processes together see what one process would.

This module does not know what an item is: x `[N, *event]` stays in the dtype it came in.
"""

from collections.abc import Generator as Generates
from contextlib import closing
from itertools import count
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from variate.training.noise import mix

__all__ = ["Feed", "MemorySource", "Source"]

_ORDER = 1


@runtime_checkable
class Source(Protocol):
    """An endless stream of batches that can be entered at any step."""

    @property
    def items(self) -> int:
        """How many items the data has."""
        ...

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …, without end, for one of `world` processes.

        Args:
            start: The first step.
            size: Items of a batch over all processes, a multiple of `world`; each batch
                that comes is `[size / world, *event]`.
            seed: What the order of the items is drawn from.
            rank: Which process.
            world: How many processes.
        """
        ...

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the items in the batch of `step`, `[size / world]` int64 on the CPU."""
        ...


class MemorySource:
    """Items that are all in memory, on the CPU or on the device.

    Args:
        data: x `[N, *event]`.
    """

    def __init__(self, data: Tensor) -> None:
        self.data = data

    @property
    def items(self) -> int:
        """How many items the data has."""
        return len(self.data)

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `Source.batches`."""
        orders: dict[int, Tensor] = {}
        for step in count(start):
            epochs = self._epochs(step, size)
            if any(epoch not in orders for epoch in epochs):
                orders = {
                    epoch: orders[epoch] if epoch in orders else self._order(epoch, seed)
                    for epoch in epochs
                }
            yield self.data.index_select(0, self._cut(step, size, rank, world, orders))

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the items in the batch of `step`: see `Source.rows`."""
        orders = {epoch: self._order(epoch, seed) for epoch in self._epochs(step, size)}
        return self._cut(step, size, rank, world, orders).cpu()

    def _epochs(self, step: int, size: int) -> range:
        return range(step * size // self.items, ((step + 1) * size - 1) // self.items + 1)

    def _order(self, epoch: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(mix(seed, _ORDER, epoch))
        return torch.randperm(self.items, generator=generator).to(self.data.device)

    def _cut(
        self, step: int, size: int, rank: int, world: int, orders: dict[int, Tensor]
    ) -> Tensor:
        share = size // world
        first = step * size + rank * share
        pieces = []
        for epoch, order in orders.items():
            a = max(first - epoch * self.items, 0)
            b = min(first + share - epoch * self.items, self.items)
            if a < b:
                pieces.append(order[a:b])
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


class Feed:
    """The batches of one process: a source, and what its order depends on.

    Args:
        source: The data.
        size: Items per step, over all processes.
        seed: What the order of the items is drawn from.
        rank: Which process.
        world: How many processes.
    """

    def __init__(self, source: Source, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.items = source.items
        self.size = size
        self.seed = seed
        self._source = source
        self._who = (rank, world)

    def batches(self, start: int) -> Generates[Tensor, None, None]:
        """The batches from step `start` on."""
        return self._source.batches(start, self.size, self.seed, *self._who)

    def batch(self, step: int) -> Tensor:
        """The batch of one step."""
        with closing(self.batches(step)) as stream:
            return next(stream)

    def rows(self, step: int) -> Tensor:
        """The numbers of the items in the batch of one step."""
        return self._source.rows(step, self.size, self.seed, *self._who)

    def sample(self, most: int) -> Tensor:
        """At most so many of the items, the same in every process."""
        with closing(self._source.batches(0, min(most, self.items), self.seed)) as stream:
            return next(stream)
