r"""With how many digits numbers were recorded, and other numbers rounded to as many.

A number v ≠ 0 of the decimal exponent e = ⌊log10 |v|⌋ has the rounding to s significant digits

    v_s = [v · 10^(s-1-e)] / 10^(s-1-e)

A column is recorded to s digits if v_s = v for all its values, and to d decimals if the same is so
with d instead of s - 1 - e. Powers of ten up to 10^22 are exact in floating point, and so is the
whole number in brackets, so the quotient is the floating number next to the decimal one: the very
number that a file was read as. Where smaller numbers need larger powers, text is made of them.

A grid of d decimals is not always usable: 10^-9 is next to nothing of 60,000. Numbers that are
modelled without a grid are still written with no more digits and decimals than they were read with.

This module does not know columns.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_DIGITS", "MOST_PLACES", "decimals_of", "digits_of", "to_digits"]

Floats = NDArray[np.float64]

MOST_DIGITS = 14  # more are what floating point has, and say nothing
MOST_PLACES = 15
LARGEST_POWER = 22
HEAD = 100  # values that are tried before all are


def to_digits(values: Floats, digits: int) -> Floats:
    """Finite values rounded to so many significant digits."""
    size = np.where(values == 0.0, 1.0, np.abs(values))
    power = digits - 1 - np.floor(np.log10(size)).astype(np.int64)
    scale = 10.0 ** np.minimum(np.abs(power), LARGEST_POWER)
    with np.errstate(over="ignore"):
        up, down = np.rint(values * scale) / scale, np.rint(values / scale) * scale
    found: Floats = np.where(power >= 0, up, down)
    for i in np.flatnonzero(np.abs(power) > LARGEST_POWER):
        found[i] = float(f"{values[i]:.{digits - 1}e}")
    return found


def digits_of(values: Floats, start: int | None) -> int | None:
    """The fewest digits, from `start` on, that give every value exactly; None: too many."""
    if start is None:
        return None
    for some in (values[:HEAD], values):
        kept = (
            s for s in range(start, MOST_DIGITS + 1) if np.array_equal(to_digits(some, s), some)
        )
        start = next(kept, None)
        if start is None:
            return None
    return start


def decimals_of(values: Floats, start: int | None, precision: np.dtype[np.floating]) -> int | None:
    """The fewest decimals, from `start` on, that give every value exactly; None: too many.

    Args:
        values: Finite numbers.
        start: The decimals of the numbers before them.
        precision: The floating type in which they are to be the same.
    """
    if start is None:
        return None
    exact = values.astype(precision)
    for decimals in range(start, MOST_PLACES + 1):
        scale = 10.0**decimals
        with np.errstate(over="ignore"):
            if np.array_equal((np.rint(values * scale) / scale).astype(precision), exact):
                return decimals
    return None
