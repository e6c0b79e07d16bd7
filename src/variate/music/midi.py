"""MIDI files <-> tracks of notes, by symusic.

What a file says is kept as it is: notes of tracks, where the metre changes, the first tempo. What a
file sounds on one channel with one program is a track (symusic parts it so), in any format. Drum
tracks (channel 10) hold no pitches and are left out, and counted. A note without length is given
the shortest one, a sixteenth, and counted.

What is written comes back: notes, metre, tempo, instruments and, by a marker, bars of silence at
the end. Two things no file of notes can say: a voice that is silent throughout, and a key that is
struck while it is down, which is let go of first.

This module does not know grids or windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from variate.errors import DataError, MissingExtraError
from variate.music.pieces import FASTEST, SLOWEST, Instrument, Note, Piece
from variate.output import replacing

__all__ = ["Tracks", "read_midi", "write_midi"]

LARGEST = 16 << 20  # bytes of a file
SHORTEST = 0.25  # quarters, of a note that has no length
TICKS = 480  # of a quarter, in files that are written
END = "end"  # the marker at the last bar line, where silence leads up to it
PROGRAMS = {1: (73,), 4: (52, 52, 52, 52)}  # General MIDI: a flute; a choir


@dataclass(frozen=True)
class Tracks:
    """What a file says.

    Attributes:
        voices: The notes of each track that has any, drums left out, in the file's order.
        meters: Where a metre begins, in quarters, and which; the first at 0.
        tempo: Quarters in a minute, at the beginning.
        tempos: How often the tempo is set.
        drums: Tracks of drums that were left out.
        without_length: Notes that had no length.
        length: Quarters, if it goes on in silence after the last note; 0 if not.
        ordered: Whether the highest voice comes first already.
        instruments: Of each voice; empty if nothing is said.
    """

    voices: tuple[tuple[Note, ...], ...]
    meters: tuple[tuple[float, tuple[int, int]], ...]
    tempo: float = 120.0
    tempos: int = 1
    drums: int = 0
    without_length: int = 0
    length: float = 0.0
    ordered: bool = False
    instruments: tuple[Instrument, ...] = ()


def read_midi(path: Path) -> Tracks:
    """What a MIDI file says.

    Raises:
        DataError: It cannot be read; the message is the reason, without the file's name.
    """
    symusic = _symusic()
    if path.stat().st_size > LARGEST:
        raise DataError(f"larger than {LARGEST >> 20} MB, which no score of notes is")
    content = path.read_bytes()
    head = content.find(b"MThd", 0, 32) if content.startswith(b"RIFF") else 0
    if not content.startswith(b"MThd", head) or head < 0:
        raise DataError("not a MIDI file (it does not begin with MThd)")
    if len(content) > head + 12 and content[head + 12] >= 0x80:
        raise DataError("its time is told in seconds (SMPTE), not in notes")
    try:
        score = symusic.Score.from_midi(content[head:])
    except (RuntimeError, ValueError, OSError):
        raise DataError("damaged: it is cut short, or no MIDI") from None
    ticks = float(score.ticks_per_quarter)
    if ticks <= 0:
        raise DataError("no ticks to a quarter: its time is not told in notes")
    with_notes = [track for track in score.tracks if len(track.notes)]
    pitched = [track for track in with_notes if not track.is_drum]
    without = 0
    voices = []
    for track in pitched:
        voice = []
        for note in track.notes:
            without += note.duration <= 0
            length = note.duration / ticks if note.duration > 0 else SHORTEST
            voice.append(Note(note.time / ticks, length, int(note.pitch)))
        voices.append(tuple(sorted(voice)))
    tempos = [float(tempo.qpm) for tempo in score.tempos]
    return Tracks(
        tuple(voices),
        _meters(score, ticks),
        tempo=min(FASTEST, max(SLOWEST, tempos[0])) if tempos else 120.0,
        tempos=len(tempos),
        drums=len(with_notes) - len(pitched),
        without_length=without,
        length=max((mark.time / ticks for mark in score.markers if mark.text == END), default=0.0),
        instruments=tuple(Instrument(str(t.name), int(t.program)) for t in pitched),
    )


def _meters(score: Any, ticks: float) -> tuple[tuple[float, tuple[int, int]], ...]:
    """Where metres begin, in quarters, and which.

    Raises:
        DataError: One of them is none.
    """
    meters = [(m.time / ticks, (int(m.numerator), int(m.denominator)))
              for m in score.time_signatures]  # fmt: skip
    for _, (beats, unit) in meters:
        if min(beats, unit) < 1:
            raise DataError(f"it says the metre {beats}/{unit}, which is none")
    if not meters or meters[0][0] > 0:
        meters.insert(0, (0.0, (4, 4)))  # what the format says of a file that says nothing
    return tuple(meters)


def write_midi(piece: Piece, path: str | Path) -> Path:
    """A piece as a MIDI file, a track for each voice.

    Raises:
        OutputError: It cannot be written.
    """
    symusic = _symusic()
    score = symusic.Score(TICKS)
    score.time_signatures.append(symusic.TimeSignature(0, *piece.meter))
    score.tempos.append(symusic.Tempo(0, piece.tempo))
    for voice, (name, program) in zip(piece.voices, _instruments(piece), strict=True):
        track = symusic.Track(name, program, False)  # noqa: FBT003 - no drum
        for onset, end, pitch in _strokes(voice):
            track.notes.append(symusic.Note(onset, end - onset, pitch, 80))
        score.tracks.append(track)
    if piece.quarters > replace(piece, bars=0).quarters:
        score.markers.append(symusic.TextMeta(round(piece.quarters * TICKS), END))
    with replacing(path) as file:
        file.write(score.dumps_midi())
    return Path(path)


def _strokes(voice: Sequence[Note]) -> list[tuple[int, int, int]]:
    """Notes in ticks, onset, end and pitch: a key is let go of before it is struck again."""
    longest: dict[tuple[int, int], int] = {}
    for note in voice:
        onset = round(note.onset * TICKS)
        end = max(onset + 1, round(note.end * TICKS))
        longest[note.pitch, onset] = max(end, longest.get((note.pitch, onset), 0))
    keys = sorted(longest)
    found = []
    for (pitch, onset), following in zip_longest(keys, keys[1:]):
        again = following[1] if following is not None and following[0] == pitch else None
        end = longest[pitch, onset]
        found.append((onset, end if again is None else min(end, again), pitch))
    return sorted(found)


def _instruments(piece: Piece) -> tuple[Instrument, ...]:
    """Those of a piece, or what suits as many voices."""
    count = len(piece.voices)
    if len(piece.instruments) == count:
        return piece.instruments
    programs = PROGRAMS.get(count, (0,) * count)
    return tuple(Instrument(f"voice {n}", p) for n, p in enumerate(programs, start=1))


def _symusic() -> Any:
    try:
        import symusic
    except ImportError:
        raise MissingExtraError("reading and writing MIDI", "symusic", "music") from None
    return symusic
