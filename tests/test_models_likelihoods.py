"""Likelihoods: one contract over every head, and what is particular to a few."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from variate.errors import OptionError
from variate.models import likelihoods as heads
from variate.specification import describe, revive

EVENT = (2, 3)

HEADS: dict[str, Callable[[], nn.Module]] = {
    "bernoulli": lambda: heads.Bernoulli(EVENT),
    "continuous-bernoulli": lambda: heads.ContinuousBernoulli(EVENT),
    "categorical": lambda: heads.Categorical(EVENT, 4),
    "ordinal": lambda: heads.Ordinal(EVENT, 4),
    "gaussian": lambda: heads.Gaussian(EVENT),
    "gaussian-fixed": lambda: heads.Gaussian(EVENT, heads.FixedScale(0.3)),
    "gaussian-optimal": lambda: heads.Gaussian(EVENT, heads.OptimalScale()),
    "laplace": lambda: heads.Laplace(EVENT),
    "student": lambda: heads.StudentT(EVENT),
    "poisson": lambda: heads.Poisson(EVENT),
    "negative-binomial": lambda: heads.NegativeBinomial(EVENT),
    "zero-inflated-poisson": lambda: heads.ZeroInflated(heads.Poisson(EVENT)),
    "zero-inflated-binomial": lambda: heads.ZeroInflated(heads.NegativeBinomial(EVENT)),
}
S, B, F = 3, 5, 7


@pytest.mark.parametrize("name", HEADS)
def test_contract(name: str) -> None:
    head, features = HEADS[name](), torch.randn(S, B, F)
    p: Distribution = head(features)
    assert p.batch_shape == (S, B)
    assert p.event_shape == EVENT
    assert p.sample().shape == (S, B, *EVENT)
    x = p.sample()[0]  # [B, *event], and scored by every draw of z
    assert p.support.check(x).all()
    log_p = p.log_prob(x)
    assert log_p.shape == (S, B)
    assert log_p.isfinite().all()
    log_p.sum().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", HEADS)
def test_a_model_file_can_keep_the_head(name: str) -> None:
    head, features = HEADS[name]().eval(), torch.randn(S, B, F)
    x = head(features).sample()[0]
    other = revive(describe(HEADS[name]())).eval()
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features).log_prob(x), head(features).log_prob(x))


@pytest.mark.parametrize("name", HEADS)
def test_extreme_features_have_a_finite_density_and_a_gradient(name: str) -> None:
    """No clamp that kills the gradient, no exponential that overflows (D16), in float32."""
    head = HEADS[name]().eval()
    x = head(torch.randn(1, 2, F)).sample()[0]
    for size in (1e2, 1e4):
        features = (size * torch.randn(1, 2, F)).requires_grad_()
        log_p = head(features).log_prob(x)
        assert log_p.isfinite().all()
        (slope,) = torch.autograd.grad(log_p.sum(), features)
        assert slope.isfinite().all()
        assert (slope.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_nothing_waits_for_the_device(name: str) -> None:
    """On the meta device there are no values to wait for, and all tensors must be there."""
    head = HEADS[name]()
    head(torch.randn(S, B, F))
    x = torch.ones(B, *EVENT, device="meta")
    head.to("meta")(torch.randn(S, B, F, device="meta")).log_prob(x).sum().backward()


DISCRETE = ("bernoulli", "categorical", "ordinal", "poisson", "negative-binomial")
DISCRETE += ("zero-inflated-poisson", "zero-inflated-binomial")


@pytest.mark.parametrize("name", DISCRETE)
def test_the_masses_of_a_discrete_head_sum_to_one(name: str) -> None:
    head = HEADS[name]()
    head(torch.randn(S, B, F))
    p = head.double()(torch.randn(S, B, F, dtype=torch.float64))
    top = {"bernoulli": 2, "categorical": 4, "ordinal": 4}.get(name, 300)
    x = torch.arange(top).double().reshape(-1, 1, 1, 1, 1).expand(-1, S, B, *EVENT)
    total = p.base_dist.log_prob(x).exp().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total))


CONTINUOUS = sorted(set(HEADS) - set(DISCRETE))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_density_of_a_continuous_head_integrates_to_one(name: str) -> None:
    head = HEADS[name]()
    head(torch.randn(1, 2, F))
    p = head.double().eval()(torch.randn(1, 2, F, dtype=torch.float64))
    if name == "continuous-bernoulli":
        x = torch.linspace(0, 1, 2_001, dtype=torch.float64)
        slope = torch.ones_like(x)
    else:
        u = torch.linspace(-1, 1, 400_001, dtype=torch.float64)[1:-1]
        x, slope = u / (1 - u * u), (1 + u * u) / (1 - u * u).square()  # the whole line
    shape = (-1, 1, 1, 1, 1)
    density = p.base_dist.log_prob(x.reshape(shape)).exp() * slope.reshape(shape)
    step = 1 / 2_000 if name == "continuous-bernoulli" else 2 / 400_000
    total = (density[1:] + density[:-1]).sum(0) / 2 * step
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-4)


@pytest.mark.parametrize("event", [5, (5,), [5]])
def test_an_event_may_be_a_size(event: object) -> None:
    assert heads.Bernoulli(event)(torch.randn(S, B, F)).event_shape == (5,)


@pytest.mark.parametrize("event", [0, (), (3, -1)])
def test_an_event_has_positive_sizes(event: object) -> None:
    with pytest.raises(OptionError, match="the shape of an item"):
        heads.Bernoulli(event)


def test_an_order_has_two_levels_or_more() -> None:
    with pytest.raises(OptionError, match="at least 2"):
        heads.Ordinal(3, 1)


def test_the_scale_of_a_gaussian_is_an_object() -> None:
    features = torch.randn(S, B, F)
    fixed = heads.Gaussian(4, heads.FixedScale(0.3))(features)
    torch.testing.assert_close(fixed.stddev, torch.full((S, B, 4), 0.3))
    learned = heads.Gaussian(4)(features)
    assert learned.stddev.unique().numel() == S * B * 4
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(OptionError, match="positive and finite"):
            heads.FixedScale(wrong)


class TestOptimalScale:
    """σ-VAE (Rybkin et al. 2021)."""

    @pytest.fixture
    def head(self) -> heads.Gaussian:
        head = heads.Gaussian(4, heads.OptimalScale())
        head(torch.randn(1, B, F))
        return head.double()

    def test_training_takes_the_best_scale_of_the_batch(self, head: heads.Gaussian) -> None:
        features, x = torch.randn(1, 50, F).double(), torch.randn(50, 4).double()
        p = head(features)
        found = p.log_prob(x).mean().item()

        def at(log_scale: float) -> float:
            normal = Independent(Normal(p.mean, torch.full_like(p.mean, math.exp(log_scale))), 1)
            return normal.log_prob(x).mean().item()

        best = max(at(i / 1_000) for i in range(-2_000, 2_000))
        assert found == pytest.approx(best, abs=1e-5)
        error = (x - p.mean).square().mean().item()
        assert found == pytest.approx(-2 * (math.log(2 * math.pi * error) + 1), abs=1e-5)

    def test_the_scale_adds_nothing_to_the_gradient(self, head: heads.Gaussian) -> None:
        features, x = torch.randn(1, 50, F).double(), torch.randn(50, 4).double()
        parameters = list(head.parameters())
        p = head(features)
        found = torch.autograd.grad(p.log_prob(x).mean(), parameters)
        p = head(features)
        error = (x - p.mean).square().mean()
        wanted = torch.autograd.grad(-2 * error.log(), parameters)  # D/2 log MSE, D = 4
        for f, w in zip(found, wanted, strict=True):
            torch.testing.assert_close(f, w, rtol=1e-5, atol=1e-8)

    def test_evaluation_has_one_fixed_normalised_scale(self, head: heads.Gaussian) -> None:
        for _ in range(300):
            features = torch.randn(1, 50, F).double()
            mean = head(features).mean[0]
            head(features).log_prob(mean.detach() + 0.5 * torch.randn(50, 4))
        assert head.scale.variance.item() == pytest.approx(0.25, rel=0.1)
        before = head.scale.variance.clone()
        head.eval()
        p = head(torch.randn(1, 3, F).double())
        assert type(p.base_dist) is Normal
        torch.testing.assert_close(p.variance, before.expand(1, 3, 4))
        far = p.log_prob(p.mean[0] + 100.0)  # what is judged does not move the scale
        wanted = Independent(Normal(p.mean, before.sqrt()), 1).log_prob(p.mean[0] + 100.0)
        torch.testing.assert_close(far, wanted)
        assert torch.equal(head.scale.variance, before)
        assert "scale.variance" in head.state_dict()

    def test_a_batch_that_is_not_finite_leaves_no_trace(self, head: heads.Gaussian) -> None:
        head(torch.randn(1, B, F).double()).log_prob(torch.randn(B, 4).double())
        before = {key: value.clone() for key, value in head.scale.state_dict().items()}
        head(torch.randn(1, B, F).double()).log_prob(torch.full((B, 4), torch.nan))
        after = head.scale.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_an_untrained_ordinal_has_equal_levels() -> None:
    head = heads.Ordinal(1, 5)
    head(torch.zeros(1, 1, F))
    nn.init.zeros_(head.raw.linear.bias)
    levels = torch.arange(5.0).reshape(5, 1, 1, 1)
    found = head(torch.zeros(1, 1, F)).base_dist.log_prob(levels).exp().flatten()
    torch.testing.assert_close(found, torch.full((5,), 0.2))


def test_an_ordinal_of_two_levels_is_a_bernoulli() -> None:
    head = heads.Ordinal(1, 2)
    p = head(torch.randn(S, B, F))
    x = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    torch.testing.assert_close(p.base_dist.log_prob(x).exp().sum(0), torch.ones(S, B, 1))


def test_counts_have_the_moments_they_say() -> None:
    features = torch.randn(1, 2, F)
    binomial = heads.NegativeBinomial(3)
    nn.init.normal_(binomial.raw_dispersion)
    for head in (heads.Poisson(3), binomial, heads.ZeroInflated(heads.Poisson(3))):
        p = head(features)
        x: Tensor = p.sample((40_000,))
        error = (p.variance / len(x)).sqrt()
        assert ((x.mean(0) - p.mean).abs() < 5 * error).all()
    p, r = binomial(features), binomial.raw_dispersion / (1 + binomial.raw_dispersion.abs() / 7)
    torch.testing.assert_close(p.variance, p.mean + p.mean.square() / r.exp())
    (raw,) = binomial.raw(features)  # μ depends on z alone, whatever the dispersion
    torch.testing.assert_close(p.mean, (raw / (1 + raw.abs() / 15)).exp())
