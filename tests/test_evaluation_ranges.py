"""Range metrics: by hand, on constructed cases, and what they must never reward."""

import numpy as np
import pytest

from variate.errors import OptionError
from variate.evaluation.ranges import (
    back,
    front,
    range_auc_pr,
    range_scores,
    ranges_of,
    vus_pr,
)


def flags(length, *spans):
    made = np.zeros(length, dtype=bool)
    for first, last in spans:
        made[first : last + 1] = True
    return made


def test_ranges_are_runs():
    assert ranges_of([1, 1, 0, 0, 1, 0, 1]) == [(0, 1), (4, 4), (6, 6)]
    assert ranges_of([0, 0]) == []


def test_range_scores_by_hand():
    # anomalies of 4 and 2 steps; alarms: half of the first, and 3 steps of which 1 is in the second
    found = range_scores(flags(20, (2, 5), (10, 11)), flags(20, (4, 5), (11, 13)))
    assert found.recall == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert found.precision == pytest.approx((1 + 1 / 3) / 2)
    assert found.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))


def test_an_anomaly_told_in_pieces_costs():
    whole = range_scores(flags(20, (5, 12)), flags(20, (5, 12)))
    pieces = range_scores(flags(20, (5, 12)), flags(20, (5, 6), (8, 9), (11, 12)))
    assert whole == (1.0, 1.0, 1.0)
    assert pieces.recall == pytest.approx(6 / 8 / 3)
    assert pieces.precision == 1.0


def test_alpha_counts_that_an_anomaly_is_found_at_all():
    labels, alarms = flags(20, (5, 14)), flags(20, (14, 14))
    assert range_scores(labels, alarms).recall == pytest.approx(0.1)
    assert range_scores(labels, alarms, alpha=0.5).recall == pytest.approx(0.5 + 0.5 * 0.1)
    assert range_scores(labels, flags(20), alpha=1.0).recall == 0.0


def test_bias_weighs_the_steps_of_a_range():
    labels, late = flags(10, (0, 3)), flags(10, (3, 3))
    assert range_scores(labels, late, bias=front).recall == pytest.approx(1 / 10)
    assert range_scores(labels, late, bias=back).recall == pytest.approx(4 / 10)


def test_nothing_found_or_nothing_there_is_zero():
    assert range_scores(flags(9, (1, 2)), flags(9)) == (0.0, 0.0, 0.0)
    assert range_scores(flags(9), flags(9, (1, 2))) == (0.0, 0.0, 0.0)


def test_a_single_step_in_an_anomaly_is_not_all_of_it():
    # what point adjustment would call perfect recall
    assert range_scores(flags(100, (40, 59)), flags(100, (50, 50))).recall == pytest.approx(0.05)


def test_without_a_buffer_the_area_is_average_precision_times_existence():
    labels = np.array([0, 1, 1, 0])
    # thresholds: {1}: p=1, r=1/2; {1,0}: 1/2, 1/2; {1,0,2}: 2/3, 1
    scores = np.array([0.8, 0.9, 0.7, 0.1])
    assert range_auc_pr(labels, scores, 0) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_recall_counts_only_ranges_that_are_met():
    labels = flags(10, (1, 2), (7, 8))
    scores = np.array([0, 9, 9, 0, 0, 0, 0, 5, 5, 0.0])
    # at 9 half of the cells and half of the ranges: recall 1/4; at 5 all of both
    assert range_auc_pr(labels, scores, 0) == pytest.approx(1.0)
    assert range_auc_pr(labels, np.where(labels, 1.0, 0.0), 0) == pytest.approx(1.0)


def test_the_buffers_labels_by_hand():
    # one anomaly at step 4, a buffer of 4: steps 3 and 5 weigh √(3/4), 2 and 6 weigh √(1/2)
    labels, scores = flags(9, (4, 4)), np.array([0, 0, 0, 0, 0, 1, 0, 0, 0.0])
    a, b = np.sqrt(3 / 4), np.sqrt(1 / 2)
    first = a / (1 + a / 2)
    every = min(1.0, (1 + 2 * a + 2 * b) / (1 + a + b))
    expected = first * a + (every - first) * (1 + 2 * a + 2 * b) / 9
    assert range_auc_pr(labels, scores, 4) == pytest.approx(expected)


@pytest.mark.parametrize("buffer", [0, 1, 7, 40])
def test_perfect_scores_reach_one(buffer):
    labels = flags(400, (50, 80), (200, 201), (399, 399))
    assert vus_pr(labels, labels.astype(float), buffer) == pytest.approx(1.0)


def test_shifted_alarms_lose_less_with_a_buffer_and_random_scores_stay_low():
    labels = flags(1000, (300, 339), (700, 749))
    shifted = np.roll(labels, 15).astype(float)
    far = np.roll(labels, 150).astype(float)
    noise = np.random.default_rng(0).random(1000)
    near = vus_pr(labels, shifted, 40)
    assert range_auc_pr(labels, shifted, 0) < near < 1.0
    assert near > vus_pr(labels, far, 40)
    assert vus_pr(labels, noise, 40) < 0.2
    assert vus_pr(labels, np.zeros(1000), 40) < 0.2  # one threshold: everything is an alarm


def test_it_depends_on_ranks_alone_and_nan_is_lowest():
    rng = np.random.default_rng(1)
    labels, scores = flags(200, (50, 60)), rng.random(200)
    known = vus_pr(labels, scores, 10)
    assert vus_pr(labels, np.exp(5 * scores), 10) == pytest.approx(known)
    gaps = scores.copy()
    gaps[:5] = np.nan
    low = scores.copy()
    low[:5] = -1.0
    assert vus_pr(labels, gaps, 10) == pytest.approx(vus_pr(labels, low, 10))


def test_bad_input_is_an_error():
    with pytest.raises(OptionError, match="no step is an anomaly"):
        vus_pr(np.zeros(5), np.zeros(5), 2)
    with pytest.raises(OptionError, match="5 labels and 4 scores"):
        vus_pr(np.ones(5), np.zeros(4), 2)
    with pytest.raises(OptionError, match="at least 0 steps"):
        vus_pr(np.ones(5), np.zeros(5), -1)
    with pytest.raises(OptionError, match="5 labels and 4 alarms"):
        range_scores(np.ones(5), np.zeros(4))
    with pytest.raises(OptionError, match="alpha must lie"):
        range_scores(np.ones(5), np.zeros(5), alpha=2.0)
    with pytest.raises(OptionError, match="labels holds NaN"):
        range_scores(np.array([np.nan, 1.0]), np.zeros(2))
