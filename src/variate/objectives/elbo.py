r"""The evidence lower bound, and the objectives that weigh its two halves against each other.

    log p(x) >= ELBO = E_q[log p(x|z)] - KL(q(z|x)‖p(z))               (Kingma & Welling 2014)

The objectives below minimise, in nats per item, R = -E_q[log p(x|z)] (the distortion) and
K = KL(q‖p) (the rate) as

    ELBO              R + β K                         β = 1 is the bound   (Higgins et al. 2017)
    FreeBits          R + β Σ_j max(λ, K_j)           K_j the batch mean of dimension j
                                                                           (Kingma et al. 2016)
    GroupFreeBits     R + β Σ_l max(λ, K_l)           K_l that of a whole group of latents
    Capacity          R + γ |K - C|                   C rises over the run (Burgess et al. 2018)
    Constrained       K + μ (R - R*)                  μ >= 0 a multiplier  (Rezende & Viola 2018)
    Reconstruction    R                               the deterministic autoencoder

Free bits bound the *batch mean* of K_j, not each item's: what is given away free is information on
average. A bound on each item would also push up the items whose posterior rightly is the prior,
and would make the free amount a minimum that no item may undercut.

Where a posterior or prior couples its dimensions (a flow, a mixture), K_j does not exist; free bits
then takes each group of latents as one dimension with the bound λ times its size, as the paper
does for its groups.

In a hierarchy free bits keep those groups alive that the others could do without. `GroupFreeBits`
counts them by the group: a map of 14×14×8 variables uses its free nats where it wants to. λ may be
a schedule that ends at zero (`Fade`), so that what is trained in the end is the bound itself.

Whatever is minimised, the terms report the exact ELBO at β = 1 and the β in force, d total / d K.
For `Constrained`, whose total is proportional to R + K / μ, that is 1 / μ; for `Capacity` it is ±γ.

This module does not know how the distributions were made, nor what the budget of the run is.
"""

import torch
from torch import Tensor, nn

from variate.errors import OptionError
from variate.inference import Loss, Moment
from variate.objectives.bound import arguments, check_samples, halves, infer, own_cost, scalar
from variate.objectives.schedules import Schedule, coefficient, finite

__all__ = ["ELBO", "Capacity", "Constrained", "FreeBits", "GroupFreeBits", "Reconstruction"]

_LOG_MULTIPLIER = 14.0  # μ stays within e^±14: a bound that cannot be met stops growing there


class ELBO(nn.Module):
    """The negative ELBO with its KL weighted by β (Kingma & Welling 2014; Higgins et al. 2017).

    Args:
        beta: The weight of the KL, a number or a schedule; 1 is the evidence lower bound.
        samples: Posterior draws per item.

    Raises:
        OptionError: β is negative or not finite, or samples not a positive whole number.
    """

    def __init__(self, beta: float | Schedule = 1.0, samples: int = 1) -> None:
        super().__init__()
        self.beta = coefficient("beta", beta)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        parts = halves(model, x, self.samples)
        return Loss(beta * parts.kl + parts.distortion, parts.terms(beta))


class FreeBits(nn.Module):
    """The ELBO in which each latent dimension has some nats free (Kingma et al. 2016).

    The term `kl_floored` is Σ_j max(λ, K_j), what is paid for; `elbo` is exact.

    Args:
        nats_per_dimension: λ, the KL per dimension, on average over a batch, that costs nothing.
        beta: The weight of what is paid for.
        samples: Posterior draws per item.

    Raises:
        OptionError: λ or β is negative or not finite, or samples not a positive whole number.
    """

    def __init__(
        self, nats_per_dimension: float, beta: float | Schedule = 1.0, samples: int = 1
    ) -> None:
        super().__init__()
        self.nats_per_dimension = finite("nats_per_dimension", nats_per_dimension, 0.0)
        self.beta = coefficient("beta", beta)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        parts = halves(model, x, self.samples)
        floored = [
            # A scalar group stands for all of its dimensions, of which it has z[0, 0].numel().
            group.clamp(min=self.nats_per_dimension * latent.z[0, 0].numel() / group.numel()).sum()
            for group, latent in zip(parts.groups, parts.inference.latents, strict=True)
        ]
        paid = sum(floored[1:], start=floored[0])
        return Loss(beta * paid + parts.distortion, parts.terms(beta, kl_floored=paid))


