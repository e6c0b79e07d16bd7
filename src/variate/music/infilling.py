"""Voices written where some are given: a bar rewritten, a tune continued, voices added to one.

How particles walk is said in `particles`: here is how one of them is written, symbol by symbol.
With the highest voice given, the others are written under it; with the last bars given, the code
(which has seen them) leads towards them. What comes out is possible under the model, not edited to
be right: bars that are hard to join are joined as well as the particles find.

Where what is given follows on what was written, it sounds as it did. A hold that is given says that
what sounded goes on, and what sounded there has been written anew. With q what sounds in a voice of
a particle, and s what sounded where a hold or a rest is given,

    hold, where q = s          a rest goes on, or a note of the same pitch
    s itself, where it is not  a rest, or the note struck anew

A pitch that is given is struck, whatever came before it.

This module does not know what symbols stand for, save holds, rests, and that those of one step go
together.
"""

from typing import Any

import torch
from torch import Tensor

from variate.distributions import temper
from variate.distributions.sequences import draw
from variate.models import VAE, SequenceDecoder
from variate.music.grid import HOLD, PITCH
from variate.music.layout import heard
from variate.music.particles import PARTICLES, Writer, infilled_by, resampled
from variate.music.texture import Infilled
from variate.verbs import device_of

__all__ = ["infilled"]

NOTHING = -1  # sounds before the first step, not even a rest


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
        x: Items `[N, T']`; what they hold where something is missing counts for no more than what
            is held from there on.
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
    sounded = heard(given[:, 1:].unflatten(1, (-1, voices))).flatten(1)
    sounds = torch.full_like(given[:, :voices], NOTHING)
    state = torch.zeros_like(x[:, 0]) if grammar is None else grammar.begin(len(x), x.device)
    for place in range(x.shape[1]):
        logits, memory = net.step(memory, before)
        shaped = law._shaped(logits, state).log_softmax(-1)
        stays, voice = given[:, place], (place - 1) % voices
        if place > 0:
            stays = _going_on(stays, sounded[:, place - 1], sounds[:, voice], shaped)
        before = torch.where(gaps[:, place], draw(shaped), stays)
        told = shaped.gather(1, before[:, None])[:, 0].clamp(min=-100.0)
        weight = torch.where(gaps[:, place], weight, weight + told)
        x[:, place] = before
        if place > 0:
            sounds[:, voice] = torch.where(before == HOLD, sounds[:, voice], before)
        if grammar is not None:
            state = grammar.after(state, before)
        chosen = resampled(weight) if place % voices == 0 and 0 < place < last else None
        if chosen is not None:
            kept, weight = chosen
            x, state, before, sounds = (part[kept] for part in (x, state, before, sounds))
            memory = net.select(memory, kept)
    return x, weight


def _going_on(given: Tensor, sounded: Tensor, sounds: Tensor, shaped: Tensor) -> Tensor:
    """What is written of symbols that are given, `[N]`: see the module.

    Args:
        given: The symbols, `[N]`.
        sounded: What sounded there where they come from, `[N]`.
        sounds: What sounds now, `[N]`.
        shaped: The logits of what may be written, `[N, K]`; past the end of an item only holds.
    """
    wanted = torch.where(sounds == sounded, HOLD, sounded)
    possible = shaped.gather(1, wanted[:, None])[:, 0].isfinite()
    return torch.where((given < PITCH) & possible, wanted, given)
