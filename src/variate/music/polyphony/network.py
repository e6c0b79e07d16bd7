r"""The networks of many notes at once: how an item is read, and how it is written, note by note.

    reading   per step t of the grid: the notes that begin, those that sound, the place in the bar
              both GRUs over the steps, features of each part, as for voices (`music.network`)
    writing   h_i = GRU((e(x_{i-1}), notes that are down, place of step t, c_t), h_{i-1})
              logits = W g(h_i, c_t)           t the step that symbol i belongs to

An item is read as a grid, of as many steps whatever it holds, and written as symbols (`events`), of
which there are as many as it needs. c_t is the plan: what the code says of step t, by a map of
that step's own, so that the state need not count how far it has come.

In training the past (the symbol before, and what sounds) is hidden at random places, so that the
decoder must ask the code.

This module does not know any probability.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.music.layout import Layout
from variate.music.polyphony.events import Events
from variate.music.summary import Summary

__all__ = ["EventDecoder", "EventEncoder", "Written"]

SPREAD = 0.08


class _Places(nn.Module):
    """Vectors of the places in a bar, each metre's own; place 0 is the bar line."""

    def __init__(self, layout: Layout, longest: int, width: int) -> None:
        super().__init__()
        self.each = longest + 2
        self.vectors = nn.Embedding(len(layout.meters) * self.each, width)
        nn.init.normal_(self.vectors.weight, std=SPREAD)

    def forward(self, meter: Tensor, place: Tensor) -> Tensor:
        found: Tensor = self.vectors(meter * self.each + place)
        return found


def _of_notes(notes: int, width: int) -> nn.Linear:
    """The sum of the vectors of notes, of which there are many at a time."""
    linear = nn.Linear(notes, width, bias=False)
    nn.init.normal_(linear.weight, std=SPREAD)
    return linear


