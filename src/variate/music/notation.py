"""Scores in MusicXML and ABC -> tracks of notes, by music21; and the chorales that it bundles.

A part of a score is a track, at the pitch that it sounds at. Chords within a part stay in it (see
`extraction`); notes that are tied are one (music21 joins chords as a whole, and not across voices,
so that it is done here); grace notes, which take no time, are left out. Repeats are read
once, as they are written. An upbeat is moved to the end of a bar of its own, so that bar lines are
where the metre says; where they are not, as behind a first ending that is short of the upbeat, bars
begin anew (the metre is said again).

Reading is slow (a tenth of a second to a second for each file): that is music21's parsing.

This module does not know grids or windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variate.errors import DataError, MissingExtraError
from variate.music.books import tunes_of
from variate.music.midi import Tracks
from variate.music.pieces import FASTEST, SLOWEST, Instrument, Note, bar_of

__all__ = ["bundled_chorales", "read_notation", "tracks_of"]

LARGEST = 16 << 20  # bytes of a file
TYING, TIED = ("start", "continue"), ("stop", "continue")  # ties that a note has

Meter = tuple[int, int]


def read_notation(path: Path) -> list[tuple[str, Tracks | DataError]]:
    """The scores of a file, each with a name; a book of tunes in ABC has many.

    Of a tune that cannot be read the reason is given instead.

    Raises:
        DataError: None can be read; the message is the reason, without the file's name.
    """
    if path.stat().st_size > LARGEST:
        raise DataError(f"larger than {LARGEST >> 20} MB")
    if path.suffix.lower() != ".abc":
        return [(path.name, _score(path))]
    found: list[Tracks | DataError] = []
    tunes = tunes_of(path.read_bytes())
    for tune in tunes:
        try:
            found.append(_score(tune))
        except DataError as error:
            if len(tunes) == 1:
                raise
            found.append(error)
    if len(found) == 1:
        return [(path.name, found[0])]
    return [(f"{path.name}#{n}", said) for n, said in enumerate(found, start=1)]


def _score(source: Path | str) -> Tracks:
    """A file, or a text in ABC.

    Raises:
        DataError: It is no score.
    """
    music21 = _music21()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(source, Path):
                made = music21.converter.parse(source, forceSource=True)
            else:
                made = music21.converter.parseData(source, format="abc")
            return tracks_of(made)
    except Exception as error:  # noqa: BLE001 - music21 raises whatever it comes upon
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:80]
        raise DataError(f"not a score that can be read ({reason})") from None


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
    if any(i.transposition is not None for i in score.recurse().getElementsByClass("Instrument")):
        score = score.toSoundingPitch()
    parts = list(score.parts) or [score]
    said = _said(parts[0])
    shift = _upbeat(parts[0], said[0.0])
    voices, instruments = [], []
    for part in parts:
        voice = _notes(part, shift)
        if voice:
            voices.append(voice)
            instruments.append(_instrument(part))
    tempos = [
        float(quarters)
        for mark in score.recurse().getElementsByClass("MetronomeMark")
        if (quarters := mark.getQuarterBPM())
    ]
    return Tracks(
        tuple(voices),
        tuple(_meters(parts[0], said, shift)),
        tempo=min(FASTEST, max(SLOWEST, tempos[0])) if tempos else 120.0,
        tempos=len(tempos),
        instruments=tuple(instruments),
    )


def _notes(part: Any, shift: float) -> tuple[Note, ...]:
    """The notes of a part, in order; those that are tied are one."""
    found: list[Note] = []
    tied: dict[tuple[int, float], int] = {}  # where each note ends that goes on
    for element in part.flatten().notes:
        length = float(element.duration.quarterLength)
        for said in getattr(element, "notes", (element,)):
            if length <= 0 or not hasattr(said, "pitch"):  # a grace note, or a drum
                continue
            onset, pitch = float(element.offset) + shift, int(said.pitch.midi)
            ties = said.tie.type if said.tie is not None else ""
            number = tied.pop((pitch, round(onset, 4)), None) if ties in TIED else None
            if number is None:
                number = len(found)
                found.append(Note(onset, length, pitch))
            else:
                begun = found[number]
                found[number] = begun._replace(duration=onset + length - begun.onset)
            if ties in TYING:
                tied[pitch, round(onset + length, 4)] = number
    return tuple(sorted(found))


def _instrument(part: Any) -> Instrument:
    played = next(iter(part.recurse().getElementsByClass("Instrument")), None)
    program = getattr(played, "midiProgram", None) or 0
    return Instrument(str(getattr(part, "partName", None) or ""), int(program))


def _meters(part: Any, said: dict[float, Meter], shift: float) -> list[tuple[float, Meter]]:
    """Where a metre begins, and where bars begin anew because their lines are not where it says."""
    said = {at + (shift if at else 0.0): meter for at, meter in said.items()}
    lines = [float(measure.offset) + shift for measure in part.getElementsByClass("Measure")]
    begin, meter, found = 0.0, said[0.0], dict(said)

    def off(line: float) -> bool:
        bars = (line - begin) / bar_of(meter)
        return abs(bars - round(bars)) > 1e-3

    for line, following in zip(lines, [*lines[1:], None], strict=False):
        if line in said:
            begin, meter = line, said[line]
        elif off(line) and (following is None or off(following)):  # else it is an upbeat
            found[line] = meter
            begin = line
    return sorted(found.items())


def _said(part: Any) -> dict[float, Meter]:
    """Which metres a part says, and where; 4/4 at its beginning where it says none.

    Measure by measure: flattened, one that is said twice is two at its last place.
    """
    said = {
        float(stream.offset + m.getOffsetBySite(stream)): (int(m.numerator), int(m.denominator))
        for stream in [part, *part.getElementsByClass("Measure")]
        for m in stream.getElementsByClass("TimeSignature")
    }
    return {0.0: (4, 4)} | said


def _upbeat(part: Any, meter: Meter) -> float:
    """Quarters by which a first bar that is not full is moved."""
    measures = list(part.getElementsByClass("Measure"))
    if not measures:
        return 0.0
    bar = bar_of(meter)
    length = float(measures[1].offset if len(measures) > 1 else measures[0].duration.quarterLength)
    return bar - length if 0 < length < bar else 0.0


def _music21() -> Any:
    try:
        import music21
    except ImportError:
        raise MissingExtraError("reading MusicXML and ABC", "music21", "music") from None
    return music21
