"""Pieces of music: notes in voices, in a metre.

Times are in quarter notes from the beginning. A voice sounds one note at a time, and what a piece
holds of a chord is in other voices; or it is a track, which sounds as many as it has keys. This
module does not know files, grids or models.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NamedTuple

from variate.errors import DataError

__all__ = [
    "FASTEST",
    "METERS",
    "SLOWEST",
    "Instrument",
    "Note",
    "Piece",
    "bar_of",
    "bar_steps",
    "monophonic",
    "shown",
]

METERS = ((4, 4), (3, 4), (6, 8), (2, 4))  # those that models know, in the order of their codes
STEPS_PER_QUARTER = 4
SLOWEST, FASTEST = 4.0, 1000.0  # quarters in a minute; MIDI can say none below 3.6
BEATS = (1, 2, 4, 8, 16, 32, 64)  # what a beat can be
FARTHEST = 1e6  # quarters


class Note(NamedTuple):
    """One note.

    Attributes:
        onset: Where it begins, in quarters.
        duration: How long it is, in quarters.
        pitch: Of MIDI: 60 is the middle C.
    """

    onset: float
    duration: float
    pitch: int

    @property
    def end(self) -> float:
        """Where it ends, in quarters."""
        return self.onset + self.duration


class Instrument(NamedTuple):
    """What a voice or a track is played on.

    Attributes:
        name: Of the track in its file.
        program: Of General MIDI, from 0: 0 is a piano, 24 a guitar, 32 a bass.
    """

    name: str
    program: int = 0


@dataclass(frozen=True)
class Piece:
    """Music in one metre: what models take and give.

    Attributes:
        voices: The notes of each voice, in order; the highest voice first. Of music of tracks: the
            notes of each track.
        meter: Beats of a bar and what a beat is, such as (6, 8).
        tempo: Quarters in a minute, for those who play it; 4 to 1,000.
        name: Where it comes from.
        bars: How many it has; 0 for as many as the notes need.
        instruments: Of each voice; empty where nothing is said.

    Raises:
        DataError: A metre, a tempo or a note is none.
    """

    voices: tuple[tuple[Note, ...], ...]
    meter: tuple[int, int] = (4, 4)
    tempo: float = 120.0
    name: str = ""
    bars: int = 0
    instruments: tuple[Instrument, ...] = ()

    def __post_init__(self) -> None:
        if not _is_meter(self.meter):
            raise DataError(
                f"the metre {self.meter!r} is none: it is the beats of a bar (1 to 255) and what a "
                "beat is (1, 2, 4, 8 …), such as (3, 4)."
            )
        if not (_is_real(self.tempo) and SLOWEST <= self.tempo <= FASTEST):
            raise DataError(
                f"the tempo {self.tempo!r} is none: quarters in a minute, {SLOWEST:.0f} to "
                f"{FASTEST:,.0f}."
            )
        if not (_is_whole(self.bars) and self.bars >= 0):
            raise DataError(f"a piece has {self.bars!r} bars; give a whole number, or 0.")
        try:
            given = tuple(tuple(voice) for voice in self.voices)
        except TypeError:
            raise DataError(
                f"{self.voices!r:.80} are no voices: give the notes of each, ((Note(…), …), …)."
            ) from None
        voices = tuple(tuple(map(_note, voice)) for voice in given)
        if not isinstance(self.name, str):
            raise DataError(f"the name {self.name!r:.80} is none; give a text.")
        instruments = _instruments(self.instruments)
        if instruments is None or len(instruments) not in (0, len(voices)):
            raise DataError(
                f"the instruments {self.instruments!r:.80} do not go with {len(voices)} voices: "
                "give one for each, a name and a program of 0 to 127, or none."
            )
        object.__setattr__(self, "voices", voices)
        object.__setattr__(self, "instruments", instruments)
        object.__setattr__(self, "meter", (int(self.meter[0]), int(self.meter[1])))

    @property
    def quarters(self) -> float:
        """How long it is, silence up to the last bar line included."""
        last = max((note.end for voice in self.voices for note in voice), default=0.0)
        bar = bar_of(self.meter)
        return max(self.bars, -(-round(last, 6) // bar)) * bar

    @property
    def notes(self) -> list[Note]:
        """The notes of all voices, by onset, the highest first."""
        return sorted((n for voice in self.voices for n in voice), key=lambda n: (n[0], -n[2]))


def _note(given: Any) -> Note:
    """A note, or three numbers that are one.

    Raises:
        DataError: They are none.
    """
    if type(given) is not Note or type(given.pitch) is not int:  # not one that is made here
        if not (isinstance(given, tuple | list) and len(given) == 3 and all(map(_is_real, given))):
            raise DataError(
                f"{given!r:.80} is no note: it is an onset and a duration in quarters, and a pitch "
                "(60 is the middle C), three numbers."
            )
        onset, duration, pitch = given
        if pitch != pitch // 1:
            raise DataError(f"the pitch {pitch!r} is none: pitches are whole numbers, 0 to 127.")
        given = Note(onset, duration, int(pitch))
    onset, duration, pitch = given
    if not (0 <= onset < FARTHEST and 0 < duration < FARTHEST and 0 <= pitch <= 127):
        raise DataError(
            f"there is the note {tuple(given)}; onsets are at least 0, durations above 0 (in "
            f"quarters, below {FARTHEST:,.0f}), and pitches 0 to 127."
        )
    return given


def _instruments(given: Any) -> tuple[Instrument, ...] | None:
    """Instruments, or pairs that are such; None where they are none."""
    if not isinstance(given, tuple | list):
        return None
    found = []
    for one in given:
        if not (isinstance(one, tuple | list) and len(one) in (1, 2) and isinstance(one[0], str)):
            return None
        instrument = Instrument(*one)
        if not (_is_whole(instrument.program) and 0 <= instrument.program <= 127):
            return None
        found.append(instrument)
    return tuple(found)


def _is_meter(meter: Any) -> bool:
    return (
        isinstance(meter, tuple | list)
        and len(meter) == 2
        and all(map(_is_whole, meter))
        and 1 <= meter[0] <= 255
        and meter[1] in BEATS
    )


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def shown(meters: Iterable[tuple[int, int]]) -> str:
    """Metres, for people: 4/4, 6/8."""
    return ", ".join(f"{beats}/{unit}" for beats, unit in meters)


def bar_of(meter: tuple[int, int]) -> float:
    """Quarters of a bar."""
    return meter[0] * 4 / meter[1]


def bar_steps(meter: tuple[int, int]) -> int:
    """Sixteenths of a bar."""
    return round(bar_of(meter) * STEPS_PER_QUARTER)


def monophonic(notes: Iterable[Note], slack: float = 0.125) -> bool:
    """Whether no note begins while another sounds, but for `slack` quarters."""
    ordered = sorted(notes)
    return all(
        after.onset >= before.end - min(slack, before.duration / 2)
        for before, after in pairwise(ordered)
    )
