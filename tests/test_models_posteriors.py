"""Posteriors: their densities, their divergences and their two kinds of gradient agree."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import Distribution, Independent, Normal, kl_divergence
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from variate.errors import OptionError
from variate.inference import Latent, rsample
from variate.models import posteriors, priors
from variate.models.flows import InverseAutoregressiveTransform, autoregressive_net
from variate.specification import describe, revive

HEADS: dict[str, Callable[[], nn.Module]] = {
    "diagonal": lambda: posteriors.DiagonalGaussian(3),
    "low-rank": lambda: posteriors.LowRankGaussian(3, 2),
    "autoregressive": lambda: posteriors.InverseAutoregressive(3, 2, hidden=(8,), context=4),
    "autoregressive-1d": lambda: posteriors.InverseAutoregressive(1, 2, hidden=(8,), context=4),
    "relaxed": lambda: posteriors.RelaxedCategorical(2, 3, 0.7),
}
EVENTS = {"relaxed": (6,), "autoregressive-1d": (1,)}
NORMAL = {"diagonal", "low-rank"}


def build(name: str, items: int = 4) -> tuple[nn.Module, Tensor]:
    """The head in float64, its weights large enough that the posterior is not nearly standard."""
    head, features = HEADS[name](), torch.randn(items, 5)
    head(features)
    head.double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(1.5)
    return head, features.double()


@pytest.mark.parametrize("name", HEADS)
def test_contract(name: str) -> None:
    head, features = build(name)
    q: Distribution = head(features)
    event = EVENTS.get(name, (3,))
    assert q.batch_shape == (4,)
    assert q.event_shape == event
    z = rsample(q, 7)
    assert z.shape == (7, 4, *event)
    assert q.log_prob(z).shape == (7, 4)
    assert q.log_prob(z).isfinite().all()
    (z.square().sum() + q.log_prob(z).sum()).backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", [n for n in HEADS if n != "relaxed"])
def test_the_density_integrates_to_one(name: str) -> None:
    """By importance sampling from a wide normal: the mean of q(z)/r(z) is one."""
    head, features = build(name)
    q = head(features)
    draws = q.sample((2_000,))
    wide = Independent(Normal(draws.mean(0), 1.7 * draws.std(0)), 1)
    z = wide.sample((100_000,))
    with torch.no_grad():
        ratio = (q.log_prob(z) - wide.log_prob(z)).exp()
    error = ratio.std(0) / math.sqrt(len(z))
    assert (error < 0.05).all()
    assert ((ratio.mean(0) - 1).abs() < 5 * error).all()


@pytest.mark.parametrize("name", HEADS)
def test_reparameterised_and_score_function_gradients_agree(name: str) -> None:
    """∇ E[f(z)] = E[∇ f(z(ε))] = E[(f(z) - b) ∇ log q(z)], for every parameter."""
    head, features = build(name, items=1)
    parameters = list(head.parameters())
    draws, chunks = 4_000, 50

    def f(z: Tensor) -> Tensor:
        return torch.sin(z.flatten(2) + 0.3).sum(-1) + torch.tanh(z.flatten(2)).prod(-1)

    with torch.no_grad():
        baseline = f(head(features).sample((draws,))).mean()

    def along_the_path() -> Tensor:
        return f(rsample(head(features), draws)).mean()

    def along_the_score() -> Tensor:
        q = head(features)
        z = q.sample((draws,))
        return ((f(z) - baseline).detach() * q.log_prob(z)).mean()

    found = [
        gradients(estimate, parameters, chunks) for estimate in (along_the_path, along_the_score)
    ]
    difference = found[0].mean(0) - found[1].mean(0)
    error = ((found[0].var(0) + found[1].var(0)) / chunks).sqrt() + 1e-9
    assert (difference.abs() < 4.5 * error).all()
    assert (found[0].mean(0).abs() / error).max() > 20  # a wrong gradient would be seen


def gradients(estimate: Callable[[], Tensor], parameters: list[nn.Parameter], times: int) -> Tensor:
    rows = []
    for _ in range(times):
        grads = torch.autograd.grad(estimate(), parameters)
        rows.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(rows)


def test_a_point_has_the_gradient_of_its_function() -> None:
    head, features = posteriors.Delta(3), torch.randn(4, 5)
    q = head(features)
    z = rsample(q, 2)
    assert z.shape == (2, 4, 3)
    assert torch.equal(q.log_prob(z), torch.zeros(2, 4))
    (slope,) = torch.autograd.grad(z[0].sin().sum(), head.linear.bias)
    torch.testing.assert_close(slope, z[0].cos().sum(0))


@pytest.mark.parametrize("name", sorted(NORMAL))
@pytest.mark.parametrize("prior", ["standard", "one-component"])
def test_analytic_and_drawn_kl_agree(name: str, prior: str) -> None:
    """The analytic KL where torch knows the pair; the prior of one component has none."""
    head, features = build(name)
    q = head(features)
    if prior == "standard":
        p = priors.StandardNormal(3).double()()
        exact = kl_divergence(q, p)
        assert torch.equal(Latent(rsample(q, 2), q, p).kl()[0], exact)
        assert torch.equal(Latent(rsample(q, 2), q, p).kl()[1], exact)
    else:
        mixture = priors.Mixture(3, 1).double()
        p = mixture()
        exact = kl_divergence(
            q, Independent(Normal(mixture.mean[0], p.component_distribution.base_dist.scale[0]), 1)
        )
    with torch.no_grad():
        z = q.sample((200_000,))
        drawn = Latent(z, q, p).log_q() - Latent(z, q, p).log_p()
    error = drawn.std(0) / math.sqrt(len(z))
    assert (error < 0.01 * exact).all()
    assert ((drawn.mean(0) - exact).abs() < 5 * error).all()


@pytest.mark.parametrize("name", ["autoregressive", "relaxed"])
def test_without_an_analytic_kl_the_draws_serve(name: str) -> None:
    head, features = build(name)
    prior = priors.RelaxedUniform(2, 3, 0.7) if name == "relaxed" else priors.StandardNormal(3)
    q, p = head(features), prior.double()()
    z = rsample(q, 5)
    torch.testing.assert_close(Latent(z, q, p).kl(), q.log_prob(z) - p.log_prob(z))
    assert Latent(z, q, p).kl_per_dimension() is None
    assert Latent(rsample(q, 5_000), q, p).kl().mean() > 0


def test_the_low_rank_posterior_has_the_covariance_it_says() -> None:
    head, features = build("low-rank")
    q = head(features)
    dense = q.cov_factor @ q.cov_factor.mT + torch.diag_embed(q.cov_diag)
    centred = q.sample((200_000,)) - q.mean
    found = torch.einsum("sbi,sbj->bij", centred, centred) / len(centred)
    assert ((found - dense).abs() < 0.03 * dense.abs().amax((1, 2), keepdim=True)).all()


def test_a_low_rank_posterior_without_factors_is_the_diagonal_one() -> None:
    head, features = build("low-rank")
    diagonal, _ = build("diagonal")
    with torch.no_grad():
        head.linear.weight[6:] = 0.0
        head.linear.bias[6:] = 0.0
        diagonal.linear.weight.copy_(head.linear.weight[:6])
        diagonal.linear.bias.copy_(head.linear.bias[:6])
    z = torch.randn(6, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(head(features).log_prob(z), diagonal(features).log_prob(z))


@pytest.mark.parametrize("flip", [False, True])
def test_an_autoregressive_flow_is_its_jacobian_and_its_inverse(flip: bool) -> None:
    net = autoregressive_net(4, 3, (16,), flip=flip).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.7)
    context = torch.randn(1, 3, dtype=torch.float64)
    flow = InverseAutoregressiveTransform(net, context)
    noise = torch.randn(1, 4, dtype=torch.float64)
    z = flow(noise)
    slopes = jacobian(lambda e: flow(e[None])[0], noise[0])
    lower = slopes.mT if flip else slopes
    assert torch.equal(lower, lower.tril())
    assert (slopes - slopes.diag().diag()).abs().max() > 1e-3  # it does look at the others
    torch.testing.assert_close(flow.log_abs_det_jacobian(noise, z), torch.logdet(slopes)[None])
    fresh = InverseAutoregressiveTransform(net, context)
    torch.testing.assert_close(fresh.inv(z), noise)


def test_an_autoregressive_posterior_is_consistent_with_change_of_variables() -> None:
    """Its own draws' density, remembered; the density of a stranger, inverted; and autograd."""
    head, features = build("autoregressive")
    q = head(features)
    z = q.rsample((6,))
    remembered, inverted = q.log_prob(z), head(features).log_prob(z + 0.0)
    torch.testing.assert_close(remembered, inverted)

    base, flows = q.base_dist, q.transforms
    noise = flows[0].inv(flows[1].inv(z)).detach()

    def push(e: Tensor) -> Tensor:
        for flow in head(features[:1]).transforms:
            e = flow(e)
        return e

    for s in range(6):
        slopes = jacobian(lambda e: push(e[None])[0], noise[s, 0])
        wanted = base.log_prob(noise)[s, 0] - torch.logdet(slopes)
        torch.testing.assert_close(remembered[s, 0], wanted)


