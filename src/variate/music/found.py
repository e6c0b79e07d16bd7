"""Windows that are found in pieces, whatever they hold: which are kept, and what is told of others.

Windows that are there already are left out where a model learns from them. This module does not
know how a piece is cut into windows, nor files.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError
from variate.music.midi import Tracks
from variate.music.pieces import METERS, shown
from variate.music.records import Extraction
from variate.music.stretches import BEAT, begun

__all__ = ["Found", "found_in"]


@dataclass
class Found:
    """The windows that were found in pieces.

    Attributes:
        contents: What each window holds.
        meters: Which of `pieces.METERS` it is in.
        pieces: Which piece it is of.
        starts: The bar that it begins at, from 0.
        names: Of the pieces.
        tempos: Of the pieces.
        known: What tells the windows from each other.
    """

    contents: list[NDArray[Any]] = field(default_factory=list)
    meters: list[int] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    tempos: list[float] = field(default_factory=list)
    known: set[tuple[int, bytes]] = field(default_factory=set)

    def takes(self, fault: str | None, key: tuple[int, bytes], report: Extraction) -> bool:
        """Whether a window is one to learn from; if not, the report is told why."""
        if fault is None and key in self.known:
            fault = "which are there already"
        if fault is not None:
            report.rejected[fault] += 1
            return False
        self.known.add(key)
        return True

    def keep(self, content: NDArray[Any], meter: int, start: int, report: Extraction) -> None:
        """One window more, of the piece that is being read."""
        self.contents.append(content)
        self.meters.append(meter)
        self.pieces.append(len(self.names))
        self.starts.append(start)
        report.meters[shown([METERS[meter]])] += 1

    def facts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The metres, the pieces and the starts of the windows, `[N]` each."""
        meters, pieces, starts = (
            np.array(part, np.int64) for part in (self.meters, self.pieces, self.starts)
        )
        return meters, pieces, starts


def found_in(
    pieces: Iterable[tuple[str, Tracks]],
    bars: int,
    report: Extraction,
    windows_of: Callable[[Tracks], Iterable[Any]],
    keep: Callable[[Any, Found], None],
) -> Found:
    """What is found in pieces; those that have nothing are told to the report.

    Args:
        pieces: What the files say, by their names.
        bars: Of a window.
        report: What is told.
        windows_of: All windows of a piece; raises a DataError if it is not read at all.
        keep: Keeps a window, or tells why not.
    """
    found = Found()
    for name, tracks in pieces:
        try:
            windows = windows_of(tracks)
        except DataError as error:
            report.refused[name] = str(error)
            continue
        _count_met(tracks, report)
        before = len(found.contents) + sum(report.rejected.values())
        for window in windows:
            keep(window, found)
        if len(found.contents) + sum(report.rejected.values()) == before:
            report.refused[name] = _why_none(tracks, bars)
        found.names.append(name)
        found.tempos.append(tracks.tempo)
    report.kept = len(found.contents)
    return found


def _count_met(tracks: Tracks, report: Extraction) -> None:
    """Tell a report what a file has besides its notes."""
    meters = [meter for _, meter in begun(tracks)]
    changes = sum(a != b for a, b in pairwise(meters))
    for what, count in (
        ("tracks of drums, left out", tracks.drums),
        ("notes without length, made a sixteenth", tracks.without_length),
        ("changes of tempo, left out", max(0, tracks.tempos - 1)),
        ("changes of metre, at which windows end", changes),
        ("bars that begin anew off a bar line, where windows end", len(meters) - 1 - changes),
        ("stretches in 1/4, read as 4/4", sum(meter == BEAT for _, meter in tracks.meters)),
    ):
        if count:
            report.notes[what] += count


def _why_none(tracks: Tracks, bars: int) -> str:
    """Why a file gave no window."""
    return f"it has no {bars} bars of one metre" if any(tracks.voices) else "it has no notes"
