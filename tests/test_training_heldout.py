"""The figure that weights are chosen by: a mean over items, the same noise every time."""

import pytest
import torch
from torch import nn
from training_tiny import Bound, Distortion, correlated, points, restless, tiny

from variate.inference import Loss, Moment
from variate.training.heldout import HeldOut
from variate.training.noise import Noise
from variate.training.processes import Processes

CPU = torch.device("cpu")
ALONE = Processes(0, 1, CPU, CPU)


def held_out(model, objective, x, part):
    return HeldOut(
        model,
        objective,
        x,
        fresh=True,
        items=1_000,
        part=part,
        noise=Noise(CPU, 0),
        processes=ALONE,
    )


@pytest.mark.parametrize("part", [1, 3, 16, 50, 51, 1_000])
def test_it_is_the_mean_over_items_however_they_are_parted(part):
    x = correlated(51)
    model, objective = points().double(), Distortion()
    measured = held_out(model, objective, x.double(), part).measure()
    exact = float(objective(model.eval(), x.double(), Moment()).total.detach())
    assert measured.figure == pytest.approx(-exact, rel=1e-9)
    assert measured.terms["log_likelihood"] == pytest.approx(-exact, rel=1e-9)
    assert measured.bad_part is None


def test_the_parts_are_equal_and_cover_all_items():
    parts = held_out(tiny(), Bound(), correlated(103), 50)
    rows = [parts.rows(part) for part in range(3)]
    assert torch.equal(torch.cat(rows), torch.arange(103))
    assert [len(some) for some in rows] == [35, 34, 34]


def test_terms_with_dimensions_come_as_lists_and_the_moment_is_the_end():
    model, objective = tiny(), Bound(share=0.5)
    measured = held_out(model, objective, correlated(40), 16).measure()
    assert measured.terms["beta"] == 1.0
    assert len(measured.terms["kl_per_dimension"]) == 2
    assert sum(measured.terms["kl_per_dimension"]) == pytest.approx(measured.terms["kl"])
    assert measured.figure == pytest.approx(measured.terms["elbo"])


def test_the_noise_is_the_same_at_every_measurement_and_dropout_is_off():
    model = restless()
    model.train()
    parts = held_out(model, Bound(), correlated(40), 16)
    first = parts.measure()
    torch.randn(10)
    assert parts.measure() == first
    assert model.training
    assert model.encoder.net[2].training
    before = model.encoder.net[1].running_mean.clone()
    parts.measure()
    assert torch.equal(model.encoder.net[1].running_mean, before)


def test_the_first_part_that_is_not_finite_is_named():
    class Log(nn.Module):
        def forward(self, model, x, moment):
            return Loss(x.sum(1).log().mean())

    x = torch.ones(30, 6)
    x[17] = -1.0
    parts = held_out(tiny(), Log(), x, 10)
    measured = parts.measure()
    assert measured.bad_part == 1
    assert 17 in parts.rows(1)
    assert measured.figure != measured.figure
