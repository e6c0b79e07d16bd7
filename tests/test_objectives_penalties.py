"""Penalties on the aggregate posterior, against Gaussians whose answers are known."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from variate import objectives
from variate.inference import Inference, Latent, Moment
from variate.models import likelihoods, posteriors, priors
from variate.models.vae import VAE
from variate.objectives import AggregateCovariance, MeanCovariance, MinibatchWeighted
from variate.objectives.penalties import log_aggregate, mmd

N, D = 5_000, 10


class Codes(nn.Module):
    """q(z|x) = N(x, s²): the data are the means, so the aggregate posterior is known."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def posterior(self, x: Tensor) -> Distribution:
        return Independent(Normal(x, self.scale), 1)

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        q = self.posterior(x)
        z = q.rsample(torch.Size((samples,)))
        prior = Independent(Normal(torch.zeros_like(x[0]), 1.0), 1)
        return Inference((Latent(z, q, prior),), Independent(Normal(z, 1.0), 1))


def test_total_correlation_and_information_of_a_known_gaussian() -> None:
    """Within 0.2 nats at B = 512, and on the way there at smaller batches.

    z ~ N(0, Σ), neighbours (2i, 2i + 1) correlated by ρ, all else independent, z|x of scale s:

        TC = -½ log|corr Σ| = -D/4 log(1 - ρ²)        MI = ½ (log|Σ| - D log s²)

    The logarithm of an unbiased estimate is biased by what one batch cannot see. The public
    implementations are off by nats to tens of nats here, and the more the larger the batch (D4).
    """
    rho, scale = 0.7, 0.5
    block = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    sigma = torch.block_diag(*[block] * (D // 2))
    tc = -D / 4 * math.log(1 - rho**2)
    mi = (torch.logdet(sigma).item() - D * math.log(scale**2)) / 2
    within = sigma - scale**2 * torch.eye(D)
    x = MultivariateNormal(torch.zeros(D, dtype=torch.float64), within).sample((N,))
    objective, model = objectives.TotalCorrelation(4.0), Codes(scale)
    errors = []
    for size, batches in ((64, 60), (512, 20)):
        found = []
        for _ in range(batches):
            batch = x[torch.randperm(N)[:size]]
            terms = objective(model, batch, Moment(items=N)).terms
            found.append([terms["total_correlation"], terms["mutual_information"]])
        errors.append(torch.tensor(found).mean(0) - torch.tensor([tc, mi]))
    assert (errors[0].abs() < 1.1).all()
    assert (errors[1].abs() < 0.2).all()


def test_the_batch_estimate_of_the_aggregate_is_unbiased() -> None:
    """Mean over all batches that hold item 0 = the aggregate posterior over all items, exactly."""
    x, model = torch.randn(6, 2, dtype=torch.float64), Codes(0.5)
    z = torch.randn(1, 2, dtype=torch.float64)
    joints, marginals = [], []
    for other in torch.combinations(torch.arange(1, 6), 2):
        q = model.posterior(x[torch.cat([torch.zeros(1).long(), other])])
        joint, marginal = log_aggregate(z.expand(1, 3, 2), q, items=6)
        joints.append(joint[0, 0].exp())
        marginals.append(marginal[0, 0].exp())
    every = model.posterior(x)
    torch.testing.assert_close(torch.stack(joints).mean(), every.log_prob(z).exp().mean())
    torch.testing.assert_close(
        torch.stack(marginals).mean(0), every.base_dist.log_prob(z).exp().mean(0)
    )


def test_the_whole_data_as_one_batch_is_exact_and_repeating_draws_changes_nothing() -> None:
    x, model = torch.randn(7, 3, dtype=torch.float64), Codes(0.5)
    q = model.posterior(x)
    z = q.sample((2,))
    joint, marginals = log_aggregate(z, q, items=7)
    density = q.log_prob(z[..., None, :])
    torch.testing.assert_close(joint, density.logsumexp(-1) - math.log(7))
    each = q.base_dist.log_prob(z[..., None, :])
    torch.testing.assert_close(marginals, each.logsumexp(2) - math.log(7))
    fewer, _ = log_aggregate(z, q, items=1)  # a moment that was not told how many
    torch.testing.assert_close(fewer, joint)


def test_minibatch_weights_are_the_definition() -> None:
    """(1/NB) Σ_m q_m(z) (Chen et al. 2018, eq. 4): off by constants, which have no gradient."""
    x, model = torch.randn(7, 3, dtype=torch.float64), Codes(0.5)
    q = model.posterior(x)
    z = q.sample((2,))
    joint, marginals = log_aggregate(z, q, N, MinibatchWeighted())
    density = q.log_prob(z[..., None, :]).exp()
    torch.testing.assert_close(joint.exp(), density.sum(-1) / (N * 7))
    each = q.base_dist.log_prob(z[..., None, :]).exp()
    torch.testing.assert_close(marginals.exp(), each.sum(2) / (N * 7))


def test_minibatch_weights_report_too_much_and_move_the_model_as_the_batch_mean_does() -> None:
    x = torch.randn(20, 3, dtype=torch.float64)
    terms, slopes = [], []
    for aggregate, items in ((MinibatchWeighted(), N), (MinibatchWeighted(), 20), (None, 20)):
        scale = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        torch.manual_seed(3)
        objective = objectives.TotalCorrelation(4.0, aggregate)
        loss = objective(Codes(scale), x, Moment(items=items))
        loss.total.backward()
        terms.append([loss.terms["total_correlation"], loss.terms["mutual_information"]])
        slopes.append(scale.grad)
    # With the batch as the whole data, stratified weights are all 1/B: the batch's mean.
    (tc, mi), (exact_tc, exact_mi) = terms[0], terms[2]
    torch.testing.assert_close(tc, exact_tc + (3 - 1) * math.log(N))
    torch.testing.assert_close(mi, exact_mi + math.log(N))
    torch.testing.assert_close(slopes[0], slopes[1])
    torch.testing.assert_close(slopes[0], slopes[2])


def test_one_item_has_no_total_correlation() -> None:
    model, x = Codes(0.5), torch.randn(1, D)
    terms = objectives.TotalCorrelation()(model, x, Moment(items=N)).terms
    assert terms["total_correlation"].item() == pytest.approx(0.0, abs=1e-5)
    assert terms["mutual_information"].item() == pytest.approx(0.0, abs=1e-5)


def test_total_correlation_is_weighed_by_beta() -> None:
    model, x = Codes(0.5), torch.randn(50, D)
    found = {}
    for beta in (1.0, 3.0):
        torch.manual_seed(1)
        found[beta] = objectives.TotalCorrelation(beta)(model, x, Moment(items=N))
    tc = found[1.0].terms["total_correlation"]
    torch.testing.assert_close(found[3.0].total, found[1.0].total + 2 * tc)
    assert found[3.0].terms["beta"] == 3.0


def test_a_coupled_posterior_has_no_factors() -> None:
    encoder = nn.Sequential(posteriors.LowRankGaussian(3, 1))
    decoder = nn.Sequential(likelihoods.Gaussian(4))
    model, x = VAE(encoder, decoder, priors.StandardNormal(3)), torch.randn(8, 4)
    for objective in (objectives.TotalCorrelation(), objectives.DIP()):
        with pytest.raises(TypeError, match="factorises over the latent dimensions"):
            objective(model, x, Moment())
    objectives.DIP(covariance=MeanCovariance())(model, x, Moment())


def test_dip_is_the_formula_of_the_paper() -> None:
    x = torch.randn(200, 3, dtype=torch.float64) @ torch.randn(3, 3, dtype=torch.float64)
    model = Codes(0.6)
    means = torch.cov(x.mT, correction=0)
    torch.testing.assert_close(MeanCovariance()(model.posterior(x)), means)
    both = means + 0.36 * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(AggregateCovariance()(model.posterior(x)), both)

    for function, c in ((MeanCovariance(), means), (AggregateCovariance(), both)):
        terms = objectives.DIP(2.0, 5.0, function)(model, x, Moment()).terms
        wanted = sum(
            (2.0 * (c[i, i] - 1) ** 2 if i == j else 5.0 * c[i, j] ** 2)
            for i in range(3)
            for j in range(3)
        )
        torch.testing.assert_close(terms["penalty"], wanted)


def vae() -> VAE:
    encoder = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), posteriors.DiagonalGaussian(3))
    decoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), likelihoods.Gaussian(6))
    model = VAE(encoder, decoder, priors.StandardNormal(3))
    model(torch.zeros(2, 6))
    return model


