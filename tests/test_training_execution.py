"""bfloat16 inside the networks and nowhere else; compiled, the same numbers."""

import copy

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from training_tiny import Bound, correlated, tiny

from variate.errors import OptionError
from variate.training import Finished, Step, train
from variate.training.execution import _widened, chosen_precision, executed

CPU = torch.device("cpu")


def dtypes_seen(model, x):
    seen = {}

    def note(module, args, output):
        if isinstance(output, torch.Tensor):
            seen["network"] = output.dtype

    handle = model.encoder.net[0].register_forward_hook(note)
    inference = model(x)
    handle.remove()
    latent = inference.latents[0]
    seen["posterior"] = latent.posterior.mean.dtype
    seen["z"] = latent.z.dtype
    seen["likelihood"] = inference.likelihood.mean.dtype
    seen["log_prob"] = inference.log_likelihood(x).dtype
    seen["kl"] = latent.kl().dtype
    return seen


def test_networks_compute_in_bfloat16_and_distributions_in_float32():
    model = tiny()
    x = correlated(10)
    with executed(model, CPU, "bfloat16", compiled=False):
        seen = dtypes_seen(model, x)
        assert seen.pop("network") == torch.bfloat16
        assert set(seen.values()) == {torch.float32}
        assert torch.mm(x, x.T).dtype == torch.float32  # autocast is off outside of the model
        model.eval()
        assert set(dtypes_seen(model, x).values()) == {torch.float32}
        model.train()
    assert set(dtypes_seen(model, x).values()) == {torch.float32}


def test_autocast_is_off_after_an_error_in_the_model():
    model = tiny()
    with executed(model, CPU, "bfloat16", compiled=False), pytest.raises(RuntimeError):
        model(torch.zeros(3, 99))
    assert not torch.is_autocast_enabled("cpu")


def test_parameters_and_gradients_stay_in_float32_and_training_learns_as_much():
    figures = []
    for precision in ("float32", "bfloat16"):
        model = tiny()
        data = correlated(300)
        options = {"validation": data[:100], "epochs": 30, "batch_size": 50}
        events = list(train(model, Bound(), data[100:], precision=precision, **options))
        assert events[0].precision == precision
        assert isinstance(events[-1], Finished)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        figures.append(events[-1].best_figure)
    assert figures[0] == pytest.approx(figures[1], abs=0.15)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch imports its own
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_run_is_the_run(precision):
    losses = []
    for compiled in (False, True):
        model = tiny()
        options = {"epochs": 3, "batch_size": 50, "precision": precision, "compile": compiled}
        events = list(train(model, Bound(), correlated(200), **options))
        losses.append([float(e.loss.total) for e in events if isinstance(e, Step)])
        assert "forward" not in vars(model)
    assert losses[0] == pytest.approx(losses[1], rel=1e-2 if precision == "bfloat16" else 1e-5)


def test_the_distributions_inside_of_a_distribution_are_widened_too():
    half = torch.ones(2, 3).bfloat16()
    mixture = MixtureSameFamily(Categorical(logits=half), Normal(half, half), validate_args=False)
    whole = Independent(mixture, 1)
    wide = _widened(whole)
    assert wide.base_dist.component_distribution.loc.dtype == torch.float32
    assert wide.base_dist.mixture_distribution.logits.dtype == torch.float32
    assert mixture.component_distribution.loc.dtype == torch.bfloat16
    assert copy.copy(wide).log_prob(torch.zeros(2)).dtype == torch.float32


def test_auto_is_float32_on_the_cpu_and_unknown_names_are_refused():
    assert chosen_precision("auto", CPU) == "float32"
    with pytest.raises(OptionError, match="'half' is unknown; choose 'float32'"):
        chosen_precision("half", CPU)
