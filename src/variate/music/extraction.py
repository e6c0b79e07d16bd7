"""Tracks -> windows: which voices, which bars, and why a window is left out.

One voice: the first track that sounds one note at a time; if there is none, the highest notes of
the first track. More: as many such tracks as are asked for, no more and no fewer, the highest (by
its mean pitch) first.

A window lies within a stretch of one metre and begins at a bar line. Where a metre is said again
off a bar line, bars begin anew there. To learn from, windows are
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
from variate.music.found import Found, found_in
from variate.music.grid import PITCH, at_any_pitch, gridded, sounding
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
from variate.music.stretches import HALF, Line, Meter, Stretch, begun, last_end
from variate.music.windows import Windows, longest

__all__ = [
    "ENOUGH",
    "FEWEST_NOTES",
    "MOST_OFF",
    "REST",
    "SAME_BARS",
    "Wanted",
    "extract",
    "mostly_chords",
    "stretches_of",
    "suitable_voices",
    "voices_of",
]

MOST_BARS = 4_000  # of a piece, two hours and more; what is beyond is left out
MOST_VOICES = 6
SAME_BARS = {(2, 2): (4, 4), (4, 8): (2, 4)}  # metres whose bars are as long as those of another
FEWEST_NOTES = 3  # of a window
MOST_OFF = 0.25  # of a window's onsets
SLACK = 1e-3  # of a bar, by which a metre may begin beside a bar line
ENOUGH = 0.6  # of the files have so many voices, to be read so

CUT = f"pieces cut after {MOST_BARS:,} bars"
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
        return _windows_of(voices_of(tracks, wanted.voices, report), tracks, wanted, report)

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
    lines = [Line(voice) for voice in voices]
    for stretch in stretches_of(voices, tracks, wanted, report):
        if stretch.bars >= wanted.bars:
            yield from _of_stretch(lines, stretch, wanted)


def stretches_of(
    voices: Sequence[Sequence[Note]], tracks: Tracks, wanted: Wanted, report: Extraction
) -> Iterator[Stretch]:
    """The stretches of a piece in a metre that models know, in order; the others are counted."""
    end = max(tracks.length, last_end([note for voice in voices for note in voice]))
    bar_number = 0
    for (start, named), until in _stretches(tracks, end):
        meter = SAME_BARS.get(named, named)
        length = (until - start) / bar_of(named)
        bars = int(length + SLACK)
        part = length - bars > SLACK  # of a bar, where bars begin anew
        if meter not in METERS:
            if items := _fitting(bars, wanted):
                report.rejected[f"their metre is {named[0]}/{named[1]}"] += items
        elif bars > MOST_BARS - bar_number:
            report.notes[CUT] += 1
            bars = max(0, MOST_BARS - bar_number)
        if not wanted.clean and wanted.stride == wanted.bars:
            report.notes[REST] += bars % wanted.bars + part
        if meter in METERS:
            yield Stretch(start, bars, bar_number, METERS.index(meter))
        bar_number += bars
        if bar_number >= MOST_BARS:
            return


def _of_stretch(lines: Sequence[Line], stretch: Stretch, wanted: Wanted) -> Iterator[_Window]:
    """The windows of a stretch."""
    bar = bar_steps(METERS[stretch.meter])
    on_grid = [gridded(stretch.within(line), stretch.bars * bar) for line in lines]
    for number in range(0, stretch.bars - wanted.bars + 1, wanted.stride):
        a, b = number * bar, (number + wanted.bars) * bar
        symbols = np.stack([voice.cut(a, b) for voice in on_grid], 1)
        onsets, off, crowded = (
            sum(int(of[a:b].sum()) for of in each)
            for each in (
                [voice.symbols >= PITCH for voice in on_grid],
                [voice.off for voice in on_grid],
                [voice.crowded for voice in on_grid],
            )
        )
        yield _Window(symbols, stretch.meter, stretch.first + number, onsets, off, crowded)


def _keep(window: _Window, wanted: Wanted, found: Found, report: Extraction) -> None:
    if window.start % wanted.bars == 0:  # each onset once, where windows overlap
        report.onsets += window.onsets
        report.off += window.off
    if wanted.clean:
        same = at_any_pitch(window.symbols) if wanted.transposed else window.symbols.tobytes()
        if not found.takes(_fault(window), (window.meter, same), report):
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


def voices_of(tracks: Tracks, wanted: int, report: Extraction) -> list[tuple[Note, ...]]:
    """The notes of the voices to be read, the highest first.

    Args:
        tracks: What a file says.
        wanted: How many.
        report: What is told.

    Raises:
        DataError: There are none, or not as many.
    """
    if not tracks.voices:
        raise DataError("it has drums only" if tracks.drums else "it has no notes")
    single = [voice for voice in tracks.voices if monophonic(voice)]
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
    """The highest notes: a note is left out if a higher one begins at its step or still sounds."""
    kept: list[Note] = []
    last = -1  # the step at which the last one begins
    for step, _, note in sorted((round(n.onset * STEPS_PER_QUARTER), -n.pitch, n) for n in notes):
        if step == last:
            continue
        if kept and note.onset < kept[-1].end - HALF:
            if note.pitch < kept[-1].pitch:
                continue
            cut = kept.pop()
            kept.append(cut._replace(duration=note.onset - cut.onset))
        kept.append(note)
        last = step
    return tuple(kept)


# -- time -----------------------------------------------------------------------------------------


def _stretches(tracks: Tracks, end: float) -> Iterator[tuple[tuple[float, Meter], float]]:
    """Where bars of a metre begin, which metre, and where they end; the last one at a bar line."""
    places = begun(tracks)
    for i, (start, meter) in enumerate(places):
        if start >= end or meter[0] < 1:
            continue
        if i + 1 < len(places):
            yield (start, meter), min(places[i + 1][0], end)
        else:
            bar = bar_of(meter)
            yield (start, meter), start + -(-round(end - start, 4) // bar) * bar


def _fitting(bars: int, wanted: Wanted) -> int:
    return max(0, (bars - wanted.bars) // wanted.stride + 1)
