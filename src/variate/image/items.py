"""Pictures looked at for anomalies: where the alarms of `variate.alarms` have their reasons from.

This module does not know how an alarm is raised.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from variate import alarms
from variate.image.pixelwise import place_of, unexpected

__all__ = ["PictureItems"]


class PictureItems(alarms.Items):
    """Pictures that are looked at for anomalies; they are read once.

    Args:
        estimator: The model, fitted.
        X: The pictures.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        super().__init__(estimator, X)
        self._x: Tensor | None = None

    def parts(self) -> Iterator[Any]:
        """All pictures at once: as levels they are small."""
        if self._x is None:
            self._x = self.estimator._rows(self.X)
        yield self._x

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """The pictures; none is an alarm in any case."""
        return part, {}

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """Where each of the strange pictures is not as expected: see `pixelwise`."""
        del normal, start
        chosen = x[np.asarray(strange)]
        maps = unexpected(self.estimator.model_, chosen, seed=self.estimator.seed)
        return [place_of(each) for each in maps]
