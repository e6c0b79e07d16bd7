"""The measures of a synthetic table against values worked out by hand."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from variate.table.measures import (
    associations,
    column_shape_error,
    missing_error,
    pair_trend_error,
)

NAN = float("nan")


def table(*columns):
    return np.array(columns, dtype=np.float64).T


def one(*values):
    return table(values)


def numbers(count):
    return ["numeric"] * count


def crossed(first, second):
    """Every combination of the values of two columns once."""
    return np.array([[a, b] for a in first for b in second], dtype=np.float64)


def test_shape_of_a_number_is_the_largest_gap_between_cumulative_shares():
    # at 2 the real shares have reached 2/4 and the synthetic ones 0
    error = column_shape_error(one(1, 2, 3, 4), one(3, 4, 5, 6), ["numeric"])
    assert error == pytest.approx([0.5])
    # F: 0.5 at 0, 1 at 1; G: 0.25 at 0, 1 at 1
    error = column_shape_error(one(0, 0, 1, 1), one(0, 1, 1, 1), ["numeric"])
    assert error == pytest.approx([0.25])


def test_shape_of_a_number_agrees_with_scipy_also_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        real, synthetic = rng.integers(0, 20, 50) / 4, rng.integers(2, 30, 30) / 4
        expected = ks_2samp(real, synthetic).statistic
        error = column_shape_error(one(*real), one(*synthetic), ["numeric"])
        assert error == pytest.approx([expected])


def test_shape_of_a_category_is_the_total_variation():
    # p = 2/4, 1/4, 1/4, 0 and q = 1/5, 3/5, 0, 1/5; half of 0.3 + 0.35 + 0.25 + 0.2
    error = column_shape_error(one(0, 0, 1, 2), one(0, 1, 1, 1, 3), ["category"])
    assert error == pytest.approx([0.55])


def test_codes_have_no_order_and_numbers_do():
    real, synthetic = one(0, 0, 2, 2), one(1, 1, 2, 2)
    assert column_shape_error(real, synthetic, ["category"]) == pytest.approx([0.5])
    assert column_shape_error(one(0, 1), one(100, 101), ["numeric"]) == pytest.approx([1.0])


def test_missing_cells_are_left_out_of_the_shape_and_counted_apart():
    real = table([1, 2, NAN, NAN], [0, NAN, 1, 1])
    synthetic = table([1, 2, 1, 2], [0, 1, 1, NAN])
    errors = column_shape_error(real, synthetic, ["numeric", "category"])
    assert errors == pytest.approx([0.0, 0.0])
    assert missing_error(real, synthetic) == pytest.approx([0.5, 0.0])


def test_a_column_without_values_has_no_shape_error():
    errors = column_shape_error(one(NAN, NAN), one(1, 2), ["numeric"])
    assert np.isnan(errors).all()


def test_trend_of_two_numbers_is_half_the_difference_of_the_correlations():
    rising, falling = table([1, 2, 3], [10, 20, 30]), table([1, 2, 3], [30, 20, 10])
    level = crossed([0, 1], [0, 1])
    for synthetic, expected in ((falling, 1.0), (level, 0.5), (rising, 0.0)):
        trends = pair_trend_error(rising, synthetic, numbers(2))
        assert trends.errors == pytest.approx([expected], abs=1e-12)
        assert trends.pairs.tolist() == [[0, 1]]


def test_correlation_of_numbers_whose_squares_overflow():
    real, synthetic = table([1e200, 2e200, 3e200], [1, 2, 3]), table([1, 2, 3], [3, 2, 1])
    assert pair_trend_error(real, synthetic, numbers(2)).errors == pytest.approx([1.0])


def test_trend_of_two_categories_is_the_total_variation_of_the_pairs():
    together = table([0, 1], [0, 1])  # half in (0, 0), half in (1, 1)
    free = crossed([0, 1], [0, 1])  # a quarter everywhere
    trends = pair_trend_error(together, free, ["category"] * 2)
    assert trends.errors == pytest.approx([0.5])
    assert column_shape_error(together, free, ["category"] * 2) == pytest.approx([0, 0])


def test_beside_a_category_a_number_is_cut_into_ten_even_bins_of_the_real_range():
    half = [0] * 5 + [1] * 5
    real = table(np.arange(10), half)  # bins [0, 0.9), [0.9, 1.8) ... : one value in each
    flipped = table(np.arange(10), half[::-1])
    outside = table([-50, *range(1, 9), 70], half)  # the outer bins are open
    kinds = ["numeric", "category"]
    assert pair_trend_error(real, flipped, kinds).errors == pytest.approx([1.0])
    assert pair_trend_error(real, outside, kinds).errors == pytest.approx([0.0])
    for moved, expected in ((0.5, 0.0), (0.95, 0.1)):  # 0 shares a bin with the one alone
        shifted = real.copy()
        shifted[0, 0] = moved
        assert pair_trend_error(real, shifted, kinds).errors == pytest.approx([expected])


def test_a_gap_is_left_out_between_numbers_and_a_level_beside_a_category():
    real = table([1, 2, 3, NAN], [1, 2, 3, 99], [0, 0, 1, 1])
    synthetic = table([1, 2, 3], [1, 2, 3], [0, 0, 1])
    trends = pair_trend_error(real, synthetic, ["numeric", "numeric", "category"])
    errors = {tuple(pair): e for pair, e in zip(trends.pairs.tolist(), trends.errors, strict=True)}
    assert errors[0, 1] == pytest.approx(0.0)
    # three cells of 1/4 against 1/3 each, and (missing, 1) of 1/4 against none
    assert errors[0, 2] == pytest.approx((3 / 12 + 1 / 4) / 2)
    # the bins of 1 .. 99 hold 1, 2, 3 together: 1/2, 1/4 and, for 99, 1/4 against 2/3, 1/3 and 0
    assert errors[1, 2] == pytest.approx((1 / 6 + 1 / 12 + 1 / 4) / 2)
    both = table([0, 0, NAN, NAN], [0, NAN, 0, NAN])  # a quarter each
    none = table([0, NAN], [0, NAN])
    assert pair_trend_error(both, none, ["category"] * 2).errors == pytest.approx([0.5])


def test_many_levels_are_counted_like_few(monkeypatch):
    rng = np.random.default_rng(5)
    real, synthetic = (rng.integers(0, 30, (400, 3)).astype(float) for _ in range(2))
    kinds = ["category", "category", "numeric"]
    dense = pair_trend_error(real, synthetic, kinds).errors
    monkeypatch.setattr("variate.table.measures.DENSE", 0)
    assert pair_trend_error(real, synthetic, kinds).errors == pytest.approx(dense, abs=1e-12)


def test_correlations_with_and_without_gaps_are_numpys():
    rng = np.random.default_rng(6)
    tables = [rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + 5 for _ in range(2)]
    for x in tables:
        x[::7, 2] = NAN
    errors = pair_trend_error(*tables, numbers(3)).errors
    for (a, b), error in zip([(0, 1), (0, 2), (1, 2)], errors, strict=True):
        r, s = (np.corrcoef(x[~np.isnan(x).any(axis=1)][:, [a, b]].T)[0, 1] if b == 2
                else np.corrcoef(x[:, [a, b]].T)[0, 1] for x in tables)  # fmt: skip
        assert error == pytest.approx(abs(r - s) / 2, abs=1e-12)


def test_an_empty_table_has_no_trends():
    assert np.isnan(pair_trend_error(np.zeros((0, 2)), np.zeros((3, 2)), numbers(2)).errors).all()


def test_a_pair_without_a_correlation_has_no_error():
    real = table([1, 1, 1], [1, 2, 3], [3, 1, 2])
    trends = pair_trend_error(real, real, numbers(3))
    assert np.isnan(trends.errors[:2]).all()
    assert trends.errors[2] == 0.0
    gap = table([1, NAN], [NAN, 2])
    assert np.isnan(pair_trend_error(gap, real[:, :2], numbers(2)).errors).all()


def test_many_pairs_are_sampled_with_a_seed():
    x = np.random.default_rng(0).normal(size=(50, 40))
    first, again, other = (
        pair_trend_error(x, x, numbers(40), most=100, seed=s).pairs for s in (3, 3, 4)
    )
    assert first.tolist() == again.tolist() != other.tolist()
    assert len({tuple(pair) for pair in first}) == 100
    assert len(pair_trend_error(x, x, numbers(40), most=780).pairs) == 780


def test_an_independent_table_has_perfect_shapes_and_broken_trends():
    rng = np.random.default_rng(1)
    a = rng.normal(size=5_000)
    real = table(a, a + 0.1 * rng.normal(size=5_000), a > 0)
    torn = np.stack([rng.permutation(real[:, c]) for c in range(3)], axis=1)
    kinds = ["numeric", "numeric", "category"]
    assert column_shape_error(real, torn, kinds).max() == 0.0
    assert pair_trend_error(real, torn, kinds).errors.min() > 0.4


def test_associations_by_hand():
    # ranks 1 2 3 4 in two groups: epsilon^2 = 1 - (3/2) (1/5) = 0.7
    x = table([10, 20, 30, 40], [0, 0, 1, 1])
    assert associations(x, ["numeric", "category"])[0, 1] == pytest.approx(0.7**0.5)
    # counts 4 1 / 1 4: phi^2 = 0.36, less (1)(1)/9; at most (2 - 1/9) - 1
    x = np.repeat(crossed([0, 1], [0, 1]), [4, 1, 1, 4], axis=0)
    expected = ((0.36 - 1 / 9) / (1 - 1 / 9)) ** 0.5
    assert associations(x, ["category"] * 2)[0, 1] == pytest.approx(expected)
    # ranks 1 2 3 and 3 1 2: rho = 1 - 6 (4 + 1 + 1) / (3 (9 - 1)) = -0.5
    x = table([1, 20, 300], [3, 1, 2])
    assert associations(x, numbers(2))[1, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("first", ["numeric", "category"])
@pytest.mark.parametrize("second", ["numeric", "category"])
def test_associations_are_one_for_a_copy_and_near_zero_for_chance(first, second):
    rng = np.random.default_rng(3)
    code = rng.integers(0, 4, size=4_000)
    x = table(code, code, rng.permutation(code), np.zeros(4_000))
    result = associations(x, [first, second, second, second])
    assert result[0, 1] == pytest.approx(1.0, abs=1e-9)
    assert result[0, 2] < 0.06
    assert np.isnan(result[0, 3])
    assert (np.diag(result) == 1.0).all()
    np.testing.assert_array_equal(result, result.T)


def test_bias_correction_keeps_many_levels_from_looking_associated():
    rng = np.random.default_rng(4)
    x = table(rng.integers(0, 60, 500), rng.integers(0, 60, 500), rng.normal(size=500))
    result = associations(x, ["category", "category", "numeric"])
    assert result[0, 1] < 0.15  # 0.35 without the correction
    assert result[0, 2] < 0.25


@pytest.mark.parametrize("measure", [column_shape_error, pair_trend_error])
def test_tables_of_other_columns_are_refused(measure):
    with pytest.raises(ValueError, match=r"\[rows, 2\].*\[4, 2\] and \[4, 3\]"):
        measure(np.zeros((4, 2)), np.zeros((4, 3)), numbers(2))