class _Grid(nn.Module):
    """Items -> vectors of the steps of their grid, and the numbers of their metres."""

    where: Tensor

    def __init__(self, layout: Layout, events: Events, width: int) -> None:
        super().__init__()
        self.events = events
        self.steps = layout.steps
        self.begins = _of_notes(events.notes, width)
        self.sounds = _of_notes(events.notes, width)
        self.places = _Places(layout, events.longest, width)
        self.register_buffer("where", layout.places(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        meter = (x[:, 0] - self.events.first_meter).clamp(min=0)
        item, note, step, length = self.events.struck(x)
        weight = self.begins.weight
        begins = weight.new_zeros(len(x), self.steps + 1, self.events.notes)
        sounds = torch.zeros_like(begins)
        begins[item, step, note] = 1
        sounds[item, step, note] = 1
        ends = (step + length).clamp(max=self.steps)
        sounds.index_put_((item, ends, note), -weight.new_ones(len(item)), accumulate=True)
        vectors = self.begins(begins[:, :-1]) + self.sounds(sounds.cumsum(1)[:, :-1])
        return vectors + self.places(meter[:, None], 1 + self.where[meter]), meter


class EventEncoder(Summary):
    """Items `[B, T]` of n parts -> features `[B, n · 4 · hidden]`.

    Args:
        layout: How items are laid out.
        events: Their symbols.
        width: Of the vectors.
        hidden: Of the state in each direction.
        dropout: The share of the vectors' numbers that training drops.
    """

    def __init__(
        self, layout: Layout, events: Events, width: int, hidden: int, dropout: float = 0.0
    ) -> None:
        super().__init__(layout, _Grid(layout, events, width), width, hidden, dropout)


class Written(NamedTuple):
    """What the decoder keeps of an item.

    Attributes:
        known: The state of the events, `[N, 7 + notes]`.
        state: Of the cells, `[1, N, H]`.
        code: Which of the codes each is written from, `[N]`.
        plan: What each of the codes says of all places of all parts, `[codes, n O, W]`.
    """

    known: Tensor
    state: Tensor
    code: Tensor
    plan: Tensor


class EventDecoder(nn.Module):
    """What comes next, given the code; see `distributions.Reader`.

    Args:
        layout: How items are laid out.
        events: Their symbols.
        latent: D.
        width: Of the symbols' vectors.
        hidden: Of the state.
        dropout: The share of the outputs that training drops.
        word_dropout: The share of the places whose past training hides.
    """

    due: Tensor

    def __init__(
        self,
        layout: Layout,
        events: Events,
        latent: int,
        width: int,
        hidden: int,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.events = events
        self.size = events.size
        self.word_dropout = word_dropout
        self.symbols = nn.Embedding(events.size + 1, width)  # the last one: the start
        nn.init.normal_(self.symbols.weight, std=SPREAD)
        self.down = _of_notes(events.notes, width)
        self.places = _Places(layout, events.longest, width)
        each = latent // layout.spans
        self.spread = nn.Linear(each, hidden)
        self.plan = nn.Linear(hidden, layout.part * width)
        self.first = nn.Linear(each, hidden)
        self.register_buffer("due", layout.due(), persistent=False)
        self.cells = nn.GRU(2 * width, hidden, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.state = nn.Linear(hidden + width, hidden)
        self.mixed = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, events.size)

    # -- all at once ----------------------------------------------------------------------------

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place, `[S, B, T, H]`."""
        known = self.events.states(x)
        states, plan = self._run(z, x, known)
        return self._told(states, plan)

    def logits(self, known: Tensor) -> Tensor:
        """Logits `[..., K]`; see `Reader.logits`."""
        logits: Tensor = self.out(known)
        return logits

    # -- one after the other --------------------------------------------------------------------

    def begin(self, z: Tensor) -> Written:
        """The memory of codes `[N, D]` before the first place."""
        code = torch.arange(len(z), device=z.device)
        return Written(self.events.begin(len(z), z.device), self._first(z), code, self._plan(z))

    def written(self, z: Tensor, x: Tensor, count: Tensor) -> Written:
        """The memory of codes `[N, D]` once the first `count` `[N]` of x `[N, T]` are written.

        One of them is, at the least.
        """
        code, last = torch.arange(len(z), device=z.device), count - 1
        known = self.events.states(x)
        states, _ = self._run(z, x, known)
        known = self.events.after(known[code, last], x[code, last])
        return Written(known, states[code, last][None], code, self._plan(z))

    def step(self, memory: Written, before: Tensor | None) -> tuple[Tensor, Written]:
        """Logits `[N, K]` after one more symbol; see `Reader.step`."""
        if before is None:
            before = torch.full_like(memory.code, self.size)
        else:
            memory = memory._replace(known=self.events.after(memory.known, before))
        return self.told(memory, before)

    def told(self, memory: Written, before: Tensor) -> tuple[Tensor, Written]:
        """As `step`, where the state of the events is that after the symbol already."""
        known = memory.known
        given = self._past(before, known) + self._place(known)
        plan = memory.plan[memory.code, self._due(known)]
        states, state = self.cells(torch.cat([given, plan], -1)[:, None], memory.state)
        return self.logits(self._told(states[:, 0], plan)), memory._replace(state=state)

    def select(self, memory: Written, chosen: Tensor) -> Written:
        """The memory of some of the sequences, by their numbers, which may repeat."""
        known, state, code, plan = memory
        return Written(known[chosen], state[:, chosen], code[chosen], plan)

    def put(self, memory: Written, moved: Written, where: Tensor) -> Written:
        """The memory of all sequences, once some, by their numbers, have gone on."""
        known = memory.known.index_copy(0, where, moved.known)
        return memory._replace(known=known, state=memory.state.index_copy(1, where, moved.state))

    # -- parts ----------------------------------------------------------------------------------

    def _run(self, z: Tensor, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The states of the cells before each place, `[..., T, H]`, and what is planned there."""
        before = torch.cat([torch.full_like(x[..., :1], self.size), x[..., :-1]], -1)
        given = self._past(before, known)
        if self.training and self.word_dropout > 0:
            seen = torch.rand(given.shape[:-1], device=x.device) >= self.word_dropout
            given = given * seen[..., None].to(given.dtype)
        given = given + self._place(known)
        due = self._due(known).expand(*z.shape[:-1], -1)
        plan = self._plan(z)
        plan = plan.gather(-2, due[..., None].expand(*due.shape, plan.shape[-1]))
        given = given.expand(*plan.shape[:-1], given.shape[-1])
        both = torch.cat([given, plan.to(given.dtype)], -1).flatten(0, -3)
        states, _ = self.cells(both, self._first(z.reshape(-1, z.shape[-1])).to(both.dtype))
        return states.unflatten(0, z.shape[:-1]), plan

    def _past(self, before: Tensor, known: Tensor) -> Tensor:
        down = self.events.down(known).to(self.down.weight.dtype)
        past: Tensor = self.symbols(before) + self.down(down)
        return past

    def _place(self, known: Tensor) -> Tensor:
        found: Tensor = self.places(self.events.meter_of(known), self.events.place_of(known))
        return found

    def _due(self, known: Tensor) -> Tensor:
        """The place of the plan that states `[..., T]` belong to."""
        step = self.events.step_of(known).clamp(max=self.layout.steps - 1)
        found: Tensor = self.due[self.events.meter_of(known), step]
        return found

    def _plan(self, z: Tensor) -> Tensor:
        """What the codes say of all places of all parts, `[..., n O, W]`."""
        codes = z.unflatten(-1, (self.layout.spans, -1))
        plan: Tensor = self.plan(F.silu(self.spread(codes)))  # [..., n, O · W]
        return plan.unflatten(-1, (self.layout.part, -1)).flatten(-3, -2)

    def _first(self, z: Tensor) -> Tensor:
        codes = z.unflatten(-1, (self.layout.spans, -1))[..., 0, :]
        return torch.tanh(self.first(codes))[None].contiguous()

    def _told(self, states: Tensor, plan: Tensor) -> Tensor:
        h = F.silu(self.state(torch.cat([self.drop(states), plan.to(states.dtype)], -1)))
        told: Tensor = F.silu(self.mixed(h)) + h
        return told
