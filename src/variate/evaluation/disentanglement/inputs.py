"""Codes and the factors that they should tell, checked at the border.

This module does not know how either was made, nor which score is asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from variate.errors import DataError, OptionError

__all__ = ["Codes", "Factors", "checked", "checked_codes", "levels", "named_factors", "top_two_gap"]

Codes = NDArray[np.float64]
Factors = NDArray[np.int64]


def checked(
    codes: ArrayLike | Tensor, factors: ArrayLike | Tensor, *, least: tuple[int, int] = (1, 1)
) -> tuple[Codes, Factors]:
    """Codes `[N, D]` in float64 and factors `[N, K]` in int64.

    Args:
        codes: `[N, D]`, finite numbers, such as posterior means.
        factors: `[N, K]`, whole numbers, at least two different ones in each column.
        least: The fewest dimensions D and factors K that the score is defined for.

    Raises:
        DataError: A shape, a number or a column of factors is not of this kind.
    """
    z, v = checked_codes(codes), _whole(_array(factors))
    if z.ndim != 2 or v.ndim != 2 or len(z) != len(v):
        raise DataError(
            "codes must be [N, D] and factors [N, K] with a row for each of the same N items, "
            f"however their shapes are {list(z.shape)} and {list(v.shape)}"
        )
    if z.shape[1] < least[0] or v.shape[1] < least[1]:
        raise DataError(
            f"the score needs at least {least[0]} dimension(s) of the code and {least[1]} "
            f"factor(s), however there are {z.shape[1]} and {v.shape[1]}"
        )
    for k, column in enumerate(v.T):
        if len(np.unique(column)) < 2:
            found = f"only the value {column[0]}" if len(column) else "no value"
            raise DataError(
                f"factor {k} has {found} in {len(column)} row(s): a factor that does not vary "
                "cannot be found in a code. Leave its column out, or give more rows"
            )
    return z, v


def checked_codes(codes: ArrayLike | Tensor) -> Codes:
    """Codes as finite float64.

    Raises:
        DataError: A number is missing or infinite.
    """
    try:
        z = np.asarray(_array(codes), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"codes must be an array of numbers [N, D]: {error}") from error
    wrong = np.argwhere(~np.isfinite(z))
    if len(wrong):
        where = ", ".join(str(i) for i in wrong[0])
        raise DataError(
            f"codes must be finite, however codes[{where}] is {z[tuple(wrong[0])]}, and "
            f"{len(wrong)} of {z.size} are like it. Look for the item whose code could not be made"
        )
    return z


def levels(column: Factors) -> tuple[Factors, int]:
    """The values of a factor as 0 … V-1 `[N]`, and V."""
    values, level = np.unique(column, return_inverse=True)
    return level.astype(np.int64), len(values)


def named_factors(numbers: Sequence[int], count: int, name: str) -> frozenset[int]:
    """Numbers of factors, each one of `count`.

    Raises:
        OptionError: There is no such factor.
    """
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong:
        raise OptionError(
            f"{name} holds {wrong[0]}, but the factors are numbered from 0 to {count - 1}"
        )
    return frozenset(numbers)


def top_two_gap(matrix: Codes) -> Codes:
    """For each column of `[D, K]` the largest entry less the second, which is 0 if D = 1."""
    ordered = np.sort(matrix, axis=0)
    second = ordered[-2] if len(ordered) > 1 else np.zeros(matrix.shape[1])
    gap: Codes = ordered[-1] - second
    return gap


def _array(values: ArrayLike | Tensor) -> ArrayLike:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _whole(factors: ArrayLike) -> Factors:
    """Factors as whole numbers."""
    values = np.asarray(factors)
    if values.dtype.kind in "biu":
        return values.astype(np.int64)
    if values.dtype.kind == "f":
        wrong = np.argwhere(~np.isfinite(values) | (values != np.round(values)))
        if not len(wrong):
            return values.astype(np.int64)
        where = ", ".join(str(i) for i in wrong[0])
        found = f"factors[{where}] is {values[tuple(wrong[0])]}"
    else:
        found = f"they are of type {values.dtype}"
    raise DataError(
        f"factors must be whole numbers, one for each value, however {found}. Number the values "
        "of a category, and cut a continuous factor into ranges first"
    )
