r"""Does a synthetic table give away the rows that its model was trained on?

Everything rests on the distance of two rows: the mean over the columns of

    |a - b| / range      for numbers; the range is that of the real rows, 1 is the most
    [a != b]             for categories
    [one is missing]     where at least one of the two is

d(a, T) is the distance from a row to the closest row of a table T. With T the training rows, H as
many real rows that were not trained on and S the synthetic ones:

    dcr             median over S of d(s, T), beside the median over H of d(h, T)
    dcr share       the share of S with d(s, T) < d(s, H), ties counting half; 1/2 if the model
                    knows no more about T than about H
    exact copies    the share of S that equal a row of T in every cell, beside the same share of H
    membership      an attacker holds S and a row, and says "trained on" if d(row, S) is below a
                    threshold; the advantage is the share of T less that of H of which he says so

The advantage (Yeom et al. 2018) is 0 for a guess and 1 for certainty. The threshold is the best
one on half of T and H and the advantage is measured on the other half, both ways round, so that it
is not flattered by the choice; p (1-p)/n of each share gives the standard error.

These are measures of what shows, not a guarantee: an attacker who knows the model, or a row that is
alone in its kind, may be worse off than the average. Only training with differential privacy
bounds that.

This module does not know any model, nor the columns' names, levels and units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from variate.table.measures import Kind

__all__ = ["Disclosure", "disclosure", "exact_copies", "nearest"]

COMPARISONS = 400_000_000  # cells of all pairs of rows of two tables; 5,160 rows of 15 columns
BLOCK = 1_000_000  # distances that are held at once
ENOUGH = 20  # rows of each table below which nothing is said


@dataclass(frozen=True)
class Disclosure:
    """What a synthetic table says about the rows that its model was trained on.

    Attributes:
        rows: How many rows of each table were compared; all training rows for the exact copies.
        synthetic: The distance of each synthetic row to its closest training row, `[rows]`.
        holdout: The distance of each held-out row to its closest training row, `[rows]`.
        share: The share of synthetic rows that are nearer to training than to held-out rows.
        copies: The share of synthetic rows that are a training row, cell for cell.
        holdout_copies: The same share of the held-out rows.
        advantage: Of the attack on membership.
        advantage_error: Its standard error.
    """

    rows: int
    synthetic: np.ndarray
    holdout: np.ndarray
    share: float
    copies: float
    holdout_copies: float
    advantage: float
    advantage_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the advantage."""
        reach = 1.96 * self.advantage_error
        return self.advantage - reach, self.advantage + reach


def disclosure(
    x_synthetic: np.ndarray,
    x_train: np.ndarray,
    x_holdout: np.ndarray,
    kinds: Sequence[Kind],
    *,
    seed: int = 0,
) -> Disclosure | None:
    """How much a synthetic table tells about the training rows; None with fewer than 20 rows.

    Args:
        x_synthetic: `[N, C]`.
        x_train: The rows that the model was trained on, `[T, C]`.
        x_holdout: Rows of the same law that it was not trained on, `[H, C]`.
        kinds: What each column is.
        seed: Of the choice of rows: as many of each table, and fewer of a wide one.
    """
    most = int((COMPARISONS / max(1, len(kinds))) ** 0.5)
    rows = min(len(x_synthetic), len(x_train), len(x_holdout), most)
    if rows < ENOUGH:
        return None
    rng = np.random.default_rng(seed)
    synthetic, train, holdout = (
        x[rng.permutation(len(x))[:rows]] for x in (x_synthetic, x_train, x_holdout)
    )
    scale = _ranges(np.concatenate([train, holdout]))
    to_train, members = nearest(synthetic, train, kinds, scale)
    to_holdout, others = nearest(synthetic, holdout, kinds, scale)
    among_real, _ = nearest(holdout, train, kinds, scale)
    advantage, error = _advantage(members, others)
    return Disclosure(
        rows=rows,
        synthetic=to_train,
        holdout=among_real,
        share=float(((to_train < to_holdout) + 0.5 * (to_train == to_holdout)).mean()),
        copies=exact_copies(x_synthetic, x_train),
        holdout_copies=exact_copies(x_holdout, x_train),
        advantage=advantage,
        advantage_error=error,
    )


