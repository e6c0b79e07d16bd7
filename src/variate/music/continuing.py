"""A piece made longer: the bars after it, written given the last ones.

A model of B bars is given the last half of what it can hold and writes the rest; then the window
moves on. What was before it is forgotten: a tune goes on, and comes back to its beginning by chance
only. This module does not know networks.
"""

from dataclasses import replace
from typing import Any

from variate.errors import OptionError
from variate.music.pieces import Note, Piece, bar_of

__all__ = ["lengthened"]


def lengthened(
    estimator: Any, piece: Piece, bars: int, *, temperature: float, seed: int | None
) -> Piece:
    """A piece with so many bars more; see `MusicVAE.continued`."""
    codec, texture = estimator.codec_, estimator._texture
    if codec.bars < 2:
        raise OptionError("items of one bar have nothing before them; fit a model of bars=2.")
    bar = bar_of(piece.meter)
    missing = bars
    piece = replace(piece, bars=round(piece.quarters / bar))
    while missing > 0:
        known = max(1, min(piece.bars, codec.bars // 2))
        made = texture.rewritten(
            estimator.model_, texture.last_bars(piece, known), range(known + 1, codec.bars + 1),
            None, draws=1, seed=None if seed is None else seed + missing, temperature=temperature,
        )  # fmt: skip
        written = codec.decode(made.draws[0])[0]
        new = min(missing, codec.bars - known)
        piece = _with(piece, written, known * bar, new * bar)
        missing -= new
    return piece


def _with(piece: Piece, written: Piece, start: float, length: float) -> Piece:
    """A piece, and after it what was written from `start` on, for so many quarters."""
    at = piece.quarters
    voices = []
    for before, after in zip(piece.voices, written.voices, strict=True):
        new = [
            Note(
                note.onset - start + at, min(note.duration, start + length - note.onset), note.pitch
            )
            for note in after
            if start <= note.onset < start + length
        ]
        voices.append(before + tuple(new))
    bars = piece.bars + round(length / bar_of(piece.meter))
    return replace(piece, voices=tuple(voices), bars=bars)
