r"""Particles that write what is missing: rounds over codes, and weights that are kept even.

With x = (o, m), observed and missing, p(m|o) is wanted. M particles for each item walk as those of
missing pixels do (`variate.image.inpainting`), their code from the whole item, the item from it,

    z_0 ~ p(z)     m_t ~ p(m | o so far, z_t)     z_{t+1} ~ q(z | o, m_t)

but symbols are given those before them, so what is observed *later* must be answered for on the
way. An item is written in order; an observed symbol is not drawn but weighs the particle by its
probability, and from time to time particles are drawn anew in proportion to their weights where
these have become uneven (sequential importance resampling; Doucet & Johansen 2009). The last round
counts p(z) / q(z | o, m) into the weights, so that they are those of importance sampling.

This module does not know how an item is written.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from variate.models import VAE
from variate.music.texture import Infilled
from variate.randomness import isolated
from variate.verbs import device_of

__all__ = ["PARTICLES", "Writer", "infilled_by", "resampled"]

PARTICLES = 32
ROUNDS = 4
UNEVEN = 0.5  # of the particles: fewer in effect are drawn anew
ROWS = 256  # particles that are written at once

# codes `[N, D]` and log-weights `[N]` that particles start with -> items `[N, T']`, log-weights
Writer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@torch.no_grad()
def infilled_by(
    model: VAE,
    items: int,
    writer: Callable[[slice], Writer],
    *,
    draws: int,
    seed: int | None,
) -> Infilled:
    """Write what is missing of so many items.

    Args:
        model: The model.
        items: N.
        writer: What writes some of the items, each `PARTICLES` times, one after the other.
        draws: K, of each item.
        seed: Makes the draws repeatable.
    """
    device = device_of(model)
    likeliest, drawn = [], []
    each = max(1, ROWS // PARTICLES)
    with isolated(seed, device):
        for start in range(0, items, each):
            part = slice(start, min(start + each, items))
            best, some = _of_block(model, part.stop - start, writer(part), draws)
            likeliest.append(best.cpu())
            drawn.append(some.cpu())
    return Infilled(torch.cat(likeliest), torch.cat(drawn, 1))


def _of_block(model: VAE, size: int, write: Writer, draws: int) -> tuple[Tensor, Tensor]:
    """The likeliest `[B, T']` and draws `[K, B, T']` of a block."""
    prior: Distribution = model.prior()
    z = prior.sample(torch.Size((size * PARTICLES,)))
    written, weight = write(z, torch.zeros(len(z), device=z.device))
    for _ in range(ROUNDS):
        uneven = resampled(weight)
        if uneven is not None:
            written = written[uneven[0]]
        q: Distribution = model.encoder(written)
        z = q.sample()
        # a code far from the prior's costs what it is improbable there
        start = prior.log_prob(z) - q.log_prob(z)
        written, weight = write(z, start.float())
    weights = weight.unflatten(0, (size, PARTICLES))
    chains = written.unflatten(0, (size, PARTICLES))
    best = chains[torch.arange(size, device=z.device), weights.argmax(1)]
    chosen = torch.multinomial(weights.double().softmax(1), draws, replacement=True).T
    return best, chains[torch.arange(size, device=z.device), chosen]


def resampled(weight: Tensor) -> tuple[Tensor, Tensor] | None:
    """Which particles go on, and the log-weights of these; None where enough of each item count.

    Each item's own go on for it, with their mean weight; those of an item of which enough count
    stay as they are.
    """
    of_items = weight.unflatten(0, (-1, PARTICLES)).double()
    shares = of_items.softmax(1)
    uneven = (1 / shares.square().sum(1) < UNEVEN * PARTICLES)[:, None]
    if not bool(uneven.any()):
        return None
    # systematic: one draw for all, evenly spread, so that a weight of 2 in M goes on about twice
    own = torch.arange(PARTICLES, device=weight.device).expand_as(shares)
    offset = torch.rand(len(shares), 1, device=weight.device, dtype=shares.dtype)
    chosen = torch.searchsorted(shares.cumsum(1), (own + offset) / PARTICLES)
    chosen = torch.where(uneven, chosen.clamp(max=PARTICLES - 1), own)
    first = torch.arange(len(shares), device=weight.device)[:, None] * PARTICLES
    mean = of_items.logsumexp(1, keepdim=True) - math.log(PARTICLES)
    return (chosen + first).flatten(), torch.where(uneven, mean, of_items).flatten().float()
