r"""How music is written down, voice by voice.

Of an item x = (m, x_{1,1}, …, x_{T,V}), a metre and the symbols of V voices at T steps, the decoder
sees of each step what the encoder does (`summary`), and knows of step t and voice v

    plan       c_t = C_o f(z_i)         what the code of part i says of its step o
    state      h_t = GRU((step t - 1, place of t, c_t), h_{t-1})
    features   g = g(h_t, c_t, the voices above at t and how they moved there, v)
    logits     E g, of each symbol
               + Σ_u r_u(g)[q - n_u]    of pitch q, n_u the note of the u-th voice above at t

What is learned of an interval holds in every key (`intervals`); that two voices should not move in
parallel fifths is such a thing, and hard to say of absolute pitches. A voice's own last note is no
such measure: codes then say leaps in place of pitches, and where one note is taken for another all
that follow are (melodies given back from a code of 48 nats: 0.70 of the steps in place of 0.96).

The plan has a map of its own for each step. Without it the state must count how far it has come to
know which part of z is due, and tends to fall behind where it is not given the true past; with
it a code can be read like a table (melodies of two bars at 48 nats of KL, 650 steps, one seed: 16
nats of an item are lost with one map for all steps, 10 with a map for each).

Longer items are parts of a few bars, each with a code of its own: z = (z_1, …, z_n), by the same
maps for each part; the GRUs run over the whole item, and what binds the codes is the prior
(`chain`).

A chord is written from the top down, each voice given those above it at the same step: the law of a
step is joint over its voices.

In training the past is hidden from the decoder at random steps (`word_dropout`), so that it must
ask the code; where voices above have come from is part of that past.

This module does not know any probability.
"""

from itertools import combinations
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.models import VAE, SequenceDecoder
from variate.music.codec import MusicCodec
from variate.music.grid import HOLD, PITCH, REST
from variate.music.intervals import INTERVALS, MOTIONS, Leaps, interval, lately, motion
from variate.music.layout import Layout, heard, layout_of
from variate.music.summary import SPREAD, MusicEncoder, Steps, shifted
from variate.music.texture import Sizes

__all__ = ["MusicDecoder", "Writing", "assembled"]

BLOCK = 1 << 20  # logits of items that are looked at at once, of one draw


class Writing(NamedTuple):
    """What the decoder keeps of an item.

    Attributes:
        place: Of the next symbol.
        meter: Of each item, `[N]`.
        state: Of the cells.
        plan: Of all steps, `[N, T, C]`.
        known: Of this step, `[N, H]`.
        symbols: Of this step so far, then of the step before, `[N, V]`.
        sounds: The same.
        notes: The last notes, the same.
        were: The last notes of the step before, `[N, V]`.
        above: The sum of what is known of the voices above, `[N, H]`.
    """

    place: int
    meter: Tensor
    state: Tensor
    plan: Tensor
    known: Tensor
    symbols: Tensor
    sounds: Tensor
    notes: Tensor
    were: Tensor
    above: Tensor


