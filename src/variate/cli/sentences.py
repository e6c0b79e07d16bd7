"""Sentences on the command line: one of them, files of them, tables about them.

This module does not know any mathematics.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from variate.console import deliver, report, say, write
from variate.errors import OptionError, OutputError

__all__ = [
    "column_of",
    "deliver_sentences",
    "detect_sentences",
    "expect_sentences",
    "item_of_text",
    "label_of",
    "preset_of",
]

BREAK = re.compile(r"\r\n|\r|\n")
LINES = ".txt"
PRESETS = {"sampling": "Sampling", "fidelity": "Fidelity"}


def preset_of(name: str | None, kind: str) -> Any:
    """The preset of `--preset`, or None, for a model of text or of music.

    Raises:
        OptionError: There is none of that name.
    """
    if name is None:
        return None
    if name not in PRESETS:
        raise OptionError(f"--preset is one of {', '.join(PRESETS)}, got {name!r}.")
    presets = import_module(f"variate.{'music' if kind == 'music' else 'text'}.presets")
    return getattr(presets, PRESETS[name])()


def column_of(named: list[str] | None) -> str | None:
    """The column of `--column`, or None.

    Raises:
        OptionError: There are several.
    """
    if named and len(named) > 1:
        raise OptionError(f"text is one column (--column NAME), got {', '.join(named)}.")
    return named[0] if named else None


def label_of(given: list[str] | None) -> str | None:
    """The label of `--given`, or None.

    Raises:
        OptionError: There are several.
    """
    if given and len(given) > 1:
        raise OptionError(f"text is drawn given one label (--given LABEL), got {', '.join(given)}.")
    return given[0] if given else None


def item_of_text(model: Any, data: Path, index: int) -> Any:
    """One sentence of a file, from 0.

    Raises:
        OptionError: There is no such sentence.
    """
    texts = model.codec_.received(data)
    count = len(texts.items)
    if not 0 <= index < count:
        raise OptionError(
            f"{data} has the sentences 0 to {count - 1}; there is no sentence {index}."
        )
    return texts.part([index])


def expect_sentences(out: Path | None) -> None:
    """Find out before the work, not after it, whether sentences can be written as `--out` says.

    Args:
        out: The file.

    Raises:
        OutputError: The ending is unknown.
    """
    from variate.reading import files

    if out is None or out.suffix.lower() == LINES:
        return
    if files.suffix_of(out) is None:
        raise OutputError(
            f"cannot write {out}: the ending says how, and variate writes sentences as {LINES} (a "
            f"line for each) or as a table: {', '.join(files.SUFFIXES)}."
        )


def deliver_sentences(
    items: list[str], out: Path | None, *, beside: dict[str, Any] | None = None, json: bool
) -> None:
    """Write sentences where `--out` says: .txt has a line for each, tables a column `text`.

    In lines a sentence's own line breaks are written as spaces, and that is said.

    Args:
        items: The sentences.
        out: The file; None is standard output, a line for each.
        beside: Columns that go before them in a table; a .txt has none.
        json: Whether to print JSON.
    """
    import pyarrow as pa

    from variate.output import replacing

    lines = out.suffix.lower() == LINES if out is not None else not json
    if not lines:
        deliver(pa.table({**(beside or {}), "text": items}), out, json=json)
        return
    broken = sum("\n" in item or "\r" in item for item in items)
    if broken:
        say(f"{broken} of {len(items)} sentences have line breaks, which are written as spaces")
    text = "".join(BREAK.sub(" ", item) + "\n" for item in items)
    if out is None:
        write(text)
        return
    with replacing(out) as file:
        file.write(text.encode())
    report({"sentences": len(items), "out": str(out)}, json=json)


def detect_sentences(
    fitted: Any, data: Path, out: Path | None, *, fdr: float, draws: int | None, json: bool
) -> None:
    """Write the alarms among sentences as a table.

    Args:
        fitted: The model.
        data: The sentences.
        out: Where the table goes.
        fdr: The most that the expected share of false alarms may be.
        draws: For the scores.
        json: Whether to print JSON.
    """
    import pyarrow as pa

    texts = fitted.codec_.received(data)
    found = fitted.detect(texts, fdr=fdr, draws=draws)
    columns = {name: list(getattr(found, name)) for name in ("score", "p_value", "anomaly")}
    table = pa.table({"text": list(texts.items), **columns, "reasons": found.reasons})
    deliver(table, out, json=json)
