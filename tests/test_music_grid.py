"""The grid of sixteenths: what lies on it comes back as it was."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from variate.music import Note
from variate.music.grid import HOLD, PITCH, REST, gridded, notes_of, sounding
from variate.music.pieces import monophonic

STEPS = 32


@st.composite
def voices(draw):
    """Notes on the grid, one at a time, with gaps."""
    edges = sorted(draw(st.sets(st.integers(0, STEPS), min_size=2, max_size=14)))
    notes = []
    for begin, end in zip(edges[::2], edges[1::2], strict=False):
        notes.append(Note(begin / 4, (end - begin) / 4, draw(st.integers(0, 127))))
    return tuple(notes)


@settings(max_examples=200, deadline=None)
@given(voices())
def test_notes_on_the_grid_come_back(voice):
    made = gridded(voice, STEPS)
    assert notes_of(made.symbols) == voice
    assert not made.off.any()
    assert not made.crowded.any()


@settings(max_examples=100, deadline=None)
@given(voices())
def test_symbols_that_are_made_come_back(voice):
    symbols = gridded(voice, STEPS).symbols
    assert (gridded(notes_of(symbols), STEPS).symbols == symbols).all()


def test_repeated_notes_are_not_one_long_note():
    twice = gridded([Note(0, 1, 60), Note(1, 1, 60)], 8).symbols
    once = gridded([Note(0, 2, 60)], 8).symbols
    assert twice.tolist() == [PITCH + 60, 0, 0, 0, PITCH + 60, 0, 0, 0]
    assert once.tolist() == [PITCH + 60, 0, 0, 0, 0, 0, 0, 0]


def test_what_is_off_the_grid_is_counted_and_what_is_crowded_is_told():
    triplet = [Note(0, 1 / 3, 60), Note(1 / 3, 1 / 3, 62), Note(2 / 3, 1 / 3, 64)]
    assert np.flatnonzero(gridded(triplet, 4).off).tolist() == [1, 3]
    trill = [Note(0, 0.1, 60), Note(0.1, 0.4, 62)]
    made = gridded(trill, 4)
    assert np.flatnonzero(made.crowded).tolist() == [0]
    assert made.symbols[0] == PITCH + 62


def test_a_stretch_begins_with_what_sounds_there():
    voice = gridded([Note(0, 2, 60)], 12)
    assert voice.cut(4, 12).tolist() == [PITCH + 60, 0, 0, 0, REST, 0, 0, 0]
    assert voice.cut(9, 12).tolist() == [REST, HOLD, HOLD]


def test_what_sounds_at_each_step():
    symbols = np.array([REST, HOLD, PITCH + 60, HOLD, REST], np.int16)
    assert sounding(symbols).tolist() == [REST, REST, PITCH + 60, PITCH + 60, REST]


def test_one_note_at_a_time_with_a_little_slack():
    assert monophonic([Note(0, 1.1, 60), Note(1, 1, 62)])
    assert not monophonic([Note(0, 1.5, 60), Note(1, 1, 62)])
    assert not monophonic([Note(0, 1, 60), Note(0, 1, 64)])
