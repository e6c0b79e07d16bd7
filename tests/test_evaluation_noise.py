"""Common random numbers: for every kind of posterior an item's value is its own."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import zuko
from linear_gaussian import Decoder, Prior
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Exponential,
    Gamma,
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    Normal,
    RelaxedOneHotCategorical,
)

from variate.evaluation.evidence import elbo, log_evidence
from variate.evaluation.noise import CommonNoise
from variate.models.vae import VAE

EVENT, LATENT, N = 3, 4, 11


class Head(nn.Module):
    """A linear map of x, and a function of its output that builds a posterior."""

    def __init__(self, outputs: int, build: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.linear = nn.Linear(EVENT, outputs)
        self.build = build

    def forward(self, x: Tensor) -> Distribution:
        return self.build(self.linear(x))


class FlowPosterior(nn.Module):
    """An autoregressive flow with x as its context."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = zuko.flows.MAF(LATENT, context=EVENT, transforms=2, hidden_features=[8])
        self.flow = zuko.flows.Flow(self.flow.transform.inv, self.flow.base)

    def forward(self, x: Tensor) -> Distribution:
        return self.flow(x)


class Own(Normal):
    """Not a sampler of torch's: it asks for noise in its own way."""

    def __init__(self, loc: Tensor, noise: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(loc, torch.full_like(loc, 0.5))
        self.noise = noise

    def rsample(self, sample_shape):
        shape = self._extended_shape(sample_shape)
        return self.noise(self.loc.expand(shape), self.scale.expand(shape))

    def log_prob(self, value):
        return super().log_prob(value).sum(-1)


OWN = {
    "randn_like": lambda loc, scale: loc + scale * torch.randn_like(loc),
    "randn": lambda loc, scale: loc + scale * torch.randn(loc.shape, dtype=loc.dtype),
    "two alike": lambda loc, scale: loc + scale * (torch.randn_like(loc) + torch.randn_like(loc)),
    "torch.normal": torch.normal,
    "normal_": lambda loc, scale: loc - 1 + torch.empty_like(loc).normal_(1.0, 0.5),
    "uniform_": lambda loc, scale: loc + torch.empty_like(loc).uniform_(-1.0, 3.0),
}


def normal(h: Tensor) -> Distribution:
    return Independent(Normal(h, 0.5 + h.sigmoid()), 1)


def laplace(h: Tensor) -> Distribution:
    return Independent(Laplace(h, 0.5 + h.sigmoid()), 1)


def exponential(h: Tensor) -> Distribution:
    return Independent(Exponential(h.exp()), 1)


def low_rank(h: Tensor) -> Distribution:
    factor = h[..., LATENT:].unflatten(-1, (LATENT, 2))
    return LowRankMultivariateNormal(h[..., :LATENT], factor, torch.full_like(h[..., :LATENT], 0.3))


def relaxed(h: Tensor) -> Distribution:
    return RelaxedOneHotCategorical(torch.tensor(0.7, dtype=h.dtype), logits=h)


def gamma(h: Tensor) -> Distribution:
    return Independent(Gamma(h.exp(), torch.ones_like(h)), 1)


def head(posterior: nn.Module) -> nn.Module:
    """An encoder with one of the library's posteriors, its lazy layers made."""
    encoder = nn.Sequential(nn.Linear(EVENT, 6), nn.Tanh(), posterior)
    encoder(torch.zeros(2, EVENT))
    return encoder


ENCODERS = {
    "normal": lambda: Head(LATENT, normal),
    "laplace": lambda: Head(LATENT, laplace),
    "exponential": lambda: Head(LATENT, exponential),
    "low rank": lambda: Head(3 * LATENT, low_rank),
    "relaxed categorical": lambda: Head(LATENT, relaxed),
    "flow": FlowPosterior,
} | {name: lambda noise=noise: Head(LATENT, lambda h: Own(h, noise)) for name, noise in OWN.items()}


def make(encoder: Callable[[], nn.Module]) -> VAE:
    weight = torch.randn(EVENT, LATENT, dtype=torch.float64)
    decoder = Decoder(weight, torch.zeros(EVENT, dtype=torch.float64), 1.0)
    return VAE(encoder(), decoder, Prior(LATENT)).double()


@pytest.fixture(params=ENCODERS.values(), ids=ENCODERS.keys())
def model(request: pytest.FixtureRequest) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return make(request.param)


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.randn(N, EVENT, generator=generator, dtype=torch.float64)


def same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-10)


