"""What only a GPU shows; without one these are skipped."""

from itertools import islice

import pytest
import torch
from torch import nn

import variate as vt
from variate.training import AugmentedSource, MemorySource, Step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

X = (torch.rand(512, 32, generator=torch.Generator().manual_seed(0)) < 0.3).float()
OBJECTIVE = vt.objectives.FreeBits(0.05, vt.objectives.WarmUp(1.0, 0.5))


def small() -> vt.VAE:
    torch.manual_seed(1)
    return vt.VAE(
        nn.Sequential(nn.Linear(32, 16), nn.SiLU(), vt.posteriors.DiagonalGaussian(4)),
        nn.Sequential(nn.Linear(4, 16), nn.SiLU(), vt.likelihoods.Bernoulli(32)),
        vt.priors.StandardNormal(4),
    )


def trained(model: nn.Module | None = None, **options) -> tuple[nn.Module, list[float]]:
    model = model or small()
    events = vt.train(
        model, OBJECTIVE, X, epochs=20, batch_size=128, device="cuda", skip=10.0, **options
    )
    return model, [float(e.loss.total) for e in events if isinstance(e, Step)]


@pytest.mark.filterwarnings("error::variate.errors.VariateWarning")
def test_a_recorded_step_is_the_step():
    (plain, losses), (recorded, again) = trained(), trained(graph=True)
    torch.testing.assert_close(torch.tensor(again), torch.tensor(losses), rtol=1e-4, atol=1e-4)
    for a, b in zip(plain.parameters(), recorded.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("error::variate.errors.VariateWarning")
def test_a_recorded_run_is_resumed_where_it_was(tmp_path):
    whole, _ = trained(graph=True)
    file = tmp_path / "run.ckpt"
    options = {"epochs": 20, "batch_size": 128, "device": "cuda", "skip": 10.0, "graph": True}
    events = vt.train(small(), OBJECTIVE, X, checkpoint=file, checkpoint_seconds=0.0, **options)
    list(islice(events, 90))
    events.close()
    resumed = small()
    for _ in vt.train(resumed, OBJECTIVE, X, checkpoint=file, resume=True, **options):
        pass
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_recorded_is_trained_all_the_same():
    class Reads(nn.Module):
        def forward(self, model, x, moment):
            loss = OBJECTIVE(model, x, moment)
            assert loss.total.item() < 1e9
            return loss

    events = vt.train(small(), Reads(), X, epochs=10, batch_size=128, device="cuda", graph=True)
    with pytest.warns(vt.errors.VariateWarning, match="could not be recorded"):
        *_, last = events
    assert last.best_figure > -32


@pytest.mark.filterwarnings("error::variate.errors.VariateWarning")
@pytest.mark.parametrize("levels", [2, 256])
def test_a_hierarchy_trains_and_is_measured(levels):
    head = (
        vt.pixels.BernoulliPixels(1, 2) if levels == 2 else vt.pixels.LogisticMixturePixels(1, 256)
    )
    x = torch.randint(0, levels, (64, 1, 16, 16), dtype=torch.uint8)
    model = vt.image_ladder(1, (16, 16), head, levels=levels, width=16, latent=4)
    source = AugmentedSource(MemorySource(x.cuda()), lambda x, g: x.flip(-1))
    events = vt.train(
        model, vt.objectives.GroupFreeBits(vt.objectives.Fade(0.5)), source, epochs=30,
        batch_size=32, device="cuda", precision="bfloat16", graph=True, skip=10.0,
    )  # fmt: skip
    *_, finished = events
    bounds = vt.evaluation.bounds(model, x[:8].cuda(), draws=16)
    assert torch.isfinite(bounds.importance).all()
    assert (bounds.importance >= bounds.elbo).all()
    assert finished.skipped == 0


def test_an_estimator_of_pictures_lives_on_the_gpu(tmp_path):
    x = torch.randint(0, 2, (200, 8, 8), dtype=torch.uint8).numpy()
    model = vt.ImageVAE(latent=2, width=8, epochs=3, device="cuda", precision="auto").fit(x)
    assert model.sample(3, seed=0).shape == (3, 8, 8)
    model.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert again.score_samples(x[:4]).shape == (4,)
