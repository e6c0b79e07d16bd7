"""Which places of items are to be written anew: some bars, some voices, what follows.

Bars and voices are counted from 1, as musicians do. This module does not know networks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from variate.errors import DataError, OptionError, SchemaError
from variate.music.codec import MusicCodec
from variate.music.extraction import Wanted
from variate.music.grid import PITCH, REST
from variate.music.pieces import METERS, STEPS_PER_QUARTER, Note, Piece, bar_of, bar_steps
from variate.music.reading import read
from variate.music.windows import Windows

__all__ = ["last_of", "mask_of", "numbers_of", "only_first_voice", "with_bars"]


def mask_of(
    codec: MusicCodec, x: Tensor, bars: Sequence[int] | None, voices: Sequence[int] | None
) -> Tensor:
    """The places of items x `[N, 1 + T V]` in these bars and voices, bool `[N, 1 + T V]`.

    Args:
        codec: The layout of items.
        x: The items.
        bars: Counted from 1; None for all.
        voices: Counted from 1, the highest first; None for all.

    Raises:
        OptionError: Both are None, or there is no such bar or voice.
    """
    if bars is None and voices is None:
        raise OptionError(
            "say what is to be written anew: bars=[3], voices=[2, 3, 4], or both (--bars 3, "
            "--voices 2-4)."
        )
    count = codec.voices or 1
    chosen = numbers_of("bars", bars, codec.bars)
    spoken = numbers_of("voices", voices, count)
    lengths = torch.tensor([bar_steps(meter) for meter in codec.meters])
    bar = lengths[x[:, 0].long() - codec.first_meter][:, None]
    step = torch.arange(codec.steps)[None]
    in_bars = torch.isin(step // bar, torch.tensor(chosen)) & (step < bar * codec.bars)
    in_voices = torch.isin(torch.arange(count), torch.tensor(spoken))
    mask = (in_bars[..., None] & in_voices).flatten(1)
    return torch.cat([torch.zeros(len(x), 1, dtype=torch.bool), mask], 1)


def only_first_voice(codec: MusicCodec, data: object) -> Tensor:
    """Music of one voice as items x whose other voices rest, for these to be written.

    Raises:
        SchemaError: The voice goes where the model's first voice does not.
    """
    windows, _ = read(data, Wanted(codec.bars, 1, stride=codec.bars, clean=False))
    count = codec.voices or 1
    symbols = np.zeros((len(windows), windows.symbols.shape[1], count), np.int16)
    symbols[:, 0] = REST
    symbols[:, :, 0] = windows.symbols[:, :, 0]
    struck = symbols[symbols >= PITCH] - PITCH
    if struck.size and (struck.min() < codec.lowest[0] or struck.max() > codec.highest[0]):
        raise SchemaError(
            f"the tune goes from {struck.min()} to {struck.max()}, and the model's highest voice "
            f"from {codec.lowest[0]} to {codec.highest[0]}; transpose it."
        )
    return codec.symbols(
        Windows(symbols, windows.meters, windows.pieces, windows.starts, windows.bars,
                windows.names, windows.tempos)
    )  # fmt: skip


def with_bars(codec: MusicCodec, piece: Piece, known: int) -> tuple[Tensor, Tensor]:
    """The last `known` bars of a piece with room for those that follow, and which are missing.

    Returns:
        An item x `[1, 1 + T V]`, and the places of the bars after them, bool.

    Raises:
        DataError: The piece has another number of voices, or another metre.
    """
    count = codec.voices or 1
    if len(piece.voices) != count or piece.meter not in codec.meters:
        raise DataError(
            f"the piece has {len(piece.voices)} voices in {piece.meter[0]}/{piece.meter[1]}; the "
            f"model knows {codec.schema}."
        )
    last, _ = read([last_of(piece, known)], Wanted(known, count, clean=False))
    steps = known * bar_steps(piece.meter)
    symbols = np.zeros((1, codec.bars * bar_steps(METERS[0]), count), np.int16)
    symbols[:, :steps] = last.symbols[:, :steps]
    x = codec.symbols(
        Windows(symbols, last.meters, last.pieces, last.starts, codec.bars, last.names, last.tempos)
    )
    return x, mask_of(codec, x, range(known + 1, codec.bars + 1), None)


def last_of(piece: Piece, bars: int) -> Piece:
    """The last bars of a piece; what sounds there already is struck."""
    start = piece.quarters - bars * bar_of(piece.meter)
    voices = tuple(
        tuple(
            Note(max(note.onset - start, 0.0), note.end - max(note.onset, start), note.pitch)
            for note in voice
            if note.onset >= start or note.end > start + 0.5 / STEPS_PER_QUARTER
        )
        for voice in piece.voices
    )
    return replace(piece, voices=voices, bars=bars)


def numbers_of(what: str, given: Sequence[int] | None, most: int) -> list[int]:
    """Numbers counted from 0; all where none are given."""
    if given is None:
        return list(range(most))
    numbers = [int(number) - 1 for number in given]
    if not numbers or any(not 0 <= number < most for number in numbers):
        raise OptionError(f"{what} must be some of 1 to {most}, got {list(given)}.")
    return numbers
