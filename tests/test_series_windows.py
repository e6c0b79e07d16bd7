"""Windows: what training sees, what is set apart, and spans that are hidden."""

import itertools

import numpy as np
import pytest
import torch

from variate.series.windows import WindowSource, cut, hide, set_apart, starts_of, tiles


def series(steps, channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, channels))


def batches(source, start=0, number=3, **how):
    return list(itertools.islice(source.batches(start, 6, 0, **how), number))


def test_a_batch_is_a_function_of_seed_and_step():
    source = WindowSource([series(100), series(40, seed=1)], 16, 0.7)
    first, again = batches(source, 0, 5), batches(source, 2, 3)
    for a, b in zip(first[2:], again, strict=True):
        assert torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0))
    assert not torch.equal(first[0].nan_to_num(), first[1].nan_to_num())


def test_processes_see_together_what_one_would():
    source = WindowSource([series(100)], 16, 0.7)
    (whole,) = batches(source, 4, 1)
    parts = [batches(source, 4, 1, rank=r, world=2)[0] for r in range(2)]
    assert torch.equal(torch.cat(parts).nan_to_num(9.0), whole.nan_to_num(9.0))
    rows = [source.rows(4, 6, 0, r, 2) for r in range(2)]
    shown = source.windows(torch.cat(rows))
    assert torch.equal(torch.where(whole.isnan(), shown, whole), shown)


def test_windows_never_cross_from_one_series_into_another():
    low, high = np.zeros((30, 1)), np.ones((30, 1))
    source = WindowSource([low, high], 8, 0.0)
    assert source.items == 2 * 23
    every = source.windows(torch.arange(source.items))
    assert ((every.std(1) == 0) | every.isnan().any(1)).all()


def test_short_series_are_filled_up_with_gaps():
    source = WindowSource([series(5), series(50)], 8, 0.0)
    first = source.windows(torch.tensor([0]))[0]
    assert first.isnan().squeeze().tolist() == [False] * 5 + [True] * 3


def test_windows_of_gaps_are_not_trained_on():
    gappy = series(100)
    gappy[20:80] = np.nan
    source = WindowSource([gappy], 16, 0.0)
    every = source.windows(torch.arange(source.items))
    assert (~every.isnan()).sum(1).min() >= 4


def test_what_is_set_apart_is_disjoint_and_is_everything():
    parts = [series(700, 2), series(300, 2, seed=1)]
    apart = set_apart(parts, 20, 0)
    versions = (apart.training, apart.validation, apart.held_out)
    for values, *shown in zip(parts, *versions, strict=True):
        count = sum(~np.isnan(part) for part in shown)
        assert (count == 1).all()
        for part in shown:
            np.testing.assert_array_equal(part[~np.isnan(part)], values[~np.isnan(part)])
    held = np.mean([~np.isnan(part[:, 0]).all() for part in apart.held_out])
    assert held > 0
    share = sum((~np.isnan(part[:, 0])).sum() for part in apart.held_out) / 1000
    assert 0.1 < share < 0.2


def test_too_little_is_not_set_apart():
    assert set_apart([series(40)], 10, 0) is None


def test_spans_are_hidden_in_a_share_of_windows():
    x = torch.zeros(4000, 20, 2)
    generator = torch.Generator().manual_seed(0)
    hidden = hide(x, 0.6, generator).isnan()
    share = hidden.flatten(1).any(1).double().mean().item()
    assert share == pytest.approx(0.6, abs=0.03)
    assert hidden[:, -1, 0].double().mean() > 2 * hidden[:, 0, 0].double().mean()  # forecasts
    assert (hidden[..., 0] != hidden[..., 1]).any(1).double().mean() > 0.1  # some channels only
    assert not hide(x, 0.0, generator).isnan().any()
    assert torch.equal(x, torch.zeros(4000, 20, 2))


def test_cutting_beyond_the_ends_gives_gaps():
    values = np.arange(5.0)[:, None]
    assert np.isnan(cut(values, -2, 4)[:2]).all()
    assert cut(values, 3, 4)[:2].ravel().tolist() == [3.0, 4.0]
    assert np.isnan(cut(values, 9, 4)).all()
    assert starts_of(10, 4, 3) == [0, 3, 6]
    assert starts_of(11, 4, 3) == [0, 3, 6, 7]
    assert starts_of(2, 4, 3) == [0]
    assert tiles(9, 4) == [0, 4, 8]
