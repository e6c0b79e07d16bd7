"""How the model's forward pass is executed in training: in which precision, and compiled or not.

Matrix products in bfloat16 are several times as fast on processors that have them; a density or a
divergence computed in it has two or three correct digits. So autocast is on only while the model's
`forward` runs, the parameters and the optimiser stay in float32, and every distribution that a
module of the model returns has its parameters widened to float32 before anybody draws from it or
asks for a density.

What is compiled is the model's `forward` too, and not the objective: an objective computes with the
progress of the run, a number that is another at every step, and would be compiled over and over.

Evaluation mode is left alone: held-out figures are float32 throughout.

This module does not know which modules the model has.
"""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.errors import OptionError

__all__ = ["chosen_precision", "executed"]


def chosen_precision(precision: str, device: torch.device) -> str:
    """What `precision` comes to on a device: "auto" is bfloat16 on a GPU that has it.

    On the CPU it is float32: bfloat16 pays only on a few processors, and only at large batches.

    Raises:
        OptionError: It is none of "float32", "bfloat16", "auto".
    """
    if precision not in {"float32", "bfloat16", "auto"}:
        raise OptionError(
            f"precision='{precision}' is unknown; choose 'float32', 'bfloat16' or 'auto'"
        )
    if precision != "auto":
        return precision
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return "bfloat16" if fast else "float32"


@contextmanager
def executed(
    model: nn.Module, device: torch.device, precision: str, *, compiled: bool
) -> Iterator[None]:
    """The model computes in `precision`, compiled or not, inside this block, when it trains."""
    half = precision == "bfloat16"
    if not half and not compiled:
        yield
        return
    plain = model.forward
    fast = torch.compile(plain) if compiled else plain

    def forward(*args: Any, **kwargs: Any) -> Any:
        if not model.training:
            return plain(*args, **kwargs)
        with torch.autocast(device.type, dtype=torch.bfloat16) if half else nullcontext():
            return fast(*args, **kwargs)

    with ExitStack() as undo:
        for module in model.modules() if half else ():
            undo.callback(module.register_forward_hook(_widen).remove)
        if "forward" in vars(model):
            undo.callback(vars(model).update, forward=plain)
        else:
            undo.callback(vars(model).pop, "forward")
        vars(model)["forward"] = forward
        yield


def _widen(module: nn.Module, args: Any, output: Any) -> Any:  # noqa: ARG001 - a hook's signature
    return _widened(output) if isinstance(output, Distribution) else None


def _widened(distribution: Distribution) -> Distribution:
    """The same distribution with every bfloat16 tensor in it made float32."""
    wide = copy.copy(distribution)
    for name, value in vars(distribution).items():
        if isinstance(value, Tensor) and value.dtype == torch.bfloat16:
            setattr(wide, name, value.float())
        elif isinstance(value, Distribution):
            setattr(wide, name, _widened(value))
    return wide
