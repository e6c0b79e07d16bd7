r"""Codes of items that agree in one factor and differ in the others at random.

Two scores look at groups of such items (`fixed`). What they are drawn from is one of

    Grid(encode, sizes)          factors that can be set at will: an item is made for any of them
    Labelled(codes, factors)     items that there are, whose factors are known

In both a group's common value is drawn first, from the grid uniformly, from the items as often as
they have it; then its items, independently of each other given that value.

This module does not know what the codes are for.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.evaluation.disentanglement.inputs import Codes, Factors, checked, checked_codes

__all__ = ["FactorSampler", "Grid", "Labelled"]


class FactorSampler(Protocol):
    """What items, and groups of items that agree in a factor, are drawn from."""

    @property
    def factors(self) -> int:
        """K, how many factors there are."""
        ...

    def items(self, n: int, generator: np.random.Generator) -> Codes:
        """Codes `[n, D]` of n items at random."""
        ...

    def agreeing(
        self, factor: int, groups: int, size: int, generator: np.random.Generator
    ) -> Codes:
        """Codes `[groups, size, D]`; the items of a group have one value of the factor."""
        ...


class Grid:
    """Items that can be made for any values of their factors, and encoded.

    Args:
        encode: From factors `[M, K]`, int64, factor k from 0 to sizes[k] - 1, to codes `[M, D]`:
            makes the items, and encodes them. Called with at most `rows` of them.
        sizes: How many values each factor has, at least 2, of at least two factors.
        rows: Most items to encode at a time.

    Raises:
        OptionError: There are fewer than two factors, or one has fewer than two values.
        DataError: In use, for codes that are not finite or not `[M, D]`.
    """

    def __init__(
        self,
        encode: Callable[[Factors], ArrayLike | Tensor],
        sizes: Sequence[int],
        *,
        rows: int = 4096,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 2 or rows < 1:
            raise OptionError(
                "a grid needs at least two factors of at least two values each (leave out a "
                f"factor that has one) and `rows` of at least 1, however: {sizes=}, {rows=}"
            )
        self.encode, self.sizes, self.rows = encode, np.asarray(sizes, dtype=np.int64), rows

    @property
    def factors(self) -> int:
        """K, how many factors there are."""
        return len(self.sizes)

    def items(self, n: int, generator: np.random.Generator) -> Codes:
        """Codes `[n, D]` of n items, all values of all factors equally likely."""
        return self._codes(generator.integers(0, self.sizes, (n, self.factors)))

    def agreeing(
        self, factor: int, groups: int, size: int, generator: np.random.Generator
    ) -> Codes:
        """Codes `[groups, size, D]`; the items of a group have one value of the factor."""
        drawn = generator.integers(0, self.sizes, (groups, size, self.factors))
        drawn[:, :, factor] = drawn[:, :1, factor]
        return self._codes(drawn.reshape(-1, self.factors)).reshape(groups, size, -1)

    def _codes(self, drawn: Factors) -> Codes:
        pieces = []
        for start in range(0, len(drawn), self.rows):
            asked = drawn[start : start + self.rows]
            piece = checked_codes(self.encode(asked))
            if piece.ndim != 2 or len(piece) != len(asked):
                raise DataError(
                    f"`encode` must give codes [{len(asked)}, D] for factors "
                    f"{list(asked.shape)}, however it gave {list(piece.shape)}"
                )
            pieces.append(piece)
        return np.concatenate(pieces)


class Labelled:
    """Items that there are, with their codes and factors; items are drawn with replacement.

    Where factors depend on each other over the items, or values have few items, items that agree in
    one factor agree in others too, and scores made of them say less.

    Args:
        codes: `[N, D]`, a code for each item.
        factors: `[N, K]`, K >= 2, whole numbers; each value must be that of at least two items.

    Raises:
        DataError: A shape is wrong, a code is not finite, a factor has one value only, or a value
            one item only.
    """

    def __init__(self, codes: ArrayLike | Tensor, factors: ArrayLike | Tensor) -> None:
        self.codes, self._factors = checked(codes, factors, least=(1, 2))
        self._order = np.argsort(self._factors, axis=0, kind="stable")
        for k, column in enumerate(self._factors.T):
            values, counts = np.unique(column, return_counts=True)
            if counts.min() < 2:
                raise DataError(
                    f"factor {k} has the value {values[counts.argmin()]} in one row only, so no "
                    "two items agree in it. Leave the row out, or give more items"
                )

    @property
    def factors(self) -> int:
        """K, how many factors there are."""
        return self._factors.shape[1]

    def items(self, n: int, generator: np.random.Generator) -> Codes:
        """Codes `[n, D]` of n items at random."""
        return self.codes[generator.integers(len(self.codes), size=n)]

    def agreeing(
        self, factor: int, groups: int, size: int, generator: np.random.Generator
    ) -> Codes:
        """Codes `[groups, size, D]`; the items of a group have one value of the factor."""
        order = self._order[:, factor]
        column = self._factors[order, factor]
        value = column[generator.integers(len(column), size=groups)]
        first = np.searchsorted(column, value, side="left")
        last = np.searchsorted(column, value, side="right")
        rows = generator.integers(first[:, None], last[:, None], (groups, size))
        return self.codes[order[rows]]
