"""A piece made longer: the bars after it, written given the last ones.

A model of B bars is given the last half of what it can hold and writes the rest; then the window
moves on. What was before it is forgotten: a tune goes on, and comes back to its beginning by chance
only. This module does not know networks.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from variate.errors import OptionError
from variate.music.pieces import Note, Piece, bar_of
from variate.music.wholes import one_whole
from variate.options import expect_seed, whole

__all__ = ["lengthened"]


def lengthened(
    estimator: Any, piece: Any, bars: int, *, temperature: float, seed: int | None
) -> Piece:
    """A piece with so many bars more; see `MusicVAE.continued`."""
    whole("bars", bars)
    codec, texture = estimator.codec_, estimator._texture
    if codec.bars < 2:
        raise OptionError("items of one bar have nothing before them; fit a model of bars=2.")
    if isinstance(piece, str | Path):
        piece = one_whole(codec, piece)
    if not isinstance(piece, Piece):
        raise OptionError(
            f"one piece is continued (vt.music.Piece, or a file), got {type(piece).__name__}; take "
            "those of a list one by one."
        )
    bar = bar_of(piece.meter)
    if seed is not None:
        expect_seed(seed)
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
    """A piece, and after it what was written from `start` on, for so many quarters.

    A note that sounds on over the border is one note.
    """
    at = piece.quarters
    voices = []
    for before, after in zip(piece.voices, written.voices, strict=True):
        notes, sounding = list(before), {}
        for i, note in enumerate(before):
            if note.end >= at - 1e-6:
                sounding[note.pitch] = i
        for note in after:
            begin, end = max(note.onset, start), min(note.end, start + length)
            if begin >= end:
                continue
            if note.onset >= start:
                notes.append(Note(begin - start + at, end - begin, note.pitch))
            elif note.pitch in sounding:
                held = sounding[note.pitch]
                notes[held] = before[held]._replace(duration=at + end - start - before[held].onset)
        voices.append(tuple(notes))
    bars = piece.bars + round(length / bar_of(piece.meter))
    return replace(piece, voices=tuple(voices), bars=bars)
