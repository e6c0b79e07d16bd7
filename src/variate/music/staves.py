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

from variate.music.pieces import STEPS_PER_QUARTER, Note, Piece, monophonic

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
    if all(monophonic(voice, 0.0) for piece in pieces for voice in piece.voices):
        shared = ((0, 1), (2, 3)) if count == 4 else tuple((v,) for v in range(count))
        return [
            Staff([[_voice(piece.voices[v]) for v in voices] for piece in pieces])
            for voices in shared
        ]
    found: list[Staff] = []
    for track in range(count):
        found += _of_track([piece.voices[track] for piece in pieces])
    return found


def _voice(notes: Sequence[Note]) -> Layer:
    return [Chord(*_steps(note), (note.pitch,)) for note in notes]


def _of_track(tracks: Sequence[Sequence[Note]]) -> list[Staff]:
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


def _layers(notes: Sequence[Note]) -> list[Layer]:
    """Notes as chords that do not overlap within a layer."""
    together: dict[tuple[int, int], list[int]] = {}
    for note in notes:
        together.setdefault(_steps(note), []).append(note.pitch)
    layers: list[Layer] = [[]]
    for (begin, end), pitches in sorted(together.items(), key=lambda c: (c[0][0], -max(c[1]))):
        chord = Chord(begin, end, tuple(sorted(pitches, reverse=True)))
        free = [layer for layer in layers if not layer or layer[-1].end <= begin]
        if free:
            free[0].append(chord)
        else:
            layers.append([chord])
    return layers if len(layers) <= MOST_LAYERS else [_tied(notes)]


def _tied(notes: Sequence[Note]) -> Layer:
    """Notes as one layer: whatever sounds between two changes is a chord."""
    spans = [(*_steps(note), note.pitch) for note in notes]
    changes = sorted({step for begin, end, _ in spans for step in (begin, end)})
    layer = []
    for begin, end in pairwise(changes):
        sounds = [(a, b, pitch) for a, b, pitch in spans if a <= begin and b >= end]
        if sounds:
            pitches = tuple(sorted({pitch for *_, pitch in sounds}, reverse=True))
            back = frozenset(pitch for a, _, pitch in sounds if a < begin)
            on = frozenset(pitch for _, b, pitch in sounds if b > end)
            layer.append(Chord(begin, end, pitches, back, on))
    return layer


def _steps(note: Note) -> tuple[int, int]:
    begin, end = (round(time * STEPS_PER_QUARTER) for time in (note.onset, note.end))
    return begin, end
