"""Priors over codes: they sum to one over all grids, and are drawn as they say."""

import copy
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tables import people
from torch import Tensor, nn

from variate.distributions import temper
from variate.errors import OptionError
from variate.inference import Moment
from variate.kinds import load
from variate.models import posteriors, priors
from variate.models.codeprior import GridLaw
from variate.nets.causal import CausalTransformer
from variate.specification import describe, revive
from variate.table import TableVAE
from variate.training import Validated, train

POSITIONS, SIZE, WIDTH = 3, 4, 2


def autoregressive(head: nn.Module) -> priors.AutoregressiveCodes:
    """Far from uniform."""
    prior = priors.AutoregressiveCodes(POSITIONS, SIZE, WIDTH, hidden=8, layers=2, heads=2)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.7 * torch.randn_like(parameter))
    prior.start(head)
    return prior


def uniform(head: nn.Module) -> priors.UniformCodes:
    prior = priors.UniformCodes(POSITIONS, SIZE, WIDTH)
    prior.start(head)
    return prior


PRIORS = {"uniform": uniform, "autoregressive": autoregressive}


def lattice() -> posteriors.FSQ:
    return posteriors.FSQ(POSITIONS, (2, 2))


def all_grids() -> Tensor:
    return torch.tensor(list(itertools.product(range(SIZE), repeat=POSITIONS)))


@pytest.mark.parametrize("head", [lattice, lambda: posteriors.VQ(POSITIONS, SIZE, WIDTH)])
@pytest.mark.parametrize("name", PRIORS)
def test_contract(name: str, head: Callable[[], nn.Module]) -> None:
    head = head()
    prior = PRIORS[name](head)
    p = prior()
    assert prior.latent == POSITIONS * WIDTH
    assert p.batch_shape == ()
    assert p.event_shape == (prior.latent,)
    z = p.sample((3, 7))
    assert z.shape == (3, 7, prior.latent)
    assert p.sample().shape == (prior.latent,)
    log_p = p.log_prob(z)
    assert log_p.shape == (3, 7)
    assert log_p.isfinite().all()
    for parameter in prior.parameters():
        (grad,) = torch.autograd.grad(log_p.sum(), parameter, retain_graph=True)
        assert grad.isfinite().all()
        assert grad.abs().max() > 0


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("name", PRIORS)
def test_the_masses_sum_to_one_and_draws_follow_them(name: str, temperature: float) -> None:
    head = lattice()
    prior = PRIORS[name](head)
    prior.double(), head.double()
    p = temper(prior(), temperature)
    grids = all_grids()
    z = head.codebook.look_up(grids).flatten(1)
    n = 20_000
    with torch.no_grad():
        mass = p.log_prob(z).exp()
        drawn = head.codebook.nearest(p.sample((n,)).unflatten(-1, (POSITIONS, WIDTH)))
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-9)
    where = (drawn * torch.tensor([SIZE**2, SIZE, 1])).sum(-1)
    found = where.bincount(minlength=SIZE**POSITIONS) / n
    error = (mass * (1 - mass) / n).sqrt()
    assert ((found - mass).abs() < 5 * error + 1e-4).all()
    if name == "uniform":
        torch.testing.assert_close(mass, torch.full_like(mass, SIZE**-POSITIONS))
    else:
        assert mass.max() > 10 * mass.median()  # else a wrong law would not be seen


def test_a_temperature_sharpens_each_code_given_those_before() -> None:
    law = autoregressive(lattice()).grid()
    grids = all_grids()
    logits = law.net(grids)
    expected = torch.log_softmax(logits / 0.5, -1).gather(-1, grids[..., None]).sum((1, 2))
    torch.testing.assert_close(temper(law, 0.5).log_prob(grids), expected)
    twice = temper(temper(law, 0.5), 2.0)
    torch.testing.assert_close(twice.log_prob(grids), law.log_prob(grids))
    with torch.no_grad():
        cold = temper(law, 1e-3).sample((50,))
    assert len(cold.unique(dim=0)) == 1


def test_codes_see_only_those_before_them_at_once_or_step_by_step() -> None:
    net = CausalTransformer(5, 7, hidden=16, layers=2, heads=4)
    nn.init.normal_(net.head.weight)
    codes = torch.randint(7, (6, 5))
    logits = net(codes)
    for p in range(5):
        moved = codes.clone()
        moved[:, p] = (moved[:, p] + 1) % 7
        changed = (net(moved) - logits).abs().amax((0, 2)) > 1e-6
        assert changed.tolist() == [q > p for q in range(5)]
    past: list[tuple[Tensor, Tensor]] = []
    for p in range(5):
        step, past = net.step(codes[:, p - 1] if p else None, p, past, 6)
        torch.testing.assert_close(step, logits[:, p], rtol=1e-4, atol=1e-5)


