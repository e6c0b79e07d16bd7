"""Data made ready for training: a fitted codec and three disjoint sets of rows.

The training rows move the weights, the validation rows choose the moment to stop, and the held-out
rows do neither: figures that are reported come from them alone.

This module does not know any kind of data.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from variate._version import __version__
from variate.codec import Codec
from variate.training import Source

__all__ = ["Prepared", "expect_modest", "expect_shapes", "split"]

MODEST = 100_000  # numbers that a part may ask for beyond those of the file
CRITIC = 16_000_000  # numbers that an objective may ask for, whose parts are not in the file


@dataclass(frozen=True)
class Prepared:
    """Data made ready for training.

    Attributes:
        codec: Fitted on the data.
        training: The rows that move the weights: resident, or a source that streams them.
        example: Some training rows `[n, *event]`.
        validation: The rows that choose when to stop, or None if there are too few.
        held_out: The rows that are only ever measured, or None if there are too few.
        notes: What else is to be remembered of the data.
    """

    codec: Codec
    training: Tensor | Source
    example: Tensor
    validation: Tensor | None
    held_out: Tensor | None
    notes: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def many(self) -> Tensor:
        """Training rows `[n, *event]`: all if they are resident, else the example."""
        return self.training if isinstance(self.training, Tensor) else self.example

    def facts(self, raw: Any) -> dict[str, Any]:
        """What is known of the raw data and of the versions before training begins."""
        training, name = self.training, type(raw).__name__
        in_memory = f"an {name}" if name[0] in "AEIOUaeiou" or name == "ndarray" else f"a {name}"
        return {
            "source": Path(raw).name if isinstance(raw, str | Path) else in_memory,
            "training_rows": len(training) if isinstance(training, Tensor) else training.items,
            "validation_rows": 0 if self.validation is None else len(self.validation),
            "variate": __version__,
            "torch": torch.__version__,
            **self.notes,
        }

    def fingerprint(self, parameters: dict[str, Any]) -> str:
        """What a resumed run must have in common with the run that it goes on from.

        Args:
            parameters: The estimator's; those that change nothing but what is shown are left out.
        """
        shown = {name: repr(value) for name, value in parameters.items() if name != "verbose"}
        text = json.dumps([shown, self.codec.state()], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode())
        for x in (self.example, self.validation):
            digest.update(b"" if x is None else x.numpy().tobytes())
        return digest.hexdigest()


def expect_modest(parameters: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Refuse described parts of a model that ask for far more numbers than they can need.

    The weights of posterior and prior are in the file; those of an objective are not, so its
    parts (a critic) have an allowance of their own.

    Args:
        parameters: An estimator's, as `specification.describe` made them.
        weights: The file's.

    Raises:
        ValueError: Two of a part's sizes, multiplied, exceed what it may have.
    """
    held = sum(tensor.numel() for tensor in weights.values())
    free = max(held, CRITIC)
    for name, most in (("posterior", held), ("prior", held), ("objective", free)):
        _expect_at_most(most + MODEST, parameters[name])
    for name in ("likelihood", "network"):  # of pictures
        _expect_at_most(free, parameters.get(name))


def _expect_at_most(most: int, part: Any) -> None:
    if isinstance(part, list):
        for inner in part:
            _expect_at_most(most, inner)
    elif isinstance(part, dict):
        sizes = sorted(_integers(part.get("arguments", part)))[-2:]
        if math.prod(sizes) > most:
            raise ValueError(f"a part asks for the sizes {sizes}, and may have {most} numbers")


def _integers(description: Any) -> list[int]:
    """All integers within a description."""
    if isinstance(description, dict):
        description = list(description.values())
    if isinstance(description, list):
        return [size for inner in description for size in _integers(inner)]
    return [description] if isinstance(description, int) else []


def expect_shapes(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Refuse weights that a model has no place for; layers that are still lazy are not asked.

    Raises:
        ValueError: A tensor of the model is not among the weights, or has another shape there.
    """
    for name, tensor in model.state_dict(keep_vars=True).items():
        if is_lazy(tensor):
            continue
        found = list(weights[name].shape) if name in weights else "nothing"
        if found != list(tensor.shape):
            raise ValueError(f"{name} should be {list(tensor.shape)}, and the file has {found}")


def split(x: Tensor, seed: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Training, validation and held-out rows.

    For each of the latter a twentieth, but at most 1,000, or a hundredth if that is more, and at
    most 10,000. With fewer than 20 rows there is nothing to spare, and both are None.
    """
    rows = len(x)
    if rows < 20:
        return x, None, None
    spare = min(max(rows // 20, 2), max(1_000, rows // 100), 10_000)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    validation, held_out = order[:spare], order[spare : 2 * spare]
    return x[order[2 * spare :].sort().values], x[validation], x[held_out]
