"""Tunes that the tests of music share: made, not taken from anyone."""

import numpy as np

from variate.music import Note, Piece

SCALE = (0, 2, 4, 5, 7, 9, 11)


def tune(
    seed: int, *, bars: int = 4, meter=(4, 4), base: int = 60, voice: int = 0
) -> tuple[Note, ...]:
    """A walk up and down a scale, in quarters and eighths."""
    random = np.random.default_rng(seed)
    eighths = random.uniform(0.05, 0.95)
    end, at, degree, notes = bars * meter[0] * 4 / meter[1], 0.0, int(random.integers(0, 7)), []
    while at < end:
        length = min(0.5 if random.random() < eighths else 1.0, end - at)
        octave, step = divmod(degree, 7)
        notes.append(Note(at, length, base - 12 * voice + 12 * octave + SCALE[step]))
        at += length
        degree = int(np.clip(degree + random.integers(-2, 3), 0, 9))
    return tuple(notes)


def tunes(count: int, **more) -> list[Piece]:
    """Pieces of one voice."""
    meter = more.get("meter", (4, 4))
    return [Piece((tune(seed, **more),), meter, name=f"tune {seed}") for seed in range(count)]


def hymns(count: int, bars: int = 2) -> list[Piece]:
    """Pieces of four voices."""
    return [
        Piece(
            tuple(tune(10 * n + v, bars=bars, base=72, voice=v) for v in range(4)), name=f"hymn {n}"
        )
        for n in range(count)
    ]
