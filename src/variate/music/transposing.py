"""Transposition: the same music at another pitch, drawn anew in each batch of training.

All voices of an item move by the same number of semitones, as far as their ranges let them. This
module does not know where batches come from.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Generator, Tensor

from variate.errors import OptionError
from variate.music.codec import MusicCodec
from variate.music.grid import PITCH

__all__ = ["Transposing", "expect_transpose", "transposing"]

FARTHEST = 24  # semitones


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


def expect_transpose(given: Any) -> tuple[int, int]:
    """The option `transpose`: the fewest and the most semitones.

    Raises:
        OptionError: It is something else.
    """
    pair = given if isinstance(given, tuple | list) and len(given) == 2 else (1, 0)
    down, up = pair
    whole = isinstance(down, Integral) and isinstance(up, Integral)
    if not (whole and -FARTHEST <= down <= 0 <= up <= FARTHEST):
        raise OptionError(
            f"transpose must be the fewest and the most semitones, -{FARTHEST} to 0 and 0 to "
            f"{FARTHEST}, got {given!r:.60}; (0, 0) leaves music where it is."
        )
    return int(down), int(up)