def test_an_item_does_not_depend_on_order_subset_or_chunks(model: VAE, x: Tensor) -> None:
    for estimator in (elbo, log_evidence):
        estimate = partial(estimator, common=True)
        whole = estimate(model, x, draws=10)
        assert whole.isfinite().all()
        order = torch.tensor([6, 2, 9, 0, 10, 1, 8, 3, 7, 5, 4])
        assert same(estimate(model, x[order], draws=10), whole[order])
        assert same(estimate(model, x[3:8], draws=10), whole[3:8])
        assert same(estimate(model, x[4:5], draws=10), whole[4:5])
        assert same(estimate(model, x, draws=10, rows=4), whole)
        assert same(estimate(model, x, draws=10, chunk=3), whole)
        assert same(estimate(model, x, draws=10, rows=2, chunk=7), whole)
        assert not same(estimate(model, x, draws=10, seed=1), whole)


def test_without_it_an_item_depends_on_its_place(model: VAE, x: Tensor) -> None:
    whole = log_evidence(model, x, draws=10)
    assert not same(log_evidence(model, x.flip(0), draws=10).flip(0), whole)


def test_equal_items_get_equal_values_and_different_draws_differ(model: VAE, x: Tensor) -> None:
    with torch.no_grad(), CommonNoise(5, seed=0).at(0, 5, 2):
        z = model(x[[0, 0]], 5).latents[0].z
    torch.testing.assert_close(z[:, 0], z[:, 1], rtol=0, atol=1e-10)
    assert len(torch.unique(z[:, 0, 0])) == 5


def test_the_noise_keeps_its_law(model: VAE, x: Tensor) -> None:
    draws, one = 20_000, x[:1]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        free = model(one, draws).latents[0].z[:, 0]
        with CommonNoise(draws, seed=0).at(0, draws, 1):
            shared = model(one, draws).latents[0].z[:, 0]
    # ten standard errors of a mean; the tails are compared by the quantiles of a two-sample test
    error = 10 * free.std(0) / draws**0.5
    assert ((free.mean(0) - shared.mean(0)).abs() < error).all()
    for a, b in zip(free.T, shared.T, strict=True):
        grid = torch.cat([a, b]).sort().values
        gap = torch.searchsorted(a.sort().values, grid) - torch.searchsorted(b.sort().values, grid)
        # Kolmogorov-Smirnov: P(D > 1.95 √(2/n)) = 0.001 for one coordinate
        assert gap.abs().max() / draws < 1.95 * (2 / draws) ** 0.5


def test_noise_that_cannot_be_shared_is_an_error_not_a_silence(x: Tensor) -> None:
    model = make(lambda: Head(LATENT, gamma))
    with pytest.raises(TypeError, match=r"`_standard_gamma` cannot be shared.*common=False"):
        log_evidence(model, x, common=True)
    assert log_evidence(model, x).isfinite().all()


def test_noise_without_the_draws_in_front_is_an_error(x: Tensor) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Distribution:
            return normal(torch.ones(len(x), LATENT).double() * torch.rand(len(x), 1))

    with pytest.raises(TypeError, match=r"here \[16, 11, \.\.\.\], .*`rand` for shape \[11, 1\]"):
        log_evidence(make(Noisy), x, common=True)


def test_networks_with_a_dropout_that_is_off_are_not_random(x: Tensor) -> None:
    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lift = nn.Linear(1, 8)
            self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
            self.recurrent = nn.LSTM(8, 4, num_layers=2, dropout=0.5, batch_first=True)
            self.last = nn.Linear(4, LATENT)

        def forward(self, x: Tensor) -> Distribution:
            h = self.lift(x.unsqueeze(-1))
            h, _ = self.attention(h, h, h, need_weights=False)
            h, _ = self.recurrent(h)
            h = nn.functional.dropout(self.last(h[:, -1]), 0.5, self.training)
            return normal(h)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = make(Attentive)
    whole = log_evidence(model, x, draws=10, common=True)
    assert same(log_evidence(model, x.flip(0), draws=10, common=True).flip(0), whole)
    assert model.training


@pytest.mark.parametrize(
    "dropout",
    [nn.functional.dropout, lambda h: torch.native_dropout(h, 0.5, True)[0]],
    ids=["functional", "native"],
)
def test_a_dropout_that_stays_on_is_noticed(x: Tensor, dropout: Callable[[Tensor], Tensor]) -> None:
    class Forced(nn.Module):
        def forward(self, x: Tensor) -> Distribution:
            return normal(dropout(torch.ones(len(x), LATENT).double()))

    with pytest.raises(TypeError, match="common=False"):
        log_evidence(make(Forced), x, common=True)
