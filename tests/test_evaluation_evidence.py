"""The streaming estimators: exactly the draws asked for, whatever the chunks, and no trace left."""

import math
from types import SimpleNamespace

import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import Tensor, nn

from variate.errors import OptionError
from variate.evaluation.evidence import elbo, importance_weights, log_evidence
from variate.evaluation.latent import (
    active_units,
    elbo_surgery,
    kl_per_dimension,
    posterior_means,
)
from variate.inference import Inference
from variate.models.vae import VAE

TRUTH = LinearGaussian.random(event=5, latent=2, scale=0.7, seed=1)
N = 23


class Spy(nn.Module):
    """Passes everything on to a model and remembers how it was called."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.frozen = nn.Linear(1, 1).eval()
        self.calls: list[tuple[int, int]] = []
        self.log_weights: list[Tensor] = []

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.calls.append((len(x), samples))
        inference: Inference = self.model(x, samples)
        self.log_weights.append(inference.log_weight(x))
        return inference


@pytest.fixture
def spy() -> Spy:
    return Spy(TRUTH.model(shift=0.4, stretch=1.2))


@pytest.fixture
def x() -> Tensor:
    return TRUTH.data(N, seed=2)


@pytest.mark.parametrize(("draws", "chunk"), [(7, 3), (64, 64), (10, 16), (5, 1), (100, 64)])
@pytest.mark.parametrize("common", [True, False])
def test_the_sums_are_those_of_all_draws_and_no_others(
    spy: Spy, x: Tensor, draws: int, chunk: int, common: bool
) -> None:
    value = log_evidence(spy, x, draws, common=common, chunk=chunk, rows=N)
    assert sum(samples for _, samples in spy.calls) == draws
    assert max(samples for _, samples in spy.calls) <= chunk
    log_w = torch.cat(spy.log_weights)
    assert log_w.shape == (draws, N)
    expected = log_w.logsumexp(0) - math.log(draws)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
    # the same seed and chunks make the same draws for the other estimators
    lower = elbo(spy, x, draws, common=common, chunk=chunk, rows=N)
    torch.testing.assert_close(lower, log_w.mean(0), rtol=0, atol=1e-12)
    weights = importance_weights(spy, x, draws, common=common, chunk=chunk, rows=N)
    torch.testing.assert_close(weights, log_w.softmax(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("draws", [1, 10, 37])
@pytest.mark.parametrize(("chunk", "rows"), [(3, N), (16, 5), (10, 8), (1, 11)])
def test_chunks_do_not_change_the_value(
    spy: Spy, x: Tensor, draws: int, chunk: int, rows: int
) -> None:
    for estimate in (elbo, log_evidence, importance_weights):
        whole = estimate(spy, x, draws, common=True, chunk=draws, rows=N)
        pieces = estimate(spy, x, draws, common=True, chunk=chunk, rows=rows)
        torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-10)


def test_memory_is_bounded_by_rows_and_chunk(spy: Spy, x: Tensor) -> None:
    log_evidence(spy, x, draws=11, chunk=4, rows=6)
    assert sum(items * samples for items, samples in spy.calls) == 11 * N
    assert max(items for items, _ in spy.calls) == 6
    assert max(samples for _, samples in spy.calls) == 4


def test_weights_are_normalised_and_detached(spy: Spy, x: Tensor) -> None:
    weights = importance_weights(spy, x, draws=50)
    assert weights.shape == (50, N)
    assert not weights.requires_grad
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(N).double(), rtol=0, atol=1e-12)
    effective = 1 / weights.square().sum(0)
    assert (effective > 1).all()
    assert (effective < 50).all()


def test_weights_give_the_posterior_mean(x: Tensor) -> None:
    # self-normalised importance sampling: Σ_s w_s z_s -> E[z|x] under the true posterior
    model = TRUTH.model(shift=0.4, stretch=1.2)
    draws = 20_000
    weights = importance_weights(model, x, draws, seed=3, chunk=draws)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        z = model(x, draws).latents[0].z
    estimate = (weights[..., None] * z).sum(0)
    truth = TRUTH.posterior(x)
    assert (z.mean(0) - truth.mean).abs().max() > 0.05
    torch.testing.assert_close(estimate, truth.mean, rtol=0, atol=0.02)


class Scripted(nn.Module):
    """The first draw of each item weighs 1, all later ones e^-18, in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = 0

    def forward(self, x: Tensor, samples: int = 1) -> SimpleNamespace:
        log_w = torch.full((samples, len(x)), -18.0)
        log_w[: max(0, 1 - self.drawn)] = 0.0
        self.drawn += samples
        return SimpleNamespace(log_weight=lambda x: log_w)


