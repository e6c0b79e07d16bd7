"""Music made ready to learn from: windows, parted by piece, transposed as they are drawn.

This module does not know networks.
"""

import numpy as np
import torch
from torch import Generator

from variate.errors import DataError
from variate.music.polyphony.windows import TrackWindows
from variate.music.splitting import split_by_piece
from variate.music.textures import Codec, texture_of
from variate.music.windows import Windows
from variate.preparation import Prepared
from variate.training import AugmentedSource

__all__ = ["made_ready"]

EXAMPLE = 4_096  # windows that a prior is fitted to


def made_ready(codec: Codec, windows: Windows | TrackWindows, seed: int) -> Prepared:
    """Windows made ready; the codec, which has read them, learns from them.

    Raises:
        DataError: There are not two windows.
    """
    report = codec.extraction
    assert report is not None
    if len(windows) < 2:
        raise DataError(
            f"there is one window of music, and a model is fitted to many: hundreds at the least.\n"
            f"{report}"
        )
    codec.learn(windows)  # type: ignore[arg-type]
    x = codec.symbols(windows)  # type: ignore[arg-type]
    texture = texture_of(codec)
    training, validation, held_out = split_by_piece(windows.pieces, texture.usual, seed)
    some = torch.randperm(len(training), generator=Generator().manual_seed(seed))
    return Prepared(
        codec=codec,
        training=AugmentedSource(texture.source(x[training]), texture.transposed),
        example=texture.transposed(x[training[some[:EXAMPLE]]], Generator().manual_seed(seed)),
        validation=None if validation is None else x[validation],
        held_out=None if held_out is None else x[held_out],
        notes={"pieces": len(np.unique(windows.pieces)), "extraction": report.facts()},
    )
