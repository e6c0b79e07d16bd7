"""Which notes go on which staff, and in which of its layers: what an engraver decides first.

Four voices are written on two staves, as choirs read them; else each voice has its own. A track of
chords has two staves, as a pianist reads, where it goes far to both sides of the middle C, else
one. Notes of a staff that begin and end together are a chord; chords that overlap go to layers, the
highest first. Where these would be more than four, notes are tied from one change to the next.

This module does not know how anything is drawn.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from variate.music.pieces import STEPS_PER_QUARTER, Note, Piece

__all__ = ["Chord", "Staff", "staves_of"]

MIDDLE = 60
FAR = 5  # semitones from the middle C, that one staff reaches with few ledger lines
MOST_LAYERS = 4


class Chord(NamedTuple):
    """Notes that begin and end together, in steps.

    Attributes:
        begin: The first step.
        end: The step at which they are silent.
        pitches: From the highest down.
        back: Which of them are tied to what was before.
        on: Which of them are tied to what comes.
    """

    begin: int
    end: int
    pitches: tuple[int, ...]
    back: frozenset[int] = frozenset()
    on: frozenset[int] = frozenset()


Layer = list[Chord]


class Staff(NamedTuple):
    """One staff through several pieces.

    Attributes:
        layers: Of each piece.
        braced: Whether it is the upper one of two that belong together.
        chords: Whether it is of a track: what rests in its lower layers is not shown.
    """

    layers: list[list[Layer]]
    braced: bool = False
    chords: bool = False


def staves_of(pieces: Sequence[Piece]) -> list[Staff]:
    """The staves of pieces that have as many voices or tracks each."""
    count = len(pieces[0].voices)
    voices = [[_gridded(voice) for voice in piece.voices] for piece in pieces]
    if all(_one_at_a_time(voice) for piece in voices for voice in piece):
        shared = ((0, 1), (2, 3)) if count == 4 else tuple((v,) for v in range(count))
        return [
            Staff([[_single(piece[v]) for v in numbers] for piece in voices]) for numbers in shared
        ]
    found: list[Staff] = []
    for track in range(count):
        found += _of_track([piece[track] for piece in voices])
    return found


class _Stroke(NamedTuple):
    begin: int
    end: int
    pitch: int


def _gridded(notes: Sequence[Note]) -> list[_Stroke]:
    """Notes in steps, of one at the least, in order."""
    found = []
    for note in notes:
        begin, end = (round(time * STEPS_PER_QUARTER) for time in (note.onset, note.end))
        found.append(_Stroke(begin, max(begin + 1, end), note.pitch))
    return sorted(set(found))


def _one_at_a_time(notes: Sequence[_Stroke]) -> bool:
    return all(before.end <= after.begin for before, after in pairwise(notes))


def _single(notes: Sequence[_Stroke]) -> Layer:
    return [Chord(note.begin, note.end, (note.pitch,)) for note in notes]


def _of_track(tracks: Sequence[Sequence[_Stroke]]) -> list[Staff]:
    """The staves of one track in several pieces."""
    pitches = [note.pitch for notes in tracks for note in notes] or [MIDDLE]
    if max(pitches) <= MIDDLE + FAR or min(pitches) >= MIDDLE - FAR:
        return [Staff([_layers(notes) for notes in tracks], chords=True)]
    hands = [
        [[note for note in notes if (note.pitch >= MIDDLE) == upper] for notes in tracks]
        for upper in (True, False)
    ]
    return [
        Staff([_layers(notes) for notes in hand], braced=number == 0, chords=True)
        for number, hand in enumerate(hands)
    ]


def _layers(notes: Sequence[_Stroke]) -> list[Layer]:
    """Notes as chords that do not overlap within a layer."""
    together: dict[tuple[int, int], list[int]] = {}
    for note in notes:
        together.setdefault((note.begin, note.end), []).append(note.pitch)
    layers: list[Layer] = [[]]
    for (begin, end), pitches in sorted(together.items(), key=lambda c: (c[0][0], -max(c[1]))):
        chord = Chord(begin, end, tuple(sorted(pitches, reverse=True)))
        free = [layer for layer in layers if not layer or layer[-1].end <= begin]
        if free:
            free[0].append(chord)
        else:
            layers.append([chord])
    return layers if len(layers) <= MOST_LAYERS else [_tied(notes)]


def _tied(notes: Sequence[_Stroke]) -> Layer:
    """Notes as one layer: whatever sounds between two changes is a chord."""
    changes = sorted({step for note in notes for step in (note.begin, note.end)})
    layer = []
    for begin, end in pairwise(changes):
        sounds = [note for note in notes if note.begin <= begin and note.end >= end]
        if sounds:
            pitches = tuple(sorted({note.pitch for note in sounds}, reverse=True))
            back = frozenset(note.pitch for note in sounds if note.begin < begin)
            on = frozenset(note.pitch for note in sounds if note.end > end)
            layer.append(Chord(begin, end, pitches, back, on))
    return layer