def test_an_autoregressive_posterior_remembers_its_own_draws() -> None:
    """Their density costs no inversion: one pass a flow, not one per dimension and flow."""
    head, features = build("autoregressive")
    calls = []
    for net in head.nets:
        net.register_forward_hook(lambda *_: calls.append(1))
    q = head(features)
    z = q.rsample((2,))
    q.log_prob(z)
    assert len(calls) == 2
    q.log_prob(z + 0.0)
    assert len(calls) == 2 + 2 * (3 + 1)
    calls.clear()
    with torch.no_grad():
        q.log_prob(q.sample((2,)))
    assert len(calls) == 2


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
def test_a_relaxed_category_is_stable_in_float32(temperature: float) -> None:
    """Draws, density and gradient stay finite and close to float64, however cold."""
    head = posteriors.RelaxedCategorical(4, 10, temperature)
    features = 5 * torch.randn(50, 6)
    q = head(features)
    z = rsample(q, 20)
    log_q = q.log_prob(z)
    log_q.sum().backward()
    assert z.isfinite().all()
    assert log_q.isfinite().all()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    points = posteriors.Simplex()(z).unflatten(-1, (4, 10))
    torch.testing.assert_close(points.sum(-1), torch.ones(20, 50, 4), atol=1e-4, rtol=0)
    exact = copy.deepcopy(head).double()(features.double()).log_prob(z.double())
    # float32 in, so τ y_k is known to 1e-7 of y_k: compare relative to the size of the sum.
    assert ((log_q - exact).abs() < 1e-3 + 1e-5 * exact.abs()).all()
    if temperature < 0.1:
        assert (points == 0).any()  # on the simplex itself the density would be lost


