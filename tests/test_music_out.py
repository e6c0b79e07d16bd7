"""Scores and sound: what is written says the notes."""

import re
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunes import hymns, tunes

from variate.errors import DataError, OutputError
from variate.music import Instrument, Note, Piece, write
from variate.music.engraving import engrave, musicxml, svg_of
from variate.music.sound import RATE, synthesised, write_audio
from variate.music.writing import joined


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4)]))
def test_each_bar_of_a_score_is_full(seed, meter):
    random = np.random.default_rng(seed)
    edges = np.sort(random.choice(32, 10, replace=False)) / 4
    voice = tuple(Note(a, b - a, int(random.integers(50, 80)))
                  for a, b in zip(edges[::2], edges[1::2], strict=True))  # fmt: skip
    text = musicxml([Piece((voice,), meter)])
    for bar in re.findall(r"<measure.*?</measure>", text):
        lengths = [int(d) for d in re.findall(r"<duration>(\d+)", bar)]
        assert sum(lengths) == meter[0] * 16 // meter[1]
    assert text.count('type="start"') == text.count('type="stop"')


def test_beams_begin_and_end():
    text = musicxml(tunes(3, bars=2, meter=(6, 8)))
    assert text.count('number="1">begin') == text.count('number="1">end') > 0


def test_signs_are_written_where_the_key_has_none():
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    text = musicxml([Piece((tuple(Note(i / 2, 0.5, p) for i, p in enumerate([*scale, 66, 65])),))])
    assert text.count("<accidental>") == 2


def test_scores_are_drawn(tmp_path):
    pytest.importorskip("verovio")
    drawn = svg_of(hymns(1))
    assert drawn.count('class="notehead"') >= 30
    assert engrave(tunes(1)[0], tmp_path / "a.svg").read_text().startswith("<svg")
    with pytest.raises(OutputError, match=r"end in \.svg or \.png"):
        engrave(tunes(1)[0], tmp_path / "a.pdf")


def test_scores_as_png(tmp_path):
    pytest.importorskip("verovio")
    pytest.importorskip("cairosvg")
    assert engrave(tunes(1)[0], tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_a_tone_has_its_pitch():
    sound = synthesised(Piece(((Note(0, 4, 69),),), tempo=60.0))
    spectrum = np.abs(np.fft.rfft(sound[:RATE]))
    assert spectrum.argmax() == 440
    assert np.abs(sound).max() <= 1


def test_sound_is_as_long_as_the_music(tmp_path):
    pytest.importorskip("symusic")
    path = write_audio(tunes(1, bars=2)[0], tmp_path / "a.wav")
    with wave.open(str(path)) as made:
        assert 4.0 <= made.getnframes() / made.getframerate() < 8.0
    with pytest.raises(OutputError, match=r"\.wav"):
        write_audio(tunes(1)[0], tmp_path / "a.mp4")


def test_compressed_sound(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = write_audio(tunes(1, bars=2)[0], tmp_path / "a.ogg")
    assert soundfile.info(str(path)).duration >= 4.0


def test_a_folder_is_new_or_empty(tmp_path):
    pytest.importorskip("symusic")
    written = write(tunes(2), tmp_path / "a")
    assert [p.name for p in written] == ["00000.mid", "00001.mid"]
    with pytest.raises(OutputError, match="not empty"):
        write(tunes(2), tmp_path / "a")
    with pytest.raises(OutputError, match=r"a\.txt"):
        write(tunes(2), tmp_path / "a.txt")


def test_pieces_in_one_file_follow_each_other():
    assert joined(tunes(2, bars=2)).quarters == 8 + 4 + 8


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"meter": (0, 4)}, r"the metre \(0, 4\) is none"),
        ({"meter": (3.5, 4)}, "the metre .* is none"),
        ({"tempo": 0}, "the tempo 0 is none"),
        ({"bars": 1.5}, "a piece has 1.5 bars"),
        ({"voices": (((0, 1, "C4"),),)}, r"\(0, 1, 'C4'\) is no note"),
        ({"voices": (((0, 1),),)}, "is no note"),
        ({"voices": (((0, 1, 60.5),),)}, "the pitch 60.5 is none"),
        ({"voices": (((-1, 1, 60),),)}, "onsets are at least 0"),
        ({"voices": (((0, 0, 60),),)}, "durations above 0"),
        ({"voices": (((0, float("nan"), 60),),)}, "durations above 0"),
        ({"voices": (((0, 1, 128),),)}, "pitches 0 to 127"),
        ({"voices": 3}, "3 are no voices"),
        ({"meter": (4, 3)}, r"the metre \(4, 3\) is none"),
        ({"meter": (300, 4)}, r"the metre \(300, 4\) is none"),
        ({"tempo": 2}, "the tempo 2 is none"),
        ({"instruments": (("flute", 73),)}, "do not go with 0 voices"),
        ({"voices": ((),), "instruments": (("flute", 200),)}, "a program of 0 to 127"),
        ({"voices": ((),), "instruments": ("flute",)}, "do not go with 1 voices"),
        ({"voices": ((),), "instruments": ((5, 0),)}, "do not go with 1 voices"),
        ({"voices": ((),), "instruments": 5}, "do not go with 1 voices"),
        ({"name": 5}, "the name 5 is none"),
    ],
)
def test_what_is_no_piece(given, reason):
    with pytest.raises(DataError, match=reason):
        Piece(**({"voices": ()} | given))


def test_three_numbers_are_a_note():
    piece = Piece([[(0, 1, 60.0), [1, 1, np.int64(62)]]])
    assert piece.voices == ((Note(0, 1, 60), Note(1, 1, 62)),)
    assert all(type(note.pitch) is int for note in piece.notes)


def test_lists_are_as_good_as_tuples():
    piece = Piece([[[0, 1, 60]]], [3, 4], instruments=[["flute", 73]])
    assert piece == Piece(((Note(0, 1, 60),),), (3, 4), instruments=(Instrument("flute", 73),))


def test_no_pieces_are_not_written(tmp_path):
    with pytest.raises(OutputError, match="there are no pieces"):
        write([], tmp_path / "a.mid")


@pytest.mark.parametrize("given", [["a.mid"], "a.mid", [None], 3])
def test_what_is_no_piece_is_not_written(tmp_path, given):
    for path in (tmp_path / "new", tmp_path / "a.mid"):
        with pytest.raises(DataError, match=r"pieces .vt.music.Piece. are written, got"):
            write(given, path)
    assert not list(tmp_path.iterdir())


def test_no_piece_is_written_over_another(tmp_path):
    """Of two pieces of one name the second was all that was there."""
    with pytest.raises(OutputError, match="the name 'a' is there 2 times"):
        write(tunes(2), tmp_path / "new", names=["a", "a"])
    assert not list(tmp_path.iterdir())
