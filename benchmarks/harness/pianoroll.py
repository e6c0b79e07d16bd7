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

    E_n·u      by the pitch itself          u = f(h_t, z, what is written so far)
    c_tn·g     by what was there lately: convolutions over the pitches of the last steps
    Σ R[n - m]  over the notes m that are written already: by the interval

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
        channels: Of the convolutions over pitches.
        dropout: The share of the state's and the chords' numbers that training drops.
    """

    block = 16

    def __init__(self, latent: int, hidden: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.latent = latent
        self.given = nn.Linear(KEYS, hidden)
        self.cells = nn.GRU(hidden + latent, hidden, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.lately = nn.Sequential(
            nn.Conv1d(len(LAGS), channels, 25, padding=12), nn.SiLU(), nn.Dropout(dropout),
            nn.Conv1d(channels, channels, 25, padding=12), nn.SiLU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.notes = nn.Embedding(KEYS + 1, hidden)
        self.last = nn.Embedding(KEYS + 1, hidden)
        self.mixed = nn.Linear(2 * hidden + latent, hidden)
        self.u = nn.Linear(hidden, hidden)
        self.g = nn.Linear(hidden, channels)
        self.intervals = nn.Embedding(KEYS, channels)
        self.i = nn.Linear(hidden, channels)
        self.pitch = nn.Parameter(0.05 * torch.randn(KEYS + 1, hidden))
        self.bias = nn.Parameter(torch.zeros(KEYS + 1))
        nn.init.normal_(self.notes.weight, std=0.1)
        nn.init.normal_(self.last.weight, std=0.1)
        nn.init.normal_(self.intervals.weight, std=0.1)

    def forward(self, z: Tensor) -> Distribution:
        """p(x|z)."""
        return Chords(self, z, Size((1, KEYS)))

    def log_probs(self, z: Tensor, x: Tensor) -> Tensor:
        """What each step adds to log p(x|z), `[S, B, T]`."""
        draws = z.shape[0]
        known = self._states(z, x)  # [S, B, T, H]
        part = x[..., 0] != BEYOND
        chords, slots = written(x)  # [B, T, N], the end among them; -1 beyond
        lately = self._lately(x)  # [B, T, 88, C]
        sofar, last = self._so_far(chords)  # [B, T, N, H]
        codes = z[:, :, None, None].expand(*known.shape[:-1], slots, z.shape[-1])
        state = known[..., None, :].expand(*known.shape[:-1], slots, known.shape[-1])
        both = torch.cat([state, (sofar + last).expand_as(state), codes], -1)
        f = F.silu(self.drop(self.mixed(both)))
        logits = self.u(f) @ self.pitch.T + self.bias
        g = self.g(f)
        logits = logits + F.pad(torch.einsum("sbtnc,btkc->sbtnk", g, lately), (0, 1))
        logits = logits + F.pad(
            torch.einsum("sbtnc,btnkc->sbtnk", self.i(f), self._by_interval(chords)), (0, 1)
        )
        before = torch.cat([torch.full_like(chords[..., :1], -1), chords[..., :-1]], -1)
        keys = torch.arange(KEYS + 1, device=x.device)
        logits = logits.masked_fill(keys <= before[..., None], -torch.inf)
        chosen = chords.clamp(min=0)
        told = logits.float().log_softmax(-1).gather(
            -1, chosen[None, ..., None].expand(draws, *chosen.shape, 1)
        )[..., 0]  # fmt: skip
        told = torch.where(chords >= 0, told, 0.0).sum(-1)
        return torch.where(part, told, 0.0)

    def _states(self, z: Tensor, x: Tensor) -> Tensor:
        roll = (x == 1).float()
        before = F.pad(roll[:, :-1], (0, 0, 1, 0))
        given = torch.tanh(self.given(self.drop(before)))
        given = given.expand(len(z), *given.shape)
        codes = z[:, :, None].expand(*given.shape[:-1], z.shape[-1])
        states, _ = self.cells(torch.cat([given, codes], -1).flatten(0, 1))
        return self.drop(states).unflatten(0, z.shape[:-1])

    def _lately(self, x: Tensor) -> Tensor:
        roll = (x == 1).float()
        lagged = [F.pad(roll, (0, 0, lag, 0))[:, : roll.shape[1]] for lag in LAGS]
        seen = torch.stack(lagged, 2).flatten(0, 1)  # [B T, lags, 88]
        return self.lately(seen).transpose(1, 2).unflatten(0, x.shape[:2])

    def _so_far(self, chords: Tensor) -> tuple[Tensor, Tensor]:
        """The notes before each slot, summed up, and the last of them."""
        known = torch.where(chords >= 0, chords, KEYS)
        before = torch.cat([torch.full_like(known[..., :1], KEYS), known[..., :-1]], -1)
        vectors = self.notes(before)
        vectors = torch.where((before < KEYS)[..., None], vectors, torch.zeros_like(vectors))
        return vectors.cumsum(-2), self.last(before)

    def _by_interval(self, chords: Tensor) -> Tensor:
        """For each slot and key the sum over the notes before of what their interval says."""
        keys = torch.arange(KEYS, device=chords.device)
        valid = (chords >= 0) & (chords < KEYS)
        apart = keys - chords.clamp(0, KEYS - 1)[..., None]  # [B, T, N, 88]
        above = (apart > 0) & valid[..., None]
        told = self.intervals(apart.clamp(min=0))
        told = torch.where(above[..., None], told, torch.zeros_like(told)).cumsum(-3)
        return F.pad(told[..., :-1, :, :], (0, 0, 0, 0, 1, 0))


def written(x: Tensor) -> tuple[Tensor, int]:
    """The notes of each chord from the lowest up, then the end (88), then -1: `[B, T, N]`."""
    roll = x == 1
    count = roll.sum(-1)
    slots = int(count.max()) + 1
    keys = torch.where(roll, torch.arange(KEYS, device=x.device), KEYS)
    notes = keys.sort(-1).values[..., :slots]
    place = torch.arange(slots, device=x.device)
    notes = torch.where(place == count[..., None], KEYS, notes)
    return torch.where(place <= count[..., None], notes, -1), slots
