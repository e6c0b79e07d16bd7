"""Windows parted by piece: what a model learns from, what it stops by, and what it is measured on.

Windows of one piece repeat each other nearly, so that a window held out by itself would be known
already. This module does not know what a window is.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["split_by_piece"]

FEWEST = 5  # pieces, below which none can be spared
SHARE = 0.05  # of the pieces, for each of the two
MOST = 1_000  # windows, for each of the two
NUMBERS = 6_400  # symbols of those held out, each of which is scored with 64 draws, twice
FEWEST_WINDOWS = 64


def split_by_piece(
    pieces: NDArray[np.int64], symbols: int, seed: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The numbers of windows of training, validation and held-out pieces.

    Args:
        pieces: Which piece each window is of, `[N]`.
        symbols: Of a window.
        seed: Of the order in which pieces are dealt out.

    Returns:
        Three sets of numbers; no piece is in two of them. The latter two are None where there are
        fewer than five pieces. Of these pieces so many windows are used as can be scored in half a
        minute or so.
    """
    known = np.unique(pieces)
    if len(known) < FEWEST:
        return torch.arange(len(pieces)), None, None
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed)).numpy()
    for spare in range(max(1, round(SHARE * len(known))), len(known) // 3 + 1):
        parts = known[order[:spare]], known[order[spare : 2 * spare]], known[order[2 * spare :]]
        validation, held_out, training = (
            torch.from_numpy(np.flatnonzero(np.isin(pieces, part))) for part in parts
        )
        if min(len(validation), len(held_out)) > 1:  # the spread of one item is none
            break
    else:
        return torch.arange(len(pieces)), None, None
    most = max(FEWEST_WINDOWS, NUMBERS // symbols)
    return training, _spread(validation, MOST), _spread(held_out, most)


def _spread(numbers: Tensor, most: int) -> Tensor:
    """At most so many of the numbers, from all over."""
    return numbers[torch.linspace(0, len(numbers) - 1, min(most, len(numbers))).long()]
