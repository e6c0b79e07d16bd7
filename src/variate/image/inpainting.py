"""Missing pixels drawn given the others.

With x = (o, m), observed and missing, what is wanted is p(m|o) = ∫ p(m|z) p(z|o) dz; pixels are
independent given z. The encoder knows whole pictures only, so M chains for each picture walk

    m_0 from a picture that the model draws;    z_t ~ q(z | o, m_{t-1}),    m_t ~ p(m | z_t)

(Rezende, Mohamed & Wierstra 2014, appendix F: the chain tends to p(m|o) as far as q is the
posterior.) What q is off is then weighed: each chain's last z counts by

    w = p(o|z) p(z) / q(z | o, m_{T-1})

and completions are drawn from the chains in proportion to w. Without the weights a chain that ended
in another picture would count as much as one that fits what is observed.

Where z is a grid of discrete codes, the encoder's would only repeat what m_{t-1} shows. There z_t
keeps the codes of what is observed and draws those of places with missing pixels from the prior,
given the codes before them; q is the probability of those drawn. What is observed behind a place is
heard by the weights alone.

This module does not know what the mask stands for.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from variate.errors import OptionError
from variate.evaluation import block_of
from variate.image.pixelwise import log_prob_of_pixels
from variate.models import VAE
from variate.randomness import isolated
from variate.verbs import device_of

__all__ = ["CHAINS", "Completions", "Walk", "by_posterior", "completions", "expect_mask"]

CHAINS = 24
ROUNDS = 16


class Completions(NamedTuple):
    """Pictures with their missing pixels filled: the mean, and draws.

    Attributes:
        mean: `[N, C, H, W]`, not rounded to levels.
        draws: `[K, N, C, H, W]`, levels.
    """

    mean: Tensor
    draws: Tensor


class Walk(NamedTuple):
    """How chains walk.

    Attributes:
        step: (model, pictures `[N, C, H, W]`, what is missing `[N, H, W]`) -> z `[1, N, D]` and
            log q of it `[1, N]`.
        rounds: T.
    """

    step: Callable[[VAE, Tensor, Tensor], tuple[Tensor, Tensor]]
    rounds: int = ROUNDS


def by_posterior(model: VAE, filled: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """A step of a chain: z ~ q(z|x), whatever is missing."""
    q: Distribution = model.encoder(filled)
    z = q.sample(torch.Size((1,)))
    return z, q.log_prob(z)


PLAIN = Walk(by_posterior)


@torch.no_grad()
def completions(
    model: VAE,
    x: Tensor,
    missing: Tensor,
    levels: int,
    *,
    draws: int,
    seed: int | None,
    walk: Walk = PLAIN,
) -> Completions:
    """Draw what is missing.

    Args:
        model: The model.
        x: Levels `[N, C, H, W]`; those of missing pixels count for nothing.
        missing: Which pixels are missing, bool `[N, H, W]`.
        levels: L.
        draws: K, of each picture.
        seed: Makes the draws repeatable.
        walk: How the chains walk.
    """
    device = device_of(model)
    rows = max(1, 8 * block_of(model) // CHAINS)
    means, drawn = [], []
    with isolated(seed, device):
        for picture, gaps in zip(x.split(rows), missing.split(rows), strict=True):
            mean, some = _of_block(model, picture.to(device), gaps.to(device), levels, draws, walk)
            means.append(mean.cpu())
            drawn.append(some.cpu())
    return Completions(torch.cat(means), torch.cat(drawn, 1))


def expect_mask(mask: Any, count: int, size: tuple[int, int]) -> Tensor:
    """A mask of all pictures, or one of each, as bool `[count, H, W]`.

    Raises:
        OptionError: It has another shape, or is not of truth values.
    """
    given = np.asarray(mask)
    if given.shape not in (size, (count, *size)) or given.dtype != bool:
        raise OptionError(
            f"the mask must be truth values of the shape {list(size)} or "
            f"{[count, *size]} (True: missing), got {given.dtype} {list(given.shape)}."
        )
    return torch.from_numpy(np.broadcast_to(given, (count, *size)).copy())


def _of_block(
    model: VAE, x: Tensor, missing: Tensor, levels: int, draws: int, walk: Walk
) -> tuple[Tensor, Tensor]:
    """Mean `[B, C, H, W]` and draws `[K, B, C, H, W]` of a block."""
    size = len(x)
    gaps = missing[:, None].expand_as(x)

    def among(filling: Tensor) -> Tensor:
        """Pictures `[M·B, C, H, W]`, filled where they have gaps."""
        fill = filling.reshape(CHAINS, size, *x.shape[1:])
        if fill.is_floating_point():  # of a likelihood of real numbers
            fill = fill.round().clamp(0, levels - 1)
        fill = fill.to(x.dtype)
        return torch.where(gaps, fill, x).flatten(0, 1)

    prior: Distribution = model.prior()
    filled = among(model.decoder(prior.sample(torch.Size((1, CHAINS * size)))).sample()[0])
    for _ in range(walk.rounds):
        z, log_q = walk.step(model, filled, missing.repeat(CHAINS, 1, 1))
        p: Distribution = model.decoder(z)
        filled = among(p.sample()[0])
    of_pixels = log_prob_of_pixels(p, filled)[0]
    seen = of_pixels.masked_fill(missing.repeat(CHAINS, 1, 1), 0.0).sum((-2, -1))
    log_w = (seen + prior.log_prob(z)[0] - log_q[0]).reshape(CHAINS, size)
    weights = log_w.double().softmax(0)
    return _summed_up(x, gaps, p.mean[0], filled, weights, draws)


def _summed_up(
    x: Tensor, gaps: Tensor, means: Tensor, filled: Tensor, weights: Tensor, draws: int
) -> tuple[Tensor, Tensor]:
    """The weighted mean and draws of the chains, `[M·B, C, H, W]` with weights `[M, B]`."""
    size = len(x)
    of_chains = means.reshape(CHAINS, size, *x.shape[1:])
    mean = torch.einsum("mb,mbchw->bchw", weights.to(of_chains), of_chains)
    chosen = torch.multinomial(weights.T, draws, replacement=True).T  # [K, B]
    chains = filled.reshape(CHAINS, size, *x.shape[1:])
    return torch.where(gaps, mean, x.to(mean)), chains[chosen, torch.arange(size, device=x.device)]
