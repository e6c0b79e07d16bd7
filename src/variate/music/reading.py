"""Files, folders and pieces -> windows, with a report of what was left out and why.

    .mid .midi                     by symusic
    .musicxml .mxl .xml .abc       by music21
    .npz                           windows that were kept (`Windows.save`)

One file that cannot be read is left out and named; it is an error only if nothing is left. Files
are read in the order of their names.

This module does not know models.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from variate.errors import DataError, DataWarning, MissingExtraError
from variate.music.extraction import Wanted, extract, suitable_voices
from variate.music.midi import Tracks, read_midi
from variate.music.notation import read_notation
from variate.music.pieces import Note, Piece
from variate.music.records import Extraction
from variate.music.windows import Windows
from variate.progress import tally

__all__ = ["MIDI", "NOTATION", "SUFFIXES", "read"]

MIDI = (".mid", ".midi")
NOTATION = (".musicxml", ".mxl", ".xml", ".abc")
SUFFIXES = MIDI + NOTATION


def read(
    data: Any, wanted: Wanted, *, choose: bool = False, show: bool = False
) -> tuple[Windows, Extraction]:
    """The windows of data.

    Args:
        data: A file, a folder, a list of files or of `Piece`, one `Piece`, or `Windows`.
        wanted: What windows are like.
        choose: Whether the number of voices is chosen from the data.
        show: Whether progress is shown.

    Raises:
        DataError: There is no window.
    """
    if isinstance(data, str | Path) and Path(data).suffix.lower() == ".npz":
        data = Windows.load(data)
    if isinstance(data, Windows):
        return _kept(data, wanted, choose=choose)
    report = Extraction(wanted.voices, wanted.bars)
    pieces = list(_pieces(data, report, show=show))
    if choose:
        wanted = replace(wanted, voices=suitable_voices(pieces))
        report.voices = wanted.voices
    windows = extract(pieces, wanted, report)
    if not len(windows):
        raise DataError(f"{_place(data)} has no music to learn from or to look at.\n{report}")
    if report.refused:
        name, why = next(iter(report.refused.items()))
        more = f", and {len(report.refused) - 1:,} more" if len(report.refused) > 1 else ""
        warnings.warn(
            f"{_place(data)}: {len(report.refused):,} of {report.files:,} files are left out: "
            f"{name}: {why}{more}.",
            DataWarning,
            stacklevel=2,
        )
    return windows, report


def _kept(windows: Windows, wanted: Wanted, *, choose: bool) -> tuple[Windows, Extraction]:
    expected = (wanted.bars, windows.voices if choose else wanted.voices)
    if (windows.bars, windows.voices) != expected:
        raise DataError(
            f"the windows have {windows.bars} bars and {windows.voices} voices, and "
            f"{expected[0]} bars and {expected[1]} voices are wanted; read the music anew."
        )
    if not len(windows):
        raise DataError("there are no windows among those that were kept; read the music anew.")
    report = Extraction(windows.voices, windows.bars, files=len(windows.names), kept=len(windows))
    return windows, report


def _pieces(data: Any, report: Extraction, *, show: bool) -> Iterator[tuple[str, Tracks]]:
    """The pieces of data, by name; what cannot be read is told to the report."""
    items = [data] if isinstance(data, str | Path | Piece) else list(data)
    paths: list[tuple[str, Path]] = []
    for number, item in enumerate(items):
        if isinstance(item, Piece):
            report.files += 1
            yield item.name or f"piece {number}", _tracks(item, number)
        elif isinstance(item, str | Path):
            paths += _files(Path(item))
        else:
            raise DataError(
                f"music is files, folders, or pieces (vt.music.Piece), got a "
                f"{type(item).__name__} (number {number}, counted from 0)."
            )
    with tally("scores read", show=show) as more:
        for name, path in paths:
            report.files += 1
            try:
                yield from _scores(name, path)
            except MissingExtraError:
                raise
            except (DataError, OSError) as error:
                report.refused[name] = str(error)
            more(1)


def _scores(name: str, path: Path) -> Iterator[tuple[str, Tracks]]:
    if path.suffix.lower() in MIDI:
        yield name, read_midi(path)
        return
    for inner, tracks in read_notation(path):
        yield name + inner[len(path.name) :], tracks


def _files(path: Path) -> Sequence[tuple[str, Path]]:
    """The scores in a folder and those within, or the file itself."""
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path} is no score: these end in {', '.join(SUFFIXES)}.")
        return [(path.name, path)]
    found = sorted(f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if not found:
        others = sorted({f.suffix for f in path.rglob("*") if f.is_file()})
        holds = f"it holds files that end in {', '.join(others[:5])}" if others else "it is empty"
        raise DataError(f"{path} has no scores: {holds}. Scores end in {', '.join(SUFFIXES)}.")
    return [(f.relative_to(path).as_posix(), f) for f in found]


def _tracks(piece: Piece, number: int) -> Tracks:
    """A piece of ours, as a file would tell it.

    Raises:
        DataError: A note is none.
    """
    for note in piece.notes:
        if not (0 <= note.pitch <= 127 and 0 <= note.onset < 1e6 and 0 < note.duration < 1e6):
            raise DataError(
                f"piece {number} (counted from 0) has the note {tuple(note)}; onsets are at least "
                "0, durations above 0 (in quarters), and pitches 0 to 127."
            )
    if not piece.voices:
        raise DataError(f"piece {number} (counted from 0) has no voices.")
    voices = tuple(tuple(sorted(Note(*note) for note in voice)) for voice in piece.voices)
    return Tracks(
        voices, ((0.0, piece.meter),), tempo=piece.tempo, length=piece.quarters, ordered=True
    )


def _place(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else "the data"
