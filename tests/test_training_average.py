"""The averaged weights, and the best of them."""

import pytest
import torch
from torch import nn

from variate.training.average import STRIDE, Average, Best


def path(steps):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(steps, 4, generator=draw, dtype=torch.float64).cumsum(0) / 30


def test_it_is_the_moving_average_of_every_step_to_within_its_stride():
    weights = path(1_500)
    p = nn.Parameter(weights[0].clone())
    average = Average([p], 0.99)
    exact = weights[0].clone()
    for step, value in enumerate(weights[1:], start=1):
        p.data.copy_(value)
        average.update(step)
        exact.lerp_(value, 1 - min(0.99, (1 + step) / (10 + step)))
        if step < 100:
            torch.testing.assert_close(average.tensors()["average/0"], exact)
    moved = (weights[-STRIDE:].amax(0) - weights[-STRIDE:].amin(0)).max()
    assert (average.tensors()["average/0"] - exact).abs().max() < moved
    assert (average.tensors()["average/0"] - weights[-1]).abs().max() > moved


def test_the_model_has_the_average_inside_the_block_only():
    p = nn.Parameter(torch.zeros(3))
    average = Average([p], 0.9)
    with torch.no_grad():
        p.fill_(1.0)
    with pytest.raises(ZeroDivisionError), average.in_place():
        _ = 1 // p.nonzero().numel()  # the average is all zeros
    with average.in_place():
        assert torch.equal(p, torch.zeros(3))
    assert torch.equal(p, torch.ones(3))
    average.update(1)
    assert 0 < average.tensors()["average/0"][0] < 1
    average.adopt()
    assert 0 < p[0] < 1


def test_without_averaging_the_average_is_the_weights():
    p = nn.Parameter(torch.zeros(3))
    average = Average([p], 0.0)
    with torch.no_grad():
        p.fill_(2.0)
    average.update(1)
    with average.in_place():
        assert torch.equal(p, torch.full((3,), 2.0))
    assert average.tensors() == {}


def test_the_best_is_kept_with_its_buffers_and_put_back():
    model = nn.BatchNorm1d(2)
    best = Best(model)
    figures = [1.0, 3.0, 2.0, float("nan"), float("inf"), 3.0]
    kept = []
    for step, figure in enumerate(figures, start=1):
        with torch.no_grad():
            model.weight.fill_(step)
            model.running_mean.fill_(10 * step)
        kept.append(best.consider(step, figure, {"kl": figure}, counts=True))
    assert kept == [True, True, False, False, False, False]
    assert (best.step, best.figure, best.terms, best.waited) == (2, 3.0, {"kl": 3.0}, 4)
    best.restore()
    assert torch.equal(model.weight, torch.full((2,), 2.0))
    assert torch.equal(model.running_mean, torch.full((2,), 20.0))


def test_waiting_is_counted_only_when_it_counts():
    best = Best(nn.Linear(1, 1))
    best.consider(1, 0.0, {}, counts=False)
    for counts in (False, True, False, True):
        best.consider(2, -1.0, {}, counts=counts)
    assert best.waited == 2
    best.consider(3, 1.0, {}, counts=True)
    assert best.waited == 0


def test_nothing_is_restored_before_anything_was_measured():
    model = nn.Linear(1, 1)
    best = Best(model)
    with torch.no_grad():
        model.weight.fill_(7.0)
    best.restore()
    assert model.weight.item() == 7.0
