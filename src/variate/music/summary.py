r"""The encoder of music: steps as vectors, read both ways, and features of an item's parts.

Each step t of an item is the sum of vectors of the symbols, of what *sounds* (a hold says that
something does, not what), of the place in the bar, and where there are several voices, of how far
each has moved to its note from the one before and of the intervals between them. Then

    a_t = both GRUs over the steps
    features of a part   (max_t a_t, W (U a_1, U a_2, …))       t over the part's steps

The largest of each feature over the steps (Long et al. 2019) does not say where it was; what is
behind it does.

This module does not know any probability.
"""

from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.music.grid import REST
from variate.music.intervals import INTERVALS, interval, lately
from variate.music.layout import Layout, heard
from variate.music.pieces import bar_steps

__all__ = ["SPREAD", "MusicEncoder", "Steps", "Summary", "shifted"]

SPREAD = 0.08  # of vectors at first
UNSTEADY = 16  # numbers of each step that the encoder's second features are made of


class Steps(nn.Module):
    """Steps as vectors: symbols, what sounds, intervals, and the place in the bar.

    Args:
        layout: How items are laid out.
        width: W, of the vectors.
    """

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
        several = layout.voices if layout.voices > 1 else 0  # a tune's code is to say its pitch
        self.moves = nn.ModuleList(nn.Embedding(INTERVALS, width) for _ in range(several))
        self.pairs = list(combinations(range(layout.voices), 2))
        self.chords = nn.ModuleList(nn.Embedding(INTERVALS, width) for _ in self.pairs)
        longest = max(bar_steps(meter) for meter in layout.meters)
        self.places = nn.Embedding(len(layout.meters) * (longest + 1), width)
        for table in (*self.symbols, *self.sounds, *self.moves, *self.chords, self.places):
            nn.init.normal_(table.weight, std=SPREAD)
        offset = torch.arange(len(layout.meters))[:, None] * (longest + 1)
        self.register_buffer("where", layout.places() + offset, persistent=False)

    def forward(self, symbols: Tensor, sounds: Tensor, were: Tensor, notes: Tensor) -> Tensor:
        """The sum of the voices' vectors, `[..., W]`.

        Args:
            symbols: `[..., V]`; `layout.size` before the first step.
            sounds: What sounds, `[..., V]`; the same before the first step.
            were: The last notes of the step before, `[..., V]`; see `intervals.lately`.
            notes: The last notes of this step, `[..., V]`.
        """
        struck = torch.where(sounds < self.layout.first_meter, sounds, REST)
        parts = [
            table(index[..., v])
            for tables, index in (
                (self.symbols, symbols),
                (self.sounds, sounds),
                (self.moves, interval(were, notes)),
            )
            for v, table in enumerate(tables)
        ]
        for (high, low), table in zip(self.pairs, self.chords, strict=True):
            parts.append(table(interval(struck[..., low], struck[..., high])))
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
        super().__init__(layout, Steps(layout, width), width, hidden, dropout)

    def vectors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is read of each step of items."""
        steps: Any = self.steps
        meter = x[:, 0] - self.layout.first_meter
        symbols = x[:, 1:].unflatten(1, (self.layout.steps, self.layout.voices))
        notes = lately(symbols, self.layout.first_meter)
        given = steps(symbols, heard(symbols), shifted(notes, REST), notes)
        return given + steps.place(meter), meter


def shifted(symbols: Tensor, first: int) -> Tensor:
    """The symbols `[..., T, V]` of the step before, and `first` before the first."""
    start = torch.full_like(symbols[..., :1, :], first)
    return torch.cat([start, symbols[..., :-1, :]], -2)
