"""What the alarms ask of rows that an `AnomalyDetector` looks at: of tables, and of arrays.

This module does not know how rows are scored.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor

from variate.alarms import Items
from variate.anomaly.reasons import explain
from variate.table.alarms import TableItems
from variate.table.wording import Wording, Words

__all__ = ["ArrayItems", "RowItems"]


class RowItems(TableItems):
    """Rows of a table, by the detector's score."""

    more = Items.more

    def scored(self, x: Tensor, draws: int) -> NDArray[np.float64]:
        """How strange rows are."""
        del draws
        return self.estimator._scored(x)

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """The columns that make these rows strange."""
        del normal, start
        chosen, codec = list(strange), self.estimator.codec_
        words = Words(codec, x[chosen], self.looked_at.take(chosen))
        return _explained(self.estimator, x[chosen], words, lambda rows: Words(codec, rows))


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
        names = [group.name for group in self.estimator.features_.groups]
        words = _Numbers(names, x[list(strange)])
        return _explained(self.estimator, words.x, words, lambda rows: _Numbers(names, rows))


class _Numbers:
    """The cells of rows of an array in words."""

    def __init__(self, names: Sequence[str], x: Tensor) -> None:
        self.names, self.x = names, x

    def home(self, c: int) -> tuple[str, ...]:
        return (self.names[c],)

    def cell(self, row: int, c: int) -> str:
        return f"{self.names[c]}={_number(float(self.x[row, c]))}"

    def told(self, c: int, values: NDArray[np.float64], rows: Sequence[int]) -> list[str]:
        del c, rows
        return [_number(value) for value in values.tolist()]


def _explained(
    estimator: Any, x: Tensor, words: Wording, words_of: Callable[[Tensor], Wording]
) -> list[str]:
    parts = (estimator.voices_, estimator.scales_, estimator.features_)
    return explain(*parts, x, words, words_of)


def _number(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.6g}"
