r"""Residual convolutions from images to a coarser map, and back: what a grid of codes lies between.

    image [N, C, H, W]  ->  features [N, F, h, w]        (h, w) the size halved `halvings` times
    map   [N, d, h, w]  ->  features [N, F', H, W]

As in `nets.conv`: strided convolutions down with the width doubling, up to four times, sub-pixel
convolutions up, `depth` residual blocks at every size below the full one, no normalisation.

This module does not know what lies between.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from variate.nets.conv import ResidualBlock, Upsample, halved, scaled

__all__ = ["MapDecoder", "MapEncoder"]

_WIDEST = 4  # times the width of the finest maps, at most


def _widths(width: int, halvings: int) -> list[int]:
    return [width * min(2**i, _WIDEST) for i in range(halvings)]


class MapEncoder(nn.Module):
    """Raw images `[B, C, H, W]` -> features of a coarser map `[B, F, h, w]`.

    Args:
        channels: C.
        levels: How many levels a raw value may have; they are scaled to [-1, 1].
        halvings: How many times the size is halved, at least once.
        width: Of the maps at half size, doubled with each further halving, up to four times.
        depth: Residual blocks at each size below the full one.
    """

    def __init__(self, channels: int, levels: int, halvings: int, width: int, depth: int) -> None:
        super().__init__()
        self.levels = levels
        widths = _widths(width, halvings)
        scale = 1 / math.sqrt(max(1, depth * halvings))
        self.stem = nn.Conv2d(channels, widths[0], 5, stride=2, padding=2)
        layers: list[nn.Module] = []
        for i, now in enumerate(widths):
            if i:
                layers.append(nn.Conv2d(widths[i - 1], now, 3, stride=2, padding=1))
            layers += [ResidualBlock(now, scale=scale) for _ in range(depth)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Features of x `[B, C, H, W]`."""
        return F.silu(self.body(self.stem(scaled(x, self.levels, self.stem.weight))))


class MapDecoder(nn.Module):
    """A coarser map `[N, d, h, w]` -> features at full size `[N, F', H, W]`, F' half of the width.

    Args:
        inputs: d.
        size: (H, W).
        halvings: How many times the size was halved, at least once.
        width: Of the maps at half size, doubled with each further halving, up to four times.
        depth: Residual blocks at each size below the full one, which has one convolution.
    """

    def __init__(
        self, inputs: int, size: tuple[int, int], halvings: int, width: int, depth: int
    ) -> None:
        super().__init__()
        steps = halved(size, halvings)
        widths = _widths(width, halvings)
        finest = max(1, width // 2)
        scale = 1 / math.sqrt(max(1, depth * halvings))
        self.first = nn.Conv2d(inputs, widths[-1], 3, padding=1)
        layers: list[nn.Module] = []
        for i in reversed(range(halvings)):
            layers += [ResidualBlock(widths[i], scale=scale) for _ in range(depth)]
            layers.append(Upsample(widths[i], widths[i - 1] if i else finest, steps[i]))
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(finest, finest, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Features at full size."""
        h = F.silu(self.body(self.first(maps)))
        return F.silu(h + self.last(h))
