r"""The records that everyone shares, and the convention of shapes.

A latent-variable model ties data x to a latent z by three distributions

    p(z)  prior        q(z|x)  posterior        p(x|z)  likelihood

and every quantity of interest is made of three log-densities. With S draws z_s ~ q(z|x)

    log w_s = log p(x|z_s) + log p(z_s) - log q(z_s|x)          the log importance weight
    ELBO    = mean_s log w_s                 <=  log p(x)       (Kingma & Welling 2014)
    IW_S    = logsumexp_s log w_s - log S    <=  log p(x)       (Burda et al. 2016)

Shapes, without exception, for B items and S posterior draws:

    x          [B, *event]
    z          [S, B, *latent]      S is always present
    log p, KL  [S, B]               natural log, summed over an item's dimensions

so the posterior has batch shape [B], the prior [] (or [B]) and the likelihood [S, B]. In a
hierarchy z_1, …, z_L the laws of a lower group are given the draws of those above it,

    p(z) = Π_l p(z_l | z_<l)        q(z|x) = Π_l q(z_l | z_<l, x)

and have batch shape [S, B]: one law for each draw. KL(q‖p) is then Σ_l E KL(q_l‖p_l), the mean
over the draws of the groups above.
An objective is a mean over S or a logsumexp over S, then a mean over B; nothing else is reduced.

This module does not know how a distribution was parameterised, nor what is maximised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

__all__ = ["Inference", "Latent", "LatentModel", "Loss", "Moment", "Objective", "rsample"]


@dataclass(frozen=True)
class Latent:
    """One group of latent variables: S draws, where they came from and where they should go.

    Attributes:
        z: The draws, `[S, B, *latent]`.
        posterior: q(z|x), batch shape `[B]`; `[S, B]` if it is given the draws of other groups.
        prior: p(z), batch shape `[]`, `[B]` or `[S, B]`.
        penalty: An extra cost in nats per item, `[B]` (a commitment cost, say), or None.
    """

    z: Tensor
    posterior: Distribution
    prior: Distribution
    penalty: Tensor | None = None

    def log_q(self) -> Tensor:
        """Log q(z|x) of the draws, `[S, B]`."""
        return self.posterior.log_prob(self.z)

    def log_p(self) -> Tensor:
        """Log p(z) of the draws, `[S, B]`."""
        return self.prior.log_prob(self.z)

    def kl(self) -> Tensor:
        """KL(q‖p) in nats, `[S, B]`: analytic where torch knows the pair, else log q - log p."""
        try:
            analytic = kl_divergence(self.posterior, self.prior)
        except NotImplementedError:
            return self.log_q() - self.log_p()
        return analytic.expand(self.z.shape[:2])

    def kl_per_dimension(self) -> Tensor | None:
        """KL of each latent dimension in nats, `[B, *latent]`, a mean over the draws given.

        None where posterior or prior couple the dimensions, so that no such split exists.
        """
        q, p = self.posterior, self.prior
        if not (isinstance(q, Independent) and isinstance(p, Independent)):
            return None
        try:
            split = kl_divergence(q.base_dist, p.base_dist)
        except NotImplementedError:
            return None
        return split.mean(0) if split.ndim == self.z.ndim else split


@dataclass(frozen=True)
class Inference:
    """What a model says about a batch: its latents and the likelihood that they imply.

    Attributes:
        latents: One `Latent` for a VAE, L of them for a hierarchy.
        likelihood: p(x|z), batch shape `[S, B]`.
    """

    latents: tuple[Latent, ...]
    likelihood: Distribution

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Log p(x|z), `[S, B]`."""
        return self.likelihood.log_prob(x)

    def kl(self) -> Tensor:
        """KL(q‖p) summed over the latents, `[S, B]`."""
        return torch.stack([latent.kl() for latent in self.latents]).sum(0)

    def log_weight(self, x: Tensor) -> Tensor:
        """Log p(x|z) + log p(z) - log q(z|x) of each draw, `[S, B]`."""
        log_w = self.log_likelihood(x)
        for latent in self.latents:
            log_w = log_w + latent.log_p() - latent.log_q()
        return log_w


@runtime_checkable
class LatentModel(Protocol):
    """What objectives and estimators ask of a model; `models.VAE` is the plain one."""

    def __call__(self, x: Tensor, samples: int = 1) -> Inference:
        """Infer the latents of x `[B, *event]` with `samples` draws each."""
        ...


class Moment(NamedTuple):
    """Where in a training run an objective is evaluated.

    Attributes:
        progress: The share of the budget that is spent, 0 to 1; schedules are laid over it.
        items: How many items the training data has (estimators of q(z) need it).
    """

    progress: float = 1.0
    items: int = 1

    def at(self, coefficient: float | Callable[[float], float]) -> float:
        """The value of a number or a schedule now.

        Ask for schedules in this way, and not with `progress`: where a step is recorded and then
        played again (`training.step.Graphed`), the value is a tensor that moves.
        """
        return coefficient(self.progress) if callable(coefficient) else coefficient


@dataclass(frozen=True)
class Loss:
    """What an objective returns for a batch.

    Attributes:
        total: The scalar to be minimised, in nats per item.
        terms: Detached parts of it, each already a mean over items: scalars, except
            `kl_per_dimension`. Where they exist they are called `elbo` (always at β = 1),
            `log_likelihood`, `kl` and `beta`.
        critic: A second scalar, minimised by the objective's own parameters only, or None.
    """

    total: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    critic: Tensor | None = None


class Objective(Protocol):
    """An equation to be minimised: an `nn.Module` if it has parameters or state of its own."""

    def __call__(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        ...


def rsample(distribution: Distribution, samples: int) -> Tensor:
    """Reparameterised draws `[S, *batch, *event]`.

    Raises:
        TypeError: The distribution has no reparameterised sampler.
    """
    if not distribution.has_rsample:
        raise TypeError(
            f"the posterior {type(distribution).__name__} has no reparameterised sampler "
            "(has_rsample is False), so no gradient would reach the encoder; "
            "use one that has, such as a relaxed categorical in place of a categorical"
        )
    return distribution.rsample(torch.Size((samples,)))
