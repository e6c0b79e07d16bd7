"""Batches changed at random: the same at the same step, another at every other."""

from itertools import islice

import torch
from training_tiny import correlated, digest, tiny

import variate as vt
from variate.training import AugmentedSource, MemorySource, Source, Step

GREY = torch.arange(256).reshape(32, 1, 2, 4).to(torch.uint8)


def binary(x, generator):
    return (torch.rand(x.shape, generator=generator) * 255 < x).to(torch.uint8)


def batches(start, n, seed=0, **who):
    source = AugmentedSource(MemorySource(GREY), binary)
    return list(islice(source.batches(start, 8, seed, **who), n))


def test_a_step_has_the_same_batch_wherever_one_enters():
    whole = batches(0, 12)
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], batches(5, 7), strict=True))
    assert not torch.equal(torch.stack(whole), torch.stack(batches(0, 12, seed=1)))


def test_every_epoch_sees_the_items_in_another_form():
    source = AugmentedSource(MemorySource(GREY), binary)
    assert isinstance(source, Source)
    assert source.items == 32
    seen = torch.zeros(GREY.shape)
    for step, x in enumerate(islice(source.batches(0, 8, 0), 4 * 500)):
        seen[source.rows(step, 8, 0)] += x
    torch.testing.assert_close(seen / 500, GREY / 255, rtol=0, atol=0.12)
    assert x.dtype == torch.uint8


def test_processes_draw_their_own_noise():
    one, other = (batches(0, 1, rank=rank, world=2)[0] for rank in (0, 1))
    assert len(one) == len(other) == 4


def test_it_trains():
    model = vt.VAE(
        torch.nn.Sequential(torch.nn.Flatten(), Float(), vt.posteriors.DiagonalGaussian(2)),
        vt.likelihoods.Bernoulli((1, 2, 4)),
        vt.priors.StandardNormal(2),
    )
    source = AugmentedSource(MemorySource(GREY), lambda x, g: binary(x, g).float())
    *_, finished = vt.train(model, vt.objectives.ELBO(), source, epochs=3, batch_size=8)
    assert finished.step == 12


def test_a_run_that_was_broken_off_sees_the_batches_of_one_that_was_not(tmp_path):
    """With the norms that are usual, which `skip` asks for."""

    def noisy(x, generator):
        return x + 0.3 * torch.randn(x.shape, generator=generator)

    options = {"epochs": 6, "batch_size": 20, "seed": 3, "skip": 1.5, "clip": None}
    digests = []
    for broken in (False, True):
        model, source = tiny(), AugmentedSource(MemorySource(correlated(200)), noisy)
        file = tmp_path / f"{broken}.checkpoint"
        options |= {"checkpoint": file, "checkpoint_seconds": 1e9}
        if broken:
            run = vt.train(model, vt.objectives.ELBO(), source, **options)
            for event in run:
                if isinstance(event, Step) and event.step == 33:
                    break
            run.close()
            model = tiny()
        for _ in vt.train(model, vt.objectives.ELBO(), source, resume=broken, **options):
            pass
        digests.append(digest(model))
    assert digests[0] == digests[1]


class Float(torch.nn.Module):
    def forward(self, x):
        return x.float()
