"""One evaluation pass of a model over a data set: nothing of the caller's is left changed.

An estimator here is a pure function of (model, x, seed): it runs the model in eval mode and
without gradients, on its own random stream, and on pieces of x that fit in memory,

    with evaluating(model, seed):
        for where, batch in in_rows(model, x, 256):
            ...

so that x may live on the host while the model lives on an accelerator, and the caller's training
flags and random state are afterwards what they were.

This module does not know what is estimated.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from variate.errors import OptionError
from variate.randomness import isolated

__all__ = ["BLOCK", "at_least_one", "block_of", "evaluating", "in_rows"]

BLOCK = 512


def _device_of(model: nn.Module) -> torch.device:
    """The device that holds the model's parameters or buffers; the CPU if it has neither."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def evaluating(model: nn.Module, seed: int | None) -> Iterator[None]:
    """Eval mode, no gradients and a random stream of its own.

    Args:
        model: The model; every submodule's training flag is put back at the end.
        seed: Where the random stream starts, or None for another start on every call. The
            caller's random state is neither read nor moved.
    """
    flags = [(module, module.training) for module in model.modules()]
    start = secrets.randbits(62) if seed is None else seed
    with torch.no_grad(), isolated(start, _device_of(model)):
        try:
            model.eval()
            yield
        finally:
            for module, training in flags:
                module.training = training


def in_rows(model: nn.Module, x: Tensor, rows: int) -> Iterator[tuple[slice, Tensor]]:
    """Pieces of x `[N, *event]`: (where, at most `rows` items, on the model's device).

    Raises:
        OptionError: `rows` is less than 1.
    """
    at_least_one(rows=rows)
    device = _device_of(model)
    for start in range(0, len(x), rows):
        where = slice(start, min(start + rows, len(x)))
        yield where, x[where].to(device)


def block_of(model: nn.Module) -> int:
    """How many items a model looks at at once; one of large items, or its decoder, says fewer."""
    own = getattr(model, "block", BLOCK)
    return int(getattr(getattr(model, "decoder", model), "block", own))


def at_least_one(**sizes: int) -> None:
    """Check that every named size is at least 1.

    Raises:
        OptionError: One is not.
    """
    for name, size in sizes.items():
        if size < 1:
            raise OptionError(f"`{name}` must be at least 1, however: {name}={size}")
