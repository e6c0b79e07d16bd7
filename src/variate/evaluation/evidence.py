r"""Estimates of log p(x), item by item, from the importance weights of posterior draws.

With z_s ~ q(z|x), s = 1..S, and log w_s = log p(x|z_s) + log p(z_s) - log q(z_s|x),

    E[w_s] = ∫ q(z|x) · p(x|z) p(z) / q(z|x) dz = p(x)

so the mean weight estimates p(x) without bias, and Jensen's inequality turns it into two lower
bounds of log p(x) in expectation:

    elbo          mean_s log w_s                        = log p(x) - KL(q(z|x)‖p(z|x)) in the mean
    log_evidence  logsumexp_s log w_s - log S           >= elbo for the same draws, always

The second (Burda, Grosse & Salakhutdinov 2016) tightens with S and tends to log p(x); its bias is
-Var(w)/(2 S p(x)²) to first order. If q(z|x) is the exact posterior every weight is p(x) itself
and both equal log p(x) from one draw on. That is why the ELBO is taken here from the weights and
not with an analytic KL: the noise vanishes where the posterior is right, and the two bounds are
ordered on the same draws.

S draws are made `chunk` at a time for `rows` items at a time, and the sums stream,

    log Σ_s w_s  <-  logaddexp(log Σ_s w_s, logsumexp of the chunk's log w)

in float64, and are divided by S, the number that was drawn. So at most rows·chunk decoded items
exist at once, whatever N and S are.

With `common=True` all items share their noise (see `noise`): an item's value then depends on the
item, S and the seed only, up to rounding, not on the items beside it, their order, or the chunks.
That suits scores of items that are compared; for a mean over items `common=False` is less noisy.

This module does not know whether the bounds are tight: ask `importance_weights` (one draw that
carries all the weight says that S is too small). For a deterministic autoencoder, whose posterior
is a point among densities, the numbers are no bounds of anything. For discrete codes
(`distributions.codes`) they are: then the point has mass one, all draws are equal (so one is made),
and so are the two bounds. A prior over codes that estimates its own log p by a draw
(`models.codeflow`) does so once for each of the S, with x encoded and decoded once, so that the
second bound closes the gap of that estimate.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from variate.evaluation.noise import CommonNoise
from variate.evaluation.passes import at_least_one, evaluating, in_rows
from variate.inference import Inference
from variate.models.codeprior import CodePrior

__all__ = ["Bounds", "bounds", "elbo", "importance_weights", "log_evidence"]


class Bounds(NamedTuple):
    """Two lower bounds of log p(x) from the same draws, `[N]` float64 each, nats.

    Attributes:
        elbo: The mean of log w.
        importance: The importance-weighted bound: at least `elbo`, by Jensen's inequality.
    """

    elbo: Tensor
    importance: Tensor


def bounds(
    model: nn.Module,
    x: Tensor,
    draws: int = 64,
    *,
    common: bool = False,
    seed: int | None = 0,
    chunk: int = 16,
    rows: int = 256,
) -> Bounds:
    """The ELBO and the importance-weighted bound of every item, in one pass over the draws.

    Arguments and errors are those of `log_evidence`.
    """
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    evidence = torch.full_like(total, -torch.inf)
    with evaluating(model, seed):
        for where, _, log_w in _log_weights(model, x, draws, chunk, rows, common=common):
            total[where] += log_w.sum(0)
            evidence[where] = torch.logaddexp(evidence[where], log_w.logsumexp(0))
    return Bounds(total / draws, evidence - math.log(draws))


def elbo(
    model: nn.Module,
    x: Tensor,
    draws: int = 1,
    *,
    common: bool = False,
    seed: int | None = 0,
    chunk: int = 16,
    rows: int = 256,
) -> Tensor:
    """The evidence lower bound of every item, the mean of log w over the draws.

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device.
        draws: Posterior draws S for each item.
        common: Whether all items share the noise of their draws (for scores to be compared).
        seed: Of the draws; None for others on every call.
        chunk: Most draws at a time.
        rows: Most items at a time.

    Returns:
        `[N]` float64 on the device of x, nats.

    Raises:
        OptionError: `draws`, `chunk` or `rows` is less than 1.
        TypeError: The posterior's noise cannot be shared between items (`common=True`).
    """
    return bounds(model, x, draws, common=common, seed=seed, chunk=chunk, rows=rows).elbo


def log_evidence(
    model: nn.Module,
    x: Tensor,
    draws: int = 64,
    *,
    common: bool = False,
    seed: int | None = 0,
    chunk: int = 16,
    rows: int = 256,
) -> Tensor:
    """The importance-weighted bound of log p(x) of every item (Burda et al. 2016).

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device.
        draws: Posterior draws S for each item; exactly as many are made.
        common: Whether all items share the noise of their draws (for scores to be compared).
        seed: Of the draws; None for others on every call.
        chunk: Most draws at a time.
        rows: Most items at a time.

    Returns:
        `[N]` float64 on the device of x, nats.

    Raises:
        OptionError: `draws`, `chunk` or `rows` is less than 1.
        TypeError: The posterior's noise cannot be shared between items (`common=True`).
    """
    return bounds(model, x, draws, common=common, seed=seed, chunk=chunk, rows=rows).importance


def importance_weights(
    model: nn.Module,
    x: Tensor,
    draws: int = 64,
    *,
    common: bool = False,
    seed: int | None = 0,
    chunk: int = 16,
    rows: int = 256,
) -> Tensor:
    """The self-normalised weights w_s / Σ_s w_s of every item's draws.

    Their effective number 1 / Σ_s w_s² lies between 1 and S, and is S if the posterior is exact.

    Args:
        model: A `LatentModel`.
        x: `[N, *event]`, on any device.
        draws: Posterior draws S for each item.
        common: Whether all items share the noise of their draws (for scores to be compared).
        seed: Of the draws; None for others on every call.
        chunk: Most draws at a time.
        rows: Most items at a time.

    Returns:
        `[S, N]` float64 on the device of x; sums to one over S.

    Raises:
        OptionError: `draws`, `chunk` or `rows` is less than 1.
        TypeError: The posterior's noise cannot be shared between items (`common=True`).
    """
    at_least_one(draws=draws)
    log_weights = torch.empty((draws, len(x)), dtype=torch.float64, device=x.device)
    with evaluating(model, seed):
        for where, drawn, log_w in _log_weights(model, x, draws, chunk, rows, common=common):
            log_weights[drawn, where] = log_w
    return log_weights.softmax(0)


def _log_weights(
    model: nn.Module, x: Tensor, draws: int, chunk: int, rows: int, *, common: bool
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Pieces of log w: (which items, which draws, float64 `[draws, items]` on x's device)."""
    at_least_one(draws=draws, chunk=chunk)
    codes = _prior_over_codes(model)
    noise = CommonNoise(draws, seed=int(torch.randint(2**62, ()))) if common else None
    for where, batch in in_rows(model, x, rows):
        known: Inference | None = None if codes is None else model(batch, 1)
        if known is not None and codes is not None and codes.exact:
            log_w = known.log_weight(batch).to(x.device, torch.float64)
            yield where, slice(0, draws), log_w.expand(draws, len(batch))
            continue
        for first in range(0, draws, chunk):
            samples = min(chunk, draws - first)
            with nullcontext() if noise is None else noise.at(first, samples, len(batch)):
                inference: Inference = (
                    model(batch, samples) if known is None else _repeated(known, samples)
                )
                log_w = inference.log_weight(batch)
            drawn = slice(first, first + samples)
            yield where, drawn, log_w.to(x.device, torch.float64)


def _prior_over_codes(model: nn.Module) -> CodePrior | None:
    """The prior if z is a grid of codes, of which q(z|x) is certain: all draws are the same."""
    prior = getattr(model, "prior", None)
    prior = getattr(prior, "prior", prior)  # within a second stage
    return prior if isinstance(prior, CodePrior) else None


def _repeated(known: Inference, samples: int) -> Inference:
    """So many draws of codes that are certain, which differ in what their prior draws."""
    latents = tuple(
        replace(latent, z=latent.z.expand(samples, *latent.z.shape[1:])) for latent in known.latents
    )
    return replace(known, latents=latents)
