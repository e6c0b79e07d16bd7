"""The picture of how close rows come to the training rows.

In every picture grey is real and blue is the model's. Nothing is drawn before a report is rendered.

This module does not know any model, nor how distances are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from variate.report import Picture
from variate.report.style import INK, MODEL, MUTED, canvas, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["closeness"]


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
