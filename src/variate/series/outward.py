"""Steps of series as the caller gets them: forecasts, filled gaps and alarms as frames.

This module does not know how scores and draws are made.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from variate.models import VAE
from variate.series.clock import Regular, told
from variate.series.codec import SeriesCodec
from variate.series.completion import CANDIDATES, extended, filled
from variate.series.intervals import Interval, reason_of
from variate.series.reading import give_back
from variate.series.records import Forecast, Imputed
from variate.series.surprise import Expected
from variate.series.windows import tiles

__all__ = ["alarm_table", "forecast_of", "imputed", "step_table", "window_table"]

Floats = NDArray[np.float64]

LEAST = 32  # draws of a gap, of which the median is taken


def step_table(
    codec: SeriesCodec, parts: Sequence[Regular], places: Sequence[NDArray[np.int64]]
) -> dict[str, Any]:
    """The columns that say which steps are meant: the series, if they have names, and the time."""
    columns: dict[str, Any] = {}
    if parts[0].name is not None:
        key = codec.columns.series or "series"
        names = [part.name for part, at in zip(parts, places, strict=True) for _ in at]
        columns[key] = pa.array(names)
    stamps = [codec.stamps(part, at) for part, at in zip(parts, places, strict=True)]
    columns[codec.columns.time or "step"] = pa.chunked_array(stamps, stamps[0].type)
    return columns


def forecast_of(
    model: VAE,
    codec: SeriesCodec,
    parts: Sequence[Regular],
    steps: int,
    draws: int,
    seed: int | None,
) -> Forecast:
    """The forecast of each series."""
    paths = [
        extended(model, part.values, codec.length, steps, draws, seed)
        for part in parts
    ]  # fmt: skip
    places = [len(part.values) + np.arange(steps) for part in parts]
    columns = step_table(codec, parts, places)
    for c, name in enumerate(codec.channels):
        drawn = [path[:, :, c] for path in paths]
        columns[name] = np.concatenate([one.mean(0) for one in drawn])
        columns[f"{name}_low"] = np.concatenate([np.quantile(one, 0.05, 0) for one in drawn])
        columns[f"{name}_high"] = np.concatenate([np.quantile(one, 0.95, 0) for one in drawn])
    table = give_back(pa.table(columns), parts[0].source)
    return Forecast(paths, codec.channels, [part.name for part in parts], table)


def imputed(
    model: VAE, codec: SeriesCodec, parts: Sequence[Regular], draws: int, seed: int | None
) -> Imputed:
    """The series with their gaps filled."""
    count = max(draws, LEAST)
    paths = [
        filled(model, part.values, codec.length, count, CANDIDATES, seed) for part in parts
    ]  # fmt: skip
    where = [np.argwhere(np.isnan(part.values)) for part in parts]
    columns = step_table(codec, parts, [at[:, 0] for at in where])
    names = [codec.channels[c] for at in where for c in at[:, 1]]
    columns["channel"] = pa.array(names, pa.string())
    return Imputed(
        _as_given(codec, parts, [_on_grid(codec, np.median(path, 0)) for path in paths]),
        [_as_given(codec, parts, [path[k] for path in paths]) for k in range(draws)],
        pa.table(columns),
        np.concatenate([p[:, at[:, 0], at[:, 1]] for p, at in zip(paths, where, strict=True)], 1),
        parts[0].source,
    )


def alarm_table(
    alarms: Sequence[Interval],
    parts: Sequence[Regular],
    found: Sequence[Expected],
    codec: SeriesCodec,
) -> pa.Table:
    """Alarms as a table, one each."""
    columns: dict[str, Any] = {}
    if parts[0].name is not None:
        columns[codec.columns.series or "series"] = pa.array([parts[a.series].name for a in alarms])
    for name in ("start", "end", "peak"):
        places = [np.array([getattr(a, name)]) for a in alarms]
        stamps = [codec.stamps(parts[a.series], at) for a, at in zip(alarms, places, strict=True)]
        empty = codec.stamps(parts[0], np.zeros(1, dtype=np.int64)).type
        columns[name] = pa.chunked_array(stamps, empty)
    columns["steps"] = pa.array([a.end - a.start + 1 for a in alarms], pa.int64())
    columns["score"] = pa.array([a.score for a in alarms], pa.float64())
    columns["p_value"] = pa.array([a.p_value for a in alarms], pa.float64())
    why = [_reason(a, parts[a.series], found[a.series], codec) for a in alarms]
    columns["channel"] = pa.array([channel for channel, _ in why], pa.string())
    columns["reasons"] = pa.array([reason for _, reason in why], pa.string())
    return pa.table(columns)


def window_table(codec: SeriesCodec, parts: Sequence[Regular], scores: Floats) -> Any:
    """The windows of series, first and last step, with the score of each."""
    starts = [np.array(tiles(len(part.values), codec.length)) for part in parts]
    columns = step_table(codec, parts, starts)
    columns["start"] = columns.pop(codec.columns.time or "step")
    ends = [
        np.minimum(at + codec.length, len(p.values)) - 1
        for at, p in zip(starts, parts, strict=True)
    ]
    stamps = [codec.stamps(part, at) for part, at in zip(parts, ends, strict=True)]
    columns["end"] = pa.chunked_array(stamps, stamps[0].type)
    columns["log_likelihood"] = scores
    return give_back(pa.table(columns), parts[0].source)


def _reason(alarm: Interval, part: Regular, found: Expected, codec: SeriesCodec) -> tuple[str, str]:
    """The channel of an alarm, and the reason."""
    at, channel, text = reason_of(alarm, part.values, found, codec.channels)
    stamp = codec.stamps(part, np.array([at]))[0].as_py()
    return channel, f"at {told(stamp)} {text}"


def _on_grid(codec: SeriesCodec, values: Floats) -> Floats:
    """The median of an even number of draws may lie between two values of the grid."""
    step = np.where(codec.scaling.grid > 0, codec.scaling.grid, 1.0)
    return np.where(codec.scaling.grid > 0, np.round(values / step) * step, values)


def _as_given(codec: SeriesCodec, parts: Sequence[Regular], values: Sequence[Floats]) -> Any:
    """Whole series in the caller's type: arrays as they were, frames with a row for each stamp."""
    if parts[0].source == "arrays":
        return list(values)
    if parts[0].source == "array":
        return values[0]
    columns = step_table(codec, parts, [np.arange(len(one)) for one in values])
    joined = np.concatenate(list(values))
    columns |= {name: codec.column(c, joined[:, c]) for c, name in enumerate(codec.channels)}
    return give_back(pa.table(columns), parts[0].source)
