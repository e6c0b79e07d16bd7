r"""Groups of convolutions: a ladder for images.

    h [S, B, F, h, w]     one width F at all sizes; sizes are halves of the image's

The encoder is residual convolutions down from the image; every group of a size is given the last
maps of that size. A group is (Child 2021, with the posterior of Vahdat & Kautz 2020)

    m, r, Δh = net(h)                p(z|h)    = N(m, s²),        s = scale(r)
    δ, ρ     = net(h, e)             q(z|h, x) = N(m + s δ, (s σ)²),  σ = scale(ρ)
    h       <- h + Δh + a A z;       h <- h + a block(h)

so that in units of the prior KL(q‖p) = ½ Σ [δ² + σ² - 1 - log σ²], whatever its scale, and zero
for a network whose output is zero. What a group adds to h starts smaller by a = 1/√L, so that the
sum over groups keeps the size of what comes in however many there are. The maps are doubled in
size in front of the first group of each size, and behind the last one up to the image's own.

This module does not know which likelihood the head gives.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from variate.distributions import bounded_scale
from variate.errors import OptionError
from variate.models.ladder import Ladder, Start
from variate.nets.conv import ResidualBlock, Upsample, halved, scaled, sizes

__all__ = ["ConvContexts", "ConvFinish", "ConvGroup", "image_ladder", "shapes_of"]

_ONE = math.log(math.e - 1)  # the raw scale of a scale of one
_QUIET = 0.1  # what the networks of priors and posteriors start smaller by


def image_ladder(
    channels: int,
    size: tuple[int, int],
    likelihood: nn.Module,
    *,
    levels: int = 256,
    width: int = 32,
    latent: int = 8,
    groups: Sequence[int] | None = None,
    checkpointing: bool = False,
) -> Ladder:
    """A ladder of convolutions over images.

    Args:
        channels: C.
        size: (H, W), 8 or more each.
        likelihood: A head of `models.pixels`, feature maps -> p(x|z).
        levels: How many levels a raw value may have.
        width: F, of all maps.
        latent: Channels of the latent maps of each group.
        groups: How many groups there are at the full size, at half of it, a quarter, …; the last
            number is not zero. None for none at the full size and three at each other, down to
            sides of 8 or less.
        checkpointing: Whether the groups' insides are computed again on the way back.

    Raises:
        OptionError: A side is below 8, or the groups are not counts that end above zero.
    """
    counts = _counts(size, groups)
    steps = halved(size, len(counts) - 1)
    encoder = ConvContexts(channels, counts, levels, width)
    rungs: list[nn.Module] = []
    for i in reversed(range(len(counts))):
        for k in range(counts[i]):
            grow = None if k or i == len(counts) - 1 else _missed(steps, counts, i)
            rungs.append(ConvGroup(width, latent, grow, 1 / math.sqrt(sum(counts))))
    finest = next(i for i, count in enumerate(counts) if count)
    finish = ConvFinish(width, steps[:finest][::-1])
    start = Start((width, *steps[-1]))
    decoder = nn.Sequential(finish, likelihood)
    return Ladder(encoder, start, rungs, decoder, checkpointing=checkpointing)


def shapes_of(
    size: tuple[int, int], groups: Sequence[int] | None = None, latent: int = 8
) -> list[tuple[int, int, int]]:
    """The shape of z `[latent, h, w]` of each group of such a ladder, the top one first.

    Raises:
        OptionError: As for `image_ladder`.
    """
    counts = _counts(size, groups)
    steps = halved(size, len(counts) - 1)
    found = ([(latent, *step)] * count for step, count in zip(steps, counts, strict=True))
    return [shape for shapes in reversed(list(found)) for shape in shapes]


def _counts(size: tuple[int, int], groups: Sequence[int] | None) -> tuple[int, ...]:
    if groups is None:
        return (0, *[3] * (len(sizes(size)) - 1))
    sizes(size)
    counts = tuple(groups)
    if not counts or any(n < 0 or n != int(n) for n in counts) or not counts[-1]:
        raise OptionError(
            "groups must be how many groups of latents there are at the full size, at half of it "
            f"and so on, the last of them above zero, but is {groups!r}"
        )
    return counts


def _missed(
    steps: Sequence[tuple[int, int]], counts: Sequence[int], i: int
) -> list[tuple[int, int]]:
    """The sizes to grow through from the next coarser one that has groups, down to size i."""
    above = next(j for j in range(i + 1, len(counts)) if counts[j])
    return [steps[j] for j in reversed(range(i, above))]


def _over(net: nn.Module, h: Tensor) -> Tensor:
    """A network of maps `[N, F, h, w]`, applied to `[S, B, F, h, w]`."""
    maps: Tensor = net(h.flatten(0, 1))
    return maps.unflatten(0, h.shape[:2])


def _wide(raw: Tensor) -> Tensor:
    """Never below float32: what follows are densities."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def _conv(inputs: int, outputs: int, kernel: int = 3, scale: float = 1.0) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    conv.weight.data.mul_(scale)
    if scale != 1.0 and conv.bias is not None:
        conv.bias.data.zero_()
    return conv


