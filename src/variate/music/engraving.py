"""Pieces -> scores to look at: SVG and PNG, engraved by verovio from MusicXML made here.

Lengths that no single note has are tied together, and a note is parted at bar lines, and within a
bar at its beats where it begins off one: as a musician would write it. Four voices are written on
two staves, as choirs read them; else each voice has its own.

This module does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from variate.errors import MissingExtraError, OutputError
from variate.music.attributes import key_of
from variate.music.pieces import STEPS_PER_QUARTER, Note, Piece, bar_steps
from variate.output import replacing

__all__ = ["engrave", "musicxml", "svg_of"]

# steps of a note -> its type and dots; others are tied
TYPES = {16: ("whole", 0), 12: ("half", 1), 8: ("half", 0), 6: ("quarter", 1), 4: ("quarter", 0),
         3: ("eighth", 1), 2: ("eighth", 0), 1: ("16th", 0)}  # fmt: skip
SHARPS = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F#": 6, "F": -1, "Bb": -2, "Eb": -3,
          "Ab": -4, "C#": -5}  # fmt: skip
SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
WIDTH = 2100  # of a page, in tenths of a millimetre


def engrave(piece: Piece, path: str | Path) -> Path:
    """A piece as a picture of its score.

    Args:
        piece: The piece.
        path: Where to, .svg or .png.

    Raises:
        OutputError: The ending is another, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise OutputError(f"cannot write {path}: scores end in .svg or .png.")
    drawn = svg_of([piece])
    with replacing(path) as file:
        file.write(drawn.encode() if path.suffix.lower() == ".svg" else _png(drawn))
    return path


def svg_of(pieces: Sequence[Piece]) -> str:
    """Pieces one after the other as an SVG picture, as wide as a page."""
    verovio = _verovio()
    toolkit = verovio.toolkit()
    toolkit.setOptions({
        "pageWidth": WIDTH, "pageHeight": 60_000, "adjustPageHeight": True, "scale": 45,
        "header": "none", "footer": "none", "breaks": "auto", "pageMarginTop": 40,
        "pageMarginBottom": 40, "pageMarginLeft": 40, "pageMarginRight": 40,
        "svgViewBox": False, "smuflTextFont": "embedded",
    })  # fmt: skip
    toolkit.loadData(musicxml(pieces))
    drawn: str = toolkit.renderToSVG(1)
    return drawn


def musicxml(pieces: Sequence[Piece]) -> str:
    """Pieces one after the other as a score in MusicXML."""
    count = len(pieces[0].voices)
    parts = ((0, 1), (2, 3)) if count == 4 else tuple((v,) for v in range(count))
    listed = "".join(
        f'<score-part id="P{n}"><part-name></part-name></score-part>' for n in range(len(parts))
    )
    written = "".join(
        f'<part id="P{n}">{_part(pieces, voices)}</part>' for n, voices in enumerate(parts)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<score-partwise version="4.0"><part-list>{listed}</part-list>{written}</score-partwise>'
    )


def _part(pieces: Sequence[Piece], voices: tuple[int, ...]) -> str:
    measures, number = [], 0
    low = [n.pitch for piece in pieces for v in voices for n in piece.voices[v]]
    clef = ("F", 4) if low and sum(low) / len(low) < 58 else ("G", 2)
    for piece in pieces:
        bar, fifths = bar_steps(piece.meter), _fifths(piece)
        bars = round(piece.quarters * STEPS_PER_QUARTER) // bar
        written = [_written(piece.voices[v], bars, bar, piece.meter) for v in voices]
        for i in range(bars):
            number += 1
            head = _attributes(piece, fifths, clef) if i == 0 else ""
            if i == 0 and piece.name:
                words = f"<direction-type><words>{escape(piece.name)}</words></direction-type>"
                head += f'<direction placement="above">{words}</direction>' if 0 in voices else ""
            inner = f"<backup><duration>{bar}</duration></backup>".join(
                "".join(_note(*event, voice, fifths, len(voices)) for event in each[i])
                for voice, each in enumerate(written)
            )
            last = i == bars - 1
            line = "<barline><bar-style>light-light</bar-style></barline>" if last else ""
            measures.append(f'<measure number="{number}">{head}{inner}{line}</measure>')
    return "".join(measures)


