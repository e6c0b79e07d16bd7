"""Pixels: one contract over every head, and what is particular to a few."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.distributions import Distribution

from variate.distributions import temper
from variate.errors import OptionError, SupportError
from variate.models import likelihoods, pixels
from variate.specification import describe, revive
from variate.training.health import check_support

S, B, F, H, W = 2, 3, 7, 4, 5

HEADS: dict[str, Callable[..., nn.Module]] = {
    "bernoulli": lambda c=1: pixels.BernoulliPixels(c),
    "mixture": lambda c=1: pixels.LogisticMixturePixels(c),
    "mixture-colour": lambda c=3: pixels.LogisticMixturePixels(c, components=4),
    "mixture-alpha": lambda c=4: pixels.LogisticMixturePixels(c, 16),
    "mixture-16-bits": lambda c=1: pixels.LogisticMixturePixels(c, 2**16, components=2),
    "single-logistic": lambda c=3: pixels.LogisticMixturePixels(c, components=1),
    "categorical": lambda c=3: pixels.CategoricalPixels(c, 8),
    "continuous-bernoulli": lambda c=3: pixels.ContinuousBernoulliPixels(c),
    "gaussian": lambda c=3: pixels.GaussianPixels(c),
    "gaussian-fixed": lambda c=3: pixels.GaussianPixels(c, 256, likelihoods.FixedScale(0.1)),
    "gaussian-optimal": lambda c=3: pixels.GaussianPixels(c, 256, likelihoods.OptimalScale()),
}
REAL = {"continuous-bernoulli", "gaussian", "gaussian-fixed", "gaussian-optimal"}


def levels_of(head: nn.Module, *shape: int) -> torch.Tensor:
    x = torch.randint(0, head.levels, (*shape, head.channels, H, W))
    return x.to(torch.uint8 if head.levels <= 256 else torch.int32)


@pytest.mark.parametrize("name", HEADS)
def test_contract(name: str) -> None:
    head, features = HEADS[name](), torch.randn(S, B, F, H, W)
    p: Distribution = head(features)
    event = (head.channels, H, W)
    assert p.batch_shape == (S, B)
    assert p.event_shape == event
    drawn = p.sample()
    assert drawn.shape == (S, B, *event)
    if name not in REAL:
        assert drawn.dtype == (torch.uint8 if head.levels <= 256 else torch.int32)
    check_support(p, drawn[0])
    x = levels_of(head, B)  # [B, *event], and scored by every draw of z
    check_support(p, x)
    log_p = p.log_prob(x)
    assert log_p.shape == (S, B)
    assert log_p.isfinite().all()
    assert p.mean.shape == (S, B, *event)
    assert temper(p, 0.5).log_prob(x).shape == (S, B)
    log_p.sum().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", HEADS)
def test_a_model_file_can_keep_the_head(name: str) -> None:
    head, features = HEADS[name]().eval(), torch.randn(S, B, F, H, W)
    x = levels_of(head, B)
    expected = head(features).log_prob(x)
    other = revive(describe(HEADS[name]())).eval()
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features).log_prob(x), expected)


@pytest.mark.parametrize("name", HEADS)
def test_extreme_features_have_a_finite_density_and_a_gradient(name: str) -> None:
    head = HEADS[name]().eval()
    head(torch.randn(1, 2, F, H, W))
    x = levels_of(head, 2)
    for size in (1e2, 1e4):
        features = (size * torch.randn(1, 2, F, H, W)).requires_grad_()
        log_p = head(features).log_prob(x)
        assert log_p.isfinite().all()
        (slope,) = torch.autograd.grad(log_p.sum(), features)
        assert slope.isfinite().all()
        assert (slope.abs().sum((-3, -2, -1)) > 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_nothing_waits_for_the_device(name: str) -> None:
    """On the meta device there are no values to wait for, and all tensors must be there."""
    head = HEADS[name]()
    head(torch.randn(S, B, F, H, W))
    x = levels_of(head, B).to("meta")
    head.to("meta")(torch.randn(S, B, F, H, W, device="meta")).log_prob(x).sum().backward()


@pytest.mark.parametrize("name", HEADS)
def test_features_of_bfloat16_give_a_density_in_float32(name: str) -> None:
    head, features = HEADS[name](), torch.randn(S, B, F, H, W)
    head(features)
    x = levels_of(head, B)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p = head(features)
    assert p.log_prob(x).dtype == torch.float32
    wide = head.double()(features.double())
    assert wide.log_prob(x).dtype == torch.float64


@pytest.mark.parametrize("name", ["mixture-alpha", "categorical", "bernoulli"])
def test_the_masses_of_one_pixel_sum_to_one(name: str) -> None:
    head = HEADS[name](1)
    head(torch.randn(1, 1, F, 1, 1))
    p = head.double()(torch.randn(1, 1, F, 1, 1, dtype=torch.float64))
    x = torch.arange(head.levels).reshape(-1, 1, 1, 1, 1)
    total = p.log_prob(x).exp().sum().detach()
    assert float(total) == pytest.approx(1, abs=1e-12)


def test_a_bernoulli_is_for_binary_pixels() -> None:
    with pytest.raises(OptionError, match="Use LogisticMixturePixels"):
        pixels.BernoulliPixels(1, 256)
    grey = torch.full((2, 1, H, W), 200, dtype=torch.uint8)
    with pytest.raises(SupportError, match="LogisticMixturePixels"):
        check_support(pixels.BernoulliPixels(1)(torch.randn(1, 1, F, H, W)), grey)


@pytest.mark.parametrize("head", [pixels.LogisticMixturePixels, pixels.CategoricalPixels])
def test_sizes_are_checked(head: type[nn.Module]) -> None:
    with pytest.raises(OptionError, match="channels must be a positive"):
        head(0)
    for levels in (1, 2**17, 2.5):
        with pytest.raises(OptionError, match="levels must be a whole number from 2"):
            head(1, levels)
    with pytest.raises(OptionError, match="components must be"):
        pixels.LogisticMixturePixels(1, components=0)


def test_a_density_is_per_level() -> None:
    """The same features, once in levels and once in levels of half the width."""
    features = torch.randn(1, B, F, H, W)
    fine, coarse = pixels.GaussianPixels(1, 511), pixels.GaussianPixels(1, 256)
    fine(features), coarse(features)
    fine.load_state_dict(coarse.state_dict())
    x = levels_of(coarse, B)
    difference = coarse(features).log_prob(x) - fine(features).log_prob(x.int() * 2)
    expected = torch.full_like(difference, H * W * torch.tensor(2.0).log())
    torch.testing.assert_close(difference, expected, rtol=1e-4, atol=0)


def test_the_logistics_start_spread_over_the_levels() -> None:
    p = pixels.LogisticMixturePixels(1, 256)(torch.zeros(1, 1, F, 1, 1))
    low, high = float(p.location.detach().min()), float(p.location.detach().max())
    assert -100 < low < 60
    assert 190 < high < 355
    x = torch.arange(256).reshape(-1, 1, 1, 1, 1)
    assert p.log_prob(x).min() > -9
