"""What the verbs of series give back: forecasts and filled gaps.

This module does not know how they were drawn.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.errors import OptionError
from variate.options import share
from variate.series.reading import give_back

__all__ = ["Forecast", "Imputed"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """What comes next in a series, or in several.

    Attributes:
        paths: K drawn futures of each series, `[K, steps, C]` each.
        channels: The names of the channels.
        names: The names of the series.
        table: The forecast as a frame in the caller's type (pyarrow for arrays): the series, the
            stamp or the step, and of each channel the mean and the 5 % and 95 % quantile.
    """

    paths: list[Floats]
    channels: tuple[str, ...]
    names: list[Any]
    table: Any

    @property
    def mean(self) -> Any:
        """The mean of the paths, `[steps, C]`; a list of them where there are several series."""
        return self._each([paths.mean(0) for paths in self.paths])

    @property
    def median(self) -> Any:
        """The median of the paths, `[steps, C]`; a list of them where there are several series."""
        return self._each([np.median(paths, 0) for paths in self.paths])

    def band(self, level: float = 0.9) -> Any:
        """The central band: lower and upper ends, `[2, steps, C]`; a list where there are several.

        Raises:
            OptionError: The level is not between 0 and 1.
        """
        share("level", level)
        ends = [(1 - level) / 2, (1 + level) / 2]
        return self._each([np.quantile(paths, ends, axis=0) for paths in self.paths])

    def outside(self, values: Any, level: float = 0.9) -> NDArray[np.bool_]:
        """Which values that came after all lie outside of the band, bool `[steps, C]`.

        Args:
            values: `[steps]` or `[steps, C]` of the one series; NaN is never outside.
            level: Of the band.

        Raises:
            OptionError: There are several series, or the values have another shape.
        """
        if len(self.paths) != 1:
            raise OptionError(f"the forecast is of {len(self.paths)} series; compare each band.")
        found = np.asarray(values, dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        low, high = self.band(level)
        if found.shape != low.shape:
            raise OptionError(f"values must have the shape {low.shape}, got {found.shape}.")
        strange: NDArray[np.bool_] = (found < low) | (found > high)
        return strange

    def _each(self, parts: list[Floats]) -> Any:
        return parts[0] if len(parts) == 1 and self.names[0] is None else parts


@dataclass(frozen=True)
class Imputed:
    """Series with their gaps filled.

    Attributes:
        filled: The data with each gap at the median of its draws, in the caller's type; a frame
            has rows for missing stamps added, and is in order of time.
        tables: K completed versions of it: draws, for multiple imputation.
        where: The columns that say which cells were filled: the series, the stamp or step, the
            channel.
        drawn: What was drawn for each of these cells, `[K', M]`, K' being at least 32.
        source: What the data came in.
    """

    filled: Any
    tables: list[Any]
    where: pa.Table
    drawn: Floats
    source: str

    @property
    def missing(self) -> int:
        """How many cells were missing, and are filled."""
        return int(self.drawn.shape[1])

    def interval(self, level: float = 0.9) -> Any:
        """Where the value of each filled cell lies with this probability, a row for each.

        Returns:
            A frame in the caller's type (pyarrow for arrays): the series, the stamp or step,
            `channel`, `low`, `median` and `high`.

        Raises:
            OptionError: The level is not between 0 and 1.
        """
        share("level", level)
        ends = [(1 - level) / 2, 0.5, (1 + level) / 2]
        made = self.where
        quantiles = np.quantile(self.drawn, ends, axis=0)
        for name, values in zip(("low", "median", "high"), quantiles, strict=True):
            made = made.append_column(name, pa.array(values))
        return give_back(made, self.source)
