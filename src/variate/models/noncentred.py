r"""A ladder seen as a model of one latent: the non-centred representation.

Every group of a ladder has a normal prior given the groups above it, N(m_l, s_l²) with m_l and s_l
functions of z_<l. In units of these priors

    u_l = (z_l - m_l(z_<l)) / s_l(z_<l)         z_l = m_l(z_<l) + s_l(z_<l) u_l

u = (u_1, …, u_L) is one flat code, of all groups from the top down, and under the prior exactly
standard normal, whatever the networks are (Papaspiliopoulos, Roberts & Sköld 2007). The map u <-> z
is one to one, for z_<l is known by the time that it is needed. So the ladder is the model

    p(u) = N(0, I)        p(x|u) = p(x|z(u))        q(u|x) = q(z(u)|x) |∂z/∂u|

and log |∂z/∂u| = Σ_l log s_l = log p(u) - log p(z) cancels in every weight and every divergence,

    p(u) / q(u|x) = p(z) / q(z|x)               KL(q(u|x)‖p(u)) = KL(q(z|x)‖p(z))

so that bounds and objectives may be taken from either; they are taken from the ladder's own
forward, which has a KL for each group. What speaks of codes (drawing, varying, the way between
two codes, directions) takes u, where a step of one is one prior deviation of any variable, coarse
or fine, and what it means is decided on the way down.

q(u|x) is a law with a density and exact draws. It is not diagonal: what a lower group's mean is
depends on the draws above. Its `mean` and `variance` are those along the *path of means*, on which
each group stands at its mean given the means above; decoding that code is the usual reconstruction
of a hierarchy.

This module does not know what the groups compute, nor that they hold images.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from variate.inference import Inference
from variate.models.ladder import Ladder
from variate.models.priors import StandardNormal

__all__ = ["FlatPosterior", "NonCentred"]


class NonCentred(nn.Module):
    """A ladder with an encoder, a decoder and a prior of one flat code u.

    Args:
        ladder: The hierarchy; the priors of its groups are normals with independent variables.
        shapes: The shape of each group's z, `[*latent]`, the top one first.
        block: How many items to look at at once, so that what the groups compute fits into memory.

    Attributes:
        prior: p(u), standard normal.
        sizes: How many variables each group has.
    """

    def __init__(self, ladder: Ladder, shapes: Sequence[Sequence[int]], block: int = 512) -> None:
        super().__init__()
        self.ladder = ladder
        self.shapes = tuple(tuple(shape) for shape in shapes)
        self.block = block
        self.sizes = tuple(math.prod(shape) for shape in self.shapes)
        self.prior = StandardNormal(sum(self.sizes))

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        """The ladder's own inference, a latent for each group."""
        inference: Inference = self.ladder(x, samples)
        return inference

    def encoder(self, x: Tensor) -> "FlatPosterior":
        """q(u|x), batch shape `[B]`, event shape `[D]`."""
        return FlatPosterior(self, self.ladder.encoder(x), len(x))

    def decoder(self, u: Tensor) -> Distribution:
        """p(x|u) of codes u `[S, B, D]`."""
        h = self.ladder.above(*u.shape[:2])
        for group, own in zip(self.ladder.rungs(), self.parts(u), strict=True):
            prior, h = group.prior(h)
            law = _normal(prior)
            h = group.advance(h, law.loc + law.scale * own)
        likelihood: Distribution = self.ladder.decoder(h)
        return likelihood

    @torch.no_grad()
    def generate(self, n: int, temperature: float = 1.0) -> Distribution:
        """The likelihood p(x|z) at n draws from the prior: see `Ladder.generate`."""
        return self.ladder.generate(n, temperature)

    def parts(self, u: Tensor) -> Iterator[Tensor]:
        """A code `[..., D]` group by group, `[..., *latent]` each, the top one first."""
        for own, shape in zip(u.split(self.sizes, -1), self.shapes, strict=True):
            yield own.unflatten(-1, shape)


class FlatPosterior(Distribution):
    """q(u|x) of some items: see the module.

    Args:
        model: Whose posterior it is.
        contexts: What the encoder says of the items, the top group's first.
        items: How many they are.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, model: NonCentred, contexts: Sequence[Tensor], items: int) -> None:
        self.model = model
        self.contexts = contexts
        event = Size((sum(model.sizes),))
        super().__init__(Size((items,)), event, validate_args=False)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, B, D]`."""
        drawn: list[Tensor] = []
        for prior, posterior, place in self._descent(math.prod(sample_shape)):
            place.z = posterior.rsample()
            drawn.append(((place.z - prior.loc) / prior.scale).flatten(2))
        return torch.cat(drawn, -1).reshape(*sample_shape, *self.batch_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log q(u|x) in nats, `[..., B]` for u `[..., B, D]`."""
        u = value.reshape(-1, *self.batch_shape, *self.event_shape)
        total = u.new_zeros(u.shape[:2])
        parts = self.model.parts(u)
        for prior, posterior, place in self._descent(len(u)):
            place.z = prior.loc + prior.scale * next(parts)
            density = posterior.log_prob(place.z) + prior.scale.log()
            total = total + density.flatten(2).sum(-1)
        return total.reshape(value.shape[:-1])

    @property
    def mean(self) -> Tensor:
        """The code on the path of means, `[B, D]`."""
        return self._path()[0]

    @property
    def variance(self) -> Tensor:
        """The variance of each variable given the means above it, `[B, D]`."""
        return self._path()[1].square()

    def _path(self) -> tuple[Tensor, Tensor]:
        means, scales = [], []
        for prior, posterior, place in self._descent(1):
            place.z = posterior.loc
            means.append(((posterior.loc - prior.loc) / prior.scale)[0].flatten(1))
            scales.append((posterior.scale / prior.scale)[0].flatten(1))
        return torch.cat(means, -1), torch.cat(scales, -1)

    def _descent(self, samples: int) -> Iterator[tuple[Normal, Normal, "_Place"]]:
        """Down the groups; whoever walks says at each one where it stands."""
        ladder = self.model.ladder
        h = ladder.above(samples, self.batch_shape[0])
        for group, context in zip(ladder.rungs(), self.contexts, strict=True):
            prior, h = group.prior(h)
            place = _Place()
            yield _normal(prior), _normal(group.posterior(h, context, prior)), place
            h = group.advance(h, place.z.expand(*h.shape[:2], *place.z.shape[2:]))


class _Place:
    """Where a walk down the groups stands."""

    z: Tensor


def _normal(law: Distribution) -> Normal:
    if isinstance(law, Independent) and isinstance(law.base_dist, Normal):
        return law.base_dist
    raise TypeError(
        "the non-centred representation needs groups whose laws are normals with independent "
        f"variables, but one is a {type(law).__name__}"
    )
