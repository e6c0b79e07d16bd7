r"""The ELBO and a penalty on the aggregate posterior q(z) = 1/N Σ_n q(z|x_n).

    total = -ELBO + weight · penalty, with z one draw per item and q_n(z) = q(z|x_n):

    TotalCorrelation   (β - 1) TC,  TC = KL(q(z)‖Π_j q(z_j))            (Chen et al. 2018)
    Factor             γ TC, by a critic's log-ratio                    (Kim & Mnih 2018)
    DIP                λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)²,  C a covariance of codes
                                                                        (Kumar et al. 2018)
    MMD                λ MMD²(q(z), p(z))                               (Zhao et al. 2019; WAE)

**The aggregate from a batch.** The KL splits into mutual information, total correlation and
per-dimension KL, E KL(q_n‖p) = I(x; z) + TC + Σ_j KL(q(z_j)‖p(z_j)); β weighs TC alone. Of the N
terms of q(z) a batch of B = M + 1 items has z's own, q_i(z_i), and M others drawn without
replacement, which stand for the N - 1 others:

    q(z_i)  ≈  1/N q_i(z_i)  +  (N - 1)/(N M) Σ_{m≠i} q_m(z_i)

It is unbiased and its weights sum to one. It is the stratified estimate of Chen et al. (their
appendix), averaged over which of the others is called the last (theirs has weights 1/M and, for the
last, (N - M)/(N M)). The own term is on the *diagonal*; and the log-weight is added once to each
joint density and once to each marginal one, not once per dimension to the joint. With one item
there are no others, and q_i stands for q: then TC = 0. Logarithms of an unbiased estimate are
biased: log q(z) is too low where a batch has no neighbours of z, so TC is read too low and I(x; z)
too high, the less the larger the batch. That is `Stratified`, the default. `MinibatchWeighted` is
the other estimate of Chen et al. (their eq. 4), with which their results were had,

    q(z_i)  ≈  1/(N B) Σ_m q_m(z_i)

in which z's own term counts no more than others. Its weights sum to 1/N, so that it is the mean
over the batch but for the constant -log N in every logarithm: the TC it reports is too high by
(D - 1) log N and I(x; z) by log N, tens of nats, while the gradient is that of the batch's mean.

This module does not know the networks, nor when the critic is stepped: `Loss.critic` has gradient
for the critic only, `Loss.total` for the model only, so they may be stepped in any order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.func import functional_call

from variate.inference import Loss, Moment
from variate.objectives.bound import arguments, halves, require_plain
from variate.objectives.schedules import Schedule, coefficient, finite
from variate.options import whole

__all__ = [
    "DIP",
    "MMD",
    "AggregateCovariance",
    "Factor",
    "MeanCovariance",
    "MinibatchWeighted",
    "Stratified",
    "TotalCorrelation",
    "log_aggregate",
    "mmd",
]

_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Stratified:
    """Log-weights by which a batch stands for all items, without bias (Chen et al. 2018)."""

    def __call__(self, batch: int, items: int) -> tuple[float, float]:
        """The log-weights of z's own posterior and of each other one, of `batch` in `items`."""
        if batch == 1:
            return 0.0, -math.inf
        return -math.log(items), math.log((items - 1) / (items * (batch - 1)))


@dataclass(frozen=True)
class MinibatchWeighted:
    """Log-weights of minibatch-weighted sampling, all 1/(N B) (Chen et al. 2018, eq. 4)."""

    def __call__(self, batch: int, items: int) -> tuple[float, float]:
        """The log-weights of z's own posterior and of each other one, of `batch` in `items`."""
        return (-math.log(items * batch),) * 2


class TotalCorrelation(nn.Module):
    """β-TC-VAE: the total correlation within the KL is weighted by β (Chen et al. 2018).

    At β = 1 the loss is the negative ELBO. The term `beta` is the weight of TC; the terms
    `total_correlation` and `mutual_information` are the estimates of the batch. How many items the
    data has is read off `moment.items`.

    Args:
        beta: The weight of the total correlation, a number or a schedule.
        aggregate: How q(z) is estimated from a batch: `Stratified()`, the default, or
            `MinibatchWeighted()`.

    Raises:
        OptionError: β is negative or not finite.
        TypeError: In use, for a posterior that does not factorise over the dimensions.
    """

    def __init__(
        self,
        beta: float | Schedule = 6.0,
        aggregate: Stratified | MinibatchWeighted | None = None,
    ) -> None:
        super().__init__()
        self.beta = coefficient("beta", beta)
        self.aggregate = Stratified() if aggregate is None else aggregate

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        parts = halves(model, x)
        require_plain(parts.inference, "the total correlation")
        tc, information = parts.kl.new_zeros(()), parts.kl.new_zeros(())
        for latent in parts.inference.latents:
            joint, marginals = log_aggregate(
                latent.z, latent.posterior, moment.items, self.aggregate
            )
            tc = tc + (joint - marginals.sum(-1)).mean()
            information = information + (latent.log_q() - joint).mean()
        total = parts.kl + parts.distortion + (beta - 1) * tc
        more = {"total_correlation": tc, "mutual_information": information}
        return Loss(total, parts.terms(beta, **more))


