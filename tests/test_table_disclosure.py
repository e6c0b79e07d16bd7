"""What synthetic rows give away: distances by hand, and models that copy."""

import numpy as np
import pytest

from variate.table.disclosure import _advantage, disclosure, exact_copies, nearest

NAN = float("nan")
MIXED = ["numeric", "category", "numeric"]


def table(*columns):
    return np.array(columns, dtype=np.float64).T


def smooth(rows, seed):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(size=rows), rng.integers(0, 4, rows), rng.normal(size=rows)])


def test_exact_copies():
    train = table([1, 2, 3, 0.0], [NAN, 5, 6, 7])
    synthetic = table([1, 2, 2, -0.0], [NAN, 5, 6, 7])
    assert exact_copies(synthetic, train) == 0.75  # a gap equals a gap and -0 equals 0
    assert exact_copies(train, train) == 1.0
    assert exact_copies(synthetic + 1e-9, train) == 0.0
    assert exact_copies(synthetic[:0], train) == 0.0


def test_a_distance_is_the_mean_over_columns_of_shares_of_the_range_and_mismatches():
    a = np.array([[2.0, 0, 0]])
    b = np.array([[7.0, 1, 5], [2.0, 0, 4]])
    scale = np.array([0.0, 0, 0]), np.array([10.0, 1, 8])
    of_a, of_b = nearest(a, b, MIXED, scale)
    assert of_a == pytest.approx([0.5 / 3])
    assert of_b == pytest.approx([(0.5 + 1 + 5 / 8) / 3, 0.5 / 3])


def test_a_gap_is_equal_to_a_gap_and_one_away_from_all_else():
    a = np.array([[NAN, NAN, 1]])
    scale = np.zeros(3), np.ones(3)
    for b, expected in (([NAN, NAN, 1], 0), ([0.5, NAN, 1], 1), ([0.5, 0, NAN], 3)):
        assert nearest(a, np.array([b], dtype=float), MIXED, scale)[0] == pytest.approx(
            [expected / 3]
        )


def test_a_number_is_at_most_one_range_away_and_any_difference_from_a_constant_is():
    kinds, scale = ["numeric"] * 2, (np.array([0.0, 5.0]), np.array([1.0, 5.0]))
    a = table([-0.5, 1e300, -1e300], [5, 5.1, 5])
    of_a, _ = nearest(a, table([0.0, 0.25], [5, 5]), kinds, scale)
    assert of_a == pytest.approx([0.25, 1.0, 0.5])


def test_blocks_change_nothing(monkeypatch):
    a, b = smooth(50, 0), smooth(40, 1)
    a[::5, 0] = NAN
    scale = np.nanmin(b, axis=0), np.nanmax(b, axis=0)
    whole = nearest(a, b, MIXED, scale)
    monkeypatch.setattr("variate.table.disclosure.BLOCK", 120)
    for one, other in zip(nearest(a, b, MIXED, scale), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_knows_no_row_gives_none_away():
    told = disclosure(smooth(600, 0), smooth(700, 1), smooth(600, 2), MIXED)
    assert told.rows == 600
    assert told.share == pytest.approx(0.5, abs=4 * 0.5 / 600**0.5)
    assert told.copies == told.holdout_copies == 0
    assert abs(told.advantage) < 4 * told.advantage_error
    low, high = told.interval
    assert high - low == pytest.approx(2 * 1.96 * told.advantage_error)
    assert np.median(told.synthetic) == pytest.approx(np.median(told.holdout), rel=0.2)


def test_a_model_that_copies_with_noise_gives_its_rows_away():
    train = smooth(600, 1)
    synthetic = train[np.random.default_rng(3).permutation(600)].copy()
    synthetic[:, 0] += np.random.default_rng(4).normal(0, 1e-3, 600)
    synthetic[:60] = train[:60]
    told = disclosure(synthetic, train, smooth(600, 2), MIXED)
    assert told.share > 0.9
    assert told.advantage > 0.8
    assert told.advantage - 4 * told.advantage_error > 0.5
    assert told.copies == pytest.approx(0.1, abs=0.01)
    assert np.median(told.synthetic) < 0.2 * np.median(told.holdout)


def test_ties_count_half():
    train = table([0.0, 1] * 20, [0, 0] * 20, [0, 0] * 20)
    told = disclosure(train, train, train, MIXED)
    assert told.share == 0.5
    assert told.advantage == 0.0


def test_the_advantage_is_that_of_the_best_threshold_on_other_rows():
    near, far = np.arange(0.0, 100), np.arange(30.0, 130)
    advantage, error = _advantage(near, far)
    assert advantage == pytest.approx(0.3, abs=0.02)
    assert 0.03 < error < 0.08
    assert _advantage(far, near)[0] == pytest.approx(0.0, abs=0.03)  # members are not the far ones


def test_the_advantage_of_a_guess_has_no_bias_and_its_error_is_its_spread():
    rng = np.random.default_rng(0)
    drawn = np.array([_advantage(rng.random(200), rng.random(200)) for _ in range(300)])
    spread = drawn[:, 0].std()
    assert abs(drawn[:, 0].mean()) < 4 * spread / 300**0.5
    assert np.median(drawn[:, 1]) == pytest.approx(spread, rel=0.3)


def test_few_rows_tell_nothing_and_wide_tables_are_thinned(monkeypatch):
    assert disclosure(smooth(19, 0), smooth(50, 1), smooth(50, 2), MIXED) is None
    monkeypatch.setattr("variate.table.disclosure.COMPARISONS", 3 * 40**2)
    assert disclosure(smooth(50, 0), smooth(50, 1), smooth(50, 2), MIXED).rows == 40
