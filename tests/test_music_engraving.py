"""How music is written down: lengths, spelling, signs, rests."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variate.errors import OutputError
from variate.music import Note, Piece, engraving
from variate.music.engraving import engrave, musicxml, svg_of
from variate.music.lengths import TYPES, beamed, parted, pulse_of, rests
from variate.music.spelling import Key, Signs, key_for, spelled

METERS = [(4, 4), (3, 4), (6, 8), (2, 4), (2, 2), (5, 8), (7, 8), (9, 8), (12, 8), (3, 16), (5, 4)]
SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))


def seq(*lengths, pitch=72):
    """Notes of one pitch, and rests below 0, in quarters."""
    found, at = [], 0.0
    for length in lengths:
        if length > 0:
            found.append(Note(at, length, pitch))
        at += abs(length)
    return tuple(found)


def drawn(piece):
    """Of each bar the notes: name, length and what is said of it."""
    bars = ET.fromstring(musicxml([piece])).iter("measure")
    return [[_drawn(note) for note in bar.iter("note")] for bar in bars]


def _drawn(note):
    pitch = note.find("pitch")
    name = "r" if pitch is None else "".join(
        (pitch.findtext("step"), {1: "#", -1: "b", 2: "x"}.get(int(pitch.findtext("alter")), ""))
    )  # fmt: skip
    return name, int(note.findtext("duration")), note.findtext("accidental")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(METERS), st.integers(0, 40), st.integers(1, 60))
def test_stretches_are_parted_into_lengths_that_there_are(meter, begin, length):
    pulse = pulse_of(meter)
    for part in (parted, rests):
        found = part(begin, begin + length, pulse)
        assert [a for a, _ in found] == [begin, *[b for _, b in found[:-1]]]
        assert found[-1][1] == begin + length
        for a, b in found:
            assert b - a in TYPES or (part is rests and b - a == pulse.bar)
            assert a // pulse.bar == (b - 1) // pulse.bar


@pytest.mark.parametrize(
    ("meter", "begin", "end", "lengths"),
    [
        ((4, 4), 0, 6, [6]),
        ((4, 4), 2, 6, [4]),  # a syncopation
        ((4, 4), 6, 10, [2, 2]),  # not over the middle
        ((4, 4), 2, 10, [6, 2]),
        ((4, 4), 2, 7, [2, 3]),
        ((4, 4), 4, 12, [8]),
        ((4, 4), 4, 10, [4, 2]),
        ((4, 4), 0, 7, [4, 3]),
        ((4, 4), 12, 20, [4, 4]),
        ((3, 4), 2, 10, [2, 6]),
        ((6, 8), 0, 8, [6, 2]),  # was a half
        ((6, 8), 0, 9, [6, 3]),
        ((6, 8), 0, 10, [6, 4]),
        ((6, 8), 4, 8, [2, 2]),
        ((6, 8), 0, 12, [12]),
        ((6, 8), 2, 6, [4]),
        ((6, 8), 1, 5, [1, 3]),
    ],
)
def test_notes_do_not_hide_beats(meter, begin, end, lengths):
    assert [b - a for a, b in parted(begin, end, pulse_of(meter))] == lengths


@pytest.mark.parametrize(
    ("meter", "begin", "end", "lengths"),
    [
        ((4, 4), 0, 16, [16]),
        ((3, 4), 0, 12, [12]),  # of a whole bar
        ((3, 4), 0, 8, [4, 4]),
        ((4, 4), 2, 6, [2, 2]),  # no syncopation
        ((4, 4), 4, 16, [4, 8]),
        ((4, 4), 0, 14, [8, 4, 2]),
        ((6, 8), 0, 6, [6]),
        ((6, 8), 2, 6, [2, 2]),
        ((6, 8), 0, 4, [4]),
        ((6, 8), 4, 12, [2, 6]),
        ((5, 4), 0, 20, [20]),
    ],
)
def test_rests_stand_on_their_units(meter, begin, end, lengths):
    assert [b - a for a, b in rests(begin, end, pulse_of(meter))] == lengths


def test_beams_are_of_beats():
    three = beamed([(True, 2)] * 6, pulse_of((6, 8)))
    assert three == [["begin"], ["continue"], ["end"]] * 2
    pairs = beamed([(True, 2)] * 4, pulse_of((2, 4)))
    assert pairs == [["begin"], ["end"]] * 2
    dotted = beamed([(True, 3), (True, 1), (False, 2), (True, 2)], pulse_of((2, 4)))
    assert dotted == [["begin"], ["end", "backward hook"], [], []]


@given(st.integers(0, 127), st.integers(-6, 6), st.booleans())
def test_what_is_spelled_is_the_pitch(pitch, fifths, minor):
    letter, alter, octave = spelled(pitch, Key(fifths, minor))
    assert SEMITONES[letter] + alter + 12 * (octave + 1) == pitch
    assert -2 <= alter <= 2


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (Key(0), "C C# D Eb E F F# G G# A Bb B"),
        (Key(-1, minor=True), "C C# D Eb E F F# G G# A Bb B"),  # D minor: C#, not Db
        (Key(-3, minor=True), "C Db D Eb E F F# G Ab A Bb B"),
        (Key(4), "B# C# D D# E E# F# G G# A A# B"),
        (Key(-6, minor=True), "C Db D Eb Fb F Gb G Ab A Bb Cb"),
    ],
)
def test_names_go_with_the_key(key, names):
    signs = {0: "", 1: "#", -1: "b"}
    told = [spelled(60 + p, key) for p in range(12)]
    assert " ".join(s.letter + signs[s.alter] for s in told) == names


def test_the_key_signature():
    def of(tonic, *steps):
        return key_for(Piece((tuple(Note(i / 2, 0.5, tonic + s) for i, s in enumerate(steps)),)))

    major, minor = (0, 4, 7, 5, 2, 11, 12, 7, 4, 0), (0, 3, 7, 8, 7, 11, 12, 7, 3, 0)
    assert of(62, *major) == Key(2)
    assert of(61, *major) == Key(-5)
    assert of(62, *minor) == Key(-1, minor=True)
    assert of(63, *minor) == Key(-6, minor=True)
    assert Key(2).sign_of("C") == 1
    assert Key(-2).sign_of("E") == -1
    assert Key(-2).sign_of("C") == 0


def test_a_sign_counts_for_all_voices_of_a_staff_from_its_time_on():
    """Signs went by voices, one after the other: a voice's sharp was left to a later one's."""
    upper = (Note(0, 3, 67), Note(3, 1, 66))
    lower = (Note(0, 1, 62), Note(1, 1, 66), Note(2, 1, 65), Note(3, 1, 64))
    piece = Piece((upper, lower, (Note(0, 4, 57),), (Note(0, 4, 50),)))
    assert key_for(piece) == Key(2)
    bar = drawn(piece)[0]
    assert bar[:6] == [("G", 12, None), ("F#", 4, "sharp"), ("D", 4, None), ("F#", 4, None),
                       ("F", 4, "natural"), ("E", 4, None)]  # fmt: skip


def test_a_note_tied_over_a_bar_line_has_no_sign_and_the_next_one_has():
    signs = Signs(Key(0))
    sharp, natural = spelled(66, Key(0)), spelled(65, Key(0))
    assert signs.sign(sharp, tied=True) is None
    assert signs.sign(natural, tied=False) == 0
    assert signs.sign(natural, tied=False) is None
    assert signs.sign(sharp, tied=False) == 1
    assert signs.sign(sharp, tied=True) is None


def test_the_leading_tone_of_a_minor_key_is_a_raised_seventh():
    """D minor had a D flat."""
    scale = (62, 64, 65, 67, 69, 70, 73, 74)
    piece = Piece((tuple(Note(i / 2, 0.5, p) for i, p in enumerate(scale)),))
    assert drawn(piece)[0][6] == ("C#", 2, "sharp")


def test_a_bar_of_silence_is_one_rest():
    piece = Piece((seq(3, -3, 3),), (3, 4))
    assert [[note[:2] for note in bar] for bar in drawn(piece)] == [
        [("C", 12)], [("r", 12)], [("C", 12)]
    ]  # fmt: skip
    assert musicxml([piece]).count('measure="yes"') == 1


def test_short_notes_off_the_grid_are_written():
    """A note that was shorter than half a sixteenth was left out of the score."""
    piece = Piece(((Note(0, 0.05, 60), Note(1.1, 0.05, 62), Note(1.3, 2, 64)),))
    assert re.findall("<step>(.)</step>", musicxml([piece]))[:2] == ["C", "D"]
    unordered = Piece(((Note(2, 1, 64), Note(0, 1, 60)),))
    assert [note[:2] for note in drawn(unordered)[0]] == [("C", 4), ("r", 4), ("E", 4), ("r", 4)]


def test_what_cannot_be_engraved(tmp_path, monkeypatch):
    for piece, why in (
        (Piece(()), "nothing to engrave"),
        (Piece(((),)), "nothing to engrave"),
        (Piece(((Note(0, 1, 60),),), (1, 32)), "bars of 1/32"),
    ):
        with pytest.raises(OutputError, match=why):
            musicxml([piece])
    pytest.importorskip("verovio")
    assert svg_of([Piece(((),), bars=1)]).count('class="mRest"') == 1
    monkeypatch.setattr(engraving, "WIDTH", 300)  # a bar or two in a line
    with pytest.raises(OutputError, match="too long for one picture"):
        engrave(Piece((seq(*[4] * 500),)), tmp_path / "long.svg")
