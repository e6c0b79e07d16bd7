"""Whole pieces of files, in the voices or tracks of a model: what is continued, not cut into items.

A file whose metre changes, or whose bars begin anew off a bar line, is taken from the last such
place on, since a piece has one metre and whole bars.

This module does not know networks.
"""

import warnings
from typing import Any

from variate.errors import DataError, DataWarning
from variate.music.extraction import Wanted, stretches_of
from variate.music.midi import Tracks
from variate.music.pieces import METERS, Piece
from variate.music.reading import gathered
from variate.music.records import Extraction
from variate.music.stretches import Line, last_end
from variate.music.textures import Codec

__all__ = ["one_whole", "wholes"]


def wholes(codec: Codec, data: Any) -> list[Piece]:
    """The pieces of data, each with the voices or tracks of a model.

    Args:
        codec: The model's.
        data: A file, a folder, a list of files or of `Piece`.

    Raises:
        DataError: A file cannot be read, has other voices than the model, or ends in a metre that
            the model does not know.
    """
    scores = gathered(data)
    for name, reason in scores.refused.items():
        raise DataError(f"{name}: {reason}.")
    return [_whole(codec, name, said) for name, said in scores.pieces]


def one_whole(codec: Codec, data: Any) -> Piece:
    """The one piece of a file.

    Raises:
        DataError: It has several, or what `wholes` raises.
    """
    found = wholes(codec, data)
    if len(found) != 1:
        raise DataError(f"{data} has {len(found)} pieces, and one is continued; give one of them.")
    return found[0]


def _whole(codec: Codec, name: str, said: Tracks) -> Piece:
    try:
        parts = codec.parts_of(said)
    except DataError as error:
        raise DataError(f"{name}: {error}.") from error
    report = Extraction(len(parts), 1)
    stretches = stretches_of(parts, said, Wanted(1, len(parts), clean=False), report)
    last = max((s for s in stretches if s.bars), key=lambda s: s.start, default=None)
    end = last_end([note for part in parts for note in part])
    meter = METERS[last.meter] if last else (0, 0)
    if last is None or meter not in codec.meters or end > last.end:
        raise DataError(
            f"{name}: it does not end in whole bars of a metre that the model knows "
            f"({codec.schema})."
        )
    if last.start > 0:
        warnings.warn(
            f"of {name} the first {last.start:g} quarters are left out: there the metre changes, "
            "or bars begin anew",
            DataWarning,
            stacklevel=4,
        )
    voices = tuple(tuple(sorted(last.within(Line(part)))) for part in parts)
    return Piece(voices, meter, said.tempo, name, last.bars, getattr(codec, "instruments", ()))