def exact_copies(x_synthetic: np.ndarray, x_train: np.ndarray) -> float:
    """The share of synthetic rows that equal some training row in every cell, 0 to 1.

    A missing cell equals a missing cell. Judge it against the same share for real rows that the
    model was not trained on: a table of few columns has copies by chance.
    """
    known = set(_row_bytes(x_train))
    copies = [row in known for row in _row_bytes(x_synthetic)]
    return float(np.mean(copies)) if copies else 0.0


def nearest(
    a: np.ndarray, b: np.ndarray, kinds: Sequence[Kind], scale: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The distance of each row of `a` to the closest of `b`, and of each row of `b` to that of `a`.

    Args:
        a: `[N, C]`.
        b: `[M, C]`.
        kinds: What each column is.
        scale: The least and the largest value of each column `[C]`, of which a number counts.

    Returns:
        `[N]` and `[M]`, float32.
    """
    columns_a, columns_b = (_comparable(x, kinds, scale) for x in (a, b))
    plain = [_within(x) and _within(y) for x, y in zip(columns_a, columns_b, strict=True)]
    of_a = np.empty(len(a), dtype=np.float32)
    of_b = np.full(len(b), np.inf, dtype=np.float32)
    size = max(1, BLOCK // max(1, len(b)))
    for start in range(0, len(a), size):
        block = slice(start, start + size)
        total = np.zeros((len(of_a[block]), len(b)), dtype=np.float32)
        for c, (one, other) in enumerate(zip(columns_a, columns_b, strict=True)):
            left = one[block, None]
            if kinds[c] == "category":
                total += left != other
                continue
            apart = left - other
            np.abs(apart, out=apart)
            if not plain[c]:  # some are missing, or out of the range
                np.minimum(apart, 1, out=apart)
                apart = np.where(np.isnan(apart), np.isnan(left) != np.isnan(other), apart)
            total += apart
        of_a[block] = total.min(axis=1)
        np.minimum(of_b, total.min(axis=0), out=of_b)
    return of_a / len(columns_a), of_b / len(columns_b)


def _comparable(
    x: np.ndarray, kinds: Sequence[Kind], scale: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """The columns as they are compared: codes with -1 for a gap, numbers by range with NaN."""
    columns = []
    for c, kind in enumerate(kinds):
        if kind == "category":
            columns.append(np.where(np.isnan(x[:, c]), -1, x[:, c]).astype(np.int32))
            continue
        low, high = scale[0][c], scale[1][c]
        with np.errstate(over="ignore"):  # half at a time: the range may exceed the largest number
            place = (x[:, c] / 2 - low / 2) / ((high / 2 - low / 2) or np.finfo(np.float64).tiny)
        columns.append(place.clip(-2, 3).astype(np.float32))  # further out is 1 away from all
    return columns


def _within(x: np.ndarray) -> bool:
    """Whether all numbers are there and in the range."""
    return bool(np.all((x >= 0) & (x <= 1)))


def _ranges(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest observed value of each column; 0 and 0 where there is none."""
    known = ~np.isnan(x)
    low = np.where(known, x, np.inf).min(axis=0)
    high = np.where(known, x, -np.inf).max(axis=0)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)


def _advantage(members: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The advantage of the best threshold on the distances, and its standard error."""
    half = [x[::2] for x in (members, others)], [x[1::2] for x in (members, others)]
    gains, variances = [], []
    for (chosen_in, chosen_out), (tested_in, tested_out) in (half, half[::-1]):
        threshold = _best_threshold(chosen_in, chosen_out)
        shares = [float((x <= threshold).mean()) for x in (tested_in, tested_out)]
        gains.append(shares[0] - shares[1])
        variances.append(
            sum(p * (1 - p) / len(x) for p, x in zip(shares, (tested_in, tested_out), strict=True))
        )
    return float(np.mean(gains)), float(np.sqrt(np.sum(variances)) / 2)


def _best_threshold(members: np.ndarray, others: np.ndarray) -> float:
    """Where the share of members at most so far away exceeds that of the others by most."""
    places = np.unique(np.concatenate([members, others]))
    below = [np.searchsorted(np.sort(x), places, side="right") / len(x) for x in (members, others)]
    return float(places[np.argmax(below[0] - below[1])])


def _row_bytes(x: np.ndarray) -> list[bytes]:
    """Each row as bytes, with one NaN and one zero."""
    rows = np.ascontiguousarray(np.where(np.isnan(x), np.nan, x) + 0.0, dtype=np.float64)
    return [row.tobytes() for row in rows]
