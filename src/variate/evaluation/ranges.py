r"""How good alarms of a series are, where anomalies are ranges and not points.

**Range-based precision and recall** (Tatbul, Lee, Zdonik, Alam & Gottschlich 2018). With real
anomalies R_1 … R_N and alarms P_1 … P_M, each a range of steps,

    recall(R_i)     = α · [some alarm meets R_i] + (1 - α) · γ(n_i) Σ_j ω(R_i, R_i ∩ P_j)
    precision(P_j)  = γ(m_j) Σ_i ω(P_j, P_j ∩ R_i)

and recall and precision are their means. ω is the share of the range that the overlap has, each
step weighed by the bias δ (flat: all alike); γ(n) = 1/n for n overlaps, at least 1, charges for
one anomaly told in pieces. F1 is their harmonic mean.

**VUS-PR** (Paparrizos, Boniol, Palpanas, Tsay, Elmore & Franklin 2022). A threshold is not needed,
nor are exact ends. With a buffer ℓ, the label of a step that lies j = 1 … ⌊ℓ/2⌋ steps before or
after an anomaly is

    y_ℓ = √(1 - j/ℓ)                  and 1 inside, the sum of several at most 1

and at a threshold c, with the predictions p = [s ≥ c], the positives y_0 and the buffer's b = y_ℓ p
outside of them,

    precision = Σ y_ℓ p / Σ p
    recall    = min(1, Σ y_ℓ p / (Σ y_0 + Σ b / 2)) · (share of the ranges of y_ℓ that p meets)

where only what was predicted of the buffer counts among the positives, as in the authors' later
benchmark (Liu & Paparrizos 2024), so that perfect scores reach 1. R-AUC-PR is the area
Σ_k (recall_k - recall_{k-1}) precision_k over all distinct thresholds, and VUS-PR the mean of it
over ℓ = 0, 1, …, L. (The authors' programs take 250 thresholds, which differs in the third digit.)

Point-adjusted F1 is not here: it calls a whole anomaly found when one of its steps is, so that
random scores do well by it (Kim et al. 2022).

This module does not know how scores were made.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variate.errors import OptionError

__all__ = [
    "RangeScores",
    "back",
    "flat",
    "front",
    "range_auc_pr",
    "range_scores",
    "ranges_of",
    "vus_pr",
]

Floats = NDArray[np.float64]
Bias = Callable[[int], Floats]


class RangeScores(NamedTuple):
    """Range-based precision, recall and F1, 0 to 1 each."""

    precision: float
    recall: float
    f1: float


def flat(length: int) -> Floats:
    """All steps of a range count alike."""
    return np.ones(length)


def front(length: int) -> Floats:
    """The earlier, the more a step counts: for those who want to know soon."""
    return np.arange(length, 0, -1, dtype=np.float64)


def back(length: int) -> Floats:
    """The later, the more a step counts."""
    return np.arange(1, length + 1, dtype=np.float64)


def ranges_of(labels: ArrayLike) -> list[tuple[int, int]]:
    """First and last step of each range of true labels `[T]`."""
    flags = np.concatenate([[0], np.asarray(labels).astype(bool).astype(np.int8), [0]])
    change = np.diff(flags)
    return list(
        zip(
            np.flatnonzero(change == 1).tolist(),
            (np.flatnonzero(change == -1) - 1).tolist(),
            strict=True,
        )
    )


def range_scores(
    labels: ArrayLike, alarms: ArrayLike, *, alpha: float = 0.0, bias: Bias = flat
) -> RangeScores:
    """Range-based precision, recall and F1 of alarms.

    Args:
        labels: Which steps are anomalies, `[T]`.
        alarms: Which steps are alarms, `[T]`.
        alpha: α, what it counts for recall that an anomaly is found at all, 0 to 1.
        bias: δ, the weights of the steps of a range, such as `flat`, `front` or `back`.

    Returns:
        The scores; without alarms precision is 0, without anomalies recall is.

    Raises:
        OptionError: The lengths differ, or α is not between 0 and 1.
    """
    if not 0 <= alpha <= 1:
        raise OptionError(f"alpha must lie between 0 and 1, got {alpha!r}.")
    truth, told = _flags("labels", labels), _flags("alarms", alarms)
    if len(truth) != len(told):
        raise OptionError(f"there are {len(truth)} labels and {len(told)} alarms; give one each.")
    real, found = ranges_of(truth), ranges_of(told)
    recalls = [
        alpha * float(told[a : b + 1].any()) + (1 - alpha) * _overlap((a, b), found, bias)
        for a, b in real
    ]
    precisions = [_overlap(alarm, real, bias) for alarm in found]
    precision = float(np.mean(precisions)) if precisions else 0.0
    recall = float(np.mean(recalls)) if recalls else 0.0
    both = precision + recall
    return RangeScores(precision, recall, 2 * precision * recall / both if both else 0.0)


def vus_pr(labels: ArrayLike, scores: ArrayLike, buffer: int) -> float:
    """The volume under the precision-recall surface, 0 to 1.

    Args:
        labels: Which steps are anomalies, `[T]`, at least one.
        scores: How strange each step is, higher for stranger, `[T]`; NaN counts as the lowest.
        buffer: L, the largest buffer in steps; the authors take the length of the period.

    Raises:
        OptionError: No step is an anomaly, the lengths differ, or the buffer is negative.
    """
    if buffer < 0:
        raise OptionError(f"the buffer must be at least 0 steps, got {buffer!r}.")
    return float(np.mean([range_auc_pr(labels, scores, size) for size in range(buffer + 1)]))


def range_auc_pr(labels: ArrayLike, scores: ArrayLike, buffer: int) -> float:
    """R-AUC-PR, the area under the curve of one buffer; arguments and errors as `vus_pr`."""
    truth = _flags("labels", labels)
    s = np.asarray(scores, dtype=np.float64).ravel()
    if len(s) != len(truth):
        raise OptionError(f"there are {len(truth)} labels and {len(s)} scores; give one each.")
    if not truth.any():
        raise OptionError("no step is an anomaly: there is no precision-recall curve.")
    s = np.where(np.isnan(s), -np.inf, s)
    y = _buffered(truth, buffer)
    order = np.argsort(-s, kind="stable")
    ends = s[order][1:] != s[order][:-1]
    last = np.append(np.flatnonzero(ends), len(s) - 1)  # of each distinct threshold
    hits = np.cumsum(y[order])[last]
    around = np.cumsum(np.where(truth, 0.0, y)[order])[last]
    best = np.sort([s[a : b + 1].max() for a, b in ranges_of(y > 0)])
    met = (len(best) - np.searchsorted(best, s[order][last], side="left")) / len(best)
    recall = np.minimum(hits / (truth.sum() + around / 2), 1.0) * met
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / (last + 1)))


def _buffered(truth: NDArray[np.bool_], buffer: int) -> Floats:
    """y_ℓ."""
    y = truth.astype(np.float64)
    j = np.arange(1, buffer // 2 + 1)
    weight = np.sqrt(1 - j / max(buffer, 1))
    for start, end in ranges_of(truth):
        after, before = end + j, start - j
        y[after[after < len(y)]] += weight[after < len(y)]
        y[before[before >= 0]] += weight[before >= 0]
    return np.minimum(y, 1.0)


def _overlap(one: tuple[int, int], others: list[tuple[int, int]], bias: Bias) -> float:
    """γ(n) Σ_j ω(one, one ∩ other_j)."""
    start, end = one
    weight = bias(end - start + 1)
    shared = [(max(start, a), min(end, b)) for a, b in others if a <= end and b >= start]
    total = sum(float(weight[a - start : b - start + 1].sum()) for a, b in shared)
    return total / float(weight.sum()) / max(1, len(shared))


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(values).ravel()
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise OptionError(f"{name} holds NaN; each step must be one or the other.")
    return array.astype(bool)
