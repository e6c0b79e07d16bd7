"""Pieces out: a folder of MIDI files, with scores and sound beside them if that is asked for.

    00000.mid  00000.svg  00000.ogg  00001.mid …        a folder, new or empty
    piece.mid                                            one file: the pieces one after the other

This module does not know models.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from variate.errors import DataError, OutputError
from variate.music.engraving import engrave
from variate.music.midi import write_midi
from variate.music.pieces import Note, Piece, bar_of
from variate.music.sound import write_audio
from variate.output import ADVICE

__all__ = ["expect_place", "joined", "write"]

GAP = 1  # bars of silence between pieces in one file


def write(
    pieces: Sequence[Piece] | Piece,
    path: str | Path,
    *,
    score: str | None = None,
    audio: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Path]:
    """Write pieces.

    Args:
        pieces: The pieces, or one.
        path: A folder that is new or empty, or an .mid file for all of them, one after the other.
        score: "svg" or "png", to engrave each as well.
        audio: "wav", "ogg" or "flac", to render each as well.
        names: Of the files in the folder, without endings; None numbers them.

    Returns:
        The files written.

    Raises:
        OutputError: The folder is not empty, the names are not as many as the pieces or two are
            the same, or a file cannot be written.
        DataError: They are no pieces.
    """
    path = Path(path)
    pieces = _expect_pieces(pieces)
    if names is not None and len(names) != len(pieces):
        raise OutputError(f"there are {len(pieces)} pieces and {len(names)} names; give as many.")
    name, count = next(iter(Counter(names or ()).most_common(1)), ("", 0))
    if count > 1:
        raise OutputError(f"the name {name!r} is there {count} times; give each piece its own.")
    expect_place(path)
    if path.suffix:
        return _all_of(joined(pieces), path, score, audio)
    try:
        path.mkdir(exist_ok=True)
        if any(path.iterdir()):
            raise OutputError(
                f"cannot write to the folder {path}: it is not empty; name a new one."
            )
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = ADVICE.get(error.errno or 0, error.strerror)
        raise OutputError(f"cannot make the folder {path}: {reason}.") from error
    written: list[Path] = []
    for number, piece in enumerate(pieces):
        name = f"{number:05d}" if names is None else names[number]
        written += _all_of(piece, path / f"{name}.mid", score, audio)
    return written


def _expect_pieces(given: Any) -> Sequence[Piece]:
    """One piece or several as a list.

    Raises:
        DataError: There is something else.
    """
    if isinstance(given, Piece):
        return [given]
    pieces = list(given) if isinstance(given, Iterable) else [given]
    for other in pieces:
        if not isinstance(other, Piece):
            raise DataError(
                f"pieces (vt.music.Piece) are written, got a {type(other).__name__}: {other!r:.60}."
            )
    return pieces


def expect_place(path: str | Path) -> None:
    """Refuse what is neither a folder nor a MIDI file, by its name.

    Raises:
        OutputError: It has another ending.
    """
    if Path(path).suffix.lower() not in ("", ".mid", ".midi"):
        raise OutputError(
            f"cannot write {path}: music is written to a new folder, or to a file ending in .mid."
        )


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces of one metre one after the other, with a bar of silence between them.

    Tempo, name and instruments are those of the first.

    Raises:
        OutputError: There are none, or their metres or their voices differ.
    """
    if not pieces:
        raise OutputError("there are no pieces to write; give one at the least.")
    for what, several in (
        ("metres", {f"{piece.meter[0]}/{piece.meter[1]}" for piece in pieces}),
        ("numbers of voices", {str(len(piece.voices)) for piece in pieces}),
    ):
        if len(several) > 1:
            raise OutputError(
                f"pieces of several {what} ({', '.join(sorted(several))}) do not go into one MIDI "
                "file; name a folder, or give pieces that are alike."
            )
    first = pieces[0]
    gap = GAP * bar_of(first.meter)
    voices: list[list[Note]] = [[] for _ in first.voices]
    start = 0.0
    for piece in pieces:
        for voice, notes in zip(voices, piece.voices, strict=True):
            voice += [note._replace(onset=note.onset + start) for note in notes]
        start += piece.quarters + gap
    bars = round((start - gap) / bar_of(first.meter))
    return replace(first, voices=tuple(map(tuple, voices)), bars=bars)


def _all_of(piece: Piece, path: Path, score: str | None, audio: str | None) -> list[Path]:
    written = [write_midi(piece, path)]
    if score is not None:
        written.append(engrave(piece, path.with_suffix(f".{score}")))
    if audio is not None:
        written.append(write_audio(piece, path.with_suffix(f".{audio}")))
    return written
