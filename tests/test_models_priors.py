"""Priors: normalised, sampled as they say, and at home in a model that is copied and saved."""

import copy
import math
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from variate import objectives
from variate.distributions import temper
from variate.errors import MissingExtraError, OptionError
from variate.inference import Moment
from variate.models import flows, likelihoods, posteriors, priors
from variate.models.flows import FlowMatching, matching
from variate.models.vae import VAE
from variate.specification import describe, revive
from variate.training import Validated, train

LATENT, EVENT = 2, 6


def vamp() -> priors.Vamp:
    encoder = nn.Sequential(nn.Linear(EVENT, 8), nn.Tanh(), posteriors.DiagonalGaussian(LATENT))
    prior = priors.Vamp(LATENT, 5)
    prior.start(encoder, torch.randn(20, EVENT))
    return prior


def matched() -> flows.FlowMatching:
    """A velocity that is not zero, and a location and scale that are not 0 and 1."""
    prior = flows.FlowMatching(LATENT, hidden=(16,))
    prior.start(torch.tensor([2.0, 0.5]) * torch.randn(500, LATENT) + 1.0)
    nn.init.normal_(prior.net[-1].weight, std=0.5)
    return prior


def aggregated() -> priors.Aggregate:
    prior = priors.Aggregate(LATENT, components=3)
    prior.fit(torch.randn(200, LATENT))
    return prior


PRIORS: dict[str, Callable[[], nn.Module]] = {
    "standard": lambda: priors.StandardNormal(LATENT),
    "aggregate": aggregated,
    "mixture": lambda: priors.Mixture(LATENT, 4),
    "vamp": vamp,
    "flow": lambda: flows.Flow(LATENT, transforms=2, hidden=(16,)),
    "matching": matched,
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_model_file_can_keep_the_prior(name: str) -> None:
    prior = PRIORS[name]()
    other = revive(describe(prior))
    assert other.latent == LATENT
    z = torch.randn(3, 7, LATENT)
    if isinstance(prior, priors.Vamp):
        other.start(prior._encoder[0], torch.zeros(1, EVENT))
    expected = prior().log_prob(z)
    other.load_state_dict(prior.state_dict())
    torch.testing.assert_close(other().log_prob(z), expected)


def grid(side: int, reach: float) -> tuple[Tensor, float]:
    """Points `[side², 2]` of a square of half-width `reach`, and the area of a cell."""
    line = torch.linspace(-reach, reach, side, dtype=torch.float64)
    return torch.cartesian_prod(line, line), (2 * reach / (side - 1)) ** 2


@pytest.mark.parametrize("name", PRIORS)
def test_contract(name: str) -> None:
    prior = PRIORS[name]()
    p: Distribution = prior()
    assert p.batch_shape == ()
    assert p.event_shape == (LATENT,)
    assert p.sample((3, 7)).shape == (3, 7, LATENT)
    z = torch.randn(3, 7, LATENT)
    log_p = p.log_prob(z)
    assert log_p.shape == (3, 7)
    parameters = list(prior.parameters())
    if parameters:
        grads = torch.autograd.grad(log_p.sum(), parameters)
        assert all(g.isfinite().all() and g.abs().max() > 0 for g in grads)


@pytest.mark.parametrize("name", PRIORS)
def test_the_density_integrates_to_one_and_its_draws_follow_it(name: str) -> None:
    prior = PRIORS[name]()
    prior()  # lazy layers
    prior = prior.double()
    for module in getattr(prior, "_encoder", ()):
        module.double()
    points, cell = grid(161, 14.0 if name == "matching" else 9.0)
    with torch.no_grad():
        p = prior()
        mass = p.log_prob(points).exp() * cell
        draws = p.sample((20_000,))
    assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    mean = (mass[:, None] * points).sum(0)
    variance = (mass[:, None] * (points - mean).square()).sum(0)
    assert ((draws.mean(0) - mean).abs() < 5 * (variance / len(draws)).sqrt()).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.1, atol=0.0)


def model(prior: nn.Module, head: nn.Module | None = None) -> VAE:
    encoder = nn.Sequential(
        nn.Linear(EVENT, 8), nn.Tanh(), head or posteriors.DiagonalGaussian(LATENT)
    )
    decoder = nn.Sequential(nn.Linear(LATENT, 8), nn.Tanh(), likelihoods.Gaussian(EVENT))
    return VAE(encoder, decoder, prior)


