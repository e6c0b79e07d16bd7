"""Pieces -> scores to look at: SVG and PNG, engraved by verovio from MusicXML made here.

How a musician would write it is said elsewhere: which notes go on which staff by `staves`, how long
stretches are parted by `lengths`, how pitches are spelled by `spelling`. Notes off the grid of
sixteenths are written at the nearest one.

This module does not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from variate.errors import MissingExtraError, OutputError
from variate.music.lengths import TYPES, Pulse, beamed, parted, pulse_of, rests
from variate.music.pieces import STEPS_PER_QUARTER, Piece, bar_of
from variate.music.spelling import Key, Signs, key_for, spelled
from variate.music.staves import Chord, Staff, staves_of
from variate.output import replacing

__all__ = ["engrave", "musicxml", "svg_of"]

SIGNS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
WIDTH = 2100  # of a page, in tenths of a millimetre


def engrave(piece: Piece, path: str | Path) -> Path:
    """A piece as a picture of its score.

    Args:
        piece: The piece.
        path: Where to, .svg or .png.

    Raises:
        OutputError: The ending is another, the piece cannot be engraved, or the file cannot be
            written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise OutputError(f"cannot write {path}: scores end in .svg or .png.")
    drawn = svg_of([piece])
    with replacing(path) as file:
        file.write(drawn.encode() if path.suffix.lower() == ".svg" else _png(drawn))
    return path


def svg_of(pieces: Sequence[Piece]) -> str:
    """Pieces one after the other as an SVG picture, as wide as a page.

    Raises:
        OutputError: They have no bars or no voices, or bars that are no whole number of
            sixteenths, or they are too long for one picture.
    """
    verovio = _verovio()
    toolkit = verovio.toolkit()
    toolkit.setOptions({
        "pageWidth": WIDTH, "pageHeight": 60_000, "adjustPageHeight": True, "scale": 45,
        "header": "none", "footer": "none", "breaks": "auto", "pageMarginTop": 40,
        "pageMarginBottom": 40, "pageMarginLeft": 40, "pageMarginRight": 40,
        "svgViewBox": False, "smuflTextFont": "embedded",
    })  # fmt: skip
    if not toolkit.loadData(musicxml(pieces)):
        raise OutputError("verovio cannot engrave the pieces.")
    if toolkit.getPageCount() != 1:
        raise OutputError(
            "the pieces are too long for one picture; engrave some hundreds of bars at a time."
        )
    drawn: str = toolkit.renderToSVG(1)
    return drawn


def musicxml(pieces: Sequence[Piece]) -> str:
    """Pieces one after the other as a score in MusicXML.

    Raises:
        OutputError: They have no bars or no voices, or bars that are no whole number of
            sixteenths.
    """
    for piece in pieces:
        if bar_of(piece.meter) * STEPS_PER_QUARTER % 1:
            raise OutputError(
                f"bars of {piece.meter[0]}/{piece.meter[1]} are no whole number of sixteenths, "
                "which scores are made of."
            )
    if not any(piece.voices and piece.quarters for piece in pieces):
        raise OutputError("there is nothing to engrave: no voices, or no bars.")
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
        pulse, key = pulse_of(piece.meter), key_for(piece)
        bars = round(piece.quarters * STEPS_PER_QUARTER) // pulse.bar
        written = [_written(layer, bars, pulse) for layer in layers]
        for i in range(bars):
            number += 1
            head = _attributes(piece, key, clef if number == 1 else None) if i == 0 else ""
            if i == 0 and piece.name and part == 0:
                words = f"<direction-type><words>{escape(piece.name)}</words></direction-type>"
                head += f'<direction placement="above">{words}</direction>'
            shown = {
                layer: each[i]
                for layer, each in enumerate(written)
                if layer == 0 or not staff.chords or any(event.pitches for event in each[i])
            }
            inner = f"<backup><duration>{pulse.bar}</duration></backup>".join(
                _bar(events, layer, len(shown), pulse, key, signs,
                     hidden=staff.chords and layer > 0)
                for (layer, events), signs in zip(
                    shown.items(), _signs(list(shown.values()), key), strict=True
                )
            )  # fmt: skip
            last = i == bars - 1
            line = "<barline><bar-style>light-light</bar-style></barline>" if last else ""
            measures.append(f'<measure number="{number}">{head}{inner}{line}</measure>')
    return "".join(measures)


def _attributes(piece: Piece, key: Key, clef: tuple[str, int] | None) -> str:
    beats, unit = piece.meter
    drawn = "" if clef is None else f"<clef><sign>{clef[0]}</sign><line>{clef[1]}</line></clef>"
    return (
        f"<attributes><divisions>{STEPS_PER_QUARTER}</divisions><key><fifths>{key.fifths}</fifths>"
        f"</key><time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
        f"{drawn}</attributes>"
    )


