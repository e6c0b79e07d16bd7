"""Whole pieces, in the voices or tracks of a model."""

from dataclasses import replace

import pytest
from tunes import hymns, tunes

from variate.errors import DataError, DataWarning
from variate.music import Instrument, Note, Piece, write
from variate.music.codec import MusicCodec
from variate.music.extraction import Wanted
from variate.music.midi import Tracks
from variate.music.polyphony.codec import TracksCodec
from variate.music.reading import Scores, read
from variate.music.wholes import one_whole, wholes


def codec_of(pieces, voices):
    return MusicCodec(2, voices).learn(read(pieces, Wanted(2, voices, clean=False))[0])


def said(*meters, end=16.0):
    """A tune in quarters, in a file that says these metres."""
    voice = tuple(Note(float(at), 1.0, 60 + at % 5) for at in range(int(end)))
    return Scores([("tune.mid", Tracks((voice,), meters))], 1, {}, "tune.mid")


MELODIES = codec_of(tunes(6), 1)


def test_a_whole_piece_is_the_piece(tmp_path):
    pytest.importorskip("symusic")
    tune = tunes(1)[0]
    write([tune], tmp_path / "tune.mid")
    found = one_whole(MELODIES, tmp_path / "tune.mid")
    assert (found.voices, found.meter, found.quarters) == (tune.voices, tune.meter, tune.quarters)
    assert found.name == "tune.mid"


def test_voices_are_those_of_the_model():
    (found,) = wholes(codec_of(hymns(4), 4), hymns(1))
    assert found.voices == hymns(1)[0].voices
    with pytest.raises(DataError, match="tune 0: it has 1 tracks, not 4 voices"):
        wholes(codec_of(hymns(4), 4), tunes(1))


def test_tracks_are_those_of_the_model():
    names = tuple(Instrument(f"hand {number}") for number in range(4))
    pieces = [replace(hymn, instruments=names) for hymn in hymns(4)]
    both = TracksCodec(2, ("hand 1", "hand 3"))
    both.fit(pieces)
    (found,) = wholes(both, pieces[:1])
    assert found.voices == (pieces[0].voices[1], pieces[0].voices[3])
    assert found.instruments == (names[1], names[3])
    one = TracksCodec(2, 1)
    one.fit(pieces)
    (found,) = wholes(one, pieces[:1])
    assert found.voices == (tuple(sorted(n for voice in pieces[0].voices for n in voice)),)


def test_a_piece_is_of_its_last_metre():
    with pytest.warns(DataWarning, match="first 6 quarters are left out: there the metre changes"):
        (found,) = wholes(MELODIES, said((0.0, (3, 4)), (6.0, (4, 4)), end=14))
    assert (found.meter, found.bars, found.quarters) == ((4, 4), 2, 8)
    assert found.voices[0][0] == Note(0.0, 1.0, 61)


@pytest.mark.parametrize(
    "scores", [said((0.0, (5, 4))), said((0.0, (4, 4)), (8.0, (5, 4))), said((0.0, (6, 8)))]
)
def test_a_metre_that_the_model_does_not_know_is_said(scores):
    with pytest.raises(DataError, match=r"tune\.mid: it does not end in whole bars of a metre"):
        wholes(MELODIES, scores)


def test_what_is_not_one_piece_is_said(tmp_path):
    with pytest.raises(DataError, match="has 2 pieces, and one is continued"):
        one_whole(MELODIES, tunes(2))
    scores = Scores([], 1, {"a.mid": "damaged"}, "a.mid")
    with pytest.raises(DataError, match=r"a\.mid: damaged\."):
        wholes(MELODIES, scores)
    with pytest.raises(DataError, match="drums only"):
        wholes(MELODIES, Scores([("d.mid", Tracks((), (), drums=1))], 1, {}, "d.mid"))


def test_silence_is_a_piece():
    (found,) = wholes(MELODIES, [Piece(((),), bars=2)])
    assert (found.bars, found.voices) == (2, ((),))
