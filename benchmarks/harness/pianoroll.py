r"""Piano-rolls: the chord law of each step, and a VAE of whole pieces made of the package's parts.

The benchmark of Boulanger-Lewandowski et al. (2012): 88 keys, on or off, at each step of a piece.
The figure is fixed as

    nats per step = Σ_pieces -log p(x) / Σ_pieces T

over whole test pieces, the first step counting (given nothing before it), no transposition, the
smaller of two figures being better.

The law of a step is *joint over its keys* (the class of RNN-NADE, not of independent outputs): the
notes of a chord are written from the lowest up, ended by a symbol of its own,

    p(chord | past, z) = Π_k p(n_k | n_1 < … < n_{k-1}, past, z)        n_k > n_{k-1}, or the end

which is a law over all 2^88 chords: each has one way to be written. Logits of the next note are

    E_n·f       by the pitch itself          f = f(h_t, z, what is written so far)
    c_tn·g(f)   by what was there lately: convolutions over the pitches of the last steps
    Σ r(f)[n-m]  over the notes m that are written already: by the interval

The latter two know intervals only and hold at every pitch. z is one code for a piece; h_t = GRU
over the chords before, with z at every step. The figure is the importance-weighted bound of log
p(x), as those of other VAEs are.

This module does not know files of results.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Size, Tensor, nn
from torch.distributions import Distribution, constraints

KEYS = 88
LOWEST = 21
BEYOND = 2  # what a roll holds behind the end of its piece
LAGS = (1, 2, 3, 4, 6, 8, 12, 16)


def rolls(path: Path) -> dict[str, Tensor]:
    """The parts of a .mat file: uint8 `[N, T, 88]`, filled up with `BEYOND`."""
    from scipy.io import loadmat

    found = loadmat(path)
    return {
        part: padded([np.asarray(piece) for piece in found[name][0]])
        for part, name in (("train", "traindata"), ("valid", "validdata"), ("test", "testdata"))
    }


def padded(pieces: list[Any]) -> Tensor:
    longest = max(len(piece) for piece in pieces)
    x = torch.full((len(pieces), longest, KEYS), BEYOND, dtype=torch.uint8)
    for n, piece in enumerate(pieces):
        x[n, : len(piece)] = torch.from_numpy((piece > 0).astype(np.uint8))
    return x


def steps_of(x: Tensor) -> Tensor:
    """T of each piece, `[N]`."""
    return (x[..., 0] != BEYOND).sum(-1)


def crops(steps: int, semitones: int) -> Callable[[Tensor, Generator], Tensor]:
    """A change of batches: a stretch of each piece, moved by at most so many semitones."""

    def change(x: Tensor, generator: Generator) -> Tensor:
        room = (steps_of(x) - steps).clamp(min=0)
        chance = torch.rand(2, len(x), generator=generator, device=x.device)
        start = (chance[0] * (room + 1)).long()
        width = min(steps, x.shape[1])
        at = (start[:, None] + torch.arange(width, device=x.device)).clamp(max=x.shape[1] - 1)
        x = x.gather(1, at[..., None].expand(-1, -1, KEYS))
        if not semitones:
            return x
        part = (x != BEYOND).any(-1, keepdim=True)
        held = (x == 1).any(1)
        low = torch.where(held.any(1), held.to(torch.uint8).argmax(1), 0)
        high = KEYS - 1 - torch.where(held.any(1), held.flip(1).to(torch.uint8).argmax(1), 0)
        least = -torch.minimum(low, torch.tensor(semitones, device=x.device))
        most = torch.minimum(KEYS - 1 - high, torch.tensor(semitones, device=x.device))
        shift = least + (chance[1] * (most - least + 1)).long()
        from_key = torch.arange(KEYS, device=x.device) - shift[:, None]
        inside = (from_key >= 0) & (from_key < KEYS)
        moved = x.gather(2, from_key.clamp(0, KEYS - 1)[:, None].expand_as(x))
        moved = torch.where(inside[:, None], moved, 0)
        return torch.where(part, moved, BEYOND).to(torch.uint8)

    return change


class Chords(Distribution):
    """p(x|z) of rolls, batch shape `[S, B]`; it is asked for log p only."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(self, net: "ChordDecoder", z: Tensor, event: Size) -> None:
        self.net = net
        self.z = z
        super().__init__(z.shape[:-1], event, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x|z), `[S, B]`."""
        return self.net.log_probs(self.z, value).sum(-1)


class ChordEncoder(nn.Module):
    """Rolls -> features of whole pieces."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.given = nn.Linear(KEYS, hidden)
        self.cells = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of the states over the steps."""
        part = (x[..., :1] != BEYOND).float()
        states, _ = self.cells(torch.tanh(self.given((x == 1).float())))
        return (states * part).sum(1) / part.sum(1).clamp(min=1)


class ChordDecoder(nn.Module):
    """Codes -> p(x|z) of rolls; see the module.

    Args:
        latent: D.
        hidden: Of the state.
        features: Of a slot of a chord.
        channels: Of the convolutions over pitches.
        dropout: The share of the state's and the chords' numbers that training drops.
    """

    block = 16

    def __init__(
        self, latent: int, hidden: int, features: int, channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.latent = latent
        self.given = nn.Linear(KEYS, hidden)
        self.cells = nn.GRU(hidden + latent, hidden, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.lately = nn.Sequential(
            nn.Conv1d(len(LAGS), channels, 25, padding=12), nn.SiLU(), nn.Dropout1d(dropout),
            nn.Conv1d(channels, channels, 13, padding=6), nn.SiLU(), nn.Dropout1d(dropout),
        )  # fmt: skip
        self.mixed = nn.Linear(hidden + latent, features)
        self.notes = nn.Embedding(KEYS + 1, features)
        self.last = nn.Embedding(KEYS + 1, features)
        self.pitch = nn.Linear(features, KEYS + 1)
        self.g = nn.Linear(features, channels)
        self.intervals = nn.Linear(features, KEYS)
        for table in (self.notes, self.last):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, z: Tensor) -> Distribution:
        """p(x|z)."""
        return Chords(self, z, Size((1, KEYS)))

    def log_probs(self, z: Tensor, x: Tensor) -> Tensor:
        """What each step adds to log p(x|z), `[S, B, T]`."""
        chords = written(x)  # [B, T, N], the end among them; -1 beyond
        codes = z[:, :, None].expand(-1, -1, x.shape[1], -1)
        state = self.mixed(torch.cat([self._states(z, x), codes], -1))  # [S, B, T, F]
        f = F.silu(self.drop(state[..., None, :] + self._so_far(chords)))  # [S, B, T, N, F]
        lately = self.g(f) @ self._lately(x)  # [S, B, T, N, 88]
        logits = self.pitch(f) + F.pad(lately + self._by_interval(f, chords), (0, 1))
        before = torch.cat([torch.full_like(chords[..., :1], -1), chords[..., :-1]], -1)
        keys = torch.arange(KEYS + 1, device=x.device)
        logits = logits.masked_fill(keys <= before[..., None], -torch.inf)
        chosen = chords.clamp(min=0)[None, ..., None].expand(len(z), *chords.shape, 1)
        told = logits.float().log_softmax(-1).gather(-1, chosen)[..., 0]
        told = torch.where(chords >= 0, told, 0.0).sum(-1)
        return torch.where(x[..., 0] != BEYOND, told, 0.0)

    def _states(self, z: Tensor, x: Tensor) -> Tensor:
        roll = (x == 1).float()
        before = F.pad(roll[:, :-1], (0, 0, 1, 0))
        given = torch.tanh(self.given(self.drop(before)))
        given = given.expand(len(z), *given.shape)
        codes = z[:, :, None].expand(*given.shape[:-1], z.shape[-1])
        states, _ = self.cells(torch.cat([given, codes], -1).flatten(0, 1))
        return self.drop(states).unflatten(0, z.shape[:-1])

    def _lately(self, x: Tensor) -> Tensor:
        """What was there lately, `[B, T, C, 88]`."""
        roll = (x == 1).float()
        lagged = [F.pad(roll, (0, 0, lag, 0))[:, : roll.shape[1]] for lag in LAGS]
        seen = torch.stack(lagged, 2).flatten(0, 1)  # [B T, lags, 88]
        made: Tensor = self.lately(seen)
        return made.unflatten(0, x.shape[:2])

    def _so_far(self, chords: Tensor) -> Tensor:
        """What the notes before each slot say, and the last of them once more, `[B, T, N, F]`."""
        known = torch.where(chords >= 0, chords, KEYS)
        before = torch.cat([torch.full_like(known[..., :1], KEYS), known[..., :-1]], -1)
        vectors = self.notes(before)
        vectors = torch.where((before < KEYS)[..., None], vectors, torch.zeros_like(vectors))
        return vectors.cumsum(-2) + self.last(before)

    def _by_interval(self, f: Tensor, chords: Tensor) -> Tensor:
        """For each slot and key the sum of what its interval from each note before says.

        Keys that are not above a note are not asked of it: they cannot be written any more.
        """
        table = self.intervals(f)  # [S, B, T, N, 88], by semitones
        keys = torch.arange(KEYS, device=f.device)
        told = torch.zeros_like(table)
        for slot in range(chords.shape[-1] - 1):
            note = chords[..., slot]
            apart = (keys - note[..., None]).clamp(0, KEYS - 1)[None, ..., None, :]
            later = table[..., slot + 1 :, :]
            here = later.gather(-1, apart.expand_as(later))
            told = told + F.pad(here, (0, 0, slot + 1, 0))
        return told


def written(x: Tensor) -> Tensor:
    """The notes of each chord from the lowest up, then the end (88), then -1: `[B, T, N]`."""
    roll = x == 1
    count = roll.sum(-1)
    slots = int(count.max()) + 1
    keys = torch.where(roll, torch.arange(KEYS, device=x.device), KEYS)
    notes = F.pad(keys.sort(-1).values, (0, 1), value=KEYS)[..., :slots]
    place = torch.arange(slots, device=x.device)
    notes = torch.where(place == count[..., None], KEYS, notes)
    return torch.where(place <= count[..., None], notes, -1)