def _attributes(piece: Piece, fifths: int, clef: tuple[str, int]) -> str:
    beats, unit = piece.meter
    return (
        f"<attributes><divisions>{STEPS_PER_QUARTER}</divisions><key><fifths>{fifths}</fifths>"
        f"</key><time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
        f"<clef><sign>{clef[0]}</sign><line>{clef[1]}</line></clef></attributes>"
    )


Event = tuple[int | None, int, bool, bool]  # pitch (None: a rest), steps, tied from, tied to


def _written(
    voice: Sequence[Note], bars: int, bar: int, meter: tuple[int, int]
) -> list[list[Event]]:
    """The notes and rests of each bar."""
    made: list[list[Event]] = [[] for _ in range(bars)]
    at = 0
    spans: list[tuple[int, int, int | None]] = []
    for note in voice:
        begin, end = (round(t * STEPS_PER_QUARTER) for t in (note.onset, note.end))
        spans += [(at, begin, None), (begin, end, note.pitch)]
        at = end
    spans.append((at, bars * bar, None))
    for begin, end, pitch in spans:
        cuts = _cuts(begin, min(end, bars * bar), bar, meter)
        for i, (a, b) in enumerate(cuts):
            tied = pitch is not None
            made[a // bar].append((pitch, b - a, tied and i > 0, tied and i < len(cuts) - 1))
    return made


def _cuts(begin: int, end: int, bar: int, meter: tuple[int, int]) -> list[tuple[int, int]]:
    """Where a stretch of steps is parted into lengths that single notes have."""
    beat = 6 if meter == (6, 8) else 4
    found = []
    while begin < end:
        until = min(end, (begin // bar + 1) * bar)
        into = begin % beat
        if into and until - begin > beat - into and (into % 2 or beat == 6):
            until = begin + beat - into
        length = next(steps for steps in TYPES if steps <= until - begin)
        found.append((begin, begin + length))
        begin += length
    return found


def _note(
    pitch: int | None, steps: int, back: bool, on: bool, voice: int, fifths: int, voices: int  # noqa: FBT001
) -> str:
    sort, dots = TYPES[steps]
    sound = "<rest/>"
    if pitch is not None:
        name = (FLAT_NAMES if fifths < 0 else SHARP_NAMES)[pitch % 12]
        alter = {"#": 1, "b": -1}.get(name[1:], 0)
        sound = (
            f"<pitch><step>{name[0]}</step><alter>{alter}</alter>"
            f"<octave>{pitch // 12 - 1}</octave></pitch>"
        )
    ties = ('<tie type="stop"/>' if back else "") + ('<tie type="start"/>' if on else "")
    drawn = ('<tied type="stop"/>' if back else "") + ('<tied type="start"/>' if on else "")
    stem = f"<stem>{'up' if voice == 0 else 'down'}</stem>" if voices > 1 and pitch is not None else ""
    return (
        f"<note>{sound}<duration>{steps}</duration>{ties}<voice>{voice + 1}</voice>"
        f"<type>{sort}</type>{'<dot/>' * dots}{stem}"
        + (f"<notations>{drawn}</notations>" if drawn else "")
        + "</note>"
    )


def _fifths(piece: Piece) -> int:
    """Sharps (above 0) or flats of the key that fits best."""
    key = key_of(piece)
    if not key.endswith("m"):
        return SHARPS[key]
    tonic = SHARP_NAMES.index(key[:-1]) if key[:-1] in SHARP_NAMES else FLAT_NAMES.index(key[:-1])
    relative = (tonic + 3) % 12
    return next(n for name, n in SHARPS.items() if _number(name) == relative)


def _number(name: str) -> int:
    return SHARP_NAMES.index(name) if name in SHARP_NAMES else FLAT_NAMES.index(name)


def _png(drawn: str) -> bytes:
    try:
        import cairosvg
    except ImportError:
        raise MissingExtraError("scores as PNG", "cairosvg", "music") from None
    made: bytes = cairosvg.svg2png(bytestring=drawn.encode(), background_color="white")
    return made


def _verovio() -> Any:
    try:
        import verovio
    except ImportError:
        raise MissingExtraError("engraving scores", "verovio", "music") from None
    verovio.enableLog(verovio.LOG_OFF)
    return verovio