def test_the_critic_and_the_model_do_not_train_each_other() -> None:
    model, objective = vae(), objectives.Factor(5.0, 3, hidden=(16,))
    loss = objective(model, torch.randn(20, 6), Moment())
    ours, theirs = list(objective.parameters()), list(model.parameters())
    options = {"allow_unused": True, "retain_graph": True}
    assert loss.critic is not None
    assert all(g is None for g in torch.autograd.grad(loss.total, ours, **options))
    assert all(g is None for g in torch.autograd.grad(loss.critic, theirs, **options))
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(loss.critic, ours, **options))
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(loss.total, theirs, **options))

    torch.manual_seed(1)
    slopes = torch.autograd.grad(objective(model, torch.ones(20, 6), Moment()).total, theirs)
    torch.manual_seed(1)
    without = objectives.Factor(0.0, 3)(model, torch.ones(20, 6), Moment()).total
    others = torch.autograd.grad(without, theirs)
    # The critic does move the model: the penalty's gradient reaches the encoder.
    assert (slopes[0] - others[0]).abs().max() > 1e-6


def test_the_critic_learns_the_total_correlation() -> None:
    rho = 0.8
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]])
    tc = -math.log(1 - rho**2) / 2
    model, objective = Codes(0.1), objectives.Factor(1.0, 2, hidden=(32, 32))
    law = MultivariateNormal(torch.zeros(2), covariance - 0.01 * torch.eye(2))
    optimiser = torch.optim.Adam(objective.parameters(), lr=2e-3)
    for _ in range(600):
        loss = objective(model, law.sample((512,)), Moment())
        optimiser.zero_grad()
        loss.critic.backward()
        optimiser.step()
    with torch.no_grad():
        found = objective(model, law.sample((20_000,)), Moment()).terms["total_correlation"]
    assert found.item() == pytest.approx(tc, abs=0.1)


