r"""Why a row is strange: the columns that do not go with the others, and a row that is normal.

For each column j of a row the conditional likelihood ratio

    r_j = log p(x'_j | x_-j) - log p(x_j | x_-j)                      nats

says by how much what would be expected, given all other columns (`rest`), is likelier than what
was found. x'_j is the likeliest value of a category, and of a number that takes few values; else
the median. Of a gap that was found it is the log of the odds of anything else. Columns with r_j of
at least `STRANGE` are named, the largest first, each with the value found, the one expected, and
the interval that has 90 % of p(x_j | x_-j), or the share of it that the expected level has. They
are told in the user's columns (`wording`), each of which is named once.

The nearest normal row is the one of the same data that is no alarm and has the least mean distance
over the columns: |T(a) - T(b)| / 3 of normal scores, 1 at the most; 1 for another level, or where
one of the two is missing. Training rows are not kept in a model file, so they cannot be shown.

This module does not know which rows are alarms, nor why they were looked at.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.distributions.rows import Numeric, RowLayout
from variate.models import VAE
from variate.table.rest import given_rest
from variate.table.rows import RowDecoder
from variate.table.wording import Words, strangest

__all__ = ["Finding", "explain", "findings", "nearest"]

DRAWS = 64  # of the conditional laws
EXPLAINED = 1_000  # rows of a part, at the most
NEAR = 2_000  # normal rows, at the most, among which the nearest is looked for
FAR = 3.0  # normal scores that are as far apart as different levels
LEVELS = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)


class Finding(NamedTuple):
    """One column of N rows beside what would be expected there.

    Attributes:
        ratio: r_j, `[N]`; -inf where nothing is known of the cell.
        expected: x'_j, `[N]`; NaN for a gap.
        low: The lower end of the interval, `[N]`; NaN for categories.
        high: The upper end, `[N]`.
        sure: The probability of the likeliest value, `[N]`; NaN for numbers of many values.
    """

    ratio: Tensor
    expected: Tensor
    low: Tensor
    high: Tensor
    sure: Tensor


def explain(
    estimator: Any,
    x: Tensor,
    strange: Sequence[int],
    normal: NDArray[np.bool_],
    start: int,
    table: pa.Table | None = None,
) -> list[str]:
    """Why rows of a table are strange, a text for each.

    Args:
        estimator: A `TableVAE`, fitted.
        x: Rows, `[N, C]`.
        strange: Which of them are to be explained, the strangest first.
        normal: Which are normal, bool `[N]`.
        start: What row the first one is, of all rows.
        table: The rows in the user's columns, if they are at hand.
    """
    model, codec = estimator.model_, estimator.codec_
    told = list(strange[:EXPLAINED])
    rows = x[told]
    found = findings(model, rows, seed=estimator.seed)
    near = nearest(model.decoder.chain.layout, rows, x, np.flatnonzero(normal))
    words = Words(codec, rows, None if table is None else table.take(told))
    named = strangest(words, torch.stack([finding.ratio for finding in found], 1))
    described = _described(words, found, named)
    if near is not None:
        like = Words(codec, x[near], None if table is None else table.take(near))
    texts = []
    for i, columns in enumerate(named):
        text = ", ".join(described[i, c] for c in columns)
        text = text or "no column by itself, but their combination"
        if near is not None and columns:
            cells = ", ".join(like.cell(i, c) for c in columns)
            text += f"; nearest normal row {start + int(near[i])}: {cells}"
        texts.append(text)
    rest = len(strange) - len(rows)
    return [*texts, *[f"not explained: {EXPLAINED:,} rows here are stranger"] * rest]


def findings(model: VAE, rows: Tensor, *, seed: int) -> list[Finding]:
    """Each column of rows `[N, C]` beside what would be expected there, given the others."""
    return [_finding(model, rows, column, seed) for column in range(rows.shape[1])]


def _finding(model: VAE, rows: Tensor, column: int, seed: int) -> Finding:
    assert isinstance(model.decoder, RowDecoder)
    kind = model.decoder.chain.layout.columns[column]
    rest = given_rest(model, rows, column, draws=DRAWS, seed=seed)
    low, middle, high = rest.quantiles(LEVELS.to(rest.values)).unbind(-1)
    found, gap = rest.log_prob, rows[:, column].isnan()
    if not isinstance(kind, Numeric) or kind.closed:
        expected, most = rest.likeliest()
        ratio = most.log() - found
        if not isinstance(kind, Numeric):
            low = high = torch.full_like(low, math.nan)
    else:
        expected, most = middle, torch.full_like(found, math.nan)
        likely = rows.clone()
        likely[:, column] = torch.where(middle.isnan(), rows[:, column], middle)
        other = given_rest(model, likely, column, draws=DRAWS, seed=seed)
        ratio = other.log_prob - found
    # a missing cell that no outcome stands for is unobserved, and says nothing
    odds = (
        torch.log(-torch.expm1(found)) - found if kind.gaps else torch.full_like(found, -math.inf)
    )
    ratio = torch.where(gap, odds, ratio)
    return Finding(ratio.nan_to_num(0.0, math.inf, -math.inf), expected, low, high, most)


def nearest(
    layout: RowLayout, rows: Tensor, x: Tensor, normal: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """For each of rows `[N, C]` the position of the nearest of the normal rows of x, `[N]`.

    Args:
        layout: The columns.
        rows: The rows.
        x: The rows among which there are normal ones.
        normal: Their positions; some of them are looked at where there are many.
    """
    if not len(normal):
        return None
    spread = np.linspace(0, len(normal) - 1, min(len(normal), NEAR)).round().astype(np.int64)
    chosen = normal[spread]
    total = torch.zeros(len(rows), len(chosen))
    for c, kind in enumerate(layout.columns):
        a, b = rows[:, c, None], x[chosen, c]
        if isinstance(kind, Numeric):
            a, b = (layout.map_of(c)(part.nan_to_num(kind.low).view(-1, 1)) for part in (a, b))
            apart = ((a - b.T).abs() / FAR).clamp(max=1.0)
        else:
            apart = (a != b).double()
        gaps = rows[:, c].isnan()[:, None], x[chosen, c].isnan()
        apart = torch.where(gaps[0] | gaps[1], (gaps[0] != gaps[1]).double(), apart)
        total += apart.float()
    found: NDArray[np.int64] = chosen[total.argmin(-1).numpy()]
    return found


# -- in words -----------------------------------------------------------------------------------


def _described(
    words: Words, found: Sequence[Finding], named: Sequence[Sequence[int]]
) -> dict[tuple[int, int], str]:
    """Cells with what would be expected in them, by row and column."""
    described = {}
    for c, finding in enumerate(found):
        rows = [i for i, columns in enumerate(named) if c in columns]
        if not rows:
            continue
        expected, low, high = (
            words.told(c, part[rows].numpy(), rows)
            for part in (finding.expected, finding.low, finding.high)
        )
        for place, i in enumerate(rows):
            text = f"expected {expected[place]}"
            if not math.isnan(float(finding.low[i])):
                text += f", 90 % within {low[place]}..{high[place]}"
            elif not math.isnan(float(finding.sure[i])):
                text += f", {100 * float(finding.sure[i]):.0f} %"
            described[i, c] = f"{words.cell(i, c)} ({text})"
    return described
