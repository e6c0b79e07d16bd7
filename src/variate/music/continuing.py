"""A piece made longer: the bars after it, written given the last ones.

A model of B bars is given the last half of what it can hold and writes the rest; then the window
moves on. What was before it is forgotten: a tune goes on, and comes back to its beginning by chance
only. This module does not know networks.
"""

from dataclasses import replace
from typing import Any

from variate.errors import OptionError
from variate.music.infilling import infilled
from variate.music.pieces import Note, Piece, bar_of
from variate.music.rewriting import with_bars

__all__ = ["lengthened"]


def lengthened(
    estimator: Any, piece: Piece, bars: int, *, temperature: float, seed: int | None
) -> Piece:
    """A piece with so many bars more; see `MusicVAE.continued`."""
    if not isinstance(piece, Piece):
        raise OptionError(
            f"one piece is continued (vt.music.Piece), got {type(piece).__name__}; take those of a "
            "list one by one."
        )
    codec = estimator.codec_
    if codec.bars < 2:
        raise OptionError("items of one bar have nothing before them; fit a model of bars=2.")
    bar = bar_of(piece.meter)
    missing = bars
    piece = replace(piece, bars=round(piece.quarters / bar))
    while missing > 0:
        known = max(1, min(piece.bars, codec.bars // 2))
        x, mask = with_bars(codec, piece, known)
        made = infilled(
            estimator.model_, x, mask, voices=codec.voices or 1, draws=1,
            seed=None if seed is None else seed + missing, temperature=temperature,
        )  # fmt: skip
        written = codec.decode(made.draws[0])[0]
        new = min(missing, codec.bars - known)
        piece = _with(piece, written, known * bar, new * bar)
        missing -= new
    return piece


def _with(piece: Piece, written: Piece, start: float, length: float) -> Piece:
    """A piece, and after it what was written from `start` on, for so many quarters.

    A note that sounds on over the border is one note.
    """
    at = piece.quarters
    voices = []
    for before, after in zip(piece.voices, written.voices, strict=True):
        new = []
        for note in after:
            begin, end = max(note.onset, start), min(note.end, start + length)
            if begin >= end:
                continue
            if note.onset < start and before and before[-1].end >= at - 1e-6:
                before = (
                    *before[:-1],
                    before[-1]._replace(duration=at + end - start - before[-1].onset),
                )
            elif note.onset >= start:
                new.append(Note(begin - start + at, end - begin, note.pitch))
        voices.append(before + tuple(new))
    bars = piece.bars + round(length / bar_of(piece.meter))
    return replace(piece, voices=tuple(voices), bars=bars)
