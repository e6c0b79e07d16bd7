"""Attributes without labels, on melodies of which they are known."""

import numpy as np
import pytest

from variate.errors import DataError, OptionError
from variate.music import Note, Piece
from variate.music.attributes import ATTRIBUTES, attributes, expect_attribute, key_of, weights

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def piece(pitches, length=0.5, meter=(4, 4), start=0.0):
    return Piece(
        (tuple(Note(start + i * length, length, p) for i, p in enumerate(pitches)),), meter
    )


def of(name, what):
    return ATTRIBUTES[name](what)


def test_density_is_notes_a_bar():
    assert of("density", piece(SCALE)) == 8
    assert of("density", piece(SCALE, length=1.0)) == 4
    assert of("density", piece(SCALE[:6], meter=(6, 8))) == 6


def test_range_and_mean_pitch():
    assert of("range", piece(SCALE)) == 12
    assert of("mean_pitch", piece([60, 62])) == 61
    long_low = Piece(((Note(0, 3, 60), Note(3, 1, 64)),))
    assert of("mean_pitch", long_low) == 61  # longer notes count for more


def test_contour_rises_and_falls():
    assert of("contour", piece(SCALE)) == pytest.approx(1.0)
    assert of("contour", piece(SCALE[::-1])) == pytest.approx(-1.0)
    assert of("contour", piece([60] * 8)) == 0.0


def test_rhythm_entropy_is_that_of_the_lengths():
    assert of("rhythm_entropy", piece(SCALE)) == 0.0
    two = Piece(((Note(0, 1, 60), Note(1, 0.5, 60), Note(1.5, 1, 60), Note(2.5, 0.5, 60)),))
    assert of("rhythm_entropy", two) == pytest.approx(1.0)


def test_key_fit_is_the_share_within_the_best_scale():
    assert of("key_fit", piece(SCALE)) == 1.0
    assert of("key_fit", piece([p + 3 for p in SCALE])) == 1.0
    chromatic = of("key_fit", piece(range(60, 72)))
    assert chromatic == pytest.approx(7 / 12)


def test_syncopation_counts_beats_that_pass_while_a_note_sounds():
    on_beats = piece([60] * 4, length=1.0)
    between = piece([60] * 3, length=1.0, start=0.5)
    assert of("syncopation", on_beats) == 0.0
    # from the off-beat (-3) over 1 (-2), over 2 (-1), over 3 (-2)
    assert of("syncopation", between) == pytest.approx((1 + 2 + 1) / 3)


def test_the_weights_of_places():
    assert weights((4, 4)).tolist() == [
        0,
        -4,
        -3,
        -4,
        -2,
        -4,
        -3,
        -4,
        -1,
        -4,
        -3,
        -4,
        -2,
        -4,
        -3,
        -4,
    ]
    assert weights((3, 4)).tolist() == [0, -3, -2, -3, -1, -3, -2, -3, -1, -3, -2, -3]
    assert weights((6, 8)).tolist() == [0, -3, -2, -3, -2, -3, -1, -3, -2, -3, -2, -3]


@pytest.mark.parametrize(("by", "name"), [(0, "C"), (2, "D"), (7, "G"), (10, "Bb")])
def test_the_key_of_a_scale(by, name):
    tune = [p + by for p in (60, 64, 67, 65, 62, 71, 72, 67, 64, 60)]
    assert key_of(piece(tune)) == name


def test_silence_has_all_attributes():
    silent = Piece(((),), bars=2)
    assert all(np.isfinite(values).all() for values in attributes([silent]).values())


def test_there_is_no_other_attribute():
    with pytest.raises(OptionError, match="density"):
        expect_attribute("happiness")


def test_music_in_no_key_and_of_one_moment():
    """No warning of a division, and no nan."""
    chromatic = Piece((tuple(Note(p, 1, 60 + p) for p in range(12)),))
    chord = Piece(((Note(0, 1, 60), Note(0, 1, 64)),))
    assert key_of(chromatic) == key_of(Piece(((),))) == "C"
    assert attributes([chord])["contour"] == [0.0]


@pytest.mark.parametrize("meter", [(4, 32), (12, 32), (16, 64)])
def test_beats_shorter_than_the_grid_are_not_measured(meter):
    """They were divided by none."""
    with pytest.raises(DataError, match=f"bars of {meter[0]}/{meter[1]} have beats shorter than"):
        attributes([piece(SCALE[:1], 0.25, meter)], ["syncopation"])
