"""MIDI: what is written comes back, and odd files of others are read as they are meant."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tunes import tunes

from variate.errors import DataError, OutputError
from variate.music import Instrument, Note, Piece, write
from variate.music.extraction import Wanted
from variate.music.midi import read_midi, write_midi
from variate.music.reading import read
from variate.music.writing import joined

pytest.importorskip("symusic")


def chunk(name, content):
    return name + struct.pack(">I", len(content)) + content


def file_of(*tracks, form=0, division=480):
    """A file of events (ticks since the one before, bytes)."""
    head = struct.pack(">HHH", form, len(tracks), division)
    end = (0, b"\xff\x2f\x00")
    told = [b"".join(variable(at) + data for at, data in [*track, end]) for track in tracks]
    return chunk(b"MThd", head) + b"".join(chunk(b"MTrk", track) for track in told)


def variable(number):
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(0x80 | number & 0x7F)
    return bytes(reversed(parts))


def note(pitch, length=480, channel=0):
    return [(0, bytes([0x90 + channel, pitch, 80])), (length, bytes([0x80 + channel, pitch, 0]))]


def said(tmp_path, content):
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    return read_midi(path)


@st.composite
def tracks(draw):
    """Chords on the grid, whose keys are not struck while they are down."""
    free, notes = {}, []
    for _ in range(draw(st.integers(1, 12))):
        pitch = draw(st.integers(0, 127))
        onset = free.get(pitch, 0) + draw(st.integers(0, 9))
        free[pitch] = onset + draw(st.integers(1, 20))
        notes.append(Note(onset / 4, (free[pitch] - onset) / 4, pitch))
    return tuple(sorted(notes))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(tracks(), min_size=1, max_size=20),
    st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4), (7, 16), (5, 4), (12, 8)]),
    st.floats(4, 1000),
    st.data(),
)
def test_tracks_that_are_written_come_back(tmp_path_factory, voices, meter, tempo, data):
    programs = [data.draw(st.integers(0, 127)) for _ in voices]
    instruments = tuple(Instrument(f"Flöte 笛 {i}", p) for i, p in enumerate(programs))
    piece = Piece(tuple(voices), meter, tempo, bars=data.draw(st.integers(0, 99)),
                  instruments=instruments)  # fmt: skip
    found = read_midi(write_midi(piece, tmp_path_factory.getbasetemp() / "piece.mid"))
    assert found.voices == piece.voices
    assert found.meters == ((0.0, meter),)
    assert found.tempo == pytest.approx(tempo, rel=1e-3)
    assert found.instruments == instruments
    again = Piece(found.voices, meter, bars=round(found.length * meter[1] / 4 / meter[0]))
    assert again.quarters == piece.quarters


def test_a_key_that_is_struck_while_it_is_down_is_let_go_of_before(tmp_path):
    """It came back as the wrong lengths: the first end was taken for the first note's."""
    piece = Piece(((Note(0, 4, 60), Note(0, 1, 60), Note(1, 1, 60), Note(1, 1, 62)),))
    found = read_midi(write_midi(piece, tmp_path / "a.mid"))
    assert found.voices == ((Note(0, 1, 60), Note(1, 1, 60), Note(1, 1, 62)),)


def test_silence_at_the_end_comes_back(tmp_path):
    """A piece of two bars was one of one bar when it was read again."""
    write([Piece(((Note(0, 1, 60), Note(1, 1, 62), Note(2, 1, 64)),), bars=2)], tmp_path / "a.mid")
    windows, _ = read(tmp_path / "a.mid", Wanted(2, clean=False, stride=2))
    assert windows.labels() == ["a.mid:1-2"]


def test_pieces_in_one_file_keep_their_instruments_and_bars(tmp_path):
    """Four tracks of a band were written as a choir."""
    band = tuple(
        Instrument(name, p) for name, p in (("lead", 80), ("pad", 90), ("b", 33), ("c", 0))
    )
    voices = tuple((Note(0, 4, 60 - v),) for v in range(4))
    one = joined([Piece(voices, bars=2, instruments=band)] * 2)
    assert one.instruments == band
    assert one.quarters == 8 + 4 + 8
    assert read_midi(write_midi(one, tmp_path / "a.mid")).instruments == band


def test_pieces_that_do_not_go_into_one_file():
    with pytest.raises(OutputError, match=r"several metres \(3/4, 4/4\)"):
        joined(tunes(1) + tunes(1, meter=(3, 4)))
    with pytest.raises(OutputError, match=r"several numbers of voices \(1, 2\)"):
        joined([*tunes(1), replace(tunes(1)[0], voices=tunes(1)[0].voices * 2)])


def test_one_piece_and_names(tmp_path):
    assert write(tunes(1)[0], tmp_path / "one") == [tmp_path / "one" / "00000.mid"]
    assert write(tunes(2), tmp_path / "two", names="ab")[1].name == "b.mid"
    with pytest.raises(OutputError, match="2 pieces and 1 names"):
        write(tunes(2), tmp_path / "three", names=["a"])


@pytest.mark.parametrize("form", [0, 1, 2])
def test_formats(tmp_path, form):
    found = said(tmp_path, file_of(note(60) + note(62), form=form))
    assert found.voices == ((Note(0, 1, 60), Note(1, 1, 62)),)


def test_channels_of_one_track_are_tracks(tmp_path):
    both = [
        (0, b"\x90\x3c\x50"),
        (0, b"\x91\x28\x50"),
        (480, b"\x80\x3c\x00"),
        (0, b"\x81\x28\x00"),
    ]
    assert [v[0].pitch for v in said(tmp_path, file_of(both)).voices] == [60, 40]


def test_running_status(tmp_path):
    events = [(0, b"\x90\x3c\x50"), (480, b"\x3c\x00"), (0, b"\x3e\x50"), (480, b"\x3e\x00")]
    assert said(tmp_path, file_of(events)).voices == ((Note(0, 1, 60), Note(1, 1, 62)),)


def test_a_midi_file_within_riff(tmp_path):
    """It was called damaged."""
    inner = file_of(note(60))
    body = b"RMID" + b"data" + struct.pack("<I", len(inner)) + inner
    found = said(tmp_path, b"RIFF" + struct.pack("<I", len(body)) + body)
    assert found.voices == ((Note(0, 1, 60),),)
    with pytest.raises(DataError, match="does not begin with MThd"):
        said(tmp_path, b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(60))


def test_time_in_seconds_is_refused_as_that(tmp_path):
    with pytest.raises(DataError, match="in seconds"):
        said(tmp_path, file_of(note(60), division=0xE728))


def test_names_of_other_encodings_do_not_stop_it(tmp_path):
    named = [(0, b"\xff\x03\x05fl\xfcte"), *note(60)]
    assert said(tmp_path, file_of(named)).instruments[0].name.startswith("fl")
