"""Transposition of tracks: the same music at another pitch, drawn anew in each batch of training.

All tracks of an item move by the same number of semitones, as far as their keys let them. Notes are
counted from the highest key down, so that a note of more semitones has a smaller number.

This module does not know where batches come from.
"""

import numpy as np
import torch
from torch import Generator, Tensor

from variate.music.polyphony.codec import TracksCodec

__all__ = ["TracksTransposing"]


class TracksTransposing:
    """A change of batches; see `training.AugmentedSource`.

    Args:
        codec: Of the items.
    """

    def __init__(self, codec: TracksCodec) -> None:
        self.down, self.up = codec.transpose
        events, offsets = codec.events(), codec.offsets
        self.first, self.beyond = events.first_note, events.first_meter
        keys = np.arange(int(offsets[-1]))
        track = np.searchsorted(offsets, keys, side="right") - 1
        self.above = keys - offsets[track]  # semitones that each note may rise
        self.below = offsets[track + 1] - 1 - keys

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Items x `[B, T]`, transposed."""
        notes = (x >= self.first) & (x < self.beyond)
        number = (x - self.first).clamp(0, self.beyond - self.first - 1)
        above, below = (torch.from_numpy(t).to(x.device)[number] for t in (self.above, self.below))
        most = torch.where(notes, above, self.up).amin(1).clamp(max=self.up)
        least = -torch.where(notes, below, -self.down).amin(1).clamp(max=-self.down)
        chance = torch.rand(len(x), device=x.device, generator=generator)
        shift = least + (chance * (most - least + 1)).long()
        return torch.where(notes, x - shift[:, None], x)
