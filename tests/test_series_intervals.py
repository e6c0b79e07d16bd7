"""Alarms as intervals: by hand."""

from dataclasses import replace

import numpy as np
import pytest

from variate.series.intervals import block_scores, intervals, reason_of
from variate.series.surprise import Costs, Expected, Scan


def test_blocks_have_the_score_of_their_strangest_step():
    found = block_scores(np.array([1.0, 5.0, np.nan, np.nan, 2.0]), 2)
    np.testing.assert_array_equal(found, [5.0, np.nan, 2.0])


def test_neighbouring_alarms_are_one_interval_and_far_ones_two():
    calibration = np.random.default_rng(0).exponential(0.2, size=60)
    score = np.full(200, 0.1)
    score[40:46] = 9.0
    score[52:55] = 8.0  # no more than a block apart from the first
    score[120] = 30.0
    score[7] = np.nan
    first, second = intervals([score], calibration, 8, 0.05)
    assert (first.start, first.end, first.peak, first.score) == (40, 54, 40, 9.0)
    assert (second.start, second.end, second.peak, second.score) == (120, 120, 120, 30.0)
    assert second.p_value < first.p_value < 1e-3


def test_several_series_share_the_false_alarms():
    calibration = np.random.default_rng(1).exponential(0.2, size=60)
    quiet, loud = np.full(80, 0.1), np.full(80, 0.1)
    loud[30:33] = 20.0
    (only,) = intervals([quiet, loud], calibration, 8, 0.1)
    assert only.series == 1
    assert intervals([quiet, quiet], calibration, 8, 0.1) == []


def test_a_series_of_gaps_has_no_alarm():
    assert intervals([np.full(9, np.nan)], np.ones(5), 4, 0.1) == []


def test_the_reason_names_the_strangest_channel_and_value():
    cells = np.array([[0.1, 0.2], [0.3, 6.0], [0.1, 4.0], [np.nan, 0.1]])
    values = np.arange(8.0).reshape(4, 2)
    band = np.stack([values - 9, values - 5, values - 1])
    (alarm,) = intervals([np.array([0.0, 9.0, 9.0, 0.0])], np.full(40, 0.1), 1, 0.2)
    at, channel, text = reason_of(alarm, values, Expected(cells, band), ("a", "b"))
    assert (at, channel) == (1, "b")
    assert text == "b=3 (expected -2, 90 % within -6..2)"


def usual_costs(steps):
    rng = np.random.default_rng(0)
    return Costs(rng.normal(size=steps), rng.chisquare(1, size=steps), rng.normal(size=steps))


@pytest.mark.parametrize(
    ("part", "stretch", "more"),
    [
        ("told", slice(2000, 2001), 25.0),  # a spike
        ("away", slice(2000, 2200), 1.5),  # a change that goes on
        ("code", slice(2000, 2064), 8.0),  # a shape that training did not have
    ],
)
def test_the_scan_sees_spikes_changes_that_go_on_and_rare_shapes(part, stretch, more):
    usual = usual_costs(4000)
    scan = Scan.of([usual], 64)
    changed = getattr(usual, part).copy()
    changed[stretch] += more
    scores = scan.scores(replace(usual, **{part: changed}))
    assert stretch.start - 10 <= scores.argmax() < stretch.stop + 10
    assert scores.max() > scan.scores(usual).max()


def test_the_scan_counts_in_units_of_each_mean():
    usual = usual_costs(4000)
    larger = Costs(10 * usual.told + 3, 10 * usual.away, 10 * usual.code)
    scores = Scan.of([usual], 64).scores(usual)
    np.testing.assert_allclose(Scan.of([larger], 64).scores(larger), scores)
    assert np.median(scores) == pytest.approx(1.0, abs=0.5)  # the largest of three


def test_a_scan_of_equal_costs_does_not_divide_by_zero():
    equal = Costs(*np.full((3, 50), 2.0))
    assert np.isfinite(Scan.of([equal], 16).scores(equal)).all()