class _Event(NamedTuple):
    """A chord, a note or a rest within a bar.

    Attributes:
        begin: Where it begins in its bar, in steps.
        pitches: From the highest down; none of a rest.
        steps: How long it is.
        back: Those that are tied to what was before.
        on: Those that are tied to what comes.
    """

    begin: int
    pitches: tuple[int, ...]
    steps: int
    back: frozenset[int] = frozenset()
    on: frozenset[int] = frozenset()


def _written(layer: Sequence[Chord], bars: int, pulse: Pulse) -> list[list[_Event]]:
    """The chords and rests of each bar."""
    made: list[list[_Event]] = [[] for _ in range(bars)]
    end, at = bars * pulse.bar, 0
    spans: list[Chord] = []
    for chord in layer:
        spans += [Chord(at, chord.begin, ()), chord]
        at = chord.end
    spans.append(Chord(at, end, ()))
    for chord in spans:
        every = frozenset(chord.pitches)
        part = parted if chord.pitches else rests
        cuts = part(chord.begin, min(chord.end, end), pulse)
        for i, (a, b) in enumerate(cuts):
            back, on = (every if i else chord.back), (every if i < len(cuts) - 1 else chord.on)
            bar, begin = divmod(a, pulse.bar)
            made[bar].append(_Event(begin, chord.pitches, b - a, back, on))
    return made


def _signs(layers: Sequence[Sequence[_Event]], key: Key) -> list[list[dict[int, int]]]:
    """What the notes of a bar are altered by where that must be said: of layers, of events.

    A sign counts for all layers of a staff from its time on.
    """
    signs = Signs(key)
    found: list[list[dict[int, int]]] = [[{} for _ in events] for events in layers]
    in_time = sorted(
        (event.begin, layer, place)
        for layer, events in enumerate(layers)
        for place, event in enumerate(events)
    )
    for _, layer, place in in_time:
        event = layers[layer][place]
        for pitch in event.pitches:
            sign = signs.sign(spelled(pitch, key), tied=pitch in event.back)
            if sign is not None:
                found[layer][place][pitch] = sign
    return found


def _bar(
    events: Sequence[_Event],
    layer: int,
    layers: int,
    pulse: Pulse,
    key: Key,
    signs: Sequence[dict[int, int]],
    *,
    hidden: bool,
) -> str:
    """The chords and rests of a bar of one layer; rests are `hidden` or shown."""
    stem = "" if layers == 1 else f"<stem>{'down' if layer else 'up'}</stem>"
    beams = beamed([(bool(event.pitches), event.steps) for event in events], pulse)
    written = []
    for event, beam, sign in zip(events, beams, signs, strict=True):
        if event.pitches:
            drawn = "".join(f'<beam number="{n}">{b}</beam>' for n, b in enumerate(beam, start=1))
            for place, pitch in enumerate(event.pitches):
                said = sign.get(pitch)
                shown = "" if said is None else f"<accidental>{SIGNS[said]}</accidental>"
                after = f"{shown}{stem}{'' if place else drawn}"
                written.append(_note(event, pitch, layer, key, "<chord/>" if place else "", after))
        elif hidden:
            written.append(f"<forward><duration>{event.steps}</duration></forward>")
        else:
            written.append(_rest(event.steps, layer, whole=event.steps == pulse.bar))
    return "".join(written)


def _rest(steps: int, layer: int, *, whole: bool) -> str:
    """A rest, or that of a whole bar."""
    rest = '<rest measure="yes"/>' if whole else "<rest/>"
    sort = "" if whole else _sort(steps)
    return f"<note>{rest}<duration>{steps}</duration><voice>{layer + 1}</voice>{sort}</note>"


def _note(event: _Event, pitch: int, layer: int, key: Key, before: str, after: str) -> str:
    """One note of a chord, with what stands before its pitch and after its length."""
    letter, alter, octave = spelled(pitch, key)
    ends = [end for end, has in (("stop", event.back), ("start", event.on)) if pitch in has]
    ties = "".join(f'<tie type="{end}"/>' for end in ends)
    drawn = "".join(f'<tied type="{end}"/>' for end in ends)
    notations = f"<notations>{drawn}</notations>" if drawn else ""
    return (
        f"<note>{before}<pitch><step>{letter}</step><alter>{alter}</alter><octave>{octave}</octave>"
        f"</pitch><duration>{event.steps}</duration>{ties}<voice>{layer + 1}</voice>"
        f"{_sort(event.steps)}{after}{notations}</note>"
    )


def _sort(steps: int) -> str:
    sort, dots = TYPES[steps]
    return f"<type>{sort}</type>{'<dot/>' * dots}"


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
