r"""Why a row is strange: its columns beside what the ensemble expects of them, given the others.

Of a number x_j the ensemble expects a mixture of normals, of mean m_j and deviation s_j, when it
has seen all other columns (`Voices.expected`), so that

    r_j = ((x_j - m_j) / s_j)² / 2                                    nats

is by how much m_j is likelier; of a category the ensemble expects a share of each level, and r_j is
the log of the largest one over that of the level found. Columns with r_j of at least three are
named, the largest first, with the value found, the one expected and, for numbers, the interval
m_j ± 1.645 s_j, of 90 % under a normal. Then the same columns of the nearest row of the bulk.

This module does not know which rows are alarms.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from variate.anomaly.features import Features, Group
from variate.anomaly.scales import Scales
from variate.anomaly.voices import Voices

__all__ = ["Teller", "explain"]

STRANGE = 3.0  # nats
NAMED = 4  # columns of a row, at the most
WITHIN = 1.645  # deviations either side, for 90 %
LEAST = 0.01  # of the share of a level
EXPLAINED = 1_000  # rows, at the most

Teller = Callable[[int, float], str]  # a column and a value of it -> as the user writes it


class _Finding(NamedTuple):
    ratio: Tensor
    expected: Tensor
    spread: Tensor  # NaN for categories


def explain(
    voices: Voices, scales: Scales, features: Features, x: Tensor, tell: Teller
) -> list[str]:
    """Why rows of a table are strange, a text for each.

    Args:
        voices: What rows are held against.
        scales: Of the features.
        features: How columns became them.
        x: The rows `[N, C]`, in the columns' own units.
        tell: How a value is written.
    """
    rows = x[:EXPLAINED]
    wide = features.expand(rows)
    found = [
        _finding(voices, scales, group, c, rows, wide) for c, group in enumerate(features.groups)
    ]
    near = voices.like(wide, scales)
    texts = []
    for i in range(len(rows)):
        ratios = [float(finding.ratio[i]) for finding in found]
        order = sorted(range(len(ratios)), key=lambda c: -ratios[c])
        named = [c for c in order[:NAMED] if ratios[c] >= STRANGE]
        parts = [_described(features.groups[c], found[c], c, rows, i, tell) for c in named]
        text = ", ".join(parts) or "no column by itself, but their combination"
        if named:
            like = [
                f"{features.groups[c].name}={tell(c, _of(features.groups[c], near[i]))}"
                for c in named
            ]
            text += f"; nearest row of the bulk: {', '.join(like)}"
        texts.append(text)
    left = len(x) - len(rows)
    return [*texts, *[f"not explained: {EXPLAINED:,} rows here are stranger"] * left]


def _finding(
    voices: Voices, scales: Scales, group: Group, c: int, rows: Tensor, wide: Tensor
) -> _Finding:
    mean, deviation = voices.expected(wide, scales, range(group.start, group.stop))
    value = rows[:, c]
    if group.levels is None:
        ratio = 0.5 * ((value - mean[:, 0]) / deviation[:, 0]).square()
        return _Finding(ratio.nan_to_num(-1.0), mean[:, 0], deviation[:, 0])
    share = mean.clamp(LEAST, 1.0)
    levels = torch.tensor(group.levels, dtype=rows.dtype)
    own = torch.where(wide[:, group.start : group.stop] == 1, share, 0.0).sum(1).clamp_min(LEAST)
    most, which = share.max(1)
    ratio = torch.where(value.isnan(), -1.0, (most / own).log())
    return _Finding(ratio, levels[which], torch.full_like(most, math.nan))


def _described(
    group: Group, finding: _Finding, c: int, rows: Tensor, row: int, tell: Teller
) -> str:
    expected, spread = float(finding.expected[row]), float(finding.spread[row])
    text = f"expected {tell(c, expected)}"
    if not math.isnan(spread):
        low, high = expected - WITHIN * spread, expected + WITHIN * spread
        text += f", 90 % within {tell(c, low)}..{tell(c, high)}"
    return f"{group.name}={tell(c, float(rows[row, c]))} ({text})"


def _of(group: Group, wide: Sequence[float] | Tensor) -> float:
    """A column's value from the numbers that stand for it."""
    if group.levels is None:
        return float(wide[group.start])
    return float(group.levels[int(torch.as_tensor(wide[group.start : group.stop]).argmax())])
