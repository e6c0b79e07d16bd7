"""DP-SGD: gradients of single rows, the clip, the noise, and an audit of a step."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta as beta_law

import variate as vt
from variate.errors import OptionError
from variate.inference import Moment
from variate.models import VAE, likelihoods, posteriors, priors
from variate.objectives import ELBO, IWAE, FreeBits, TotalCorrelation, WarmUp
from variate.randomness import Secret
from variate.table.codec import TableCodec
from variate.table.estimator import TableVAE
from variate.training import Finished, Started, Step, train_privately
from variate.training.accounting import Mechanism, Spending
from variate.training.private import RowGradients, _Given, noised_sum

from tables import people  # isort: skip


def repeatable(seed: int) -> Secret:
    return Secret(np.random.default_rng(seed).bytes)


def table_model() -> tuple[VAE, torch.Tensor]:
    """A table's model with categories, gaps, atoms and copies, and its rows."""
    codec = TableCodec().fit(people(60))
    x = codec.encode(people(60))
    model = TableVAE(latent=3, hidden=(16,), width=8, components=3)._build(codec, x[:5])
    return model.eval(), x


def small_model() -> VAE:
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 4), posteriors.DiagonalGaussian(2))
    decoder = torch.nn.Sequential(torch.nn.Linear(2, 4), likelihoods.Gaussian(2))
    model = VAE(encoder, decoder, priors.StandardNormal(2))
    model(torch.zeros(1, 2))
    return model


def spending(noise: float, rate: float, times: int) -> Spending:
    return Spending(1.0, 1e-5, Mechanism(100.0), Mechanism(noise, rate, times))


