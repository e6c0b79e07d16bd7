r"""Posteriors: heads that turn an encoder's features into q(z|x).

    features [B, F]  ->  q(z|x),  batch shape [B],  event shape [*latent]

An encoder is any network followed by a head, `nn.Sequential(net, DiagonalGaussian(8))`. How wide
the features are is learned from the first batch (`nn.LazyLinear`), so a model is run once on a few
items before its parameters are counted, moved or optimised.

    DiagonalGaussian        z = μ + σ ε,                      ε ~ N(0, I)
    LowRankGaussian         z = μ + √d ε + W η,               η ~ N(0, I) of R dimensions
    InverseAutoregressive   z = f_K ∘ … ∘ f_1 (μ + σ ε),      each f_k autoregressive (flows)
    RelaxedCategorical      z = log softmax((l + g) / τ),     g Gumbel
    FSQ, VQ                 z = e_c(x), c a grid of codes     discrete (models.quantized)
    Delta                   z = μ                             the deterministic autoencoder

A relaxed category is held as the logarithm of a point of a simplex (models.relaxed), so the first
line of its decoder is the exponential, `Simplex()`.

This module does not know the data, the prior, nor the objective.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    Normal,
    Transform,
    TransformedDistribution,
)

from variate.distributions import gaussian
from variate.models.flows import InverseAutoregressiveTransform, autoregressive_net
from variate.models.quantized import FSQ, VQ, CodeMap
from variate.models.relaxed import RelaxedCategories, check_temperature

__all__ = [
    "FSQ",
    "VQ",
    "CodeMap",
    "Delta",
    "DiagonalGaussian",
    "InverseAutoregressive",
    "LowRankGaussian",
    "RelaxedCategorical",
    "Simplex",
]


class DiagonalGaussian(nn.Module):
    """A normal with independent dimensions (Kingma & Welling 2014).

    Args:
        latent: How many dimensions z has.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.linear = nn.LazyLinear(2 * latent)

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]`, event shape `[latent]`."""
        mean, raw = self.linear(features).chunk(2, -1)
        scale = gaussian.bounded_scale(raw)
        return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)


class LowRankGaussian(nn.Module):
    """A normal of covariance diag(σ²) + W Wᵀ, W of `rank` columns (Rezende et al. 2014).

    Args:
        latent: How many dimensions z has.
        rank: R, how many directions vary together.
    """

    def __init__(self, latent: int, rank: int) -> None:
        super().__init__()
        self.latent = latent
        self.rank = rank
        self.linear = nn.LazyLinear((2 + rank) * latent)

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]`, event shape `[latent]`."""
        mean, raw, factor = self.linear(features).split(
            [self.latent, self.latent, self.latent * self.rank], -1
        )
        return LowRankMultivariateNormal(
            mean,
            factor.unflatten(-1, (self.latent, self.rank)),
            gaussian.bounded_scale(raw).square(),
            validate_args=False,
        )


class InverseAutoregressive(nn.Module):
    """A normal bent by inverse autoregressive flows (Kingma et al. 2016).

    Drawing, and the density of its own draws, take one pass per flow; the density of any other
    point has to invert each flow, at `latent` passes.

    Args:
        latent: How many dimensions z has.
        transforms: K, how many flows; each turns the order of the dimensions around.
        hidden: The widths of each flow's network.
        context: To how many numbers the features are reduced for the flows.

    Raises:
        MissingExtraError: zuko is not installed.
    """

    def __init__(
        self, latent: int, transforms: int = 2, hidden: Sequence[int] = (64, 64), context: int = 32
    ) -> None:
        super().__init__()
        self.latent = latent
        self.transforms = transforms
        self.hidden = hidden
        self.context = context
        self.base = DiagonalGaussian(latent)
        self.linear = nn.LazyLinear(context)
        self.nets = nn.ModuleList(
            autoregressive_net(latent, context, hidden, flip=bool(k % 2)) for k in range(transforms)
        )

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]`, event shape `[latent]`."""
        context = self.linear(features)
        flows: list[Transform] = [InverseAutoregressiveTransform(net, context) for net in self.nets]
        return TransformedDistribution(self.base(features), flows, validate_args=False)


class RelaxedCategorical(nn.Module):
    """Groups of relaxed categories, held as logarithms (Maddison et al. 2017; Jang et al. 2017).

    Args:
        groups: How many categorical variables z has.
        categories: K, how many values each has; z has groups · K dimensions.
        temperature: τ; at low ones a draw is close to a single category. The papers anneal or
            choose it near 0.5, and advise at most 1 / (K - 1) for draws close to the corners.

    Raises:
        OptionError: The temperature is not positive and finite.
    """

    def __init__(self, groups: int, categories: int, temperature: float = 0.5) -> None:
        super().__init__()
        self.groups = groups
        self.categories = categories
        self.temperature = check_temperature(temperature)
        self.latent = groups * categories
        self.linear = nn.LazyLinear(self.latent)

    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) from features `[B, F]`, event shape `[groups · categories]`."""
        logits = self.linear(features).unflatten(-1, (self.groups, self.categories))
        return RelaxedCategories(logits, self.temperature)


class Simplex(nn.Module):
    """The first line of a decoder of relaxed categories: their logarithms -> numbers in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, z: Tensor) -> Tensor:
        """The coordinates of the points, `[S, B, groups · categories]` as z is."""
        return z.exp()


class Delta(nn.Module):
    """A point: the posterior of the deterministic autoencoder.

    Args:
        latent: How many dimensions z has.
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.linear = nn.LazyLinear(latent)

    def forward(self, features: Tensor) -> Distribution:
        """The point of features `[B, F]`, event shape `[latent]`."""
        return gaussian.Delta(self.linear(features), event_dims=1)
