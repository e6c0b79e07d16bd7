"""Knots: repeated values get their exact share, tails go on, noise makes no spikes."""

import numpy as np
import pytest
from columns import SAMPLES, number
from scipy.special import ndtr

from variate.distributions import Numeric
from variate.table.knots import ATOM, FEW, MOST_ATOMS, REPEATED, STEPS, score_knots

EVERY = pytest.mark.parametrize("name", SAMPLES)


def knots(sample, step=None, low=None, high=None):
    sample = np.asarray(sample, dtype=float)
    low = sample.min() if low is None else low
    high = sample.max() if high is None else high
    return score_knots(sample, float(low), float(high), step)


def elsewhere(sample, found):
    """Values and counts of the rows that T follows: an atom among others counts as one."""
    values, counts = np.unique(sample, return_counts=True)
    if not found.closed:
        counts = np.where(np.isin(values, found.atoms), 1, counts)
    return values, counts


def share_of(found, v, step):
    """Φ over the cell or jump of a value."""
    if step is None:
        a, b = (found.scores[np.flatnonzero(found.values == v)[[0, -1]]]).tolist()
    else:
        a, b = np.interp([v - step / 2, v + step / 2], found.values, found.scores)
    return ndtr(b) - ndtr(a)


@EVERY
def test_they_define_a_map(name):
    sample, step = SAMPLES[name]
    found = knots(sample, step)
    assert (np.diff(found.scores) > 0).all()
    assert (np.diff(found.values) >= 0).all()
    Numeric(tuple(found.values), tuple(found.scores), step)
    assert found.values[0] < sample.min()
    assert found.values[-1] > sample.max()


@EVERY
def test_a_repeated_value_has_exactly_its_share(name):
    sample, step = SAMPLES[name]
    found = knots(sample, step)
    values, counts = elsewhere(sample, found)
    repeated = np.flatnonzero(np.unique(sample, return_counts=True)[1] >= REPEATED)
    repeated = repeated[np.argsort(-counts[repeated], kind="stable")[:STEPS]]
    rows = counts.sum() + 0.01 * len(found.values)  # and a hundredth for each stretch
    for i in repeated:
        assert share_of(found, values[i], step) * rows == pytest.approx(
            counts[i], abs=0.05 + 1e-3 * counts[i]
        )


@EVERY
def test_ranks_are_followed_in_the_body_and_in_the_tails(name):
    """The share of the rows below is what the scores say, to a row or two or a hundredth."""
    sample, step = SAMPLES[name]
    found = knots(sample, step)
    values, counts = elsewhere(sample, found)
    half = 0.0 if step is None else step / 2
    above = np.cumsum(counts)
    score = np.interp(values + half * (1 - 1e-9), found.values, found.scores)
    single = np.unique(sample, return_counts=True)[1] < REPEATED
    n = counts.sum()
    below = above - np.where(single, counts / 2, 0)
    share = ndtr(score)
    if step is None:
        share, below = share[single], below[single]
    error = np.abs(share - below / n)
    assert error.max(initial=0) < 0.012 * len(sample) / n + 3 / n


def test_beyond_the_range_scores_rise_by_one_over_a_whole_range():
    cents = np.exp(np.random.default_rng(0).normal(10, 1, 5_000)).round(2)
    for sample, step in (
        (cents, 0.01),
        (np.r_[cents, [99_999.0] * 9].clip(0, 99_999), 0.01),
        (cents, None),
    ):
        found = knots(sample, step)
        low, high = found.values[1], found.values[-2]
        assert found.values[-1] == pytest.approx(high + (high - low))
        assert found.values[0] == pytest.approx(low - (high - low))
        assert np.diff(found.scores)[[0, -1]].tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("noise", [[-1e-13], [1e-13], [-1e-13, 1e-13, 2e-13], [-1e-16, -2e-13]])
@pytest.mark.parametrize("spike", [0.5, "least", "most"])
def test_noise_beside_a_repeated_value_makes_no_spike(noise, spike):
    """Slopes of T are densities under a normal: none may be out of all proportion."""
    rest = np.random.default_rng(0).normal(0, 1, 100)
    spike = {"least": rest.min(), "most": rest.max()}.get(spike, spike)
    sample = np.r_[rest, [spike] * 30, spike + np.array(noise)]
    found = knots(sample)
    apart = np.diff(found.values) > 0
    slope = (np.diff(ndtr(found.scores))[apart] / np.diff(found.values)[apart]).max()
    assert slope < 1e3