class ConvContexts(nn.Module):
    """Raw images `[B, C, H, W]` -> a context `[B, F, h, w]` for each group, the top one first.

    Args:
        channels: C.
        groups: How many groups there are at each size, from the full one down.
        levels: How many levels a raw value may have; they are scaled to [-1, 1].
        width: F.
    """

    def __init__(
        self,
        channels: int,
        groups: Sequence[int],
        levels: int = 256,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.groups = tuple(groups)
        halves = len(groups) > 1 and groups[0] == 0  # nothing at the full size: skip it
        self.stem = nn.Conv2d(channels, width, 5, stride=2 if halves else 1, padding=2)
        scale = 1 / math.sqrt(sum(groups))
        stages: list[nn.Module] = []
        for i in range(int(halves), len(groups)):
            layers: list[nn.Module] = [ResidualBlock(width, scale=scale) for _ in range(groups[i])]
            if i > int(halves):
                layers.insert(0, nn.Conv2d(width, width, 3, stride=2, padding=1))
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The contexts of x `[B, C, H, W]`."""
        h = self.stem(scaled(x, self.levels, self.stem.weight))
        contexts: list[Tensor] = []
        for stage, count in zip(self.stages, self.groups[-len(self.stages) :], strict=True):
            h = stage(h)
            contexts += [F.silu(h)] * count
        return contexts[::-1]


class ConvGroup(nn.Module):
    """A group of latent maps: see `ladder.Group`.

    Args:
        width: F.
        latent: Channels of z.
        grow: The sizes through which the state is doubled before the group; None to leave it.
        scale: What the group adds to the state starts smaller by this.
    """

    def __init__(
        self, width: int, latent: int, grow: Sequence[tuple[int, int]] | None, scale: float
    ) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.latent = latent
        self.width = width
        self.grow = nn.Sequential(*(Upsample(width, width, size) for size in grow or ()))
        self.prior_first = _conv(width, inner)
        self.prior_law = _conv(inner, 2 * latent, 1, _QUIET)
        self.prior_step = _conv(inner, width, 1, scale)
        self.posterior_state = _conv(width, inner)
        self.posterior_context = _conv(width, inner)
        self.posterior_law = _conv(inner, 2 * latent, 1, _QUIET)
        self.mix = _conv(latent, width, 1, scale)
        self.block = ResidualBlock(width, scale=scale)

    def prior(self, h: Tensor) -> tuple[Distribution, Tensor]:
        """p(z|h), and the state that goes on, both `[S, B, …]`."""
        if len(self.grow):
            h = _over(self.grow, h)
        inside = F.silu(_over(self.prior_first, F.silu(h)))
        mean, raw = _wide(_over(self.prior_law, inside)).chunk(2, -3)
        prior = Normal(mean, bounded_scale(raw + _ONE), validate_args=False)
        # the layout in memory is that of the first term: the convolution's
        return Independent(prior, 3, validate_args=False), _over(self.prior_step, inside) + h

    def posterior(self, h: Tensor, context: Tensor, prior: Distribution) -> Distribution:
        """q(z|h, x) from the state `[S, B, F, h, w]` and the context `[B, F, h, w]`."""
        seen = _over(self.posterior_state, F.silu(h)) + self.posterior_context(context)
        shift, raw = _wide(_over(self.posterior_law, F.silu(seen))).chunk(2, -3)
        base: Normal = prior.base_dist  # type: ignore[attr-defined]
        mean = base.loc + base.scale * shift
        scale = base.scale * bounded_scale(raw + _ONE)
        return Independent(Normal(mean, scale, validate_args=False), 3, validate_args=False)

    def advance(self, h: Tensor, z: Tensor) -> Tensor:
        """The state after z `[S, B, latent, h, w]`."""
        return _over(self.block, h + _over(self.mix, z))


class ConvFinish(nn.Module):
    """The last state `[S, B, F, h, w]` -> feature maps of the image's size.

    Args:
        width: F.
        grow: The sizes through which the maps are doubled; empty where they are full already.
    """

    def __init__(self, width: int, grow: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        finest = max(1, width // 2) if grow else width
        outputs = [width] * (len(grow) - 1) + [finest] if grow else []
        self.grow = nn.Sequential(
            *(Upsample(width, out, size) for out, size in zip(outputs, grow, strict=True))
        )
        self.last = nn.Conv2d(finest, finest, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Feature maps `[S, B, F′, H, W]`, F′ half of F where the maps were grown."""
        h = F.silu(_over(self.grow, h)) if len(self.grow) else F.silu(h)
        return F.silu(h + _over(self.last, h))
