"""Tracks -> windows: which voices, which bars, and why a window is left out.

One voice: the first track that sounds one note at a time; if there is none, the highest notes of
the first track. More: as many such tracks as are asked for, no more and no fewer, the highest (by
its mean pitch) first.

A window lies within a stretch of one metre and begins at a bar line. To learn from, windows are
left out that are nearly silent, have a bar of silence, lie off the grid, have notes that are closer
than a sixteenth, or are there already (transposed ones too where a model is trained transposed):
a tune that comes twice would else be learned from and tested on. What is left out is counted.

This module does not know files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError
from variate.music.found import BEAT, Found, found_in
from variate.music.grid import PITCH, Gridded, cut, gridded, sounding
from variate.music.midi import Tracks
from variate.music.pieces import (
    METERS,
    STEPS_PER_QUARTER,
    Note,
    bar_of,
    bar_steps,
    monophonic,
)
from variate.music.records import Extraction
from variate.music.windows import Windows, longest

__all__ = [
    "ENOUGH",
    "FEWEST_NOTES",
    "MOST_OFF",
    "REST",
    "SAME_BARS",
    "Stretch",
    "Wanted",
    "extract",
    "mostly_chords",
    "stretches_of",
    "suitable_voices",
]

MOST_BARS = 4_000  # of a piece, two hours and more; what is beyond is left out
MOST_VOICES = 6
SAME_BARS = {(2, 2): (4, 4), (4, 8): (2, 4)}  # metres whose bars are as long as those of another
FEWEST_NOTES = 3  # of a window
MOST_OFF = 0.25  # of a window's onsets
ENOUGH = 0.6  # of the files have so many voices, to be read so

REST = "bar(s) at the end of a piece or a metre, which fill no item"

Symbols = NDArray[np.int16]


@dataclass(frozen=True)
class Wanted:
    """What windows are like.

    Attributes:
        bars: Of a window.
        voices: Of a window.
        stride: Bars from one to the next.
        clean: Whether windows that nothing is learned from are left out.
        transposed: Whether a window at another pitch is the same one.
    """

    bars: int = 2
    voices: int = 1
    stride: int = 1
    clean: bool = True
    transposed: bool = True


def extract(pieces: Iterable[tuple[str, Tracks]], wanted: Wanted, report: Extraction) -> Windows:
    """The windows of pieces; what is left out is told to the report."""

    def windows_of(tracks: Tracks) -> Iterator[_Window]:
        return _windows_of(_voices_of(tracks, wanted.voices, report), tracks, wanted, report)

    def keep(window: _Window, found: Found) -> None:
        _keep(window, wanted, found, report)

    found = found_in(pieces, wanted.bars, report, windows_of, keep)
    empty = np.zeros((0, longest(wanted.bars), wanted.voices), np.int16)
    symbols = np.stack(found.contents) if found.contents else empty
    return Windows(symbols, *found.facts(), wanted.bars, found.names, found.tempos)


@dataclass(frozen=True)
class _Window:
    symbols: Symbols  # [steps, V]
    meter: int
    start: int
    onsets: int
    off: int
    crowded: int


def _windows_of(
    voices: Sequence[Sequence[Note]], tracks: Tracks, wanted: Wanted, report: Extraction
) -> Iterator[_Window]:
    """All windows of a piece, in order."""
    for stretch in stretches_of(voices, tracks, wanted, report):
        if stretch.bars >= wanted.bars:
            yield from _of_stretch(voices, stretch, wanted)


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

    def within(self, notes: Iterable[Note]) -> list[Note]:
        """The notes from its start on, in time from there.

        One that sounds there already is struck, if it goes on for half a step at the least.
        """
        moved, half = [], 0.5 / STEPS_PER_QUARTER
        for note in notes:
            onset, end = note.onset - self.start, note.end - self.start
            if end > half or (end > 0 and onset >= -half):
                moved.append(Note(max(0.0, onset), end - max(0.0, onset), note.pitch))
        return moved


def stretches_of(
    voices: Sequence[Sequence[Note]], tracks: Tracks, wanted: Wanted, report: Extraction
) -> Iterator[Stretch]:
    """The stretches of a piece in a metre that models know, in order; the others are counted."""
    end = max((note.end for voice in voices for note in voice), default=0.0)
    end = max(end, tracks.length)
    bar_number = 0
    for (start, named), until in _stretches(tracks, end):
        meter = SAME_BARS.get(named, named)
        bars = int((until - start) / bar_of(named) + 1e-6)
        if meter not in METERS:
            report.rejected[f"their metre is {named[0]}/{named[1]}"] += _fitting(bars, wanted)
            bar_number += bars
            continue
        room = max(0, MOST_BARS - bar_number)
        if bars > room:
            report.notes[f"pieces cut after {MOST_BARS:,} bars"] += 1
            bars = room
        if wanted.stride == wanted.bars <= bars and bars % wanted.bars:
            report.notes[REST] += bars % wanted.bars
        yield Stretch(start, bars, bar_number, METERS.index(meter))
        bar_number += bars
        if bar_number >= MOST_BARS:
            return


def _of_stretch(
    voices: Sequence[Sequence[Note]], stretch: Stretch, wanted: Wanted
) -> Iterator[_Window]:
    """The windows of a stretch."""
    bar = bar_steps(METERS[stretch.meter])
    on_grid = [gridded(stretch.within(voice), stretch.bars * bar) for voice in voices]
    for number in range(0, stretch.bars - wanted.bars + 1, wanted.stride):
        a, b = number * bar, (number + wanted.bars) * bar
        symbols = np.stack([cut(voice.symbols, a, b) for voice in on_grid], 1)
        onsets = sum(int((voice.symbols[a:b] >= PITCH).sum()) for voice in on_grid)
        off, crowded = (_between(on_grid, what, a, b) for what in ("off", "crowded"))
        yield _Window(symbols, stretch.meter, stretch.first + number, onsets, off, crowded)


def _keep(window: _Window, wanted: Wanted, found: Found, report: Extraction) -> None:
    if window.start % wanted.bars == 0:  # each onset once, where windows overlap
        report.onsets += window.onsets
        report.off += window.off
    if wanted.clean:
        key = (window.meter, _signature(window.symbols, transposed=wanted.transposed))
        if not found.takes(_fault(window), key, report):
            return
    full = np.zeros((longest(wanted.bars), window.symbols.shape[1]), np.int16)
    full[: len(window.symbols)] = window.symbols
    found.keep(full, window.meter, window.start, report)


def _fault(window: _Window) -> str | None:
    """Why nothing is to be learned from a window, or None."""
    if window.crowded:
        return "with notes closer than a sixteenth"
    if window.onsets and window.off > MOST_OFF * window.onsets:
        return f"with more than {MOST_OFF:.0%} of the notes off the grid"
    struck = (window.symbols >= PITCH).sum(0)
    if struck.min() < 1 or struck.max() < FEWEST_NOTES:
        return "nearly silent"
    for voice in window.symbols.T:
        silent = np.concatenate([[0], sounding(voice) < PITCH, [0]]).astype(int)
        edges = np.flatnonzero(np.diff(silent))
        if len(edges) and (edges[1::2] - edges[::2]).max() >= bar_steps(METERS[window.meter]):
            return "with a bar of silence"
    return None


def _signature(symbols: Symbols, *, transposed: bool) -> bytes:
    """The same for windows that are the same."""
    if not transposed:
        return symbols.tobytes()
    struck = symbols >= PITCH
    lowest = symbols[struck].min() if struck.any() else 0
    return np.where(struck, symbols - lowest + PITCH, symbols).astype(np.int16).tobytes()


# -- voices ---------------------------------------------------------------------------------------


def suitable_voices(pieces: Sequence[tuple[str, Tracks]]) -> int:
    """How many voices most of the pieces have, if most have as many; else one."""
    counts = [
        len(tracks.voices) for _, tracks in pieces
        if tracks.voices and all(monophonic(voice) for voice in tracks.voices)
    ]  # fmt: skip
    for voices in range(2, MOST_VOICES + 1):
        if pieces and counts.count(voices) >= ENOUGH * len(pieces):
            return voices
    return 1


def mostly_chords(pieces: Sequence[tuple[str, Tracks]]) -> bool:
    """Whether most pieces have chords on all of their tracks, and so no melody to be read."""
    chords = sum(
        bool(tracks.voices) and not any(monophonic(voice) for voice in tracks.voices)
        for _, tracks in pieces
    )
    return chords > 0 and chords >= ENOUGH * len(pieces)


def _voices_of(tracks: Tracks, wanted: int, report: Extraction) -> list[tuple[Note, ...]]:
    """The voices to be read.

    Raises:
        DataError: There are none, or not as many.
    """
    if not tracks.voices:
        raise DataError("it has drums only" if tracks.drums else "it has no notes")
    single = [voice for voice in tracks.voices if monophonic(voice)]
    if tracks.ordered and len(single) == len(tracks.voices) >= wanted == 1:
        return single[:1]
    if wanted == 1:
        if single:
            return single[:1]
        report.notes["melodies that are the highest notes of chords (tracks=1 reads all)"] += 1
        return [_skyline(tracks.voices[0])]
    if len(single) != wanted or len(tracks.voices) != wanted:
        chords = len(tracks.voices) - len(single)
        also = f", {chords} of them with chords" if chords else ""
        raise DataError(f"it has {len(tracks.voices)} tracks{also}, not {wanted} voices")
    if tracks.ordered:
        return single
    return sorted(single, key=lambda voice: -sum(note.pitch for note in voice) / len(voice))


def _skyline(notes: Sequence[Note]) -> tuple[Note, ...]:
    """The highest notes: a note is left out if a higher one begins with it or still sounds."""
    kept: list[Note] = []
    for note in sorted(notes, key=lambda n: (n.onset, -n.pitch)):
        if kept and note.onset < kept[-1].end - 0.125:
            if note.onset <= kept[-1].onset or note.pitch < kept[-1].pitch:
                continue
            last = kept.pop()
            kept.append(last._replace(duration=note.onset - last.onset))
        kept.append(note)
    return tuple(kept)


# -- time -----------------------------------------------------------------------------------------


def _stretches(tracks: Tracks, end: float) -> Iterator[tuple[tuple[float, tuple[int, int]], float]]:
    """Where a metre begins, which, and where it ends; the last one at a bar line."""
    named = [(at, (4, 4) if meter == BEAT else meter) for at, meter in tracks.meters]
    changes = [m for i, m in enumerate(named) if i == 0 or m[1] != named[i - 1][1]]
    for i, (start, meter) in enumerate(changes):
        if start >= end or meter[0] < 1 or meter[1] < 1:
            continue
        if i + 1 < len(changes):
            yield (start, meter), min(changes[i + 1][0], end)
        else:
            bar = bar_of(meter)
            yield (start, meter), start + -(-round(end - start, 4) // bar) * bar


def _between(voices: Sequence[Gridded], what: str, a: int, b: int) -> int:
    return sum(sum(a <= step < b for step in getattr(voice, what)) for voice in voices)


def _fitting(bars: int, wanted: Wanted) -> int:
    return max(0, (bars - wanted.bars) // wanted.stride + 1)
