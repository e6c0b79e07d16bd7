"""Files, folders and pieces -> windows, with a report of what was left out and why.

    .mid .midi                     by symusic
    .musicxml .mxl .xml .abc       by music21
    .npz                           windows that were kept (`Windows.save`, `TrackWindows.save`)

One file that cannot be read is left out and named; it is an error only if nothing is left. Files
are read in the order of their names.

This module does not know models.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from variate.errors import DataError, DataWarning, MissingExtraError
from variate.music.extraction import CUT, REST, Wanted, extract, suitable_voices
from variate.music.midi import Tracks, read_midi
from variate.music.notation import read_notation
from variate.music.phase import on_the_grid
from variate.music.pieces import Instrument, Piece
from variate.music.polyphony.extraction import Asked, extract_tracks
from variate.music.polyphony.windows import TrackWindows
from variate.music.records import Extraction
from variate.music.windows import Windows, opened
from variate.progress import tally

__all__ = [
    "MIDI",
    "NOTATION",
    "SUFFIXES",
    "Scores",
    "gathered",
    "kept_windows",
    "read",
    "read_tracks",
]

MIDI = (".mid", ".midi")
NOTATION = (".musicxml", ".mxl", ".xml", ".abc")
SUFFIXES = MIDI + NOTATION


@dataclass(frozen=True)
class Scores:
    """What files say, before it is decided what is made of it.

    Attributes:
        pieces: What each says, by its name.
        files: How many there were; each tune of a book is one.
        refused: Why a file could not be read, by its name.
        place: What the data are called.
        notes: What else was met in reading.
    """

    pieces: list[tuple[str, Tracks]]
    files: int
    refused: dict[str, str]
    place: str
    notes: Counter[str] = field(default_factory=Counter)

    def report(self, voices: int, bars: int) -> Extraction:
        """A report that begins with what was met in reading."""
        return Extraction(
            voices, bars, files=self.files, refused=dict(self.refused), notes=Counter(self.notes)
        )


def gathered(data: Any, *, show: bool = False) -> Scores:
    """What the files of data say.

    Args:
        data: A file, a folder, a list of files or of `Piece`, one `Piece`; or `Scores`.
        show: Whether progress is shown.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(data, Scores):
        return data
    report = Extraction(0, 0)
    pieces = list(_pieces(data, report, show=show))
    return Scores(pieces, report.files, report.refused, _place(data), report.notes)


def kept_windows(data: Any) -> Any:
    """Windows that were kept in an .npz file, of voices or of tracks; anything else as it is.

    Raises:
        DataError: The file holds none.
    """
    if not isinstance(data, str | Path) or Path(data).suffix.lower() != ".npz":
        return data
    with opened(data) as kept:
        of_tracks = "notes" in kept
    return TrackWindows.load(data) if of_tracks else Windows.load(data)


def read(
    data: Any, wanted: Wanted, *, choose: bool = False, show: bool = False
) -> tuple[Windows, Extraction]:
    """The windows of data.

    Args:
        data: What `gathered` takes, or `Windows`.
        wanted: What windows are like.
        choose: Whether the number of voices is chosen from the data.
        show: Whether progress is shown.

    Raises:
        DataError: There is no window.
    """
    data = kept_windows(data)
    if isinstance(data, Windows):
        return _kept(data, wanted, choose=choose)
    if isinstance(data, TrackWindows):
        raise DataError(
            f"the windows are of {data.tracks} tracks of chords, and windows of voices are wanted: "
            "say tracks=, or read the music anew."
        )
    scores = gathered(data, show=show)
    if choose:
        wanted = replace(wanted, voices=suitable_voices(scores.pieces))
    report = scores.report(wanted.voices, wanted.bars)
    windows = extract(scores.pieces, wanted, report)
    _expect_some(len(windows), scores, report, wanted)
    return windows, report


def read_tracks(
    data: Any,
    asked: Asked,
    wanted: Wanted,
    *,
    known: Sequence[Instrument] = (),
    show: bool = False,
) -> tuple[TrackWindows, Extraction]:
    """The windows of the tracks of data.

    Args:
        data: What `gathered` takes, or `TrackWindows`.
        asked: How many tracks, or the names of those that are read.
        wanted: What windows are like.
        known: The tracks of a model, of which files may lack some.
        show: Whether progress is shown.

    Raises:
        DataError: There is no window.
    """
    data = kept_windows(data)
    if isinstance(data, Windows):
        raise DataError(
            f"the windows are of {data.voices} voices of single notes, and windows of tracks are "
            "wanted: read the music anew."
        )
    count = asked if isinstance(asked, int) else len(asked)
    if isinstance(data, TrackWindows):
        if (data.bars, data.tracks) != (wanted.bars, count) or not len(data):
            raise DataError(
                f"there are {len(data)} windows of {data.bars} bars and {data.tracks} tracks, and "
                f"some of {wanted.bars} bars and {count} tracks are wanted; read the music anew."
            )
        names = [instrument.name for instrument in data.instruments]
        if isinstance(asked, tuple) and [*map(str.casefold, asked)] != [*map(str.casefold, names)]:
            raise DataError(
                f"the windows are of the tracks {names}, and the tracks {list(asked)} are wanted; "
                "ask for those, in their order, or read the music anew."
            )
        report = Extraction(0, data.bars, files=len(data.names), kept=len(data), tracks=count)
        return data, report
    scores = gathered(data, show=show)
    report = scores.report(0, wanted.bars)
    windows = extract_tracks(scores.pieces, asked, wanted, report, known)
    _expect_some(len(windows), scores, report, wanted)
    return windows, report