def flat(gradients: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([g.flatten() for g in gradients])


@pytest.mark.parametrize(
    "objective", [ELBO(beta=WarmUp(1.0)), FreeBits(0.1), IWAE(3)], ids=lambda o: type(o).__name__
)
def test_gradients_of_rows_are_those_of_batches_of_one(objective):
    model, x = table_model()
    rows = RowGradients(model, objective, items=60, clip=1.0)
    epsilon = torch.randn(rows.noise_shape(9))
    found = rows.of(x[:9], epsilon, 0.05)
    for i in range(9):
        moment = Moment(0.05, 60)
        loss = objective(_Given(model, epsilon[i]), x[i : i + 1], moment).total
        expected = torch.autograd.grad(loss, rows.parameters, materialize_grads=True)
        for one, together in zip(expected, found, strict=True):
            torch.testing.assert_close(together[i], one, rtol=1e-3, atol=1e-5)


def test_no_row_adds_more_than_the_clip_and_a_small_gradient_is_left_alone():
    model, x = table_model()
    for clip in (0.1, 5.0, 1e6):
        rows = RowGradients(model, ELBO(), items=60, clip=clip)
        epsilon = torch.randn(rows.noise_shape(8))
        found = rows.of(x[:8], epsilon, 1.0)
        plain = torch.cat([g.flatten(1) for g in found], 1)
        for i in range(8):
            added = flat(rows.clipped_sum(x[i : i + 1], epsilon[i : i + 1], 1.0))
            assert float(added.norm()) <= clip
            expected = plain[i] * min(1.0, clip / float(plain[i].norm()))
            torch.testing.assert_close(added, expected, rtol=1e-3, atol=1e-5)


def test_chunks_filled_up_give_the_same_sum():
    model, x = table_model()
    rows = RowGradients(model, ELBO(), items=60, clip=1.0)
    epsilon = torch.randn(rows.noise_shape(23))
    whole = flat(rows.clipped_sum(x[:23], epsilon, 1.0))
    rows.chunk = 7
    torch.testing.assert_close(flat(rows.clipped_sum(x[:23], epsilon, 1.0)), whole)
    assert not flat(rows.clipped_sum(x[:0], epsilon[:0], 1.0)).any()


def test_a_row_without_a_finite_gradient_adds_nothing():
    model = small_model()
    rows = RowGradients(model, ELBO(), items=3, clip=1.0)
    x = torch.tensor([[0.1, 0.2], [math.inf, 1.0], [math.nan, 0.0]])
    epsilon = torch.randn(rows.noise_shape(3))
    both, first = (flat(rows.clipped_sum(x[:n], epsilon[:n], 1.0)) for n in (3, 1))
    assert bool(both.isfinite().all())
    torch.testing.assert_close(both, first)


def test_the_noise_has_the_deviation_of_noise_times_clip():
    rows = RowGradients(small_model(), ELBO(), items=4, clip=0.5)
    x, secret = torch.randn(4, 2), repeatable(1)
    nothing = Mechanism(3.0, 1e-12)  # no row is ever chosen: what is left is the noise
    draws = torch.cat([flat(noised_sum(rows, x, nothing, 1.0, secret)) for _ in range(300)])
    assert float(draws.std()) == pytest.approx(1.5, rel=0.03)
    assert abs(float(draws.mean())) < 0.05
    assert float(draws.square().square().mean()) / 1.5**4 == pytest.approx(3.0, rel=0.1)


def test_secret_numbers_are_uniform_normal_and_never_the_same():
    one, other = Secret().uniform(4), Secret().uniform(4)
    assert not np.isin(one, other).any()
    many = repeatable(0).uniform(100_000)
    assert 0 < many.min() < 1e-3 < 1 - 1e-3 < many.max() < 1
    assert many.mean() == pytest.approx(0.5, abs=0.005)
    normal = repeatable(0).normal(100_000, 1)
    assert normal.shape == (100_000, 1)
    assert float(normal.std()) == pytest.approx(1.0, abs=0.01)
    counts = [len(repeatable(i).chosen(1_000, 0.1)) for i in range(200)]
    assert np.mean(counts) == pytest.approx(100, abs=3)
    assert np.std(counts) == pytest.approx(math.sqrt(90), rel=0.2)  # each by itself


def test_the_events_tell_of_the_run_and_of_no_row():
    model, x = small_model(), torch.randn(50, 2)
    events = list(train_privately(model, ELBO(), x, spending=spending(1.0, 0.2, 5)))
    assert [type(event) for event in events] == [Started, *[Step] * 5, Finished]
    assert events[0].steps == 5
    assert events[0].batch_size == 10
    assert all(bool(event.loss.total.isnan()) for event in events[1:-1])
    assert [event.progress for event in events[1:-1]] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert "ε = 1" in events[-1].reason


def test_leaving_the_run_keeps_the_average():
    model, x = small_model(), torch.randn(50, 2)
    before = flat([p.detach().clone() for p in model.parameters()])
    run = train_privately(model, ELBO(), x, spending=spending(1.0, 0.2, 500), ema=0.9)
    for event in run:
        if isinstance(event, Step) and event.step == 7:
            break
    run.close()
    moved = (flat([p.detach() for p in model.parameters()]) - before).abs().max()
    assert 0 < float(moved) < 1
    assert not model.training


def test_what_cannot_be_taken_row_by_row_is_refused():
    with pytest.raises(OptionError, match="sum over rows"):
        RowGradients(small_model(), TotalCorrelation(2.0), items=4, clip=1.0)
    encoder = torch.nn.Sequential(torch.nn.Linear(2, 4), vt.posteriors.LowRankGaussian(2, rank=1))
    model = small_model()
    model.encoder = encoder
    model(torch.zeros(1, 2))
    rows = RowGradients(model, ELBO(), items=4, clip=1.0)
    with pytest.raises(OptionError, match="DiagonalGaussian"):
        rows.of(torch.zeros(1, 2), torch.zeros(1, 1, 1, 2), 1.0)


# ---- an audit -------------------------------------------------------------------------------


def told_apart(noise: float, runs: int = 240) -> float:
    """A lower bound (at 95 %) of ε: how well a canary's presence shows in a noised step.

    Whoever audits knows the model, the other rows and the canary's own gradient, and looks how far
    the released sum goes in its direction: the likelihood ratio, so no test can do better.
    """
    torch.manual_seed(0)
    model = small_model()
    torch.nn.init.zeros_(model.decoder[0].weight)  # so that gradients do not depend on the code
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith("decoder.1"))
    rows = RowGradients(model, ELBO(), items=8, clip=1.0)
    others = 0.1 * torch.randn(7, 2)
    canary = torch.tensor([[40.0, -40.0]])
    zero = torch.zeros(rows.noise_shape(1))
    direction = flat(rows.clipped_sum(canary, zero, 1.0))
    direction = direction / direction.norm()
    with_it, step, secret = torch.cat([others, canary]), Mechanism(noise), repeatable(2)
    tables = (others, with_it)
    seen = torch.tensor([
        [float(direction @ flat(noised_sum(rows, x, step, 1.0, secret))) for _ in range(runs)]
        for x in tables
    ])  # fmt: skip
    threshold = seen[:, : runs // 2].mean()  # chosen on one half, measured on the other
    hits = (seen[:, runs // 2 :] > threshold).sum(1).tolist()
    tried = runs - runs // 2
    false_high = beta_law.ppf(0.975, hits[0] + 1, tried - hits[0])
    true_low = beta_law.ppf(0.025, hits[1], tried - hits[1] + 1)
    return math.log(max(float(true_low) - 1e-5, 1e-9) / float(false_high))


def test_an_audit_finds_no_more_than_epsilon_allows_and_finds_what_lacks_noise():
    accounting = pytest.importorskip("variate.training.accounting")
    pytest.importorskip("opacus")
    allowed = accounting.spent([Mechanism(4.0)], 1e-5)
    assert allowed < 1.3
    assert told_apart(4.0) < allowed
    assert told_apart(0.4) > allowed  # the audit would notice a tenth of the noise
