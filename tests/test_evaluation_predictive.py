"""Predictive distributions: closed forms, and forecasts that are right by their making."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from variate.evaluation import (
    brier_score,
    calibration_error,
    calibration_floor,
    coverage,
    crps,
    pit,
    reliability,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("y", [-2.0, 0.0, 1.3])
def test_crps_of_a_normal(y):
    draws = rng().normal(size=(400, 500))
    want = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    found = crps(draws, np.full(400, y))
    assert found.mean() == pytest.approx(want, abs=4 * found.std() / 20)


def test_crps_is_fair_to_few_draws():
    draws = rng().normal(size=(200_000, 2))
    want = 2 * norm.pdf(0) - 1 / np.sqrt(np.pi)
    assert crps(draws, np.zeros(200_000)).mean() == pytest.approx(want, abs=0.01)


def test_crps_by_its_definition():
    draws, y = rng().normal(size=(3, 7)), np.array([0.1, -1.0, 5.0])
    apart = np.abs(draws[:, :, None] - draws[:, None]).sum((1, 2)) / (7 * 6)
    np.testing.assert_allclose(crps(draws, y), np.abs(draws - y[:, None]).mean(1) - apart / 2)


def test_a_sure_and_right_forecast_scores_zero():
    assert crps(np.full((1, 5), 3.0), np.array([3.0]))[0] == 0.0
    assert brier_score(np.array([[0.0, 1.0]]), np.array([1]))[0] == 0.0


def test_draws_of_the_right_law_cover_as_they_say():
    draws, y = rng().normal(size=(20_000, 9)), rng(1).normal(size=20_000)
    u = pit(draws, y, seed=0)
    assert kstest(u, "uniform").pvalue > 0.01
    np.testing.assert_allclose(coverage(u), (0.5, 0.8, 0.95), atol=0.012)


def test_ties_change_nothing():
    draws, y = rng().poisson(0.7, (20_000, 30)), rng(1).poisson(0.7, 20_000)
    assert kstest(pit(draws.astype(float), y.astype(float), seed=0), "uniform").pvalue > 0.01


def test_draws_that_are_too_narrow_cover_too_little():
    u = pit(0.5 * rng().normal(size=(5_000, 500)), rng(1).normal(size=5_000), seed=0)
    want = [norm.cdf(0.5 * norm.ppf(0.5 + a / 2)) * 2 - 1 for a in (0.5, 0.8, 0.95)]
    np.testing.assert_allclose(coverage(u), want, atol=0.03)


def forecasts(rows=20_000):
    p = rng().dirichlet([0.5, 1.0, 2.0], rows)
    return p, (rng(1).random((rows, 1)) > p.cumsum(1)).sum(1)


def happened(p, codes):
    return np.arange(p.shape[1]) == codes[:, None]


def test_forecasts_that_are_right_are_at_the_floor():
    p, codes = forecasts()
    found = reliability(p, happened(p, codes))
    assert found.rows.sum() == p.size
    np.testing.assert_allclose(found.share, found.forecast, atol=0.02)
    assert calibration_error(found, 3) < 2 * calibration_floor(p, seed=0)


def test_the_floor_falls_with_the_rows():
    p, _ = forecasts()
    ratio = calibration_floor(p[:500], seed=0) / calibration_floor(p, seed=0)
    assert ratio == pytest.approx(np.sqrt(40), rel=0.3)


def test_the_error_of_forecasts_that_are_too_sure():
    said = np.tile([0.9, 0.1], (5_000, 1))
    codes = (rng().random(5_000) < 0.3).astype(int)
    assert calibration_error(reliability(said, happened(said, codes))) == pytest.approx(
        0.2, abs=0.02
    )


def test_briers_score_by_its_definition():
    assert brier_score(np.array([[0.2, 0.5, 0.3]]), np.array([2]))[0] == pytest.approx(
        0.04 + 0.25 + 0.49
    )
