"""The ELBO is exact at β = 1, whatever the width or the batch; the schedules; the constraints."""

import copy
import math

import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from variate import objectives
from variate.errors import OptionError
from variate.inference import Loss, Moment
from variate.models.vae import VAE
from variate.objectives import Constant, Cyclical, WarmUp

END = Moment()


class Still(Normal):
    """A normal whose draws are all its mean, so that losses of different batches are comparable."""

    def rsample(self, sample_shape: torch.Size = ()) -> Tensor:
        return self.loc.expand(self._extended_shape(sample_shape))


class StillEncoder(nn.Module):
    def __init__(self, event: int, latent: int) -> None:
        super().__init__()
        self.net = nn.Linear(event, 2 * latent)

    def forward(self, x: Tensor) -> Distribution:
        mean, raw = self.net(x).chunk(2, -1)
        return Independent(Still(mean, raw.exp(), validate_args=False), 1)


class Decoder(nn.Module):
    def __init__(self, event: int, latent: int) -> None:
        super().__init__()
        self.net = nn.Linear(latent, event)

    def forward(self, z: Tensor) -> Distribution:
        return Independent(Normal(self.net(z), 0.7, validate_args=False), 1, validate_args=False)


class Prior(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self) -> Distribution:
        zero = torch.zeros(self.latent, dtype=torch.float64)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)


def still(event: int = 5, latent: int = 3) -> VAE:
    return VAE(StillEncoder(event, latent), Decoder(event, latent), Prior(latent)).double()


class Beside(nn.Module):
    """Two models side by side: x and z are concatenated, nothing is shared."""

    def __init__(self, a: nn.Module, b: nn.Module, split: int) -> None:
        super().__init__()
        self.a, self.b, self.split = a, b, split

    def forward(self, h: Tensor) -> Distribution:
        p, q = self.a(h[..., : self.split]).base_dist, self.b(h[..., self.split :]).base_dist
        kind = type(p)
        both = kind(torch.cat([p.loc, q.loc], -1), torch.cat([p.scale, q.scale], -1))
        return Independent(both, 1)


def test_at_beta_one_the_total_is_the_negative_elbo_to_the_last_bit() -> None:
    x = torch.randn(40, 5, dtype=torch.float64)
    for objective in (
        objectives.ELBO(),
        objectives.ELBO(WarmUp(1.0, 0.1)),
        objectives.FreeBits(0.0),
    ):
        loss = objective(still(), x, END)
        assert torch.equal(loss.total, -loss.terms["elbo"])
    for objective in (
        objectives.TotalCorrelation(1.0),
        objectives.DIP(0.0, 0.0),
        objectives.MMD(0.0),
        objectives.Factor(0.0, 3).double(),
    ):
        loss = objective(still(), x, END)
        torch.testing.assert_close(loss.total, -loss.terms["elbo"], rtol=1e-14, atol=0)


def test_the_elbo_is_the_closed_form_of_a_linear_gaussian_model() -> None:
    truth = LinearGaussian.random(event=5, latent=2, scale=0.8, seed=3)
    x = truth.data(2_000, seed=4)
    shift, stretch = 0.3, 1.4
    loss = objectives.ELBO(samples=400)(truth.model(shift=shift, stretch=stretch), x, END)
    gap = 2 * (shift**2 + stretch**2 - 1 - 2 * math.log(stretch)) / 2
    exact = truth.evidence().log_prob(x).mean() - gap
    # The mean over 800,000 draws has a standard error near 0.002.
    assert abs(loss.terms["elbo"] - exact) < 0.01


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_beta_has_the_optimum_of_a_likelihood_to_the_power_of_its_inverse(beta: float) -> None:
    """R + β K is least at q ∝ p(z) p(x|z)^(1/β), where it is -β log ∫ p(z) p(x|z)^(1/β) dz.

    N(x; Wz, σ²)^(1/β) is N(x; Wz, βσ²) times a constant, so that this posterior and this integral
    are those of the same model with βσ² in place of σ².
    """
    scale, event = 0.8, 5
    truth = LinearGaussian.random(event=event, latent=2, scale=scale, seed=3)
    wider = LinearGaussian(truth.weight, truth.bias, scale * math.sqrt(beta))
    x = truth.data(2_000, seed=4)
    model = truth.model()
    model.encoder = wider.model().encoder
    constant = event / 2 * math.log(beta * (2 * math.pi * scale**2) ** (1 - 1 / beta))
    least = -beta * (wider.evidence().log_prob(x).mean().item() + constant)

    def total() -> float:
        torch.manual_seed(5)
        return objectives.ELBO(beta, samples=400)(model, x, END).total.item()

    # The mean over 800,000 draws has a standard error near 0.002.
    assert total() == pytest.approx(least, abs=0.01)
    for shift, stretch in ((0.4, 1.0), (0.0, 1.4)):  # elsewhere it is more by β KL(q‖optimum)
        model.encoder = wider.model(shift=shift, stretch=stretch).encoder
        gap = shift**2 + stretch**2 - 1 - 2 * math.log(stretch)
        assert total() == pytest.approx(least + beta * gap, abs=0.02)


