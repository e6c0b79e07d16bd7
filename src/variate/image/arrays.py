"""Arrays of pictures: how their axes lie, and what their numbers mean.

    [N, H, W]        grey                      [N, H, W, C] or [N, C, H, W]   C = 1, 3 or 4

Which axis holds the channels is told by its size; if both could, that is an error and not a guess.
A pixel is one of L levels 0 … L-1, and the array holds level · unit:

    truth values; 0 and 1 only            L = 2            unit 1
    0 and 255 only (uint8)                L = 2            unit 255
    uint8                                 L = 256          unit 1
    other whole numbers, largest m        m < 128: m + 1; else the next power of two up to 2^16
    floats that are whole numbers         as these
    floats from 0 to 1 in steps of 1/255  L = 256          unit 1/255

Other floats are an error: which levels they stand for cannot be known, and a likelihood of levels
needs to know.

This module does not know where arrays come from.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, SchemaError

__all__ = ["Scale", "channels_last", "levels_of", "scale_of"]

CHANNELS = (1, 3, 4)
MOST_LEVELS = 1 << 16
PIECE = 1 << 22  # numbers that are looked at at a time
NEAR = 1e-3  # how far a number may be from a level, in levels

Array = NDArray[Any]


class Scale(NamedTuple):
    """How many levels a pixel has, and what an array holds for the step of one level."""

    levels: int
    unit: float


def channels_last(shape: tuple[int, ...], place: str) -> str:
    """How the axes of an array of pictures lie: "nhw", "nhwc" or "nchw".

    Raises:
        DataError: They are not those of pictures, or it cannot be told which are the channels.
    """
    given = f"{place} has the shape {list(shape)}"
    wanted = "pictures are [N, H, W], [N, H, W, C] or [N, C, H, W] with 1, 3 or 4 channels"
    if len(shape) == 3:
        if shape[2] in CHANNELS and shape[0] > 4:
            raise DataError(
                f"{given}: one picture with its channels, it seems, and {wanted}. Give it an axis "
                "of pictures (x[None])."
            )
        return "nhw"
    if len(shape) != 4:
        raise DataError(f"{given}; {wanted}.")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first == last:
        why = "either axis could be that of the channels" if first else "no axis has 1, 3 or 4"
        raise DataError(f"{given}, and {why}; {wanted}.")
    return "nhwc" if last else "nchw"


def scale_of(values: Array, place: str) -> Scale:
    """The levels of an array of pictures.

    Raises:
        DataError: Its numbers are no levels; the message says what to do.
    """
    if values.dtype == bool:
        return Scale(2, 1.0)
    if values.dtype.kind not in "uif":
        raise DataError(f"{place} holds {values.dtype}, and pixels are numbers.")
    low, high, whole, steps, ends = _looked_over(values, place)
    if low < 0:
        hint = ""
        if low >= -1 and high <= 1:
            hint = " If they run from -1 to 1: np.round((x + 1) * 127.5).astype(np.uint8)."
        raise DataError(
            f"{place} has pixels from {low:g} to {high:g}; pixels are levels from 0 on.{hint}"
        )
    if high >= MOST_LEVELS:
        raise DataError(
            f"{place} has pixels up to {high:g}, and pixels have at most 16 bits (65535)."
        )
    if whole:
        return _scale_of_whole(values.dtype, int(high), ends=ends)
    if high <= 1:
        if steps:
            return Scale(256, 1 / 255)
        raise DataError(
            f"{place} has floating-point pixels from {low:g} to {high:g} that are not in steps of "
            "1/255, so the levels that they stand for are not known. For 256 of them: "
            "np.round(x * 255).astype(np.uint8)."
        )
    raise DataError(
        f"{place} has floating-point pixels up to {high:g} that are not whole numbers; pixels are "
        "levels. If they run from 0 to 255: np.round(x).astype(np.uint8)."
    )


def levels_of(values: Array, scale: Scale, place: str) -> Array:
    """The levels of an array, uint8 or (beyond 256) int32, in its shape.

    The array may be in the scale that is known, in levels, or (floats) in shares of the full
    scale: what makes whole numbers in their range of it counts.

    Raises:
        SchemaError: None of these does.
        DataError: A number is not finite.
    """
    kind = np.uint8 if scale.levels <= 256 else np.int32
    units = dict.fromkeys((scale.unit, 1.0, 1 / (scale.levels - 1), 255 / (scale.levels - 1)))
    for unit in units:
        made = np.empty(values.shape, kind)
        if all(_levels_into(made[w], values[w], unit, scale.levels) for w in _pieces(values)):
            return made
    low, high, *_ = _looked_over(values, place)
    raise SchemaError(
        f"{place} has pixels from {low:g} to {high:g}, which are not the {scale.levels} levels of "
        f"the model's pictures: whole multiples of {scale.unit:g} from 0 to "
        f"{(scale.levels - 1) * scale.unit:g}. Rescale or round them."
    )


def _levels_into(out: Array, piece: Array, unit: float, levels: int) -> bool:
    """Write the levels of a piece; whether they are levels."""
    if piece.dtype.kind in "ub" and unit == 1.0:
        if piece.size and int(piece.max()) >= levels:
            return False
        out[...] = piece
        return True
    levelled = piece.astype(np.float64) / unit
    whole = np.rint(levelled)
    fine = (np.abs(levelled - whole) < NEAR) & (whole >= 0) & (whole < levels)
    if not fine.all():
        return False
    out[...] = whole
    return True


def _scale_of_whole(kind: np.dtype[Any], high: int, *, ends: bool) -> Scale:
    if high <= 1:
        return Scale(2, 1.0)
    if kind == np.uint8:
        return Scale(2, 255.0) if ends else Scale(256, 1.0)
    if high < 128:
        return Scale(high + 1, 1.0)
    return Scale(max(256, 1 << high.bit_length()), 1.0)


def _looked_over(values: Array, place: str) -> tuple[float, float, bool, bool, bool]:
    """The lowest and the highest number, and what all of them are.

    Returns:
        Both, and whether all are whole; all steps of 1/255; all 0 or 255.

    Raises:
        DataError: There are none, or one is not finite.
    """
    if not values.size:
        raise DataError(f"{place} has the shape {list(values.shape)}, which is no picture.")
    low, high, whole, steps, ends = np.inf, -np.inf, True, True, True
    for where in _pieces(values):
        piece = values[where]
        if values.dtype.kind == "f" and not np.isfinite(piece).all():
            first = np.argwhere(~np.isfinite(piece))[0]
            at = ", ".join(map(str, first[1:]))
            raise DataError(
                f"{place}, picture {where.start + first[0]}: the pixel at [{at}] is "
                f"{piece[tuple(first)]}. Pixels are numbers; leave such pictures out, or mend them."
            )
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        ends = ends and bool(((piece == 0) | (piece == 255)).all())
        if values.dtype.kind == "f":
            exact = piece.astype(np.float64)
            whole = whole and bool((exact == np.rint(exact)).all())
            steps = steps and bool((np.abs(exact * 255 - np.rint(exact * 255)) < NEAR).all())
    return low, high, whole, steps, ends


def _pieces(values: Array) -> Iterator[slice]:
    """Slices of the first axis, so that an array on the disk is not read at once."""
    each = max(1, int(np.prod(values.shape[1:])))
    step = max(1, PIECE // each)
    for start in range(0, len(values), step):
        yield slice(start, start + step)
