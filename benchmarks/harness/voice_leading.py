"""What harmony lessons mark in red: parallel fifths and octaves, and voices that cross.

    parallel fifths, octaves   of all pairs of voices that both move from one chord to the next, the
                               share whose interval is a perfect fifth (an octave or unison) before
                               and after
    crossings                  of all steps at which two neighbouring voices sound, the share at
                               which the lower one is above the upper one

A chord is what sounds at a step at which some voice begins a note.
"""

from itertools import pairwise

import numpy as np

from variate.music.grid import PITCH, gridded, sounding
from variate.music.pieces import Piece


def marks(symbols: list[np.ndarray]) -> dict[str, float]:
    """The shares over items `[T, V]` of symbols."""
    fifths = octaves = moves = crossed = both = 0
    for item in symbols:
        heard = np.stack([sounding(voice) for voice in item.T], 1).astype(int)
        sounds = heard >= PITCH
        pairs = sounds[:, 1:] & sounds[:, :-1]
        crossed += int((pairs & (heard[:, 1:] > heard[:, :-1])).sum())
        both += int(pairs.sum())
        at = np.flatnonzero((item >= PITCH).any(1))
        for before, after in pairwise(at):
            for a in range(item.shape[1]):
                for b in range(a + 1, item.shape[1]):
                    four = heard[[before, before, after, after], [a, b, a, b]]
                    if (four < PITCH).any() or four[0] == four[2] or four[1] == four[3]:
                        continue
                    moves += 1
                    first, then = (four[0] - four[1]) % 12, (four[2] - four[3]) % 12
                    fifths += int(first == then == 7)
                    octaves += int(first == then == 0)
    return {
        "parallel_fifths": fifths / max(moves, 1),
        "parallel_octaves": octaves / max(moves, 1),
        "crossings": crossed / max(both, 1),
    }


def symbols_of(pieces: list[Piece]) -> list[np.ndarray]:
    """Pieces as symbols `[T, V]`."""
    found = []
    for piece in pieces:
        steps = round(piece.quarters * 4)
        found.append(np.stack([gridded(voice, steps).symbols for voice in piece.voices], 1))
    return found
