r"""Intervals: how far notes are from others, which is the same at any pitch.

Two notes s and q of symbols 2, 3, … are q - s semitones apart. What a network learns of an interval
it knows in every key at once:

    as input     a vector of its own for each interval, one more where there is none
    as output    logits_q += r(f)[q - s]        for each note s that q is measured by

(The second is a convolution over pitches, as in Johnson 2017, from a few notes in place of all.)
Intervals of more than two octaves are one, to a network's eyes. Of two voices there is a third
thing to know: which interval lay between them, in any octave, and which way the upper one goes
from there, as that is where parallel fifths and octaves come from (`motion`).

This module does not know which notes are compared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.music.grid import PITCH, REST

__all__ = ["INTERVALS", "MOTIONS", "Leaps", "interval", "lately", "motion"]

WIDEST = 24  # semitones, up and down
INTERVALS = 2 * WIDEST + 2  # with "none", which is 0
OCTAVE = 12
MOTIONS = 3 * OCTAVE + 1  # down, not, up; with "none", which is 0


def interval(low: Tensor, high: Tensor) -> Tensor:
    """The numbers of the intervals from one symbol to another; 0 where either is no pitch."""
    apart = (high - low).clamp(-WIDEST, WIDEST) + WIDEST + 1
    return torch.where((low >= PITCH) & (high >= PITCH), apart, 0)


def motion(was: Tensor, now: Tensor, below: Tensor) -> Tensor:
    """The numbers of how a voice leaves another; 0 where a note is missing.

    Args:
        was: The voice's note before.
        now: Its note.
        below: The other voice's note before.
    """
    known = (was >= PITCH) & (now >= PITCH) & (below >= PITCH)
    number = 1 + 3 * ((was - below) % OCTAVE) + torch.sign(now - was) + 1
    return torch.where(known, number, 0)


def lately(symbols: Tensor, none: int) -> Tensor:
    """The last note that began in each voice, `[..., T, V]`, through rests; a rest before any.

    Args:
        symbols: `[..., T, V]`.
        none: From this symbol on none is a pitch.
    """
    begins = (symbols >= PITCH) & (symbols < none)
    steps = torch.arange(symbols.shape[-2], device=symbols.device)[:, None]
    at = torch.where(begins, steps, 0).cummax(-2).values
    found = symbols.gather(-2, at)
    return torch.where(begins.gather(-2, at), found, REST)


class Leaps(nn.Module):
    """Logits of pitches by their intervals from a note.

    They are all 0 at first.

    Args:
        hidden: Of the features.
        pitches: P, how many there are.
    """

    def __init__(self, hidden: int, pitches: int) -> None:
        super().__init__()
        self.pitches = pitches
        self.reach = min(WIDEST, max(pitches - 1, 1))
        self.weigh = nn.Linear(hidden, 2 * self.reach + 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, features: Tensor, note: Tensor) -> Tensor:
        """Logits `[..., P]`, 0 where there is no interval, of features `[..., H]`.

        Args:
            features: What is known.
            note: The symbols of what is measured by, `[...]`.
        """
        known = note >= PITCH
        weighed = F.pad(self.weigh(features), (0, 1)) * known[..., None]  # the last is "beyond"
        pitch = torch.arange(self.pitches, device=note.device) + PITCH
        apart = pitch - note[..., None]
        place = torch.where(apart.abs() <= self.reach, apart + self.reach, 2 * self.reach + 1)
        return weighed.gather(-1, place.expand(*weighed.shape[:-1], -1))
