r"""The networks of music: how an item is read, and how it is written down, voice by voice.

Of an item x = (m, x_{1,1}, …, x_{T,V}), a metre and the symbols of V voices at T steps, both
networks see in each step the symbols, what *sounds* (a hold says that something does, not what),
and where in the bar the step lies.

    encoder   a_t = both GRUs over the steps
              features of a part   (max_t a_t, W (U a_1, U a_2, …))       t over the part's steps
    plan      c_t = C_o f(z_i)         what the code of part i says of its step o
    decoder   h_t = GRU((symbols and sound of t - 1, place of t, c_t), h_{t-1})
              of voice v   logits = E g(h_t, c_t, sound of the voices above at t, v)

The plan has a map of its own for each step. Without it the state must count how far it has come to
know which part of z is due, and tends to fall behind where it is not given the true past; with
it a code can be read like a table (melodies of two bars at 48 nats of KL, 650 steps, one seed: 16
nats of an item are lost with one map for all steps, 10 with a map for each). The same holds for the
encoder's features, the largest of which over the steps (Long et al. 2019) do not say where they
were.

Longer items are parts of a few bars, each with a code of its own: z = (z_1, …, z_n), by the same
maps for each part; the GRUs run over the whole item, and what binds the codes is the prior
(`chain`).

A chord is written from the top down, each voice given those above it at the same step: the law of a
step is joint over its voices.

In training the past is hidden from the decoder at random steps (`word_dropout`), so that it must
ask the code.

This module does not know any probability.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.models import VAE, SequenceDecoder
from variate.music.codec import MusicCodec
from variate.music.grid import HOLD, REST
from variate.music.layout import Layout, heard, layout_of
from variate.music.pieces import bar_steps
from variate.music.texture import Sizes

__all__ = ["MusicDecoder", "MusicEncoder", "Summary", "Writing", "assembled"]

SPREAD = 0.08
BLOCK = 1 << 20  # logits of items that are looked at at once, of one draw
UNSTEADY = 16  # numbers of each step that the encoder's second features are made of


class _Steps(nn.Module):
    """Steps as vectors: symbols, what sounds, and the place in the bar."""

    where: Tensor

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.symbols = nn.ModuleList(
            nn.Embedding(layout.size + 1, width) for _ in range(layout.voices)
        )
        self.sounds = nn.ModuleList(
            nn.Embedding(layout.size + 1, width) for _ in range(layout.voices)
        )
        longest = max(bar_steps(meter) for meter in layout.meters)
        self.places = nn.Embedding(len(layout.meters) * (longest + 1), width)
        for table in (*self.symbols, *self.sounds, self.places):
            nn.init.normal_(table.weight, std=SPREAD)
        offset = torch.arange(len(layout.meters))[:, None] * (longest + 1)
        self.register_buffer("where", layout.places() + offset, persistent=False)

    def forward(self, symbols: Tensor, sounds: Tensor) -> Tensor:
        """The sum of the voices' vectors, `[..., W]`, of symbols and sounds `[..., V]`."""
        parts = [
            table(symbols[..., v]) + other(sounds[..., v])
            for v, (table, other) in enumerate(zip(self.symbols, self.sounds, strict=True))
        ]
        return torch.stack(parts).sum(0)

    def place(self, meter: Tensor) -> Tensor:
        """Vectors of the places of all steps, `[..., T, W]`, in metres `[...]`."""
        found: Tensor = self.places(self.where[meter])
        return found


