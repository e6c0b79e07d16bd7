"""Batches by length: every item once per epoch, narrow, and made from the seed and the step."""

from contextlib import closing
from itertools import islice

import torch

from variate.training import LengthSource, Source

N, T = 1_000, 50


def source():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, T + 1, (N,), generator=generator)
    x = torch.where(torch.arange(T) < lengths[:, None], torch.arange(N)[:, None], -1)
    return LengthSource(x, lengths), lengths


def batches(source, start, count, **options):
    with closing(source.batches(start, 32, 5, **options)) as stream:
        return list(islice(stream, count))


def test_every_item_comes_once_per_epoch():
    given, _ = source()
    assert isinstance(given, Source)
    seen = torch.cat([given.rows(step, 32, 5) for step in range(125)])
    for epoch in range(4):
        assert torch.equal(seen[epoch * N : (epoch + 1) * N].sort().values, torch.arange(N))


def test_nothing_of_an_item_is_cut_off_and_little_is_filled_up():
    given, lengths = source()
    used = places = 0
    for step, x in enumerate(batches(given, 0, 60)):
        rows = given.rows(step, 32, 5)
        assert torch.equal((x >= 0).sum(1), lengths[rows])
        assert torch.equal(x[:, 0], rows)
        used, places = used + int(lengths[rows].sum()), places + x.numel()
    assert used / places > 0.85  # half of it, as the data is


def test_any_step_can_be_entered():
    given, _ = source()
    whole = batches(given, 0, 70)
    for start in (1, 31, 32, 63):
        for a, b in zip(whole[start:], batches(given, start, 3), strict=False):
            assert torch.equal(a, b)


def test_processes_share_the_batch():
    given, _ = source()
    for step in (0, 31, 40):
        parts = [given.rows(step, 32, 5, rank, 4) for rank in range(4)]
        assert torch.equal(torch.cat(parts), given.rows(step, 32, 5))


def test_few_items():
    given = LengthSource(torch.zeros(3, 4), torch.tensor([1, 4, 2]))
    assert sorted(given.rows(0, 3, 0).tolist()) == [0, 1, 2]
    seen = torch.cat([given.rows(step, 2, 0) for step in range(3)])
    assert sorted(seen.tolist()) == [0, 0, 1, 1, 2, 2]
