"""Pixels: normalised over every image, sampled as scored, and precise in float32."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as td

from variate.distributions import (
    Bits,
    ContinuousBernoulli,
    DiscretisedLogisticMixture,
    Labels,
    Rescaled,
    bounded_scale,
    temper,
)
from variate.errors import SupportError
from variate.training.health import check_support

K = 3


def mixture(channels, levels, spread=1.0, dtype=torch.float64, batch=()):
    """Locations well inside and far outside of the levels, scales from narrow to wide."""
    shape = (*batch, K, channels, 1, 1)
    return DiscretisedLogisticMixture(
        torch.randn(*batch, K, 1, 1, dtype=dtype),
        (levels - 1) / 2 * (1 + spread * torch.randn(shape, dtype=dtype)),
        levels / 2 * bounded_scale(3 * torch.randn(shape, dtype=dtype) - 1, 1 / 8 / levels),
        levels,
        torch.randn(*batch, K, channels * (channels - 1) // 2, 1, 1, dtype=dtype).tanh()
        if channels > 1
        else None,
        validate_args=False,
    )


def every_pixel(channels, levels):
    """All pixels there are, [levels^C, C, 1, 1]."""
    all_of_them = itertools.product(range(levels), repeat=channels)
    return torch.tensor(list(all_of_them), dtype=torch.uint8).reshape(-1, channels, 1, 1)


@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0])
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 4), (1, 8), (3, 2), (3, 4), (3, 8)])
def test_the_masses_of_all_pixels_sum_to_one(channels, levels, spread):
    x = every_pixel(channels, levels)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        for _ in range(5):
            p = mixture(channels, levels, spread, dtype)
            total = p.log_prob(x).double().exp().sum()
            assert float(total) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("levels", [256, 1024, 65536])
def test_one_channel_of_many_levels_sums_to_one(levels):
    x = torch.arange(levels, dtype=torch.int32).reshape(-1, 1, 1, 1)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        p = mixture(1, levels, dtype=dtype)
        assert float(p.log_prob(x).double().exp().sum()) == pytest.approx(1, abs=tolerance)


def test_a_channel_sums_out_to_the_law_of_those_before_it():
    p = mixture(3, 256)
    first = DiscretisedLogisticMixture(
        p.logits, p.location[..., :2, :, :], p.scale[..., :2, :, :], 256, p.slopes[..., :1, :, :]
    )
    for x in (torch.tensor([3, 250]), torch.tensor([0, 255]), torch.tensor([128, 90])):
        pixels = torch.cat([x.expand(256, 2), torch.arange(256).unsqueeze(1)], 1)
        total = p.log_prob(pixels.reshape(256, 3, 1, 1)).logsumexp(0)
        torch.testing.assert_close(total, first.log_prob(x.reshape(2, 1, 1)), rtol=1e-11, atol=0)
    last = DiscretisedLogisticMixture(
        p.logits, p.location[..., :1, :, :], p.scale[..., :1, :, :], 9
    )
    x = torch.arange(9).reshape(9, 1, 1, 1)
    assert float(last.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_it_is_the_difference_of_two_distribution_functions():
    weights, location, scale = torch.tensor(
        [[0.2, 0.5, 0.3], [3.0, 9.0, 14.0], [0.5, 2.0, 5.0]], dtype=torch.float64
    )
    shape = (3, 1, 1, 1)
    p = DiscretisedLogisticMixture(
        weights.log().reshape(3, 1, 1), location.reshape(shape), scale.reshape(shape), 16
    )
    edges = np.concatenate([[-np.inf], np.arange(15) + 0.5, [np.inf]])
    cdf = stats.logistic(location.numpy()[:, None], scale.numpy()[:, None]).cdf(edges)
    expected = weights.numpy() @ np.diff(cdf, axis=1)
    ours = p.log_prob(torch.arange(16).reshape(16, 1, 1, 1)).exp()
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_independent_given_the_parameters(channels):
    shape = (2, 5, K, channels, 4, 3)
    slopes = channels * (channels - 1) // 2
    p = DiscretisedLogisticMixture(
        torch.randn(2, 5, K, 4, 3),
        128 + 50 * torch.randn(shape),
        torch.rand(shape) * 30 + 1,
        256,
        torch.randn(2, 5, K, slopes, 4, 3),
    )
    x = torch.randint(0, 256, (5, channels, 4, 3), dtype=torch.uint8)
    assert p.batch_shape == (2, 5)
    assert p.event_shape == (channels, 4, 3)
    assert p.log_prob(x).shape == (2, 5)
    one = DiscretisedLogisticMixture(
        p.logits[..., 1:2, 2:3],
        p.location[..., 1:2, 2:3],
        p.scale[..., 1:2, 2:3],
        256,
        p.slopes[..., 1:2, 2:3],
    )
    pixel = p.log_prob_of_pixels(x)[..., 1, 2]
    torch.testing.assert_close(one.log_prob(x[..., 1:2, 2:3]), pixel)
    torch.testing.assert_close(p.log_prob_of_pixels(x).sum((-2, -1)), p.log_prob(x))
    assert p.expand((3, 2, 5)).log_prob(x).shape == (3, 2, 5)
    assert p.sample((7,)).shape == (7, 2, 5, channels, 4, 3)
    assert p.mean.shape == (2, 5, channels, 4, 3)


@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_draws_follow_the_law(spread):
    p = mixture(2, 4, spread)
    x = p.sample((200_000,))
    assert x.dtype == torch.uint8
    assert p.support.check(x).all()
    code = x[:, 0, 0, 0].long() * 4 + x[:, 1, 0, 0]
    share = torch.bincount(code, minlength=16) / len(x)
    mass = p.log_prob(every_pixel(2, 4)).exp()
    error = (mass * (1 - mass) / len(x)).sqrt() + 1e-9
    assert ((share - mass).abs() < 4.5 * error).all()


def test_the_location_is_moved_by_the_level_and_not_by_what_was_rounded_to_it():
    """PixelCNN++'s sampler uses the number before rounding; then x_2 would not be as narrow."""
    shape = (1, 2, 1, 1)
    p = DiscretisedLogisticMixture(
        torch.zeros(1, 1, 1),
        torch.full(shape, 1.5),
        torch.tensor([1.0, 1e-3]).reshape(shape),
        4,
        torch.ones(1, 1, 1, 1),
    )
    x = p.sample((2000,))
    assert torch.equal(x[:, 0], x[:, 1])