def test_several_spikes_a_breath_apart_stay_apart():
    sample = np.r_[np.random.default_rng(0).normal(0, 1, 300), [0.3] * 8, [0.1 + 0.2] * 9]
    found = knots(sample)
    assert found.atoms.size == 0
    assert share_of(found, 0.3, None) == pytest.approx(8 / 317, rel=0.02)
    assert share_of(found, 0.1 + 0.2, None) == pytest.approx(9 / 317, rel=0.02)


def test_few_values_are_all_atoms():
    found = knots(np.random.default_rng(0).integers(0, FEW, 5_000), 1.0)
    assert found.closed
    assert found.atoms.tolist() == list(range(FEW))
    open_ended = knots(np.r_[np.arange(FEW + 1.0), np.arange(50.0)], 1.0)
    assert not open_ended.closed


def test_a_crowd_of_whole_numbers_has_no_atoms_and_a_heap_among_them_is_one():
    rng = np.random.default_rng(0)
    crowd = rng.gamma(2, 50, 20_000).round()
    assert knots(crowd, 1.0).atoms.size == 0
    heaped = np.where(rng.random(20_000) < 0.1, np.round(crowd / 50) * 50, crowd)
    assert set(knots(heaped, 1.0).atoms) >= {50.0, 100.0, 150.0, 200.0}
    assert knots(np.r_[crowd, np.zeros(9_000)], 1.0).atoms.tolist() == [0.0]  # at an end


def test_atoms_are_the_values_that_enough_rows_share():
    rng = np.random.default_rng(0)
    least = round(ATOM * 10_000)
    rest = rng.normal(0, 1, 10_000 - 10 * least - 1)
    found = knots(np.r_[rest, [0.0] * 8 * least, [1.5] * (least + 1), [2.5] * (least - 1), 9.5])
    assert found.atoms.tolist() == [0.0, 1.5]
    assert not found.closed
    often = np.repeat(np.arange(MOST_ATOMS + 16.0), 3 * least)
    crowd = np.r_[often, rng.normal(0, 1, 2 * len(often))]
    most = knots(crowd)
    assert len(most.atoms) <= MOST_ATOMS
    assert (np.diff(most.atoms) > 0).all()


@pytest.mark.parametrize(
    ("sample", "step"),
    [
        ([3.0], None),
        ([3.0], 1.0),
        ([0.0, 1.0], None),
        ([0.0, 1.0], 1.0),
        ([0.0] * 50 + [1e-310] * 50 + [1.0] * 9, None),
        ([1e15, 1e15 + 1], 1.0),
        ([-1e-12, 0.0, 1e12], None),
        ([5.0] * 1000 + [6.0], None),
        (list(range(3)) * 5, 0.5),
    ],
    ids=str,
)
def test_the_smallest_and_the_strangest_samples(sample, step):
    found = knots(sample, step)
    try:
        Numeric(tuple(found.values), tuple(found.scores), step)
    except ValueError:
        pytest.fail(f"{found.values} {found.scores}")
    assert found.atoms.tolist() == sorted(set(sample))


def test_ends_that_are_not_in_the_sample_are_in_the_range():
    sample = np.random.default_rng(0).normal(0, 1, 500)
    for step in (None, 0.01):
        rows = sample if step is None else sample.round(2)
        found = knots(rows, step, low=-40.0, high=60.0)
        inside = np.flatnonzero((found.values >= -40.01) & (found.values <= 60.01))
        assert found.values[inside[0]] == pytest.approx(-40.0, abs=0.01)
        assert found.values[inside[-1]] == pytest.approx(60.0, abs=0.01)


def test_a_large_sample_makes_few_knots_and_takes_no_time():
    rng = np.random.default_rng(0)
    smooth = knots(rng.normal(size=200_000))
    assert len(smooth.values) < 140
    counts = knots(rng.poisson(300, 200_000) * 1.0, 1.0)
    assert len(counts.values) < 2 * STEPS + 140


def test_the_same_whatever_the_order_of_the_rows():
    sample, step = SAMPLES["heaped payments"]
    shuffled = np.random.default_rng(1).permutation(sample)
    for a, b in zip(knots(sample, step), knots(shuffled, step), strict=True):
        assert np.array_equal(a, b)
    assert number("two fractions").closed
