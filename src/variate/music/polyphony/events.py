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
import torch.nn.functional as F
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
    sets: Tensor
    adds: Tensor
    lengths: Tensor

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
        sets, adds, lengths = self._tables()
        self.register_buffer("sets", sets, persistent=False)
        self.register_buffer("adds", adds, persistent=False)
        self.register_buffer("lengths", lengths, persistent=False)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """What each symbol does to the numbers of a state before u, and the steps that it lasts.

        A number becomes what is added `[K, 7]` where it is set, bool `[K, 7]`, and else grows by
        it.
        """
        symbol = torch.arange(self.size)
        line, longer, meter = symbol == LINE, symbol == self.longer, symbol >= self.first_meter
        place = (symbol >= PLACE) & (symbol < self.longer)
        length = (symbol >= self.first_length) & (symbol < self.first_note)
        note = (symbol >= self.first_note) & ~meter
        adds = torch.zeros(self.size, UNTIL, dtype=torch.int64)
        sets = torch.zeros_like(adds, dtype=torch.bool)
        adds[:, COUNT] = 1
        adds[:, BAR] = line
        adds[:, LONGER] = longer
        sets[:, LONGER] = ~longer
        for number, values, chosen in (
            (METER, symbol - self.first_meter, meter),
            (AT, symbol - PLACE, place),
            (AT, -1, line | meter),
            (NOTE, symbol - self.first_note, note),
            (NOTE, -1, line | meter | place),
            (PHASE, OPEN, line | meter | length),
            (PHASE, PLACED, place),
            (PHASE, SOUNDING, note | longer),
            (PHASE, OVER, symbol == END),
        ):
            adds[:, number] = torch.where(chosen, values, adds[:, number])
            sets[:, number] |= chosen
        return sets, adds, torch.where(length, symbol - self.first_length + 1, 0)

    # -- the rules ------------------------------------------------------------------------------

    def begin(self, count: int, device: torch.device) -> Tensor:
        """The states of so many sequences before their first place, `[N, 7 + notes]`."""
        state = torch.zeros(count, UNTIL + self.notes, dtype=KEPT, device=device)
        state[:, AT] = state[:, NOTE] = -1
        return state

    def states(self, x: Tensor) -> Tensor:
        """The state before each place of x `[..., T]`, `[..., T, 7 + notes]`."""
        x = x.long()
        heads = self._heads(x)
        until = torch.zeros(*x.shape, self.notes, dtype=KEPT, device=x.device)
        note, ends = heads[..., NOTE].clamp(min=0), self._ends(heads, x).to(KEPT)
        until.scatter_(-1, _later(note), _later(ends))
        return torch.cat([heads.to(KEPT), until.cummax(-2).values], -1)

    def after(self, state: Tensor, symbols: Tensor) -> Tensor:
        """The states `[N, 7 + notes]` that follow on states and symbols `[N]`."""
        head, until = state[:, :UNTIL].long(), state[:, UNTIL:].clone()
        note = head[:, NOTE].clamp(min=0)[:, None]
        ends = self._ends(head, symbols)[:, None].to(KEPT)
        until.scatter_(1, note, torch.where(ends > 0, ends, until.gather(1, note)))
        moved = torch.where(self.sets[symbols], 0, head) + self.adds[symbols]
        return torch.cat([moved.to(KEPT), until], -1)

    def _heads(self, x: Tensor) -> Tensor:
        """The numbers before u of the state before each place of x `[..., T]`, `[..., T, 7]`."""
        begin = self.begin(1, x.device)[:, :UNTIL].long().expand(*x.shape[:-1], 1, -1)
        adds = torch.cat([begin, self.adds[x[..., :-1]]], -2)
        sets = self.sets[x[..., :-1]]
        places = torch.arange(1, x.shape[-1], device=x.device)[:, None]
        last = torch.where(sets, places, 0).cummax(-2).values
        last = torch.cat([torch.zeros_like(begin), last], -2)
        total = adds.cumsum(-2)
        return total - (total - adds).gather(-2, last)

    def _ends(self, head: Tensor, symbols: Tensor) -> Tensor:
        """The step at which the last note is silent again, if it has a length now; else 0."""
        length = self.lengths[symbols]
        longer = head[..., LONGER] * self.longest
        return torch.where(length > 0, self.step_of(head) + longer + length, 0)

    def masked(self, logits: Tensor, state: Tensor) -> Tensor:
        """Logits `[..., K]`, -∞ where a state does not allow a symbol."""
        return logits.masked_fill(~self.allowed(state), -torch.inf)

    def allowed(self, state: Tensor) -> Tensor:
        """Which symbols may follow on states `[..., 7 + notes]`, bool `[..., K]`."""
        _, meter, bar, at, note, phase, longer = state[..., :UNTIL].long()[..., None].unbind(-2)
        until = state[..., UNTIL:]
        of_bar = self.of_bar[meter]
        step, beyond = bar * of_bar + at, of_bar * self.bars
        free = self.room_of(state)[..., None]
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

    def room_of(self, state: Tensor) -> Tensor:
        """How many symbols may still come, but for bar lines and the end, `[...]`."""
        bar = state[..., BAR].long()
        return self.length - self.count_of(state) - (self.bars - bar)

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

    def silent_of(self, state: Tensor) -> Tensor:
        """The step at which each note is silent again, 0 if it was not struck, `[..., notes]`."""
        return state[..., UNTIL:].long()

    def down(self, state: Tensor) -> Tensor:
        """Which notes sound at the step of states, bool `[..., notes]`."""
        return state[..., UNTIL:] > self.step_of(state)[..., None]

    def struck(self, x: Tensor) -> Struck:
        """The notes of items x `[N, T]`, in their order."""
        x = x.long()
        heads = self._heads(x)
        sounds = (self.lengths[x] > 0) & (heads[..., PHASE] == SOUNDING)
        item, place = sounds.nonzero(as_tuple=True)
        head = heads[item, place]
        step = self.step_of(head)
        return Struck(item, head[:, NOTE], step, self._ends(head, x[item, place]) - step)

    def told_of(self, x: Tensor) -> Tensor:
        """The note that each symbol of x `[N, T]` tells of, `[N, T]`: 0 if it tells of none.

        A place is told for the note after it, the first there.
        """
        x = x.long()
        note = torch.where((x >= self.first_note) & (x < self.first_meter), x - self.first_note, 0)
        place = (x >= PLACE) & (x < self.longer)
        length = (x >= self.longer) & (x < self.first_note)
        struck = self._heads(x)[..., NOTE].clamp(min=0)
        following = F.pad(note[..., 1:], (0, 1))
        return torch.where(place, following, torch.where(length, struck, note))


def _later(values: Tensor) -> Tensor:
    """Values `[..., T]` a place later, `[..., T, 1]`; the first is 0."""
    return torch.cat([torch.zeros_like(values[..., :1]), values[..., :-1]], -1)[..., None]
