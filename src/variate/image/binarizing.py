"""Grey pixels made binary by chance: x ~ Bernoulli(grey / (L - 1)), anew at each step of training.

This is the dynamic binarisation of the literature (Salakhutdinov & Murray 2008; Burda et al. 2016):
the likelihood is one of binary pictures, of which there are endlessly many. With u uniform on the
whole numbers 0 … L-2, x = [u < grey] is 1 with probability grey / (L - 1), exactly.

    training    u is drawn from (seed, step), by `training.AugmentedSource`
    all else    u is drawn from (seed, the picture itself), so that a picture is binarised in the
                same way whenever and beside whichever others it comes

This module does not know the model.
"""

import zlib

import torch
from torch import Generator, Tensor

from variate.training.noise import mix

__all__ = ["binarized", "binary"]

_ITEM = 22  # a purpose of random numbers


def binary(levels: int, x: Tensor, generator: Generator) -> Tensor:
    """Grey levels x, of L, as binary ones, uint8, each by chance."""
    draws = torch.randint(
        0, levels - 1, x.shape, dtype=x.dtype, device=x.device, generator=generator
    )
    return (draws < x).to(torch.uint8)


def binarized(x: Tensor, levels: int, seed: int) -> Tensor:
    """Grey levels x `[N, C, H, W]` as binary pictures, uint8, each by its own random numbers."""
    made = torch.empty(x.shape, dtype=torch.uint8)
    for n, picture in enumerate(x):
        own = zlib.crc32(picture.numpy().tobytes())
        made[n] = binary(levels, picture, Generator().manual_seed(mix(seed, _ITEM, own)))
    return made
