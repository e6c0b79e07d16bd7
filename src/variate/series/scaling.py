r"""A channel's units and the units of the networks: a map that keeps steps and bears outliers.

    T(x) = asinh((x - m) / s)          T'(x) = 1 / (s √(1 + ((x - m)/s)²))

with m the median and s the spread of the middle half (as a normal's standard deviation). Near the
middle T is linear; far out it is a logarithm, so that a value a thousand spreads away is 7.6 and
not 1,000, and a law with exponential tails in T(x) has power tails in x.

A channel whose values all lie on a grid of step g (whole numbers, two decimals) is one of masses,
not of densities: a repeated value would make a density as high as one likes.

This module does not know the networks, nor how the map's derivative is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaling", "snapped"]

Floats = NDArray[np.float64]

PLACES = 6  # decimals up to which a grid is looked for
SINGLE = 2.0**-23  # what single precision leaves of a value
OFF_GRID = 1e-3  # of a step


@dataclass(frozen=True)
class Scaling:
    """What is known of each channel, `[C]` each.

    Attributes:
        middle: m, the median.
        spread: s, positive.
        grid: g, the step of the recorded values; 0 where they lie on none.
        low: The least value seen.
        high: The greatest.
    """

    middle: Floats
    spread: Floats
    grid: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: Floats) -> Self:
        """From observed values `[N, C]`; each channel has at least one that is no NaN."""
        parts = [_channel(column[~np.isnan(column)]) for column in values.T]
        return cls(*(np.array(part) for part in zip(*parts, strict=True)))

    def constant(self) -> NDArray[np.bool_]:
        """Which channels have but one value."""
        found: NDArray[np.bool_] = self.low == self.high
        return found

    def state(self) -> dict[str, Any]:
        """JSON-able values."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Sequence[float]]) -> Self:
        """The scaling that `state` describes."""
        return cls(**{name: np.array(value, dtype=np.float64) for name, value in state.items()})


def snapped(values: Floats, scaling: Scaling) -> tuple[Floats, NDArray[np.bool_]]:
    """Values `[..., C]` on their channels' grids, and which channels had some that were not."""
    grid = np.where(scaling.grid > 0, scaling.grid, 1.0)
    places = np.round(values / grid)
    off = np.abs(values / grid - places) > np.maximum(OFF_GRID, SINGLE * np.abs(places))
    gridded = scaling.grid > 0
    strays = np.logical_or.reduce((off & gridded).reshape(-1, len(grid)))
    return np.where(gridded, places * grid, values), strays


def _channel(x: Floats) -> tuple[float, float, float, float, float]:
    """m, s, g, least and greatest of one channel."""
    low, lower, middle, upper, high = np.quantile(x, [0.0, 0.25, 0.5, 0.75, 1.0])
    spread = (upper - lower) / 1.349
    if spread <= 1e-9 * max(abs(low), abs(high)):
        spread = 1.2533 * float(np.mean(np.abs(x - middle)))
    grid = _grid(x)
    if spread <= 0:
        spread = 1.0
    return float(middle), max(float(spread), grid), grid, float(low), float(high)


def _grid(x: Floats) -> float:
    """The coarsest power of ten, at most one, of which all values are multiples; 0 for none."""
    for place in range(PLACES + 1):
        k = x * 10.0**place
        blur = SINGLE * float(np.abs(k).max())
        if blur > 0.05:
            return 0.0
        if (np.abs(k - np.round(k)) <= max(OFF_GRID, blur)).all():
            return float(10.0**-place)
    return 0.0
