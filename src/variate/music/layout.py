"""How an item is laid out: steps, voices, and the parts that have a code of their own.

An item of B bars has n = B / b parts of b bars. How many steps a part has depends on the metre, so
there are tables: which steps a part has, and which place of which part a step is.

This module does not know any network.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from variate.errors import OptionError
from variate.music.codec import MusicCodec
from variate.music.grid import HOLD, REST
from variate.music.pieces import bar_steps

__all__ = ["LONGEST_PART", "Layout", "expect_parts", "heard", "layout_of", "spans_of"]

LONGEST_PART = 2  # bars that have one code


class Layout(NamedTuple):
    """How an item is laid out.

    Attributes:
        size: K, how many symbols there are, metres among them.
        first_meter: The symbol of the first metre.
        meters: The metres, in the order of their symbols.
        bars: Of an item.
        steps: T, of the longest metre.
        voices: V.
        spans: n, how many parts have a code of their own.
    """

    size: int
    first_meter: int
    meters: tuple[tuple[int, int], ...]
    bars: int
    steps: int
    voices: int
    spans: int = 1

    @property
    def part(self) -> int:
        """O, the steps of a part in the longest metre."""
        return self.steps // self.spans

    def places(self) -> Tensor:
        """Where in its bar each step is, `[M, T]`; one more beyond the item's end."""
        longest = max(bar_steps(meter) for meter in self.meters)
        rows = []
        for meter in self.meters:
            step = torch.arange(self.steps)
            bar = bar_steps(meter)
            rows.append(torch.where(step < bar * self.bars, step % bar, longest))
        return torch.stack(rows)

    def parts(self) -> tuple[Tensor, Tensor]:
        """The steps of each part, and which of them there are, `[M, n, O]` both."""
        at, within = [], []
        for meter in self.meters:
            length = bar_steps(meter) * self.bars // self.spans
            place = torch.arange(self.part)
            start = torch.arange(self.spans)[:, None] * length
            within.append((place < length).expand(self.spans, -1))
            at.append(start + place.clamp(max=length - 1))
        return torch.stack(at), torch.stack(within)

    def due(self) -> Tensor:
        """For each step the place in all parts laid side by side, `[M, T]`, below n O."""
        rows = []
        for meter in self.meters:
            length = bar_steps(meter) * self.bars // self.spans
            step = torch.arange(self.steps).clamp(max=length * self.spans - 1)
            rows.append(step // length * self.part + step % length)
        return torch.stack(rows)


def spans_of(bars: int) -> int:
    """How many codes an item of so many bars has: one up to two bars, then one for each two."""
    if bars <= LONGEST_PART:
        return 1
    return bars // LONGEST_PART if bars % LONGEST_PART == 0 else bars


def expect_parts(latent: int, bars: int) -> int:
    """The latent dimensions, if each part can have as many.

    Raises:
        OptionError: It cannot.
    """
    spans = spans_of(bars)
    if latent % spans:
        raise OptionError(
            f"latent must be a multiple of {spans}, the parts of {bars} bars with a code each, "
            f"got {latent}."
        )
    return latent


def layout_of(codec: MusicCodec) -> Layout:
    """How a codec lays out its items."""
    return Layout(
        codec.size, codec.first_meter, codec.meters, codec.bars, codec.steps, codec.voices or 1,
        spans_of(codec.bars),
    )  # fmt: skip


def heard(symbols: Tensor) -> Tensor:
    """What sounds at each step of symbols `[..., T, V]`: pitches, or rests; as `grid.sounding`."""
    steps = torch.arange(symbols.shape[-2], device=symbols.device)[:, None]
    at = torch.where(symbols != HOLD, steps, 0).cummax(-2).values
    held = symbols.gather(-2, at)
    return torch.where(held == HOLD, REST, held)
