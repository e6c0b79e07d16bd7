r"""Residual convolutions: images to features, codes to feature maps.

    block      h <- h + a · conv(silu(conv(silu(h))))        widths F, F/2, F;  a = 1/√blocks

The encoder scales raw levels to [-1, 1] in its first line, halves the size by convolutions of
stride 2, the width doubling with each but the first, until a side would be below 5, and has
`depth` blocks at every size but the full one. The decoder mirrors it, doubling the size by 1×1
convolutions whose outputs are laid out in space (Shi et al. 2016).

There is no normalisation, so an item's features do not depend on the items beside it; the last
convolution of a block starts smaller by 1/√blocks, so that their sum keeps the size of what comes
in however many there are (Child 2021, VDVAE). A side that is not divisible is rounded up on the
way down and cut on the way up. All is of channels-last and channels-first memory alike: move a
network by `.to(memory_format=torch.channels_last)` where that is faster, as it is on GPUs.

This module does not know what the features mean.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from variate.errors import OptionError

__all__ = ["ConvDecoder", "ConvEncoder", "ResidualBlock", "Upsample", "halved", "scaled", "sizes"]

_SMALLEST = 8  # the least side of an image
_COARSEST = 8  # sides are halved until one is no larger
_WIDEST = 4  # times the width of the finest maps, at most


def scaled(x: Tensor, levels: int, like: Tensor) -> Tensor:
    """Raw levels 0, …, levels - 1 as numbers in [-1, 1], of the type of `like`."""
    return x.to(like.dtype) * (2 / (levels - 1)) - 1


def sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """The sizes (H, W) from the full one down, each half of the one before, rounded up.

    Raises:
        OptionError: A side is below 8.
    """
    height, width = size
    if min(height, width) < _SMALLEST:
        raise OptionError(
            f"an image must be at least {_SMALLEST}x{_SMALLEST} pixels, but is {height}x{width}; "
            "make it larger, or take a perceptron (nets.MLP) for images as small as this"
        )
    times = 1
    while min(halved(size, times)[-1]) > _COARSEST:
        times += 1
    return halved(size, times)


def halved(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """The size (H, W), and so many halves of it, rounded up."""
    found = [size]
    for _ in range(times):
        height, width = found[-1]
        found.append(((height + 1) // 2, (width + 1) // 2))
    return found


def _widths(width: int, count: int) -> list[int]:
    """The widths of the maps at each size below the full one."""
    return [width * min(2**i, _WIDEST) for i in range(count)]


class ResidualBlock(nn.Module):
    """h + a · conv(silu(conv(silu(h)))), `[N, F, H, W]` -> the same.

    Args:
        width: F.
        inner: The width in between; None for F/2.
        scale: a, by which the last convolution's weights start smaller.
    """

    def __init__(self, width: int, inner: int | None = None, scale: float = 1.0) -> None:
        super().__init__()
        inner = max(1, width // 2) if inner is None else inner
        self.first = nn.Conv2d(width, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, width, 3, padding=1)
        self.second.weight.data.mul_(scale)
        self.second.bias.data.zero_()  # type: ignore[union-attr]

    def forward(self, h: Tensor) -> Tensor:
        """The maps, a step further."""
        step: Tensor = self.second(F.silu(self.first(F.silu(h))))
        return h + step


class Upsample(nn.Module):
    """Maps of twice the size, cut to a given one: `[N, F, h, w]` -> `[N, outputs, H, W]`.

    Args:
        inputs: F.
        outputs: The width of the larger maps.
        size: (H, W), at most (2h, 2w).
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)
        self.size = size

    def forward(self, h: Tensor) -> Tensor:
        """The larger maps."""
        height, width = self.size
        return F.pixel_shuffle(self.conv(h), 2)[..., :height, :width]


class ConvEncoder(nn.Module):
    """Raw images `[B, C, H, W]` -> features `[B, F]`.

    Args:
        channels: C.
        size: (H, W), 8 or more each.
        levels: How many levels a raw value may have; they are scaled to [-1, 1].
        width: Of the maps at half size, doubled with each further halving, up to four times.
        depth: Residual blocks at each size below the full one.

    Raises:
        OptionError: A side is below 8.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        levels: int = 256,
        width: int = 32,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.levels = levels
        count = len(sizes(size)) - 1
        widths = _widths(width, count)
        scale = 1 / math.sqrt(max(1, depth * count))
        self.stem = nn.Conv2d(channels, widths[0], 5, stride=2, padding=2)
        layers: list[nn.Module] = []
        for i, now in enumerate(widths):
            if i:
                layers.append(nn.Conv2d(widths[i - 1], now, 3, stride=2, padding=1))
            layers += [ResidualBlock(now, scale=scale) for _ in range(depth)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Features of x `[B, C, H, W]`, `[B, F]`."""
        h = self.stem(scaled(x, self.levels, self.stem.weight))
        return F.silu(self.body(h)).flatten(1)


class ConvDecoder(nn.Module):
    """Codes `[S, B, D]` -> feature maps `[S, B, F, H, W]`, F half of the width.

    Args:
        latent: D.
        size: (H, W), 8 or more each.
        width: Of the maps at half size, doubled with each further halving, up to four times.
        depth: Residual blocks at each size below the full one, which has one convolution.

    Raises:
        OptionError: A side is below 8.
    """

    def __init__(self, latent: int, size: tuple[int, int], width: int = 32, depth: int = 1) -> None:
        super().__init__()
        levels = sizes(size)
        widths = _widths(width, len(levels) - 1)
        finest = max(1, width // 2)
        scale = 1 / math.sqrt(max(1, depth * len(widths)))
        self.shape = (widths[-1], *levels[-1])
        self.linear = nn.Linear(latent, math.prod(self.shape))
        layers: list[nn.Module] = []
        for i in reversed(range(len(widths))):
            layers += [ResidualBlock(widths[i], scale=scale) for _ in range(depth)]
            layers.append(Upsample(widths[i], widths[i - 1] if i else finest, levels[i]))
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(finest, finest, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Feature maps of z `[S, B, D]`, `[S, B, F, H, W]`."""
        h = self.linear(z.flatten(0, 1)).unflatten(-1, self.shape)
        h = F.silu(self.body(h))
        return F.silu(h + self.last(h)).unflatten(0, z.shape[:2])
