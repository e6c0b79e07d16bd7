r"""Tracks written where some notes are given: a bar rewritten, a hand added, a piece continued.

Notes have no fixed place among the symbols of an item, so what is given is not a place but a note.
At each symbol the rules leave the set A of those by which all notes that are given can still come:
the next of them may not be passed by, its length is its own, no key is held over one that is
given, and where nothing is missing there is nothing else. A symbol is drawn from the law within A,
and the mass of A weighs the particle (`particles`):

    x_i ~ p(x_i | x_<i, z) 1[x_i ∈ A] / p(A)          w  <-  w p(A)

Particles write at their own pace and wait for each other at each quarter, where they are drawn
anew: those compared have answered for the same notes.

This module does not know pitches.
"""

from typing import Any

import torch
from torch import Tensor

from variate.distributions import temper
from variate.models import VAE
from variate.music.particles import PARTICLES, Writer, infilled_by, levelled, resampled
from variate.music.polyphony.events import END, Events
from variate.music.texture import Infilled
from variate.verbs import device_of

__all__ = ["Given", "infilled_tracks"]

WAIT = 4  # steps between two looks at the weights
LOST = -1e4  # what a particle weighs that cannot go on
ROOM = 2  # times as many symbols as an item of the model has


class Given(torch.nn.Module):
    """The notes of items that are given, and where others may be.

    Args:
        events: The symbols of the items.
        x: Items `[N, T]`.
        missing: Which steps are missing in which track, bool `[N, steps, tracks]`.
        track: The track of each note, `[notes]`.
        steps: Of the items, `[N]`.
    """

    def __init__(
        self, events: Events, x: Tensor, missing: Tensor, track: Tensor, steps: Tensor
    ) -> None:
        super().__init__()
        self.events, self.missing, self.track = events, missing, track
        count, places, notes = len(x), missing.shape[1], events.notes
        item, note, step, length = events.struck(x)
        kept = ~missing[item, step, track[note]]
        item, note, step, length = item[kept], note[kept], step[kept], length[kept]
        self.beyond = places * notes
        self.length = torch.zeros(count, self.beyond + 1, dtype=torch.int64, device=x.device)
        self.length[item, step * notes + note] = length
        number = torch.arange(self.beyond + 1, device=x.device)
        here = torch.where(self.length > 0, number, self.beyond)
        self.following = here.flip(1).cummin(1).values.flip(1)  # the next given, from each on
        again = steps[:, None, None].expand(count, places + 1, notes).clone()
        again[item, step, note] = step
        self.again = again.flip(1).cummin(1).values.flip(1)  # where each key is given next

    def allowed(self, state: Tensor, item: Tensor) -> Tensor:
        """Which symbols leave the given notes possible, bool `[P, K]`, at states of items."""
        events, notes = self.events, self.events.notes
        step, note, size = events.step_of(state), events.last_note(state), events.bar_of(state)
        first = step * notes + note + 1
        coming = self.following[item, first.clamp(max=self.beyond)][:, None]
        due, bar = coming // notes, step // size
        at = (bar * size)[:, None] + torch.arange(events.longest, device=state.device)
        open_ = self.missing.any(-1)[item[:, None], at.clamp(max=self.missing.shape[1] - 1)]
        places = (at <= due) & (open_ | (at == due))
        line = due // size[:, None] > bar[:, None]
        number = torch.arange(notes, device=state.device)
        flat = step[:, None] * notes + number
        within = step.clamp(max=self.missing.shape[1] - 1)
        free = self.missing[item, within][:, self.track]
        strike = (free & (flat < coming)) | (flat == coming)
        more, lengths = self._lengths(state, item, step, note)
        nothing = coming == self.beyond
        meters = torch.ones(len(state), len(events.of_bar), dtype=torch.bool, device=state.device)
        return torch.cat([nothing, line | nothing, places, more, lengths, strike, meters], -1)

    def _lengths(
        self, state: Tensor, item: Tensor, step: Tensor, note: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Whether a note may be longer `[P, 1]`, and its lengths `[P, S]`."""
        events = self.events
        struck = note.clamp(min=0)
        own = self.length[item, (step * events.notes + struck).clamp(max=self.beyond)][:, None]
        after = (step + 1).clamp(max=self.again.shape[1] - 1)
        room = (self.again[item, after, struck] - step)[:, None]
        longer = events.longer_of(state)[:, None] * events.longest
        length = longer + 1 + torch.arange(events.longest, device=state.device)
        given = own > 0
        more = torch.where(given, own - longer > events.longest, room - longer > events.longest)
        return more, torch.where(given, length == own, length <= room)


def infilled_tracks(
    model: VAE,
    x: Tensor,
    missing: Tensor,
    track: Tensor,
    steps: Tensor,
    *,
    draws: int,
    seed: int | None,
    temperature: float = 1.0,
) -> Infilled:
    """Write what is missing.

    Args:
        model: The model.
        x: Items `[N, T]`; what they hold where something is missing counts for nothing.
        missing: Which steps are missing in which track, bool `[N, steps, tracks]`.
        track: The track of each note, `[notes]`.
        steps: Of the items, `[N]`.
        draws: K, of each item.
        seed: Makes the draws repeatable.
        temperature: Below 1: more typical symbols.
    """
    device = device_of(model)
    decoder: Any = model.decoder
    events = decoder.grammar
    roomy = events.of_length(ROOM * events.length)

    def writer(part: slice) -> Writer:
        given = Given(
            roomy, x[part].to(device), missing[part].to(device), track.to(device),
            steps[part].to(device),
        )  # fmt: skip
        meter = x[part, 0].to(device).repeat_interleave(PARTICLES)
        return lambda z, start: _written(decoder, z, given, meter, temperature, start)

    return infilled_by(model, len(x), writer, draws=draws, seed=seed)


def _written(
    decoder: Any, z: Tensor, given: Given, meter: Tensor, temperature: float, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Items `[N, T']` and their log-weights `[N]`."""
    net, events, device = decoder.net, given.events, z.device
    law: Any = temper(decoder(z[None]), temperature)
    item = torch.arange(len(z), device=device) // PARTICLES
    x = torch.full((len(z), events.length), END, dtype=torch.int64, device=device)
    weight, state = start, events.begin(len(z), device)
    logits, memory = net.step(net.begin(z), None)
    told = events.masked(law._shaped(logits, None), state).log_softmax(-1)
    weight = weight + told.gather(1, meter[:, None])[:, 0].clamp(min=-100.0)
    x[:, 0], before = meter, meter
    state = events.after(state, meter)
    most = int(given.missing.shape[1])
    for wait in range(WAIT, most + WAIT, WAIT):
        goes = ~events.waits(state, wait)
        while bool(goes.any()):
            logits, moved = net.step(memory, before)
            memory = net.kept(memory, moved, goes)
            logits = events.masked(law._shaped(logits, None), state).log_softmax(-1)
            drawn, mass = _drawn(logits, given.allowed(state, item))
            weight = torch.where(goes, weight + mass, weight)
            before = torch.where(goes, drawn, before)
            place = events.count_of(state).clamp(max=events.length - 1)
            x[goes, place[goes]] = drawn[goes]
            state = torch.where(goes[:, None], events.after(state, drawn), state)
            goes = goes & ~events.waits(state, wait)
        chosen = resampled(weight)
        if chosen is not None:
            weight = levelled(weight)
            x, state, before = (kept[chosen] for kept in (x, state, before))
            memory = net.select(memory, chosen)
    return x, weight


def _drawn(logits: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Draws within what is allowed, and the mass of that (as logs); any symbol if it is nothing."""
    within = logits.masked_fill(~allowed, -torch.inf)
    mass = within.logsumexp(-1)
    lost = torch.isinf(mass)
    law = torch.where(lost[:, None], logits, within).softmax(-1)
    return torch.multinomial(law, 1)[:, 0], torch.where(lost, LOST, mass)
