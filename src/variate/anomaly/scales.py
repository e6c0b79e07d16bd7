"""A column's units: standard scores for the networks, and robust ones whose tails are drawn in.

    standard   (x - mean) / deviation
    squashed   asinh((x - median) / (interquartile range / 1.349))

Anomalies among the rows move the first and hardly the second, in which a value a thousand
deviations away is no further from one of nine hundred than it should be.

This module does not know what the columns are. NaN stays NaN.
"""

from typing import Any, Self

import torch
from torch import Tensor

__all__ = ["Scales"]

REACH = 1e3  # standard scores end here, where float32 still tells rows apart
TO_DEVIATION = 1.349  # the interquartile range of a standard normal
CHANGE = 1e-3  # of a constant column: what would be a deviation of it
TINY = 1e-9  # of a column's mean: what is less is rounding, and the column is constant


class Scales:
    """Both maps of C columns, from rows x `[N, C]`, float64."""

    def __init__(self, x: Tensor) -> None:
        self.mean = x.nanmean(0).nan_to_num()
        self.deviation = (x - self.mean).square().nanmean(0).sqrt().nan_to_num()
        tiny = TINY * self.mean.abs() + 1e-12
        unit = CHANGE * self.mean.abs().clamp_min(1.0)  # of a constant: any other value is far
        self.deviation = torch.where(self.deviation > tiny, self.deviation, unit)
        low, self.median, high = (_quantile(x, q) for q in (0.25, 0.5, 0.75))
        spread = (high - low) / TO_DEVIATION
        self.robust = torch.where(spread > tiny, spread, self.deviation)

    def standard(self, x: Tensor) -> Tensor:
        """Standard scores, float32."""
        return ((x - self.mean) / self.deviation).float().clamp(-REACH, REACH)

    def squashed(self, x: Tensor) -> Tensor:
        """Squashed scores, float32."""
        return ((x - self.median) / self.robust).asinh().float()

    def raw(self, standard: Tensor) -> Tensor:
        """The inverse of `standard`, float64."""
        return standard.double() * self.deviation + self.mean

    def state(self) -> dict[str, Any]:
        """JSON-able values."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """The scales that `state` describes.

        Raises:
            ValueError: It is damaged (or KeyError, TypeError).
        """
        self = cls(torch.zeros(1, len(state["mean"]), dtype=torch.float64))
        for name, value in vars(self).items():
            made = torch.tensor(state[name], dtype=torch.float64)
            if made.shape != value.shape or not bool(made.isfinite().all()):
                raise ValueError(f"the scales of the columns are damaged ({name})")
            setattr(self, name, made)
        return self


def _quantile(x: Tensor, level: float) -> Tensor:
    """Of each column, `[C]`, NaN left out."""
    return torch.stack([column.nanquantile(level) for column in x.T]).nan_to_num()
