"""How much a second table is like a table of real rows: the measures together, and their floor.

The noise floor of a figure is the same figure for a second sample of real rows: a perfect model
reaches it, and what lies below it is luck. With training rows at hand, as many of them as there are
synthetic rows are the second sample. Otherwise the real rows are split in halves; distances between
samples of half the size are larger, by the square root of two where cells are many, and the floor
of the three errors is divided by that. The errors are averaged over a few choices or splits.

Tables are in codec space: float64 `[N, C]`, NaN = missing, categories as codes. This module does
not know any model, nor the columns' names, levels and units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from variate.evaluation.samples import TwoSample
from variate.table.detection import linear_auc, two_sample_auc
from variate.table.measures import (
    Kind,
    Trends,
    column_shape_error,
    missing_error,
    pair_trend_error,
)

__all__ = ["Fidelity", "fidelity", "floor", "halves"]

REPEATS = 5  # choices or splits that a floor is averaged over
PAIRS = 2_000  # pairs of columns above which it is one


@dataclass(frozen=True)
class Fidelity:
    """How much a table is like the real one.

    Attributes:
        shape: The error of each column's distribution, 0..1, `[C]`; NaN where there is none.
        missing: The difference of the shares of missing cells, 0..1, `[C]`.
        trends: The errors of pairs of columns.
        boosted: How well boosted trees tell the tables apart.
        linear: How well logistic regression does.
    """

    shape: np.ndarray
    missing: np.ndarray
    trends: Trends
    boosted: TwoSample
    linear: TwoSample

    def figures(self) -> dict[str, float | None]:
        """By the names of the glossary: errors in percent, AUCs in 0..1, None for NaN."""
        return {
            "shape_error": _percent(self.shape),
            "trend_error": _percent(self.trends.errors),
            "missing_error": _percent(self.missing),
            "two_sample_auc": _known(self.boosted.auc),
            "linear_auc": _known(self.linear.auc),
        }


def fidelity(
    x_real: np.ndarray, x_other: np.ndarray, kinds: Sequence[Kind], *, seed: int
) -> Fidelity:
    """All measures of one table against real rows.

    Args:
        x_real: Rows that the model has not seen, `[N, C]`.
        x_other: The rows that are judged, `[M, C]`.
        kinds: What each column is.
        seed: Of the choice of pairs and rows, and of the classifiers.
    """
    return Fidelity(
        shape=column_shape_error(x_real, x_other, kinds),
        missing=missing_error(x_real, x_other),
        trends=pair_trend_error(x_real, x_other, kinds, seed=seed),
        boosted=two_sample_auc(x_real, x_other, kinds, seed=seed),
        linear=linear_auc(x_real, x_other, kinds, seed=seed),
    )


def floor(
    x_real: np.ndarray,
    kinds: Sequence[Kind],
    *,
    rows: int,
    second: np.ndarray | None = None,
    seed: int,
) -> Fidelity:
    """The measures of a second sample of real rows.

    Args:
        x_real: Rows that the model has not seen, `[N, C]`.
        kinds: What each column is.
        rows: How many synthetic rows are judged.
        second: Other rows of the same law, such as the training rows; None splits `x_real`.
        seed: Of the choice or the split, and of the measures.
    """
    other = second is not None and len(second) > 0

    def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
        if second is None or not other:
            return halves(x_real, seed=seed)
        return x_real, second[np.random.default_rng(seed).permutation(len(second))[:rows]]

    first = fidelity(*pair(seed), kinds, seed=seed)
    errors = [(first.shape, first.missing, first.trends.errors)]
    pairs = first.trends.pairs
    for more in range(1, min(REPEATS, 1 + PAIRS // max(1, len(pairs)))):
        real, like = pair(seed + more)
        trends = pair_trend_error(real, like, kinds, seed=seed)
        errors.append(
            (column_shape_error(real, like, kinds), missing_error(real, like), trends.errors)
        )
    scale = 1.0 if other else 0.5**0.5
    shape, missing, trend = (
        scale * np.mean(values, axis=0) for values in zip(*errors, strict=True)
    )
    return Fidelity(shape, missing, Trends(pairs, trend), first.boosted, first.linear)


def halves(x: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows in two random halves; an odd one is in the first."""
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order[::2]], x[order[1::2]]


def _percent(errors: np.ndarray) -> float | None:
    known = errors[~np.isnan(errors)]
    return float(100 * known.mean()) if len(known) else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
