r"""Alarms of series as intervals: where they begin and end, how sure, and why.

Scores of neighbouring steps depend on each other, so that their p-values would count one anomaly
many times, and the calibration's too. Steps are therefore taken in blocks of h, a block's score
being its highest, and

    p-value   of a block, against the blocks of the stretches that were held out, with the tail
              continued beyond the highest of them (`evaluation.tails`)
    alarms    by Benjamini & Hochberg, of all blocks together

An alarm's interval are the steps that score at least as high as the weakest block that is one;
intervals that are less than h apart are one. Blocks are nearly exchangeable where dependence is
shorter than a block and the series does not drift; where it drifts, what is held out is spread over
the series and not at its end, which makes the p-values right on average and not at each time.

This module does not know the model, nor how steps are scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variate.evaluation import conformal
from variate.evaluation.tails import tail_p_values
from variate.series.surprise import Surprise

__all__ = ["Interval", "block_scores", "intervals", "reason_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Steps of a series that are an alarm.

    Attributes:
        series: Which series.
        start: The first step, a place on the series' grid.
        end: The last step.
        peak: The step of the highest score.
        score: That score, in nats.
        p_value: The smallest of the interval's blocks.
        channel: The channel that is strangest there.
    """

    series: int
    start: int
    end: int
    peak: int
    score: float
    p_value: float
    channel: int


def block_scores(score: Floats, h: int) -> Floats:
    """The highest score of each block of h steps, `[⌈G/h⌉]`; NaN where a block has none."""
    padded = np.full(-(-len(score) // h) * h, np.nan)
    padded[: len(score)] = score
    blocks = padded.reshape(-1, h)
    empty = np.isnan(blocks).all(1)
    found: Floats = np.where(empty, np.nan, np.nanmax(np.where(empty[:, None], 0.0, blocks), 1))
    return found


def intervals(
    found: Sequence[Surprise], calibration: Floats, h: int, fdr: float
) -> tuple[list[Interval], list[Floats]]:
    """The alarms of all series together, in order, and the p-value of each step's block.

    Args:
        found: Of each series.
        calibration: Block scores of what was held out.
        h: The steps of a block.
        fdr: The most that the expected share of false alarms among the blocks may be.
    """
    scores = [block_scores(part.score, h) for part in found]
    p_values = [np.where(np.isnan(s), 1.0, 0.0) for s in scores]
    for p, s in zip(p_values, scores, strict=True):
        known = ~np.isnan(s)
        p[known] = tail_p_values(calibration, s[known])
    every_p, every_s = np.concatenate(p_values), np.concatenate(scores)
    known = ~np.isnan(every_s)
    alarm = conformal.benjamini_hochberg(every_p[known], fdr)
    p_of_steps = [np.repeat(p, h)[: len(f.score)] for p, f in zip(p_values, found, strict=True)]
    if not alarm.any():
        return [], p_of_steps
    weakest = float(every_s[known][alarm].min())
    made = [
        _interval(i, part, p, start, end)
        for i, (part, p) in enumerate(zip(found, p_of_steps, strict=True))
        for start, end in _runs(part.score >= weakest, h)
    ]
    return made, p_of_steps


def reason_of(interval: Interval, values: Floats, found: Surprise, channel: str) -> tuple[int, str]:
    """Why an interval is an alarm: the step of its strangest value, and what was expected there.

    Args:
        interval: Of the series.
        values: The series `[G, C]`.
        found: What the model makes of it.
        channel: The name of its channel.
    """
    inside = slice(interval.start, interval.end + 1)
    cells = found.cells[inside, interval.channel]
    at = interval.start + int(np.nanargmax(cells))
    low, middle, high = found.band[:, at, interval.channel]
    value = values[at, interval.channel]
    expected = f"expected {middle:.6g}, 90 % within {low:.6g}..{high:.6g}"
    return at, f"{channel}={value:.6g} ({expected})"


def _interval(series: int, found: Surprise, p: Floats, start: int, end: int) -> Interval:
    inside = slice(start, end + 1)
    peak = start + int(np.nanargmax(found.score[inside]))
    channel = int(np.nansum(found.cells[inside], 0).argmax())
    least = float(p[inside].min())
    return Interval(series, start, end, peak, float(found.score[peak]), least, channel)


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
