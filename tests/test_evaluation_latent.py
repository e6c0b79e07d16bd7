"""What the latents carry, against Gaussians and lattices whose values are known."""

import math

import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from variate.errors import OptionError
from variate.evaluation.latent import (
    Surgery,
    active_units,
    aggregate_gap,
    elbo_surgery,
    kl_of_groups,
    kl_per_dimension,
    mutual_information,
    posterior_means,
    total_correlation,
)
from variate.inference import Inference, Latent
from variate.models import posteriors
from variate.models.vae import VAE


class Channel(nn.Module):
    """q(z|x) = N(W x, diag(scale²))."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.weight, self.scale = nn.Buffer(weight), nn.Buffer(scale)

    def forward(self, x: Tensor) -> Distribution:
        mean = x @ self.weight.mT
        return Independent(Normal(mean, self.scale.expand_as(mean)), 1)


class AsMultivariate(Channel):
    """The same posterior, as a multivariate normal."""

    def forward(self, x: Tensor) -> Distribution:
        return MultivariateNormal(x @ self.weight.mT, scale_tril=self.scale.diag())


class AsLowRank(Channel):
    """The same posterior, as a low-rank normal of rank 1 with no weight."""

    def forward(self, x: Tensor) -> Distribution:
        mean = x @ self.weight.mT
        factor = torch.zeros(*mean.shape, 1, dtype=mean.dtype)
        return LowRankMultivariateNormal(mean, factor, self.scale.square().expand_as(mean))


class Flow(nn.Module):
    """A flow posterior that has neither a mean nor marginals in closed form, N(W x, scale²)."""

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.channel = Channel(weight, scale)

    def forward(self, x: Tensor) -> Distribution:
        normal = self.channel(x).base_dist
        shift = torch.distributions.AffineTransform(normal.mean, normal.stddev, event_dim=1)
        base = zuko.distributions.DiagNormal(
            torch.zeros_like(normal.mean), torch.ones_like(normal.mean)
        )
        return torch.distributions.TransformedDistribution(base, [shift])


class Nothing(nn.Module):
    """A decoder that is not asked anything."""

    def forward(self, z: Tensor) -> Distribution:
        return Independent(Normal(z, torch.ones_like(z)), 1)


class Fixed(nn.Module):
    """A prior that is given."""

    def __init__(self, prior: Distribution) -> None:
        super().__init__()
        self.prior = prior

    def forward(self) -> Distribution:
        return self.prior


def standard(latent: int) -> Distribution:
    zero = torch.zeros(latent, dtype=torch.float64)
    return Independent(Normal(zero, torch.ones_like(zero)), 1)


def channel(weight: Tensor, scale: Tensor, kind: type[nn.Module] = Channel) -> VAE:
    return VAE(kind(weight, scale), Nothing(), Fixed(standard(len(weight))))


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# ---- Gaussians: q(z) tends to N(0, W Wᵀ + S²) as the items of x ~ N(0, I) become many ----------

N = 5_000
WEIGHT = 1.15 * normal(10, 2, seed=9)
SCALE = torch.linspace(0.6, 1.1, 10, dtype=torch.float64)
COVARIANCE = WEIGHT @ WEIGHT.mT + SCALE.square().diag()
IDENTITY = torch.eye(10, dtype=torch.float64)


@pytest.fixture(scope="module")
def surgery() -> Surgery:
    return elbo_surgery(channel(WEIGHT, SCALE), normal(N, 2, seed=10))


def information() -> float:
    """I(x; z) of the channel, 2.8 nats."""
    return (COVARIANCE.logdet() - 2 * SCALE.log().sum()).item() / 2


def tolerance(difference: Tensor) -> float:
    """Four standard errors of a mean of N log-ratios of two normals, and the estimator's bias.

    For z ~ N(0, C) a log-ratio is zᵀAz/2 + const, of variance tr((AC)²)/2; `difference` is AC.
    The bias, of the N² sums as estimates of integrals, is at most (exp(2 I) - 1)/(2N).
    """
    error = (difference @ difference).trace().item() / 2 / N
    return 4 * math.sqrt(error) + (math.exp(2 * information()) - 1) / (2 * N)


def test_mutual_information_of_gaussians(surgery: Surgery) -> None:
    # log q(z|x) - log q(z) has the variance Σ ρ², ρ the canonical correlations of x and z
    squares = WEIGHT.mT @ torch.linalg.solve(COVARIANCE, WEIGHT)
    allowed = 4 * math.sqrt(squares.trace().item() / N) + math.exp(2 * information()) / (2 * N)
    assert allowed < 0.12
    assert surgery.mutual_information == pytest.approx(information(), abs=allowed)


def test_total_correlation_of_gaussians(surgery: Surgery) -> None:
    # D4: at a true value of 3.27 public implementations say 6.9, 83.7 or -30.7
    scale = COVARIANCE.diagonal()
    exact = (scale.log().sum() - COVARIANCE.logdet()).item() / 2
    assert 3.2 < exact < 3.4
    allowed = tolerance(COVARIANCE / scale - IDENTITY)
    assert allowed < 0.35
    assert surgery.total_correlation == pytest.approx(exact, abs=allowed)


def test_aggregate_gap_of_gaussians(surgery: Surgery) -> None:
    zero = torch.zeros(10, dtype=torch.float64)
    aggregate = MultivariateNormal(zero, COVARIANCE)
    exact = kl_divergence(aggregate, MultivariateNormal(zero, IDENTITY)).item()
    allowed = tolerance(COVARIANCE - IDENTITY)
    assert allowed < 0.1 * exact
    assert surgery.aggregate_gap == pytest.approx(exact, abs=allowed)


def test_the_kl_is_cut_into_information_and_gap(surgery: Surgery) -> None:
    total = surgery.mutual_information + surgery.aggregate_gap
    assert surgery.kl == pytest.approx(total, abs=1e-9)
    model, x = channel(WEIGHT, SCALE), normal(N, 2, seed=10)
    analytic = kl_per_dimension(model, x).sum().item()
    assert surgery.kl == pytest.approx(analytic, rel=0.03)


# ---- lattices: posteriors so narrow that they never overlap; every value is exact -------------


def corners(bits: int) -> Tensor:
    """All 2^bits points with coordinates ±20, `[2^bits, bits]`."""
    codes = torch.arange(2**bits)[:, None] >> torch.arange(bits)
    return (codes & 1).double() * 40 - 20


def test_independent_bits_have_information_and_no_correlation() -> None:
    x = corners(10).repeat(2, 1)  # N = 2048 items in pairs: D4's ten dimensions, MI near log N
    model = channel(torch.eye(10).double(), torch.ones(10).double())
    assert mutual_information(model, x) == pytest.approx(10 * math.log(2), abs=1e-9)
    assert total_correlation(model, x) == pytest.approx(0, abs=1e-9)


def test_copied_bits_are_correlated() -> None:
    copy = torch.cat([torch.eye(5), torch.eye(5)]).double()
    model = channel(copy, torch.ones(10).double())
    x = corners(5).repeat(3, 1)
    assert mutual_information(model, x) == pytest.approx(5 * math.log(2), abs=1e-9)
    assert total_correlation(model, x) == pytest.approx(5 * math.log(2), abs=1e-9)


def test_information_is_at_most_log_n() -> None:
    x = 1e3 * normal(100, 4, seed=1)
    model = channel(torch.eye(4).double(), torch.ones(4).double())
    assert mutual_information(model, x) == pytest.approx(math.log(100), abs=1e-9)


def test_a_collapsed_posterior_has_no_information_and_no_gap() -> None:
    model = channel(torch.zeros(4, 3).double(), torch.ones(4).double())
    surgery = elbo_surgery(model, normal(50, 3, seed=1))
    assert surgery == pytest.approx((0, 0, 0, 0), abs=1e-12)


# ---- the pieces ------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Keeps the latents that a model hands out."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model
        self.latents: list[Latent] = []

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        inference: Inference = self.model(x, samples)
        self.latents += inference.latents
        return inference


@pytest.mark.parametrize("kind", [Channel, AsMultivariate, AsLowRank, Flow])
def test_pairs_in_pieces_are_the_naive_sums(kind: type[nn.Module]) -> None:
    n, latent = 17, 3
    weight, scale = normal(latent, 2, seed=1), torch.tensor([0.5, 0.8, 1.1], dtype=torch.float64)
    model, x = Recorder(channel(weight, scale, kind)), normal(n, 2, seed=2)
    surgery = elbo_surgery(model, x, rows=5)

    z = torch.cat([each.z[0] for each in model.latents])
    log_q = Normal(x @ weight.mT, scale).log_prob(z[:, None])  # [n draws, n items, latent]
    log_joint = log_q.sum(2).logsumexp(1) - math.log(n)
    log_product = (log_q.logsumexp(1) - math.log(n)).sum(1)
    log_p = standard(latent).log_prob(z)
    own = log_q.sum(2).diagonal()
    assert surgery.mutual_information == pytest.approx((own - log_joint).mean().item(), abs=1e-10)
    assert surgery.aggregate_gap == pytest.approx((log_joint - log_p).mean().item(), abs=1e-10)
    if kind is Flow:
        assert surgery.total_correlation is None
        with pytest.raises(TypeError, match="marginals"):
            total_correlation(model, x)
        return
    exact = (log_joint - log_product).mean().item()
    assert surgery.total_correlation == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(
    "head",
    [
        lambda: posteriors.LowRankGaussian(4, 2),
        lambda: posteriors.InverseAutoregressive(4, hidden=[8], context=5),
        lambda: posteriors.RelaxedCategorical(2, 2),
    ],
    ids=["low rank", "flow", "categories"],
)
def test_pairs_of_our_posteriors_are_one_by_one(head) -> None:
    n, x = 6, normal(6, 3, seed=1).float()
    encoder = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), head())
    encoder(x)
    vae = VAE(encoder, Nothing(), Fixed(standard(4))).double()
    model, x = Recorder(vae), 3 * x.double()
    surgery = elbo_surgery(model, x, rows=4)
    z = torch.cat([each.z[0] for each in model.latents])
    with torch.no_grad():
        each = torch.cat([vae.encoder(x[j : j + 1]).log_prob(z[:, None]) for j in range(n)], 1)
    joint = each.logsumexp(1) - math.log(n)
    exact = (each.diagonal() - joint).mean().item()
    assert surgery.mutual_information == pytest.approx(exact, abs=1e-8)
    assert abs(exact) > 1e-3


def test_the_three_are_the_parts_of_the_surgery() -> None:
    model, x = channel(WEIGHT, SCALE), normal(60, 2, seed=3)
    surgery = elbo_surgery(model, x, points=20, seed=4, rows=7)
    assert mutual_information(model, x, points=20, seed=4, rows=7) == surgery.mutual_information
    assert aggregate_gap(model, x, points=20, seed=4, rows=7) == surgery.aggregate_gap
    assert total_correlation(model, x, points=20, seed=4, rows=7) == surgery.total_correlation


def test_fewer_points_still_mix_all_items() -> None:
    model = channel(torch.eye(4).double(), torch.ones(4).double())
    x = 1e3 * normal(300, 4, seed=1)
    assert mutual_information(model, x, points=11) == pytest.approx(math.log(300), abs=1e-9)
    # where the draws differ the mean is over as many as asked for, of different items
    near = channel(torch.eye(1).double(), torch.ones(1).double())
    x = torch.arange(300, dtype=torch.float64)[:, None]
    gaps = [aggregate_gap(near, x, points=points) for points in (1, 30, 300, 10_000)]
    assert len(set(gaps)) == 3
    assert gaps[2] == gaps[3]


def test_a_hierarchy_has_no_aggregate_of_known_densities() -> None:
    class Ladder(VAE):
        def forward(self, x: Tensor, samples: int = 1) -> Inference:
            inference = super().forward(x, samples)
            return Inference(inference.latents * 2, inference.likelihood)

    model = Ladder(Channel(WEIGHT, SCALE), Nothing(), Fixed(standard(10)))
    with pytest.raises(TypeError, match="however the model has 2"):
        mutual_information(model, normal(5, 2, seed=1))
    # what needs no aggregate counts the units of both
    assert kl_per_dimension(model, normal(5, 2, seed=1)).shape == (20,)
    assert posterior_means(model, normal(5, 2, seed=1)).shape == (5, 20)
    groups = kl_of_groups(model, normal(5, 2, seed=1))
    assert [group.shape for group in groups] == [(10,), (10,)]
    torch.testing.assert_close(groups[0], groups[1])
    assert groups[0].sum() > 0


# ---- units -------------------------------------------------------------------------------------


def test_kl_per_dimension_is_the_closed_form_whatever_the_batches() -> None:
    model, x = channel(WEIGHT, SCALE), normal(23, 2, seed=1)
    mean = x @ WEIGHT.mT
    exact = ((mean.square() + SCALE.square() - 1) / 2 - SCALE.log()).mean(0)
    for rows in (23, 5, 1):
        kl = kl_per_dimension(model, x, rows=rows)
        assert kl.dtype == torch.float64
        torch.testing.assert_close(kl, exact, rtol=1e-12, atol=1e-12)


def test_coupled_units_have_one_kl_together() -> None:
    # a mixture of two equal normals is a coupled prior whose KL is known
    zero = torch.zeros(2, 3, dtype=torch.float64)
    parts = Independent(Normal(zero, torch.ones_like(zero)), 1)
    prior = MixtureSameFamily(torch.distributions.Categorical(logits=zero[:, 0]), parts)
    weight, scale = normal(3, 2, seed=1), torch.full((3,), 0.5, dtype=torch.float64)
    x = normal(4_000, 2, seed=2)
    kl = kl_per_dimension(VAE(Channel(weight, scale), Nothing(), Fixed(prior)), x)
    assert kl.shape == (1,)
    exact = kl_per_dimension(channel(weight, scale), x).sum().item()
    assert kl.item() == pytest.approx(exact, abs=0.1)


def test_the_kl_of_a_few_items_is_not_one_draw_s() -> None:
    zero = torch.zeros(2, 8, dtype=torch.float64)
    parts = Independent(Normal(zero, torch.ones_like(zero)), 1)
    prior = MixtureSameFamily(torch.distributions.Categorical(logits=zero[:, 0]), parts)
    weight, scale = 0.1 * normal(8, 2, seed=1), torch.full((8,), 0.8, dtype=torch.float64)
    x = normal(20, 2, seed=2)
    exact = kl_per_dimension(channel(weight, scale), x).sum().item()
    for seed in range(10):  # one draw of each item is off by 0.19
        kl = kl_per_dimension(VAE(Channel(weight, scale), Nothing(), Fixed(prior)), x, seed=seed)
        assert kl.item() == pytest.approx(exact, abs=0.08)


def test_posterior_means() -> None:
    x = normal(9, 2, seed=1)
    for kind in (Channel, AsMultivariate, AsLowRank):
        mean = posterior_means(channel(WEIGHT, SCALE, kind), x, rows=4)
        torch.testing.assert_close(mean, x @ WEIGHT.mT, rtol=0, atol=1e-12)
    mean = posterior_means(channel(WEIGHT, SCALE, Flow), x, draws=10_000)
    torch.testing.assert_close(mean, x @ WEIGHT.mT, rtol=0, atol=6 * 1.1 / 100)


@pytest.mark.parametrize("kind", [Channel, Flow])
def test_active_units(kind: type[nn.Module]) -> None:
    # variances of the posterior mean 1, 0.04, 0.0225, 0.0004, 0: three are above 0.01. The flow's
    # mean over 64 draws of scale 1 adds 1/64 = 0.0156 to all of them, which must not count.
    weight = torch.tensor([[1.0], [0.2], [0.15], [0.02], [0.0]], dtype=torch.float64)
    model = channel(weight, torch.ones(5, dtype=torch.float64), kind)
    x = normal(4_000, 1, seed=1)
    x = (x - x.mean()) / x.std()
    assert active_units(model, x) == 3
    assert active_units(model, x, threshold=0.03) == 2
    assert active_units(model, x, threshold=2.0) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda model, x: mutual_information(model, x[:0]),
        lambda model, x: mutual_information(model, x, points=0),
        lambda model, x: kl_per_dimension(model, x[:0]),
        lambda model, x: kl_per_dimension(model, x, rows=0),
        lambda model, x: posterior_means(model, x, draws=1),
        lambda model, x: active_units(model, x[:1]),
    ],
)
def test_what_cannot_be_measured_is_an_error(call) -> None:
    with pytest.raises(OptionError, match="at least"):
        call(channel(WEIGHT, SCALE), normal(5, 2, seed=1))
