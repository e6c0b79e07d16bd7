"""KL balancing: γ of constructed KLs, and the ELBO wherever no warm-up is under way."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from variate import objectives
from variate.errors import OptionError
from variate.inference import Inference, Latent, Moment
from variate.objectives import WarmUp
from variate.objectives.balance import balanced


class Known(nn.Module):
    """Groups of normals with known KLs: K_l = D_l μ_l² / 2, and a likelihood that knows no z."""

    def __init__(self, kl: list[float], sizes: list[int]) -> None:
        super().__init__()
        means = [(2 * k / size) ** 0.5 for k, size in zip(kl, sizes, strict=True)]
        self.means = nn.ParameterList(
            [
                nn.Parameter(torch.full((size,), m).double())
                for m, size in zip(means, sizes, strict=True)
            ]
        )

    def forward(self, x: Tensor, samples: int = 1) -> Inference:
        latents = []
        for mean in self.means:
            wide = mean.expand(len(x), -1)
            q = Independent(Normal(wide, torch.ones_like(wide)), 1)
            zero = torch.zeros_like(mean)
            p = Independent(Normal(zero, torch.ones_like(zero)), 1)
            latents.append(Latent(q.rsample((samples,)), q, p))
        centre = torch.zeros(samples, *x.shape).double()
        return Inference(tuple(latents), Independent(Normal(centre, 1.0), 1))


KL, SIZES = [1.0, 1.0, 2.0, 0.0], [8, 8, 32, 32]
X = torch.zeros(5, 2).double()


def test_gamma_is_the_formula() -> None:
    # α: 8/2, 8/2, 32/2, 32/2, the least made 1: 1, 1, 4, 4.
    charge = torch.tensor([1.01, 1.01, 2.01 / 4, 0.01 / 4])
    torch.testing.assert_close(balanced(torch.tensor(KL), SIZES), charge / charge.mean())
    alike = balanced(torch.tensor([3.0, 3.0, 3.0]), [4, 4, 4])
    torch.testing.assert_close(alike, torch.ones(3))
    # A drawn KL may be below zero: its size counts.
    torch.testing.assert_close(balanced(torch.tensor([-1.0, 1.0]), [1, 1]), torch.ones(2))


def test_in_the_warm_up_each_group_pays_its_share() -> None:
    objective, model = objectives.BalancedKL(WarmUp(1.0, 0.5)), Known(KL, SIZES)
    loss = objective(model, X, Moment(0.25))
    gamma = balanced(torch.tensor(KL).double(), SIZES)
    paid = (gamma * torch.tensor(KL).double()).sum()
    torch.testing.assert_close(loss.terms["kl_balanced"], paid)
    assert loss.terms["kl"].item() == pytest.approx(4.0)
    torch.testing.assert_close(loss.total, 0.5 * paid - loss.terms["log_likelihood"])
    slopes = torch.autograd.grad(loss.total, list(model.means), allow_unused=True)
    for share, mean, slope in zip(gamma, model.means, slopes, strict=True):
        torch.testing.assert_close(slope, 0.5 * share * mean)  # γ itself has no gradient


@pytest.mark.parametrize(
    ("beta", "progress"), [(WarmUp(1.0, 0.5), 0.5), (WarmUp(1.0, 0.5), 1.0), (1.0, 0.0)]
)
def test_after_the_warm_up_and_without_one_it_is_the_elbo(beta, progress: float) -> None:
    model = Known(KL, SIZES)
    loss = objectives.BalancedKL(beta)(model, X, Moment(progress))
    assert torch.equal(loss.total, -loss.terms["elbo"])


def test_with_one_group_it_is_the_elbo_with_a_warm_up() -> None:
    model = Known([2.0], [4])
    loss = objectives.BalancedKL(WarmUp(1.0, 0.5))(model, X, Moment(0.1))
    wanted = objectives.ELBO(WarmUp(1.0, 0.5))(model, X, Moment(0.1))
    torch.testing.assert_close(loss.total, wanted.total)


def test_what_is_refused() -> None:
    with pytest.raises(OptionError):
        objectives.BalancedKL(-1.0)
    with pytest.raises(OptionError):
        objectives.BalancedKL(samples=0)
