r"""Why a row is strange: its columns beside what the ensemble expects of them, given the others.

Of a number x_j the ensemble expects a mixture of normals, of mean m_j and deviation s_j, when it
has seen all other columns (`Voices.expected`), so that

    r_j = ((x_j - m_j) / s_j)² / 2                                    nats

is by how much m_j is likelier; of a category the ensemble expects a share of each level, and r_j is
the log of the largest one over that of the level found. Columns with r_j of at least three are
named, the largest first, with the value found, the one expected and, for numbers, the interval
m_j ± 1.645 s_j, of 90 % under a normal. Then the same columns of the nearest row of the bulk. Of
several columns that stand for one of the user's (`table.wording`) the strangest is named.

This module does not know which rows are alarms.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from variate.anomaly.features import Features, Group
from variate.anomaly.scales import Scales
from variate.anomaly.voices import Voices
from variate.table.wording import Wording, strangest

__all__ = ["explain"]

WITHIN = 1.645  # deviations either side, for 90 %
LEAST = 0.01  # of the share of a level
EXPLAINED = 1_000  # rows, at the most


class _Finding(NamedTuple):
    ratio: Tensor
    expected: Tensor
    spread: Tensor  # NaN for categories


def explain(
    voices: Voices,
    scales: Scales,
    features: Features,
    x: Tensor,
    words: Wording,
    words_of: Callable[[Tensor], Wording],
) -> list[str]:
    """Why rows of a table are strange, a text for each.

    Args:
        voices: What rows are held against.
        scales: Of the features.
        features: How columns became them.
        x: The rows `[N, C]`, in the columns' own units.
        words: How the cells of these rows are written.
        words_of: The same for other rows.
    """
    rows = x[:EXPLAINED]
    wide = features.expand(rows)
    found = [
        _finding(voices, scales, group, c, rows, wide) for c, group in enumerate(features.groups)
    ]
    near = voices.like(wide, scales)
    like = words_of(torch.stack([_of(group, near) for group in features.groups], 1))
    named = strangest(words, torch.stack([finding.ratio for finding in found], 1))
    described = _described(words, found, named)
    texts = []
    for i, columns in enumerate(named):
        text = ", ".join(described[i, c] for c in columns)
        text = text or "no column by itself, but their combination"
        if columns:
            text += f"; nearest row of the bulk: {', '.join(like.cell(i, c) for c in columns)}"
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
    words: Wording, found: Sequence[_Finding], named: Sequence[Sequence[int]]
) -> dict[tuple[int, int], str]:
    """Cells with what would be expected in them, by row and column."""
    described = {}
    for c, finding in enumerate(found):
        rows = [i for i, columns in enumerate(named) if c in columns]
        if not rows:
            continue
        middle, within = finding.expected[rows].numpy(), WITHIN * finding.spread[rows].numpy()
        expected, low, high = (
            words.told(c, value, rows) for value in (middle, middle - within, middle + within)
        )
        for place, i in enumerate(rows):
            text = f"expected {expected[place]}"
            if not np.isnan(within[place]):
                text += f", 90 % within {low[place]}..{high[place]}"
            described[i, c] = f"{words.cell(i, c)} ({text})"
    return described


def _of(group: Group, wide: Tensor) -> Tensor:
    """A column's values `[N]` from the numbers that stand for it, `[N, F]`."""
    if group.levels is None:
        return wide[:, group.start]
    which = wide[:, group.start : group.stop].argmax(1)
    return torch.tensor(group.levels, dtype=wide.dtype)[which]
