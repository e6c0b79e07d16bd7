"""Tracks of files -> windows of tracks: which tracks, which bars, and why a window is left out.

One track: all that a file has, drums apart, as one (a piano's two hands, a band's reduction). So
many: those files that have as many, in the files' order. Names: the tracks of these names, and a
file that lacks one is silent there.

A note goes to the nearest sixteenth, and a key that is struck while it is down ends before. A note
that goes on beyond its window ends there; one that sounds already where a window begins is struck
anew if it goes on for a quarter, and else left out. All of it is counted. To learn from, windows
are left out as those of voices are, but no track need sound, nor in each bar.

This module does not know files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError
from variate.music.extraction import (
    FEWEST_NOTES,
    MOST_OFF,
    Wanted,
    stretches_of,
)
from variate.music.found import Found, found_in
from variate.music.grid import OFF
from variate.music.midi import Tracks
from variate.music.pieces import METERS, STEPS_PER_QUARTER, Instrument, bar_steps
from variate.music.polyphony.windows import TrackWindows, in_order, joined
from variate.music.records import Extraction
from variate.music.stretches import Line, Stretch

__all__ = ["MOST_TRACKS", "Asked", "extract_tracks", "places_of"]

MOST_NOTES = 64  # of a bar, of a window that is learned from
MOST_TRACKS = 16
TRACK, ONSET, LENGTH, PITCH = range(4)

Asked = int | tuple[str, ...]
Notes = NDArray[np.int32]


def extract_tracks(
    pieces: Iterable[tuple[str, Tracks]],
    asked: Asked,
    wanted: Wanted,
    report: Extraction,
    known: Sequence[Instrument] = (),
) -> TrackWindows:
    """The windows of pieces; what is left out is told to the report.

    Args:
        pieces: What the files say, by their names.
        asked: How many tracks, or which.
        wanted: What windows are like.
        report: What is told.
        known: The tracks of a model, whose files may lack some.
    """
    count = asked if isinstance(asked, int) else len(asked)
    named = asked if isinstance(asked, tuple) else [f"track {n}" for n in range(1, count + 1)]
    said: tuple[Instrument, ...] = ()
    report.tracks = count

    def windows_of(tracks: Tracks) -> Iterator[_Window]:
        nonlocal said
        chosen = places_of(tracks, asked, known)
        if count == 1 and len(chosen) > 1:
            report.notes["files of several tracks, read as one"] += 1
        said = said or _instruments(tracks, chosen, count)
        return _windows_of(tracks, chosen, wanted, report)

    def keep(window: _Window, found: Found) -> None:
        _keep(window, wanted, found, report)

    found = found_in(pieces, wanted.bars, report, windows_of, keep)
    instruments = tuple(known) or said or tuple(Instrument(name) for name in named)
    return TrackWindows(
        in_order(joined(found.contents)), *found.facts(), wanted.bars, instruments, found.names,
        found.tempos,
    )  # fmt: skip


# -- tracks ---------------------------------------------------------------------------------------


def places_of(
    tracks: Tracks, asked: Asked, known: Sequence[Instrument] = ()
) -> list[tuple[int, int]]:
    """Which tracks of a file are read, and as which: pairs of numbers from 0.

    Raises:
        DataError: It has none, or not as many.
    """
    if not tracks.voices:
        raise DataError("it has drums only" if tracks.drums else "it has no notes")
    have = [instrument.name for instrument in tracks.instruments]
    if asked == 1:
        return [(number, 0) for number in range(len(tracks.voices))]
    if isinstance(asked, int) and len(tracks.voices) == asked:
        return [(number, number) for number in range(asked)]
    names = asked if isinstance(asked, tuple) else tuple(instrument.name for instrument in known)
    if isinstance(asked, tuple) and not have and len(tracks.voices) == len(names):
        return [(number, number) for number in range(len(names))]
    wanted = [name.casefold() for name in names]
    found = [(i, wanted.index(name.casefold())) for i, name in enumerate(have)
             if name.casefold() in wanted]  # fmt: skip
    if isinstance(asked, tuple) and not found:
        told = (
            f"its tracks are {', '.join(map(repr, have))}" if have else "its tracks have no names"
        )
        raise DataError(f"it has no track named {' or '.join(map(repr, names))}; {told}")
    if isinstance(asked, int) and (not found or len(set(wanted)) < asked):
        raise DataError(f"it has {len(tracks.voices)} tracks, not {asked}")
    return found


def _instruments(
    tracks: Tracks, chosen: Sequence[tuple[int, int]], count: int
) -> tuple[Instrument, ...]:
    """What the tracks are, if a file has all of them and says so."""
    if not tracks.instruments:
        return ()
    of = {place: tracks.instruments[number] for number, place in reversed(chosen)}
    return tuple(of[place] for place in range(count)) if len(of) == count else ()


# -- windows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    notes: Notes  # [n, 4]
    meter: int
    start: int
    off: int
    cut: int
    anew: int
    left: int


def _windows_of(
    tracks: Tracks, chosen: Sequence[tuple[int, int]], wanted: Wanted, report: Extraction
) -> Iterator[_Window]:
    """All windows of a piece, in order."""
    read = [tracks.voices[number] for number, _ in chosen]
    lines = [(Line(tracks.voices[number]), place) for number, place in chosen]
    for stretch in stretches_of(read, tracks, wanted, report):
        if stretch.bars < wanted.bars:
            continue
        notes, off = _on_grid(stretch, lines, report)
        bar = bar_steps(METERS[stretch.meter])
        for number in range(0, stretch.bars - wanted.bars + 1, wanted.stride):
            a, b = number * bar, (number + wanted.bars) * bar
            yield _cut(notes, off, a, b, stretch.meter, stretch.first + number)


def _on_grid(
    stretch: Stretch, lines: Sequence[tuple[Line, int]], report: Extraction
) -> tuple[Notes, NDArray[np.bool_]]:
    """Notes `[n, 4]` by their onsets, and which of them lay off the grid.

    Those that sound already where the stretch begins have onsets below 0.
    """
    rows: list[tuple[int, float, float, int]] = [
        (place, note.onset - stretch.start, note.end - stretch.start, note.pitch)
        for line, place in lines
        for note in line.between(stretch.start, stretch.end)
        if note.end > stretch.start
    ]
    if not rows:
        return np.zeros((0, 4), np.int32), np.zeros(0, bool)
    track, onset, end, pitch = np.array(rows, float).T
    steps = stretch.bars * bar_steps(METERS[stretch.meter])
    at = np.rint(onset * STEPS_PER_QUARTER)
    until = np.maximum(at + 1, np.rint(end * STEPS_PER_QUARTER))
    off = np.abs(onset * STEPS_PER_QUARTER - at) > OFF
    order = np.lexsort((-until, at, pitch, track))
    order = order[at[order] < steps]
    key = np.stack([track, pitch, at, until], 1)[order]
    off = off[order]
    same = (key[1:, :2] == key[:-1, :2]).all(1)
    first = np.append(True, ~(same & (key[1:, 2] == key[:-1, 2])))
    if not first.all():
        report.notes["notes that are there twice, taken as one"] += int((~first).sum())
    key, off = key[first], off[first]
    same = (key[1:, :2] == key[:-1, :2]).all(1)
    over = same & (key[1:, 2] < key[:-1, 3])
    if over.any():
        report.notes["notes cut where their key is struck again"] += int(over.sum())
    key[:-1, 3] = np.where(over, key[1:, 2], key[:-1, 3])
    notes = np.stack([key[:, 0], key[:, 2], key[:, 3] - key[:, 2], key[:, 1]], 1).astype(np.int32)
    order = notes[:, ONSET].argsort(kind="stable")
    return notes[order], off[order]


def _cut(notes: Notes, off: NDArray[np.bool_], a: int, b: int, meter: int, start: int) -> _Window:
    """The notes of the steps from a to b."""
    until = notes[:, ONSET] + notes[:, LENGTH]
    sounds = (notes[:, ONSET] < b) & (until > a)
    held = sounds & (notes[:, ONSET] < a)
    short = held & (until < a + STEPS_PER_QUARTER)
    chosen = sounds & ~short
    onset = np.maximum(notes[chosen, ONSET], a)
    found = notes[chosen].copy()
    found[:, ONSET] = onset - a
    found[:, LENGTH] = np.minimum(until[chosen], b) - onset
    return _Window(
        found, meter, start, int(off[chosen & ~held].sum()), int((until[chosen] > b).sum()),
        int((held & ~short).sum()), int(short.sum()),
    )  # fmt: skip


def _keep(window: _Window, wanted: Wanted, found: Found, report: Extraction) -> None:
    if window.start % wanted.bars == 0:  # each onset once, where windows overlap
        report.onsets += len(window.notes) - window.anew
        report.off += window.off
    if wanted.clean:
        key = (window.meter, _signature(window.notes, transposed=wanted.transposed))
        if not found.takes(_fault(window, wanted.bars), key, report):
            return
    for what, count in (
        ("notes that go on beyond a window, cut at its end", window.cut),
        ("notes held from before a window, struck anew at its beginning", window.anew),
        ("ends of notes of less than a quarter at a window's beginning, left out", window.left),
    ):
        if count:
            report.notes[what] += count
    found.keep(window.notes, window.meter, window.start, report)


def _fault(window: _Window, bars: int) -> str | None:
    """Why nothing is to be learned from a window, or None."""
    notes = window.notes
    if window.off > MOST_OFF * max(1, len(notes)):
        return f"with more than {MOST_OFF:.0%} of the notes off the grid"
    if len(notes) < FEWEST_NOTES:
        return "nearly silent"
    if len(notes) > MOST_NOTES * bars:
        return f"with more than {MOST_NOTES} notes a bar"
    bar = bar_steps(METERS[window.meter])
    change = np.zeros(bars * bar + 1, int)
    np.add.at(change, notes[:, ONSET], 1)
    np.add.at(change, notes[:, ONSET] + notes[:, LENGTH], -1)
    silent = np.concatenate([[0], change.cumsum()[:-1] == 0, [0]]).astype(int)
    edges = np.flatnonzero(np.diff(silent))
    if len(edges) and (edges[1::2] - edges[::2]).max() >= bar:
        return "with a bar of silence"
    return None


def _signature(notes: Notes, *, transposed: bool) -> bytes:
    """The same for windows that are the same."""
    moved = notes.copy()
    if transposed and len(moved):
        moved[:, PITCH] -= moved[:, PITCH].min()
    order = np.lexsort((moved[:, PITCH], moved[:, TRACK], moved[:, ONSET]))
    return moved[order].astype(np.int32).tobytes()
