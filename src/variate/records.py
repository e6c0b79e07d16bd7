"""What the verbs give back where it is more than data: codes, alarms, and an evaluation.

This module does not know how they were made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from variate.report import Report

__all__ = ["Alarms", "Encoding", "Evaluation"]


class Encoding(NamedTuple):
    """The posterior of N items: `mean` and `scale` (standard deviation), each `[N, D]`."""

    mean: np.ndarray
    scale: np.ndarray


class Alarms(NamedTuple):
    """What is strange about N items.

    Attributes:
        score: -log p(x) in nats, higher is stranger, `[N]`; NaN where nothing is known of an item.
        p_value: The chance that a normal item is as strange, `[N]`.
        anomaly: Whether the item is an alarm, bool `[N]`.
        reasons: Why, one text for each item; empty for those that are no alarm.
        drift: The p-value of the items, apart from anomalies, scoring as the calibration's do.
    """

    score: np.ndarray
    p_value: np.ndarray
    anomaly: np.ndarray
    reasons: list[str]
    drift: float


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on data, in nats per item, and the report that shows them."""

    figures: dict[str, Any]
    report: Report

    def __getitem__(self, name: str) -> Any:
        return self.figures[name]

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one self-contained page."""
        return self.report.to_html(path)
