"""What the command line says and where: results to standard output or a file, words to stderr.

This module does not know any verb, nor torch.
"""

import json as json_text
import os
import sys
from pathlib import Path
from typing import Any

from variate.errors import OutputError

__all__ = [
    "deliver",
    "expect_ending",
    "expect_writable",
    "print_json",
    "report",
    "say",
    "show_warning",
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
        sys.stdout.write(files.to_csv(table))


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
    """Text on standard output."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def say(text: str) -> None:
    """A line on standard error; of several processes, each says who it is."""
    rank = os.environ.get("RANK")
    sys.stderr.write(f"{text}\n" if rank is None else f"[process {rank}] {text}\n")


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a line on standard error, for `warnings.showwarning`."""
    say(f"warning: {message}")


def expect_writable(out: Path | None) -> None:
    """Find out before the work, not after it, that its result could not be written."""
    if out is None:
        return
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


def expect_ending(out: Path | None, ending: str) -> None:
    """Refuse a file whose name says that it is of another kind than what is written there."""
    if out is not None and out.suffix.lower() != ending:
        raise OutputError(
            f"cannot write {out}: what is written there is {ending}; name it "
            f"{out.with_suffix(ending)}."
        )
