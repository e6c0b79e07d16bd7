r"""Attributes of music that need no labels: numbers for each item, all defined here, once.

Of an item with n notes, the voices together, over b bars of s steps (sixteenths):

    density         n / b                               notes a bar
    range           the highest pitch less the lowest   semitones
    mean_pitch      Σ d_i p_i / Σ d_i                    d_i the lengths
    syncopation     Σ max(0, w(beyond i) - w(i)) / n     w the weight of a place in the bar, below
    contour         Spearman's correlation of pitch with time, over the notes, in [-1, 1]
    rhythm_entropy  -Σ p log2 p of the lengths           bits
    key_fit         the largest share of sounding time that lies within one diatonic scale

The weight of a place is the level of the metre's tree that begins there (Longuet-Higgins & Lee
1984): 0 the bar, -1 its half (or its beats, in 3/4), down to the sixteenths. A note is syncopated
if a place of more weight than its own passes while it sounds.

Of several voices `contour` and `mean_pitch` are of the highest, what one hears as the tune (of
tracks, of the highest notes of the first); the other attributes are of all. Silence has the mean
pitch 60 and the density 0.

This module does not know models.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, OptionError
from variate.music.pieces import STEPS_PER_QUARTER, Note, Piece, bar_of, bar_steps

__all__ = ["ATTRIBUTES", "attributes", "expect_attribute", "key_of", "weights"]

Floats = NDArray[np.float64]
SCALE = (0, 2, 4, 5, 7, 9, 11)
NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Krumhansl & Kessler 1982: how well each degree fits a key
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def attributes(pieces: Sequence[Piece], names: Iterable[str] | None = None) -> dict[str, Floats]:
    """Attributes of every piece, `[N]` each, by name: those that are named, or all."""
    chosen = ATTRIBUTES if names is None else names
    return {name: np.array([ATTRIBUTES[name](piece) for piece in pieces]) for name in chosen}


def weights(meter: tuple[int, int]) -> NDArray[np.int64]:
    """The weight of each step of a bar, 0 for its first.

    Raises:
        DataError: The bar or the beat is no whole number of sixteenths.
    """
    levels = _parts(meter)
    found = np.full(bar_steps(meter), -len(levels))
    step = len(found)
    for level, parts in enumerate((1, *levels)):
        step //= parts
        where = np.arange(0, len(found), step)
        found[where] = np.maximum(found[where], -level)
    return found


def _parts(meter: tuple[int, int]) -> list[int]:
    """How many parts each level of a metre's tree has: beats (even ones in pairs), then halves."""
    beats, unit = meter
    if bar_of(meter) * STEPS_PER_QUARTER % 1:
        raise DataError(
            f"bars of {beats}/{unit} are no whole number of sixteenths, on which music is measured."
        )
    if unit > 16:
        raise DataError(
            f"bars of {beats}/{unit} have beats shorter than the sixteenths of the grid."
        )
    parts, below = [], 16 // unit  # sixteenths of a beat
    if unit >= 8 and beats % 3 == 0:
        beats, three = beats // 3, [3]
    else:
        three = []
    while beats % 2 == 0:
        parts.append(2)
        beats //= 2
    parts += [beats] * (beats > 1) + three
    return parts + [2] * (below.bit_length() - 1)


def key_of(piece: Piece) -> str:
    """The key that fits best (Krumhansl & Schmuckler), such as "D" or "Bm"."""
    told = _pitch_classes(piece.notes)
    if np.ptp(told) == 0:  # silence, or all twelve as long: no key is nearer than another
        return "C"
    fits = [
        (float(np.corrcoef(told, np.roll(profile, tonic))[0, 1]), NAMES[tonic] + sort)
        for profile, sort in ((MAJOR, ""), (MINOR, "m"))
        for tonic in range(12)
    ]
    return max(fits)[1]


# -- each of them ---------------------------------------------------------------------------------


def _density(piece: Piece) -> float:
    return len(piece.notes) / max(1.0, piece.quarters / bar_of(piece.meter))


def _range(piece: Piece) -> float:
    pitches = [note.pitch for note in piece.notes]
    return float(max(pitches) - min(pitches)) if pitches else 0.0


def _mean_pitch(piece: Piece) -> float:
    tune = _tune(piece)
    return float(np.average([n.pitch for n in tune], weights=[n.duration for n in tune])) \
        if tune else 60.0  # fmt: skip


def _syncopation(piece: Piece) -> float:
    if not piece.notes:
        return 0.0
    of_bar = weights(piece.meter)
    total = 0.0
    for note in piece.notes:
        begin, end = (round(t * STEPS_PER_QUARTER) for t in (note.onset, note.end))
        passed = of_bar[np.arange(begin + 1, end) % len(of_bar)]
        if len(passed):
            total += max(0.0, float(passed.max() - of_bar[begin % len(of_bar)]))
    return total / len(piece.notes)


def _contour(piece: Piece) -> float:
    from scipy.stats import spearmanr

    tune = _tune(piece)
    onsets, pitches = [note.onset for note in tune], [note.pitch for note in tune]
    if len(set(pitches)) < 2 or len(set(onsets)) < 2:
        return 0.0
    return float(spearmanr(onsets, pitches).statistic)


def _rhythm_entropy(piece: Piece) -> float:
    lengths = [round(note.duration * STEPS_PER_QUARTER) for note in piece.notes]
    if not lengths:
        return 0.0
    share = np.unique(lengths, return_counts=True)[1] / len(lengths)
    return float(-(share * np.log2(share)).sum()) + 0.0


def _key_fit(piece: Piece) -> float:
    told = _pitch_classes(piece.notes)
    if told.sum() == 0:
        return 1.0
    inside = [sum(told[(tonic + degree) % 12] for degree in SCALE) for tonic in range(12)]
    return float(max(inside) / told.sum())


ATTRIBUTES: dict[str, Callable[[Piece], float]] = {
    "density": _density,
    "range": _range,
    "mean_pitch": _mean_pitch,
    "syncopation": _syncopation,
    "contour": _contour,
    "rhythm_entropy": _rhythm_entropy,
    "key_fit": _key_fit,
}


def expect_attribute(name: str) -> str:
    """The name of an attribute.

    Raises:
        OptionError: It is none.
    """
    if name not in ATTRIBUTES:
        raise OptionError(f"there is no attribute {name!r}; there is: {', '.join(ATTRIBUTES)}.")
    return name


def _tune(piece: Piece) -> list[Note]:
    """The first voice; of a track of chords the highest note of each."""
    highest: dict[float, Note] = {}
    for note in piece.voices[0] if piece.voices else ():
        kept = highest.get(note.onset)
        highest[note.onset] = note if kept is None or note.pitch > kept.pitch else kept
    return list(highest.values())


def _pitch_classes(notes: Sequence[Note]) -> Floats:
    """How long each of the twelve pitch classes sounds, in quarters."""
    told = np.zeros(12)
    for note in notes:
        told[note.pitch % 12] += note.duration
    return told
