"""Voices written where some are given: a bar rewritten, a tune continued, voices added to one.

How particles walk is said in `particles`: here is how one of them is written, symbol by symbol.
With the highest voice given, the others are written under it; with the last bars given, the code
(which has seen them) leads towards them. What comes out is possible under the model, not edited to
be right: bars that are hard to join are joined as well as the particles find.

This module does not know what symbols stand for, save that those of one step go together.
"""

from typing import Any

import torch
from torch import Tensor

from variate.distributions import temper
from variate.distributions.sequences import draw
from variate.models import VAE, SequenceDecoder
from variate.music.particles import PARTICLES, Writer, infilled_by, resampled
from variate.music.texture import Infilled
from variate.verbs import device_of

__all__ = ["infilled"]


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

    def writer(part: slice) -> Writer:
        given = x[part].to(device).repeat_interleave(PARTICLES, 0)
        gaps = missing[part].to(device).repeat_interleave(PARTICLES, 0)
        return lambda z, start: _written(model.decoder, z, given, gaps, voices, temperature, start)

    return infilled_by(model, len(x), writer, draws=draws, seed=seed)


def _written(
    decoder: Any,
    z: Tensor,
    given: Tensor,
    gaps: Tensor,
    voices: int,
    temperature: float,
    start: Tensor,
) -> tuple[Tensor, Tensor]:
    """Items `[N, T']` and their log-weights `[N]`."""
    assert isinstance(decoder, SequenceDecoder)
    net: Any = decoder.net
    grammar = decoder.grammar
    law: Any = temper(decoder(z[None]), temperature)
    x, weight, last = given.clone(), start, given.shape[1] - 1
    memory, before = net.begin(z), None
    state = torch.zeros_like(x[:, 0]) if grammar is None else grammar.begin(len(x), x.device)
    for place in range(x.shape[1]):
        logits, memory = net.step(memory, before)
        shaped = law._shaped(logits, state).log_softmax(-1)
        before = torch.where(gaps[:, place], draw(shaped), given[:, place])
        told = shaped.gather(1, before[:, None])[:, 0].clamp(min=-100.0)
        weight = torch.where(gaps[:, place], weight, weight + told)
        x[:, place] = before
        if grammar is not None:
            state = grammar.after(state, before)
        chosen = resampled(weight) if place % voices == 0 and 0 < place < last else None
        if chosen is not None:
            kept, weight = chosen
            x, state, before = (part[kept] for part in (x, state, before))
            memory = net.select(memory, kept)
    return x, weight