def test_more_than_256_levels_are_int32():
    assert mixture(1, 300).sample().dtype == torch.int32
    assert Labels(logits=torch.zeros(300)).sample().dtype == torch.int32


EXTREME = [  # location, scale, level: narrow, at the centre, beside it, at an edge, far out
    (100.0, 1 / 16, 100),
    (100.0, 1 / 16, 101),
    (100.3, 1 / 16, 0),
    (-3e4, 1 / 16, 255),
    (-3e4, 1 / 16, 0),
    (3e6, 0.5, 0),
    (3e6, 0.5, 128),
    (127.5, 1e6, 0),
    (127.5, 1e6, 128),
    (127.5, 1e6, 255),
    (0.0, 1e-3, 1),
    (255.0, 5.0, 255),
]


@pytest.mark.parametrize(("location", "scale", "level"), EXTREME)
def test_float32_agrees_with_float64_and_has_a_gradient_at_the_extremes(location, scale, level):
    found = []
    for dtype in (torch.float32, torch.float64):
        parameters = torch.tensor([location, scale], dtype=torch.float32).to(dtype)
        parameters.requires_grad_()
        mu, s = (part.reshape(1, 1, 1, 1) for part in parameters)
        p = DiscretisedLogisticMixture(torch.zeros(1, 1, 1, dtype=dtype), mu, s, 256)
        log_p = p.log_prob(torch.full((1, 1, 1), level, dtype=torch.uint8))
        (slope,) = torch.autograd.grad(log_p, parameters)
        assert log_p.isfinite()
        assert slope.isfinite().all()
        found.append((log_p.double(), slope.double()))
    torch.testing.assert_close(found[0], found[1], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("x", [0, 3, 7])
def test_gradients_are_those_of_finite_differences(x):
    logits, location = torch.randn(K, 1, 1).double(), 4 + 3 * torch.randn(K, 3, 1, 1).double()
    raw, slopes = torch.randn(K, 3, 1, 1).double(), torch.randn(K, 3, 1, 1).double()
    value = torch.tensor([x, 7 - x, 2]).reshape(3, 1, 1)

    def log_p(logits, location, raw, slopes):
        return DiscretisedLogisticMixture(logits, location, raw.exp(), 8, slopes).log_prob(value)

    given = [tensor.requires_grad_() for tensor in (logits, location, raw, slopes)]
    assert torch.autograd.gradcheck(log_p, given)


def test_the_mean_is_within_half_a_level():
    x = torch.arange(32).reshape(-1, 1, 1, 1)
    for _ in range(50):
        p = mixture(1, 32)
        exact = (p.log_prob(x).exp() * x.flatten()).sum()
        assert abs(float(p.mean) - float(exact)) < 0.5
        assert 0 <= float(p.mean) <= 31


def test_a_temperature_narrows_every_distribution_of_pixels():
    for wide in (
        mixture(3, 256),
        td.Independent(Labels(logits=torch.randn(3, 4, 4, 8)), 3),
        td.Independent(Bits(torch.randn(1, 4, 4)), 3),
        td.Independent(Rescaled(td.Normal(torch.zeros(1, 4, 4), 1.0), 3.0, 2.0), 3),
    ):
        narrow = temper(wide, 0.01)
        assert narrow.event_shape == wide.event_shape
        x = narrow.sample((50,))
        assert x.dtype == wide.sample().dtype
        assert narrow.log_prob(x).mean() > wide.log_prob(wide.sample((50,))).mean()


class TestBitsAndLabels:
    def test_bits_of_any_type(self):
        p = Bits(torch.randn(4, 3))
        x = p.sample()
        assert x.dtype == torch.uint8
        expected = td.Bernoulli(logits=p.logits).log_prob(x.float())
        for dtype in (torch.uint8, torch.int32, torch.float32, torch.float64, torch.bool):
            torch.testing.assert_close(p.log_prob(x.to(dtype)), expected)
        torch.testing.assert_close(p.mean, p.logits.sigmoid())
        assert p.expand((2, 4, 3)).log_prob(x).shape == (2, 4, 3)
        assert float((Bits(torch.zeros(10_000) + 2).sample() * 1.0).mean()) == pytest.approx(
            0.8808, abs=0.02
        )

    def test_the_two_bits_sum_to_one(self):
        p = Bits(torch.tensor([-400.0, -3.0, 0.0, 8.0, 300.0]).double())
        torch.testing.assert_close(
            p.log_prob(torch.zeros(5)).exp() + p.log_prob(torch.ones(5)).exp(),
            torch.ones(5).double(),
        )

    def test_labels(self):
        p = Labels(logits=torch.randn(5, 4).double())
        x = torch.arange(4, dtype=torch.uint8).reshape(4, 1)
        mass = p.log_prob(x).exp()
        torch.testing.assert_close(mass.sum(0), torch.ones(5).double())
        torch.testing.assert_close(p.mean, (mass * x).sum(0))
        assert p.sample((3,)).dtype == torch.uint8
        assert p.expand((2, 5)).sample().shape == (2, 5)


class TestRescaled:
    def test_it_integrates_to_one_over_the_levels(self):
        shares = ContinuousBernoulli(torch.tensor([-30.0, 0.0, 2.0]).double())
        p = Rescaled(shares, 0.0, 255.0, (0.0, 255.0))
        x = torch.linspace(0, 255, 100_001, dtype=torch.float64).unsqueeze(1)
        torch.testing.assert_close(
            torch.trapezoid(p.log_prob(x).exp(), x, dim=0),
            torch.ones(3).double(),
            rtol=1e-5,
            atol=0,
        )
        torch.testing.assert_close(p.mean, 255 * shares.mean)
        assert p.support.check(p.sample((100,))).all()
        assert p.expand((2, 3)).log_prob(x[0]).shape == (2, 3)

    def test_of_a_normal_it_is_a_normal(self):
        p = Rescaled(td.Normal(torch.tensor(0.2), torch.tensor(0.1)), 127.5, 127.5)
        same = td.Normal(torch.tensor(153.0), torch.tensor(12.75))
        x = torch.tensor([0, 150, 255], dtype=torch.uint8)
        torch.testing.assert_close(p.log_prob(x), same.log_prob(x.float()))
        torch.testing.assert_close((p.mean, p.stddev), (same.mean, same.stddev))


class TestSupport:
    def image(self, base):
        return td.Independent(base, 3, validate_args=False)

    def test_grey_under_a_bernoulli_says_what_to_use(self):
        grey = torch.zeros(5, 1, 4, 4, dtype=torch.uint8)
        grey[3, 0, 1, 2] = 128
        with pytest.raises(SupportError, match=r"row 3, position \(0, 1, 2\).*128") as caught:
            check_support(self.image(Bits(torch.zeros(1, 1, 1, 4, 4))), grey)
        assert "LogisticMixturePixels" in str(caught.value)
        with pytest.raises(SupportError, match="make them binary"):
            check_support(self.image(Bits(torch.zeros(1, 1, 1, 4, 4))), grey / 255)
        check_support(self.image(Bits(torch.zeros(1, 1, 1, 4, 4))), (grey > 0).float())

    @pytest.mark.parametrize("value", [16.0, -1.0, 0.5, float("nan"), float("inf")])
    def test_levels_that_there_are_not(self, value):
        for p in (
            mixture(1, 16, batch=(1, 1)),
            self.image(Labels(logits=torch.zeros(1, 4, 4, 16))),
        ):
            x = torch.zeros(2, 1, 4, 4)
            check_support(p, x)
            x[1, 0, 3, 0] = value
            with pytest.raises(SupportError, match=r"row 1.*the whole numbers 0 to 15"):
                check_support(p, x)

    def test_densities(self):
        p = self.image(Rescaled(ContinuousBernoulli(torch.zeros(1, 4, 4)), 0.0, 15.0, (0.0, 15.0)))
        check_support(p, torch.full((1, 1, 4, 4), 15, dtype=torch.uint8))
        with pytest.raises(SupportError):
            check_support(p, torch.full((1, 1, 4, 4), 16, dtype=torch.uint8))

    def test_validation_on_request(self):
        p = mixture(1, 16)
        strict = DiscretisedLogisticMixture(p.logits, p.location, p.scale, 16, validate_args=True)
        with pytest.raises(ValueError, match="support"):
            strict.log_prob(torch.full((1, 1, 1), 16))