class GroupFreeBits(nn.Module):
    """The ELBO in which each group of latents has some nats free.

    The term `kl_floored` is Σ_l max(λ, K_l), what is paid for; `elbo` is exact.

    Args:
        nats_per_group: λ, the KL per group, on average over a batch, that costs nothing: a number
            or a schedule (`Fade(0.5, 0.8)`).
        beta: The weight of what is paid for.
        samples: Posterior draws per item.

    Raises:
        OptionError: λ or β is negative or not finite, or samples not a positive whole number.
    """

    def __init__(
        self,
        nats_per_group: float | Schedule,
        beta: float | Schedule = 1.0,
        samples: int = 1,
    ) -> None:
        super().__init__()
        self.nats_per_group = coefficient("nats_per_group", nats_per_group)
        self.beta = coefficient("beta", beta)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        free = moment.at(self.nats_per_group)
        parts = halves(model, x, self.samples)
        paid = torch.stack([group.sum() for group in parts.groups]).clamp(min=free).sum()
        return Loss(beta * paid + parts.distortion, parts.terms(beta, kl_floored=paid))


class Capacity(nn.Module):
    """The KL is held at a capacity that rises over the run (Burgess et al. 2018).

    Args:
        nats: C, the KL aimed at, in nats per item: a number or a schedule (`WarmUp(25.0, 0.8)`).
        gamma: The price of each nat away from it.
        samples: Posterior draws per item.

    Raises:
        OptionError: A number is negative or not finite, or samples not a positive whole number.
    """

    def __init__(self, nats: float | Schedule, gamma: float = 1000.0, samples: int = 1) -> None:
        super().__init__()
        self.nats = coefficient("nats", nats)
        self.gamma = finite("gamma", gamma, 0.0)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        nats = moment.at(self.nats)
        parts = halves(model, x, self.samples)
        excess = parts.kl - nats
        total = self.gamma * excess.abs() + parts.distortion
        slope = self.gamma * excess.sign()
        return Loss(total, parts.terms(slope, capacity=scalar(nats, parts.kl)))


class Constrained(nn.Module):
    """The least KL at which the distortion keeps to a bound (GECO; Rezende & Viola 2018).

    The multiplier μ grows while the moving average of R - R* is positive and shrinks while it is
    negative; its logarithm moves by at most `rate` a step, so that a start far from the bound
    cannot blow it up. It moves in training mode only, and is part of `state_dict`.

    Args:
        distortion: R*, the bound on -E_q[log p(x|z)], in nats per item.
        rate: How fast log μ moves.
        momentum: The share of the moving average that a step keeps.
        samples: Posterior draws per item.

    Raises:
        OptionError: A number is out of its range.
    """

    log_multiplier: Tensor
    excess: Tensor
    steps: Tensor

    def __init__(
        self, distortion: float, rate: float = 0.01, momentum: float = 0.99, samples: int = 1
    ) -> None:
        super().__init__()
        self.distortion = finite("distortion", distortion)
        self.rate = finite("rate", rate, 0.0)
        self.momentum = finite("momentum", momentum, 0.0)
        if self.momentum >= 1.0:
            raise OptionError(f"momentum must be below 1, but is {momentum!r}")
        self.samples = check_samples(samples)
        self.register_buffer("log_multiplier", torch.zeros(()))
        self.register_buffer("excess", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`."""
        parts = halves(model, x, self.samples)
        excess = parts.distortion - self.distortion
        if self.training:
            self._move(excess.detach())
        multiplier = self.log_multiplier.exp()
        total = parts.kl + multiplier * excess
        return Loss(total, parts.terms(1.0 / multiplier, multiplier=multiplier))

    def _move(self, excess: Tensor) -> None:
        # A batch that is not finite is skipped by the optimiser, and must be skipped here too.
        sound = excess.isfinite()
        keep = torch.where(self.steps > 0, self.momentum, 0.0)
        moved = keep * self.excess + (1 - keep) * excess
        self.excess.copy_(torch.where(sound, moved, self.excess))
        self.steps.add_(sound)
        step = self.rate * self.excess / (1 + self.excess.abs())
        self.log_multiplier.add_(step).clamp_(-_LOG_MULTIPLIER, _LOG_MULTIPLIER)


class Reconstruction(nn.Module):
    """The distortion alone: the deterministic autoencoder, for a posterior that is a point.

    A point has no density, so there is no KL and no ELBO to report: the only term is
    `log_likelihood`.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`."""
        inference, log_likelihood = infer(model, x, 1)
        mean = log_likelihood.mean()
        return Loss(own_cost(inference) - mean, {"log_likelihood": mean.detach()})
