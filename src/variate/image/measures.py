r"""How close pictures are: reconstructions to their originals, drawn ones to those of training.

    PSNR = 10 log10 ((L-1)² / mean squared error)      decibels, of each picture, then the mean
    SSIM (Wang et al. 2004), by scikit-image: 1 for equal pictures

Distances between pictures are root mean squares over pixels and channels, in shares of the full
scale. A model that has learned its training pictures by heart draws pictures that are nearer to
them than other real pictures are; the two medians beside each other tell.

This module does not know any model.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.errors import MissingExtraError

__all__ = ["Nearest", "likeness", "nearest", "with_bits"]

MOST_DB = 100.0  # of equal pictures, whose PSNR is infinite
WINDOW = 7  # pixels of a side, that SSIM looks at together
BLOCK = 1 << 26  # numbers whose distances are computed at once


class Nearest(NamedTuple):
    """The nearest of other pictures: `distance` and `number` of it, `[N]` each."""

    distance: NDArray[np.float64]
    number: NDArray[np.int64]


def likeness(x: Tensor, again: Tensor, levels: int) -> dict[str, float]:
    """`psnr` and `ssim` of reconstructions `[N, C, H, W]` of pictures x, in levels.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtraError("SSIM", "scikit-image", "image") from error
    a, b = x.double().numpy(), again.double().numpy()
    squared = ((a - b) ** 2).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        psnr = np.minimum(10 * np.log10((levels - 1) ** 2 / squared), MOST_DB)
    similar = [
        structural_similarity(p, q, data_range=levels - 1, channel_axis=0, win_size=WINDOW)
        for p, q in zip(a, b, strict=True)
    ]
    return {"psnr": float(psnr.mean()), "ssim": float(np.mean(similar))}


def nearest(x: Tensor, others: Tensor, levels: int) -> Nearest:
    """For each of the pictures x `[N, C, H, W]` the nearest of others `[M, C, H, W]`."""
    flat, many = x.flatten(1).float(), others.flatten(1)
    size = max(1, BLOCK // max(1, flat.numel()))
    best = torch.full((len(flat),), torch.inf)
    number = torch.zeros(len(flat), dtype=torch.int64)
    for start in range(0, len(many), size):
        squared = torch.cdist(flat, many[start : start + size].float())
        found = squared.min(1)
        closer = found.values < best
        best = torch.where(closer, found.values, best)
        number = torch.where(closer, found.indices + start, number)
    scale = (levels - 1) * np.sqrt(flat.shape[1])
    return Nearest(best.double().numpy() / scale, number.numpy())


def with_bits(figures: dict[str, Any], numbers: int) -> dict[str, Any]:
    """Figures in nats per picture, with its bounds in bits per dimension, too.

    Args:
        figures: `log_likelihood` and `elbo`; None where there is no density.
        numbers: Of a picture: C H W.
    """
    nats = {"": figures["log_likelihood"], "elbo_": figures["elbo"]}
    return figures | {
        f"{name}bits_per_dimension": None if value is None else -value / (numbers * math.log(2))
        for name, value in nats.items()
    }
