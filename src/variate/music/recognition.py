"""Whether data are music: a look at the outside, for whoever does not say what they are.

This module does not read any note.
"""

import zipfile
from pathlib import Path
from typing import Any

from variate.music.pieces import Piece
from variate.music.reading import MIDI, SUFFIXES
from variate.music.windows import Windows

__all__ = ["is_music"]

NAMES = {"symbols.npy", "meters.npy", "pieces.npy", "starts.npy", "bars.npy"}


def is_music(data: Any) -> bool:
    """Whether data are music, as far as can be told from outside.

    Args:
        data: Anything. Music is files that end as scores do, folders that hold such files (of MIDI
            some, or nothing else), kept windows (.npz), and pieces.
    """
    if isinstance(data, Windows | Piece):
        return True
    if isinstance(data, list | tuple):
        return bool(data) and isinstance(data[0], Piece)
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
                return set(archive.namelist()) >= NAMES
        except (OSError, zipfile.BadZipFile):
            return False
    return path.suffix.lower() in SUFFIXES
