"""Accounting: ε against published values, the exact Gaussian mechanism, and Opacus' other way."""

import math
import warnings

import pytest

pytest.importorskip("opacus")

from opacus.accountants import PRVAccountant
from opacus.accountants.analysis import rdp
from scipy.optimize import brentq
from scipy.stats import norm

from variate.privacy import Privacy
from variate.training.accounting import ORDERS, Mechanism, plan, spent

ABADI = Mechanism(noise=4.0, rate=0.01, times=10_000)


def exact_gaussian(noise: float, delta: float) -> float:
    """ε of one Gaussian mechanism (Balle & Wang 2018, theorem 8)."""

    def excess(epsilon: float) -> float:
        a, b = 1 / (2 * noise), epsilon * noise
        return norm.cdf(a - b) - math.exp(epsilon) * norm.cdf(-a - b) - delta

    return float(brentq(excess, 1e-6, 100.0))


def test_the_moments_accountant_of_abadi_et_al_is_met():
    # q = 0.01, σ = 4, δ = 1e-5, 100 epochs: ε = 1.26 (Abadi et al. 2016, figure 2)
    total = rdp.compute_rdp(q=0.01, noise_multiplier=4.0, steps=10_000, orders=ORDERS)
    as_then = min(r - math.log(1e-5) / (a - 1) for r, a in zip(total, ORDERS, strict=True))
    assert as_then == pytest.approx(1.26, abs=0.02)
    assert 0.8 * as_then < spent([ABADI], 1e-5) < as_then  # the conversion is better today


@pytest.mark.parametrize("noise", [0.8, 2.0, 10.0])
def test_one_gaussian_mechanism_is_bounded_from_above_and_closely(noise):
    exact = exact_gaussian(noise, 1e-5)
    assert exact <= spent([Mechanism(noise)], 1e-5) <= 1.15 * exact


def test_the_other_accountant_is_below_but_not_far():
    other = PRVAccountant()
    other.history = [(1.1, 0.02, 500), (10.0, 1.0, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how it finds its grid
        tight = other.get_epsilon(delta=1e-5)
    assert tight <= spent([Mechanism(1.1, 0.02, 500), Mechanism(10.0)], 1e-5) <= 1.25 * tight


def test_more_noise_costs_less_and_more_looks_cost_more():
    def cost(
        noise: float = 1.0, rate: float = 0.01, times: int = 100, delta: float = 1e-5
    ) -> float:
        return spent([Mechanism(noise, rate, times)], delta)

    assert cost(noise=0.7) > cost() > cost(noise=2.0)
    assert cost(rate=0.005) < cost() < cost(rate=0.5)
    assert cost(times=10) < cost() < cost(times=1000)
    assert cost(delta=1e-7) > cost() > cost(delta=1e-3)
    assert spent([ABADI, Mechanism(20.0)], 1e-5) > spent([ABADI], 1e-5)


@pytest.mark.parametrize("epsilon", [0.1, 3.0, 50.0])
def test_a_plan_spends_what_it_may_and_hardly_less(epsilon):
    spending = plan(Privacy(epsilon=epsilon, delta=1e-5), rate=0.05, steps=200)
    assert 0.97 * epsilon < spending.epsilon <= epsilon
    assert spending.epsilon == spent([spending.histograms, spending.steps], 1e-5)
    assert spent([spending.histograms], 1e-5) <= 0.1 * epsilon