def log_aggregate(
    z: Tensor,
    posterior: Distribution,
    items: int,
    aggregate: Stratified | MinibatchWeighted | None = None,
) -> tuple[Tensor, Tensor]:
    """Log q(z) and log q(z_j) of the draws under the aggregate posterior, from one batch.

    Args:
        z: One draw or more of each item, `[S, B, *latent]`.
        posterior: q(z|x) of the batch, batch shape `[B]`, factorised.
        items: N, how many items the data has; at least the batch is assumed.
        aggregate: The weights of the batch's posteriors; None for `Stratified()`.

    Returns:
        Log q(z) `[S, B]` and log q(z_j) `[S, B, D]`, in nats, D the number of latent dimensions.

    Raises:
        TypeError: The posterior couples its dimensions.
    """
    base = _factors(posterior, "the total correlation")
    batch = z.shape[1]
    log_q = base.log_prob(z.unsqueeze(2)).flatten(3)  # [S, B, B, D]: z_i under q_m
    own, other = (aggregate or Stratified())(batch, max(items, batch))
    log_weight = log_q.new_full((batch, batch), other).fill_diagonal_(own)
    joint = torch.logsumexp(log_q.sum(-1) + log_weight, 2)
    marginals = torch.logsumexp(log_q + log_weight.unsqueeze(-1), 2)
    return joint, marginals


def _factors(posterior: Distribution, need: str) -> Distribution:
    """The distribution of the single dimensions, of batch shape `[B, *latent]`."""
    if isinstance(posterior, Independent) and not posterior.base_dist.event_shape:
        return posterior.base_dist
    raise TypeError(
        f"{need} needs a posterior that factorises over the latent dimensions, "
        f"torch.distributions.Independent of a univariate one, but got {posterior}"
    )


@dataclass(frozen=True)
class MeanCovariance:
    """Cov[μ(x)] over the batch: DIP-VAE-I (Kumar et al. 2018)."""

    def __call__(self, posterior: Distribution) -> Tensor:
        """The covariance `[D, D]` of a batch of posteriors."""
        means = posterior.mean.flatten(1)
        centred = means - means.mean(0)
        return centred.mT @ centred / len(means)


@dataclass(frozen=True)
class AggregateCovariance:
    """Cov[z] = E[Σ(x)] + Cov[μ(x)] over the batch: DIP-VAE-II (Kumar et al. 2018)."""

    def __call__(self, posterior: Distribution) -> Tensor:
        """The covariance `[D, D]` of a batch of posteriors.

        Raises:
            TypeError: The posterior couples its dimensions, so that Σ(x) is not diagonal.
        """
        variance = _factors(posterior, "DIP-VAE-II").variance.flatten(1).mean(0)
        return variance.diag() + MeanCovariance()(posterior)


