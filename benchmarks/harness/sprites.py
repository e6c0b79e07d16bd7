"""Sprites that five known factors make: binary images 64 x 64, dSprites-like.

    shape 3 · scale 6 · orientation 40 · horizontal place 32 · vertical place 32 = 737,280 images

The grid is that of dSprites (Matthey et al. 2017), the shapes are others. `images/
dsprites_like_base.npz` in a data folder has the 720 sprites, `base`, packed bits, and `shape`,
their shape [3, 6, 40, height, width] when unpacked; only their middle 24 columns and rows are not
empty. An image is made when it is needed, as all of them together take 3 GB.

This module does not know what is learned of them.
"""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from variate.training.batches import MemorySource

__all__ = ["CATEGORIES", "PIXELS", "SIZES", "Sprites"]

SIZES = (3, 6, 40, 32, 32)
CATEGORIES = (0,)  # the shape has no order
SIDE, PART, MARGIN = 64, 24, 4
PIXELS = SIDE * SIDE


class Sprites:
    """All images, as a source of batches x `[B, 4096]` of 0 and 1 in float32.

    Args:
        folder: The data folder.
        device: Where images are made.

    Raises:
        SystemExit: The folder has no sprites.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        file = folder / "images" / "dsprites_like_base.npz"
        if not file.exists():
            raise SystemExit(f"there is no {file}: name a folder that has it (--data)")
        with np.load(file) as opened:
            shape = tuple(opened["shape"])
            bits = np.unpackbits(opened["base"])[: int(np.prod(shape))].reshape(shape)
        edge = (shape[-1] - PART) // 2
        self.base = torch.from_numpy(bits[..., edge : edge + PART, edge : edge + PART].copy())
        self.base = self.base.to(device)
        self.numbers = MemorySource(torch.arange(int(np.prod(SIZES))))

    @property
    def items(self) -> int:
        """How many images there are."""
        return self.numbers.items

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generator[Tensor, None, None]:
        """Batches of images in random order: see `training.Source`."""
        for chosen in self.numbers.batches(start, size, seed, rank, world):
            yield self.images(np.stack(np.unravel_index(chosen.numpy(), SIZES), 1))

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the images in a batch: see `training.Source`."""
        return self.numbers.rows(step, size, seed, rank, world)

    def images(self, factors: np.ndarray) -> Tensor:
        """The images `[M, 4096]` that have the factors `[M, 5]`."""
        shape, scale, angle, x, y = torch.from_numpy(factors).to(self.base.device).unbind(1)
        made = self.base.new_zeros(len(factors), SIDE, SIDE)
        part = torch.arange(PART, device=self.base.device)
        down = (MARGIN + y[:, None] + part)[:, :, None]
        across = (MARGIN + x[:, None] + part)[:, None, :]
        item = torch.arange(len(factors), device=self.base.device)[:, None, None]
        made[item, down, across] = self.base[shape, scale, angle]
        return made.flatten(1).float()
