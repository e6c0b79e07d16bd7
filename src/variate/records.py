"""What the verbs give back where it is more than data: codes, and an evaluation.

This module does not know how they were made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from variate.report import Report

__all__ = ["Encoding", "Evaluation"]


class Encoding(NamedTuple):
    """The posterior of N items: `mean` and `scale` (standard deviation), each `[N, D]`."""

    mean: np.ndarray
    scale: np.ndarray


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
