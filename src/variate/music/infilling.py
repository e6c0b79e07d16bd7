r"""Symbols written where some are given: a bar rewritten, a tune continued, voices added to one.

With x = (o, m), observed and missing, p(m|o) is wanted. M particles for each item walk as those of
missing pixels do (`variate.image.inpainting`), their code from the whole item, the item from it,

    z_0 ~ p(z)     m_t ~ p(m | o so far, z_t)     z_{t+1} ~ q(z | o, m_t)

but symbols are given those before them, so what is observed *later* must be answered for on the
way. An item is written in order; an observed symbol is not drawn but weighs the particle by its
probability, and after each step particles are drawn anew in proportion to their weights where these
have become uneven (sequential importance resampling; Doucet & Johansen 2009). The last round counts
p(z) / q(z | o, m) into the weights, so that they are those of importance sampling.

With the highest voice given, the others are written under it; with the last bars given, the code
(which has seen them) leads towards them. What comes out is possible under the model, not edited to
be right: bars that are hard to join are joined as well as M particles find.

This module does not know what symbols stand for, save that those of one step go together.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from variate.distributions import temper
from variate.models import VAE, SequenceDecoder
from variate.randomness import isolated
from variate.verbs import device_of

__all__ = ["Infilled", "infilled"]

PARTICLES = 32
ROUNDS = 4
UNEVEN = 0.5  # of the particles: fewer in effect are drawn anew
ROWS = 256  # particles that are written at once


class Infilled(NamedTuple):
    """Items with what was missing written.

    Attributes:
        likeliest: The particle of the largest weight, `[N, T']`: weights count since the particles
            were last drawn anew, so it need not be the one of the largest p(x, z) / q(z|x).
        draws: `[K, N, T']`.
    """

    likeliest: Tensor
    draws: Tensor


@torch.no_grad()
def infilled(
    model: VAE,
    x: Tensor,
    missing: Tensor,
    *,
    voices: int,
    draws: int,
    seed: int | None,
    temperature: float = 1.0,
) -> Infilled:
    """Write what is missing.

    Args:
        model: The model.
        x: Items `[N, T']`; what they hold where something is missing counts for nothing.
        missing: Which places are missing, bool `[N, T']`.
        voices: How many symbols a step has.
        draws: K, of each item.
        seed: Makes the draws repeatable.
        temperature: Below 1: more typical symbols.
    """
    device = device_of(model)
    likeliest, drawn = [], []
    each = max(1, ROWS // PARTICLES)
    with isolated(seed, device):
        for items, gaps in zip(x.split(each), missing.split(each), strict=True):
            best, some = _of_block(
                model, items.to(device), gaps.to(device), voices, draws, temperature
            )
            likeliest.append(best.cpu())
            drawn.append(some.cpu())
    return Infilled(torch.cat(likeliest), torch.cat(drawn, 1))


def _of_block(
    model: VAE, x: Tensor, missing: Tensor, voices: int, draws: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """The likeliest `[B, T']` and draws `[K, B, T']` of a block."""
    size = len(x)
    given = x.repeat_interleave(PARTICLES, 0)
    gaps = missing.repeat_interleave(PARTICLES, 0)
    prior: Distribution = model.prior()
    z = prior.sample(torch.Size((len(given),)))
    written, weight = _written(model.decoder, z, given, gaps, voices, temperature)
    for _ in range(ROUNDS):
        q: Distribution = model.encoder(written)
        z = q.sample()
        # a code far from the prior's costs what it is improbable there
        start = prior.log_prob(z) - q.log_prob(z)
        written, weight = _written(model.decoder, z, given, gaps, voices, temperature, start)
    weights = weight.unflatten(0, (size, PARTICLES))
    chains = written.unflatten(0, (size, PARTICLES))
    best = chains[torch.arange(size, device=x.device), weights.argmax(1)]
    chosen = torch.multinomial(weights.double().softmax(1), draws, replacement=True).T
    return best, chains[torch.arange(size, device=x.device), chosen]


def _written(
    decoder: Any,
    z: Tensor,
    given: Tensor,
    gaps: Tensor,
    voices: int,
    temperature: float,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Items `[N, T']` and their log-weights `[N]`."""
    assert isinstance(decoder, SequenceDecoder)
    net: Any = decoder.net
    grammar = decoder.grammar
    law: Any = temper(decoder(z[None]), temperature)
    x = given.clone()
    weight = torch.zeros(len(x), device=x.device) if start is None else start.float()
    memory, before = net.begin(z), None
    state = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for place in range(x.shape[1]):
        logits, memory = net.step(memory, before)
        shaped = law._shaped(logits, state).log_softmax(-1)
        drawn = torch.multinomial(shaped.exp(), 1)[:, 0]
        before = torch.where(gaps[:, place], drawn, given[:, place])
        told = shaped.gather(1, before[:, None])[:, 0].clamp(min=-100.0)
        weight = torch.where(gaps[:, place], weight, weight + told)
        x[:, place] = before
        if grammar is not None:
            state = grammar.after(state, before)
        if place % voices == 0 and place:
            chosen = _resampled(weight)
            if chosen is not None:
                weight = _levelled(weight)
                x, state, before = (kept[chosen] for kept in (x, state, before))
                memory = net.select(memory, chosen)
    return x, weight


def _resampled(weight: Tensor) -> Tensor | None:
    """Which particles go on, if too few of any item count; each item's own go on for it."""
    weights = weight.unflatten(0, (-1, PARTICLES)).double().softmax(1)
    effective = 1 / weights.square().sum(1)
    if not bool((effective < UNEVEN * PARTICLES).any()):
        return None
    uneven = (effective < UNEVEN * PARTICLES)[:, None]
    # systematic: one draw for all, evenly spread, so that a weight of 2 in M goes on about twice
    offset = torch.rand(len(weights), 1, device=weight.device, dtype=weights.dtype)
    points = (torch.arange(PARTICLES, device=weight.device) + offset) / PARTICLES
    chosen = torch.searchsorted(weights.cumsum(1), points).clamp(max=PARTICLES - 1)
    own = torch.arange(PARTICLES, device=weight.device).expand_as(chosen)
    chosen = torch.where(uneven, chosen, own)
    first = torch.arange(len(weights), device=weight.device)[:, None] * PARTICLES
    found: Tensor = (chosen + first).flatten()
    return found


def _levelled(weight: Tensor) -> Tensor:
    """The weights after particles were drawn anew: their item's mean; those of others stay."""
    of_items = weight.unflatten(0, (-1, PARTICLES)).double()
    weights = of_items.softmax(1)
    uneven = (1 / weights.square().sum(1) < UNEVEN * PARTICLES)[:, None]
    mean = of_items.logsumexp(1, keepdim=True) - torch.log(torch.tensor(float(PARTICLES)))
    return torch.where(uneven, mean.expand_as(of_items), of_items).flatten().float()
