"""Music on the command line: written as MIDI, scores and sound; rewritten, accompanied.

This module does not know any mathematics.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from variate.console import report, say
from variate.errors import OptionError

__all__ = [
    "Audio",
    "Score",
    "Written",
    "alarms_of",
    "deliver_music",
    "expect_pieces",
    "numbers",
    "pieces_of",
    "rewrite",
    "stretch_of",
    "tracks_of",
]

Score = Annotated[
    Literal["svg", "png"] | None, Parameter(help="Of music: engrave each piece as well.")
]
Audio = Annotated[
    Literal["wav", "ogg", "flac"] | None, Parameter(help="Of music: render each piece as well.")
]
MANY = 10_000  # bars
Written = tuple[str | None, str | None]  # --score and --audio


def deliver_music(pieces: Sequence[Any], out: Path | None, written: Written, *, json: bool) -> None:
    """Write pieces where `--out` says.

    Args:
        pieces: The pieces.
        out: A folder that is new or empty, or an .mid file.
        written: The endings of scores and of sound, or None.
        json: Whether what is said of it is JSON.
    """
    from variate.music import write

    score, audio = written
    files = write(pieces, expect_pieces(out), score=score, audio=audio)
    say(f"wrote {out}")
    report({"pieces": len(pieces), "files": len(files), "out": str(out)}, json=json)


def expect_pieces(out: Path | None) -> Path:
    """Find out before the work, not after it, whether music can be written as `--out` says.

    Raises:
        OptionError: There is no `--out`.
        OutputError: The ending is of no music.
    """
    from variate.music.writing import expect_place

    if out is None:
        raise OptionError("music needs --out: a new folder, or an .mid file for all pieces.")
    expect_place(out)
    return out


def rewrite(
    fitted: Any,
    data: Path,
    parts: tuple[str | None, str | None, str | None],
    *,
    draws: int | None,
    seed: int | None,
) -> list[Any]:
    """Pieces with the bars, voices and tracks that options name written anew.

    Args:
        fitted: The model.
        data: The music.
        parts: Bars, voices and tracks, as `numbers` reads them.
        draws: None for the likeliest of each piece, else so many drawn ones.
        seed: Makes the draws repeatable.
    """
    bars, voices, tracks = (numbers(part) for part in parts)
    count = 1 if draws is None else draws
    made = fitted.impute(data, bars=bars, voices=voices, tracks=tracks, draws=count, seed=seed)
    return pieces_of(made, draws)


def pieces_of(made: Any, draws: int | None) -> list[Any]:
    """The likeliest of rewritten pieces, or so many draws of each, those of one together."""
    if draws is None:
        return list(made.filled)
    return [piece for drawn in zip(*made.draws, strict=True) for piece in drawn]


def alarms_of(fitted: Any, data: Path, *, fdr: float, draws: int | None) -> Any:
    """The alarms among bars of music, as a table that names them."""
    import pyarrow as pa

    windows = fitted.codec_.received(data)
    found = fitted.detect(windows, fdr=fdr, draws=draws)
    columns = {name: list(getattr(found, name)) for name in ("score", "p_value", "anomaly")}
    return pa.table({"music": windows.labels(), **columns, "reasons": found.reasons})


def stretch_of(fitted: Any, data: Path, index: int) -> Any:
    """One item of music, by its number.

    Raises:
        OptionError: There is none of that number.
    """
    windows = fitted.codec_.received(data)
    if not 0 <= index < len(windows):
        raise OptionError(
            f"{data} has the items 0 to {len(windows) - 1}; there is no item {index}."
        )
    return windows.part([index])


def numbers(text: str | None) -> list[int] | None:
    """Numbers such as `3`, `2-4` or `1,3`.

    Raises:
        OptionError: It is something else.
    """
    if text is None:
        return None
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise OptionError(f"{text!r} must be numbers, such as 3, 2-4 or 1,3.")
        if int(last or first) - int(first) >= MANY:
            raise OptionError(f"{text!r} are more numbers than there are bars, voices or tracks.")
        found += range(int(first), int(last or first) + 1)
    return found


def tracks_of(text: str | None) -> Any:
    """The tracks of `--tracks`: how many, or names such as `MELODY,PIANO`."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return int(text)
    return [name.strip() for name in text.split(",")]
