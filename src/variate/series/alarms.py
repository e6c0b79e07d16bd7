"""What a fitted model of series keeps for its alarms, and the alarms that it raises.

Kept are, in `facts_`,

    scan           the median and the spread of the costs of training's steps (`surprise`)
    block_scores   the scores of the blocks that were held out (`intervals`)

This module does not know how steps are scored, nor how alarms are decided.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import OptionError
from variate.report import Section
from variate.series.clock import Regular
from variate.series.completion import CANDIDATES
from variate.series.intervals import Interval, block_scores, intervals
from variate.series.outward import alarm_table
from variate.series.pictures import alarm_picture, alarm_section
from variate.series.reading import give_back
from variate.series.surprise import Costs, Expected, Scan, block_of, costs, expected
from variate.series.windows import Apart

__all__ = [
    "DRAWS", "detected", "found_in", "learned", "recalibrated", "report_of", "step_scores",
]  # fmt: skip

DRAWS = 16  # of z, for the costs of steps
ROWS, SERIES = 20, 6  # alarms that a report lists, series that it shows

Floats = NDArray[np.float64]


def learned(estimator: Any, series: Sequence[Floats], apart: Apart | None) -> dict[str, Any]:
    """What is kept of the series of training `[G, C]`, and of what was held out of them."""
    found = [_costs(estimator, values) for values in series]
    scan = Scan.of(found, estimator.codec_.length)
    kept: dict[str, Any] = {"scan": {"middle": list(scan.middle), "spread": list(scan.spread)}}
    if apart is not None:
        pairs = zip(found, apart.held_out, strict=True)
        alone = [parts.where((~np.isnan(held)).any(1)) for parts, held in pairs]
        kept["block_scores"] = _block_scores(scan, alone)
    return kept


def recalibrated(estimator: Any, series: Sequence[Floats], *, extend: bool) -> dict[str, Any]:
    """The block scores of series that are believed to be normal, instead of the ones kept.

    Raises:
        OptionError: Nothing is observed in them.
    """
    scan = _scan(estimator)
    made = _block_scores(scan, [_costs(estimator, values) for values in series])
    if not made:
        raise OptionError("nothing is observed in these series to calibrate with.")
    before = (estimator.facts_.get("block_scores") or []) if extend else []
    return {"block_scores": [*before, *made]}


def step_scores(estimator: Any, series: Sequence[Floats]) -> list[Floats]:
    """The score of each step of series `[G, C]`, `[G]` each."""
    scan = _scan(estimator)
    return [scan.scores(_costs(estimator, values)) for values in series]


def found_in(
    estimator: Any, series: Sequence[Floats], fdr: float
) -> tuple[list[Interval], list[Floats]]:
    """The alarms among series `[G, C]`, and the score of each step.

    Raises:
        OptionError: The model keeps no calibration scores.
    """
    scores = step_scores(estimator, series)
    kept = estimator.facts_.get("block_scores")
    if not kept:
        raise OptionError(
            "this model keeps no calibration scores: its series were too short to hold stretches "
            "out. Give series that are believed to be normal and were not trained on: "
            "model.recalibrate(series)."
        )
    block = block_of(estimator.codec_.length)
    return intervals(scores, np.asarray(kept), block, fdr), scores


def detected(estimator: Any, parts: Sequence[Regular], fdr: float, draws: int) -> Any:
    """The alarms among series, explained, as the caller gets them."""
    alarms, _ = found_in(estimator, [part.values for part in parts], fdr)
    table = alarm_table(
        alarms, parts, _explained(estimator, parts, alarms, draws), estimator.codec_
    )
    return give_back(table, parts[0].source)


def report_of(
    estimator: Any, parts: Sequence[Regular], fdr: float = 0.05
) -> tuple[dict[str, Any], list[Section]]:
    """Figures and the section of a report about the alarms among series; none without calibration.

    Args:
        estimator: The model.
        parts: The series.
        fdr: As for `detect`.
    """
    if not estimator.facts_.get("block_scores"):
        return {}, []
    codec = estimator.codec_
    alarms, scores = found_in(estimator, [part.values for part in parts], fdr)
    found = _explained(estimator, parts, alarms, CANDIDATES)
    rows = alarm_table(alarms[:ROWS], parts, found, codec).to_pylist()
    pictures = []
    for i, part in enumerate(parts[:SERIES]):
        spans = [(a.start, a.end) for a in alarms if a.series == i]
        name = codec.channels[0] if part.name is None else f"{codec.channels[0]} of {part.name}"
        pictures.append(alarm_picture(part.values[:, 0], scores[i], spans, name))
    return {"alarms": len(alarms)}, [alarm_section(len(alarms), rows, pictures, fdr)]


def _explained(
    estimator: Any, parts: Sequence[Regular], alarms: Sequence[Interval], draws: int
) -> list[Expected]:
    """What was to be expected within the alarms of each series."""
    length, found = estimator.codec_.length, []
    for i, part in enumerate(parts):
        asked = np.zeros(len(part.values), dtype=bool)
        for alarm in alarms:
            asked[alarm.start : alarm.end + 1] |= alarm.series == i
        found.append(expected(estimator.model_, part.values, length, asked, draws, estimator.seed))
    return found


def _costs(estimator: Any, values: Floats) -> Costs:
    return costs(estimator.model_, values, estimator.codec_.length, DRAWS, estimator.seed)


def _scan(estimator: Any) -> Scan:
    kept = estimator.facts_.get("scan")
    if kept is None:
        raise OptionError(
            "a deterministic autoencoder has no density, so there is no ELBO by which steps are "
            "strange; fit with a posterior that has one (the default)."
        )
    return Scan(estimator.codec_.length, tuple(kept["middle"]), tuple(kept["spread"]))


def _block_scores(scan: Scan, found: Sequence[Costs]) -> list[float]:
    """The scores of blocks, from the costs of the steps of series."""
    h = block_of(scan.length)
    scores = np.concatenate([block_scores(scan.scores(part), h) for part in found])
    kept: list[float] = scores[~np.isnan(scores)].tolist()
    return kept
