r"""Tracks written where some notes are given: a bar rewritten, a hand added, a piece continued.

Notes have no fixed place among the symbols of an item, so what is given is not a place but a note.
At each symbol the rules leave the set A of those by which all notes that are given can still come:
the next of them may not be passed by, its length is its own, no key is held over one that is
given, and where nothing is missing there is nothing else. A symbol is drawn from the law within A,
and the mass of A weighs the particle (`particles`):

    x_i ~ p(x_i | x_<i, z) 1[x_i ∈ A] / p(A)          w  <-  w p(A)

What goes before the first gap is read at once. From there on particles write at their own pace and
wait for each other at each quarter, where they are drawn anew, up to the last note that is given:
those compared have answered for the same notes.

This module does not know pitches.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from variate.distributions import temper
from variate.distributions.sequences import Sequences, draw
from variate.models import VAE
from variate.music.particles import PARTICLES, Writer, infilled_by, resampled
from variate.music.polyphony.events import END, Events
from variate.music.texture import Infilled
from variate.verbs import device_of

__all__ = ["Given", "infilled_tracks"]

WAIT = 4  # steps between two looks at the weights
ROOM = 2  # times as many symbols as an item of the model has


class Given:
    """The notes of items that are given, and where others may be.

    Args:
        events: The symbols of the items.
        x: Items `[N, T]`.
        missing: Which steps are missing in which track, bool `[N, steps, tracks]`.
        track: The track of each note, `[notes]`.
        steps: Of the items, `[N]`.

    Attributes:
        known: The symbols before the first step that is missing, then ends, `[N, t]`.
        count: How many they are, `[N]`, the metre at the least.
    """

    def __init__(
        self, events: Events, x: Tensor, missing: Tensor, track: Tensor, steps: Tensor
    ) -> None:
        self.events = events
        count, self.steps, notes = len(x), missing.shape[1], events.notes
        self.missing, self.track, self.free = missing, track, missing[..., track]
        item, note, step, length = events.struck(x)
        kept = ~self.free[item, step, note]
        item, note, step, length = item[kept], note[kept], step[kept], length[kept]
        self.beyond = self.steps * notes
        self.length = torch.zeros(count, self.beyond + 1, dtype=torch.int64, device=x.device)
        self.length[item, step * notes + note] = length
        number = torch.arange(self.beyond + 1, device=x.device)
        here = torch.where(self.length > 0, number, self.beyond)
        self.following = here.flip(1).cummin(1).values.flip(1)  # the next given, from each on
        place = item * self.steps + step
        symbols = torch.zeros_like(self.length)
        symbols[item, step * notes + note] = 2 + (length - 1) // events.longest
        symbols[item, step * notes + note] += place != F.pad(place[:-1], (1, 0), value=-1)
        self.needed = symbols.flip(1).cumsum(1).flip(1)  # symbols of the given, from each on
        again = steps[:, None, None].expand(count, self.steps + 1, notes).clone()
        again[item, step, note] = step
        self.again = again.flip(1).cummin(1).values.flip(1)  # where each key is given next
        self.last = int(step.max()) if len(step) else -1
        self.first = int(missing.any(-1).any(0).int().argmax())
        after = events.step_of(events.states(F.pad(x, (0, 1), value=END)))[:, 1:]
        self.count = ((after < self.first) & (x != END)).sum(1).clamp(min=1)
        place = torch.arange(x.shape[1], device=x.device)
        self.known = torch.where(place < self.count[:, None], x, END)[:, : int(self.count.max())]

    def looks(self) -> list[int]:
        """The steps at which particles wait for each other, the last of which is the end.

        Before anything is missing they write the same, and behind the last note that is given
        they have nothing to answer for.
        """
        inner = range(WAIT, self.steps, WAIT)
        return [*(s for s in inner if self.first <= s < self.last + WAIT), self.steps]

    def allowed(self, state: Tensor, item: Tensor) -> Tensor:
        """Which symbols leave the given notes possible, bool `[P, K]`, at states of items."""
        events, notes = self.events, self.events.notes
        step, note, size = events.step_of(state), events.last_note(state), events.bar_of(state)
        first = step * notes + note + 1
        coming = self.following[item, first.clamp(max=self.beyond)][:, None]
        due, bar = coming // notes, step // size
        at = (bar * size)[:, None] + torch.arange(events.longest, device=state.device)
        room = (events.room_of(state) - self.needed[item, coming[:, 0]])[:, None]
        places = (at <= due) & ((self._open(state, item, at) & (room >= 3)) | (at == due))
        line = due // size[:, None] > bar[:, None]
        number = torch.arange(notes, device=state.device)
        flat = step[:, None] * notes + number
        free = self.free[item, step.clamp(max=self.steps - 1)]
        strike = (free & (flat < coming) & (room >= 2)) | (flat == coming)
        more, lengths = self._lengths(state, item, step, note, room)
        nothing = coming == self.beyond
        meters = nothing.expand(-1, len(events.of_bar))  # the rules allow none behind the first
        return torch.cat([nothing, line | nothing, places, more, lengths, strike, meters], -1)

    def _open(self, state: Tensor, item: Tensor, at: Tensor) -> Tensor:
        """Whether a key of a track that is missing there is up at steps `[P, S]`."""
        silent = self.events.silent_of(state)
        first = silent.new_full((len(state), self.missing.shape[-1]), self.steps)
        first.scatter_reduce_(1, self.track.expand_as(silent), silent, "amin")
        gaps = self.missing[item[:, None], at.clamp(max=self.steps - 1)]
        return (gaps & (first[:, None] <= at[..., None])).any(-1)

    def _lengths(
        self, state: Tensor, item: Tensor, step: Tensor, note: Tensor, room: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Whether a note may be longer `[P, 1]`, and its lengths `[P, S]`."""
        events = self.events
        struck = note.clamp(min=0)
        own = self.length[item, (step * events.notes + struck).clamp(max=self.beyond)][:, None]
        after = (step + 1).clamp(max=self.again.shape[1] - 1)
        most = (self.again[item, after, struck] - step)[:, None]
        longer = events.longer_of(state)[:, None] * events.longest
        length = longer + 1 + torch.arange(events.longest, device=state.device)
        given = own > 0
        more = torch.where(given, own, most) - longer > events.longest
        return more & (given | (room >= 2)), torch.where(given, length == own, length <= most)


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
    roomy = decoder.grammar.of_length(ROOM * decoder.length)

    def writer(part: slice) -> Writer:
        given = Given(
            roomy, x[part].to(device), missing[part].to(device), track.to(device),
            steps[part].to(device),
        )  # fmt: skip

        def write(z: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
            law = Sequences(decoder.net, z[None], roomy.length, END, roomy)
            return _written(temper(law, temperature), given, start)

        return write

    return infilled_by(model, len(x), writer, draws=draws, seed=seed)


def _written(law: Any, given: Given, start: Tensor) -> tuple[Tensor, Tensor]:
    """Items `[N, T']` and their log-weights `[N]`, which begin at `start`."""
    net, (z,) = law.reader, law.z
    known, count = given.known.repeat_interleave(PARTICLES, 0), given.count
    count = count.repeat_interleave(PARTICLES)
    place = torch.arange(known.shape[1], device=z.device)
    told = law.log_probs(known)[0]
    weight = start + torch.where(place < count[:, None], told, 0.0).sum(1)
    memory = net.written(z, known, count)
    x = F.pad(known, (0, law.length - known.shape[1]), value=END)
    *looks, end = given.looks()
    for step in looks:
        x, weight, memory = _written_until(step, law, given, x, weight, memory)
        chosen = resampled(weight)
        if chosen is not None:
            kept, weight = chosen
            x, memory = x[kept], net.select(memory, kept)
    x, weight, _ = _written_until(end, law, given, x, weight, memory)
    return x, weight


def _written_until(
    step: int, law: Any, given: Given, x: Tensor, weight: Tensor, memory: Any
) -> tuple[Tensor, Tensor, Any]:
    """Items, log-weights and memory once all particles have come to a step, or to their end."""
    net, events, x = law.reader, given.events, x.clone()
    goes = (~events.waits(memory.known, step)).nonzero()[:, 0]
    some = net.select(memory, goes)
    while len(goes):
        place = events.count_of(some.known)
        logits, some = net.told(some, x[goes, place - 1])
        logits = law._shaped(logits, some.known).log_softmax(-1)
        within = given.allowed(some.known, goes // PARTICLES)
        logits = logits.masked_fill(~within, -torch.inf)
        drawn = draw(logits)
        x[goes, place] = drawn
        weight = weight.index_add(0, goes, logits.logsumexp(-1))
        some = some._replace(known=events.after(some.known, drawn))
        waits = events.waits(some.known, step)
        if bool(waits.any()):
            memory = net.put(memory, net.select(some, waits), goes[waits])
            goes, some = goes[~waits], net.select(some, ~waits)
    return x, weight, memory
