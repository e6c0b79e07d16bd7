"""Intervals: numbered, measured from the last notes, and the same at any pitch."""

import torch

from variate.music.intervals import INTERVALS, MOTIONS, Leaps, interval, lately, motion

NONE = 99


def test_the_last_note_sounds_on_through_holds_and_rests():
    symbols = torch.tensor([0, 5, 0, 1, 0, 7, NONE])[:, None]
    assert lately(symbols, NONE)[:, 0].tolist() == [1, 5, 5, 5, 5, 7, 7]


def test_intervals_are_numbered_by_semitones():
    low = torch.tensor([10, 10, 10, 1, 10, 2])
    high = torch.tensor([10, 17, 3, 10, 0, 90])
    found = interval(low, high)
    unison = found[0].item()
    assert found.tolist() == [unison, unison + 7, unison - 7, 0, 0, INTERVALS - 1]


def test_motions_tell_the_interval_that_is_left_and_the_way():
    def number(*notes):
        return motion(*(torch.tensor(n) for n in notes)).item()

    up = number(27, 29, 20)  # from a fifth
    assert number(39, 41, 20) == up == number(40, 47, 33)  # and from a fifth and an octave
    assert len({up, number(27, 27, 20), number(27, 25, 20), number(28, 30, 20)}) == 4
    assert number(27, 29, 1) == number(1, 29, 20) == number(27, 1, 20) == 0
    every = {number(20 + i, 20 + i + way, 20) for i in range(12) for way in (-1, 0, 1)}
    assert every == set(range(1, MOTIONS))


def test_leaps_are_the_same_at_any_pitch():
    torch.manual_seed(0)
    leaps = Leaps(hidden=3, pitches=40)
    torch.nn.init.normal_(leaps.weigh.weight)
    f = torch.randn(2, 3)
    at = leaps(f, torch.tensor([12, 12]))
    higher = leaps(f, torch.tensor([17, 17]))
    assert at.shape == (2, 40)
    assert torch.allclose(higher[:, 5:], at[:, :-5])  # within two octaves of both
    weights = leaps.weigh(f)
    assert torch.allclose(at[:, 10], weights[:, leaps.reach])  # symbol 12 is the pitch 10


def test_leaps_reach_two_octaves_and_need_a_note():
    leaps = Leaps(hidden=3, pitches=60)
    torch.nn.init.ones_(leaps.weigh.bias)
    found = leaps(torch.zeros(2, 3), torch.tensor([2, 1]))
    assert found[0].tolist() == [1.0] * 25 + [0.0] * 35
    assert (found[1] == 0).all()


def test_leaps_take_draws_of_the_code():
    leaps = Leaps(hidden=3, pitches=5)
    assert leaps(torch.zeros(4, 2, 3), torch.tensor([2, 1])).shape == (4, 2, 5)
