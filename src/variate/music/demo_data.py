"""Bach's chorales as music21 bundles them, parted by chorale.

This module does not know what is fitted to them.
"""

from pathlib import Path

import numpy as np

from variate.music.extraction import Wanted, extract
from variate.music.notation import bundled_chorales
from variate.music.records import Extraction
from variate.music.windows import Windows
from variate.progress import tally

__all__ = ["chorales"]

SHARE = 0.1  # of the chorales, kept aside


def chorales(
    folder: Path, *, seed: int, most: int | None = None, bars: int = 2
) -> tuple[Windows, Windows]:
    """Windows to learn from, and windows of other chorales; both are kept in the folder.

    Args:
        folder: Where train.npz and test.npz go.
        seed: Of the choice.
        most: How many chorales are read; None for all.
        bars: Of a window.
    """
    pieces = []
    with tally("chorales read", show=True) as more:
        for piece in bundled_chorales(most):
            pieces.append(piece)
            more(1)
    report = Extraction(voices=4, bars=bars, files=len(pieces))
    windows = extract(pieces, Wanted(bars=bars, voices=4), report)
    known = np.unique(windows.pieces)
    order = np.random.default_rng(seed).permutation(known)
    held = np.isin(windows.pieces, order[: max(1, round(SHARE * len(known)))])
    train, test = windows.part(np.flatnonzero(~held)), windows.part(np.flatnonzero(held))
    train.save(folder / "train.npz")
    test.save(folder / "test.npz")
    return train, test