@pytest.mark.parametrize("nats", [0.5, 4.0])
def test_the_kl_is_held_at_the_capacity(nats: float) -> None:
    """From below as from above: the optimum of the ELBO has a KL of 1.3 nats here."""
    truth = LinearGaussian.random(event=5, latent=2, scale=0.8, seed=3)
    x = truth.data(500, seed=4)
    model, objective = truth.model(), objectives.Capacity(nats, gamma=50.0)
    optimiser = torch.optim.Adam(model.encoder.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 500)
    for _ in range(500):
        optimiser.zero_grad()
        objective(model, x, END).total.backward()
        optimiser.step()
        schedule.step()
    assert objective(model, x, END).terms["kl"].item() == pytest.approx(nats, abs=0.05)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_neither_the_batch_nor_the_width_changes_the_balance(beta: float) -> None:
    objective = objectives.ELBO(beta)
    a, b = still(5, 3), still(4, 2)
    x, y = torch.randn(10, 5, dtype=torch.float64), torch.randn(10, 4, dtype=torch.float64)
    alone = objective(a, x, END)

    twice = objective(a, x.repeat(2, 1), END)
    beside = VAE(Beside(a.encoder, b.encoder, 5), Beside(a.decoder, b.decoder, 3), Prior(5))
    wide = objective(beside, torch.cat([x, y], 1), END)

    other = objective(b, y, END)
    for key in ("elbo", "log_likelihood", "kl"):
        assert torch.isclose(twice.terms[key], alone.terms[key], rtol=1e-12)
        assert torch.isclose(wide.terms[key], alone.terms[key] + other.terms[key], rtol=1e-12)
    assert torch.isclose(twice.total, alone.total, rtol=1e-12)
    assert torch.isclose(wide.total, alone.total + other.total, rtol=1e-12)
    split = torch.cat([alone.terms["kl_per_dimension"], other.terms["kl_per_dimension"]])
    torch.testing.assert_close(wide.terms["kl_per_dimension"], split)


def test_beta_in_the_terms_is_the_slope_of_the_total_against_the_kl() -> None:
    x = torch.randn(10, 5, dtype=torch.float64)
    for objective in (
        objectives.ELBO(WarmUp(3.0, 0.5)),
        objectives.Capacity(nats=0.2, gamma=7.0),
        objectives.Capacity(nats=200.0, gamma=7.0),
    ):
        loss = objective(still(), x, Moment(0.25))
        rest = loss.total + loss.terms["log_likelihood"] - loss.terms["beta"] * loss.terms["kl"]
        nats = loss.terms.get("capacity", torch.zeros(()))
        torch.testing.assert_close(rest, -loss.terms["beta"] * nats, rtol=0, atol=1e-12)
    assert objectives.ELBO(WarmUp(3.0, 0.5))(still(), x, Moment(0.25)).terms["beta"] == 1.5


def test_free_bits_bound_the_batch_mean_of_each_dimension() -> None:
    model, x = still(), torch.randn(30, 5, dtype=torch.float64)
    kl = objectives.ELBO()(model, x, END).terms["kl_per_dimension"]
    floor = kl.median().item()
    loss = objectives.FreeBits(floor, beta=2.0)(model, x, END)
    paid = sum(max(floor, k) for k in kl.tolist())
    assert loss.total.item() == pytest.approx(2.0 * paid - loss.terms["log_likelihood"].item())
    assert loss.terms["kl_floored"].item() == pytest.approx(paid)
    assert loss.terms["kl"].item() == pytest.approx(kl.sum().item())  # the exact one beside it

    everything_free = objectives.FreeBits(1e6)(model, x, END)
    grads = torch.autograd.grad(everything_free.total, list(model.parameters()))
    distortion = objectives.ELBO(0.0)(model, x, END)
    wanted = torch.autograd.grad(distortion.total, list(model.parameters()))
    for found, expected in zip(grads, wanted, strict=True):
        torch.testing.assert_close(found, expected)


def test_free_bits_take_a_coupled_posterior_as_one_group() -> None:
    truth = LinearGaussian.random(event=5, latent=2, scale=0.8, seed=3)
    x = truth.data(50, seed=4)
    for nats, free in ((0.01, False), (100.0, True)):
        torch.manual_seed(0)
        loss = objectives.FreeBits(nats)(truth.model(), x, END)
        assert "kl_per_dimension" not in loss.terms
        expected = 2 * nats if free else loss.terms["kl"].item()
        assert loss.terms["kl_floored"].item() == pytest.approx(expected)


