r"""Pixels: heads that turn a decoder's feature maps into p(x|z) of images.

    features [S, B, F, H, W]  ->  p(x|z),  batch shape [S, B],  event shape [C, H, W]

Each head is one 1×1 convolution to the parameters r of every pixel, any real numbers, and the map
from them to a proper, normalised distribution over the raw levels x in {0, …, L-1}:

    BernoulliPixels             logit p = r                              masses, L = 2
    LogisticMixturePixels       μ = m + u r_1, s = u scale(r_2),         masses
                                α = tanh r_3, w = softmax r_4
    CategoricalPixels           log p_k = r_k - logsumexp r              masses
    ContinuousBernoulliPixels   logit λ = r, of x / (L-1)                density per level
    GaussianPixels              μ = m + u r, σ = u · scale               density per level

with m = u = (L-1)/2, so that r is of the size of one. The logistics start spread over the levels,
and their scale is never below 1/16 of a level, where a level at the centre has all of the mass but
0.0007. A density is stated per level; it is not comparable with a mass, since real data on a grid
let it grow without bound as its scale shrinks.

This module does not know the network before the head.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from variate.distributions.continuous import ContinuousBernoulli
from variate.distributions.gaussian import bounded_scale
from variate.distributions.pixels import Bits, DiscretisedLogisticMixture, Labels, Rescaled
from variate.errors import OptionError
from variate.models.likelihoods import FixedScale, LearnedScale, OptimalScale

__all__ = [
    "BernoulliPixels",
    "CategoricalPixels",
    "ContinuousBernoulliPixels",
    "GaussianPixels",
    "LogisticMixturePixels",
]

_FLOOR = 1 / 16  # of a level: the least scale of a logistic
_NARROW = -1.5  # where the raw scale starts: 0.2 u


class _Maps(nn.Module):
    """Features `[S, B, F, H, W]` -> raw parameters `[S, B, maps, H, W]`, never below float32."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.conv = nn.LazyConv2d(maps, 1)

    def forward(self, features: Tensor) -> Tensor:
        maps = features.flatten(0, 1)
        if isinstance(self.conv, nn.LazyConv2d):
            self.conv(maps[:1])  # takes F from it
        # a batched product, not a convolution: a map of each parameter then lies in one piece in
        # either layout of the features, and what follows is done map by map
        weight = self.conv.weight.flatten(1).expand(len(maps), -1, -1)
        bias = self.conv.bias.unsqueeze(-1).expand(len(maps), -1, 1)
        raw = torch.baddbmm(bias, weight, maps.flatten(2))
        raw = raw.unflatten(-1, maps.shape[-2:]).unflatten(0, features.shape[:2])
        return raw.to(torch.promote_types(raw.dtype, torch.float32))


def _sizes(channels: int, levels: int) -> tuple[int, int]:
    if channels < 1 or channels != int(channels):
        raise OptionError(f"channels must be a positive whole number, but is {channels!r}")
    if not 2 <= levels <= 2**16 or levels != int(levels):
        raise OptionError(f"levels must be a whole number from 2 to 65536, but is {levels!r}")
    return int(channels), int(levels)


def _image(pixels: Distribution) -> Distribution:
    return Independent(pixels, 3, validate_args=False)


