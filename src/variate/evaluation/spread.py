"""A figure over several runs: its median and its spread.

Where runs differ by their seed only, one of them says little and the best of them nothing: the
median is what to expect of the next one, and the quartiles what half of them fall between.

This module does not know what was measured.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from variate.errors import DataError

__all__ = ["Spread", "spread", "spreads"]


class Spread(NamedTuple):
    """A figure over several runs, in its own units.

    Attributes:
        median: The middle of the runs.
        lower: The first quartile.
        upper: The third quartile.
        smallest: The smallest.
        largest: The largest.
        runs: How many runs there were.
    """

    median: float
    lower: float
    upper: float
    smallest: float
    largest: float
    runs: int

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.lower:.3g} to {self.upper:.3g}, {self.runs} run(s))"


def spread(values: Sequence[float]) -> Spread:
    """The median, quartiles and range of a figure.

    Quartiles are interpolated linearly between runs (type 7 of Hyndman & Fan 1996).

    Args:
        values: The figure of each run.

    Raises:
        DataError: There is no run, or a figure is not a number: a run that failed is not left out
            in silence.
    """
    figures = np.asarray(values, dtype=np.float64)
    if figures.ndim != 1 or not len(figures):
        raise DataError(
            f"a spread needs one figure for each of at least one run, however: {values!r:.200}"
        )
    if np.isnan(figures).any():
        raise DataError(
            f"the figure of run {int(np.isnan(figures).argmax())} is not a number; find out why, "
            "or leave the run out and say so"
        )
    lower, median, upper = (float(q) for q in np.quantile(figures, [0.25, 0.5, 0.75]))
    return Spread(median, lower, upper, float(figures.min()), float(figures.max()), len(figures))


def spreads(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """The spread of each figure of several runs.

    Args:
        runs: For each run its figures by name, the same names in all.

    Raises:
        DataError: There is no run, or runs have different figures.
    """
    if not runs or any(run.keys() != runs[0].keys() for run in runs):
        raise DataError(
            "the runs must have the same figures, however they have "
            f"{sorted({tuple(run) for run in runs})!r:.300}"
        )
    return {name: spread([run[name] for run in runs]) for name in runs[0]}
