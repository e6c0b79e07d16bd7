"""Decisions from draws: closed forms of a normal, and brute force for the value of information."""

import numpy as np
import pytest
from scipy.stats import norm

from variate.errors import OptionError
from variate.evaluation import choose, cvar, value_of_information


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_best_action_has_the_largest_mean_and_the_first_of_equals():
    utility = np.array([[[0.0, 0.0]], [[3.0, -1.0]], [[1.0, 1.0]]])
    found = choose(utility)
    assert found.best.tolist() == [1]
    assert found.expected[:, 0].tolist() == [0.0, 1.0, 1.0]
    assert found.regret.tolist() == [0.5]  # in the second draw two others were better
    assert found.perfect.tolist() == [1.0]  # 3 and 1, less 1


def test_an_action_that_is_always_best_has_no_regret_and_nothing_is_worth_knowing():
    utility = np.stack([rng().normal(size=(4, 100)), 9 + rng(1).normal(size=(4, 100))])
    found = choose(utility)
    assert (found.best == 1).all()
    assert (found.regret == 0).all()
    assert (found.perfect == 0).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 0.8, 0.95])
def test_cvar_of_a_normal(level):
    draws = 2 + 3 * norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    tail = norm.pdf(norm.ppf(1 - level)) / (1 - level) if level else 0.0
    assert cvar(draws, level) == pytest.approx(2 - 3 * tail, abs=2e-3)


def test_cvar_takes_a_part_of_the_last_draw():
    assert cvar(np.array([4.0, 1.0, 2.0, 3.0]), 0.625) == pytest.approx((1.0 + 0.5 * 2.0) / 1.5)
    assert cvar(np.array([5.0]), 0.95) == 5.0


@pytest.mark.parametrize("level", [1.0, -0.1, float("nan")])
def test_a_level_outside_of_its_range_is_an_error(level):
    with pytest.raises(OptionError, match="level of CVaR must be"):
        cvar(np.ones(3), level)


def test_perfect_information_on_a_normal():
    draws = norm.ppf((np.arange(100_000) + 0.5) / 100_000)  # of the utility of one action
    found = choose(np.stack([draws, np.full_like(draws, 0.2)])[:, None])
    want = 0.2 * norm.cdf(0.2) + norm.pdf(0.2) - 0.2  # E max(X, c) - c
    assert found.perfect[0] == pytest.approx(want, abs=1e-4)
    assert found.regret[0] == pytest.approx(1 - norm.cdf(0.2), abs=1e-4)


def test_the_standard_error_of_groups_covers_what_groups_share():
    shared = rng().normal(size=(500, 10, 1))  # a draw of each group that all of it has
    utility = (shared + 0.1 * rng(1).normal(size=(500, 10, 20))).reshape(1, 500, 200)
    found = choose(utility, groups=10)
    truth = utility.mean(-1).std()
    assert np.sqrt(np.square(found.error).mean()) == pytest.approx(truth, rel=0.1)
    assert choose(utility).error.mean() < truth / 3
    assert np.isnan(choose(utility[..., :1]).error).all()


# -- the value of information ---------------------------------------------------------------------


def normal_problem(share, items, draws, seed=0):
    """U_1 = X, U_0 = 0; q tells `share` of the variance of X ~ N(0.3, 1): EVPPI is known."""
    q = rng(seed).normal(size=(items, draws))
    x = 0.3 + np.sqrt(share) * q + np.sqrt(1 - share) * rng(seed + 1).normal(size=(items, draws))
    spread = np.sqrt(share)  # of E[X | q]
    worth = 0.3 * norm.cdf(0.3 / spread) + spread * norm.pdf(0.3 / spread) - 0.3 if share else 0.0
    return np.stack([np.zeros_like(x), x]), q, worth


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_the_value_of_knowing_a_part_of_a_normal(share):
    utility, q, want = normal_problem(share, items=400, draws=400)
    found = value_of_information(utility, q, number=True)
    assert found.min() >= 0
    assert found.mean() == pytest.approx(want, abs=0.015)


def test_knowing_nothing_new_is_worth_nothing():
    utility, q, _ = normal_problem(0.5, items=3, draws=50)
    same = value_of_information(utility, np.full_like(q, 7.0), number=True)
    assert same.tolist() == [0.0, 0.0, 0.0]


def test_knowing_all_is_worth_perfect_information():
    x = rng().integers(0, 2, (50, 2_000)).astype(float)
    utility = np.stack([10 * x - 4, np.zeros_like(x)])
    found = value_of_information(utility, x, number=False)
    np.testing.assert_allclose(found, choose(utility).perfect, atol=1e-9)


def test_levels_by_brute_force():
    """A test for a fault: q has three levels, each with its own chance of the fault."""
    chance, prior = np.array([0.02, 0.2, 0.7]), np.array([0.6, 0.3, 0.1])
    costs = np.array([[0.0, -100.0], [-30.0, -30.0]])  # of running on and of replacing, by fault
    given = costs[:, :1] * (1 - chance) + costs[:, 1:] * chance  # E[U_a | q]
    want = (prior * given.max(0)).sum() - (given @ prior).max()
    q = rng().choice(3, size=(200, 1_000), p=prior)
    fault = (rng(1).random(q.shape) < chance[q]).astype(int)
    found = value_of_information(costs[:, fault], q.astype(float), number=False)
    assert found.mean() == pytest.approx(want, rel=0.06)
    assert want > 1
