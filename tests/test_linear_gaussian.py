"""The whole chain against a model whose evidence, posterior and optimum are known."""

import math

import pytest
import torch
from linear_gaussian import Decoder, Encoder, LinearGaussian, Prior, probabilistic_pca
from torch import Tensor, nn
from torch.distributions import kl_divergence

from variate.evaluation.evidence import elbo, importance_weights, log_evidence
from variate.models.vae import VAE

TRUTH = LinearGaussian.random(event=6, latent=3, scale=0.7, seed=1)


@pytest.fixture
def x() -> Tensor:
    return TRUTH.data(200, seed=2)


@pytest.fixture
def exact(x: Tensor) -> Tensor:
    return TRUTH.evidence().log_prob(x)


def maximise_elbo(model: VAE, x: Tensor, parameters: list[nn.Parameter], steps: int) -> None:
    """Ascend the ELBO on fresh posterior noise in each step, down to a step size of nothing."""
    optimiser = torch.optim.Adam(parameters, lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = -model(x, samples=2).log_weight(x).mean()
            loss.backward()
            optimiser.step()
            schedule.step()


def test_the_three_are_ordered_and_the_gap_is_the_divergence() -> None:
    shift, stretch, latent, n = 0.3, 1.2, 3, 20_000
    model, x = TRUTH.model(shift=shift, stretch=stretch), TRUTH.data(n, seed=2)
    exact = TRUTH.evidence().log_prob(x)
    lower = elbo(model, x, draws=16, rows=n)
    bounds = [log_evidence(model, x, draws=s, rows=n) for s in (1, 4, 16)]
    assert (lower <= bounds[-1]).all()  # Jensen holds item by item on the same draws

    # the rest holds in the mean over items, so a gap counts only beyond four standard errors
    def assert_above(a: Tensor, b: Tensor) -> None:
        assert (a - b).mean() > 4 * (a - b).std() / math.sqrt(n)

    assert_above(bounds[1], bounds[0])
    assert_above(bounds[2], bounds[1])
    assert_above(exact, bounds[2])
    gap = latent * (shift**2 + stretch**2 - 1 - 2 * math.log(stretch)) / 2
    error = 4 * (exact - lower).std().item() / math.sqrt(n)
    assert gap > 20 * error
    assert (exact - lower).mean().item() == pytest.approx(gap, abs=error)


def test_a_thousand_draws_are_within_a_hundredth_of_a_nat(x: Tensor, exact: Tensor) -> None:
    model = TRUTH.model(shift=0.03, stretch=1.03)
    assert (elbo(model, x, draws=1_000) - exact).mean() < -0.002
    assert (log_evidence(model, x, draws=1_000) - exact).abs().max() < 0.01
    rough = TRUTH.model(shift=0.3, stretch=1.2)
    assert (elbo(rough, x, draws=1_000) - exact).mean() < -0.2
    assert (log_evidence(rough, x, draws=1_000) - exact).mean().abs() < 0.01


@pytest.mark.parametrize("common", [True, False])
def test_with_the_exact_posterior_one_draw_is_enough(
    x: Tensor, exact: Tensor, common: bool
) -> None:
    model = TRUTH.model()
    torch.testing.assert_close(elbo(model, x, common=common), exact, rtol=0, atol=1e-10)
    torch.testing.assert_close(log_evidence(model, x, 7, common=common), exact, rtol=0, atol=1e-10)
    weights = importance_weights(model, x, 7, common=common)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 7), rtol=0, atol=1e-10)


def test_a_float32_model_is_right_to_float32(x: Tensor, exact: Tensor) -> None:
    bound = log_evidence(TRUTH.model().float(), x.float(), draws=100)
    assert bound.dtype == torch.float64
    torch.testing.assert_close(bound, exact, rtol=0, atol=1e-3)


def test_the_wrong_posterior_never_beats_the_exact_one(x: Tensor, exact: Tensor) -> None:
    # E[w] = p(x) whatever q: the mean weight over many draws is unbiased, not only the bound
    model = TRUTH.model(shift=0.5, stretch=1.3)
    ratio = (log_evidence(model, x, draws=2_000) - exact).exp()
    assert ratio.mean().item() == pytest.approx(1.0, abs=5 * ratio.std().item() / math.sqrt(len(x)))


def test_maximising_the_elbo_recovers_the_exact_posterior(x: Tensor, exact: Tensor) -> None:
    start = Encoder(torch.zeros(3, 6).double(), torch.zeros(3).double(), torch.eye(3).double())
    model = VAE(start, Decoder(TRUTH.weight, TRUTH.bias, TRUTH.scale), Prior(3))
    assert (exact - elbo(model, x, draws=100)).mean() > 1
    maximise_elbo(model, x, list(model.encoder.parameters()), steps=1_500)

    with torch.no_grad():
        learned, true = model.encoder(x), TRUTH.posterior(x)
    torch.testing.assert_close(learned.mean, true.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(
        learned.covariance_matrix, true.covariance_matrix.expand(200, 3, 3), rtol=0, atol=0.01
    )
    assert kl_divergence(learned, true).mean() < 1e-3
    reached = elbo(model, x, draws=100).mean().item()
    assert reached == pytest.approx(exact.mean().item(), abs=1e-3)


def test_training_from_scratch_ends_at_probabilistic_pca() -> None:
    x = TRUTH.data(400, seed=4)
    signal, variance, best = probabilistic_pca(x, latent=3)
    generator = torch.Generator().manual_seed(5)
    start = LinearGaussian.random(event=6, latent=3, scale=1.0, seed=6)
    gain = 0.1 * torch.randn(3, 6, generator=generator, dtype=torch.float64)
    encoder = Encoder(gain, torch.zeros(3).double(), torch.eye(3).double())
    model = VAE(encoder, Decoder(start.weight, start.bias, start.scale), Prior(3))
    assert elbo(model, x, draws=10).mean() < best - 10
    maximise_elbo(model, x, list(model.parameters()), steps=1_500)

    weight = model.decoder.weight.detach()
    basis, _ = torch.linalg.qr(weight)
    principal = torch.linalg.eigh(signal).eigenvectors[:, -3:]
    cosines = torch.linalg.svdvals(basis.mT @ principal)
    assert cosines.min() > 0.999
    assert model.decoder.log_scale.exp().item() ** 2 == pytest.approx(variance, rel=0.01)
    torch.testing.assert_close(weight @ weight.mT, signal, rtol=0, atol=0.03 * signal.abs().max())
    torch.testing.assert_close(model.decoder.bias.detach(), x.mean(0), rtol=0, atol=0.03)
    reached = elbo(model, x, draws=100).mean().item()
    assert reached == pytest.approx(best, abs=0.01)
    bound = log_evidence(model, x, draws=1_000).mean().item()
    assert bound == pytest.approx(best, abs=0.003)