HEADS = {
    "low-rank": lambda n: posteriors.LowRankGaussian(n, 1),
    "autoregressive": lambda n: posteriors.InverseAutoregressive(n, 1, hidden=(8,)),
}


@pytest.mark.parametrize("head", [posteriors.DiagonalGaussian, "low-rank", "autoregressive"])
@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_goes_with_every_posterior(name: str, head: object) -> None:
    prior = PRIORS[name]()
    vae = model(prior, HEADS.get(head, head)(LATENT))
    x = torch.randn(12, EVENT)
    if isinstance(prior, priors.Vamp):
        prior.start(vae.encoder, x)
    vae(x)
    loss = objectives.ELBO(samples=2)(vae, x, Moment())
    loss.total.backward()
    assert loss.total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())
    assert vae.generate(4).sample().shape == (1, 4, EVENT)


@pytest.mark.parametrize("head", [posteriors.DiagonalGaussian, "low-rank", "autoregressive"])
@pytest.mark.parametrize("name", PRIORS)
def test_nothing_waits_for_the_device(name: str, head: object) -> None:
    """On the meta device there are no values to wait for, and all tensors must be there."""
    prior = PRIORS[name]()
    vae = model(prior, HEADS.get(head, head)(LATENT))
    x = torch.randn(12, EVENT)
    if isinstance(prior, priors.Vamp):
        prior.start(vae.encoder, x)
    vae(x)
    loss = objectives.ELBO(samples=2)(vae.to("meta"), x.to("meta"), Moment())
    loss.total.backward()


def test_vamp_is_the_mean_of_the_posteriors_at_its_rows() -> None:
    x = torch.randn(30, EVENT)
    vae = model(priors.Vamp(LATENT, 7))
    vae.prior.start(vae.encoder, x, seed=3)
    rows = vae.prior.inputs
    assert rows.shape == (7, EVENT)
    assert all((x == row).all(1).any() for row in rows)
    assert len(rows.unique(dim=0)) == 7
    z = torch.randn(2, 5, LATENT)
    each = vae.encoder(rows).log_prob(z[..., None, :])
    torch.testing.assert_close(vae.prior().log_prob(z), each.logsumexp(-1) - math.log(7))

    again = priors.Vamp(LATENT, 7)
    again.start(vae.encoder, x, seed=3)
    assert torch.equal(again.inputs, rows)
    few = priors.Vamp(LATENT, 7)
    few.start(vae.encoder, x[:3])
    assert len(few.inputs.unique(dim=0)) == 3


def test_vamps_encoder_is_saved_once_and_copied_with_the_model() -> None:
    x = torch.randn(30, EVENT)
    vae = model(priors.Vamp(LATENT, 4, learned=True))
    vae.prior.start(vae.encoder, x)
    vae(x)
    names = list(vae.state_dict())
    assert len(names) == len(set(names))
    assert [n for n in names if n.startswith("prior.")] == ["prior.inputs"]
    assert len(list(vae.parameters())) == len({id(p) for p in vae.parameters()})

    twin = copy.deepcopy(vae)
    assert twin.prior._encoder[0] is twin.encoder
    assert twin.encoder is not vae.encoder
    with torch.no_grad():
        for parameter in twin.encoder.parameters():
            parameter.zero_()
    z = torch.zeros(1, 1, LATENT)
    assert not torch.equal(twin.prior().log_prob(z), vae.prior().log_prob(z))

    fresh = model(priors.Vamp(LATENT, 4, learned=True))
    fresh.prior.start(fresh.encoder, torch.zeros(1, EVENT))
    fresh.load_state_dict(vae.state_dict())
    assert torch.equal(fresh.prior().log_prob(z), vae.prior().log_prob(z))


