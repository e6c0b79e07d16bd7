"""What the command line says and where: results to standard output or a file, words to stderr.

This module does not know any verb, nor torch.
"""

import errno
import json as json_text
import os
import sys
from pathlib import Path
from typing import Any

from variate.errors import OptionError, OutputError
from variate.output import ADVICE, expect_file

__all__ = [
    "deliver",
    "expect_apart",
    "expect_ending",
    "expect_table",
    "expect_writable",
    "flush",
    "mute",
    "print_json",
    "report",
    "say",
    "show_warning",
    "write",
    "write_line",
]


def deliver(rows: Any, out: Path | None, *, json: bool) -> None:
    """Write rows to a file, or to standard output as CSV or JSON."""
    from variate.table import files

    table = files.to_arrow(rows)
    if out is not None:
        files.write(table, out)
        report({"rows": table.num_rows, "out": str(out)}, json=json)
    elif json:
        print_json({"rows": table.to_pylist()})
    else:
        write(files.to_csv(table))


def report(figures: dict[str, Any], *, json: bool) -> None:
    """Figures, a line each, or as one JSON object.

    Vectors, and what is said of each of many columns, are in the JSON only.
    """
    if json:
        print_json(figures)
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            flat = {k: inner for k, inner in value.items() if not isinstance(inner, dict)}
            report({f"{name}.{key}": inner for key, inner in flat.items()}, json=False)
        elif not isinstance(value, list | tuple):
            write_line(f"{name:>28}  {_short(value)}")


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value}"
    return f"{value:.4g}" if 0 < abs(value) < 1e-3 else f"{value:,.4f}"


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on a line of standard output."""
    write_line(json_text.dumps(value, default=str, allow_nan=False))


def write_line(text: str) -> None:
    """Text on standard output, as a line."""
    write(text.rstrip("\n") + "\n")


def write(text: str) -> None:
    """Text on standard output.

    Raises:
        OutputError: It is closed, or leads to a disk that is full.
        BrokenPipeError: Nobody reads it any more.
    """
    if sys.stdout is None:
        raise OutputError("cannot write to standard output: it is closed; name a file with --out.")
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _unwritten(error) from error


def flush() -> None:
    """Bring what was written to where it goes, while failing can still be told.

    Raises:
        OutputError: It cannot be.
        BrokenPipeError: Nobody reads it any more.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _unwritten(error) from error


def mute() -> None:
    """Leave out what standard output does not take: Python tries once more when it ends."""
    try:
        flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritten(error: OSError) -> OSError:
    if isinstance(error, BrokenPipeError):
        return error
    full = error.errno == errno.ENOSPC
    reason = "the disk is full" if full else error.strerror or str(error)
    return OutputError(f"cannot write to standard output: {reason}.")


def say(text: str) -> None:
    """A line on standard error; of several processes, each says who it is."""
    if sys.stderr is None:  # closed, and nobody is there to be told
        return
    rank = os.environ.get("RANK")
    sys.stderr.write(f"{text}\n" if rank is None else f"[process {rank}] {text}\n")


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a line on standard error, for `warnings.showwarning`."""
    say(f"warning: {message}")


def expect_writable(out: Path | None, *read: Path | str | None) -> None:
    """Find out before the work, not after it, that its result could not be written.

    Args:
        out: Where it goes.
        *read: What the command reads, over which nothing is written.

    Raises:
        OutputError: It cannot be written there, or what is read would be lost.
    """
    if out is None:
        return
    try:
        _expect_place(out)
        lost = [path for path in read if path is not None and _would_lose(Path(path), out)]
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot write {out!s:.80}: {reason}.") from error
    if lost:
        raise OutputError(
            f"cannot write {out}: it is read here, as {lost[0]}, and would be lost; name another "
            "file."
        )


def expect_apart(*outs: Path | None) -> None:
    """Refuse two results for one file.

    Raises:
        OptionError: The second would replace the first.
    """
    places = [os.path.realpath(out) for out in outs if out is not None]
    if len(set(places)) < len(places):
        raise OptionError(f"two results are to be written to {outs[-1]}; name a file for each.")


def expect_table(out: Path | None) -> None:
    """Find out before the work whether a table can be written as `--out` says.

    Raises:
        OutputError: The ending is unknown.
    """
    from variate.table import files

    if out is not None:
        files.expect_suffix(out)


def _would_lose(path: Path, out: Path) -> bool:
    """Whether a file at `out` would take the place of what is read at `path`, or in that folder."""
    if not out.exists() or not path.exists():
        return False
    if not path.is_dir() or out.is_dir():
        return os.path.samefile(path, out)
    from variate.image.files import SUFFIXES as PICTURES
    from variate.music.reading import SUFFIXES as MUSIC

    inside = Path(os.path.realpath(out)).is_relative_to(os.path.realpath(path))
    return inside and out.suffix.lower() in {*PICTURES, *MUSIC, ".parquet", ".txt"}


def _expect_place(out: Path) -> None:
    folder = out.parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {out}: the folder {folder} does not exist; create it.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {out}: the folder {folder} is not writable.")
    if out.is_dir() and any(out.iterdir()):
        raise OutputError(
            f"cannot write {out}: it is a folder with something in it; name a file, or for "
            "pictures and music a new folder."
        )
    expect_file(out)


def expect_ending(out: Path | None, ending: str) -> None:
    """Refuse a file whose name says that it is of another kind than what is written there."""
    if out is not None and out.suffix.lower() != ending:
        raise OutputError(
            f"cannot write {out}: what is written there is {ending}; name it "
            f"{out.with_suffix(ending)}."
        )