def test_mmd_is_zero_in_the_mean_for_one_law_and_positive_for_two() -> None:
    def mean_and_error(shift: float) -> tuple[float, float]:
        draws = torch.randn(400, 2, 60, 3, dtype=torch.float64)
        found = torch.stack([mmd(a, b + shift) for a, b in draws])
        return found.mean().item(), found.std().item() / 20

    mean, error = mean_and_error(0.0)
    assert abs(mean) < 4 * error
    assert error < 0.003
    mean, error = mean_and_error(0.5)
    assert mean > 20 * error


def test_mmd_is_the_definition() -> None:
    a, b = torch.randn(4, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)

    def k(u: Tensor, v: Tensor) -> Tensor:
        widths = [4 * c for c in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
        return sum(w / (w + (u - v).square().sum()) for w in widths)

    within_a = sum(k(a[i], a[j]) for i in range(4) for j in range(4) if i != j) / 12
    within_b = sum(k(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / 20
    between = sum(k(u, v) for u in a for v in b) / 20
    torch.testing.assert_close(mmd(a, b), within_a + within_b - 2 * between)
    assert mmd(a[:1], b) == 0


def test_mmd_draws_the_codes_towards_the_prior() -> None:
    x = torch.randn(300, 2) + 3.0
    shift = nn.Parameter(torch.zeros(2))
    model, objective = Codes(0.3), objectives.MMD(1.0, beta=0.0)
    terms = objective(model, x, Moment()).terms
    assert terms["beta"] == 0.0
    total = objective(model, x + shift, Moment()).total + objective(model, x, Moment()).total * 0
    likelihood = objectives.ELBO(0.0)(model, x + shift, Moment()).total
    (slope,) = torch.autograd.grad(total - likelihood, shift)
    assert (slope > 0).all()  # descent moves the codes back to zero
