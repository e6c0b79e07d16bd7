r"""Windows cut out of series: for training with spans hidden, for measuring as they are.

A window is L steps of a series on its grid; it may begin at any step, so windows overlap. Series
that are shorter than L are filled up with gaps.

**Hidden spans.** In training a window may have spans hidden, which are gaps then (NaN), for the
encoder and for the likelihood alike. What is maximised is the exact ELBO of the cells that are
left,

    log p(x_left) ≥ E_q(z|x_left) [log p(x_left | z)] - KL(q(z | x_left) ‖ p(z))

so nothing is approximated by it (Ma et al. 2019, EDDI): q learns to answer to any pattern of gaps,
and a hidden span, be it a gap in the middle or the future at the end, is drawn by z ~ q(z|x_left)
and x ~ p(x|z). Were the hidden cells part of the likelihood, q would answer for what it cannot
know, and σ(z) would pay for it by being too wide where all is known.

**What is set apart.** The series are cut into stretches; some of them are for validation, some held
out. The stretches are gaps in the windows of training, and everything else is a gap in theirs, so
that no cell is in two of the three sets although windows overlap. Stretches next to each other
depend on each other, which no cut can help.

This module does not know the model.
"""

from collections.abc import Generator as Generates
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.training.noise import mix

__all__ = ["Apart", "WindowSource", "cut", "hide", "set_apart", "starts_of", "tiles"]

_STARTS, _SPANS = 11, 12  # purposes of random numbers
FEWEST = 0.25  # the share of observed cells below which a window is not trained on
VALIDATED, HELD = 0.10, 0.15  # the shares of the steps that are set apart

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Apart:
    """Series `[G, C]` in three versions, each with gaps where the others are."""

    training: list[Floats]
    validation: list[Floats]
    held_out: list[Floats]


def set_apart(series: Sequence[Floats], length: int, seed: int) -> Apart | None:
    """Validation and held-out stretches, spread over all series; None if there is too little.

    A stretch has half a window of steps where that leaves twenty of them, else fewer, but at least
    eight: many short ones tell more of what is usual than few long ones.
    """
    total = sum(map(len, series))
    stretch = max(8, min(length // 2, total // 20))
    pieces = [(s, at) for s, part in enumerate(series) for at in range(0, len(part), stretch)]
    validated, held = (max(1, round(share * len(pieces))) for share in (VALIDATED, HELD))
    if len(pieces) < 3 * (validated + held):
        return None
    order = np.random.default_rng([seed, 1]).permutation(len(pieces))
    chosen = (order[validated + held :], order[:validated], order[validated : validated + held])
    versions = []
    for part in chosen:
        made = [np.full_like(values, np.nan) for values in series]
        for p in part:
            s, at = pieces[p]
            made[s][at : at + stretch] = series[s][at : at + stretch]
        versions.append(made)
    if any(not any((~np.isnan(values)).any() for values in version) for version in versions):
        return None
    return Apart(*versions)


def starts_of(steps: int, length: int, stride: int) -> list[int]:
    """Where windows begin that cover all steps: every `stride`, the last one at the end."""
    last = max(steps - length, 0)
    return sorted({*range(0, last + 1, stride), last})


def tiles(steps: int, length: int) -> list[int]:
    """Where windows begin that cover all steps once; the last one may run over the end."""
    return list(range(0, max(steps, 1), length))


def cut(values: Floats, start: int, length: int) -> Floats:
    """The window `[L, C]` from a step on, gaps beyond the ends of the series."""
    window = np.full((length, values.shape[1]), np.nan)
    low, high = max(start, 0), min(start + length, len(values))
    if low < high:
        window[low - start : high - start] = values[low:high]
    return window


class WindowSource:
    """Windows that begin anywhere, with spans hidden: an endless stream that can be entered.

    Args:
        series: `[G, C]` each.
        length: L.
        hidden: The share of windows that have spans hidden.
    """

    def __init__(self, series: Sequence[Floats], length: int, hidden: float) -> None:
        self.length = length
        self.hidden = hidden
        padded = [part if len(part) >= length else cut(part, 0, length) for part in series]
        self.values = torch.from_numpy(np.concatenate(padded))
        offsets = np.cumsum([0, *(len(part) for part in padded[:-1])])
        self.starts = torch.from_numpy(
            np.concatenate([
                offset + _worth(part, length)
                for offset, part in zip(offsets, padded, strict=True)
            ])
        )  # fmt: skip

    @property
    def items(self) -> int:
        """How many windows there are to begin at."""
        return len(self.starts)

    def windows(self, numbers: Tensor) -> Tensor:
        """Windows by number, as they are, `[N, L, C]`."""
        return self.values[self.starts[numbers, None] + torch.arange(self.length)]

    def batches(
        self, start: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> Generates[Tensor, None, None]:
        """The batches of steps start, start + 1, …: see `training.Source`."""
        for step in count(start):
            generator = torch.Generator().manual_seed(mix(seed, _SPANS, step))
            whole = self.windows(self._drawn(step, size, seed))
            shown = hide(whole, self.hidden, generator)
            yield shown[rank * (size // world) : (rank + 1) * (size // world)]

    def rows(self, step: int, size: int, seed: int, rank: int = 0, world: int = 1) -> Tensor:
        """The numbers of the windows in the batch of `step`."""
        share = size // world
        return self._drawn(step, size, seed)[rank * share : (rank + 1) * share]

    def _drawn(self, step: int, size: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(mix(seed, _STARTS, step))
        return torch.randint(self.items, (size,), generator=generator)


def hide(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Windows x `[B, L, C]` with spans hidden in a share of them.

    Half of those lose their end (as a forecast does) and half two spans anywhere, each up to half a
    window long; where there are several channels, a third of the spans are of some channels only.
    """
    size, length, channels = x.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    steps = torch.arange(length)
    long = 1 + (uniform(size, 2) * (length // 2)).long()
    begin = (uniform(size, 2) * (length - long + 1)).long()
    end = uniform(size) < 0.5
    begin[end] = length - long[end]
    spans = (steps >= begin[..., None]) & (steps < (begin + long)[..., None])  # [B, 2, L]
    some = (uniform(size, 2, channels) < 0.5) | (uniform(size, 2, 1) < 2 / 3)
    lost = (spans[..., None] & some[:, :, None]).any(1)
    lost &= (uniform(size) < share)[:, None, None]
    return x.masked_fill(lost, torch.nan)


def _worth(values: Floats, length: int) -> NDArray[np.int64]:
    """Where windows begin of which enough is observed."""
    seen = np.concatenate([[0], np.cumsum((~np.isnan(values)).sum(1))])
    inside = seen[length:] - seen[:-length]
    fine = np.flatnonzero(inside >= FEWEST * length * values.shape[1])
    return fine if len(fine) else np.flatnonzero(inside > 0)
