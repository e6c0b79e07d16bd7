r"""How pitches are written in a key: letters and signs.

Names lie on the line of fifths, … Bb F C G D A E B F# C# …, and those of a key are neighbours on
it. Of a key of f sharps (flats: below 0) the twelve pitch classes are written as

    major   f - 3 … f + 8      in C: Eb Bb | F C G D A E B | F# C# G#
    minor   f - 2 … f + 9      in A minor: Bb | F C G D A E B | F# C# G# D#

so that the leading tone of a minor key is a raised seventh (C# in D minor), not a flat eighth.

A sign counts for its line up to the bar's end, in all voices of a staff; a note that is tied over a
bar line needs none, and the next one on its line is given one.

This module does not know how anything is drawn.
"""

from typing import NamedTuple

from variate.music.attributes import NAMES, key_of
from variate.music.pieces import Piece

__all__ = ["Key", "Signs", "Spelled", "key_for", "spelled"]

LETTERS = "FCGDAEB"  # on the line of fifths; C is its number 0


class Key(NamedTuple):
    """A key.

    Attributes:
        fifths: How many sharps it has, or flats below 0.
        minor: Whether it is a minor key.
    """

    fifths: int
    minor: bool = False

    def sign_of(self, letter: str) -> int:
        """What the key makes of a letter: 1 a sharp, -1 a flat, 0 nothing."""
        place = LETTERS.index(letter)
        return int(place < self.fifths) - int(6 - place < -self.fifths)


class Spelled(NamedTuple):
    """A pitch as it is written: the letter, the semitones that it is altered by, the octave."""

    letter: str
    alter: int
    octave: int


def key_for(piece: Piece) -> Key:
    """The key that fits a piece best, with at most six signs."""
    named = key_of(piece)
    minor = named.endswith("m")
    tonic = NAMES.index(named.removesuffix("m"))
    fifths = 7 * (tonic + 3 * minor) % 12
    return Key(fifths - 12 if fifths > (5 if minor else 6) else fifths, minor)


def spelled(pitch: int, key: Key) -> Spelled:
    """How a pitch of MIDI is written in a key."""
    lowest = key.fifths - (2 if key.minor else 3)
    place = lowest + (7 * pitch - lowest) % 12
    alter, letter = divmod(place + 1, len(LETTERS))
    return Spelled(LETTERS[letter], alter, (pitch - alter) // 12 - 1)


class Signs:
    """The signs that the notes of a bar need; notes are told in the order of their times.

    Args:
        key: Of the bar.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self._had: dict[tuple[str, int], int | None] = {}

    def sign(self, note: Spelled, *, tied: bool) -> int | None:
        """What the note is to be altered by, where that must be said; None where it need not.

        Args:
            note: The note.
            tied: Whether it goes on from a note before.
        """
        line, usual = (note.letter, note.octave), self.key.sign_of(note.letter)
        if tied:
            if line not in self._had and note.alter != usual:
                self._had[line] = None  # whatever comes there is told
            return None
        before = self._had.get(line, usual)
        self._had[line] = note.alter
        return None if note.alter == before else note.alter
