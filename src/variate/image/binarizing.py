"""Grey pixels made binary by chance: x ~ Bernoulli(grey / (L - 1)), anew at each step of training.

This is the dynamic binarisation of the literature (Salakhutdinov & Murray 2008; Burda et al. 2016):
the likelihood is one of binary pictures, of which there are endlessly many. With u uniform on the
whole numbers 0 … L-2, x = [u < grey] is 1 with probability grey / (L - 1), exactly.

    training    u is drawn from (seed, step), by the source of batches
    all else    u is drawn from (seed, the picture itself), so that a picture is binarised in the
                same way whenever and beside whichever others it comes

The source also streams pictures that lie on the disk, binary or not.

This module does not know the model.
"""

import zlib
from collections.abc import Generator as Generates
from contextlib import closing
from itertools import count

import torch
from torch import Tensor

from variate.training import MemorySource
from variate.training.noise import mix

__all__ = ["PixelSource", "binarized"]

_PIXELS, _ITEM = 21, 22  # purposes of random numbers


class PixelSource:
    """Batches of pictures, binarised anew in each if that is wanted.

    Args:
        x: Levels `[N, C, H, W]`, in memory or on the disk.
        numbers: Which of them, `[M]`.
        levels: L of grey that is binarised; None leaves the pictures as they are.
    """

    def __init__(self, x: Tensor, numbers: Tensor, levels: int | None) -> None:
        self.x = x
        self.levels = levels
        self._numbers = MemorySource(numbers)

    @property
    def items(self) -> int:
        """How many pictures there are."""
        return self._numbers.items

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `training.Source`."""
        share = size // world
        with closing(self._numbers.batches(start, size, seed, rank, world)) as stream:
            for step, numbers in zip(count(start), stream, strict=False):
                batch = self.x[numbers]
                if self.levels is None:
                    yield batch
                    continue
                generator = torch.Generator().manual_seed(mix(seed, _PIXELS, step))
                shape = torch.Size((size, *batch.shape[1:]))
                draws = _draws(shape, self.levels, batch.dtype, generator)
                yield (draws[rank * share : (rank + 1) * share] < batch).to(torch.uint8)

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the pictures in the batch of `step`."""
        return self._numbers.rows(step, size, seed, rank, world)


def binarized(x: Tensor, levels: int, seed: int) -> Tensor:
    """Grey levels x `[N, C, H, W]` as binary pictures, uint8, each by its own random numbers."""
    made = torch.empty(x.shape, dtype=torch.uint8)
    for n, picture in enumerate(x):
        own = zlib.crc32(picture.numpy().tobytes())
        generator = torch.Generator().manual_seed(mix(seed, _ITEM, own))
        made[n] = _draws(picture.shape, levels, picture.dtype, generator) < picture
    return made


def _draws(
    shape: torch.Size, levels: int, dtype: torch.dtype, generator: torch.Generator
) -> Tensor:
    """Whole numbers 0 … L-2, equally likely."""
    return torch.randint(0, levels - 1, shape, dtype=dtype, generator=generator)