def _expect_some(windows: int, scores: Scores, report: Extraction, wanted: Wanted) -> None:
    """Say what was left out; refuse if that is all."""
    if not windows:
        raise DataError(f"{scores.place} has no music to learn from or to look at.\n{report}")
    if report.refused:
        name, why = next(iter(report.refused.items()))
        more = f", and {len(report.refused) - 1:,} more" if len(report.refused) > 1 else ""
        warnings.warn(
            f"{scores.place}: {len(report.refused):,} of {report.files:,} files are left out: "
            f"{name}: {why}{more}.",
            DataWarning,
            stacklevel=3,
        )
    bars = "one bar" if report.bars == 1 else f"{report.bars} bars"
    lost = [f"items are of {bars}, and {n:,} {REST}" for n in [report.notes[REST]] if n]
    if not wanted.clean:  # nothing is learned from them, and yet they are missing
        lost += [f"{n:,} item(s), as {why}" for why, n in report.rejected.items()]
    for what in lost:
        warnings.warn(f"{scores.place}: {what}, are left out.", DataWarning, stacklevel=3)
    if (cut := report.notes[CUT]) and not wanted.clean:
        warnings.warn(
            f"{scores.place}: {cut:,} {CUT}, and the rest is left out.", DataWarning, stacklevel=3
        )


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
    with tally("scores read", show=show) as more:
        for name, item in _told_apart(_named(data)):
            if isinstance(item, Tracks):
                report.files += 1
                yield name, item
                continue
            try:
                found = _scores(name, item, report)
            except MissingExtraError:
                raise
            except (DataError, OSError) as error:
                found = [(name, DataError(str(error)))]
            report.files += len(found)
            for inner, said in found:
                if isinstance(said, DataError):
                    report.refused[inner] = str(said)
                else:
                    yield inner, said
            more(1)


def _named(data: Any) -> list[tuple[str, Path | Tracks]]:
    """The files and the pieces of data, in their order, by name."""
    if not isinstance(data, str | Path | Piece | Iterable):
        raise DataError(
            f"music is files, folders, or pieces (vt.music.Piece), got {type(data).__name__}."
        )
    items = [data] if isinstance(data, str | Path | Piece) else list(data)
    named: list[tuple[str, Path | Tracks]] = []
    for number, item in enumerate(items):
        if isinstance(item, Piece):
            named.append((item.name or f"piece {number}", _tracks(item, number)))
        elif isinstance(item, str | Path):
            named += _files(Path(item))
        else:
            raise DataError(
                f"music is files, folders, or pieces (vt.music.Piece), got a "
                f"{type(item).__name__} (number {number}, counted from 0)."
            )
    return named


def _told_apart(named: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The same by names of their own: files of one name by their paths, others by a number."""
    common = Counter(name for name, _ in named)
    taken: Counter[str] = Counter()
    for name, item in named:
        own = str(item) if isinstance(item, Path) and common[name] > 1 else name
        taken[own] += 1
        yield own if taken[own] == 1 else f"{own} ({taken[own]})", item


def _scores(name: str, path: Path, report: Extraction) -> list[tuple[str, Tracks | DataError]]:
    """What a file says, or each tune of a book."""
    if path.suffix.lower() in MIDI:
        said = read_midi(path)
        moved = on_the_grid(said)
        report.notes["files beside the grid by one amount, moved onto it"] += moved is not said
        return [(name, moved)]
    return [(name + inner[len(path.name) :], tracks) for inner, tracks in read_notation(path)]


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
        DataError: It has no voices.
    """
    if not piece.voices:
        raise DataError(f"piece {number} (counted from 0) has no voices.")
    voices = tuple(tuple(sorted(voice)) for voice in piece.voices)
    return Tracks(
        voices, ((0.0, piece.meter),), tempo=piece.tempo, length=piece.quarters, ordered=True,
        instruments=piece.instruments,
    )  # fmt: skip


def _place(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else "the data"
