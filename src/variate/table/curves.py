"""Pictures of curves: how close rows come to the training rows, and whether forecasts are right.

In every picture grey is real, or what should be, and blue is the model's. Nothing is drawn before a
report is rendered.

This module does not know any model, nor how distances and forecasts are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from variate.evaluation.predictive import Reliability
from variate.report import Picture
from variate.report.style import INK, MODEL, MUTED, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["closeness", "pit_histogram", "reliability_diagram"]

FEWEST = 20  # forecasts of a point
PIT_BINS = 20


def closeness(synthetic: np.ndarray, holdout: np.ndarray) -> Picture:
    """The shares of rows within a distance of a training row.

    Args:
        synthetic: The distance of each synthetic row to its closest training row, `[N]`.
        holdout: The same of real rows that were not trained on, `[M]`.
    """
    return Picture(
        lambda: _draw(synthetic, holdout),
        "The share of rows within a distance of their closest training row. Where the blue line "
        "runs above the other, synthetic rows are closer to the training rows than new real rows "
        "are.",
    )


@styled()
def _draw(synthetic: np.ndarray, holdout: np.ndarray) -> Figure:
    figure, ax = canvas(5.2, 2.6)
    most = float(np.quantile(np.concatenate([synthetic, holdout]), 0.995)) or 1.0
    for values, colour, name, dash in (
        (holdout, MUTED, "real, not trained on", (0, (4, 2))),
        (synthetic, MODEL, "synthetic", "-"),
    ):
        ordered = np.sort(values)
        share = 100 * np.arange(len(ordered) + 1) / len(ordered)
        ax.step(
            np.concatenate([[0.0], ordered]),
            share,
            where="post",
            color=colour,
            linestyle=dash,
            linewidth=1.4,
            label=name,
        )
    ax.set_xlim(0, 1.02 * most)
    ax.set_ylim(0, 100)
    ax.set_xlabel("distance to the closest training row")
    ax.yaxis.set_major_formatter("{x:g} %")
    ax.yaxis.grid(visible=True)
    ax.spines["left"].set_visible(False)
    ax.legend(loc="lower right", labelcolor=INK, fontsize=7.5)
    return figure


def reliability_diagram(found: Reliability) -> Picture:
    """How often levels came, against how probable they were said to be.

    Args:
        found: The forecasts of all levels of all categories.
    """
    return Picture(
        lambda: _draw_reliability(found),
        "Categories: how often a level came, of the forecasts that gave it about the same "
        "probability; ± two standard errors. On the dashed line, forecasts mean what they say; "
        "below it they are too high. Points of fewer than 20 forecasts are left out.",
    )


@styled()
def _draw_reliability(found: Reliability) -> Figure:
    figure, ax = canvas(3.4, 3.0)
    many = found.rows >= FEWEST
    forecast, share, count = (100 * found.forecast[many], found.share[many], found.rows[many])
    error = 200 * np.sqrt(share * (1 - share) / count)
    ax.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.errorbar(
        forecast, 100 * share, error, color=MODEL, linewidth=1.2, marker="o", markersize=3.5,
        elinewidth=0.9,
    )  # fmt: skip
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ax.set_xlabel("forecast")
    ax.set_ylabel("came")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g} %")
        axis.grid(visible=True)
    return figure


def pit_histogram(transformed: np.ndarray) -> Picture:
    """Where in their forecasts numbers fell.

    Args:
        transformed: The PIT of all numbers of all columns, `[N]`.
    """
    return Picture(
        lambda: _draw_pit(transformed),
        "Numbers: where in its forecast each fell, from its lower to its upper end. Flat, at the "
        "dashed line, is right; high ends: forecasts are too sure; a hill: too vague; a slope: "
        "too high or too low.",
    )


@styled()
def _draw_pit(transformed: np.ndarray) -> Figure:
    figure, ax = canvas(3.4, 3.0)
    count, edges = np.histogram(transformed, PIT_BINS, (0, 1))
    ax.stairs(100 * count / max(1, len(transformed)), edges, fill=True, color=MODEL, alpha=0.85)
    ax.axhline(100 / PIT_BINS, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set(xlim=(0, 1), xlabel="place within the forecast (PIT)")
    ax.set_ylim(0, max(2 * 100 / PIT_BINS, 1.1 * 100 * count.max() / max(1, len(transformed))))
    ax.yaxis.set_major_formatter("{x:g} %")
    ax.yaxis.grid(visible=True)
    ax.spines["left"].set_visible(False)
    return figure
