"""A flow over codes: normalised, drawn as it says, and bounded from below as it says."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Distribution

import variate as vt
from variate.distributions import temper
from variate.errors import OptionError
from variate.evaluation import bounds
from variate.models import posteriors, priors
from variate.models.codeflow import DequantisedGrid
from variate.models.codeprior import renewed
from variate.specification import describe, revive

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

SHAPES = {"one number": (1, (5,)), "two numbers": (1, (3, 4)), "two codes": (2, (3,))}


def bent(positions: int, levels: tuple[int, ...]) -> priors.FlowCodes:
    """Far from uniform, in float64."""
    prior = priors.FlowCodes(positions, levels, transforms=2, hidden=(16,))
    head = posteriors.FSQ(positions, levels)
    with torch.no_grad():
        for name, parameter in prior.named_parameters():
            if not parameter.any():  # what makes it the identity, and u uniform
                size = 0.2 if "dequantiser" in name else 0.35
                parameter.add_(size * torch.randn_like(parameter))
    prior.start(head)
    return prior.double()


def all_codes(prior: priors.FlowCodes) -> Tensor:
    return torch.cartesian_prod(*[torch.arange(prior.size)] * prior.positions).reshape(
        -1, prior.positions
    )


@torch.no_grad()
def exact(law: DequantisedGrid, codes: Tensor) -> Tensor:
    """P of codes of one or two numbers: by Φ of their ends, or by quadrature over their cells."""
    if len(law.counts) == 1:
        numbers, base = law.numbers(codes), law.flow.base.base_dist
        ends = [torch.special.ndtri((numbers + i) / law.counts.double()) for i in (0, 1)]
        low, high = (base.cdf(law.flow.transform(end.clamp(-20, 20))) for end in ends)
        return (high - low)[:, 0]
    nodes, weights = map(torch.tensor, np.polynomial.legendre.leggauss(6))
    found = []
    for numbers in law.numbers(codes):
        sides = []
        for s, count in zip(numbers, law.counts, strict=True):
            edges = torch.special.ndtri(torch.stack([s, s + 1]) / count.double()).clamp(-9, 9)
            knots = torch.linspace(*edges.tolist(), 12, dtype=torch.float64)  # splines have pieces
            half = knots.diff() / 2
            points = (knots[:-1] + half)[:, None] + half[:, None] * nodes
            sides.append((points.flatten(), (half[:, None] * weights).flatten()))
        v = torch.cartesian_prod(*[points for points, _ in sides]).reshape(-1, len(sides))
        w = torch.cartesian_prod(*[weight for _, weight in sides]).reshape(-1, len(sides))
        found.append((law.flow.log_prob(v).exp() * w.prod(-1)).sum())
    return torch.stack(found)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("name", SHAPES)
def test_the_masses_sum_to_one_and_draws_follow_them(name: str, temperature: float) -> None:
    prior = bent(*SHAPES[name])
    law = temper(prior.grid(), temperature)
    codes = all_codes(prior)
    mass = exact(law, codes)
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-9 if len(law.counts) == 1 else 3e-3)
    assert mass.max() > 3 * mass.min()  # else a wrong law would not be seen
    n = 20_000
    drawn = law.sample((n,))
    assert law.support.check(drawn).all()
    where = (drawn * torch.tensor([prior.size ** (len(codes[0]) - 1), 1])[-len(codes[0]) :]).sum(-1)
    found = where.bincount(minlength=len(codes)) / n
    assert ((found - mass).abs() < 5 * (mass * (1 - mass) / n).sqrt() + 5e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("name", SHAPES)
def test_the_estimate_is_below_and_closes_with_draws(name: str) -> None:
    prior = bent(*SHAPES[name])
    law = prior.grid()
    codes = all_codes(prior)
    mass = exact(law, codes)
    log_p = law.log_prob(codes.expand(6_400, -1, -1))  # [draws, codes]
    error = log_p.exp().std(0) / len(log_p) ** 0.5
    assert ((log_p.exp().mean(0) - mass).abs() < 5 * error + 1e-4 * mass).all()  # no bias
    gaps = []
    for draws in (1, 8, 64, 320):
        bound = log_p.unflatten(0, (-1, draws)).logsumexp(1) - math.log(draws)
        spread = bound.std(0) / len(bound) ** 0.5
        assert (bound.mean(0) < mass.log() + 5 * spread + 1e-4).all()
        gaps.append(((mass.log() - bound.mean(0)) * mass).sum().item())
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.02
    assert gaps[-1] < 0.1 * gaps[0]


def test_untrained_it_is_uniform_and_its_estimate_is_exact() -> None:
    prior = priors.FlowCodes(3, (4, 3), transforms=2, hidden=(8,))
    codes = torch.randint(12, (50, 3))
    torch.testing.assert_close(prior.grid().log_prob(codes), torch.full((50,), -3 * math.log(12)))
    ends = torch.tensor([[0, 0, 0], [11, 11, 11]]).repeat(5_000, 1)
    assert prior.grid().log_prob(ends).isfinite().all()
    assert torch.equal(prior.grid().codes(prior.grid().numbers(codes)), codes)
    steps = posteriors.FSQ(3, (4, 3)).codebook.look_up(codes)  # the lattice counts alike
    both = (steps + 1) / 2 * (torch.tensor([4, 3]) - 1)
    assert torch.equal(both.round().long().flatten(1), prior.grid().numbers(codes))


def test_contract() -> None:
    prior = bent(2, (3, 2)).float()
    p = prior()
    assert (p.batch_shape, p.event_shape) == ((), (prior.latent,))
    z = p.sample((3, 7))
    assert z.shape == (3, 7, 4)
    log_p = p.log_prob(z)
    assert log_p.shape == (3, 7)
    for parameter in prior.parameters():
        (grad,) = torch.autograd.grad(log_p.sum(), parameter, retain_graph=True)
        assert grad.isfinite().all()
        assert grad.abs().max() > 0
    assert p.log_prob(z + 0.3).isneginf().all()  # on no code


@torch.no_grad()
def test_a_share_is_renewed_given_the_rest_and_says_how_likely_that_was() -> None:
    """Kept codes stay; weighted by P/q, what is drawn follows P given what is kept."""
    prior = bent(2, (3,))
    law = prior.grid()
    mass = exact(law, all_codes(prior)).reshape(3, 3)
    kept = torch.tensor([2, 0]).expand(10_000, -1)
    chosen = torch.tensor([False, True]).expand(10_000, -1)
    made, log_q = renewed(law, kept, chosen)
    assert (made[:, 0] == 2).all()
    weight = (mass[2, made[:, 1]].log() - log_q).exp()
    found = torch.zeros(3).double().index_add(0, made[:, 1], weight) / weight.sum()
    torch.testing.assert_close(found, mass[2] / mass[2].sum(), atol=0.03, rtol=0)
    torch.testing.assert_close(weight.mean(), mass[2].sum(), atol=0.0, rtol=0.1)
    both = renewed(law, kept, torch.ones_like(chosen))[0]  # all of it: the law itself
    share = (3 * both[:, 0] + both[:, 1]).bincount(minlength=9) / len(both)
    torch.testing.assert_close(share.double(), mass.flatten(), atol=0.02, rtol=0)
    untouched, log_q = renewed(law, kept[:5], torch.zeros_like(chosen[:5]))
    assert torch.equal(untouched, kept[:5])
    assert (log_q == 0).all()


def test_more_draws_close_the_gap_of_the_evidence() -> None:
    """With a decoder that looks at no code the bounds are log p(x|z) and those of log P(c)."""

    class Silent(nn.Module):
        def forward(self, z: Tensor) -> Distribution:
            normal = torch.distributions.Normal(torch.zeros(*z.shape[:2], 2).double(), 1.0)
            return torch.distributions.Independent(normal, 1)

    prior = bent(1, (3, 4))
    encoder = nn.Sequential(nn.Linear(2, 5), posteriors.FSQ(1, (3, 4))).double()
    model = vt.VAE(encoder, Silent(), prior)
    prior.start(encoder)
    x = torch.randn(6, 2).double()
    with torch.no_grad():
        model.eval()
        mass = exact(prior.grid(), encoder(x).codes)
    few, many = (bounds(model, x, draws=n, common=True, chunk=n) for n in (4, 4_096))
    assert (few.elbo <= few.importance).all()
    truth = mass.log() - (x.square().sum(-1) / 2 + math.log(2 * math.pi))
    assert (many.elbo < truth + 0.05).all()
    torch.testing.assert_close(many.importance, truth, atol=0.1, rtol=0)
    again = bounds(model, x[2:3], draws=4, common=True)
    torch.testing.assert_close(again.importance, few.importance[2:3])


def test_it_is_for_a_lattice() -> None:
    prior = priors.FlowCodes(3, (4, 3), transforms=1, hidden=(4,))
    with pytest.raises(OptionError, match=r"whose numbers have an order.*AutoregressiveCodes"):
        prior.start(posteriors.VQ(3, 12, 2))
    with pytest.raises(OptionError, match=r"levels=\(4, 3\), but the encoder's FSQ has \(3, 4\)"):
        prior.start(posteriors.FSQ(3, (3, 4)))
    with pytest.raises(OptionError, match="needs an encoder with one quantising head"):
        prior.start(posteriors.DiagonalGaussian(6))
    with pytest.raises(OptionError, match="transforms must be a positive whole number"):
        priors.FlowCodes(3, (4, 3), transforms=0)
    with pytest.raises(OptionError, match="levels must be whole numbers"):
        priors.FlowCodes(3, (4, 1))


def test_it_is_described_copied_and_kept() -> None:
    prior = bent(2, (3, 2)).float()
    other = revive(describe(prior))
    other.load_state_dict(prior.state_dict(), strict=False)
    other.start(prior._head[0])
    z = prior().sample((5,))
    for twin in (other, copy.deepcopy(prior)):
        torch.manual_seed(0)
        first = twin().log_prob(z)
        torch.manual_seed(0)
        torch.testing.assert_close(first, prior().log_prob(z))


def test_every_verb_of_pictures(tmp_path: Path) -> None:
    x = load_digits().images.astype(np.uint8)
    prior = priors.SecondStage(priors.FlowCodes(4, (4, 3), transforms=2, hidden=(16,)))
    network = vt.networks.FSQ((4, 3), halvings=2)
    model = vt.ImageVAE(
        levels=17, width=8, epochs=4, network=network, prior=prior, learning_rate=3e-3
    ).fit(x[:300])
    stage = model.facts_["second_stage"]
    assert stage["nats_before"] == pytest.approx(4 * math.log(12))
    assert stage["nats_after"] < stage["nats_before"]
    held_out = model.facts_["held_out"]
    assert held_out["elbo"] < held_out["log_likelihood"]
    assert model.sample(5, temperature=0.5, seed=0).shape == (5, 8, 8)
    assert np.array_equal(model.vary(x[:1], 2, strength=0.0), model.reconstruct(x[[0, 0]]))
    assert model.vary(x[:2], 3, strength=0.5, seed=0).shape == (6, 8, 8)
    mask = np.zeros((8, 8), bool)
    mask[4:] = True
    assert (model.impute(x[:2], mask, seed=0).filled[:, :4] == x[:2, :4]).all()
    scores = model.score_samples(x[300:304], draws=8)
    assert np.allclose(model.score_samples(x[302:304], draws=8), scores[2:], rtol=1e-5)
    assert np.isfinite(model.evaluate(x[300:320], draws=2)["elbo"])
    model.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert np.array_equal(again.score_samples(x[300:304], draws=8), scores)
    assert np.array_equal(again.sample(3, seed=1), model.sample(3, seed=1))
    with pytest.raises(OptionError, match="for the codes of an FSQ"):
        vt.ImageVAE(network=vt.networks.VQ(12, 2, halvings=2), prior=prior, epochs=1).fit(x[:50])
