"""Stretches: bars of one metre on end, and the notes that sound in them.

This module does not know what is made of them, nor files.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from variate.music.midi import Tracks
from variate.music.pieces import METERS, STEPS_PER_QUARTER, Note, bar_of

__all__ = ["BEAT", "HALF", "Line", "Meter", "Stretch", "begun", "last_end"]

BEAT = (1, 4)  # no metre, but beats that nobody counted: read in fours
HALF = 0.5 / STEPS_PER_QUARTER  # of a step, in quarters

Meter = tuple[int, int]


class Line:
    """Notes in order, of which those of a stretch are found without a look at all.

    Args:
        notes: In any order.
    """

    def __init__(self, notes: Iterable[Note]) -> None:
        self.notes = sorted(notes)
        self._onsets = [note.onset for note in self.notes]
        self._reached = list(accumulate((note.end for note in self.notes), max))

    def between(self, start: float, end: float) -> list[Note]:
        """Notes of which all that sound from start to end are some."""
        first = bisect_left(self._reached, start)
        return self.notes[first : bisect_right(self._onsets, end)]


@dataclass(frozen=True)
class Stretch:
    """Bars of one metre.

    Attributes:
        start: Where it begins, in quarters.
        bars: How many.
        first: The number of the first bar, from 0.
        meter: Which of `pieces.METERS`.
    """

    start: float
    bars: int
    first: int
    meter: int

    @property
    def end(self) -> float:
        """Where it ends, in quarters."""
        return self.start + self.bars * bar_of(METERS[self.meter])

    def within(self, line: Line) -> list[Note]:
        """The notes from its start on, in time from there; one that sounds there is struck.

        Of one that was struck before, half a step that is left over sounds no more.
        """
        moved = []
        for note in line.between(self.start, self.end):
            onset, end = note.onset - self.start, note.end - self.start
            if end <= 1e-6 or (onset < -HALF and end < HALF):
                continue
            moved.append(Note(max(0.0, onset), note.duration + min(0.0, onset), note.pitch))
        return moved


def begun(tracks: Tracks) -> list[tuple[float, Meter]]:
    """Where metres begin, or bars anew: what is said again at a bar line begins nothing."""
    found: list[tuple[float, Meter]] = []
    for at, said in tracks.meters:
        meter = (4, 4) if said == BEAT else said
        if found and meter == found[-1][1]:
            bars = (at - found[-1][0]) / bar_of(meter) if meter[0] else 0.0
            if said == BEAT or abs(bars - round(bars)) < 1e-3:
                continue
        found.append((at, meter))
    return found


def last_end(notes: Sequence[Note]) -> float:
    """Where the last of the notes ends on the grid, in quarters."""
    steps = (max(round(n.onset * STEPS_PER_QUARTER) + 1, round(n.end * STEPS_PER_QUARTER))
             for n in notes)  # fmt: skip
    return max(steps, default=0) / STEPS_PER_QUARTER
