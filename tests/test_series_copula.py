"""Noise that wanders: normalised whatever is observed, and draws that follow what log_prob says."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from variate.series.copula import noise, normal_scores, path, tied_after, tied_around
from variate.series.law import Steps, Units, shapes
from variate.series.scaling import Scaling

LOGITS = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
RELATIVE = shapes(3).double().exp()[None]
REAL = Scaling(*(np.array([v]) for v in (0.0, 1.0, 0.0, -20.0, 20.0)))
WHOLE = Scaling(*(np.array([v]) for v in (3.0, 2.0, 1.0, -400.0, 400.0)))
NAN = torch.nan


def phi(value):
    return torch.tensor([value], dtype=torch.float64)


def law(value, location, scaling=REAL, scale=0.4):
    location = torch.tensor(location, dtype=torch.float64)[:, None]
    return Steps(
        Units(scaling), location, torch.full_like(location, scale), LOGITS, RELATIVE, phi(value)
    )


def dense(value, steps):
    at = np.arange(steps)
    return value ** np.abs(at[:, None] - at)


def test_normal_scores_are_odd_and_noise_is_their_inverse():
    y = torch.linspace(-60, 60, 401, dtype=torch.float64)[:, None]
    w = normal_scores(y, LOGITS, RELATIVE)
    assert (w.diff(dim=0) > 0).all()
    torch.testing.assert_close(w, -w.flip(0))
    torch.testing.assert_close(noise(w, LOGITS, RELATIVE), y, rtol=1e-8, atol=1e-9)
    share = (LOGITS.softmax(-1) * torch.sigmoid(1.5 / RELATIVE)).sum().item()
    one = normal_scores(torch.tensor([[1.5]], dtype=torch.float64), LOGITS, RELATIVE)
    assert one.item() == pytest.approx(norm.ppf(share))


@pytest.mark.parametrize("value", [0.8, -0.6, 0.0])
def test_what_other_steps_tell_is_what_a_gaussian_has(value):
    rng = np.random.default_rng(0)
    w = torch.from_numpy(rng.normal(size=(9, 1)))
    observed = torch.tensor([0, 1, 0, 0, 1, 1, 0, 1, 0], dtype=torch.bool)[:, None]
    covariance = dense(value, 9)
    for tie, reach in ((tied_after(w, observed, phi(value)), "before"),
                       (tied_around(w, observed, phi(value)), "all")):  # fmt: skip
        for t in range(9):
            seen = observed[:, 0].numpy().copy()
            seen[t] = False
            if reach == "before":
                seen[t:] = False
            among = covariance[np.ix_(seen, seen)]
            with_t = covariance[t, seen]
            weights = np.linalg.solve(among, with_t) if seen.any() else with_t
            mean = float(weights @ w[seen, 0].numpy())
            variance = 1 - float(weights @ with_t)
            assert tie.mean[t, 0].item() == pytest.approx(mean, abs=1e-10)
            square = tie.deviation.expand_as(w)[t, 0].item() ** 2
            assert square == pytest.approx(variance, abs=1e-10)


def test_paths_have_the_covariance_given_what_is_observed():
    torch.manual_seed(0)
    observed = torch.tensor([0, 1, 0, 0, 1, 0], dtype=torch.bool)[:, None]
    w = torch.tensor([0.0, 1.5, 0.0, 0.0, -1.0, 0.0], dtype=torch.float64)[:, None]
    drawn = path(w.expand(40_000, 6, 1), observed.expand(40_000, 6, 1), phi(0.8))[..., 0]
    assert (drawn[:, 1] == 1.5).all()
    assert (drawn[:, 4] == -1.0).all()
    covariance = dense(0.8, 6)
    seen, hidden = [1, 4], [0, 2, 3, 5]
    gain = covariance[np.ix_(hidden, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    np.testing.assert_allclose(drawn[:, hidden].mean(0), gain @ [1.5, -1.0], atol=0.02)
    left = covariance[np.ix_(hidden, hidden)] - gain @ covariance[np.ix_(seen, hidden)]
    np.testing.assert_allclose(np.cov(drawn[:, hidden].numpy().T), left, atol=0.02)


def test_the_density_is_that_of_the_copula():
    one = law(0.7, [0.1, -0.3, 0.5, 0.2])
    x = torch.tensor([0.5, 1.2, NAN, -0.8], dtype=torch.float64)[:, None]
    w = normal_scores((torch.asinh(x) - one.location) / 0.4, LOGITS, RELATIVE)[:, 0].numpy()
    seen = [0, 1, 3]
    copula = multivariate_normal(np.zeros(3), dense(0.7, 4)[np.ix_(seen, seen)]).logpdf(w[seen])
    alone = law(0.0, [0.1, -0.3, 0.5, 0.2]).log_prob(x).item()
    expected = alone + copula - norm.logpdf(w[seen]).sum()
    assert one.log_prob(x).item() == pytest.approx(expected, rel=1e-9)


def test_a_gap_is_the_integral_over_what_it_hides():
    one = law(0.8, [0.1, -0.3, 0.5])
    v = torch.linspace(-9, 9, 8001, dtype=torch.float64)
    x = torch.tensor([1.1, 0.0, 0.7], dtype=torch.float64).expand(8001, 3).clone()
    x[:, 1] = torch.sinh(v)
    total = torch.trapezoid(one.log_prob(x[..., None]).exp(), x[:, 1]).log().item()
    gone = torch.tensor([1.1, NAN, 0.7], dtype=torch.float64)[:, None]
    assert one.log_prob(gone).item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("x", [[2.0, NAN, None], [-7.0, 4.0, None], [NAN, NAN, None]])
def test_masses_of_a_step_on_a_grid_sum_to_one_whatever_came_before(x):
    one = law(0.8, [0.1, -0.3, 0.5], WHOLE)
    x = [0.0 if v is None else v for v in x]
    every = torch.arange(-30_000, 30_001, dtype=torch.float64)
    given = torch.tensor(x, dtype=torch.float64).expand(len(every), 3).clone()
    given[:, 2] = every
    masses = one.log_cells(given[..., None])[:, 2, 0].exp()
    assert masses.sum().item() == pytest.approx(1.0, abs=2e-4)  # the rest is in the tails
    assert masses.sum().item() <= 1 + 1e-9


def test_a_fine_grid_has_the_density_of_none():
    fine = Scaling(*(np.array([v]) for v in (0.0, 1.0, 1e-6, -20.0, 20.0)))
    x = torch.tensor([0.5, 1.2, -0.8], dtype=torch.float64)[:, None]
    place = [0.1, -0.3, 0.5]
    masses, density = law(0.9, place, fine).log_cells(x), law(0.9, place).log_cells(x)
    torch.testing.assert_close(masses - math.log(1e-6), density, rtol=1e-5, atol=1e-5)


def test_far_out_and_untied_nothing_is_lost():
    x = torch.tensor([1e9, -1e9, 3.0], dtype=torch.float64)[:, None]
    for scaling in (REAL, WHOLE):
        one = law(0.9, [0.0, 0.0, 0.0], scaling, scale=0.01)
        one.location.requires_grad_()
        one.log_prob(x).backward()
        assert torch.isfinite(one.log_prob(x))
        assert torch.isfinite(one.location.grad).all()
        free = law(0.0, [0.0, 0.0, 0.0], scaling)
        each = [free.log_prob(torch.where(torch.eye(3)[:, [t]] > 0, x, NAN)) for t in range(3)]
        torch.testing.assert_close(free.log_cells(x)[:, 0], torch.stack(each))


def test_what_comes_later_and_what_is_hidden_tell_nothing():
    one = law(0.8, [0.1, -0.3, 0.5, 0.2])
    x = torch.tensor([0.5, 1.2, -0.8, 0.3], dtype=torch.float64)[:, None]
    other = x.clone()
    other[2:] = 7.0
    torch.testing.assert_close(one.log_cells(x)[:2], one.log_cells(other)[:2], rtol=0, atol=0)
    shown = torch.where(torch.arange(4)[:, None] < 2, x, NAN)
    for a, b in zip(one.log_tails(x, shown), one.log_tails(other, shown), strict=True):
        torch.testing.assert_close(a[:2], b[:2], rtol=0, atol=0)
    torch.manual_seed(0)
    first = one.filled(shown)
    torch.manual_seed(0)
    torch.testing.assert_close(first, one.filled(shown.clone()), rtol=0, atol=0)


def test_phi_has_a_gradient_where_it_starts():
    value = phi(0.0).requires_grad_()
    place = torch.zeros(3, 1, dtype=torch.float64)
    one = Steps(Units(REAL), place, place + 0.4, LOGITS, RELATIVE, value)
    one.log_prob(torch.tensor([[0.5], [0.6], [0.4]], dtype=torch.float64)).backward()
    assert value.grad.item() > 0


@pytest.mark.parametrize("scaling", [REAL, WHOLE], ids=["real", "grid"])
def test_draws_are_as_likely_as_the_law_says(scaling):
    """Of all normalised laws, the one that draws come from finds them likeliest."""
    torch.manual_seed(0)
    place = [0.1, -0.3, 0.5, 0.2, 0.0, 0.4]
    drawn = law(0.8, place, scaling).sample(torch.Size((20_000,)))
    found = {v: law(v, place, scaling).log_prob(drawn).mean().item() for v in (0.7, 0.8, 0.9)}
    assert max(found, key=found.get) == 0.8


def test_draws_on_a_grid_have_the_masses_of_the_law():
    torch.manual_seed(0)
    one = law(0.9, [0.1, -0.2], WHOLE, scale=0.2)  # about the width of a cell
    drawn = one.sample(torch.Size((100_000,)))[..., 0]
    for pair in ([3.0, 3.0], [4.0, 2.0], [3.0, 1.0], [5.0, 3.0], [2.0, 4.0]):
        at = torch.tensor(pair, dtype=torch.float64)
        share = (drawn == at).all(-1).double().mean().item()
        assert share == pytest.approx(one.log_prob(at[:, None]).exp().item(), abs=0.003)


def test_a_cell_that_is_nearly_certain_tells_nothing():
    sure = law(0.9, [0.02, 0.1], WHOLE, scale=0.02)
    x = torch.tensor([3.0, 3.0], dtype=torch.float64)[:, None]
    alone = law(0.0, [0.02, 0.1], WHOLE, scale=0.02).log_cells(x)[1].item()
    assert sure.log_cells(x)[1].item() == pytest.approx(alone, abs=0.05)


def test_what_is_filled_in_has_the_tails_that_are_stated():
    torch.manual_seed(0)
    one = law(0.8, [0.1, -0.3, 0.5, 0.2])
    shown = torch.tensor([2.0, NAN, NAN, -1.0], dtype=torch.float64)[:, None]
    many = Steps(one.units, one.location.expand(40_000, 4, 1), one.scale, LOGITS, RELATIVE, one.phi)
    drawn = many.filled(shown.expand(40_000, 4, 1))
    assert torch.equal(drawn[:, [0, 3]], shown[[0, 3]].expand(40_000, 2, 1))
    at = torch.tensor([2.0, 0.6, 0.4, -1.0], dtype=torch.float64)[:, None]
    below, above = one.log_tails(at, shown)
    share = (drawn <= at).double().mean(0)
    torch.testing.assert_close(below.exp()[1:3], share[1:3], atol=0.01, rtol=0)
    torch.testing.assert_close(below.exp() + above.exp(), torch.ones(4, 1, dtype=torch.float64))