class BernoulliPixels(nn.Module):
    """Binary pixels, x in {0, 1}; grey values belong to `LogisticMixturePixels`.

    Args:
        channels: C.
        levels: 2.

    Raises:
        OptionError: There are more levels than two.
    """

    def __init__(self, channels: int, levels: int = 2) -> None:
        super().__init__()
        self.channels, self.levels = _sizes(channels, levels)
        if levels != 2:
            raise OptionError(
                f"BernoulliPixels is for binary pixels, but levels={levels}: a Bernoulli of grey "
                "values is no likelihood. Use LogisticMixturePixels or ContinuousBernoulliPixels"
            )
        self.raw = _Maps(channels)

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) from features `[S, B, F, H, W]`."""
        return _image(Bits(self.raw(features), validate_args=False))


class LogisticMixturePixels(nn.Module):
    """Grey or colour levels: a mixture of discretised logistics, channel after channel.

    Reference: Salimans et al. 2017, PixelCNN++.

    Args:
        channels: C.
        levels: L.
        components: K, how many logistics; with one it is the cheap, single discretised logistic.

    Raises:
        OptionError: A number is not a positive whole one, or the levels are not 2 to 65536.
    """

    start: Tensor

    def __init__(self, channels: int, levels: int = 256, components: int = 10) -> None:
        super().__init__()
        self.channels, self.levels = _sizes(channels, levels)
        if components < 1 or components != int(components):
            raise OptionError(f"components must be a positive whole number, but is {components!r}")
        self.components = int(components)
        self.split = (
            self.components,
            self.components * channels,
            self.components * channels,
            self.components * (channels * (channels - 1) // 2),
        )
        self.raw = _Maps(sum(self.split))
        spread = torch.arange(1, components + 1) * 2 / (components + 1) - 1
        self.register_buffer("start", spread.reshape(-1, 1, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) from features `[S, B, F, H, W]`."""
        logits, location, scale, slopes = self.raw(features).split(self.split, -3)
        groups = (self.components, -1)
        unit = (self.levels - 1) / 2
        location = location.unflatten(-3, groups)
        floor = _FLOOR / unit
        return DiscretisedLogisticMixture(
            logits,
            unit + unit * (location + self.start.to(location.dtype)),
            unit * bounded_scale(scale.unflatten(-3, groups) + _NARROW, floor),
            self.levels,
            slopes.unflatten(-3, groups).tanh() if self.channels > 1 else None,
            validate_args=False,
        )


class CategoricalPixels(nn.Module):
    """Levels as labels without an order; its parameters are `levels` for each channel and pixel.

    Args:
        channels: C.
        levels: L.

    Raises:
        OptionError: A number is not a positive whole one, or the levels are not 2 to 65536.
    """

    def __init__(self, channels: int, levels: int = 256) -> None:
        super().__init__()
        self.channels, self.levels = _sizes(channels, levels)
        self.raw = _Maps(channels * levels)

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) from features `[S, B, F, H, W]`."""
        logits = self.raw(features).unflatten(-3, (self.channels, self.levels)).movedim(-3, -1)
        return _image(Labels(logits=logits, validate_args=False))


class ContinuousBernoulliPixels(nn.Module):
    """Grey levels as shares of the highest, x/(L-1) in [0, 1], with the normaliser that they need.

    Reference: Loaiza-Ganem & Cunningham 2019.

    Args:
        channels: C.
        levels: L.

    Raises:
        OptionError: A number is not a positive whole one, or the levels are not 2 to 65536.
    """

    def __init__(self, channels: int, levels: int = 256) -> None:
        super().__init__()
        self.channels, self.levels = _sizes(channels, levels)
        self.raw = _Maps(channels)

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) from features `[S, B, F, H, W]`, a density per level."""
        shares = ContinuousBernoulli(self.raw(features), validate_args=False)
        top = float(self.levels - 1)
        return _image(Rescaled(shares, 0.0, top, (0.0, top), validate_args=False))


class GaussianPixels(nn.Module):
    """Levels as real numbers, normal about a mean.

    Args:
        channels: C.
        levels: L: the unit of mean and scale is (L-1)/2.
        scale: `likelihoods.LearnedScale()` (the default), `FixedScale(σ)` or `OptimalScale()`, in
            units of (L-1)/2.

    Raises:
        OptionError: A number is not a positive whole one, or the levels are not 2 to 65536.
    """

    def __init__(
        self,
        channels: int,
        levels: int = 256,
        scale: FixedScale | LearnedScale | OptimalScale | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.levels = _sizes(channels, levels)
        self.scale = LearnedScale() if scale is None else scale
        self.raw = _Maps(channels * (1 + self.scale.needs))

    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) from features `[S, B, F, H, W]`, a density per level."""
        normal = self.scale(*self.raw(features).split(self.channels, -3))
        unit = (self.levels - 1) / 2
        return _image(Rescaled(normal, unit, unit, validate_args=False))