def test_sums_are_in_float64() -> None:
    # e^-18 = 1.5e-8 is lost when it is added to 1 in float32, however often
    value = log_evidence(Scripted(), torch.zeros(2, 1), draws=5_000, chunk=1)
    exact = math.log1p(4_999 * math.exp(-18)) - math.log(5_000)
    assert value.dtype == torch.float64
    assert value.tolist() == pytest.approx([exact] * 2, abs=1e-10)
    lower = elbo(Scripted(), torch.zeros(2, 1), draws=5_000, chunk=1)
    assert lower.tolist() == pytest.approx([-18 * 4_999 / 5_000] * 2, abs=1e-10)


def test_an_impossible_item_is_minus_infinity_and_hurts_no_other(x: Tensor) -> None:
    model = TRUTH.model()
    data = x.clone()
    data[4] = 1e200  # its square overflows: p(x) underflows to 0
    value = log_evidence(model, data, draws=5, rows=8)
    others = torch.arange(N) != 4
    assert value[others].isfinite().all()
    assert not value[4].isfinite()


ESTIMATORS = [
    elbo,
    log_evidence,
    importance_weights,
    lambda model, x, seed=0: torch.tensor(elbo_surgery(model, x, seed=seed)),
    kl_per_dimension,
    posterior_means,
    lambda model, x, seed=0: torch.tensor(active_units(model, x, seed=seed)),
]


@pytest.mark.parametrize("estimate", ESTIMATORS)
def test_nothing_of_the_callers_is_changed(spy: Spy, x: Tensor, estimate) -> None:
    spy.train()
    spy.frozen.eval()
    kept = {name: value.clone() for name, value in spy.state_dict().items()}
    state = torch.get_rng_state()
    for seed in (0, None):
        estimate(spy, x, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in (spy, spy.model, spy.model.encoder)] == [True] * 3
    assert not spy.frozen.training
    assert torch.is_grad_enabled()
    assert all(torch.equal(kept[name], value) for name, value in spy.state_dict().items())


def test_training_flags_return_after_an_error(x: Tensor) -> None:
    model = TRUTH.model().train()
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        log_evidence(model, x[:, :2])
    assert model.training
    assert model.decoder.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("estimate", [elbo, log_evidence])
@pytest.mark.parametrize("common", [True, False])
def test_the_seed_decides(spy: Spy, x: Tensor, estimate, common: bool) -> None:
    value = estimate(spy, x, seed=5, common=common)
    torch.rand(3)
    assert torch.equal(estimate(spy, x, seed=5, common=common), value)
    assert not torch.equal(estimate(spy, x, seed=6, common=common), value)
    fresh = estimate(spy, x, seed=None, common=common)
    assert not torch.equal(estimate(spy, x, seed=None, common=common), fresh)


def test_no_items_have_no_evidence(spy: Spy, x: Tensor) -> None:
    assert log_evidence(spy, x[:0]).shape == (0,)
    assert elbo(spy, x[:0]).shape == (0,)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"draws": -1}, {"chunk": 0}, {"rows": 0}])
@pytest.mark.parametrize("estimate", [elbo, log_evidence, importance_weights])
def test_sizes_are_checked(spy: Spy, x: Tensor, estimate, wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=f"`{next(iter(wrong))}` must be at least 1"):
        estimate(spy, x, **wrong)
    assert spy.training


@pytest.mark.gpu
def test_a_model_on_a_gpu_takes_data_from_the_host_and_gives_the_same(x: Tensor) -> None:
    model = TRUTH.model(shift=0.4, stretch=1.2)
    here = log_evidence(model, x, draws=10, common=True)
    state = torch.cuda.get_rng_state()
    there = log_evidence(model.cuda(), x, draws=10, common=True)
    assert there.device.type == "cpu"
    assert torch.equal(torch.cuda.get_rng_state(), state)
    torch.testing.assert_close(there, here, rtol=0, atol=1e-10)
