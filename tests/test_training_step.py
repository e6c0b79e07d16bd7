"""A step that is recorded and played again is the step that is computed anew."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import variate as vt
from variate.inference import Loss, Moment
from variate.training.descent import Descent
from variate.training.processes import Processes, processes_of
from variate.training.step import Eager, Tape

X = (torch.rand(6, 12, generator=torch.Generator().manual_seed(0)) < 0.4).float()


@pytest.fixture
def alone():
    with processes_of(None, "cpu", 60.0) as group:
        yield group


def small() -> vt.VAE:
    torch.manual_seed(1)
    return vt.VAE(
        nn.Sequential(nn.Linear(12, 8), nn.SiLU(), vt.posteriors.DiagonalGaussian(3)),
        nn.Sequential(nn.Linear(3, 8), nn.SiLU(), vt.likelihoods.Bernoulli(12)),
        vt.priors.StandardNormal(3),
    )


def eager_step(objective: nn.Module, alone: Processes, model: nn.Module | None = None) -> Eager:
    model = model or small()
    model(X)
    descent = Descent(
        list(model.parameters()), [], weight_decay=0.0, clip=1.0, skip=4.0, processes=alone
    )
    return Eager(model, objective, descent, items=60)


def tape_of(eager: Eager) -> Tape:
    """A tape that was computed once, which for a recording changes nothing."""
    before = [p.detach().clone() for p in eager.model.parameters()]
    tape = Tape(eager, X)
    tape.compute()
    with torch.no_grad():
        for p, value in zip(eager.model.parameters(), before, strict=True):
            p.copy_(value)
        for state in eager.descent.tensors().values():
            state.zero_()
    return tape


OBJECTIVES = [
    vt.objectives.ELBO(vt.objectives.WarmUp(1.0, 0.5)),
    vt.objectives.FreeBits(0.1, vt.objectives.Cyclical(1.0)),
    vt.objectives.GroupFreeBits(vt.objectives.Fade(0.5, 0.5), vt.objectives.WarmUp(1.0, 0.3)),
    vt.objectives.StickTheLanding(vt.objectives.WarmUp(1.0, 0.5)),
    vt.objectives.Capacity(vt.objectives.WarmUp(5.0, 0.8)),
    vt.objectives.IWAE(3),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_coefficients_on_the_device_move_as_the_schedules_say(objective, alone):
    plain, recorded = eager_step(objective, alone), eager_step(objective, alone)
    tape = tape_of(recorded)
    for step in range(5):
        torch.manual_seed(step)
        expected = plain(X, step / 5, 0.01)
        torch.manual_seed(step)
        found = tape.play(X, step / 5, 0.01)
        torch.testing.assert_close(found.total, expected.total)
        assert found.terms.keys() == expected.terms.keys()
        for name, term in expected.terms.items():
            torch.testing.assert_close(found.terms[name], term, msg=name)
    for a, b in zip(plain.model.parameters(), recorded.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_what_was_returned_is_not_changed_by_the_next_step(alone):
    tape = tape_of(eager_step(OBJECTIVES[0], alone))
    first = tape.play(X, 0.0, 0.01)
    kept = first.total.clone()
    tape.play(X, 0.5, 0.01)
    assert torch.equal(first.total, kept)


def test_an_objective_that_computes_with_the_progress_is_not_recorded(alone):
    class Own(nn.Module):
        def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
            return Loss(-model(x).log_weight(x).mean() * moment.progress)

    with pytest.raises(RuntimeError, match=r"moment\.at\(schedule\)"):
        Tape(eager_step(Own(), alone), X).compute()


class _NoReading(TorchDispatchMode):
    """Refuses what would wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "item"}, name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_a_step_reads_nothing_back_from_the_device(objective, alone):
    step = eager_step(objective, alone)
    with _NoReading():
        step(X, 0.5, 0.01)


def test_neither_does_a_step_of_a_hierarchy(alone):
    heads = {2: vt.pixels.BernoulliPixels(1, 2), 256: vt.pixels.LogisticMixturePixels(3, 256)}
    for levels, head in heads.items():
        x = torch.randint(0, levels, (4, head.channels, 8, 8), dtype=torch.uint8)
        model = vt.image_ladder(head.channels, (8, 8), head, levels=levels, width=8, latent=2)
        model(x)
        down = Descent(
            list(model.parameters()), [], weight_decay=0.1, clip=1.0, skip=9.0, processes=alone
        )
        step = Eager(model, OBJECTIVES[2], down, items=60)
        with _NoReading():
            step(x, 0.5, 0.01)
