"""Whether data are music: a look at the outside, for whoever does not say what they are.

This module does not read any note.
"""

import zipfile
from pathlib import Path
from typing import Any

from variate.music.pieces import Piece
from variate.music.polyphony.windows import TrackWindows
from variate.music.reading import MIDI, SUFFIXES
from variate.music.windows import Windows

__all__ = ["is_music"]

NAMES = {"meters.npy", "pieces.npy", "starts.npy", "bars.npy"}  # of kept windows
NOTES = {"symbols.npy", "notes.npy"}  # of voices, and of tracks


def is_music(data: Any) -> bool:
    """Whether data are music, as far as can be told from outside.

    Args:
        data: Anything. Music is files that end as scores do, folders that hold such files (of MIDI
            some, or nothing else), kept windows (.npz), and pieces, or lists of files or pieces.
    """
    if isinstance(data, Windows | TrackWindows | Piece):
        return True
    if isinstance(data, list | tuple):
        return bool(data) and all(isinstance(item, Piece) or _is_score(item) for item in data)
    if not isinstance(data, str | Path):
        return False
    path = Path(data)
    if path.is_dir():
        endings = {entry.suffix.lower() for entry in path.rglob("*") if entry.is_file()}
        scores = endings & set(SUFFIXES)
        return bool(endings & set(MIDI)) or (bool(scores) and endings == scores)
    if path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                names = set(archive.namelist())
                return names >= NAMES and bool(names & NOTES)
        except (OSError, zipfile.BadZipFile):
            return False
    return _is_score(path)


def _is_score(item: Any) -> bool:
    return isinstance(item, str | Path) and Path(item).suffix.lower() in SUFFIXES
