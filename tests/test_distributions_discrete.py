"""Mixtures, levels and inflated counts: what the contract's list cannot see."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch import distributions as td

from variate.distributions import (
    ContinuousBernoulli,
    GridLogisticMixture,
    LogisticMixture,
    Ordinal,
    ZeroInflated,
)

DOUBLE = torch.float64


def test_grid_is_stable_at_a_million_in_steps_of_a_cent():
    """Parameters float32 as a network gives them, values float64."""
    location = torch.tensor([1e6, 1e6, 1e6])
    scale = torch.tensor([0.02, 1.0, 50.0], requires_grad=True)
    d = GridLogisticMixture(torch.zeros(3), location, scale, 0.01)
    x = 1e6 + 0.01 * torch.arange(-150_000, 150_001, dtype=DOUBLE)
    log_p = d.log_prob(x)
    assert log_p.dtype == torch.float32
    assert log_p.double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    double = GridLogisticMixture(torch.zeros(3), location.double(), scale.double(), 0.01)
    torch.testing.assert_close(log_p.double(), double.log_prob(x), atol=1e-4, rtol=1e-5)
    (gradient,) = torch.autograd.grad(log_p.sum(), scale)
    assert gradient.isfinite().all()
    cents = (d.sample((1000,)) - 1e6) / 0.01
    torch.testing.assert_close(cents, cents.round(), atol=1e-4, rtol=0)


def test_cells_far_narrower_than_the_scale_are_densities_times_step():
    parameters = torch.randn(3, dtype=DOUBLE), torch.randn(3, dtype=DOUBLE), torch.ones(3).double()
    x = 1e-9 * torch.arange(5, dtype=DOUBLE)
    fine = GridLogisticMixture(*parameters, 1e-9).log_prob(x)
    density = LogisticMixture(*parameters).log_prob(x)
    torch.testing.assert_close(fine, density + math.log(1e-9), atol=1e-8, rtol=0)


def test_a_cell_that_holds_everything_has_mass_one():
    d = GridLogisticMixture(torch.zeros(2), torch.zeros(2), torch.full((2,), 1e-3), 1e6)
    assert d.log_prob(torch.tensor(0.0)).item() == pytest.approx(0.0, abs=1e-6)
    assert d.log_prob(torch.tensor(1e6)).item() == pytest.approx(-0.5e9, rel=1e-3)


def test_logistic_mixture_quantiles_invert_its_distribution_function():
    d = LogisticMixture(torch.randn(4, 3).double(), 9 * torch.randn(4, 3).double(), torch.ones(3))
    u = torch.rand(50, 4, dtype=DOUBLE)
    torch.testing.assert_close(d.cdf(d.icdf(u)), u)


def test_moments_agree_with_samples():
    mixed = LogisticMixture(*torch.tensor([[0.0, 1.0], [-2.0, 3.0], [0.5, 1.0]]).double())
    cases = [
        mixed,
        ContinuousBernoulli(torch.tensor([-30.0, -2.0, 0.0, 0.05, 5.0]).double()),
        ZeroInflated(td.Poisson(torch.tensor([0.5, 6.0]).double()), torch.tensor([1.0, -2.0])),
    ]
    for d in cases:
        draws = d.sample((200_000,))
        error = 5 * draws.std(0) / math.sqrt(len(draws))
        assert ((draws.mean(0) - d.mean).abs() < error).all()
    for d in (mixed, cases[2]):
        torch.testing.assert_close(d.sample((400_000,)).var(0), d.variance, rtol=0.02, atol=0)


def test_continuous_bernoulli_is_right_where_torchs_is_not():
    """In float32 against float64, at every slope; torch's is off by 0.2 nats at 20."""
    x = torch.linspace(0, 1, 11)
    for logit in (0.0, 1e-6, 1e-3, 0.0999, 0.1001, 1.0, 20.0, 60.0, 1e4):
        for sign in (-1, 1):
            ours = ContinuousBernoulli(torch.tensor(sign * logit)).log_prob(x).double()
            slope = torch.tensor(sign * logit, dtype=DOUBLE)
            wide = x.double() * slope
            top = max(sign * logit, 0.0)
            norm = top + math.log(-math.expm1(-logit) / logit) if logit else 0.0
            torch.testing.assert_close(ours, wide - norm, rtol=2e-6, atol=2e-6)
    theirs = td.ContinuousBernoulli(logits=torch.tensor(20.0)).log_prob(torch.tensor(1.0))
    ours = ContinuousBernoulli(torch.tensor(20.0)).log_prob(torch.tensor(1.0))
    assert ours.item() == pytest.approx(math.log(20.0), abs=1e-5)
    assert abs(theirs.item() - math.log(20.0)) > 0.1


