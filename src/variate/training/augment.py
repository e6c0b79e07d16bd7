"""Batches that are changed at random as they come: flipped, made binary, given noise.

    x' = change(x, g),        g a generator that is seeded by (seed, step, rank) alone

so that an epoch sees every item, each time in another form, and the batch of any step can be made
without those before it: what is resumed sees the batches that it would have seen.

The model learns the law of what it is given, the changed items. A change that adds what no real
item has (a rotation of digits, say) is learned as well.

This module does not know what a change does.
"""

from collections.abc import Callable
from collections.abc import Generator as Generates
from contextlib import closing
from itertools import count

import torch
from torch import Generator, Tensor

from variate.training.batches import Source
from variate.training.noise import mix

__all__ = ["AugmentedSource"]

_CHANGE = 7


class AugmentedSource:
    """A source whose batches are changed.

    Args:
        source: Where the batches come from.
        change: (x `[B, *event]`, a generator on its device) -> x of the same number of items; it
            must draw from this generator only.
    """

    def __init__(self, source: Source, change: Callable[[Tensor, Generator], Tensor]) -> None:
        self.source = source
        self.change = change

    @property
    def items(self) -> int:
        """How many items the data has."""
        return self.source.items

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `Source.batches`."""
        with closing(self.source.batches(start, size, seed, rank, world)) as stream:
            for step in count(start):
                x = next(stream)
                generator = torch.Generator(x.device)
                generator.manual_seed(mix(seed, _CHANGE, step, rank))
                yield self.change(x, generator)

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the items in the batch of `step`: see `Source.rows`."""
        return self.source.rows(step, size, seed, rank, world)
