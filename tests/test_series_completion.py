"""Hidden cells and step scores, where the law given the others is known by quadrature.

The model has one latent dimension: z ~ N(0, 1), the location of T(x_t) is z·a_t, the noise is
logistic. Its encoder knows nothing, q = N(0, 1), so that all that is right comes from the weights.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from variate.models import VAE, priors
from variate.series.completion import completed, extended, filled, weighed
from variate.series.law import Steps, Units
from variate.series.scaling import Scaling
from variate.series.surprise import Costs, Scan, costs, expected, smoothed

LENGTH = 6
SCALING = Scaling(*(np.array([v]) for v in (0.0, 1.0, 0.0, -20.0, 20.0)))
A = torch.tensor([1.0, -1.0, 0.5, 1.0, 2.0, 1.5], dtype=torch.float64)
NOISE = 0.3


class Blind(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x):
        mean = torch.zeros(len(x), 1, dtype=torch.float64) + self.weight
        return Independent(Normal(mean, torch.ones_like(mean)), 1)


class Line(nn.Module):
    def __init__(self, phi=0.0):
        super().__init__()
        self.phi = phi
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.units = Units(SCALING)

    def forward(self, z):
        location = (z * A + self.weight).unsqueeze(-1)
        scale = torch.full_like(location, NOISE)
        one = torch.zeros(1, 1, dtype=torch.float64)
        phi = torch.full((1,), self.phi, dtype=torch.float64)
        return Steps(self.units, location, scale, one, one.exp(), phi)


@pytest.fixture
def model():
    return VAE(Blind(), Line(), priors.StandardNormal(1).double())


def exact(x):
    """Weights of z on a grid given the observed cells of x `[L]`."""
    z = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    law = Line()(z[:, None, None])
    log_p = law.log_prob(x[None, None, :, None])[:, 0] - z.square() / 2
    return z, log_p.softmax(0)


def window():
    return torch.tensor([0.9, -0.4, torch.nan, 1.4, torch.nan, torch.nan], dtype=torch.float64)


def test_drawn_cells_follow_the_law_given_the_others(model):
    x = window()
    z, weight = exact(x)
    drawn = completed(model, x.expand(4000, 1, LENGTH).mT.contiguous(), 200)
    assert torch.equal(drawn[:, 0, 0], torch.full((4000,), 0.9, dtype=torch.float64))
    location = torch.asinh(drawn[:, 4, 0])
    mean = (weight * z).sum()
    spread = ((weight * (z - mean) ** 2).sum() * 4 + (NOISE * np.pi) ** 2 / 3).sqrt()
    assert location.mean().item() == pytest.approx(2 * mean.item(), abs=0.06)
    assert location.std().item() == pytest.approx(spread.item(), abs=0.06)
    # the two gaps move together, as z is one
    both = np.corrcoef(location, torch.asinh(drawn[:, 5, 0]))[0, 1]
    assert both > 0.05


def test_drawn_cells_follow_noise_that_wanders():
    wandering = VAE(Blind(), Line(0.9), priors.StandardNormal(1).double())
    x = torch.tensor([torch.nan, 0.9, torch.nan, 1.4, 1.8, torch.nan], dtype=torch.float64)
    drawn = completed(wandering, x.expand(4000, 1, LENGTH).mT.contiguous(), 400)[..., 0]
    z = torch.linspace(-6, 6, 801, dtype=torch.float64)
    law = Line(0.9)(z[:, None, None])
    log_p = law.log_prob(x[None, None, :, None])[:, 0] - z.square() / 2
    below, _ = law.log_tails(torch.full((6, 1), 1.5, dtype=torch.float64), x[:, None])
    expected = (log_p.softmax(0)[:, None] * below[:, 0, :, 0].exp()).sum(0)
    share = (drawn <= 1.5).double().mean(0)
    for t in (0, 2, 5):
        assert share[t].item() == pytest.approx(expected[t].item(), abs=0.03)


def test_weights_are_those_of_the_posterior(model):
    x = window()
    z, weight = exact(x)
    torch.manual_seed(1)
    law, log_w = weighed(model, x[None, :, None], 20_000)
    found = (log_w.exp()[:, 0] * law.location[:, 0, 0, 0].double()).sum().item()
    assert found == pytest.approx((weight * z).sum().item(), abs=0.03)
    assert log_w.exp().sum().item() == pytest.approx(1.0)


def test_what_was_to_be_expected_is_the_tail_given_the_rest(model):
    values = np.sinh(np.array([0.9, -0.8, 3.0, 0.8, 1.9, 1.4]))[:, None]
    asked = np.arange(LENGTH) == 2  # in the middle, so that the window is the series
    found = expected(model, values, LENGTH, asked, 20_000, 0)
    hidden = torch.from_numpy(values[:, 0]).clone()
    hidden[2] = torch.nan
    z, weight = exact(hidden)
    logistic = torch.sigmoid(-(3.0 - z * A[2]) / NOISE)  # P(X ≥ x | z)
    tail = (weight * logistic).sum().item()
    assert found.cells[2, 0] == pytest.approx(-np.log(2 * tail), rel=0.05)
    assert np.isnan(found.cells[[0, 1, 3, 4, 5]]).all()
    low, middle, high = found.band[:, 2, 0]
    assert low < middle < high < values[2, 0]


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_costs_of_steps_add_up_to_minus_the_elbo(phi):
    model = VAE(Blind(), Line(phi), priors.StandardNormal(1).double())
    values = np.sinh(np.array([0.9, -0.8, np.nan, 0.8, 1.9, 1.4]))[:, None]
    found = costs(model, values, LENGTH, 4000, 0)
    x = torch.from_numpy(values)[None]
    torch.manual_seed(5)
    inference = model(x, 4000)
    elbo = inference.log_weight(x).mean().item()
    assert np.nansum(found.told) == pytest.approx(-elbo, rel=0.03)
    np.testing.assert_allclose(found.code[[0, 5]], 0.0, atol=1e-9)  # the encoder knows nothing
    assert np.isnan([found.told[2], found.away[2], found.code[2]]).all()
    z = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    weight = (-z.square() / 2).softmax(0)
    for t in (0, 4):
        distance = (values[t, 0] - torch.sinh(z * A[t]).clamp(-60, 60)).abs()
        assert found.away[t] == pytest.approx((weight * distance).sum().item(), rel=0.1)


def test_scores_are_the_largest_of_three_means_in_usual_units():
    rng = np.random.default_rng(0)
    usual = Costs(*rng.normal(size=(3, 4000)))
    scan = Scan.of([usual], 16)
    assert np.median(np.abs(usual.code - scan.middle[2])) == pytest.approx(scan.spread[2])
    strange = Costs(*(part.copy() for part in (usual.told, usual.away, usual.code)))
    strange.told[100] += 40
    strange.away[300:400] += 3
    strange.code[500:520] += 9
    scores = scan.scores(strange)
    calm = scan.scores(usual)
    for inside in (slice(100, 102), slice(310, 390), slice(500, 520)):
        assert scores[inside].min() > np.quantile(calm, 0.999)
    assert np.isnan(scan.scores(usual.where(np.arange(4000) != 7))[7])


def test_gaps_longer_than_a_window_and_the_future_are_filled(model):
    values = np.random.default_rng(0).normal(size=(40, 1))
    values[10:30] = np.nan
    paths = filled(model, values, LENGTH, 5, 32, seed=0)
    assert paths.shape == (5, 40, 1)
    assert not np.isnan(paths).any()
    np.testing.assert_array_equal(paths[:, :10], np.repeat(values[None, :10], 5, 0))
    assert (paths[0, 10:30] != paths[1, 10:30]).all()
    ahead = extended(model, values, LENGTH, 11, 7, seed=0)
    assert ahead.shape == (7, 11, 1)
    assert not np.isnan(ahead).any()
    np.testing.assert_array_equal(ahead, extended(model, values, LENGTH, 11, 7, seed=0))


def test_draws_leave_the_callers_generator_alone(model):
    before = torch.get_rng_state()
    filled(model, np.array([[1.0], [np.nan]] * 4), LENGTH, 2, 8, seed=None)
    costs(model, np.ones((9, 1)), LENGTH, 4, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_smoothing_is_a_mean_of_what_is_known():
    score = np.array([1.0, np.nan, 4.0, 1.0])
    np.testing.assert_allclose(smoothed(score, 3), [1.0, np.nan, 2.5, 2.5])
    np.testing.assert_allclose(smoothed(score, 1), score)
