"""p(x|z) of windows: normalised, in the data's units, with gaps that add nothing."""

import numpy as np
import pytest
import torch

from variate.distributions import temper
from variate.series.law import Steps, Units, shapes
from variate.series.scaling import Scaling, snapped

REAL = Scaling.of(np.array([[0.123456789], [3.987654321], [7.111111113], [100.31415927]]))
WHOLE = Scaling.of(np.arange(0.0, 40.0)[:, None])


def law(scaling, location=0.3, scale=0.4, phi=0.0):
    shape = (1, 1, len(scaling.middle))
    logits = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64).expand(len(scaling.middle), 3)
    return Steps(
        Units(scaling),
        torch.full(shape, location, dtype=torch.float64),
        torch.full(shape, scale, dtype=torch.float64),
        logits,
        shapes(3).double().exp().expand_as(logits),
        torch.full((len(scaling.middle),), phi, dtype=torch.float64),
    )


def test_a_real_channel_has_a_density_that_integrates_to_one():
    assert REAL.grid[0] == 0
    v = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    x = REAL.middle[0] + REAL.spread[0] * torch.sinh(v)
    p = law(REAL).log_cells(x[:, None, None]).exp().flatten()
    assert torch.trapezoid(p, x).item() == pytest.approx(1.0, abs=1e-3)  # the rest is in the tails


def test_a_channel_on_a_grid_has_masses_that_sum_to_one():
    assert WHOLE.grid[0] == 1.0
    x = torch.arange(-200_000, 200_001, dtype=torch.float64)
    total = law(WHOLE).log_cells(x[:, None, None]).exp().sum().item()
    assert total == pytest.approx(1.0, abs=1e-3)
    assert total <= 1.0 + 1e-9


def test_the_unit_of_the_data_is_in_the_density():
    metres = Scaling.of(np.array([[1.234567891], [2.7182818284], [3.14159265358], [9.8696044]]))
    kilometres = Scaling.of(
        np.array([[1.234567891], [2.7182818284], [3.14159265358], [9.8696044]]) / 1e3
    )
    x = torch.tensor([[[2.2]]], dtype=torch.float64)
    a, b = law(metres).log_prob(x), law(kilometres).log_prob(x / 1e3)
    assert (b - a).item() == pytest.approx(np.log(1e3))


def test_gaps_add_nothing():
    both = Scaling.of(np.stack([np.arange(9.0), np.arange(9.0) ** 2], 1))
    one = law(both)
    x = torch.tensor([[[3.0, torch.nan]]], dtype=torch.float64)
    full = torch.tensor([[[3.0, 16.0]]], dtype=torch.float64)
    assert one.log_prob(x) == one.log_cells(full)[..., 0].sum()
    assert one.log_prob(x.fill_(torch.nan)).item() == 0.0
    assert one.support.check(x).all()
    assert not one.support.check(torch.tensor([torch.inf])).any()


def test_tails_hold_the_value_itself_and_sum_to_one_and_its_mass():
    x = torch.tensor([[[23.0]]], dtype=torch.float64)
    at_most, at_least = law(WHOLE).log_tails(x, torch.full_like(x, torch.nan))
    mass = law(WHOLE).log_cells(x)
    assert (at_most.exp() + at_least.exp()).item() == pytest.approx(1 + mass.exp().item())


def test_draws_follow_the_law_and_stay_on_the_grid():
    one = law(WHOLE, location=-0.2, scale=0.3)
    x = one.sample(torch.Size((40_000,)))
    assert torch.equal(x, x.round())
    at = torch.tensor([[[15.0]]], dtype=torch.float64)
    share = (x <= 15).double().mean().item()
    nothing = torch.full_like(at, torch.nan)
    assert share == pytest.approx(one.log_tails(at, nothing)[0].exp().item(), abs=0.01)
    assert x.min() >= WHOLE.low[0] - 39
    assert x.max() <= WHOLE.high[0] + 39


def test_a_low_temperature_draws_the_median():
    one = law(WHOLE)
    assert torch.equal(temper(one, 1e-3).sample(), one.central())


def test_scores_and_back_are_the_same_value():
    units = Units(REAL)
    x = torch.linspace(-90, 190, 101, dtype=torch.float64)[:, None]
    torch.testing.assert_close(units.raw(units.scores(x)), x)


@pytest.mark.parametrize(
    ("values", "grid"),
    [
        ([1, 2, 5], 1.0),
        ([0.5, 1.25, 3.0], 0.01),
        ([0.1, 0.2, 0.4], 0.1),
        (np.float32([51.846, 37.12, 44.0]), 0.001),
        ([np.pi, np.e], 0.0),
        ([7.0, 7.0, 7.0], 1.0),
    ],
)
def test_the_grid_of_a_channel_is_found(values, grid):
    assert Scaling.of(np.asarray(values, dtype=float)[:, None]).grid[0] == pytest.approx(grid)


def test_values_off_the_grid_are_told():
    values, strays = snapped(np.array([[3.0], [4.4]]), WHOLE)
    assert values.ravel().tolist() == [3.0, 4.0]
    assert strays.tolist() == [True]


def test_a_channel_that_is_nearly_always_zero_has_a_spread():
    rare = np.zeros(1000)
    rare[:10] = 50.0
    assert Scaling.of(rare[:, None]).spread[0] > 0
    assert Scaling.of(np.full((5, 1), 3.5)).spread[0] > 0
