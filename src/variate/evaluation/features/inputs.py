"""Sets of features, checked at the border and read block by block.

This module does not know what the features mean, nor which measure is asked for.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, bfloat16

from variate.errors import DataError

__all__ = ["Features", "Floats", "Whole", "checked", "checked_alike", "row_blocks"]

Features = NDArray[np.generic]  # [N, D] of numbers, in the type that they came in
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LARGEST = 1e40  # cubes of inner products must stay below the largest float64


def checked(features: ArrayLike | Tensor, name: str, *, least: int) -> Features:
    """Features as a matrix `[N, D]` of finite numbers, not copied where that can be spared.

    Args:
        features: `[N, *event]`, numbers; an event is flattened.
        name: What the caller calls them.
        least: The fewest items that will do.

    Raises:
        DataError: They are not such an array, or are too few.
    """
    array = _array(features, name)
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise DataError(
            f"`{name}` must be [N, *event], a row of numbers for each item, however its shape is "
            f"{list(array.shape)}. One feature of N items is [N, 1]"
        )
    if len(array) < least:
        raise DataError(
            f"`{name}` has {len(array)} item(s), however the measure needs at least {least}"
        )
    matrix = array.reshape(len(array), -1)
    if matrix.dtype.kind == "f":
        _must_be_finite(matrix, name)
    return matrix


def checked_alike(
    one: ArrayLike | Tensor, other: ArrayLike | Tensor, names: tuple[str, str], *, least: int
) -> tuple[Features, Features]:
    """Two sets of features `[N, D]` and `[M, D]`.

    Raises:
        DataError: One is not a set of features, is too small, or they differ in D.
    """
    first, second = (
        checked(x, name, least=least) for x, name in zip((one, other), names, strict=True)
    )
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"`{names[0]}` has {first.shape[1]} features for each item and `{names[1]}` has "
            f"{second.shape[1]}; both must come from the same features of items of the same shape"
        )
    return first, second


def row_blocks(features: Features, rows: int) -> Iterator[tuple[slice, Floats]]:
    """Blocks of at most so many rows, and where they are, in float64."""
    for start in range(0, len(features), rows):
        where = slice(start, min(start + rows, len(features)))
        yield where, features[where].astype(np.float64)


def _array(features: ArrayLike | Tensor, name: str) -> Features:
    """An array of numbers."""
    if isinstance(features, Tensor):
        tensor = features.detach().cpu()
        return (tensor.float() if tensor.dtype == bfloat16 else tensor).numpy()
    try:
        array = np.asarray(features)
    except ValueError as error:
        raise DataError(f"`{name}` must be an array of numbers [N, *event]: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"`{name}` must be an array of numbers [N, *event], however its type is {array.dtype}"
        )
    return array


def _must_be_finite(matrix: Features, name: str) -> None:
    """Refuse NaN, infinity and numbers whose powers overflow."""
    for start in range(0, len(matrix), 4096):
        block = matrix[start : start + 4096]
        wrong = np.argwhere(~(np.abs(block.astype(np.float64)) <= LARGEST))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                f"`{name}` must hold finite numbers, none beyond {LARGEST:g}, however item "
                f"{start + row} has {block[row, column]} at place {column}. Look for the item "
                "whose features could not be made"
            )
