r"""Any number of notes at a time as one sequence of symbols, and which symbol may come next.

    item   =  metre  bar  | bar  | …  bar  end              B bars, the last of which the end closes
    bar    =  ( place  ( note  longer*  length )+ )*

    place p     sixteenths from the bar line; within a bar they ascend
    note n      track after track, in each from the highest pitch down; at one place they ascend
    length r    1, …, S sixteenths, and S more for each `longer` before it; S those of a bar

so that a set of notes on the grid has one sequence and a sequence one set of notes. The rules
(`distributions.Rules`) leave nothing else: places and notes in their order, notes that end within
the item, and a key that is struck only when it is up,

    n may be struck at step t   <=>   u_n ≤ t          u_n  the step at which n is silent again

since a key that is down twice is one that no instrument has, and that no MIDI file can tell.
Nothing begins that cannot be ended within L symbols: all items of at most L have mass one.

What is known of a sequence (the step, the last note, u) is the state of the rules, and what the
network is told of the past. miditok's REMI is the same idea with more names. It is not used: its
tokens say nothing of which may follow which, so a law over them has mass on what is no music; and
it takes seconds to import.

This module does not know pitches, files or networks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["END", "LINE", "Events", "Struck"]

END, LINE, PLACE = 0, 1, 2  # PLACE + p is the place p
COUNT, METER, BAR, AT, NOTE, PHASE, LONGER, UNTIL = range(8)  # of a state; u from UNTIL on
START, OPEN, PLACED, SOUNDING, OVER = range(5)  # phases: what is expected next
KEPT = torch.int16  # what states are kept in; no number of theirs is above 2^15


class Struck(NamedTuple):
    """Notes of items.

    Attributes:
        item: The number of the item, `[M]`.
        note: n, `[M]`.
        step: Where it begins, from the item's beginning, `[M]`.
        length: Steps, `[M]`.
    """

    item: Tensor
    note: Tensor
    step: Tensor
    length: Tensor


class Events(nn.Module):
    """The symbols of items and their order; it has no parameters and follows a model's device.

    Args:
        bars: B.
        steps: Sixteenths of a bar in each metre.
        notes: How many notes there are, all tracks together.
        length: L, the most symbols of an item, its metre and its end among them.

    Attributes:
        longest: S, the steps of the longest bar.
        longer: The symbol of that name.
        first_length: The symbol of the length 1.
        first_note: The symbol of the note 0.
        first_meter: The symbol of the first metre.
        size: K.
    """

    of_bar: Tensor

    def __init__(self, bars: int, steps: Sequence[int], notes: int, length: int) -> None:
        super().__init__()
        self.bars = bars
        self.notes = notes
        self.length = length
        self.longest = max(steps)
        self.longer = PLACE + self.longest
        self.first_length = self.longer + 1
        self.first_note = self.first_length + self.longest
        self.first_meter = self.first_note + notes
        self.size = self.first_meter + len(steps)
        self.register_buffer("of_bar", torch.tensor(list(steps)), persistent=False)

    # -- the rules ------------------------------------------------------------------------------

    def begin(self, count: int, device: torch.device) -> Tensor:
        """The states of so many sequences before their first place, `[N, 7 + notes]`."""
        state = torch.zeros(count, UNTIL + self.notes, dtype=KEPT, device=device)
        state[:, AT] = state[:, NOTE] = -1
        return state

    def states(self, x: Tensor) -> Tensor:
        """The state before each place of x `[..., T]`, `[..., T, 7 + notes]`."""
        x = x.long()
        places = torch.arange(x.shape[-1], device=x.device).expand(x.shape)
        meter = (x[..., :1] - self.first_meter).clamp(0, len(self.of_bar) - 1)
        kinds = self._kinds(x)
        bar = kinds.line.cumsum(-1)
        begins = kinds.line | kinds.meter | kinds.place
        at = _last(x - PLACE, kinds.place, begins, places)
        struck = begins | kinds.note
        note = _last(x - self.first_note, kinds.note, struck, places)
        longer = kinds.longer.cumsum(-1)
        longer = longer - longer.gather(-1, torch.where(struck, places, 0).cummax(-1).values)
        step = bar * self.of_bar[meter] + at
        ends = torch.where(
            kinds.length, step + longer * self.longest + x - self.first_length + 1, 0
        )
        until = torch.zeros(*x.shape, self.notes, dtype=KEPT, device=x.device)
        until.scatter_(-1, note.clamp(min=0)[..., None], ends[..., None].to(KEPT))
        known = [places + 1, meter.expand(x.shape), bar, at, note, kinds.phase(), longer]
        known[LONGER] = torch.where(kinds.longer, longer, 0)
        after = torch.cat([torch.stack(known, -1).to(KEPT), until.cummax(-2).values], -1)
        first = self.begin(1, x.device).expand(*x.shape[:-1], 1, -1)
        return torch.cat([first, after[..., :-1, :]], -2)

    def after(self, state: Tensor, symbols: Tensor) -> Tensor:
        """The states `[N, 7 + notes]` that follow on states and symbols `[N]`."""
        kinds = self._kinds(symbols)
        step, past = self.step_of(state), state.long()
        zero = torch.zeros_like(symbols)
        closes = kinds.line | kinds.meter
        note = torch.where(kinds.note, symbols - self.first_note, past[:, NOTE])
        known = [
            past[:, COUNT] + 1,
            torch.where(kinds.meter, symbols - self.first_meter, past[:, METER]),
            past[:, BAR] + kinds.line,
            torch.where(kinds.place, symbols - PLACE, torch.where(closes, -1, past[:, AT])),
            torch.where(closes | kinds.place, -1, note),
            kinds.phase(),
            torch.where(kinds.longer, past[:, LONGER] + 1, torch.where(kinds.note, 0, zero)),
        ]
        ends = step + past[:, LONGER] * self.longest + symbols - self.first_length + 1
        until = state[:, UNTIL:].clone()
        chosen = past[:, NOTE].clamp(min=0)[:, None]
        ended = torch.where(kinds.length[:, None], ends[:, None].to(KEPT), until.gather(1, chosen))
        until.scatter_(1, chosen, ended)
        return torch.cat([torch.stack(known, -1).to(KEPT), until], -1)

    def masked(self, logits: Tensor, state: Tensor) -> Tensor:
        """Logits `[..., K]`, -∞ where a state does not allow a symbol."""
        return logits.masked_fill(~self.allowed(state), -torch.inf)

    def allowed(self, state: Tensor) -> Tensor:
        """Which symbols may follow on states `[..., 7 + notes]`, bool `[..., K]`."""
        count, meter, bar, at, note, phase, longer = state[..., :UNTIL].long()[..., None].unbind(-2)
        until = state[..., UNTIL:]
        of_bar = self.of_bar[meter]
        step, beyond = bar * of_bar + at, of_bar * self.bars
        free = self.length - count - (self.bars - bar)  # symbols, but for bar lines and the end
        open_, placed, sounds = phase == OPEN, phase == PLACED, phase == SOUNDING
        last = bar == self.bars - 1
        place = torch.arange(self.longest, device=state.device)
        places = open_ & (free >= 3) & (place > at) & (place < of_bar)
        places = places & (bar * of_bar + place >= until.amin(-1, keepdim=True))
        reach = beyond - step - longer * self.longest  # steps that are left to this note
        lengths = sounds & (place < reach)
        number = torch.arange(self.notes, device=state.device)
        notes = (placed | (open_ & (at >= 0) & (free >= 2))) & (number > note) & (until <= step)
        first = (phase == START).expand(*state.shape[:-1], len(self.of_bar))
        line, end = open_ & ~last, (open_ & last) | (phase == OVER)
        more = sounds & (reach > self.longest) & (free >= 2)
        return torch.cat([end, line, places, more, lengths, notes, first], -1)

    # -- what a network asks --------------------------------------------------------------------

    def meter_of(self, state: Tensor) -> Tensor:
        """The number of the metre in states, `[...]`."""
        return state[..., METER].long()

    def place_of(self, state: Tensor) -> Tensor:
        """1 + the place in the bar, `[...]`; 0 at a bar line."""
        return state[..., AT].long() + 1

    def of_length(self, length: int) -> "Events":
        """The same symbols with another L."""
        return Events(self.bars, self.of_bar.tolist(), self.notes, length).to(self.of_bar.device)

    def bar_of(self, state: Tensor) -> Tensor:
        """The steps of a bar in states, `[...]`."""
        return self.of_bar[self.meter_of(state)]

    def count_of(self, state: Tensor) -> Tensor:
        """How many symbols there were, `[...]`."""
        return state[..., COUNT].long()

    def longer_of(self, state: Tensor) -> Tensor:
        """How many times longer the last note is made, `[...]`."""
        return state[..., LONGER].long()

    def waits(self, state: Tensor, step: int) -> Tensor:
        """Whether items are written up to a step, or to their end, bool `[...]`."""
        return (self.step_of(state) >= step) | (state[..., PHASE] == OVER)

    def last_note(self, state: Tensor) -> Tensor:
        """The last note at the place of states, `[...]`; -1 if there is none."""
        return state[..., NOTE].long()

    def step_of(self, state: Tensor) -> Tensor:
        """The step in the item, `[...]`; that of the bar line before the first place of a bar."""
        bar, at = state[..., BAR].long(), state[..., AT].long()
        return bar * self.of_bar[self.meter_of(state)] + at.clamp(min=0)

    def down(self, state: Tensor) -> Tensor:
        """Which notes sound at the step of states, bool `[..., notes]`."""
        return state[..., UNTIL:] > self.step_of(state)[..., None]

    def struck(self, x: Tensor) -> Struck:
        """The notes of items x `[N, T]`, in their order."""
        state = self.states(x)
        item, place = (self._kinds(x).length & (state[..., PHASE] == SOUNDING)).nonzero(
            as_tuple=True
        )
        here = state[item, place]
        length = here[:, LONGER].long() * self.longest + x[item, place] - self.first_length + 1
        return Struck(item, here[:, NOTE].long(), self.step_of(here), length)

    def steps_of(self, x: Tensor) -> Tensor:
        """How many steps items x `[N, T]` have, `[N]`."""
        return self.of_bar[x[:, 0].long() - self.first_meter] * self.bars

    def _kinds(self, x: Tensor) -> "_Kinds":
        note = (x >= self.first_note) & (x < self.first_meter)
        length = (x >= self.first_length) & (x < self.first_note)
        place = (x >= PLACE) & (x < self.longer)
        return _Kinds(
            x == END, x == LINE, place, x == self.longer, length, note, x >= self.first_meter
        )


class _Kinds(NamedTuple):
    end: Tensor
    line: Tensor
    place: Tensor
    longer: Tensor
    length: Tensor
    note: Tensor
    meter: Tensor

    def phase(self) -> Tensor:
        """What is expected after each symbol."""
        found = torch.full_like(self.end, OPEN, dtype=torch.int64)
        found = torch.where(self.place, PLACED, found)
        found = torch.where(self.note | self.longer, SOUNDING, found)
        return torch.where(self.end, OVER, found)


def _last(values: Tensor, among: Tensor, marks: Tensor, places: Tensor) -> Tensor:
    """At each place the value at the last mark, -1 if that is not among those of interest."""
    last = torch.where(marks, places, 0).cummax(-1).values
    return torch.where(among, values, -1).gather(-1, last)
