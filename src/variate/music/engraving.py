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
            head = _attributes(piece, fifths, clef if number == 1 else None) if i == 0 else ""
            if i == 0 and piece.name:
                words = f"<direction-type><words>{escape(piece.name)}</words></direction-type>"
                head += f'<direction placement="above">{words}</direction>' if 0 in voices else ""
            spelled = _Spelling(fifths)
            inner = f"<backup><duration>{bar}</duration></backup>".join(
                _bar(each[i], voice, len(voices), piece.meter, spelled)
                for voice, each in enumerate(written)
            )
            last = i == bars - 1
            line = "<barline><bar-style>light-light</bar-style></barline>" if last else ""
            measures.append(f'<measure number="{number}">{head}{inner}{line}</measure>')
    return "".join(measures)


def _attributes(piece: Piece, fifths: int, clef: tuple[str, int] | None) -> str:
    beats, unit = piece.meter
    drawn = "" if clef is None else f"<clef><sign>{clef[0]}</sign><line>{clef[1]}</line></clef>"
    return (
        f"<attributes><divisions>{STEPS_PER_QUARTER}</divisions><key><fifths>{fifths}</fifths>"
        f"</key><time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
        f"{drawn}</attributes>"
    )


Event = tuple[int | None, int, bool, bool]  # pitch (None: a rest), steps, tied back, tied on


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


def _bar(
    events: Sequence[Event], voice: int, voices: int, meter: tuple[int, int], spelled: _Spelling
) -> str:
    """The notes and rests of a bar of one voice."""
    beams = _beams(events, 6 if meter == (6, 8) else 4)
    written = []
    for (pitch, steps, back, on), beam in zip(events, beams, strict=True):
        sort, dots = TYPES[steps]
        sound = "<rest/>" if pitch is None else spelled.pitch(pitch)
        sign = "" if pitch is None or back else spelled.sign(pitch)
        ends = [end for end, is_so in (("stop", back), ("start", on)) if is_so]
        ties = "".join(f'<tie type="{end}"/>' for end in ends)
        drawn = "".join(f'<tied type="{end}"/>' for end in ends)
        up = "up" if voice == 0 else "down"
        stem = f"<stem>{up}</stem>" if voices > 1 and pitch is not None else ""
        notations = f"<notations>{drawn}</notations>" if drawn else ""
        written.append(
            f"<note>{sound}<duration>{steps}</duration>{ties}<voice>{voice + 1}</voice>"
            f"<type>{sort}</type>{'<dot/>' * dots}{sign}{stem}{beam}{notations}</note>"
        )
    return "".join(written)


class _Spelling:
    """How pitches are written in a key, and which signs a bar has had."""

    def __init__(self, fifths: int) -> None:
        self.names = FLAT_NAMES if fifths < 0 else SHARP_NAMES
        letters = "FCGDAEB"[:fifths] if fifths > 0 else "BEADGCF"[: max(0, -fifths)]
        self.key = dict.fromkeys(letters, 1 if fifths > 0 else -1)
        self.had: dict[tuple[str, int], int] = {}

    def pitch(self, pitch: int) -> str:
        """The pitch's element."""
        letter, alter, octave = self._parts(pitch)
        return (
            f"<pitch><step>{letter}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
        )

    def sign(self, pitch: int) -> str:
        """The sign before the note, if it needs one."""
        letter, alter, octave = self._parts(pitch)
        before = self.had.get((letter, octave), self.key.get(letter, 0))
        self.had[(letter, octave)] = alter
        named = {1: "sharp", -1: "flat", 0: "natural"}[alter]
        return "" if alter == before else f"<accidental>{named}</accidental>"

    def _parts(self, pitch: int) -> tuple[str, int, int]:
        name = self.names[pitch % 12]
        return name[0], {"#": 1, "b": -1}.get(name[1:], 0), pitch // 12 - 1


def _beams(events: Sequence[Event], beat: int) -> list[str]:
    """The beams of each event of a bar: notes shorter than a quarter, within a beat."""
    groups: list[list[int]] = []
    at, last = 0, -1
    for i, (pitch, steps, _, _) in enumerate(events):
        short = pitch is not None and steps <= 3
        if short and groups and last == i - 1 and groups[-1] and at % beat:
            groups[-1].append(i)
            last = i
        elif short:
            groups.append([i])
            last = i
        at += steps
    made = [""] * len(events)
    for group in groups:
        if len(group) < 2:
            continue
        for place, i in enumerate(group):
            ends = {0: "begin", len(group) - 1: "end"}
            made[i] = f'<beam number="1">{ends.get(place, "continue")}</beam>'
            if events[i][1] == 1:
                made[i] += _second_beam([events[j][1] == 1 for j in group], place)
    return made


def _second_beam(sixteenths: Sequence[bool], place: int) -> str:
    before = place > 0 and sixteenths[place - 1]
    after = place + 1 < len(sixteenths) and sixteenths[place + 1]
    hook = "backward hook" if place else "forward hook"
    kind = {(True, True): "continue", (False, True): "begin", (True, False): "end"}
    return f'<beam number="2">{kind.get((before, after), hook)}</beam>'


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
