"""Batches from data that is bigger than memory: blocks on disk, a window of them at a time.

The data is a sequence of blocks (the row groups of a Parquet file, say) of known sizes. Process r
owns a fixed share of the blocks. In each epoch its blocks are permuted, read `window` blocks at a
time, and the items inside a window are permuted again; the endless concatenation of the windows is
cut into batches, over the borders of windows and epochs. An item can so appear anywhere in an epoch
and beside any item of any block, though two items of different windows never meet in one batch
(except at a border): with a window of 8 blocks that are not sorted by anything, training cannot
tell this from a full permutation.

All of that is known from the sizes, without reading; a run that starts at step s reads nothing that
lies before it. One thread reads the next window while the present one is used, so that the memory
is that of two windows and a block.

This module does not know how a block is stored, nor what an item is.
"""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Generates
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate, count
from threading import Event
from typing import NamedTuple

import torch
from torch import Tensor

from variate.errors import DataError
from variate.training.noise import mix

__all__ = ["StreamSource"]

_BLOCKS, _ITEMS = 2, 3


class _Window(NamedTuple):
    """Blocks that are in memory together, and the order in which their items are used."""

    blocks: list[int]
    order: Tensor


class StreamSource:
    """Items in blocks that are read when they are needed.

    Args:
        blocks: Functions that each read one block `[n, *event]`. They are called in a thread,
            one at a time, in another order in every epoch.
        sizes: How many items each block has.
        window: How many blocks are shuffled together.

    Raises:
        DataError: There are no items.
        ValueError: There is not one size for each block.
    """

    def __init__(
        self, blocks: Sequence[Callable[[], Tensor]], sizes: Sequence[int], window: int = 8
    ) -> None:
        if len(blocks) != len(sizes):
            raise ValueError(f"{len(blocks)} blocks came with {len(sizes)} sizes; give each one")
        if sum(sizes) == 0:
            raise DataError("the data to stream has no items: every block is empty")
        self.blocks = blocks
        self.sizes = tuple(int(size) for size in sizes)
        self.window = window

    @property
    def items(self) -> int:
        """How many items all blocks have together."""
        return sum(self.sizes)

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `Source.batches`.

        Raises:
            DataError: There are fewer blocks than processes, or a block has another size than
                was announced.
        """
        share = size // world
        with closing(self._read(self._windows(start * share, seed, rank, world))) as parts:
            yield from _cut(parts, share)

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the items in the batch of `step`: see `Source.rows`. Reads nothing."""
        first = list(accumulate(self.sizes, initial=0))
        share = size // world
        parts = (
            (torch.cat([torch.arange(first[i], first[i + 1]) for i in window.blocks]), window.order)
            for window in self._windows(step * share, seed, rank, world)
        )
        return next(_cut(parts, share))

    def _owned(self, rank: int, world: int) -> list[int]:
        """The blocks of one process: dealt, largest first, to whoever has the fewest items."""
        shares: list[list[int]] = [[] for _ in range(world)]
        loads = [0] * world
        filled = [i for i, size in enumerate(self.sizes) if size > 0]
        for block in sorted(filled, key=lambda i: -self.sizes[i]):
            lightest = loads.index(min(loads))
            shares[lightest].append(block)
            loads[lightest] += self.sizes[block]
        if len(filled) < world:
            raise DataError(
                f"the data has {len(filled)} blocks, too few for {world} processes; "
                f"store it in at least {world} blocks (row groups) or use fewer processes"
            )
        return sorted(shares[rank])

    def _windows(self, first: int, seed: int, rank: int, world: int) -> Iterator[_Window]:
        """The windows from item `first` of the endless stream on; the first without what's past."""
        owned = self._owned(rank, world)
        per_epoch = sum(self.sizes[i] for i in owned)
        skip = first % per_epoch
        for epoch in count(first // per_epoch):
            draw = torch.Generator().manual_seed(mix(seed, _BLOCKS, epoch, rank))
            order = [owned[i] for i in torch.randperm(len(owned), generator=draw).tolist()]
            for at in range(0, len(order), self.window):
                blocks = order[at : at + self.window]
                items = sum(self.sizes[i] for i in blocks)
                if skip >= items:
                    skip -= items
                    continue
                draw = torch.Generator().manual_seed(mix(seed, _ITEMS, epoch, rank, at))
                yield _Window(blocks, torch.randperm(items, generator=draw)[skip:])
                skip = 0

    def _read(self, windows: Iterator[_Window]) -> Generates[tuple[Tensor, Tensor], None, None]:
        """The items of each window and their order, read one window ahead."""
        stop = Event()
        with ThreadPoolExecutor(1, thread_name_prefix="variate-read") as pool:
            window = next(windows)
            ahead = pool.submit(self._load, window.blocks, stop)
            try:
                for following in windows:
                    part = (ahead.result(), window.order)
                    ahead = pool.submit(self._load, following.blocks, stop)
                    window = following
                    yield part
                    del part  # let go of this window before the one after the next is read
            finally:
                stop.set()

    def _load(self, blocks: list[int], stop: Event) -> Tensor:
        items = torch.empty(0)
        filled = 0
        for i in blocks:
            if stop.is_set():
                break
            block = self.blocks[i]()
            if len(block) != self.sizes[i]:
                raise DataError(
                    f"block {i} of the data has {len(block)} items, but {self.sizes[i]} were "
                    "announced; did the file change during the run?"
                )
            if filled == 0:
                total = sum(self.sizes[j] for j in blocks)
                items = block.new_empty((total, *block.shape[1:]))
            items[filled : filled + len(block)] = block
            filled += len(block)
        return items


def _cut(parts: Iterator[tuple[Tensor, Tensor]], share: int) -> Generates[Tensor, None, None]:
    """Cut the items of all parts, each in its order, into batches of `share` items."""
    rest: list[Tensor] = []
    for items, order in parts:
        at = share - sum(len(piece) for piece in rest)
        rest.append(items.index_select(0, order[:at]))
        if at <= len(order):
            yield torch.cat(rest)
            while at + share <= len(order):
                yield items.index_select(0, order[at : at + share])
                at += share
            rest = [items.index_select(0, order[at:])]
        del items, order  # let go of them before the next part is asked for
