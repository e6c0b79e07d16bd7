"""The songs of POP909 (Wang et al. 2020) as pieces: tracks, on the beats that its authors marked.

The files are played to one tempo and are not cut at bar lines; `beat_midi.txt` has for each beat
its seconds, and whether a bar begins with it. Songs whose bars are not nearly all of four beats are
left out. This module does not know models.
"""

from pathlib import Path

import numpy as np

from variate.music import Instrument, Note, Piece

__all__ = ["songs"]

FOURS = 0.9  # of a song's bars have four beats
SHORTEST = 0.05  # of a beat


def songs(folder: Path) -> list[Piece]:
    """The songs of a folder that has `001/001.mid` and `001/beat_midi.txt`, and so on.

    Raises:
        SystemExit: There are none.
    """
    found = [piece for path in sorted(folder.glob("[0-9]*/")) if (piece := _song(path)) is not None]
    if not found:
        raise SystemExit(f"{folder} has no songs: it is the folder POP909 of that data set")
    return found


def _song(path: Path) -> Piece | None:
    import symusic

    file, marks = path / f"{path.name}.mid", path / "beat_midi.txt"
    if not file.exists() or not marks.exists():
        return None
    seconds, _, bars = np.loadtxt(marks)[:, :3].T
    begin = np.flatnonzero(bars == 1)
    if len(begin) < 4 or (np.diff(begin) == 4).mean() < FOURS:
        return None
    beats = np.arange(len(seconds)) - begin[0]
    tracks = [(t.name, t.notes) for t in symusic.Score(str(file)).to("second").tracks]
    voices = tuple(_on_beats(notes, seconds, beats) for _, notes in tracks)
    instruments = tuple(Instrument(name, 0) for name, _ in tracks)
    return Piece(voices, (4, 4), name=path.name, instruments=instruments)


def _on_beats(notes: list, seconds: np.ndarray, beats: np.ndarray) -> tuple[Note, ...]:
    made = []
    for note in notes:
        onset, end = np.interp([note.time, note.time + note.duration], seconds, beats)
        if -1e-3 <= onset < beats[-1] - 0.01:
            made.append(Note(max(0.0, float(onset)), float(max(end - onset, SHORTEST)), note.pitch))
    return tuple(sorted(made))
