"""Which steps of which tracks are to be written anew: some bars, some tracks, what follows.

Bars and tracks are counted from 1, as musicians do. This module does not know networks.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.music.extraction import Wanted
from variate.music.pieces import Instrument, Piece, bar_steps
from variate.music.polyphony.codec import TracksCodec
from variate.music.reading import gathered, read_tracks
from variate.music.rewriting import last_of, numbers_of

__all__ = ["missing_of", "only_first_track", "with_room"]


def missing_of(
    codec: TracksCodec, x: Tensor, bars: Sequence[int] | None, tracks: Sequence[int] | None
) -> Tensor:
    """The steps of items x `[N, L]` in these bars and tracks, bool `[N, steps, tracks]`.

    Raises:
        OptionError: Both are None, or there is no such bar or track.
    """
    if bars is None and tracks is None:
        raise OptionError("say what is to be written anew: bars=[3], tracks=[2], or both.")
    chosen = torch.tensor(numbers_of("bars", bars, codec.bars))
    spoken = torch.tensor(numbers_of("tracks", tracks, codec.tracks))
    lengths = torch.tensor([bar_steps(meter) for meter in codec.meters])
    bar = lengths[x[:, 0].long() - codec.first_meter][:, None]
    step = torch.arange(codec.steps)[None]
    in_bars = torch.isin(step // bar, chosen) & (step < bar * codec.bars)
    in_tracks = torch.isin(torch.arange(codec.tracks), spoken)
    return in_bars[..., None] & in_tracks


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
    wanted = Wanted(codec.bars, 1, stride=codec.bars, clean=False)
    windows, _ = read_tracks(replace(scores, pieces=first), 1, wanted)
    return codec.symbols(replace(windows, instruments=codec.instruments))


def with_room(codec: TracksCodec, piece: Piece, known: int) -> Tensor:
    """The last `known` bars of a piece, with room behind them for others: an item x `[1, L]`.

    Raises:
        DataError: The piece has another number of tracks, or another metre.
    """
    if len(piece.voices) != codec.tracks or piece.meter not in codec.meters:
        raise DataError(
            f"the piece has {len(piece.voices)} tracks in {piece.meter[0]}/{piece.meter[1]}; the "
            f"model knows {codec.schema}."
        )
    wanted = Wanted(known, 1, clean=False)
    named = replace(piece, instruments=tuple(Instrument(*i) for i in codec.instruments))
    last, _ = read_tracks([last_of(named, known)], codec.tracks, wanted, known=codec.instruments)
    return codec.symbols(replace(last, bars=codec.bars))
