r"""Common random numbers: every item of a batch sees the same posterior noise.

A reparameterised draw is z_sb = g(ε_sb, x_b). The noise ε is usually drawn anew for every item b,
so an estimate for one item depends on where the item stands in the batch, on how many stand with
it, and on how the work was cut into chunks. With common random numbers ε_sb = ε_s,

    z_sb = g(ε_s, x_b)

the law of each item's estimate is what it was (each ε_s still has the law of ε), but the estimate
is a function of x_b alone, and the *difference* between two items no longer carries the difference
of their noises. The price is that the errors of different items are now correlated: for the mean
over a data set draw each item its own noise, which averages out.

The noise of all S draws is made once, `[S, 1, ...]`, and a pass over draws s..t reads its slice
s..t; cutting into chunks of draws therefore changes nothing either.

`CommonNoise` puts itself under the samplers: it is a `TorchDispatchMode`, sees every operator that
torch tags as random, whoever calls it (torch's distributions, a flow's base, `randn_like`), and
replaces the result, in standard form:

    normal_, normal, randn, randn_like        mean + std·ε          ε ~ N(0, 1)
    uniform_, rand, rand_like                 low + (high - low)·ε  ε ~ U[0, 1)
    exponential_                              ε / λ                 ε ~ Exp(1)

Any other random operator (a rejection sampler such as the gamma's, whose noise is tied to its
parameters) is an error: silence would break the promise.

This module does not know what the noise is for, nor the distribution that asked for it.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["CommonNoise"]

_LAWS: dict[str, str] = {
    "normal": "normal_",
    "normal_": "normal_",
    "randn": "normal_",
    "randn_like": "normal_",
    "uniform_": "uniform_",
    "rand": "uniform_",
    "rand_like": "uniform_",
    "exponential_": "exponential_",
}


class CommonNoise(TorchDispatchMode):
    """Within `with noise.at(first, samples, rows):` all rows share the noise of each draw.

    Args:
        draws: How many posterior draws S there are in all.
        seed: Of the noise. It is made on the CPU, so it is the same on every device.
    """

    def __init__(self, draws: int, seed: int) -> None:
        super().__init__()
        self.draws = draws
        self._generator = torch.Generator().manual_seed(seed)
        self._made: dict[tuple[Any, ...], Tensor] = {}
        self._first, self._batch, self._calls = 0, (0, 0), 0

    def at(self, first: int, samples: int, rows: int) -> Self:
        """Ready for one pass of the model over `rows` items, with draws first..first+samples."""
        self._first, self._batch, self._calls = first, (samples, rows), 0
        return self

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run the operator; if it is a random one, put the common noise into its result."""
        out = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return out
        name = func._schema.name.removeprefix("aten::")
        arguments = _bind(func, args, kwargs or {})
        if _is_silent(arguments):
            return out
        if name not in _LAWS:
            raise TypeError(
                f"the noise of torch's `{name}` cannot be shared between rows, because it is tied "
                "to the parameters of the distribution; pass common=False to draw it for each row"
            )
        if out.shape[:2] != self._batch:
            raise TypeError(
                "common noise needs noise of shape [S, B, ...], here [{}, {}, ...], however the "
                "model asked torch's `{}` for shape {}; pass common=False".format(
                    *self._batch, name, list(out.shape)
                )
            )
        return out.copy_(_transform(_LAWS[name], self._noise(_LAWS[name], out), arguments))

    def _noise(self, law: str, like: Tensor) -> Tensor:
        """The standard noise `[samples, 1, ...]` of this call, the same in every pass."""
        rest = like.shape[2:]
        key = (self._calls, law, rest, like.dtype)
        self._calls += 1
        if key not in self._made:
            empty = torch.empty((self.draws, 1, *rest), dtype=like.dtype)
            fill: Callable[..., Tensor] = getattr(empty, law)
            self._made[key] = fill(generator=self._generator)
        samples, _ = self._batch
        return self._made[key][self._first : self._first + samples].to(like.device)


def _bind(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The operator's arguments by name, defaults included."""
    schema = func._schema.arguments
    bound = {argument.name: argument.default_value for argument in schema}
    bound.update({argument.name: value for argument, value in zip(schema, args, strict=False)})
    return bound | kwargs


def _is_silent(arguments: dict[str, Any]) -> bool:
    """Whether the operator is random only through a dropout that is off (attention, RNNs)."""
    for flag in ("train", "training"):
        if flag in arguments:
            return not arguments[flag]
    return arguments.get("dropout_p", 1.0) == 0.0


def _transform(law: str, noise: Tensor, arguments: dict[str, Any]) -> Tensor:
    """Standard noise in the location and scale that the operator was asked for."""
    if law == "normal_":
        return arguments.get("mean", 0.0) + arguments.get("std", 1.0) * noise
    if law == "uniform_":
        low, high = arguments.get("from", 0.0), arguments.get("to", 1.0)
        return low + (high - low) * noise
    return noise / arguments["lambd"]
