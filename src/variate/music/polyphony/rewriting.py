"""Which notes of tracks are given: a first track that others are written to, and last bars.

This module does not know networks.
"""

from dataclasses import replace

from torch import Tensor

from variate.music.extraction import Wanted
from variate.music.pieces import Piece
from variate.music.polyphony.codec import TracksCodec
from variate.music.reading import gathered, read_tracks
from variate.music.rewriting import expect_like, last_of

__all__ = ["only_first_track", "with_room"]


def only_first_track(codec: TracksCodec, data: object) -> Tensor:
    """The first track of music as items x whose others are silent, for these to be written.

    Raises:
        SchemaError: The track goes where the model's first one does not.
    """
    scores = gathered(data)
    first = [
        (name, replace(said, voices=said.voices[:1], instruments=said.instruments[:1]))
        for name, said in scores.pieces
    ]
    wanted = Wanted(codec.bars, stride=codec.bars, clean=False)
    windows, _ = read_tracks(replace(scores, pieces=first), 1, wanted)
    return codec.symbols(replace(windows, instruments=codec.instruments))


def with_room(codec: TracksCodec, piece: Piece, known: int) -> Tensor:
    """The last `known` bars of a piece, with room behind them for others: an item x `[1, L]`.

    Raises:
        DataError: The piece has another number of tracks, or another metre.
    """
    expect_like(codec, piece, codec.tracks, "track")
    wanted = Wanted(known, clean=False)
    named = replace(piece, instruments=codec.instruments)
    last, _ = read_tracks([last_of(named, known)], codec.tracks, wanted, known=codec.instruments)
    return codec.symbols(replace(last, bars=codec.bars))
