"""Pictures of series: windows with their end drawn, and a series with its alarms marked.

This module does not know how the bands and the alarms were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variate.report import Picture, Section
from variate.report.style import INK, MODEL, REAL, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["alarm_picture", "alarm_section", "draw_alarms", "forecast_section"]

Floats = NDArray[np.float64]

SHOWN = 4  # windows
ALARM = "#d55e00"
LEFT_OUT = ("peak", "steps", "score", "channel")  # of a report's table of alarms


def forecast_section(
    x: Floats, paths: Floats, channels: Sequence[str], figures: Mapping[str, Any]
) -> Section:
    """Windows whose end was hidden and drawn.

    Args:
        x: Windows `[N, L, C]`.
        paths: Their ends, drawn, `[K, N, H, C]`.
        channels: The names of the channels.
        figures: `coverage_90`, `error_median`, `error_last_value`.
    """
    hidden = paths.shape[2]
    whole = [n for n in range(len(x)) if not np.isnan(x[n, -hidden:, 0]).any()] or list(
        range(len(x))
    )
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, min(SHOWN, len(whole))).astype(int)]
    caption = (
        f"Channel {channels[0]}: the last {hidden} steps were hidden, and drawn given the others. "
        "Grey is what was there, blue the median and the 50 % and 90 % bands of the draws."
    )
    pictures = tuple(
        Picture(partial(_draw_end, x[n, :, 0], paths[:, n, :, 0]), caption) for n in chosen
    )
    return Section("Steps ahead", _told(figures), pictures=pictures)


def _told(figures: Mapping[str, Any]) -> str:
    if figures.get("coverage_90") is None or figures.get("error_median") is None:
        return ""
    return (
        f"Of the hidden values {figures['coverage_90']:.0%} lie in the 90 % band and "
        f"{figures['coverage_50']:.0%} in the 50 % band. The median is off by "
        f"{figures['error_median']:.3g} standard deviations on average; repeating the last value "
        f"is off by {figures['error_last_value']:.3g}."
    )


@styled()
def _draw_end(x: Floats, paths: Floats) -> Figure:
    figure, ax = canvas(3.5, 2.1)
    steps, ahead = np.arange(len(x)), np.arange(len(x) - paths.shape[1], len(x))
    low, lower, middle, upper, high = np.quantile(paths, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    ax.fill_between(ahead, low, high, color=MODEL, alpha=0.18, linewidth=0)
    ax.fill_between(ahead, lower, upper, color=MODEL, alpha=0.25, linewidth=0)
    ax.plot(steps, x, color=REAL, linewidth=1.1)
    ax.plot(ahead, middle, color=MODEL, linewidth=1.3)
    ax.set_xlim(0, len(x) - 1)
    ax.set_xlabel("step of the window")
    return figure


def alarm_section(
    count: int, rows: Sequence[Mapping[str, Any]], pictures: Sequence[Picture], fdr: float
) -> Section:
    """The alarms among series.

    Args:
        count: How many there are.
        rows: Those that are listed, as `detect` tells them.
        pictures: The series, with their alarms marked.
        fdr: The share of false alarms that was asked for.
    """
    listed = f" The first {len(rows)} are listed." if len(rows) < count else ""
    text = (
        f"{count} stretch{'' if count == 1 else 'es'} of these series are alarms, at a false-alarm "
        f"share of at most {fdr:.0%} in expectation.{listed}"
    )
    table = [
        {key: _cell(value) for key, value in row.items() if key not in LEFT_OUT} for row in rows
    ]
    return Section("Alarms", text, table=table or None, pictures=tuple(pictures))


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float) else str(value)


def alarm_picture(
    values: Floats, score: Floats, spans: Sequence[tuple[int, int]], name: str
) -> Picture:
    """One channel of a series over its scores, the alarms marked."""
    caption = (
        f"{name}, and how strange each step is: 0 is usual, 1 is one in ten. "
        f"Marked: {len(spans)} alarm{'' if len(spans) == 1 else 's'}."
    )
    return Picture(lambda: draw_alarms(values, score, spans, name), caption)


@styled()
def draw_alarms(
    values: Floats, score: Floats, spans: Sequence[tuple[int, int]], name: str
) -> Figure:
    """A channel `[G]` over its scores `[G]`, with spans of steps (first, last) marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    steps = np.arange(len(values))
    for ax in (above, below):
        for first, last in spans:
            ax.axvspan(first - 0.5, last + 0.5, color=ALARM, alpha=0.22, linewidth=0)
    above.plot(steps, values, color=INK, linewidth=0.7)
    below.plot(steps, score, color=MODEL, linewidth=0.7)
    above.set_ylabel(name)
    below.set_ylabel("score")
    below.set_xlabel("step")
    below.set_xlim(0, max(len(values) - 1, 1))
    below.set_ylim(bottom=0)
    return figure
