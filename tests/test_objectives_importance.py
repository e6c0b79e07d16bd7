"""Importance weights and the gradients built on them, against exact answers."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from variate import objectives
from variate.inference import Inference, Latent, Moment, rsample
from variate.models import posteriors
from variate.models.vae import VAE
from variate.objectives.importance import log_q_of_draws

END = Moment()


class Line(nn.Module):
    """z ~ N(0, 1), x|z ~ N(w z, 0.5²), q(z|x) = N(a x, e^2c): one number each, all known."""

    def __init__(self, a: float, c: float, w: float) -> None:
        super().__init__()
        self.a, self.c, self.w = (nn.Parameter(torch.tensor(v).double()) for v in (a, c, w))

    def posterior(self, x: Tensor) -> Distribution:
        return Independent(Normal(self.a * x, self.c.exp().expand_as(x)), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        return Independent(Normal(self.w * z, 0.5), 1)

    def prior(self) -> Distribution:
        zero = torch.zeros(1, dtype=torch.float64)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        q = self.posterior(x)
        z = rsample(q, samples)
        return Inference((Latent(z, q, self.prior()),), self.likelihood(z))

    def exact_bound(self, x: float, nodes: int = 60) -> Tensor:
        """L_2 of one x, the expectation over both draws by Gauss-Hermite quadrature."""
        grid, weight = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(nodes))
        weight = weight / weight.sum()
        item = torch.full((1, 1), x, dtype=torch.float64)
        q = self.posterior(item)
        z = (self.a * item + self.c.exp() * grid.reshape(-1, 1, 1)).reshape(-1, 1, 1)
        log_w = (
            self.likelihood(z).log_prob(item) + self.prior().log_prob(z) - q.log_prob(z)
        ).squeeze(1)
        pair = torch.logaddexp(log_w[:, None], log_w[None]) - math.log(2)
        return (weight[:, None] * weight[None] * pair).sum()


def gradients(objective: nn.Module, model: Line, x: float, batches: int, size: int) -> Tensor:
    """The gradients of a, c and w, `[batches, 3]`, each of `size` copies of one item."""
    item = torch.full((size, 1), x, dtype=torch.float64)
    found = []
    for _ in range(batches):
        total = objective(model, item, END).total
        found.append(torch.stack(torch.autograd.grad(total, [model.a, model.c, model.w])))
    return torch.stack(found)


@pytest.mark.parametrize("objective", [objectives.IWAE(2), objectives.DReG(2)])
def test_the_gradient_of_the_bound_is_exact_in_expectation(objective: nn.Module) -> None:
    model = Line(a=0.5, c=-0.3, w=1.2)
    exact = torch.autograd.grad(-model.exact_bound(0.8), [model.a, model.c, model.w])
    found = gradients(objective, model, 0.8, batches=100, size=4_000)
    error = found.std(0) / math.sqrt(len(found))
    assert (error < 0.005).all()  # so that the test can fail
    assert ((found.mean(0) - torch.stack(exact)).abs() < 4 * error).all()


@pytest.mark.parametrize("objective", [objectives.DReG(1), objectives.StickTheLanding()])
def test_with_one_draw_the_gradient_is_that_of_the_analytic_elbo(objective: nn.Module) -> None:
    model = Line(a=0.5, c=-0.3, w=1.2)
    found = gradients(objective, model, 0.8, batches=100, size=4_000)
    x, (a, c, w) = 0.8, (model.a, model.c, model.w)
    variance = (2 * c).exp()
    distortion = ((x - w * a * x).square() + w.square() * variance) / (2 * 0.25)
    kl = ((a * x).square() + variance - 1 - 2 * c) / 2
    exact = torch.stack(torch.autograd.grad(distortion + kl, [a, c, w]))
    error = found.std(0) / math.sqrt(len(found))
    assert (error < 0.01).all()
    assert ((found.mean(0) - exact).abs() < 4 * error).all()


def test_dreg_is_less_noisy_than_iwae_and_the_more_so_the_more_draws() -> None:
    model = Line(a=0.9, c=-0.9, w=1.0)  # close to the exact posterior, as in training
    ratios = []
    for samples in (4, 64):
        iwae = gradients(objectives.IWAE(samples), model, 0.8, batches=300, size=50)
        dreg = gradients(objectives.DReG(samples), model, 0.8, batches=300, size=50)
        ratios.append(iwae.var(0)[:2] / dreg.var(0)[:2])
        # The decoder's gradient is the same estimator.
        assert 0.7 < iwae.var(0)[2] / dreg.var(0)[2] < 1.4
    assert (ratios[0] > 2).all()
    assert (ratios[1] > 2 * ratios[0]).all()


def test_the_gradient_of_iwae_is_that_of_normalised_detached_weights() -> None:
    model = LinearGaussian.random(5, 2, 0.8, seed=3).model(shift=0.5, stretch=1.3)
    x = torch.randn(30, 5, dtype=torch.float64)
    torch.manual_seed(1)
    total = objectives.IWAE(7)(model, x, END).total
    found = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    torch.manual_seed(1)
    log_w = model(x, 7).log_weight(x)
    v = torch.softmax(log_w, 0).detach()
    wanted = torch.autograd.grad(
        -(v * log_w).sum(0).mean(), list(model.parameters()), allow_unused=True
    )
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-10, atol=1e-12)


class Fixed(nn.Module):
    """A model whose log-weights are given, so that their gradient can be read off."""

    def __init__(self, log_w: Tensor) -> None:
        super().__init__()
        self.log_w = nn.Parameter(log_w)

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        zero = Independent(Normal(torch.zeros(len(x), 1), 1.0), 1)
        prior = Independent(Normal(torch.zeros(1), 1.0), 1)
        given = self.log_w

        class Given(Normal):
            def log_prob(self, value: Tensor) -> Tensor:
                return given

        return Inference((Latent(torch.zeros(samples, 1, 1), zero, prior),), Given(0.0, 1.0))


def test_the_best_draw_has_the_greatest_weight() -> None:
    """Losses 1, 2, 5 weigh .72, .27, .01: the softmax of plus log w, not of minus (D5)."""
    model = Fixed(-torch.tensor([[1.0], [2.0], [5.0]]))
    loss = objectives.IWAE(3)(model, torch.zeros(1, 1), END)
    loss.total.backward()
    torch.testing.assert_close(
        -model.log_w.grad.flatten(), torch.tensor([0.721, 0.265, 0.013]), atol=1e-3, rtol=0
    )
    assert loss.terms["elbo"].item() == pytest.approx(-8 / 3)


def test_bounds_are_in_order_and_reach_the_evidence() -> None:
    truth = LinearGaussian.random(5, 2, 0.8, seed=3)
    model, x = truth.model(shift=0.4, stretch=1.3), truth.data(2_000, seed=5)
    exact = truth.evidence().log_prob(x).mean().item()
    with torch.no_grad():
        terms = [objectives.IWAE(s)(model, x, END).terms for s in (1, 5, 50, 500)]
    bounds = [t["bound"].item() for t in terms]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(terms[0]["elbo"].item())
    assert bounds[-1] == pytest.approx(exact, abs=0.01)
    assert exact - bounds[0] > 0.2


@pytest.mark.parametrize("objective", [objectives.StickTheLanding(samples=3), objectives.DReG(4)])
def test_at_the_exact_posterior_the_gradient_of_every_single_draw_is_zero(
    objective: nn.Module,
) -> None:
    truth = LinearGaussian.random(5, 2, 0.8, seed=3)
    model = truth.model()
    parameters = list(model.encoder.parameters())
    for item in truth.data(10, seed=6).split(1):
        found = torch.autograd.grad(objective(model, item, END).total, parameters)
        assert max(g.abs().max() for g in found) < 1e-12
        plain = torch.autograd.grad(objectives.ELBO()(model, item, END).total, parameters)
        assert max(g.abs().max() for g in plain) > 1e-3


def test_stick_the_landing_weighs_the_kl_by_beta() -> None:
    model, x = Line(0.5, -0.3, 1.2), torch.randn(20, 1, dtype=torch.float64)
    loss = objectives.StickTheLanding(beta=objectives.WarmUp(3.0, 0.5))(model, x, Moment(0.25))
    assert loss.terms["beta"] == 1.5
    wanted = 1.5 * loss.terms["kl"] - loss.terms["log_likelihood"]
    torch.testing.assert_close(loss.total.detach(), wanted)


HEADS: dict[str, Callable[[], nn.Module]] = {
    "diagonal": lambda: posteriors.DiagonalGaussian(3),
    "low-rank": lambda: posteriors.LowRankGaussian(3, 2),
    "autoregressive": lambda: posteriors.InverseAutoregressive(3, 2, hidden=(8,), context=4),
    "relaxed": lambda: posteriors.RelaxedCategorical(2, 3, 0.5),
}


@pytest.mark.parametrize("name", HEADS)
def test_log_q_of_draws_holds_the_parameters_of_any_posterior(name: str) -> None:
    """Against a copy of the head whose parameters and features are held."""
    head, features = HEADS[name](), torch.randn(4, 5).double()
    head(features.float())
    head.double()
    posterior = head(features)
    z = rsample(posterior, 6)
    found = log_q_of_draws(Latent(z, posterior, posterior))
    held: Distribution = copy.deepcopy(head).requires_grad_(False)(features)
    wanted = held.log_prob(z + 0.0)  # another tensor: no flow may remember its noise
    torch.testing.assert_close(found, wanted)
    slope = torch.randn_like(found)
    parameters = list(head.parameters())
    options = {"allow_unused": True, "retain_graph": True}
    for a, b in zip(
        torch.autograd.grad(found, parameters, slope, **options),
        torch.autograd.grad(wanted, parameters, slope, **options),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_dreg_trains_any_posterior() -> None:
    for make in HEADS.values():
        encoder = nn.Sequential(nn.Linear(5, 8), make())
        decoder = nn.Sequential(nn.LazyLinear(5), Unit())
        model = VAE(encoder, decoder, Zero(encoder[1].latent))
        loss = objectives.DReG(4)(model, torch.randn(6, 5), END)
        loss.total.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())


class Unit(nn.Module):
    def forward(self, mean: Tensor) -> Distribution:
        return Independent(Normal(mean, 1.0), 1)


class Zero(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self) -> Distribution:
        return Independent(Normal(torch.zeros(self.latent), 1.0), 1)
