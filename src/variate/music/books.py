"""Books of tunes in ABC -> the tunes, each said in such a way that music21 reads it as it is meant.

music21 does not see a metre that changes, unless the unit of length is said again behind it; nor a
metre, a unit or a voice that is said in brackets within a line; and of a voice that comes back it
makes another one. So fields get lines of their own, and each voice is written once, from beginning
to end.

This module does not know what a tune sounds like.
"""

import re
from collections.abc import Iterable, Iterator

__all__ = ["tunes_of"]

FIELD = re.compile(r"[A-Za-z+]:(?![|:])")  # what a line begins with that is no music
WITHIN = re.compile(r"\[([LMV]:[^]]*)\]")


def tunes_of(content: bytes) -> list[str]:
    """The tunes of a book, each with what is said before the first of them."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = "\n".join(text.splitlines())  # however they end
    head, *tunes = re.split(r"^(?=X:)", lines, flags=re.MULTILINE)
    return [_plain(head + tune) for tune in tunes or [""]]


def _plain(tune: str) -> str:
    """A tune as music21 reads it right."""
    lines = list(_with_fields_apart(tune.splitlines()))
    keys = [number for number, line in enumerate(lines) if line.startswith("K:")]
    head = keys[0] + 1 if keys else 0
    body = _with_units(lines[:head], _voice_by_voice(lines[head:]))
    return "\n".join([*lines[:head], *body]) + "\n"


def _with_fields_apart(lines: Iterable[str]) -> Iterator[str]:
    """Lines, of which metres, units and voices that are said within music are lines of their own.

    What stands in brackets in titles, words and comments says none.
    """
    for line in lines:
        music, sign, comment = line.partition("%")
        if FIELD.match(line):
            yield line
        else:
            parts = WITHIN.split(music)
            yield from (part for part in parts[:-1] if part.strip())
            yield parts[-1] + sign + comment


def _voice_by_voice(lines: Iterable[str]) -> Iterator[str]:
    """The lines of each voice together, in the order in which the voices begin."""
    voices: dict[str, list[str]] = {"": []}
    own = ""
    for line in lines:
        if line.startswith("V:"):
            own = next(iter(line[2:].split()), "")
            if own in voices:
                continue
            voices[own] = []
        voices[own].append(line)
    for part in voices.values():
        yield from part


def _with_units(head: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    """Lines with the unit of length behind each metre that is said."""
    unit = next((line for line in reversed([*head]) if line.startswith("L:")), "")
    awaited = False
    for line in lines:
        if awaited and not line.startswith("L:") and unit:
            yield unit
        yield line
        unit = line if line.startswith("L:") else unit
        awaited = line.startswith("M:")
