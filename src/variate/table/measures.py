r"""How far a synthetic table is from a real one: pure functions of two tables in codec space.

A table is a float64 array `[N, C]`, NaN = missing; a column is a "category" (codes 0..K-1) or
"numeric". Errors are 1 - the score of the same name in SDMetrics, so 0 is best and 1 is worst:

    shape, numeric       max_t |F(t) - G(t)|        Kolmogorov-Smirnov    (KSComplement)
    shape, category      1/2 sum_k |p_k - q_k|      total variation       (TVComplement)
    trend, two numbers   1/2 |r - s|                Pearson's r           (CorrelationSimilarity)
    trend, otherwise     1/2 sum_kl |p_kl - q_kl|   joint frequencies     (ContingencySimilarity)

F, p, r are the real table's and G, q, s the synthetic one's. Beside a category a number is cut
into ten bins of equal width over the real column's range, as ContingencySimilarity does, the
outer two open. Missing cells are left out of all four, and `missing_error` compares their shares.

Shape and trend alone can be fooled: drawing every column independently makes the shape perfect.
`two_sample_auc` asks whether a classifier can tell the tables apart, and `exact_copies` whether
good marks were bought by repeating the training rows; read them together.

This module does not know any model, nor the columns' names, levels and units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from variate.evaluation.samples import TwoSample, two_sample

__all__ = [
    "Kind",
    "Trends",
    "associations",
    "column_shape_error",
    "exact_copies",
    "missing_error",
    "pair_trend_error",
    "two_sample_auc",
]

Kind = Literal["category", "numeric"]

BINS = 10  # SDMetrics' number of bins for a number beside a category
FOLDS = 3
ENOUGH = 20  # rows of each table below which a classifier tells nothing


@dataclass(frozen=True)
class Trends:
    """How differently two tables tie pairs of columns together.

    Attributes:
        pairs: The pairs of columns, `[P, 2]`.
        errors: The error of each pair in 0..1, `[P]`; NaN where a column of the pair is constant
            or the two are never observed together.
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
    most: int = 300,
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
    errors = [
        _trend_error(x_real[:, pair], x_synthetic[:, pair], [kinds[c] for c in pair])
        for pair in pairs
    ]
    return Trends(pairs, np.array(errors, dtype=np.float64))


def two_sample_auc(
    x_real: np.ndarray, x_synthetic: np.ndarray, *, most: int = 10_000, seed: int = 0
) -> TwoSample:
    """How well boosted trees tell the tables apart: an AUC of 0.5 is not at all, 1 is perfectly.

    Args:
        x_real: `[N, C]`; rows that the model was not trained on.
        x_synthetic: `[M, C]`.
        most: Rows of each table, at most; as many of the one are taken as of the other.
        seed: Of the choice of rows, the folds and the classifier.

    Returns:
        The cross-validated AUC and its standard error; NaN with fewer than 20 rows.
    """
    rows = min(len(x_real), len(x_synthetic), most)
    if rows < ENOUGH:
        return TwoSample(np.nan, np.nan)
    rng = np.random.default_rng(seed)
    real, synthetic = (
        x[np.sort(rng.choice(len(x), rows, replace=False))] for x in (x_real, x_synthetic)
    )
    return two_sample(real, synthetic, folds=FOLDS, seed=seed)


def exact_copies(x_synthetic: np.ndarray, x_train: np.ndarray) -> float:
    """The share of synthetic rows that equal some training row in every cell, 0 to 1.

    A missing cell equals a missing cell. Judge it against the same share for real rows that the
    model was not trained on: a table of few columns has copies by chance.
    """
    known = set(_row_bytes(x_train))
    copies = [row in known for row in _row_bytes(x_synthetic)]
    return float(np.mean(copies)) if copies else 0.0


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
    """Half the summed difference of the frequencies of codes `[N]` or rows of codes `[N, 2]`."""
    both = np.concatenate([real, synthetic])
    _, code = np.unique(both, axis=0, return_inverse=True)
    code = code.reshape(-1)
    cells = int(code.max()) + 1
    p = np.bincount(code[: len(real)], minlength=cells) / len(real)
    q = np.bincount(code[len(real) :], minlength=cells) / len(synthetic)
    return float(0.5 * np.abs(p - q).sum())


# -- two columns ----------------------------------------------------------------------------------


def _trend_error(real: np.ndarray, synthetic: np.ndarray, kinds: Sequence[Kind]) -> float:
    bins = [_bins(real[:, i]) if kind == "numeric" else None for i, kind in enumerate(kinds)]
    real, synthetic = _complete(real), _complete(synthetic)
    if not len(real) or not len(synthetic):
        return np.nan
    if kinds[0] == kinds[1] == "numeric":
        return abs(_pearson(real) - _pearson(synthetic)) / 2
    return _total_variation(_cut(real, bins), _cut(synthetic, bins))


def _bins(column: np.ndarray) -> np.ndarray | None:
    """The inner edges of ten bins of equal width over the observed values."""
    values = _observed(column)
    return np.histogram_bin_edges(values, bins=BINS)[1:-1] if len(values) else None


def _cut(pair: np.ndarray, bins: Sequence[np.ndarray | None]) -> np.ndarray:
    """The pair's rows with its numbers replaced by the index of their bin."""
    columns = [
        pair[:, i] if edges is None else np.digitize(pair[:, i], edges)
        for i, edges in enumerate(bins)
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def _pearson(pair: np.ndarray) -> float:
    """Pearson's correlation of two columns `[N, 2]`; NaN if one is constant."""
    deviation = pair - pair.mean(axis=0)
    if len(pair) < 2 or np.any(pair.max(axis=0) == pair.min(axis=0)):
        return np.nan
    deviation = deviation / np.abs(deviation).max(axis=0)  # so that squares cannot overflow
    lengths = np.sqrt((deviation**2).sum(axis=0))
    return float(np.clip((deviation / lengths).prod(axis=1).sum(), -1.0, 1.0))


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


def _row_bytes(x: np.ndarray) -> list[bytes]:
    """Each row as bytes, with one NaN and one zero."""
    rows = np.ascontiguousarray(np.where(np.isnan(x), np.nan, x) + 0.0, dtype=np.float64)
    return [row.tobytes() for row in rows]
