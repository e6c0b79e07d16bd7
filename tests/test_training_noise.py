"""Seeds are functions of their numbers, and training leaves no trace in the caller's generator."""

import pytest
import torch

from variate.training.noise import Noise, mix


def test_mix_depends_on_every_number_and_on_the_order():
    seeds = [mix(a, b, c) for a in range(-3, 3) for b in range(6) for c in range(6)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mix(1, 2) != mix(2, 1)
    assert mix(1, 2) == mix(1, 2)


def test_neighbouring_seeds_give_unrelated_noise():
    noise = Noise(torch.device("cpu"), 0)
    draws = []
    for step in range(200):
        with noise.at(step):
            draws.append(torch.randn(50))
    correlation = torch.corrcoef(torch.stack(draws).double())
    off = correlation - torch.eye(200, dtype=torch.float64)
    assert off.abs().max() < 0.7  # the largest of 19,900 sample correlations of 50 pairs
    assert off.square().mean().sqrt() == pytest.approx(50**-0.5, rel=0.05)


def test_the_callers_generator_is_left_as_it_was_even_by_an_error():
    noise = Noise(torch.device("cpu"), 3)
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), noise.at(1):
        torch.randn(10)[0] / (1 // 0)
    assert torch.equal(torch.get_rng_state(), state)
    with noise.at(1):
        first = torch.randn(4)
    torch.randn(100)
    with noise.at(1):
        assert torch.equal(torch.randn(4), first)
