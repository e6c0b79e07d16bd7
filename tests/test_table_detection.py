"""Classifiers on tables: they see what they should, and no more than there is."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from variate.table.detection import _like, efficacy, linear_auc, two_sample_auc

NAN = float("nan")


def signs(rows, seed):
    """Two independent codes 0/1/2 and a third that is their sum modulo 3."""
    code = np.random.default_rng(seed).integers(0, 3, (rows, 2)).astype(float)
    return np.column_stack([code, code.sum(axis=1) % 3])


def test_trees_see_a_dependence_that_logistic_regression_does_not():
    real = signs(600, 0)
    torn = np.column_stack([signs(600, 1)[:, :2], signs(600, 2)[:, 2]])
    kinds = ["category"] * 3
    assert two_sample_auc(real, torn, kinds).auc > 0.75
    assert abs(linear_auc(real, torn, kinds).auc - 0.5) < 0.1
    assert abs(two_sample_auc(real, signs(600, 3), kinds).auc - 0.5) < 0.1


def test_two_tables_of_one_law_cannot_be_told_apart():
    rng = np.random.default_rng(2)
    real, synthetic = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    real[rng.random(real.shape) < 0.1] = NAN
    synthetic[rng.random(synthetic.shape) < 0.1] = NAN
    result = two_sample_auc(real, synthetic)
    assert abs(result.auc - 0.5) < 4 * result.error
    assert result == two_sample_auc(real, synthetic)
    assert result != two_sample_auc(real, synthetic, seed=1)


def test_two_tables_can_be_told_apart_by_their_gaps_alone():
    rng = np.random.default_rng(2)
    real, synthetic = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    synthetic[:, 0] = NAN
    assert two_sample_auc(real, synthetic).auc == pytest.approx(1.0)


def test_a_few_rows_tell_nothing():
    assert np.isnan(two_sample_auc(np.zeros((19, 1)), np.ones((500, 1))).auc)


def test_codes_have_no_order_for_a_classifier():
    # which levels are synthetic has no order: a set of levels does at the first split
    rng = np.random.default_rng(4)
    codes = rng.permutation(40).astype(float)
    real, synthetic = (codes[rng.integers(first, first + 20, (500, 1))] for first in (0, 20))
    assert two_sample_auc(real, synthetic, ["category"]).auc > 0.99
    assert linear_auc(real, synthetic, ["category"]).auc > 0.99
    assert linear_auc(real, synthetic, ["numeric"]).auc < 0.8


def test_ten_thousand_levels_and_gaps_can_be_judged():
    rng = np.random.default_rng(5)
    real, synthetic = (rng.integers(0, 10_000, (200, 2)).astype(float) for _ in range(2))
    real[::3], synthetic[::3] = NAN, NAN
    for kinds in (["category", "numeric"], ["category"] * 2):
        assert abs(two_sample_auc(real, synthetic, kinds).auc - 0.5) < 0.2
        assert abs(linear_auc(real, synthetic, kinds).auc - 0.5) < 0.2


def test_logistic_regression_sees_a_shift_a_level_and_gaps_and_bears_huge_numbers():
    rng = np.random.default_rng(6)
    real = np.column_stack([1e300 * rng.normal(size=300), rng.integers(0, 2, 300)])
    shifted = real + np.array([0.7e300, 0])
    assert linear_auc(real, shifted, ["numeric", "category"]).auc > 0.6
    swapped = np.column_stack([real[:, 0], rng.random(300) < 0.9])
    assert linear_auc(real, swapped, ["numeric", "category"]).auc > 0.6
    gone = np.where([True, False], NAN, real)
    assert linear_auc(real, gone, ["numeric", "category"]).auc > 0.95


def test_a_wide_table_is_judged_by_fewer_rows():
    wide = np.zeros((3_000, 1_000))
    assert np.isnan(two_sample_auc(wide[:10], wide[:10]).auc)
    real, synthetic = _like(wide, wide, 10_000, 0)
    assert real.shape == synthetic.shape == (500, 1_000)


# -- efficacy -------------------------------------------------------------------------------------


def test_efficacy_of_a_level_is_the_auc_of_its_chance():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(900, 1))
    label = (rng.random(900) < 1 / (1 + np.exp(-3 * x[:, 0]))).astype(float)
    rows = np.column_stack([x, label])
    kinds = ["numeric", "category"]
    ideal = roc_auc_score(label[400:], x[400:, 0])
    result = efficacy(rows[:400], rows[400:], 1, kinds)
    assert result.measure == "AUC"
    assert result.rows == 400
    assert ideal - 0.08 < result.score <= ideal
    torn = np.column_stack([rng.permutation(x[:400]), label[:400]])
    assert efficacy(torn, rows[400:], 1, kinds).score == pytest.approx(0.5, abs=0.1)


def test_efficacy_of_several_levels_weighs_them_by_their_share():
    table = signs(600, 8)
    kinds = ["category"] * 3
    assert efficacy(table[:300], table[300:], 2, kinds).score == pytest.approx(1.0)
    alone = table[:300].copy()
    alone[:, 2] = 1.0
    assert efficacy(alone, table[300:], 2, kinds).score == 0.5


def test_efficacy_of_a_number_is_the_share_of_variance_explained():
    rng = np.random.default_rng(9)
    x = rng.uniform(-1, 1, size=(1_200, 1))
    rows = np.column_stack([x, 1e200 * (x[:, 0] + rng.normal(0, 0.2, 1_200))])
    result = efficacy(rows[:600], rows[600:], 1, ["numeric"] * 2)
    assert result.measure == "R²"
    assert 0.75 < result.score < 1 - 0.2**2 / (1 / 3)  # what the noise leaves, and a little less
    shifted = rows[:600] + np.array([0, 5e200])
    assert efficacy(shifted, rows[600:], 1, ["numeric"] * 2).score < -10


def test_rows_without_a_target_are_left_out():
    table = signs(300, 10)
    holes = table.copy()
    holes[::2, 2] = NAN
    kinds = ["category"] * 3
    assert efficacy(holes, table, 2, kinds) == efficacy(holes[1::2], table, 2, kinds)
    assert np.isnan(efficacy(table[:10], table, 2, kinds).score)
    assert np.isnan(efficacy(table, np.zeros((50, 3)), 2, kinds).score)
