r"""Stamped steps on a regular grid: how far apart steps are, and which are missing.

With stamps t_0 ≤ t_1 ≤ … of a series and h the step (`steps`), the i-th row is at the place

    k_i = round((t_i - t_0) / h)

of a grid on which every place that no row has is a gap (NaN). Without stamps the rows are the grid.
Rows out of order are put in order, with a warning; two rows of the same time are an error, for
which of them is right only the user knows.

This module does not know what the channels mean, nor how a step is found.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, DataWarning, SchemaError
from variate.series.reading import Recording
from variate.series.steps import OFF, Step, step_of

__all__ = ["Regular", "expect_step", "regular", "steps_of", "told"]

SPARSE = 50  # places of the grid for each row, beyond which the step must be wrong

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Regular:
    """A series on a regular grid.

    Attributes:
        name: Of the series.
        values: `[G, C]`, NaN for gaps.
        place: The place on the grid of each row, `[T]`.
        rows: The row of the data, `[T]`.
        origin: The stamp of the first place, or None.
        source: What the data came in (see `reading.Recordings`).
    """

    name: Any
    values: Floats
    place: Whole
    rows: Whole
    origin: Any
    source: str = "array"

    def row_of(self) -> Whole:
        """The row of the data at each place of the grid, `[G]`; -1 where there is none."""
        found = np.full(len(self.values), -1)
        found[self.place] = self.rows
        return found


def steps_of(series: Sequence[Recording], time_type: str) -> Step | None:
    """How far apart the steps of some series are; None without stamps.

    Raises:
        DataError: No series has two different stamps.
    """
    stamps = [part.stamps for part in series if part.stamps is not None]
    return step_of(stamps, time_type) if stamps else None


def regular(part: Recording, step: Step | None) -> Regular:
    """A series on the grid of the step.

    Raises:
        DataError: Two rows have the same time, or nearly all places would be gaps.
    """
    if part.stamps is None or step is None:
        return Regular(part.name, part.values, np.arange(len(part.values)), part.rows, None)
    order = np.argsort(part.stamps, kind="stable")
    if (np.diff(order) < 0).any():
        row = int(part.rows[np.flatnonzero(np.diff(part.stamps) < 0)[0] + 1])
        _warn(f"{_of(part)}the rows are not in order of time (row {row} is the first that is "
              "not): they were sorted.")  # fmt: skip
    stamps, rows = part.stamps[order], part.rows[order]
    exact = step.places(stamps)
    place = np.round(exact).astype(np.int64)
    _expect_apart(part, stamps, rows, place, str(step))
    if place[-1] + 1 > SPARSE * len(place) + 10_000:
        raise DataError(
            f"{_of(part)}with the step {step}, the commonest difference, "
            f"{place[-1] + 1:,} steps lie between the first stamp and the last, and only "
            f"{len(place):,} have a row. Check the time column, or cut the series at its long gaps "
            "(one name each, series=...)."
        )
    _mention_irregular(part, exact, place)
    values = np.full((place[-1] + 1, part.values.shape[1]), np.nan)
    values[place] = part.values[order]
    return Regular(part.name, values, place, rows, stamps[0].item())


def expect_step(found: Step | None, known: Step | None) -> None:
    """Refuse data whose steps are further apart, or closer, than those of training.

    Raises:
        SchemaError: They are.
    """
    if (found is None) != (known is None):
        have, had = ("no times", "times") if found is None else ("times", "no times")
        raise SchemaError(f"the data has {have}, and the model was trained on data with {had}.")
    if found is not None and known is not None and abs(found.size - known.size) > OFF * known.size:
        raise SchemaError(
            f"the steps are {found} apart, and those of training were {known}. "
            "Resample the data, or fit a model to it."
        )


def told(stamp: Any) -> str:
    """A stamp for people."""
    text = str(stamp)
    return text.removesuffix(" 00:00:00") if len(text) > 10 else text


def _expect_apart(
    part: Recording, stamps: NDArray[Any], rows: Whole, place: Whole, step: str
) -> None:
    clash = np.flatnonzero(np.diff(place) == 0)
    if not len(clash):
        return
    a, b = sorted((int(rows[clash[0]]), int(rows[clash[0] + 1])))
    same = stamps[clash[0]] == stamps[clash[0] + 1]
    if same:
        hint = "keep one of them, or name the column of the series they belong to: series=..."
        raise DataError(
            f"{_of(part)}the rows {a} and {b} (counted from 0) have the same time, as have "
            f"{len(clash):,} pairs in all; {hint}."
        )
    raise DataError(
        f"{_of(part)}the rows {a} and {b} (counted from 0) are closer in time than the step "
        f"{step}, the commonest difference, and would fall on one place, as would {len(clash):,} "
        "pairs in all; resample the data to regular steps first."
    )


def _mention_irregular(part: Recording, exact: Floats, place: Whole) -> None:
    off = np.abs(exact - place) > OFF
    if off.any():
        _warn(
            f"{_of(part)}{int(off.sum()):,} of {len(off):,} stamps are off the regular grid by "
            "more than a tenth of a step; each was taken for the nearest place."
        )


def _of(part: Recording) -> str:
    return "" if part.name is None else f"series {part.name!r}: "


def _warn(note: str) -> None:
    warnings.warn(note, DataWarning, stacklevel=6)
