"""Work on blocks of rows, with a thread for each.

Rows are drawn independently of each other. A block of them fits the processor's cache, and a thread
that has a block to itself need not wait for another one after every operation, as threads do that
share an operation. Each block has random numbers of its own, from a seed that torch's generator
gives, so that what is drawn does not depend on how many threads there are.

This module does not know what is done with the rows.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Generator, Tensor

__all__ = ["in_blocks", "one_thread"]

BLOCK = 8_192
ON_ACCELERATOR = 131_072  # where every operation takes a while, however few rows it has

T = TypeVar("T")


def in_blocks(
    work: Callable[[Tensor, Generator], T],
    rows: Tensor,
    done: Callable[[int], None] = lambda _: None,
) -> list[T]:
    """What `work(block, generator)` gives for blocks of some rows, in their order.

    On the CPU as many threads work as torch uses.

    Args:
        work: Must not draw but by its generator. Gradients are off.
        rows: `[M, ...]`.
        done: Is told, here and in their order, of how many rows each block was.
    """
    blocks = rows.split(BLOCK if rows.device.type == "cpu" else ON_ACCELERATOR)
    seeds = torch.randint(2**63 - 1, (len(blocks),)).tolist()

    @torch.no_grad()
    def one(block: Tensor, seed: int) -> T:
        return work(block, Generator(rows.device).manual_seed(seed))

    def told(found: Iterable[T]) -> list[T]:
        results = []
        for block, result in zip(blocks, found, strict=True):
            results.append(result)
            done(len(block))
        return results

    if rows.device.type != "cpu":
        return told(map(one, blocks, seeds))
    with one_thread() as threads:
        if min(threads, len(blocks)) == 1:
            return told(map(one, blocks, seeds))
        with ThreadPoolExecutor(min(threads, len(blocks))) as pool:
            return told(pool.map(one, blocks, seeds))


@contextmanager
def one_thread() -> Iterator[int]:
    """Operations here, and in threads that begin here, do not divide their work.

    Yields:
        Among how many threads they would.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