def test_vamp_learns_its_inputs_only_where_they_can_move() -> None:
    encoder = model(priors.StandardNormal(LATENT)).encoder
    with_gap = torch.randn(9, EVENT)
    with_gap[:, 2] = torch.nan
    for x in (with_gap, torch.ones(9, EVENT, dtype=torch.int64)):
        with pytest.raises(OptionError, match=r"use Vamp\(learned=False\)"):
            priors.Vamp(LATENT, 3, learned=True).start(encoder, x)
        fixed = priors.Vamp(LATENT, 3)
        fixed.start(encoder, x)
        assert list(fixed.parameters()) == []
        assert fixed.inputs.dtype == x.dtype


def test_vamp_says_what_is_missing() -> None:
    prior = priors.Vamp(LATENT, 3)
    with pytest.raises(ValueError, match=r"call its start\(encoder, x\)"):
        prior()
    prior.start(model(priors.StandardNormal(LATENT)).encoder, torch.randn(5, EVENT))
    prior.latent = 9
    with pytest.raises(ValueError, match=r"have the shape \[2\], but \[9\]"):
        prior()


TRUTH = MixtureSameFamily(
    torch.distributions.Categorical(torch.tensor([0.3, 0.7])),
    Independent(Normal(torch.tensor([[-2.0, 0.5], [1.5, -0.5]]), torch.tensor([0.5, 0.9])), 1),
)


def better_than_a_normal(prior: nn.Module, draws: Tensor) -> None:
    """Its density integrates to one and is nearer to the mixture than any single normal's."""
    points, cell = grid(121, 7.0)
    test = TRUTH.sample((4_000,))
    with torch.no_grad():
        p = prior()
        assert (p.log_prob(points.float()).exp() * cell).sum().item() == pytest.approx(1, abs=0.01)
        found = p.log_prob(test).mean().item()
        sample = p.sample((4_000,))
    best = Independent(Normal(draws.mean(0), draws.std(0)), 1).log_prob(test).mean().item()
    exact = TRUTH.log_prob(test).mean().item()
    assert exact - best > 0.4
    assert exact - found < 0.1
    assert TRUTH.log_prob(sample).mean().item() == pytest.approx(exact, abs=0.25)


def test_flow_matching_learns_a_mixture() -> None:
    prior = flows.FlowMatching(2, hidden=(64, 64))
    draws = TRUTH.sample((20_000,))
    prior.start(draws)
    optimiser = torch.optim.Adam(prior.parameters(), lr=5e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 800)
    for _ in range(800):
        z = draws[torch.randint(len(draws), (512,))]
        optimiser.zero_grad()
        flows.matching(prior, z, Moment()).total.backward()
        optimiser.step()
        rate.step()
    better_than_a_normal(prior, draws)


def test_a_flow_learns_a_mixture_by_its_likelihood() -> None:
    prior = flows.Flow(2, transforms=3, hidden=(32, 32))
    draws = TRUTH.sample((20_000,))
    optimiser = torch.optim.Adam(prior.parameters(), lr=5e-3)
    for _ in range(250):
        z = draws[torch.randint(len(draws), (512,))]
        optimiser.zero_grad()
        (-prior().log_prob(z).mean()).backward()
        optimiser.step()
    better_than_a_normal(prior, draws)


def test_an_unfitted_flow_matching_is_the_normal_it_starts_from() -> None:
    prior = flows.FlowMatching(3)
    draws = torch.tensor([1.0, 2.0, 3.0]) * torch.randn(500, 3) + 4.0
    prior.start(draws)
    scale = draws.std(0, correction=0)
    wanted = Independent(Normal(draws.mean(0), scale), 1)
    z = torch.randn(5, 6, 3)
    torch.testing.assert_close(prior().log_prob(z), wanted.log_prob(z))


