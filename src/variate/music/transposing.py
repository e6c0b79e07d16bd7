"""Transposition: the same music at another pitch, drawn anew in each batch of training.

All voices of an item move by the same number of semitones, as far as their ranges let them. This
module does not know where batches come from.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from variate.music.codec import MusicCodec
from variate.music.grid import PITCH

__all__ = ["Transposing", "transposing"]


class Transposing:
    """A change of batches; see `training.AugmentedSource`.

    Args:
        down: The fewest semitones, negative or 0.
        up: The most.
        ranges: The lowest and the highest symbol of a pitch, for each voice.
    """

    def __init__(self, down: int, up: int, ranges: Sequence[tuple[int, int]]) -> None:
        self.down = down
        self.up = up
        self.ranges = tuple(ranges)

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Items x `[B, 1 + T V]`, transposed."""
        symbols = x[:, 1:].unflatten(1, (-1, len(self.ranges)))
        ends = torch.tensor(self.ranges, device=x.device)
        pitch = symbols >= PITCH
        top = torch.where(pitch, symbols, ends[:, 0]).amax(1)
        bottom = torch.where(pitch, symbols, ends[:, 1]).amin(1)
        least = (ends[:, 0] - bottom).amax(1).clamp(min=self.down, max=0)
        most = (ends[:, 1] - top).amin(1).clamp(min=0, max=self.up)
        chance = torch.rand(len(x), device=x.device, generator=generator)
        shift = least + (chance * (most - least + 1)).long()
        moved = torch.where(pitch, symbols + shift[:, None, None], symbols)
        return torch.cat([x[:, :1], moved.flatten(1)], 1)


def transposing(codec: MusicCodec) -> Transposing:
    """The transpositions that a codec asks for."""
    low, high = (
        [PITCH + pitch - codec.base for pitch in pitches]
        for pitches in (codec.lowest, codec.highest)
    )
    return Transposing(*codec.transpose, list(zip(low, high, strict=True)))