class DIP(nn.Module):
    """DIP-VAE: the covariance of the codes is drawn to the identity (Kumar et al. 2018).

    Args:
        diagonal: λ_d, the price of a variance away from 1.
        off_diagonal: λ_od, the price of a covariance.
        covariance: Of what: `MeanCovariance()` (DIP-VAE-I) or `AggregateCovariance()`
            (DIP-VAE-II, the default).

    Raises:
        OptionError: A price is negative or not finite.
    """

    def __init__(
        self,
        diagonal: float = 10.0,
        off_diagonal: float = 10.0,
        covariance: MeanCovariance | AggregateCovariance | None = None,
    ) -> None:
        super().__init__()
        self.diagonal = finite("diagonal", diagonal, 0.0)
        self.off_diagonal = finite("off_diagonal", off_diagonal, 0.0)
        self.covariance = AggregateCovariance() if covariance is None else covariance

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`."""
        parts = halves(model, x)
        require_plain(parts.inference, "DIP")
        penalty = parts.kl.new_zeros(())
        for latent in parts.inference.latents:
            covariance = self.covariance(latent.posterior)
            variances = covariance.diagonal()
            off = covariance.square().sum() - variances.square().sum()
            penalty = penalty + self.off_diagonal * off
            penalty = penalty + self.diagonal * (variances - 1).square().sum()
        total = parts.kl + parts.distortion + penalty
        return Loss(total, parts.terms(1.0, penalty=penalty))


class Factor(nn.Module):
    """FactorVAE: the total correlation by the log-ratio of a critic (Kim & Mnih 2018).

    A critic c(z) learns to tell draws of q(z) from draws whose dimensions were shuffled over the
    batch, which are draws of Π_j q(z_j); at its best c = log q(z) - Σ_j log q(z_j), so TC is the
    mean of c. The objective holds the critic, so a loop must step the objective's parameters on
    `Loss.critic` and the model's on `Loss.total`.

    Args:
        gamma: The weight of the total correlation.
        latent: How many dimensions z has.
        hidden: The widths of the critic's layers.

    Raises:
        OptionError: γ is negative or not finite, or a size is no whole number above 0.
    """

    def __init__(self, gamma: float, latent: int, hidden: Sequence[int] = (256, 256, 256)) -> None:
        super().__init__()
        self.gamma = finite("gamma", gamma, 0.0)
        whole("latent, the second argument of Factor(gamma, latent),", latent)
        for width in hidden:
            whole("each width of hidden", width)
        self.latent = latent
        self.hidden = hidden
        layers: list[nn.Module] = []
        for before, after in pairwise((latent, *hidden)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.critic = nn.Sequential(*layers, nn.Linear((latent, *hidden)[-1], 1))

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`, and the critic's own."""
        parts = halves(model, x)
        require_plain(parts.inference, "the critic of the total correlation")
        z = torch.cat([latent.z[0].flatten(1) for latent in parts.inference.latents], 1)
        frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
        tc = functional_call(self.critic, frozen, (z,)).mean()
        total = parts.kl + parts.distortion + self.gamma * tc
        critic = self._critic_loss(z.detach())
        more = {"total_correlation": tc, "critic": critic}
        return Loss(total, parts.terms(1.0, **more), critic)

    def _critic_loss(self, z: Tensor) -> Tensor:
        order = torch.rand_like(z).argsort(0)
        shuffled = z.gather(0, order)
        joint, product = self.critic(torch.cat([z, shuffled])).chunk(2)
        return (F.softplus(-joint).mean() + F.softplus(product).mean()) / 2


class MMD(nn.Module):
    """The ELBO, its KL weighted by β, and the distance of q(z) from p(z).

    InfoVAE (Zhao et al. 2019) has β = 1 - α; WAE (Tolstikhin et al. 2018) has β = 0.

    Args:
        weight: λ, the weight of MMD², which has no unit.
        beta: The weight of the KL, a number or a schedule.

    Raises:
        OptionError: A weight is negative or not finite.
    """

    def __init__(self, weight: float, beta: float | Schedule = 1.0) -> None:
        super().__init__()
        self.weight = finite("weight", weight, 0.0)
        self.beta = coefficient("beta", beta)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        parts = halves(model, x)
        require_plain(parts.inference, "MMD")
        distance = parts.kl.new_zeros(())
        for latent in parts.inference.latents:
            z = latent.z[0]
            wanted = latent.prior.sample(z.shape[: 1 - len(latent.prior.batch_shape)])
            distance = distance + mmd(z.flatten(1), wanted.flatten(1))
        total = beta * parts.kl + parts.distortion + self.weight * distance
        return Loss(total, parts.terms(beta, mmd=distance))


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3).

    The kernel is a sum of inverse multiquadratics Σ_c C / (C + |u - v|²) with C = 2 D c, c from
    0.1 to 10: on the scale of a standard normal in D dimensions, |u - v|² being 2 D on average
    (Tolstikhin et al. 2018, section 4). Its mean is 0 where the laws are equal, so single values
    may be below 0.

    Args:
        a: `[n, D]`, n independent draws.
        b: `[m, D]`, m independent draws.

    Returns:
        A scalar; 0 where a or b has fewer than two draws, which tell nothing of their own spread.
    """
    if min(len(a), len(b)) < 2:
        return (a.sum() + b.sum()) * 0
    n, m = len(a), len(b)
    both = torch.cat([a, b])
    square = both.square().sum(1)
    distance = (square.unsqueeze(1) + square - 2 * both @ both.mT).clamp(min=0)
    kernel = torch.zeros_like(distance)
    for c in _WIDTHS:
        scale = 2 * a.shape[1] * c
        kernel = kernel + scale / (scale + distance)
    kernel = kernel - kernel.diagonal().diag()  # a draw is not compared with itself
    within = kernel[:n, :n].sum() / (n * (n - 1)) + kernel[n:, n:].sum() / (m * (m - 1))
    return within - 2 * kernel[:n, n:].mean()
