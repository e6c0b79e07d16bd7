"""Music of chords that tests share: made, not taken from anyone."""

import numpy as np

from variate.music import Note, Piece


def chords(seed: int, *, tracks: int = 1, bars: int = 2, meter=(4, 4)) -> Piece:
    """Chords of one to three notes of any lengths, no key struck while it is down."""
    random = np.random.default_rng(seed)
    steps = bars * meter[0] * 16 // meter[1]
    voices = []
    for track in range(tracks):
        notes, until = [], {}
        for step in range(0, steps, 2):
            for pitch in random.choice(
                np.arange(58, 66) - 12 * track, random.integers(0, 4), False
            ):
                if until.get(pitch, 0) <= step:
                    length = int(random.integers(1, min(8, steps - step) + 1))
                    notes.append(Note(step / 4, length / 4, int(pitch)))
                    until[pitch] = step + length
        voices.append(tuple(sorted(notes)))
    return Piece(tuple(voices), meter, name=f"chords {seed}", bars=bars)
