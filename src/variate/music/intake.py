"""Music made ready to learn from: windows, parted by piece, transposed as they are drawn.

This module does not know networks.
"""

from typing import Any

import torch
from torch import Generator

from variate.errors import DataError
from variate.music.codec import MusicCodec
from variate.music.splitting import split_by_piece
from variate.music.transposing import transposing
from variate.preparation import Prepared
from variate.training import AugmentedSource, MemorySource

__all__ = ["made_ready"]

EXAMPLE = 4_096  # windows that a prior is fitted to


def made_ready(codec: MusicCodec, data: Any, seed: int, *, show: bool) -> Prepared:
    """Data made ready; the codec learns from it.

    Args:
        codec: Not fitted.
        data: The music.
        seed: Of the split.
        show: Whether progress is shown.

    Raises:
        DataError: There are not two windows.
    """
    windows = codec.extracted(data, show=show)
    report = codec.extraction
    assert report is not None
    if len(windows) < 2:
        raise DataError(
            f"there is one window of music, and a model is fitted to many: hundreds at the least.\n"
            f"{report}"
        )
    codec.learn(windows)
    x = codec.symbols(windows)
    training, validation, held_out = split_by_piece(windows.pieces, codec.length, seed)
    change = transposing(codec)
    some = torch.randperm(len(training), generator=Generator().manual_seed(seed))
    return Prepared(
        codec=codec,
        training=AugmentedSource(MemorySource(x[training]), change),
        example=change(x[training[some[:EXAMPLE]]], Generator().manual_seed(seed)),
        validation=None if validation is None else x[validation],
        held_out=None if held_out is None else x[held_out],
        notes={"pieces": len(windows.names), "extraction": report.facts()},
    )
