r"""How far a synthetic table is from a real one, column by column and pair by pair.

A table is a float64 array `[N, C]`, NaN = missing; a column is a "category" (codes 0..K-1) or
"numeric". Errors are 1 - the score of the same name in SDMetrics, so 0 is best and 1 is worst:

    shape, numeric       max_t |F(t) - G(t)|        Kolmogorov-Smirnov    (KSComplement)
    shape, category      1/2 sum_k |p_k - q_k|      total variation       (TVComplement)
    trend, two numbers   1/2 |r - s|                Pearson's r           (CorrelationSimilarity)
    trend, otherwise     1/2 sum_kl |p_kl - q_kl|   joint frequencies     (ContingencySimilarity)

F, p, r are the real table's and G, q, s the synthetic one's. Beside a category a number is cut
into ten bins of equal width over the real column's range, the outer two open. A missing cell is a
level of its own in the joint frequencies; F, G, p and q are of the observed cells, and
`missing_error` compares the shares of missing ones; r and s are of the rows in which both numbers
are observed. All of this is as SDMetrics has it.

Shape and trend alone can be fooled: drawing every column independently makes the shape perfect.
Read them with `detection` (can a classifier tell the tables apart?) and `disclosure` (were good
marks bought by repeating the training rows?).

This module does not know any model, nor the columns' names, levels and units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import rankdata

__all__ = [
    "Kind",
    "Trends",
    "associations",
    "column_shape_error",
    "missing_error",
    "pair_trend_error",
]

Kind = Literal["category", "numeric"]

BINS = 10  # SDMetrics' number of bins for a number beside a category
PAIRS = 10_000  # the most pairs of columns that are compared: all of 141 columns
DENSE = 8  # cells of a joint table per row up to which all of them are counted


@dataclass(frozen=True)
class Trends:
    """How differently two tables tie pairs of columns together.

    Attributes:
        pairs: The pairs of columns, `[P, 2]`.
        errors: The error of each pair in 0..1, `[P]`; NaN where a number of a pair of numbers is
            constant in one of the tables, or the two are never observed together.
    """

    pairs: np.ndarray
    errors: np.ndarray


def column_shape_error(
    x_real: np.ndarray, x_synthetic: np.ndarray, kinds: Sequence[Kind]
) -> np.ndarray:
    """How far the distribution of each column is off, 0 to 1, `[C]`.

    For numbers the Kolmogorov-Smirnov distance, for categories the total variation distance.
    NaN where a column has no observed value in one of the tables.

    Raises:
        ValueError: The tables and the kinds do not have the same columns.
    """
    _check(x_real, x_synthetic, kinds)
    errors = np.full(len(kinds), np.nan)
    for c, kind in enumerate(kinds):
        real, synthetic = _observed(x_real[:, c]), _observed(x_synthetic[:, c])
        if len(real) and len(synthetic):
            distance = _total_variation if kind == "category" else _kolmogorov_smirnov
            errors[c] = distance(real, synthetic)
    return errors


def missing_error(x_real: np.ndarray, x_synthetic: np.ndarray) -> np.ndarray:
    """The difference of the shares of missing cells in each column, 0 to 1, `[C]`."""
    return np.abs(np.isnan(x_real).mean(axis=0) - np.isnan(x_synthetic).mean(axis=0))


def pair_trend_error(
    x_real: np.ndarray,
    x_synthetic: np.ndarray,
    kinds: Sequence[Kind],
    *,
    most: int = PAIRS,
    seed: int = 0,
) -> Trends:
    """How far the dependence between pairs of columns is off.

    Args:
        x_real: `[N, C]`.
        x_synthetic: `[M, C]`.
        kinds: What each column is.
        most: With more pairs than this, that many are drawn without replacement.
        seed: Of that draw.

    Raises:
        ValueError: The tables and the kinds do not have the same columns.
    """
    _check(x_real, x_synthetic, kinds)
    pairs = np.stack(np.triu_indices(len(kinds), k=1), axis=1)
    if len(pairs) > most:
        drawn = np.random.default_rng(seed).choice(len(pairs), size=most, replace=False)
        pairs = pairs[np.sort(drawn)]
    if not len(x_real) or not len(x_synthetic):
        return Trends(pairs, np.full(len(pairs), np.nan))
    numbers = [kind == "numeric" for kind in kinds]
    levels = [
        _levels(x_real[:, c], x_synthetic[:, c], binned=number) for c, number in enumerate(numbers)
    ]
    real, synthetic = _Correlations(x_real, numbers), _Correlations(x_synthetic, numbers)
    errors = [
        abs(real.of(a, b) - synthetic.of(a, b)) / 2
        if numbers[a] and numbers[b]
        else _joint_variation(levels[a], levels[b])
        for a, b in pairs
    ]
    return Trends(pairs, np.array(errors, dtype=np.float64))


def associations(x: np.ndarray, kinds: Sequence[Kind]) -> np.ndarray:
    """How strongly each pair of columns hangs together, 0 (not) to 1 (fully), `[C, C]`.

    Two numbers: |Spearman's rho|. Two categories: Cramer's V with the bias correction of Bergsma
    (2013). A number and a category: the correlation ratio eta, the square root of the share of
    the variance of the number's ranks that lies between the levels, corrected for the number of
    levels (Kelley 1935's epsilon). NaN where a column is constant among the rows where both are
    observed.
    """
    result = np.eye(len(kinds))
    for a, b in np.stack(np.triu_indices(len(kinds), k=1), axis=1):
        result[a, b] = result[b, a] = _association(_complete(x[:, [a, b]]), kinds[a], kinds[b])
    return result


# -- one column -----------------------------------------------------------------------------------


def _kolmogorov_smirnov(real: np.ndarray, synthetic: np.ndarray) -> float:
    """The largest distance of the two cumulative distributions, which is reached at a value."""
    values = np.concatenate([real, synthetic])
    below = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (real, synthetic)]
    return float(np.abs(below[0] - below[1]).max())


def _total_variation(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Half the summed difference of the frequencies of codes `[N]`."""
    values, code = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
    code = code.reshape(-1)
    cells = len(values)
    p = np.bincount(code[: len(real)], minlength=cells) / len(real)
    q = np.bincount(code[len(real) :], minlength=cells) / len(synthetic)
    return float(0.5 * np.abs(p - q).sum())


# -- two columns ----------------------------------------------------------------------------------


class _Levels(NamedTuple):
    """A column of both tables as codes below `levels`, a missing cell as one of them."""

    real: np.ndarray
    synthetic: np.ndarray
    levels: int


def _levels(real: np.ndarray, synthetic: np.ndarray, *, binned: bool) -> _Levels:
    if binned:
        edges = np.histogram_bin_edges(_observed(real), bins=BINS)[1:-1]
        real, synthetic = (
            np.where(np.isnan(x), BINS, np.digitize(x, edges)) for x in (real, synthetic)
        )
        return _Levels(real, synthetic, BINS + 1)
    values, codes = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
    codes = codes.reshape(-1)
    return _Levels(codes[: len(real)], codes[len(real) :], len(values))


def _joint_variation(a: _Levels, b: _Levels) -> float:
    """The total variation distance of the joint frequencies of two columns."""
    real, synthetic = a.real * b.levels + b.real, a.synthetic * b.levels + b.synthetic
    cells = a.levels * b.levels
    if cells > DENSE * (len(real) + len(synthetic)):
        return _total_variation(real, synthetic)
    p, q = (np.bincount(code, minlength=cells) / len(code) for code in (real, synthetic))
    return float(0.5 * np.abs(p - q).sum())


class _Correlations:
    """Pearson's r of pairs of a table's numbers over the rows in which both are observed."""

    def __init__(self, x: np.ndarray, numbers: Sequence[bool]) -> None:
        self.x = x
        self.unit = {
            c: _unit(x[:, c])
            for c, number in enumerate(numbers)
            if number and not np.isnan(x[:, c]).any()
        }

    def of(self, a: int, b: int) -> float:
        if a in self.unit and b in self.unit:
            return float(np.clip(self.unit[a] @ self.unit[b], -1.0, 1.0))
        return _pearson(_complete(self.x[:, [a, b]]))


def _unit(column: np.ndarray) -> np.ndarray:
    """The deviations from the mean, scaled to length 1; NaN if all values are equal."""
    if len(column) < 2 or column.max() == column.min():
        return np.full(len(column), np.nan)
    deviation = column / np.abs(column).max()  # so that sums and squares cannot overflow
    deviation = deviation - deviation.mean()
    deviation = deviation / np.abs(deviation).max()
    return deviation / np.sqrt((deviation**2).sum())


def _pearson(pair: np.ndarray) -> float:
    """Pearson's correlation of two columns `[N, 2]`; NaN if one is constant."""
    if len(pair) < 2:
        return np.nan
    return float(np.clip(_unit(pair[:, 0]) @ _unit(pair[:, 1]), -1.0, 1.0))


def _association(pair: np.ndarray, kind_a: Kind, kind_b: Kind) -> float:
    a, b = pair.T
    if len(pair) < 2 or a.min() == a.max() or b.min() == b.max():
        return np.nan
    if kind_a == kind_b == "numeric":
        return abs(_pearson(np.stack([rankdata(a), rankdata(b)], axis=1)))
    if kind_a == kind_b == "category":
        return _cramers_v(a, b)
    return _correlation_ratio(a, b) if kind_a == "category" else _correlation_ratio(b, a)


def _cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    n = len(a)
    levels_a, code_a = np.unique(a, return_inverse=True)
    levels_b, code_b = np.unique(b, return_inverse=True)
    rows, columns = len(levels_a), len(levels_b)
    cells, counts = np.unique(code_a * columns + code_b, return_counts=True)
    expected = np.bincount(code_a)[cells // columns] * np.bincount(code_b)[cells % columns] / n
    phi2 = (counts**2 / expected).sum() / n - 1  # chi-square / n; empty cells contribute through -1
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    room = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(min(1.0, phi2 / room))) if room > 0 else np.nan


def _correlation_ratio(category: np.ndarray, number: np.ndarray) -> float:
    n, rank = len(number), rankdata(number)
    levels, code = np.unique(category, return_inverse=True)
    means = np.bincount(code, weights=rank) / np.bincount(code)
    within = ((rank - means[code]) ** 2).sum()
    total = ((rank - rank.mean()) ** 2).sum()
    if n == len(levels):
        return np.nan
    return float(np.sqrt(max(0.0, 1 - (n - 1) / (n - len(levels)) * within / total)))


# -- small things ---------------------------------------------------------------------------------


def _check(x_real: np.ndarray, x_synthetic: np.ndarray, kinds: Sequence[Kind]) -> None:
    shapes = x_real.shape, x_synthetic.shape
    if any(len(shape) != 2 or shape[1] != len(kinds) for shape in shapes):
        raise ValueError(
            f"both tables must be [rows, {len(kinds)}], a column for each of the kinds, "
            f"got {list(shapes[0])} and {list(shapes[1])}."
        )


def _observed(column: np.ndarray) -> np.ndarray:
    return column[~np.isnan(column)]


def _complete(x: np.ndarray) -> np.ndarray:
    return x[~np.isnan(x).any(axis=1)]
