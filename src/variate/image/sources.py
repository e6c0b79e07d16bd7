"""Batches of pictures: resident, or read from the disk as they are asked for; binarised or not.

This module does not know the model, nor how pictures came to the disk.
"""

from collections.abc import Generator as Generates
from contextlib import closing
from functools import partial

import torch
from torch import Tensor

from variate.image.binarizing import binary
from variate.training import AugmentedSource, MemorySource, Source

__all__ = ["NumberedSource", "affordable", "source_of"]

FEWEST_HELD_OUT = 100
NUMBERS_HELD_OUT = 400_000  # pixels times channels of all of them, each scored with 64 draws, twice


class NumberedSource:
    """Some of many pictures, by number, so that those on the disk stay there.

    Args:
        x: Levels `[N, C, H, W]`, in memory or on the disk.
        numbers: Which of them, `[M]`.
    """

    def __init__(self, x: Tensor, numbers: Tensor) -> None:
        self.x = x
        self._numbers = MemorySource(numbers)

    @property
    def items(self) -> int:
        """How many pictures there are."""
        return self._numbers.items

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `training.Source`."""
        with closing(self._numbers.batches(start, size, seed, rank, world)) as stream:
            for numbers in stream:
                yield self.x[numbers]

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the pictures in the batch of `step`, among those of the source."""
        return self._numbers.rows(step, size, seed, rank, world)


def affordable(
    parts: tuple[Tensor, Tensor | None, Tensor | None], x: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Fewer held-out pictures where they are large, so that scoring them takes a minute or so.

    The others go to training.

    Args:
        parts: As `preparation.split` makes them.
        x: The pictures `[N, C, H, W]`.
    """
    training, validation, held_out = parts
    if held_out is None:
        return parts
    most = max(FEWEST_HELD_OUT, NUMBERS_HELD_OUT // x[0].numel())
    return torch.cat([training, held_out[most:]]).sort().values, validation, held_out[:most]


def source_of(x: Tensor, numbers: Tensor, levels: int | None, *, large: bool) -> Tensor | Source:
    """What training takes its batches from.

    Args:
        x: Levels `[N, C, H, W]`.
        numbers: The pictures of training.
        levels: L of grey that is binarised anew in each batch; None leaves pictures as they are.
        large: Whether the pictures are not to be copied to the device.
    """
    if levels is not None:
        change = partial(binary, levels)
        plain = NumberedSource(x, numbers) if large else MemorySource(x[numbers])
        return AugmentedSource(plain, change)
    return NumberedSource(x, numbers) if large else x[numbers]
