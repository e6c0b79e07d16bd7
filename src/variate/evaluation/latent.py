r"""What the latents carry: measures of q(z|x) over a whole data set.

Over the items x_1..x_N the posteriors mix to the aggregate posterior

    q(z) = (1/N) Σ_n q(z|x_n)

and the KL term of the ELBO, averaged over the items, splits (Hoffman & Johnson 2016)

    (1/N) Σ_n KL(q(z|x_n)‖p(z)) = I_q(x; z) + KL(q(z)‖p(z))

    mutual information   I_q(x; z)         = E[log q(z|x) - log q(z)]
    aggregate gap        KL(q(z)‖p(z))     = E[log q(z) - log p(z)]
    total correlation    KL(q(z)‖Π q(z_d)) = E[log q(z) - Σ_d log q(z_d)]

(the last a part of the gap if p(z) factorises)

with E over n uniform and z ~ q(z|x_n), one draw per item. The densities of the aggregate are not
estimated from a batch, which needs weights that are easily got wrong, but are the sums over
all N items themselves, in pieces,

    log q(z) = logsumexp_n log q(z|x_n) - log N        log q(z_d) likewise

so the only error is that of the mean over draws. The work is N² densities; `points` caps how many
draws the mean is over. q(z) is the mixture of *these* items: I_q <= log N, and as an estimate of
the information about items not seen it is low by about (exp(2 I) - 1)/(2N) if all is Gaussian,
so it means something only well below (log N)/2.

Units. A unit is one coordinate of z; a model's latents are flattened and put one after another,
D in all. Unit d is active if its posterior mean moves with the data (Burda et al. 2016)

    Var_n E[z_d|x_n] > 0.01

Where the posterior mean has no closed form it is the mean of K draws, whose variance over the data
is too large by (1/N) Σ_n Var(z_d|x_n)/K; that is subtracted, or a collapsed unit would seem active.

This module does not know what the units mean, nor whether information is wanted.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

from variate.errors import OptionError
from variate.evaluation.passes import at_least_one, evaluating, in_rows
from variate.inference import Inference, Latent

__all__ = [
    "Surgery",
    "active_units",
    "aggregate_gap",
    "elbo_surgery",
    "kl_of_groups",
    "kl_per_dimension",
    "mutual_information",
    "posterior_means",
    "total_correlation",
]

KL_DRAWS = 64  # of an item, where its KL has no closed form


class Surgery(NamedTuple):
    """The parts of the mean KL, in nats per item.

    Attributes:
        kl: The mean over items of KL(q(z|x)‖p(z)), from the same draws as its parts.
        mutual_information: I_q(x; z).
        aggregate_gap: KL(q(z)‖p(z)); `kl` is the sum of these two.
        total_correlation: KL(q(z)‖Π q(z_d)), or None if q(z|x) has no marginals in closed form.
    """

    kl: float
    mutual_information: float
    aggregate_gap: float
    total_correlation: float | None


def elbo_surgery(
    model: nn.Module,
    x: Tensor,
    *,
    points: int | None = None,
    seed: int | None = 0,
    rows: int = 256,
) -> Surgery:
    """Mutual information, aggregate gap and total correlation in one pass over all pairs.

    Args:
        model: A `LatentModel` with one group of latents.
        x: `[N, *event]`, on any device.
        points: How many draws the means are over, from different items chosen at random; None for
            one draw from every item.
        seed: Of the draws; None for others on every call.
        rows: Most items at a time; rows² densities are in memory at once.

    Raises:
        OptionError: There is no item, or `points` or `rows` is less than 1.
        TypeError: The model is a hierarchy: the posterior of a lower latent depends on the draw
            of a higher one, so q(z) is no mixture of N known densities.
    """
    at_least_one(items=len(x), points=1 if points is None else points)
    with evaluating(model, seed):
        pieces = [_only_latent(model(batch, 1)) for _, batch in in_rows(model, x, rows)]
        chosen = torch.randperm(len(x))[:points]
        z = torch.cat([latent.z[0] for latent in pieces])[chosen]
        log_q = torch.cat([latent.log_q()[0] for latent in pieces])[chosen].double()
        log_p = torch.cat([latent.log_p()[0] for latent in pieces])[chosen].double()
        posteriors = [latent.posterior for latent in pieces]
        densities = [_aggregate(posteriors, block, len(x)) for block in z.split(rows)]
    joint = torch.cat([log_joint for log_joint, _ in densities])
    factors = [product for _, product in densities if product is not None]
    return Surgery(
        kl=(log_q - log_p).mean().item(),
        mutual_information=(log_q - joint).mean().item(),
        aggregate_gap=(joint - log_p).mean().item(),
        total_correlation=(joint - torch.cat(factors)).mean().item() if factors else None,
    )


def mutual_information(
    model: nn.Module,
    x: Tensor,
    *,
    points: int | None = None,
    seed: int | None = 0,
    rows: int = 256,
) -> float:
    """I_q(x; z) in nats: what a draw tells about which of the N items it came from.

    Arguments and errors are those of `elbo_surgery`.
    """
    return elbo_surgery(model, x, points=points, seed=seed, rows=rows).mutual_information


def aggregate_gap(
    model: nn.Module,
    x: Tensor,
    *,
    points: int | None = None,
    seed: int | None = 0,
    rows: int = 256,
) -> float:
    """KL(q(z)‖p(z)) in nats: how far what the decoder is trained on is from what it is sampled on.

    Arguments and errors are those of `elbo_surgery`.
    """
    return elbo_surgery(model, x, points=points, seed=seed, rows=rows).aggregate_gap


def total_correlation(
    model: nn.Module,
    x: Tensor,
    *,
    points: int | None = None,
    seed: int | None = 0,
    rows: int = 256,
) -> float:
    """KL(q(z)‖Π q(z_d)) in nats (Watanabe 1960; Chen et al. 2018): how dependent the units are.

    Arguments and errors are those of `elbo_surgery`.

    Raises:
        TypeError: The posterior's marginals q(z_d|x) have no closed form.
    """
    value = elbo_surgery(model, x, points=points, seed=seed, rows=rows).total_correlation
    if value is None:
        raise TypeError(
            "the total correlation needs the marginals q(z_d|x) in closed form, which a posterior "
            "that is Independent or multivariate normal has, but not the one of this model"
        )
    return value


def kl_per_dimension(
    model: nn.Module, x: Tensor, *, rows: int = 256, seed: int | None = 0
) -> Tensor:
    """The KL of each unit in nats, averaged over the items.

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device.
        rows: Most items at a time.
        seed: Of the draws, where a KL has no closed form.

    Returns:
        `[D]` float64 on the device of x, adding up to the mean KL. Where posterior or prior couple
        the units of a latent there is no split, and its KL is a single entry.

    Raises:
        OptionError: There is no item, or `rows` is less than 1.
    """
    return torch.cat(kl_of_groups(model, x, rows=rows, seed=seed))


def kl_of_groups(
    model: nn.Module, x: Tensor, *, rows: int = 256, seed: int | None = 0
) -> list[Tensor]:
    """The KL of each unit in nats, averaged over the items, for each group of latents.

    Arguments and errors are those of `kl_per_dimension`.

    Returns:
        `[units]` float64 on the device of x for each group, in the model's order.
    """
    at_least_one(items=len(x))
    totals: list[Tensor] = []
    with evaluating(model, seed):
        for _, batch in in_rows(model, x, rows):
            inference: Inference = model(batch, 1)
            sums = [
                _kl_of_units(latent).to(x.device, torch.float64).sum(0)
                for latent in inference.latents
            ]
            totals = [a + b for a, b in zip(totals, sums, strict=True)] if totals else sums
    return [total / len(x) for total in totals]


def posterior_means(
    model: nn.Module, x: Tensor, *, draws: int = 64, rows: int = 256, seed: int | None = 0
) -> Tensor:
    """E[z|x] of every item.

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device.
        draws: Over how many draws to average where the posterior has no mean in closed form.
        rows: Most items at a time.
        seed: Of the draws.

    Returns:
        `[N, D]` on the device of x, in the model's precision.

    Raises:
        OptionError: There is no item, `draws` is less than 2 or `rows` less than 1.
    """
    mean, _ = _means_and_errors(model, x, draws, rows, seed)
    return mean


def active_units(
    model: nn.Module,
    x: Tensor,
    *,
    threshold: float = 0.01,
    draws: int = 64,
    rows: int = 256,
    seed: int | None = 0,
) -> int:
    """How many units have a posterior mean that varies over the data (Burda et al. 2016).

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device; N >= 2.
        threshold: The variance, in the units of z, above which a unit is active.
        draws: Over how many draws to average where the posterior has no mean in closed form.
        rows: Most items at a time.
        seed: Of the draws.

    Raises:
        OptionError: There are fewer than two items, `draws` is less than 2 or `rows` less than 1.
    """
    if len(x) < 2:
        raise OptionError(
            f"active units are told by a variance over items, which takes at least 2 of them, "
            f"however: N={len(x)}; give more items, or score this one"
        )
    mean, error = _means_and_errors(model, x, draws, rows, seed)
    variance = mean.double().var(0) - error.double().mean(0)
    return int((variance > threshold).sum())


def _only_latent(inference: Inference) -> Latent:
    """The single latent of a model that is no hierarchy."""
    if len(inference.latents) != 1:
        raise TypeError(
            "the aggregate posterior is a mixture of N known densities for one group of latents "
            f"only, however the model has {len(inference.latents)}"
        )
    return inference.latents[0]


def _aggregate(
    posteriors: Sequence[Distribution], z: Tensor, n: int
) -> tuple[Tensor, Tensor | None]:
    """(log q(z), Σ_d log q(z_d)) at z `[M, *latent]`, each `[M]` float64."""
    joints, marginals = [], []
    for q in posteriors:
        log_q, log_each = _densities(q, z[:, None])
        joints.append(log_q.double().logsumexp(1))
        if log_each is not None:
            marginals.append(log_each.double().logsumexp(1))
    joint = torch.stack(joints).logsumexp(0) - math.log(n)
    if not marginals:
        return joint, None
    return joint, (torch.stack(marginals).logsumexp(0) - math.log(n)).sum(1)


def _densities(q: Distribution, z: Tensor) -> tuple[Tensor, Tensor | None]:
    """Log q(z|x) `[M, B]` and log q(z_d|x) `[M, B, D]`, or None if that has no closed form."""
    if isinstance(q, Independent):
        log_each = q.base_dist.log_prob(z).flatten(2)
        return log_each.sum(2), log_each
    if isinstance(q, MultivariateNormal | LowRankMultivariateNormal):
        each = Normal(q.mean, q.variance.sqrt(), validate_args=False)
        return q.log_prob(z), each.log_prob(z)
    return q.log_prob(z), None


def _kl_of_units(latent: Latent) -> Tensor:
    """The KL of each unit, or of the whole latent where its units are coupled: `[B, units]`."""
    split = latent.kl_per_dimension()
    return _kl_of_all(latent)[:, None] if split is None else split.flatten(1)


def _kl_of_all(latent: Latent) -> Tensor:
    """The KL of a latent, `[B]`: where only draws can tell it, of as many as a code can be had for.

    One draw of an item is off by the root of its dimensions, so that few items at a small KL would
    have one below zero.
    """
    if len(latent.posterior.batch_shape) == 1:  # else it is given the draws of other groups
        latent = replace(latent, z=latent.posterior.sample(torch.Size((KL_DRAWS,))))
    return latent.kl().mean(0)


def _means_and_errors(
    model: nn.Module, x: Tensor, draws: int, rows: int, seed: int | None
) -> tuple[Tensor, Tensor]:
    """(E[z|x], the variance of its estimate), each `[N, D]` on the device of x."""
    at_least_one(items=len(x))
    if draws < 2:
        raise OptionError(f"`draws` must be at least 2 to know its own error, however: {draws=}")
    with evaluating(model, seed):
        pieces = [
            tuple(part.to(x.device) for part in _of_batch(model, batch, draws))
            for _, batch in in_rows(model, x, rows)
        ]
    means, errors = zip(*pieces, strict=True)
    return torch.cat(means), torch.cat(errors)


def _of_batch(model: nn.Module, batch: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    inference: Inference = model(batch, 1)
    if any(len(latent.posterior.batch_shape) > 1 for latent in inference.latents):
        # a lower group's mean is over the draws of the groups above it
        few = batch.split(max(1, len(batch) // draws))
        pieces = [_of_draws(model(part, draws), draws) for part in few]
        means, errors = zip(*pieces, strict=True)
        return torch.cat(means), torch.cat(errors)
    return _of_draws(inference, draws)


def _of_draws(inference: Inference, draws: int) -> tuple[Tensor, Tensor]:
    pairs = [_mean_and_error(latent.posterior, draws) for latent in inference.latents]
    means, errors = zip(*pairs, strict=True)
    return torch.cat(means, 1), torch.cat(errors, 1)


def _mean_and_error(posterior: Distribution, draws: int) -> tuple[Tensor, Tensor]:
    """(mean, its error variance) of a posterior of batch shape `[B]` or `[S, B]`: `[B, units]`."""
    if len(posterior.batch_shape) > 1:  # one for each draw of the groups above
        each = posterior.mean.flatten(2)
        return each.mean(0), each.var(0) / len(each)
    try:
        mean = posterior.mean.flatten(1)
    except NotImplementedError:
        z = posterior.sample(torch.Size((draws,))).flatten(2)
        return z.mean(0), z.var(0) / draws
    return mean, torch.zeros_like(mean)