class Summary(nn.Module):
    """Vectors of the steps of items -> features `[B, n · 4 · hidden]` of their n parts.

    Args:
        layout: How items are laid out.
        steps: Items -> vectors `[B, T, width]` of their steps, and the numbers of their metres.
        width: Of the vectors.
        hidden: Of the state in each direction.
        dropout: The share of the vectors' numbers that training drops.
    """

    at: Tensor
    within: Tensor

    def __init__(
        self, layout: Layout, steps: nn.Module, width: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.layout = layout
        self.steps = steps
        self.cells = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(dropout)
        self.each = nn.Linear(2 * hidden, UNSTEADY)
        self.all = nn.Linear(layout.part * UNSTEADY, 2 * hidden)
        at, within = layout.parts()
        self.register_buffer("at", at, persistent=False)
        self.register_buffer("within", within, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The features."""
        vectors, meter = self.vectors(x.long())
        states, _ = self.cells(self.drop(vectors))
        within = self.within[meter][..., None]  # [B, n, O, 1]
        at = self.at[meter].flatten(1)[..., None].expand(-1, -1, states.shape[-1])
        parts = states.gather(1, at).unflatten(1, within.shape[1:3])  # [B, n, O, 2H]
        highest = parts.masked_fill(~within, -torch.inf).amax(2)
        told = F.silu(self.all((self.each(parts) * within).flatten(2)))
        return torch.cat([highest, told], -1).flatten(1)

    def vectors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is read of each step of items."""
        found: tuple[Tensor, Tensor] = self.steps(x)
        return found


class MusicEncoder(Summary):
    """Items `[B, 1 + T V]` of n parts -> features `[B, n · 4 · hidden]`.

    Args:
        layout: How items are laid out.
        width: Of the symbols' vectors.
        hidden: Of the state in each direction.
        dropout: The share of the vectors' numbers that training drops.
    """

    def __init__(
        self, layout: Layout, width: int = 64, hidden: int = 192, dropout: float = 0.0
    ) -> None:
        super().__init__(layout, _Steps(layout, width), width, hidden, dropout)

    def vectors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is read of each step of items."""
        steps: Any = self.steps
        meter = x[:, 0] - self.layout.first_meter
        symbols = x[:, 1:].unflatten(1, (self.layout.steps, self.layout.voices))
        return steps(symbols, heard(symbols)) + steps.place(meter), meter


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
        above: The sum of what is known of the voices above, `[N, H]`.
    """

    place: int
    meter: Tensor
    state: Tensor
    plan: Tensor
    known: Tensor
    symbols: Tensor
    sounds: Tensor
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
        self.steps = _Steps(layout, width)
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
        for table in (*self.above, *self.above_sounds):
            nn.init.normal_(table.weight, std=SPREAD)
        self.voice = nn.Parameter(torch.zeros(layout.voices, hidden))
        self.mixed = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, layout.first_meter)

    # -- all at once ----------------------------------------------------------------------------

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place, `[S, B, 1 + T V, K]`: the logits, which need no more."""
        layout = self.layout
        meter = x[..., 0] - layout.first_meter
        symbols = x[..., 1:].unflatten(-1, (layout.steps, layout.voices))
        sounds = heard(symbols)
        past = self.steps(_before(symbols, layout.size), _before(sounds, layout.size))
        if self.training and self.word_dropout > 0:
            seen = torch.rand(past.shape[:-1], device=x.device) >= self.word_dropout
            past = past * seen[..., None].to(past.dtype)
        given = past + self.steps.place(meter)
        plan = self._plan(z, meter.expand(z.shape[:-1]))
        given = given.expand(*plan.shape[:-1], given.shape[-1])
        both = torch.cat([given, plan.to(given.dtype)], -1).flatten(0, -3)
        states, _ = self.cells(both, self._first(z.reshape(-1, z.shape[-1])).to(both.dtype))
        states = states.unflatten(0, z.shape[:-1])
        known = self.state(torch.cat([self.drop(states), plan.to(states.dtype)], -1))
        above = self._above(symbols, sounds)
        logits = self._voices(known[..., None, :] + above + self.voice).flatten(-3, -2)
        return torch.cat([self._meters(z)[..., None, :], logits], -2)

    def logits(self, known: Tensor) -> Tensor:
        """The logits are known already."""
        return known

    def _above(self, symbols: Tensor, sounds: Tensor) -> Tensor:
        """For each voice what those above it do at the same step, `[..., T, V, H]`."""
        total = torch.zeros(
            *symbols.shape[:-1], self.voice.shape[1], device=symbols.device, dtype=self.voice.dtype
        )
        sums = [total]
        for v, (table, other) in enumerate(zip(self.above, self.above_sounds, strict=True)):
            total = total + table(symbols[..., v]) + other(sounds[..., v])
            sums.append(total)
        return torch.stack(sums, -2)

    def _voices(self, h: Tensor) -> Tensor:
        """Logits `[..., K]` of pitches, holds and rests; no metre is one of these."""
        h = F.silu(h)
        return F.pad(self.out(F.silu(self.mixed(h)) + h), (0, len(self.layout.meters)))

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
        memory = Writing(
            -1, zero, self._first(z), self._plan(z, zero), known, nothing, nothing, known
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
        logits = self._voices(writing.known + writing.above + self.voice[voice])
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
        symbols, sounds = writing.symbols.clone(), writing.sounds.clone()
        symbols[:, voice], sounds[:, voice] = symbol, sound
        above = writing.above
        if voice < self.layout.voices - 1:
            above = above + self.above[voice](symbol) + self.above_sounds[voice](sound)
        return writing._replace(symbols=symbols, sounds=sounds, above=above)

    def _moved_on(self, writing: Writing, step: int) -> Writing:
        """The memory at the beginning of a step."""
        given = self.steps(writing.symbols, writing.sounds)
        given = given + self.steps.places(self.steps.where[writing.meter, step])
        plan = writing.plan[:, step]
        states, state = self.cells(torch.cat([given, plan], -1)[:, None], writing.state)
        known = self.state(torch.cat([self.drop(states[:, 0]), plan], -1))
        return writing._replace(state=state, known=known, above=torch.zeros_like(known))


def assembled(codec: MusicCodec, sizes: Sizes, posterior: nn.Module, prior: nn.Module) -> VAE:
    """The model of a codec's items."""
    layout = layout_of(codec)
    latent, width, hidden, dropout, hiding = sizes
    reads = MusicEncoder(layout, width, hidden, dropout)
    writes = MusicDecoder(layout, latent, width, hidden, dropout=dropout, word_dropout=hiding)
    block = max(4, min(128, BLOCK // (codec.length * codec.size)))
    decoder = SequenceDecoder(writes, codec.length, grammar=codec.grammar(), block=block)
    return VAE(nn.Sequential(reads, posterior), decoder, prior)


def _before(symbols: Tensor, start: int) -> Tensor:
    """The symbols `[..., T, V]` of the step before, and `start` before the first."""
    first = torch.full_like(symbols[..., :1, :], start)
    return torch.cat([first, symbols[..., :-1, :]], -2)