class MusicDecoder(nn.Module):
    """What comes next, given the code; see `distributions.Reader`.

    Args:
        layout: How items are laid out.
        latent: D.
        width: Of the symbols' vectors.
        hidden: Of the state.
        dropout: The share of the outputs that training drops.
        word_dropout: The share of the steps whose past training hides.
    """

    due: Tensor

    def __init__(
        self,
        layout: Layout,
        latent: int,
        width: int = 64,
        hidden: int = 256,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.size = layout.size
        self.word_dropout = word_dropout
        self.steps = Steps(layout, width)
        each = latent // layout.spans
        self.meter = nn.Linear(latent, len(layout.meters))
        self.spread = nn.Linear(each, hidden)
        self.plan = nn.Linear(hidden, layout.part * width)
        self.first = nn.Linear(each, hidden)
        self.register_buffer("due", layout.due(), persistent=False)
        self.cells = nn.GRU(2 * width, hidden, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.state = nn.Linear(hidden + width, hidden)
        self.above = nn.ModuleList(
            nn.Embedding(layout.size, hidden) for _ in range(layout.voices - 1)
        )
        self.above_sounds = nn.ModuleList(
            nn.Embedding(layout.size, hidden) for _ in range(layout.voices - 1)
        )
        self.above_moves = nn.ModuleList(
            nn.Embedding(INTERVALS, hidden) for _ in range(layout.voices - 1)
        )
        self.motions = nn.ModuleList(
            nn.Embedding(MOTIONS, hidden) for _ in combinations(range(layout.voices), 2)
        )
        for table in (*self.above, *self.above_sounds, *self.above_moves, *self.motions):
            nn.init.normal_(table.weight, std=SPREAD)
        self.voice = nn.Parameter(torch.zeros(layout.voices, hidden))
        self.mixed = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, layout.first_meter)
        pitches = layout.first_meter - PITCH
        self.leaps = nn.ModuleList(Leaps(hidden, pitches) for _ in range(layout.voices - 1))

    # -- all at once ----------------------------------------------------------------------------

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place, `[S, B, 1 + T V, K]`: the logits, which need no more."""
        layout = self.layout
        meter = x[..., 0] - layout.first_meter
        symbols = x[..., 1:].unflatten(-1, (layout.steps, layout.voices))
        sounds, notes = heard(symbols), lately(symbols, layout.first_meter)
        were = shifted(notes, REST)
        past = self.steps(
            shifted(symbols, layout.size), shifted(sounds, layout.size), shifted(were, REST), were
        )
        if self.training and self.word_dropout > 0:
            seen = torch.rand(past.shape[:-1], device=x.device) >= self.word_dropout
            past = past * seen[..., None].to(past.dtype)
            were = torch.where(seen[..., None], were, REST)
        given = past + self.steps.place(meter)
        plan = self._plan(z, meter.expand(z.shape[:-1]))
        given = given.expand(*plan.shape[:-1], given.shape[-1])
        both = torch.cat([given, plan.to(given.dtype)], -1).flatten(0, -3)
        states, _ = self.cells(both, self._first(z.reshape(-1, z.shape[-1])).to(both.dtype))
        states = states.unflatten(0, z.shape[:-1])
        known = self.state(torch.cat([self.drop(states), plan.to(states.dtype)], -1))
        logits = []
        for v in range(layout.voices):
            logits.append(self._voice(v, known, were, notes))
            if v + 1 < layout.voices:
                known = known + self._told(v, symbols, sounds, were, notes)
        written = torch.stack(logits, -2).flatten(-3, -2)
        return torch.cat([self._meters(z)[..., None, :], written], -2)

    def logits(self, known: Tensor) -> Tensor:
        """The logits are known already."""
        return known

    def _told(
        self, voice: int, symbols: Tensor, sounds: Tensor, were: Tensor, notes: Tensor
    ) -> Tensor:
        """What a voice tells those below it at a step, `[..., H]`; see `Steps.forward`."""
        moved = interval(were[..., voice], notes[..., voice])
        told: Tensor = (
            self.above[voice](symbols[..., voice])
            + self.above_sounds[voice](sounds[..., voice])
            + self.above_moves[voice](moved)
        )
        return told

    def _voice(self, voice: int, known: Tensor, were: Tensor, notes: Tensor) -> Tensor:
        """Logits `[..., K]` of pitches, holds and rests; no metre is one of these.

        Args:
            voice: Whose.
            known: `[..., H]`, what the voices above tell among it.
            were: The last notes of the step before, `[..., V]`.
            notes: Those of the voices above, at this step, `[..., V]`.
        """
        was = were[..., voice]
        known = known + self.voice[voice]
        for above in range(voice):
            table = self.motions[voice * (voice - 1) // 2 + above]
            known = known + table(motion(were[..., above], notes[..., above], was))
        h = F.silu(known)
        g = F.silu(self.mixed(h)) + h
        logits = self.out(g)
        for above in range(voice):
            leaps = self.leaps[voice - above - 1](g, notes[..., above])
            logits = logits + F.pad(leaps, (PITCH, 0))
        return F.pad(logits, (0, len(self.layout.meters)))

    def _meters(self, z: Tensor) -> Tensor:
        return F.pad(self.meter(z), (self.layout.first_meter, 0))

    def _plan(self, z: Tensor, meter: Tensor) -> Tensor:
        """What the codes say of each step, `[..., T, W]`, in metres `[...]`."""
        codes = z.unflatten(-1, (self.layout.spans, -1))
        plan = self.plan(F.silu(self.spread(codes)))  # [..., n, O · W]
        plan = plan.unflatten(-1, (self.layout.part, -1)).flatten(-3, -2)
        due = self.due[meter][..., None].expand(*meter.shape, -1, plan.shape[-1])
        found: Tensor = plan.gather(-2, due)
        return found

    def _first(self, z: Tensor) -> Tensor:
        """The state before the first step, `[1, N, H]`, of the first part's code."""
        codes = z.unflatten(-1, (self.layout.spans, -1))[..., 0, :]
        return torch.tanh(self.first(codes))[None]

    # -- one after the other --------------------------------------------------------------------

    def begin(self, z: Tensor) -> Any:
        """The memory of codes `[N, D]` before the first place."""
        nothing = torch.full((len(z), self.layout.voices), self.layout.size, device=z.device)
        known = torch.zeros(len(z), self.voice.shape[1], device=z.device, dtype=z.dtype)
        zero = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        silent = torch.full_like(nothing, REST)
        memory = Writing(
            -1, zero, self._first(z), self._plan(z, zero), known, nothing, nothing, silent, silent,
            known,
        )  # fmt: skip
        return memory, z

    def step(self, memory: Any, before: Tensor | None) -> tuple[Tensor, Any]:
        """Logits `[N, K]` after one more symbol; see `Reader.step`."""
        writing, z = memory
        place = writing.place + 1
        if before is None:
            return self._meters(z), (writing._replace(place=place), z)
        if place == 1:
            meter = before - self.layout.first_meter
            writing = writing._replace(meter=meter, plan=self._plan(z, meter))
        else:
            writing = self._noted(writing, (place - 2) % self.layout.voices, before)
        step, voice = divmod(place - 1, self.layout.voices)
        if step >= self.layout.steps:
            raise IndexError(f"an item has {1 + self.layout.steps * self.layout.voices} places")
        if voice == 0:
            writing = self._moved_on(writing, step)
        known = writing.known + writing.above
        logits = self._voice(voice, known, writing.were, writing.notes)
        return logits, (writing._replace(place=place), z)

    def select(self, memory: Any, chosen: Tensor) -> Any:
        """The memory of some of the sequences, by their numbers, which may repeat."""
        writing, z = memory
        state = writing.state[:, chosen]
        kept = {
            name: value[chosen]
            for name, value in writing._asdict().items()
            if name not in ("place", "state")
        }
        return Writing(place=writing.place, state=state, **kept), z[chosen]

    def _noted(self, writing: Writing, voice: int, symbol: Tensor) -> Writing:
        """The memory with one more voice of this step."""
        held = writing.sounds[:, voice]
        sound = torch.where(symbol == HOLD, torch.where(held == self.size, REST, held), symbol)
        symbols, sounds, notes = (
            writing.symbols.clone(), writing.sounds.clone(), writing.notes.clone(),
        )  # fmt: skip
        symbols[:, voice], sounds[:, voice] = symbol, sound
        notes[:, voice] = torch.where(symbol >= PITCH, symbol, notes[:, voice])
        above = writing.above
        if voice < self.layout.voices - 1:
            above = above + self._told(voice, symbols, sounds, writing.were, notes)
        return writing._replace(symbols=symbols, sounds=sounds, notes=notes, above=above)

    def _moved_on(self, writing: Writing, step: int) -> Writing:
        """The memory at the beginning of a step."""
        given = self.steps(writing.symbols, writing.sounds, writing.were, writing.notes)
        given = given + self.steps.places(self.steps.where[writing.meter, step])
        plan = writing.plan[:, step]
        states, state = self.cells(torch.cat([given, plan], -1)[:, None], writing.state)
        known = self.state(torch.cat([self.drop(states[:, 0]), plan], -1))
        return writing._replace(
            state=state, known=known, were=writing.notes, above=torch.zeros_like(known)
        )


def assembled(codec: MusicCodec, sizes: Sizes, posterior: nn.Module, prior: nn.Module) -> VAE:
    """The model of a codec's items."""
    layout = layout_of(codec)
    latent, width, hidden, dropout, hiding = sizes
    reads = MusicEncoder(layout, width, hidden, dropout)
    writes = MusicDecoder(layout, latent, width, hidden, dropout=dropout, word_dropout=hiding)
    block = max(4, min(128, BLOCK // (codec.length * codec.size)))
    decoder = SequenceDecoder(writes, codec.length, grammar=codec.grammar(), block=block)
    return VAE(nn.Sequential(reads, posterior), decoder, prior)
