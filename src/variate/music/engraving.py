"""Pieces -> scores to look at: SVG and PNG, engraved by verovio from MusicXML made here.

Lengths that no single note has are tied together, and a note is parted at bar lines, and within a
bar at its beats where it begins off one: as a musician would write it. Which notes go on which
staff is said by `staves`.

This module does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from variate.errors import MissingExtraError, OutputError
from variate.music.attributes import key_of
from variate.music.pieces import STEPS_PER_QUARTER, Piece, bar_steps
from variate.music.staves import Chord, Staff, staves_of
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
    staves = staves_of(pieces)
    listed = "".join(_listed(staves, number) for number in range(len(staves)))
    written = "".join(
        f'<part id="P{number}">{_part(pieces, staff, number)}</part>'
        for number, staff in enumerate(staves)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<score-partwise version="4.0"><part-list>{listed}</part-list>{written}</score-partwise>'
    )


def _listed(staves: Sequence[Staff], number: int) -> str:
    """A staff in the list of parts, with the brace that begins or ends at it."""
    part = f'<score-part id="P{number}"><part-name></part-name></score-part>'
    if staves[number].braced:
        return (
            '<part-group type="start" number="1"><group-symbol>brace</group-symbol>'
            f"<group-barline>yes</group-barline></part-group>{part}"
        )
    ends = number > 0 and staves[number - 1].braced
    return part + ('<part-group type="stop" number="1"/>' if ends else "")


def _part(pieces: Sequence[Piece], staff: Staff, part: int) -> str:
    measures, number = [], 0
    low = [pitch for layers in staff.layers for layer in layers for chord in layer
           for pitch in chord.pitches]  # fmt: skip
    clef = ("F", 4) if low and sum(low) / len(low) < 58 else ("G", 2)
    for piece, layers in zip(pieces, staff.layers, strict=True):
        bar, fifths = bar_steps(piece.meter), _fifths(piece)
        bars = round(piece.quarters * STEPS_PER_QUARTER) // bar
        written = [_written(layer, bars, bar, piece.meter) for layer in layers]
        for i in range(bars):
            number += 1
            head = _attributes(piece, fifths, clef if number == 1 else None) if i == 0 else ""
            if i == 0 and piece.name:
                words = f"<direction-type><words>{escape(piece.name)}</words></direction-type>"
                head += f'<direction placement="above">{words}</direction>' if part == 0 else ""
            spelled = _Spelling(fifths)
            shown = [
                layer
                for layer, each in enumerate(written)
                if layer == 0 or not staff.chords or any(event.pitches for event in each[i])
            ]
            inner = f"<backup><duration>{bar}</duration></backup>".join(
                _bar(written[layer][i], layer, len(shown), piece.meter, spelled,
                     hidden=staff.chords and layer > 0)
                for layer in shown
            )  # fmt: skip
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


class _Event(NamedTuple):
    """A chord, a note or a rest within a bar.

    Attributes:
        pitches: From the highest down; none of a rest.
        steps: How long it is.
        back: Those that are tied to what was before.
        on: Those that are tied to what comes.
    """

    pitches: tuple[int, ...]
    steps: int
    back: frozenset[int] = frozenset()
    on: frozenset[int] = frozenset()


def _written(
    layer: Sequence[Chord], bars: int, bar: int, meter: tuple[int, int]
) -> list[list[_Event]]:
    """The chords and rests of each bar."""
    made: list[list[_Event]] = [[] for _ in range(bars)]
    at = 0
    spans: list[Chord] = []
    for chord in layer:
        spans += [Chord(at, chord.begin, ()), chord]
        at = chord.end
    spans.append(Chord(at, bars * bar, ()))
    for chord in spans:
        every = frozenset(chord.pitches)
        cuts = _cuts(chord.begin, min(chord.end, bars * bar), bar, meter)
        for i, (a, b) in enumerate(cuts):
            back, on = (every if i else chord.back), (every if i < len(cuts) - 1 else chord.on)
            made[a // bar].append(_Event(chord.pitches, b - a, back, on))
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
    events: Sequence[_Event],
    layer: int,
    layers: int,
    meter: tuple[int, int],
    spelled: _Spelling,
    *,
    hidden: bool = False,
) -> str:
    """The chords and rests of a bar of one layer; rests are `hidden` or shown."""
    beams = _beams(events, 6 if meter == (6, 8) else 4)
    written = []
    for event, beam in zip(events, beams, strict=True):
        if not event.pitches and hidden:
            written.append(f"<forward><duration>{event.steps}</duration></forward>")
        elif not event.pitches:
            written.append(_note(event, None, layer, "", "", spelled))
        up = "up" if layer == 0 else "down"
        stem = f"<stem>{up}</stem>" if layers > 1 else ""
        for place, pitch in enumerate(event.pitches):
            before = "<chord/>" if place else ""
            after = "" if place else beam
            written.append(_note(event, pitch, layer, stem, after, spelled, before))
    return "".join(written)


def _note(
    event: _Event,
    pitch: int | None,
    layer: int,
    stem: str,
    beam: str,
    spelled: _Spelling,
    before: str = "",
) -> str:
    """One note of a chord, or a rest."""
    sort, dots = TYPES[event.steps]
    back, on = pitch in event.back, pitch in event.on
    sound = "<rest/>" if pitch is None else spelled.pitch(pitch)
    sign = "" if pitch is None or back else spelled.sign(pitch)
    ends = [end for end, is_so in (("stop", back), ("start", on)) if is_so]
    ties = "".join(f'<tie type="{end}"/>' for end in ends)
    drawn = "".join(f'<tied type="{end}"/>' for end in ends)
    notations = f"<notations>{drawn}</notations>" if drawn else ""
    return (
        f"<note>{before}{sound}<duration>{event.steps}</duration>{ties}<voice>{layer + 1}</voice>"
        f"<type>{sort}</type>{'<dot/>' * dots}{sign}{stem}{beam}{notations}</note>"
    )


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


def _beams(events: Sequence[_Event], beat: int) -> list[str]:
    """The beams of each event of a bar: notes shorter than a quarter, within a beat."""
    groups: list[list[int]] = []
    at, last = 0, -1
    for i, (pitches, steps, _, _) in enumerate(events):
        short = bool(pitches) and steps <= 3
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
            if events[i].steps == 1:
                made[i] += _second_beam([events[j].steps == 1 for j in group], place)
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
