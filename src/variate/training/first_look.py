"""What is looked at before the first step: does the loss come out, and are the data possible?

The objective is computed once on a batch. This gives lazy layers their sizes, tells whether the
objective has a critic, and turns a mistake of shapes into an error before anything is set up. It
leaves no trace: buffers are put back, and the random numbers are the run's own.

This module does not know the optimiser.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from variate.inference import Inference, Moment, Objective
from variate.training.health import check_support
from variate.training.noise import Noise

__all__ = ["check_data", "first_look", "kept_buffers"]

_NOISE = 6


def first_look(model: nn.Module, objective: Objective, x: Tensor, items: int, noise: Noise) -> bool:
    """Compute the loss of a batch once; gives back whether the objective has a critic.

    Args:
        model: The model, left in training mode.
        objective: The objective.
        x: A batch `[B, *event]`, on the device.
        items: How many items training has.
        noise: The run's random numbers.

    Raises:
        TypeError: The objective's total is not a scalar.
    """
    modules = [m for m in (model, objective) if isinstance(m, nn.Module)]
    moment = Moment(0.0, items)
    with noise.at(_NOISE):
        _make_sizes_known(modules, model, objective, x, moment)
        for module in modules:
            module.train()
        with kept_buffers(modules):
            loss = objective(model, x, moment)
    if loss.total.ndim != 0:
        raise TypeError(
            f"the total of {type(objective).__name__} has shape {list(loss.total.shape)}; "
            "it must be a scalar, the mean over the batch"
        )
    return loss.critic is not None


@torch.no_grad()
def _make_sizes_known(
    modules: Sequence[nn.Module], model: nn.Module, objective: Objective, x: Tensor, moment: Moment
) -> None:
    if any(is_lazy(t) for m in modules for t in (*m.parameters(), *m.buffers())):
        for module in modules:
            module.eval()
        objective(model, x, moment)


def check_data(
    model: nn.Module, sets: dict[str, Tensor], noise: Noise, device: torch.device
) -> None:
    """Check that the items of each set, by name, lie in the support of the model's likelihood.

    A model that is not called with items (a flow that is fitted to codes) has none to check.

    Raises:
        SupportError: One does not.
    """
    if not inspect.signature(model.forward).parameters:
        return
    for name, x in sets.items():
        model.eval()
        with torch.no_grad(), noise.at(_NOISE):
            inference = model(x[:1].to(device))
        model.train()
        if isinstance(inference, Inference):
            check_support(inference.likelihood, x, name, device)


@contextmanager
def kept_buffers(modules: Sequence[nn.Module]) -> Iterator[None]:
    """The buffers of the modules have the same values after this block as before it."""
    kept = [b.detach().clone() for module in modules for b in module.buffers()]
    yield
    with torch.no_grad():
        for buffer, value in zip((b for m in modules for b in m.buffers()), kept, strict=True):
            buffer.copy_(value)
