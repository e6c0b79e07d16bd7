"""One contract over every objective, for models of ours and for a user's plain modules."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
)

from variate import objectives
from variate.inference import Inference, Latent, Loss, Moment
from variate.models import likelihoods, posteriors, priors
from variate.models.vae import VAE
from variate.specification import describe, revive

LATENT, EVENT = 3, 6

OBJECTIVES: dict[str, Callable[[], nn.Module]] = {
    "elbo": lambda: objectives.ELBO(),
    "elbo-warm": lambda: objectives.ELBO(objectives.WarmUp(2.0, 0.5), samples=3),
    "elbo-cyclical": lambda: objectives.ELBO(objectives.Cyclical(1.0)),
    "free-bits": lambda: objectives.FreeBits(0.5),
    "group-free-bits": lambda: objectives.GroupFreeBits(objectives.Fade(1.0, 0.5)),
    "capacity": lambda: objectives.Capacity(objectives.WarmUp(5.0, 0.8), gamma=10.0),
    "constrained": lambda: objectives.Constrained(distortion=2.0),
    "iwae": lambda: objectives.IWAE(5),
    "dreg": lambda: objectives.DReG(5),
    "stl": lambda: objectives.StickTheLanding(samples=2),
    "tc": lambda: objectives.TotalCorrelation(6.0),
    "tc-mws": lambda: objectives.TotalCorrelation(6.0, objectives.MinibatchWeighted()),
    "dip-i": lambda: objectives.DIP(2.0, 3.0, objectives.MeanCovariance()),
    "dip-ii": lambda: objectives.DIP(2.0, 3.0),
    "factor": lambda: objectives.Factor(5.0, LATENT, hidden=(16,)),
    "mmd": lambda: objectives.MMD(10.0, beta=0.5),
    "opening": lambda: objectives.Opening(objectives.GroupFreeBits(0.5), share=0.1),
}
BASE_TERMS = {"elbo", "log_likelihood", "kl", "beta"}
MORE_TERMS = {
    "free-bits": {"kl_floored"},
    "group-free-bits": {"kl_floored"},
    "capacity": {"capacity"},
    "constrained": {"multiplier"},
    "iwae": {"bound"},
    "dreg": {"bound"},
    "tc": {"total_correlation", "mutual_information"},
    "tc-mws": {"total_correlation", "mutual_information"},
    "dip-i": {"penalty"},
    "dip-ii": {"penalty"},
    "factor": {"total_correlation", "critic"},
    "mmd": {"mmd"},
    "opening": {"kl_floored"},
}
DRAWN_KL = {"iwae", "dreg", "stl"}  # their KL is log q - log p of the draws, in one number


class PlainEncoder(nn.Module):
    """What a user would write, with nothing of ours in it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(EVENT, 2 * LATENT)

    def forward(self, x: Tensor) -> Distribution:
        mean, raw = self.net(x).chunk(2, -1)
        return Independent(Laplace(mean, raw.exp()), 1)


class PlainDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(LATENT, EVENT)

    def forward(self, z: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=self.net(z)), 1)


class PlainPrior(nn.Module):
    def forward(self) -> Distribution:
        return MultivariateNormal(torch.zeros(LATENT), torch.eye(LATENT))


def ours() -> VAE:
    encoder = nn.Sequential(nn.Linear(EVENT, 8), nn.Tanh(), posteriors.DiagonalGaussian(LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, 8), nn.Tanh(), likelihoods.Gaussian(EVENT))
    return VAE(encoder, decoder, priors.StandardNormal(LATENT))


def plain() -> VAE:
    return VAE(PlainEncoder(), PlainDecoder(), PlainPrior())


MODELS = {"ours": ours, "plain": plain}