def test_untrained_it_is_uniform() -> None:
    head = lattice()
    prior = priors.AutoregressiveCodes(POSITIONS, SIZE, WIDTH)
    prior.start(head)
    z = uniform(head)().sample((5,))
    torch.testing.assert_close(prior().log_prob(z), torch.full((5,), -POSITIONS * math.log(SIZE)))


def test_it_is_fitted_to_codes_by_the_loop_that_fits_models() -> None:
    """The length falls to the entropy of codes of which each is mostly the one before."""
    head = lattice()
    codes = torch.randint(SIZE, (4_000, POSITIONS))
    for p in range(1, POSITIONS):
        codes[:, p] = torch.where(torch.rand(4_000) < 0.9, codes[:, p - 1], codes[:, p])
    z = head.codebook.look_up(codes).flatten(1)
    prior = priors.AutoregressiveCodes(POSITIONS, SIZE, WIDTH, hidden=16, layers=1, heads=2)
    prior.start(head)
    events = train(
        prior, priors.code_length, z[1_000:], validation=z[:1_000], epochs=8, batch_size=100,
        learning_rate=5e-3,
    )  # fmt: skip
    figures = [event.figure for event in events if isinstance(event, Validated)]
    same, other = 0.9 + 0.1 / SIZE, 0.1 / SIZE
    entropy = -same * math.log(same) - (SIZE - 1) * other * math.log(other)
    exact = math.log(SIZE) + (POSITIONS - 1) * entropy
    assert figures[0] < figures[-1]
    assert -figures[-1] == pytest.approx(exact, abs=0.1)
    with pytest.raises(TypeError, match="got a StandardNormal"):
        priors.code_length(priors.StandardNormal(2), z, Moment())


@pytest.mark.parametrize("name", PRIORS)
def test_the_codebook_is_saved_once_and_copied_with_the_model(name: str) -> None:
    head = posteriors.VQ(POSITIONS, SIZE, WIDTH)
    both = nn.ModuleDict({"head": head, "prior": PRIORS[name](head)})
    assert not any("codebook" in key for key in both["prior"].state_dict())
    twin = copy.deepcopy(both)
    assert twin["prior"]().codebook is twin["head"].codebook
    assert twin["head"].codebook is not head.codebook

    other = revive(describe(both["prior"]))
    other.load_state_dict(both["prior"].state_dict())
    other.start(head)
    z = both["prior"]().sample((5,))
    torch.testing.assert_close(other().log_prob(z), both["prior"]().log_prob(z))


def test_it_says_whose_codes_it_needs() -> None:
    prior = priors.UniformCodes(POSITIONS, SIZE, WIDTH)
    with pytest.raises(ValueError, match=r"call its start\(encoder\)"):
        prior()
    with pytest.raises(OptionError, match=r"one quantising head.*found 0"):
        prior.start(posteriors.DiagonalGaussian(6))
    with pytest.raises(OptionError, match="3, 4, 2, but the codes of the encoder's FSQ have 3, 15"):
        prior.start(posteriors.FSQ(POSITIONS, (5, 3)))
    with pytest.raises(OptionError, match="must be a multiple of heads"):
        priors.AutoregressiveCodes(POSITIONS, SIZE, WIDTH, hidden=10, heads=4)


def test_the_support_of_a_grid_is_known() -> None:
    law = GridLaw(CausalTransformer(POSITIONS, SIZE, 8, 1, 2), POSITIONS)
    inside = law.support.check(torch.tensor([[0, 1, 3], [0, 1, 4]]))
    assert inside.tolist() == [True, False]


def test_an_estimator_tells_the_prior_whose_codes_they_are(tmp_path: Path) -> None:
    """A table with discrete codes is fitted, drawn, scored and kept like any other."""
    rows = people(200)
    table = TableVAE(
        posterior=posteriors.VQ(3, 5, 2),
        prior=priors.AutoregressiveCodes(3, 5, 2, hidden=8, layers=1, heads=2),
        epochs=1,
    ).fit(rows)
    assert len(table.sample(5, temperature=0.5, seed=0)) == 5
    table.save(tmp_path / "people.variate")
    again = load(tmp_path / "people.variate")
    scores = table.score_samples(rows.head(9))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(again.score_samples(rows.head(9)), scores)