def test_a_linear_velocity_has_its_closed_form() -> None:
    """du/dt = A u takes N(0, I) to N(0, e^A e^Aᵀ), whose log-determinant is the trace of A."""
    a = torch.tensor([[0.4, 0.7], [-0.3, -0.6]], dtype=torch.float64)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    p = flows.ContinuousFlow(lambda u, _: u @ a.mT, zero, 2 * one, steps=16)
    factor = 2 * torch.linalg.matrix_exp(a)
    wanted = torch.distributions.MultivariateNormal(zero, factor @ factor.mT)
    z = torch.randn(4, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(p.log_prob(z), wanted.log_prob(z), rtol=0, atol=1e-6)
    found = torch.cov(p.sample((100_000,)).mT)
    torch.testing.assert_close(found, wanted.covariance_matrix, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("name", ["flow", "matching"])
def test_a_cooler_flow_is_a_density_whose_draws_are_nearer_to_each_other(name: str) -> None:
    prior = PRIORS[name]().double()
    points, cell = grid(161, 14.0 if name == "matching" else 9.0)
    with torch.no_grad():
        cold = temper(prior(), 0.5)
        assert (cold.log_prob(points).exp() * cell).sum().item() == pytest.approx(1.0, abs=3e-3)
        assert (cold.sample((4_000,)).std(0) < 0.75 * prior().sample((4_000,)).std(0)).all()


def test_the_density_of_an_item_does_not_depend_on_its_neighbours() -> None:
    prior = matched().double()
    z = torch.randn(1, 50, 2, dtype=torch.float64)
    with torch.no_grad():
        whole = prior().log_prob(z)
        parts = torch.cat([prior().log_prob(part) for part in z.split(7, 1)], 1)
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-12)


def test_matching_fits_no_other_prior() -> None:
    with pytest.raises(TypeError, match="got a StandardNormal"):
        flows.matching(priors.StandardNormal(2), torch.zeros(3, 2), Moment())
    with pytest.raises(OptionError, match="steps"):
        flows.FlowMatching(2, steps=0)


def test_zuko_does_not_change_what_torch_validates() -> None:
    code = (
        "from torch.distributions import Normal\n"
        "from variate.models import flows\n"
        "flows.Flow(2)\n"
        "try: Normal(0.0, -1.0)\n"
        "except ValueError: print('validated')\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "validated"


def test_without_zuko_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'variate\[flow\]'"):
        flows.Flow(2)
    with pytest.raises(MissingExtraError, match="inverse autoregressive posterior"):
        posteriors.InverseAutoregressive(2)


def test_a_flow_is_fitted_to_codes_by_the_loop_that_fits_models():
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 0.3 + 1
    flow = FlowMatching(2, hidden=(32, 32))
    flow.start(z)
    figures = [
        event.figure
        for event in train(flow, matching, z, epochs=30, batch_size=100)
        if isinstance(event, Validated)
    ]
    assert figures[-1] > figures[0]


# -- the aggregate, fitted afterwards ------------------------------------------------------------


def two_clouds(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    side = torch.randint(2, (count, 1), generator=generator) * 4.0 - 2.0
    return side + 0.5 * torch.randn(count, 2, generator=generator)


def test_the_aggregate_is_standard_normal_until_it_is_fitted() -> None:
    z = two_clouds(50)
    expected = priors.StandardNormal(2)().log_prob(z)
    torch.testing.assert_close(priors.Aggregate(2)().log_prob(z), expected)


def test_the_fitted_aggregate_is_the_law_of_the_codes() -> None:
    prior = priors.Aggregate(2, components=8)
    prior.fit(two_clouds(20_000))
    z = two_clouds(4_000)
    each = -torch.log(torch.tensor(2 * torch.pi * 0.25))  # of one cloud, but for the square
    exact = torch.stack([each - (z - m).square().sum(-1) / 0.5 for m in (-2.0, 2.0)]).logsumexp(0)
    exact = exact - torch.log(torch.tensor(2.0))
    assert float((exact - prior().log_prob(z)).mean()) == pytest.approx(0.0, abs=0.01)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = prior().sample(torch.Size((4_000,)))
    assert float((drawn[:, 0] > 0).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_fitted_aggregate_is_kept_and_copied() -> None:
    prior = priors.Aggregate(2, components=4)
    prior.fit(two_clouds(500))
    again = priors.Aggregate(2, components=4)
    again.load_state_dict(prior.state_dict())
    z = two_clouds(9)
    for other in (again, copy.deepcopy(prior)):
        torch.testing.assert_close(other().log_prob(z), prior().log_prob(z))


@pytest.mark.parametrize("count", [1, 2, 15])
def test_few_codes_make_few_components(count: int) -> None:
    prior = priors.Aggregate(2)
    prior.fit(two_clouds(count) if count > 1 else torch.zeros(2, 2))
    assert prior().log_prob(two_clouds(3)).isfinite().all()
