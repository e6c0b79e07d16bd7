"""Which steps of items are to be written anew: some bars, some voices or tracks, what follows.

Bars, voices and tracks are counted from 1, as musicians do. What is of tracks alone is in
`polyphony.rewriting`. This module does not know networks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variate.errors import DataError, OptionError, SchemaError
from variate.music.codec import MusicCodec
from variate.music.extraction import SAME_BARS, Wanted
from variate.music.grid import PITCH, REST
from variate.music.pieces import METERS, STEPS_PER_QUARTER, Note, Piece, bar_of, bar_steps, shown
from variate.music.reading import read

__all__ = ["expect_like", "last_of", "mask_of", "missing_of", "only_first_voice", "with_bars"]


def missing_of(
    codec: Any,
    x: Tensor,
    bars: Sequence[int] | None,
    parts: Sequence[int] | None,
    of: tuple[int, str],
) -> Tensor:
    """The steps of items in these bars and voices or tracks, bool `[N, steps, parts]`.

    Args:
        codec: Of the items.
        x: The items `[N, T']`.
        bars: Counted from 1; None for all.
        parts: Voices or tracks, counted from 1; None for all.
        of: How many parts an item has, and what one is called.

    Raises:
        OptionError: Both are None, or there is no such bar or part.
    """
    count, part = of
    if bars is None and parts is None:
        raise OptionError(
            f"say what is to be written anew: bars=[3], {part}s=[2], or both (--bars 3, "
            f"--{part}s 2)."
        )
    chosen = torch.tensor(_numbers("bars", bars, codec.bars))
    spoken = torch.tensor(_numbers(f"{part}s", parts, count))
    lengths = torch.tensor([bar_steps(meter) for meter in codec.meters])
    bar = lengths[x[:, 0].long() - codec.first_meter][:, None]
    step = torch.arange(codec.steps)[None]
    in_bars = torch.isin(step // bar, chosen) & (step < bar * codec.bars)
    return in_bars[..., None] & torch.isin(torch.arange(count), spoken)


def mask_of(
    codec: MusicCodec, x: Tensor, bars: Sequence[int] | None, voices: Sequence[int] | None
) -> Tensor:
    """The places of items x `[N, 1 + T V]` in these bars and voices, bool `[N, 1 + T V]`.

    Raises:
        OptionError: Both are None, or there is no such bar or voice.
    """
    missing = missing_of(codec, x, bars, voices, (codec.voices or 1, "voice")).flatten(1)
    return torch.cat([torch.zeros(len(x), 1, dtype=torch.bool), missing], 1)


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
    return codec.symbols(replace(windows, symbols=symbols))


def with_bars(codec: MusicCodec, piece: Piece, known: int) -> Tensor:
    """The last `known` bars of a piece, with room behind them for others: an item `[1, 1 + T V]`.

    Raises:
        DataError: The piece has another number of voices, or another metre.
    """
    count = codec.voices or 1
    expect_like(codec, piece, count, "voice")
    last, _ = read([last_of(piece, known)], Wanted(known, count, clean=False))
    steps = known * bar_steps(piece.meter)
    symbols = np.zeros((1, codec.bars * bar_steps(METERS[0]), count), np.int16)
    symbols[:, :steps] = last.symbols[:, :steps]
    return codec.symbols(replace(last, symbols=symbols, bars=codec.bars))


def expect_like(codec: Any, piece: Piece, count: int, part: str) -> None:
    """Refuse a piece that a codec's items do not continue.

    Raises:
        DataError: It has not so many voices or tracks, or another metre.
    """
    if len(piece.voices) != count or SAME_BARS.get(piece.meter, piece.meter) not in codec.meters:
        raise DataError(
            f"the piece has {len(piece.voices)} {part}s in {shown([piece.meter])}; the model knows "
            f"{codec.schema}."
        )


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


def _numbers(what: str, given: Any, most: int) -> list[int]:
    """Numbers counted from 0; all where none are given."""
    if given is None:
        return list(range(most))
    numbers = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else []
    whole = all(isinstance(n, Integral) and not isinstance(n, bool) for n in numbers)
    if not numbers or not whole or not all(1 <= n <= most for n in numbers):
        said = f"{numbers or given!r:.60}"
        raise OptionError(f"{what} must be some of 1 to {most}, such as [{most}], got {said}.")
    return [int(number) - 1 for number in numbers]
