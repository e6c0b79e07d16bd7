"""Scores in MusicXML and ABC -> tracks of notes, by music21; and the chorales that it bundles.

A part of a score is a track. Chords within a part stay in it (see `extraction`); ties are joined;
grace notes, which take no time, are left out. An upbeat is moved to the end of a bar of its own,
so that bar lines are where the metre says.

Reading is slow (a tenth of a second to a second for each file): that is music21's parsing.

This module does not know grids or windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variate.errors import DataError, MissingExtraError
from variate.music.midi import Tracks
from variate.music.pieces import Instrument, Note, bar_of

__all__ = ["bundled_chorales", "read_notation", "tracks_of"]

LARGEST = 16 << 20  # bytes of a file


def read_notation(path: Path) -> list[tuple[str, Tracks]]:
    """The scores of a file, each with a name; a book of tunes in ABC has many.

    Raises:
        DataError: It cannot be read; the message is the reason, without the file's name.
    """
    music21 = _music21()
    if path.stat().st_size > LARGEST:
        raise DataError(f"larger than {LARGEST >> 20} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = music21.converter.parse(path, forceSource=True)
            scores = list(made.scores) if isinstance(made, music21.stream.Opus) else [made]
            found = [tracks_of(score) for score in scores]
    except Exception as error:  # noqa: BLE001 - music21 raises whatever it comes upon
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:80]
        raise DataError(f"not a score that can be read ({reason})") from None
    if len(found) == 1:
        return [(path.name, found[0])]
    return [(f"{path.name}#{n}", tracks) for n, tracks in enumerate(found, start=1)]


def bundled_chorales(most: int | None = None) -> Iterator[tuple[str, Tracks]]:
    """Bach's chorales of four parts in music21's corpus, with their names.

    Args:
        most: How many; None for all (reading them takes a minute or two).
    """
    music21 = _music21()
    iterator = music21.corpus.chorales.Iterator(returnType="filename")
    count = 0
    for name in iterator:
        if most is not None and count >= most:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score = music21.corpus.parse(name)
        if len(score.parts) != 4:
            continue
        count += 1
        yield Path(name).name, tracks_of(score)


def tracks_of(score: Any) -> Tracks:
    """A score of music21's as tracks."""
    parts = list(score.parts) or [score]
    shift = _upbeat(parts[0])
    voices, instruments = [], []
    for part in parts:
        flat = part.stripTies().flatten()
        voice = [
            Note(float(element.offset) + shift, float(element.duration.quarterLength), pitch.midi)
            for element in flat.notes
            if element.duration.quarterLength > 0
            for pitch in element.pitches
        ]
        if voice:
            voices.append(tuple(sorted(voice)))
            instruments.append(Instrument(str(getattr(part, "partName", None) or "")))
    meters = [
        (float(m.offset) + (shift if i else 0.0), (int(m.numerator), int(m.denominator)))
        for i, m in enumerate(parts[0].flatten().getElementsByClass("TimeSignature"))
    ]
    if not meters or meters[0][0] > 0:
        meters.insert(0, (0.0, (4, 4)))
    return Tracks(tuple(voices), tuple(meters), instruments=tuple(instruments))


def _upbeat(part: Any) -> float:
    """Quarters by which a first bar that is not full is moved."""
    measures = list(part.getElementsByClass("Measure"))
    first = next(iter(part.flatten().getElementsByClass("TimeSignature")), None)
    if not measures or first is None:
        return 0.0
    bar = bar_of((int(first.numerator), int(first.denominator)))
    length = float(measures[0].duration.quarterLength)
    return bar - length if 0 < length < bar else 0.0


def _music21() -> Any:
    try:
        import music21
    except ImportError:
        raise MissingExtraError("reading MusicXML and ABC", "music21", "music") from None
    return music21