def test_continuous_bernoulli_near_the_uniform_is_exact():
    """The series against scipy's exprel(x) = (exp(x) - 1)/x, to the last digits of float64."""
    logits = torch.logspace(-6, 1, 200, dtype=DOUBLE)
    d = ContinuousBernoulli(logits)
    at_one = torch.tensor(-np.log(special.exprel(-logits.numpy())))
    torch.testing.assert_close(d.log_prob(torch.tensor(1.0).double()), at_one, atol=1e-14, rtol=0)
    visible = logits > 1e-3
    mean = -1 / torch.expm1(-logits) - 1 / logits
    torch.testing.assert_close(d.mean[visible], mean[visible], atol=1e-12, rtol=0)
    torch.testing.assert_close(ContinuousBernoulli(-logits).mean, 1 - d.mean)


def test_continuous_bernoulli_learns_from_zero_logits():
    logits = torch.zeros(3, requires_grad=True)
    x = torch.tensor([0.0, 0.5, 1.0])
    (gradient,) = torch.autograd.grad(ContinuousBernoulli(logits).log_prob(x).sum(), logits)
    torch.testing.assert_close(gradient, x - 0.5)


def test_continuous_bernoulli_quantiles_invert_its_distribution_function():
    d = ContinuousBernoulli(torch.tensor([-50.0, -1.0, 0.0, 1e-3, 4.0], dtype=DOUBLE))
    u = torch.linspace(0, 1, 21, dtype=DOUBLE).unsqueeze(-1)
    torch.testing.assert_close(d.cdf(d.icdf(u)), u.expand(-1, 5), atol=1e-9, rtol=0)


def test_ordinal_moves_all_mass_one_way():
    cuts = torch.tensor([-1.0, 0.0, 2.0])
    cumulative = Ordinal(torch.linspace(-5, 5, 11), cuts).logits.exp().cumsum(-1)[:, :-1]
    assert (cumulative.diff(dim=0) < 0).all()
    d = Ordinal(torch.tensor([-9.0, 9.0]), cuts)
    assert d.mode.tolist() == [0, 3]
    entropy = -(d.logits.exp() * d.logits).sum(-1)
    torch.testing.assert_close(d.entropy(), entropy)


def test_arguments_that_define_no_distribution_are_refused():
    with pytest.raises(ValueError, match="increase strictly"):
        Ordinal(torch.tensor(0.0), torch.tensor([1.0, 1.0]), validate_args=True)
    with pytest.raises(TypeError, match="discrete base"):
        ZeroInflated(td.Normal(0.0, 1.0), torch.tensor(0.0))
    with pytest.raises(TypeError, match="discrete base"):
        ZeroInflated(td.Independent(td.Poisson(torch.ones(3)), 1), torch.tensor(0.0))
    with pytest.raises(ValueError, match="scale"):
        LogisticMixture(
            torch.zeros(2), torch.zeros(2), torch.tensor([1.0, 0.0]), validate_args=True
        )


@pytest.mark.parametrize(
    ("distribution", "outside"),
    [
        (GridLogisticMixture(*torch.ones(3, 2), 0.5, validate_args=True), 0.3),
        (Ordinal(torch.tensor(0.0), torch.tensor([0.0, 1.0]), validate_args=True), 3.0),
        (ContinuousBernoulli(torch.tensor(0.0), validate_args=True), 1.5),
        (LogisticMixture(*torch.ones(3, 2), validate_args=True), math.nan),
        (ZeroInflated(td.Poisson(1.0), torch.tensor(0.0), validate_args=True), 0.5),
    ],
    ids=lambda d: type(d).__name__,
)
def test_values_outside_the_support_are_refused_when_asked(distribution, outside):
    with pytest.raises(ValueError, match="value argument"):
        distribution.log_prob(torch.tensor(outside))
