r"""Whether a model's forecasts of real rows are right: calibrated, and better than no forecast.

Each column is forecast from the columns before it (`forecasts`) and measured
(`evaluation.predictive`). A number's CRPS is given as a share of what a forecast has that knows the
column's distribution alone: of half the mean distance of two values of the column.

This module does not know how forecasts are made.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variate.evaluation.predictive import (
    Reliability,
    brier_score,
    calibration_error,
    calibration_floor,
    coverage,
    crps,
    pit,
    reliability,
)
from variate.report import Section
from variate.report.style import shorten
from variate.table.curves import pit_histogram, reliability_diagram
from variate.table.forecasts import Forecast
from variate.table.glossary import FORESIGHT

__all__ = ["foreseen"]

LEVELS = (0.5, 0.8, 0.95)
FEWEST = 10  # observed cells of a column; below, there is nothing to say of it
WORST = 12
LABEL = 32

Floats = NDArray[np.float64]


class _Number(NamedTuple):
    """What is found of a column of numbers."""

    figures: dict[str, float]
    transformed: Floats


class _Category(NamedTuple):
    """What is found of a category."""

    figures: dict[str, float]
    probability: Floats
    happened: NDArray[np.bool_]


def foreseen(
    found: Sequence[Forecast], x: Floats, names: Sequence[str], *, seed: int
) -> tuple[dict[str, Any], dict[str, float], Section]:
    """Figures of forecasts, their noise floors, and the section that shows them.

    Args:
        found: The forecasts of the C columns, in the order of x.
        x: What was observed, `[N, C]`; NaN: a gap.
        names: Of the columns.
        seed: Of what breaks ties, and of the floor.

    Returns:
        The figures of FORESIGHT as far as there are numbers and categories, with `forecasts`, the
        same by column; the floors by the same names; the section.
    """
    numbers: dict[str, _Number] = {}
    categories: dict[str, _Category] = {}
    for forecast in found:
        name, values = names[forecast.column], x[:, forecast.column]
        if forecast.draws is not None and (~np.isnan(values)).sum() >= FEWEST:
            numbers[name] = _of_number(forecast, values, seed)
        elif forecast.probability is not None and len(values) >= FEWEST:
            category = _of_category(forecast, values, seed)
            if category is not None:
                categories[name] = category
    columns = {name: each.figures for name, each in numbers.items()}
    columns |= {name: each.figures for name, each in categories.items()}
    figures: dict[str, Any] = {
        entry.name: _mean([each[entry.name] for each in columns.values() if entry.name in each])
        for entry in FORESIGHT
    }
    floors = {f"coverage_{round(100 * level)}": level for level in LEVELS} if numbers else {}
    if categories:
        floors["calibration_error"] = float(
            np.mean([each.figures["calibration_floor"] for each in categories.values()])
        )
    figures["forecasts"] = {name: columns[name] for name in names if name in columns}
    return figures, floors, _section(len(x), figures, floors, numbers, categories)


def _of_number(forecast: Forecast, values: Floats, seed: int) -> _Number:
    there = ~np.isnan(values)
    assert forecast.draws is not None
    draws, values = forecast.draws.numpy()[there], values[there]
    transformed = pit(draws, values, seed=seed)
    score = float(crps(draws, values).mean())
    ordered, size = np.sort(values), len(values)
    apart = ordered @ (2.0 * np.arange(size) - (size - 1)) / (size * (size - 1))
    shares = coverage(transformed, LEVELS)
    figures = {f"coverage_{round(100 * a)}": share for a, share in zip(LEVELS, shares, strict=True)}
    figures |= {"crps": score, "log_score": float(forecast.log_score.numpy()[there].mean())}
    if apart > 0:
        figures["crps_ratio"] = float(score / apart)
    return _Number(figures, transformed)


def _of_category(forecast: Forecast, values: Floats, seed: int) -> _Category | None:
    assert forecast.probability is not None
    probability = forecast.probability.numpy().astype(np.float64)
    levels = probability.shape[1]
    code = np.where(np.isnan(values), levels - 1, values).astype(np.int64)
    there = np.ones(len(values), dtype=np.bool_)
    if forecast.gap is False:  # what is missing says nothing: no outcome stands for it
        there = ~np.isnan(values)
    if there.sum() < FEWEST:
        return None
    probability, code = probability[there], code[there]
    happened = np.arange(levels) == code[:, None]
    error = calibration_error(reliability(probability, happened), levels)
    figures = {
        "calibration_error": error,
        "calibration_floor": calibration_floor(probability, seed=seed),
        "brier": float(brier_score(probability, code).mean()),
        "log_score": float(forecast.log_score.numpy()[there].mean()),
    }
    return _Category(figures, probability, happened)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


# -- the section -----------------------------------------------------------------------------------


def _section(
    rows: int,
    figures: dict[str, Any],
    floors: dict[str, float],
    numbers: dict[str, _Number],
    categories: dict[str, _Category],
) -> Section:
    pictures = []
    if numbers:
        everything = np.concatenate([each.transformed for each in numbers.values()])
        pictures.append(pit_histogram(everything))
    if categories:
        pictures.append(reliability_diagram(_pooled(categories)))
    text = (
        f"Each column of {rows:,} rows that the model has not seen was forecast from the columns "
        "before it in the chain, and the forecast held against what was there."
    )
    if worst := _worst(figures["forecasts"]):
        text += f" Furthest from what they should be: {worst}."
    table = [
        {
            "figure": entry.label,
            "model": _shown(figures[entry.name]),
            "noise floor": _shown(floors.get(entry.name)),
            "meaning": entry.meaning,
        }
        for entry in FORESIGHT
        if figures[entry.name] is not None
    ]
    return Section("Are forecasts right?", text, table=table, pictures=tuple(pictures))


def _pooled(categories: dict[str, _Category]) -> Reliability:
    probability = np.concatenate([each.probability.ravel() for each in categories.values()])
    happened = np.concatenate([each.happened.ravel() for each in categories.values()])
    return reliability(probability, happened)


def _worst(columns: dict[str, dict[str, float]]) -> str:
    """The three columns that are furthest off, by 80 % coverage or by calibration error."""
    off = {}
    for name, each in columns.items():
        if "coverage_80" in each:
            off[name] = (abs(each["coverage_80"] - 0.8), f"{100 * each['coverage_80']:.0f} % "
                         "within 80 % intervals")  # fmt: skip
        else:
            over = each["calibration_error"] - each["calibration_floor"]
            off[name] = (over, f"calibration error {each['calibration_error']:.3f}")
    worst = sorted(off, key=lambda name: -off[name][0])[:3]
    return ", ".join(f"{shorten(name, LABEL)} ({off[name][1]})" for name in worst)


def _shown(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
