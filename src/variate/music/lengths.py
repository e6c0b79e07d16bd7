"""How stretches of time are written down: the lengths of notes and rests, and their beams.

A note is parted at bar lines, and within a bar where it would hide a beat: where it begins off a
unit (half a bar of 4/4, a beat, an eighth) and goes on over it, unless it is a syncopation that is
read as one (it begins in the middle of a unit and is as long as one, or half as long again). In
compound metres (6/8) each beat is written out. What no single note has the length of is parted at
a beat. Rests stand where units of their own length begin, and a bar of silence is one rest.

Times are in sixteenths. This module does not know pitches.
"""

from collections.abc import Sequence
from typing import NamedTuple

from variate.music.pieces import bar_steps

__all__ = ["TYPES", "Pulse", "beamed", "parted", "pulse_of", "rests"]

# steps of a note -> its type and dots, the longest first
TYPES = {16: ("whole", 0), 12: ("half", 1), 8: ("half", 0), 6: ("quarter", 1), 4: ("quarter", 0),
         3: ("eighth", 1), 2: ("eighth", 0), 1: ("16th", 0)}  # fmt: skip


class Pulse(NamedTuple):
    """How the bars of a metre are counted, in steps.

    Attributes:
        bar: Of a bar.
        beat: Of a beat.
        units: What is to be seen in a bar, the longest first.
        compound: Whether beats are of three.
    """

    bar: int
    beat: int
    units: tuple[int, ...]
    compound: bool


def pulse_of(meter: tuple[int, int]) -> Pulse:
    """The pulse of a metre."""
    bar = bar_steps(meter)
    if meter[1] in (8, 16) and meter[0] % 3 == 0:
        eighth = 16 // meter[1]
        return Pulse(bar, 3 * eighth, (3 * eighth, eighth), compound=True)
    if bar % 4:
        return Pulse(bar, 2, (2,), compound=False)
    return Pulse(bar, 4, (8, 4, 2) if bar == 16 else (4, 2), compound=False)


def parted(begin: int, end: int, pulse: Pulse) -> list[tuple[int, int]]:
    """A note as notes that are tied: where each begins and ends."""
    found = []
    while begin < end:
        within = begin % pulse.bar
        until = begin + _first(within, min(within + end - begin, pulse.bar), pulse)
        found.append((begin, until))
        begin = until
    return found


def _first(a: int, b: int, pulse: Pulse) -> int:
    """How long the first note of the stretch from a to b of a bar is."""
    if b - a == pulse.bar and b - a in TYPES:
        return b - a
    for unit in pulse.units:
        following = (a // unit + 1) * unit
        if following >= b:
            continue
        if pulse.compound and unit == pulse.beat:
            b = following
        elif a % unit:
            if 2 * (a % unit) == unit and 2 * (b - a) in (2 * unit, 3 * unit):
                return b - a
            b = following
    if b - a in TYPES:
        return b - a
    shorter = [length for length in TYPES if length < b - a]
    on_beats = [length for length in shorter if (a + length) % pulse.beat == 0]
    return (on_beats or shorter)[0]


def rests(begin: int, end: int, pulse: Pulse) -> list[tuple[int, int]]:
    """Silence as rests: where each begins and ends."""
    found = []
    while begin < end:
        until = begin + _first_rest(begin % pulse.bar, end - begin, pulse)
        found.append((begin, until))
        begin = until
    return found


def _first_rest(at: int, most: int, pulse: Pulse) -> int:
    if at == 0 and most >= pulse.bar:
        return pulse.bar
    if pulse.compound:
        at %= pulse.beat
        sizes = [pulse.beat, 4, 2, 1] if at == 0 else [2, 1]
        most = min(most, pulse.beat - at)
        return next(size for size in sizes if size <= most and at % size == 0)
    most = min(most, pulse.bar - at)
    return next(
        size
        for size in (8, 4, 2, 1)
        if size <= most and at % size == 0 and (size <= pulse.beat or pulse.bar % size == 0)
    )


def beamed(notes: Sequence[tuple[bool, int]], pulse: Pulse) -> list[list[str]]:
    """The beams of the notes of a bar, the eighths' before the sixteenths': see MusicXML.

    Args:
        notes: Whether each sounds, and how long it is.
        pulse: Of the bar. Beams lie within its beats.
    """
    groups: list[list[int]] = []
    at, last = 0, -1
    for i, (sounds, steps) in enumerate(notes):
        if sounds and steps <= 3:
            if last == i - 1 and groups and at % pulse.beat:
                groups[-1].append(i)
            else:
                groups.append([i])
            last = i
        at += steps
    made: list[list[str]] = [[] for _ in notes]
    for group in groups:
        if len(group) < 2:
            continue
        short = [notes[i][1] == 1 for i in group]
        for place, i in enumerate(group):
            made[i].append({0: "begin", len(group) - 1: "end"}.get(place, "continue"))
            if short[place]:
                made[i].append(_second_beam(short, place))
    return made


def _second_beam(sixteenths: Sequence[bool], place: int) -> str:
    before = place > 0 and sixteenths[place - 1]
    after = place + 1 < len(sixteenths) and sixteenths[place + 1]
    hook = "backward hook" if place else "forward hook"
    kind = {(True, True): "continue", (False, True): "begin", (True, False): "end"}
    return kind.get((before, after), hook)
