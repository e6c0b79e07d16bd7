r"""Alarms of series as intervals: where they begin and end, how sure, and why.

Scores of neighbouring steps depend on each other, so that their p-values would count one anomaly
many times, and the calibration's too. Steps are therefore taken in blocks of h, a block's score
being its highest, and

    p-value   of a block, against the blocks of the stretches that were held out, with the tail
              continued beyond their bulk, and the highest set aside, which may be
              anomalies (`evaluation.tails`)
    alarms    by Benjamini & Hochberg, of all blocks together

With k alarms among m blocks, an interval are the steps whose own score, were it a block's, has a
p-value of at most q k/m, which is what makes a block an alarm; intervals that are no more than h
apart are one.

What this promises is less than for rows of a table. Blocks next to each other are not exchangeable:
their scores depend on each other for about a window, so that the calibration's blocks count for
fewer than they are. And where a series drifts, what is held out is spread over the series and not
at its end: the p-values are right on average over the series' past, and not at each time.

This module does not know the model, nor how steps are scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variate.evaluation import conformal
from variate.evaluation.tails import tail_p_values
from variate.series.surprise import Expected

__all__ = ["Interval", "block_scores", "intervals", "reason_of"]

Floats = NDArray[np.float64]

ASIDE = 0.15  # of the calibration's blocks, that may be anomalies as nobody has looked
WORTH = 0.5  # what a block of the calibration counts for, as blocks depend on each other


@dataclass(frozen=True)
class Interval:
    """Steps of a series that are an alarm.

    Attributes:
        series: Which series.
        start: The first step, a place on the series' grid.
        end: The last step.
        peak: The step of the highest score.
        score: That score.
        p_value: The smallest of the interval's blocks.
    """

    series: int
    start: int
    end: int
    peak: int
    score: float
    p_value: float


def block_scores(score: Floats, h: int) -> Floats:
    """The highest score of each block of h steps, `[⌈G/h⌉]`; NaN where a block has none."""
    padded = np.full(-(-len(score) // h) * h, np.nan)
    padded[: len(score)] = score
    blocks = padded.reshape(-1, h)
    empty = np.isnan(blocks).all(1)
    found: Floats = np.where(empty, np.nan, np.nanmax(np.where(empty[:, None], 0.0, blocks), 1))
    return found


def intervals(found: Sequence[Floats], calibration: Floats, h: int, fdr: float) -> list[Interval]:
    """The alarms of all series together, in order.

    Args:
        found: The score of each step, `[G]` for each series; NaN where there is none.
        calibration: Block scores of what was held out.
        h: The steps of a block.
        fdr: The most that the expected share of false alarms among the blocks may be.
    """
    scores = [block_scores(part, h) for part in found]
    p_values = [np.where(np.isnan(s), 1.0, 0.0) for s in scores]
    for p, s in zip(p_values, scores, strict=True):
        known = ~np.isnan(s)
        p[known] = tail_p_values(calibration, s[known], aside=ASIDE, worth=WORTH)
    every = np.concatenate(p_values)
    judged = every[np.isfinite(np.concatenate(scores))]
    count = int(conformal.benjamini_hochberg(judged, fdr).sum())
    if not count:
        return []
    cut = fdr * count / len(judged)
    return [
        _interval(i, part, np.repeat(p, h), start, end)
        for i, (part, p) in enumerate(zip(found, p_values, strict=True))
        for start, end in _runs(_strange(part, calibration, cut), h)
    ]


def _strange(score: Floats, calibration: Floats, cut: float) -> NDArray[np.bool_]:
    """Which steps score as high as a block with a p-value of at most `cut`."""
    known = ~np.isnan(score)
    p = np.ones(len(score))
    p[known] = tail_p_values(calibration, score[known], aside=ASIDE, worth=WORTH)
    return p <= cut * (1 + 1e-12)


def reason_of(
    interval: Interval, values: Floats, found: Expected, channels: Sequence[str]
) -> tuple[int, str, str]:
    """Why an interval is an alarm: where its strangest value is, and what was expected there.

    Args:
        interval: Of the series.
        values: The series `[G, C]`.
        found: What was to be expected, of the interval at least.
        channels: Their names.

    Returns:
        The step of the strangest value, the name of the channel that is strangest on the whole,
        and the value with what was expected.
    """
    inside = slice(interval.start, interval.end + 1)
    c = int(np.nansum(found.cells[inside], 0).argmax())
    at = interval.start + int(np.nan_to_num(found.cells[inside, c], nan=-1.0).argmax())
    low, middle, high = found.band[:, at, c]
    told = f"expected {middle:.6g}, 90 % within {low:.6g}..{high:.6g}"
    return at, channels[c], f"{channels[c]}={values[at, c]:.6g} ({told})"


def _interval(series: int, score: Floats, p: Floats, start: int, end: int) -> Interval:
    inside = slice(start, end + 1)
    peak = start + int(np.nanargmax(score[inside]))
    return Interval(series, start, end, peak, float(score[peak]), float(p[inside].min()))


def _runs(alarm: NDArray[np.bool_], h: int) -> list[tuple[int, int]]:
    """First and last of runs of alarms; runs less than h apart are one."""
    places = np.flatnonzero(alarm)
    if not len(places):
        return []
    cuts = np.flatnonzero(np.diff(places) > h)
    return list(
        zip(
            places[np.append(0, cuts + 1)].tolist(),
            places[np.append(cuts, len(places) - 1)].tolist(),
            strict=True,
        )
    )
