"""What the alarms ask of rows that an `AnomalyDetector` looks at: of tables, and of arrays.

This module does not know how rows are scored.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor

from variate.alarms import Items
from variate.anomaly.reasons import explain
from variate.table.alarms import TableItems
from variate.table.reasons import value_told

__all__ = ["ArrayItems", "RowItems"]


class RowItems(TableItems):
    """Rows of a table, by the detector's score."""

    def scored(self, x: Tensor, draws: int) -> NDArray[np.float64]:
        """How strange rows are."""
        del draws
        return self.estimator._scored(x)

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """The columns that make these rows strange."""
        del normal, start
        codec = self.estimator.codec_
        return _explained(
            self.estimator, x[list(strange)], lambda c, value: value_told(codec, c, value)
        )


class ArrayItems(Items):
    """Rows of an array."""

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """The rows as they are, NaN = missing."""
        checked = validate_data(
            self.estimator, part, reset=False, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        return torch.from_numpy(np.array(checked)), {}

    def scored(self, x: Tensor, draws: int) -> NDArray[np.float64]:
        """How strange rows are."""
        del draws
        return self.estimator._scored(x)

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """The columns that make these rows strange."""
        del normal, start
        return _explained(self.estimator, x[list(strange)], _number)


def _explained(estimator: Any, x: Tensor, tell: Any) -> list[str]:
    return explain(estimator.voices_, estimator.scales_, estimator.features_, x, tell)


def _number(column: int, value: float) -> str:
    del column
    return "missing" if np.isnan(value) else f"{value:.6g}"