def relaxed(logits: Tensor, temperature: float) -> Distribution:
    """q(z|x) of one item whose logits `[G, K]` are given."""
    head = posteriors.RelaxedCategorical(*logits.shape, temperature)
    head(torch.zeros(1, 1))
    head.double()
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.copy_(logits.flatten())
    return head(torch.zeros(1, 1, dtype=torch.float64))


def test_a_relaxed_category_has_the_density_of_torch() -> None:
    logits = torch.randn(2, 4, dtype=torch.float64)
    q = relaxed(logits, 0.6)
    z = q.sample((30,))
    tau = torch.tensor(0.6, dtype=torch.float64)
    each = ExpRelaxedCategorical(tau, logits=logits).log_prob(z.unflatten(-1, (2, 4)))
    torch.testing.assert_close(q.log_prob(z), each.sum(-1))


def test_a_relaxed_pair_is_the_logistic_law() -> None:
    """Two categories: the log-odds u of a draw are (l_1 - l_2 + logistic) / τ."""
    tau, odds = 0.6, 0.8
    q = relaxed(torch.tensor([[odds, 0.0]]), tau)
    u = torch.linspace(-4, 4, 9, dtype=torch.float64)
    y = nn.functional.logsigmoid(torch.stack([u, -u], -1)).reshape(9, 1, 2)
    a = tau * u - odds
    log_logistic = -a - 2 * nn.functional.softplus(-a) + math.log(tau)
    torch.testing.assert_close(q.log_prob(y).flatten(), log_logistic)

    z = q.sample((20_000,))
    drawn = (tau * (z[..., 0] - z[..., 1]) - odds).flatten()
    mean, variance = drawn.mean().item(), drawn.var().item()
    assert mean == pytest.approx(0.0, abs=5 * math.sqrt(variance / len(drawn)))
    assert variance == pytest.approx(math.pi**2 / 3, rel=0.05)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(OptionError, match="temperature must be positive"):
        posteriors.RelaxedCategorical(2, 3, temperature)
    with pytest.raises(OptionError, match="temperature must be positive"):
        priors.RelaxedUniform(2, 3, temperature)


@pytest.mark.parametrize("name", HEADS)
def test_a_model_file_can_keep_the_head(name: str) -> None:
    head, features = build(name)
    other = revive(describe(HEADS[name]())).double()
    other.load_state_dict(head.state_dict())
    assert other.latent == math.prod(EVENTS.get(name, (3,)))
    z = head(features).sample()
    torch.testing.assert_close(other(features).log_prob(z), head(features).log_prob(z))