def test_the_constraint_is_met_where_it_can_be() -> None:
    """GECO moves μ until the distortion is R*, neither better nor worse."""
    truth = LinearGaussian.random(event=5, latent=2, scale=0.8, seed=3)
    x = truth.data(500, seed=4)
    model = truth.model()
    least = -objectives.ELBO(0.0, samples=20)(model, x, END).terms["log_likelihood"].item()
    wanted = least + 1.0
    objective = objectives.Constrained(wanted, rate=0.05, momentum=0.8)
    optimiser = torch.optim.Adam(model.encoder.parameters(), lr=0.02)
    for _ in range(500):
        optimiser.zero_grad()
        objective(model, x, END).total.backward()
        optimiser.step()
    terms = objective.eval()(model, x, END).terms
    assert -terms["log_likelihood"].item() == pytest.approx(wanted, abs=0.1)
    assert terms["beta"].item() == pytest.approx(1 / terms["multiplier"].item())
    assert terms["beta"] > 1.5  # it costs less than β = 1 would, so the KL weighs more


def test_the_state_of_the_constraint_is_saved_and_bounded() -> None:
    model, x = still(), torch.randn(10, 5, dtype=torch.float64)
    objective = objectives.Constrained(-1e6, rate=1.0)
    for _ in range(50):
        objective(model, x, END)
    assert objective.log_multiplier == 14.0  # a bound that cannot be met does not overflow
    other = objectives.Constrained(-1e6, rate=1.0)
    other.load_state_dict(objective.state_dict())
    assert torch.equal(objective(model, x, END).total, other(model, x, END).total)

    before = copy.deepcopy(objective.state_dict())
    objective(model, torch.full_like(x, torch.nan), END)  # the optimiser skips such a batch
    after = objective.state_dict()
    assert torch.equal(after["excess"], before["excess"])
    assert torch.equal(after["steps"], before["steps"])


@pytest.mark.parametrize("schedule", [Constant(2.5), WarmUp(2.5), WarmUp(2.5, 1.0), Cyclical(2.5)])
def test_a_schedule_ends_at_its_value(schedule: Constant) -> None:
    assert schedule(1.0) == 2.5
    assert schedule(1.5) == 2.5
    assert all(0.0 <= schedule(i / 100) <= 2.5 for i in range(101))


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 0.7, 1.0])
def test_a_warm_up_is_complete_at_its_share_and_after(share: float) -> None:
    schedule = WarmUp(1.7, share)
    assert schedule(0.0) == 0.0
    assert schedule(share / 2) == pytest.approx(0.85)
    assert schedule(share) == 1.7
    assert all(schedule(share + (1 - share) * i / 10) == 1.7 for i in range(11))


def test_a_cycle_rises_and_holds() -> None:
    schedule = Cyclical(1.0, cycles=4, share=0.5)
    values = [schedule(p) for p in (0.0, 0.0625, 0.125, 0.24, 0.25, 0.3125, 0.375, 0.99)]
    assert values == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: WarmUp(1.0, 0.0),
        lambda: WarmUp(1.0, 1.5),
        lambda: WarmUp(math.nan),
        lambda: Cyclical(1.0, cycles=0),
        lambda: Cyclical(1.0, cycles=2.5),  # type: ignore[arg-type]
        lambda: Cyclical(1.0, share=-0.1),
        lambda: Constant(math.inf),
        lambda: objectives.ELBO(-1.0),
        lambda: objectives.ELBO(math.nan),
        lambda: objectives.ELBO(samples=0),
        lambda: objectives.FreeBits(-0.1),
        lambda: objectives.Capacity(-1.0),
        lambda: objectives.Constrained(math.nan),
        lambda: objectives.Constrained(1.0, momentum=1.0),
        lambda: objectives.IWAE(0),
        lambda: objectives.DReG(0),
        lambda: objectives.MMD(-1.0),
        lambda: objectives.DIP(-1.0),
        lambda: objectives.Factor(-1.0, 3),
    ],
)
def test_a_wrong_option_is_named(wrong: object) -> None:
    with pytest.raises(OptionError, match="must be"):
        wrong()


def test_golden() -> None:
    """A fixed model and fixed data: numbers of record, loose enough for another machine."""
    truth = LinearGaussian.random(event=5, latent=2, scale=0.8, seed=3)
    x = truth.data(100, seed=4)
    model = truth.model(shift=0.3, stretch=1.4)

    def total(objective: nn.Module) -> float:
        torch.manual_seed(7)
        loss: Loss = objective(model, x, Moment(0.55, items=100))
        return loss.total.item()

    assert total(objectives.ELBO()) == pytest.approx(GOLDEN["elbo"], rel=1e-6)
    assert total(objectives.ELBO(Cyclical(4.0), samples=5)) == pytest.approx(
        GOLDEN["cyclical"], rel=1e-6
    )
    assert total(objectives.IWAE(5)) == pytest.approx(GOLDEN["iwae"], rel=1e-6)
    assert total(objectives.DReG(5)) == pytest.approx(GOLDEN["iwae"], rel=1e-6)


GOLDEN = {"elbo": 7.826012, "cyclical": 8.343618, "iwae": 7.387974}
