"""Rubin's rules, by hand and by simulation."""

import numpy as np
import pytest

from variate import pool
from variate.errors import OptionError


def test_the_rules_by_hand():
    q, u, nu = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0.5, 1.0, 1.0, 1.5]), 20.0
    found = pool(q, u, degrees=nu)
    between = (4 + 1 + 0 + 9) / 3
    total = 1 + 1.25 * between
    share = 1.25 * between / total
    old, observed = 3 / share**2, 21 / 23 * 20 * (1 - share)
    degrees = 1 / (1 / old + 1 / observed)
    assert found.estimate == 3
    assert found.between == pytest.approx(between)
    assert found.variance == pytest.approx(total)
    assert found.degrees == pytest.approx(degrees)
    ratio = 1.25 * between / 1
    assert found.missing_information == pytest.approx((ratio + 2 / (degrees + 3)) / (1 + ratio))
    low, high = found.interval(0.9)
    assert low + high == pytest.approx(6)
    assert pool(q, u).degrees == pytest.approx(old)


def test_without_gaps_it_is_the_estimate_itself():
    found = pool([2.0, 2.0, 2.0], [0.25] * 3, degrees=10)
    assert found.error == 0.5
    assert found.missing_information == 0
    assert found.degrees == pytest.approx(11 / 13 * 10)
    assert np.isinf(pool([2.0, 2.0], [0.25, 0.25]).degrees)


def test_statistics_of_several_numbers():
    found = pool(np.arange(12.0).reshape(3, 4), np.ones((3, 4)))
    assert found.estimate.shape == found.degrees.shape == (4,)


def test_the_interval_covers_the_mean_of_incomplete_normals():
    """Proper draws for missing normals of known variance: half of the values are removed."""
    rng, inside, n, seen = np.random.default_rng(0), 0, 40, 20
    for _ in range(600):
        values = rng.normal(size=seen)
        centre = values.mean() + rng.normal(size=(10, 1)) / np.sqrt(seen)
        drawn = centre + rng.normal(size=(10, n - seen))
        whole = np.concatenate([np.tile(values, (10, 1)), drawn], 1)
        low, high = pool(whole.mean(1), np.full(10, 1 / n)).interval(0.9)
        inside += low <= 0 <= high
    assert inside / 600 == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize(
    ("q", "u", "degrees", "match"),
    [
        ([1.0], [1.0], 5, "two completed tables"),
        (1.0, 1.0, 5, "two completed tables"),
        ([1.0, 2.0], [1.0], 5, "shapes"),
        ([1.0, np.nan], [1.0, 1.0], 5, "finite"),
        ([1.0, 2.0], [1.0, -1.0], 5, "negative"),
        ([1.0, 2.0], [1.0, 1.0], 0, "degrees"),
    ],
)
def test_bad_input(q, u, degrees, match):
    with pytest.raises(OptionError, match=match):
        pool(q, u, degrees)


def test_the_level_of_the_interval():
    with pytest.raises(OptionError, match="level"):
        pool([1.0, 2.0], [1.0, 1.0]).interval(95)
