r"""A network that says of each patch of an image how real it looks.

    x [N, C, H, W], raw levels  ->  c [N, h, w],  one number for each patch

Two convolutions of stride 2 and two of stride 1, so that each number sees a patch of 14 x 14 pixels
and no more (Isola et al. 2017, PatchGAN): what is judged is texture and edges; the layout of the
whole stays with the likelihood. Nothing is normalised, so the numbers of an image do not depend on
those beside it.

This module does not know which images are real.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from variate.nets.conv import scaled

__all__ = ["PatchNet"]

_SLOPE = 0.2


class PatchNet(nn.Module):
    """Raw images `[N, C, H, W]`, real numbers too -> `[N, h, w]`.

    Args:
        channels: C.
        levels: How many levels a raw value may have; they are scaled to [-1, 1].
        width: Of the first maps, doubled twice.
    """

    def __init__(self, channels: int, levels: int, width: int) -> None:
        super().__init__()
        self.levels = levels
        self.first = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 1)
        self.last = nn.Conv2d(4 * width, 1, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """How real each patch looks."""
        h = scaled(x, self.levels, self.first.weight)
        for layer in (self.first, self.second, self.third):
            h = F.leaky_relu(layer(h), _SLOPE)
        c: Tensor = self.last(h)
        return c[:, 0]
