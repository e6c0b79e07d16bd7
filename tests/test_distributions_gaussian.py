"""Scales, point masses and the divergence of a low-rank from a diagonal normal."""

import math

import pytest
import torch
from torch import distributions as td

from variate.distributions import Delta, bounded_scale


def test_scale_is_positive_increasing_and_like_softplus():
    raw = torch.linspace(-200, 200, 4001, dtype=torch.float64)
    scale = bounded_scale(raw)
    assert (scale.diff() > 0).all()
    assert scale.min() > 1e-3
    torch.testing.assert_close(scale, torch.nn.functional.softplus(raw), atol=2e-3, rtol=0)
    assert bounded_scale(torch.tensor(-1e4), floor=0.5).item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("raw", [-1e15, -1e5, -200.0, -50.0, 0.0, 50.0, 1e15])
def test_gradient_of_scale_never_dies(raw):
    r = torch.tensor(raw, requires_grad=True)
    (gradient,) = torch.autograd.grad(bounded_scale(r), r)
    assert 0 < gradient <= 1.001


def test_delta_is_a_point():
    value = torch.randn(4, 3, requires_grad=True)
    d = Delta(value)
    assert (d.batch_shape, d.event_shape) == ((4,), (3,))
    z = d.rsample((5,))
    assert z.shape == (5, 4, 3)
    assert torch.equal(d.log_prob(z), torch.zeros(5, 4))
    off = z.detach().clone()
    off[2, 1, 0] += 1e-3
    expected = torch.zeros(5, 4)
    expected[2, 1] = -math.inf
    assert torch.equal(d.log_prob(off), expected)
    (gradient,) = torch.autograd.grad(z.sum(), value)
    assert torch.equal(gradient, torch.full((4, 3), 5.0))
    assert d.expand((2, 4)).sample().shape == (2, 4, 3)
    assert torch.equal(d.mean, d.mode)
    assert torch.equal(d.variance, torch.zeros(4, 3))
    assert Delta(torch.zeros(2, 4, 3), event_dims=2).event_shape == (4, 3)
    assert not d.sample().requires_grad


def low_rank(batch=(), latent=5, rank=2):
    return td.LowRankMultivariateNormal(
        torch.randn(*batch, latent, dtype=torch.float64),
        torch.randn(*batch, latent, rank, dtype=torch.float64),
        torch.rand(*batch, latent, dtype=torch.float64) + 0.1,
    )


def diagonal(batch=(), latent=5):
    loc = torch.randn(*batch, latent, dtype=torch.float64)
    return td.Independent(td.Normal(loc, torch.rand_like(loc) + 0.3), 1)


def test_kl_low_rank_is_torchs_of_full_covariances():
    q, p = low_rank((7,)), diagonal()
    full = td.MultivariateNormal(p.mean, torch.diag_embed(p.variance))
    dense = td.MultivariateNormal(q.loc, q.covariance_matrix)
    kl = td.kl_divergence(q, p)
    assert kl.shape == (7,)
    torch.testing.assert_close(kl, td.kl_divergence(dense, full), rtol=1e-10, atol=1e-10)


def test_kl_low_rank_agrees_with_monte_carlo():
    q, p = low_rank(), diagonal()
    z = q.sample((100_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std() / math.sqrt(len(draws))
    kl = td.kl_divergence(q, p)
    assert (draws.mean() - kl).abs() < 4 * error
    assert error < 0.01 * kl


def test_kl_low_rank_has_gradients_where_the_diagonal_is_tiny():
    factor = torch.randn(3, 8, 2, requires_grad=True)
    raw = torch.full((3, 8), -300.0, requires_grad=True)
    q = td.LowRankMultivariateNormal(torch.zeros(3, 8), factor, bounded_scale(raw))
    p = td.Independent(td.Normal(torch.zeros(8), torch.ones(8)), 1)
    gradients = torch.autograd.grad(td.kl_divergence(q, p).sum(), [factor, raw])
    assert all(g.isfinite().all() and (g != 0).all() for g in gradients)


def test_kl_low_rank_leaves_other_priors_to_monte_carlo():
    laplace = td.Independent(td.Laplace(torch.zeros(5), torch.ones(5)), 1)
    with pytest.raises(NotImplementedError):
        td.kl_divergence(low_rank(), laplace)
    twice = td.Independent(td.Normal(torch.zeros(2, 5), torch.ones(2, 5)), 2)
    with pytest.raises(NotImplementedError):
        td.kl_divergence(low_rank(), twice)