def build(model: str, objective: str) -> tuple[VAE, nn.Module, Tensor]:
    torch.manual_seed(1)
    x = (torch.randn(12, EVENT) > 0).float()
    vae = MODELS[model]()
    vae(x)  # lazy layers
    return vae, OBJECTIVES[objective](), x


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_contract(name: str, model: str) -> None:
    vae, objective, x = build(model, name)
    torch.manual_seed(2)
    loss: Loss = objective(vae, x, Moment(0.3, items=100))

    assert loss.total.shape == ()
    assert loss.total.isfinite()
    loss.total.backward()
    for part in (vae.encoder, vae.decoder):
        for parameter in part.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().max() > 0

    split = {"kl_per_dimension"} if model == "ours" and name not in DRAWN_KL else set()
    assert set(loss.terms) == BASE_TERMS | MORE_TERMS.get(name, set()) | split
    for key, value in loss.terms.items():
        assert not value.requires_grad, key
        assert value.isfinite().all(), key
        assert value.shape == ((LATENT,) if key == "kl_per_dimension" else ()), key
    difference = loss.terms["log_likelihood"] - loss.terms["kl"]
    assert torch.isclose(loss.terms["elbo"], difference, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_same_seed_gives_the_same_loss_and_gradient(name: str) -> None:
    found = []
    for _ in range(2):
        vae, objective, x = build("ours", name)
        torch.manual_seed(3)
        loss = objective(vae, x, Moment(0.3, items=100))
        loss.total.backward()
        found.append((loss.total, [p.grad for p in vae.parameters()]))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_evaluation_needs_no_gradient_and_leaves_no_trace(name: str) -> None:
    vae, objective, x = build("ours", name)
    objective.eval()
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    with torch.no_grad():
        loss = objective(vae.eval(), x, Moment())
    assert loss.total.isfinite()
    assert all(torch.equal(before[key], value) for key, value in objective.state_dict().items())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_waits_for_the_device(name: str) -> None:
    """On the meta device there are no values to wait for, and all tensors must be there."""
    vae, objective, x = build("ours", name)
    loss = objective.to("meta")(vae.to("meta"), x.to("meta"), Moment(0.3, items=100))
    loss.total.backward()
    assert all(value.device.type == "meta" for value in loss.terms.values())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_single_item_is_enough(name: str) -> None:
    vae, objective, x = build("ours", name)
    loss = objective(vae, x[:1], Moment(items=100))
    loss.total.backward()
    assert loss.total.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in vae.parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_model_file_can_keep_the_objective_and_its_repr_says_what_it_is(name: str) -> None:
    vae, objective, x = build("ours", name)
    other = revive(describe(objective))
    other.load_state_dict(objective.state_dict())
    assert repr(other) == repr(objective)
    assert all(
        f"{key}=" in repr(objective) for key in inspect.signature(type(objective)).parameters
    )
    totals = []
    for each in (objective, other):
        torch.manual_seed(4)
        totals.append(each(vae, x, Moment(0.3, items=100)).total)
    assert torch.equal(totals[0], totals[1])


def test_the_deterministic_autoencoder_has_no_kl_and_no_elbo() -> None:
    encoder = nn.Sequential(nn.Linear(EVENT, 8), posteriors.Delta(LATENT))
    decoder = nn.Sequential(likelihoods.Gaussian(EVENT, likelihoods.FixedScale(1.0)))
    vae = VAE(encoder, decoder, priors.StandardNormal(LATENT))
    x = torch.randn(12, EVENT)
    objective = revive(describe(objectives.Reconstruction()))
    loss = objective(vae, x, Moment())
    loss.total.backward()
    assert set(loss.terms) == {"log_likelihood"}
    mean = vae.decoder(vae.encoder(x).mean[None]).mean[0]
    error = (x - mean).square().sum(1).mean() / 2
    normaliser = EVENT / 2 * torch.tensor(2 * torch.pi).log()
    assert torch.isclose(loss.total, error + normaliser)
    assert all(p.grad.abs().max() > 0 for p in vae.parameters())


class Pair(nn.Module):
    """Two groups of latents, one of them with a cost of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = ours(), ours()

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        (a,), (b,) = self.first(x, samples).latents, self.second(x, samples).latents
        b = Latent(b.z, b.posterior, b.prior, penalty=torch.full((len(x),), 7.0))
        return Inference((a, b), self.first.decoder(a.z + b.z))


def test_several_groups_of_latents_and_a_models_own_penalty() -> None:
    model, x = Pair(), torch.randn(9, EVENT)
    model(x)
    for name, make in OBJECTIVES.items():
        if name in ("dreg", "factor"):
            continue
        loss = make()(model, x, Moment())
        assert loss.total.isfinite(), name
        assert "kl_per_dimension" not in loss.terms
    for make in (objectives.Reconstruction, lambda: objectives.IWAE(1), objectives.StickTheLanding):
        loss = make()(model, x, Moment())
        wanted = loss.terms.get("elbo", loss.terms["log_likelihood"])
        assert torch.isclose(loss.total, 7.0 - wanted)
    loss = objectives.ELBO()(model, x, Moment())
    assert torch.isclose(loss.total, 7.0 - loss.terms["elbo"])
    with pytest.raises(TypeError, match="one group of latents, but the model has 2"):
        objectives.DReG()(model, x, Moment())


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_distribution_that_is_not_summed_over_the_item_is_an_error(part: str) -> None:
    class Unsummed(nn.Module):
        def __init__(self, sizes: tuple[int, int]) -> None:
            super().__init__()
            self.net = nn.Linear(*sizes)

        def forward(self, h: Tensor) -> Distribution:
            return Normal(self.net(h), 1.0)

    vae = ours()
    setattr(vae, part, Unsummed({"encoder": (EVENT, LATENT), "decoder": (LATENT, EVENT)}[part]))
    with pytest.raises(ValueError, match=r"torch.distributions.Independent"):
        objectives.ELBO()(vae, torch.randn(12, EVENT), Moment())
