r"""The grid: notes of voices <-> one symbol for each voice and sixteenth.

    0        hold: what sounded goes on, be it a note or silence
    1        rest: the note ends, and none begins
    2 + p    the pitch p (of MIDI) begins

(MusicVAE's alphabet, Roberts et al. 2018.) A repeated note and a long one are told apart, which a
piano-roll cannot. Whatever lies on the grid comes back as it was: notes -> symbols -> notes is the
identity for voices of one note at a time, and symbols -> notes -> symbols for symbols that begin
with no hold and have no rest in silence, which are those that are made here.

A note off the grid goes to the nearest step. Its onset counts as off where it moves by more than a
twelfth of a step (a 192nd note); notes that meet on one step are *crowded*: the later one stays.

A stretch of a longer voice begins with what sounds there: a note that was held is struck anew.

This module does not know files or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variate.music.pieces import STEPS_PER_QUARTER, Note

__all__ = ["HOLD", "PITCH", "REST", "Gridded", "at_any_pitch", "gridded", "notes_of", "sounding"]

HOLD, REST, PITCH = 0, 1, 2  # PITCH + p is the pitch p
OFF = 1 / 12  # of a step

Symbols = NDArray[np.int16]


@dataclass(frozen=True)
class Gridded:
    """One voice on the grid.

    Attributes:
        symbols: One for each step, `[T]`.
        sounds: What sounds at each step, `[T]`; see `sounding`.
        off: At which steps a note begins that was moved there, `[T]`.
        crowded: At which steps more than one note wanted to begin, `[T]`.
    """

    symbols: Symbols
    sounds: Symbols
    off: NDArray[np.bool_]
    crowded: NDArray[np.bool_]

    def cut(self, start: int, end: int) -> Symbols:
        """The steps from start to end, by themselves: what is held there is struck anew."""
        part = self.symbols[start:end].copy()
        part[:1] = self.sounds[start : start + 1]
        return part


def gridded(notes: Sequence[Note], steps: int) -> Gridded:
    """A voice on a grid of so many steps; a note sounds until the next one begins.

    Args:
        notes: In order of onset.
        steps: T; what is beyond is left out.
    """
    symbols = np.zeros(steps, np.int16)
    if steps:
        symbols[0] = REST
    off, crowded, taken = (np.zeros(steps, bool) for _ in range(3))
    silent = 0  # the step at which it is silent again
    for note in notes:
        exact = note.onset * STEPS_PER_QUARTER
        at = round(exact)
        if not 0 <= at < steps:
            continue
        off[at] |= abs(exact - at) > OFF
        crowded[at] |= taken[at]
        taken[at] = True
        if silent < at:
            symbols[silent] = REST
        symbols[at] = PITCH + note.pitch
        silent = max(at + 1, round(note.end * STEPS_PER_QUARTER))
        symbols[at + 1 : silent] = HOLD
    if silent < steps:
        symbols[silent] = REST
    return Gridded(symbols, sounding(symbols), off, crowded)


def sounding(symbols: Symbols) -> Symbols:
    """What sounds at each step of `[T]`: a symbol of a pitch, or a rest."""
    at = np.where(symbols != HOLD, np.arange(len(symbols)), 0)
    held: Symbols = symbols[np.maximum.accumulate(at)]
    return np.where(held == HOLD, REST, held).astype(np.int16)


def notes_of(symbols: Symbols) -> tuple[Note, ...]:
    """The notes of a voice `[T]`, in quarters."""
    begins = np.flatnonzero(symbols != HOLD)
    ends = np.append(begins[1:], len(symbols))
    return tuple(
        Note(begin / STEPS_PER_QUARTER, (end - begin) / STEPS_PER_QUARTER, int(s) - PITCH)
        for begin, end, s in zip(begins.tolist(), ends.tolist(), symbols[begins], strict=True)
        if s >= PITCH
    )


def at_any_pitch(symbols: Symbols) -> bytes:
    """The same for symbols `[T, V]` of music that differs by a transposition only."""
    struck = symbols >= PITCH
    lowest = symbols[struck].min() if struck.any() else 0
    return np.where(struck, symbols - lowest + PITCH, symbols).astype(np.int16).tobytes()
