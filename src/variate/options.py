"""Checks of numeric options, with one wording for all.

This module does not know what an option means.
"""

from numbers import Integral

from variate.errors import OptionError

__all__ = ["above_zero", "at_least", "whole"]


def above_zero(name: str, value: float | None) -> None:
    """Refuse an option that is given (not None) and not above zero.

    Raises:
        OptionError: It is zero, negative or NaN.
    """
    if value is not None and not value > 0:
        raise OptionError(f"{name} must be greater than 0, got {value!r}.")


def whole(name: str, value: float | None) -> None:
    """Refuse an option that is given (not None) and not a whole number of at least 1.

    Raises:
        OptionError: It is something else.
    """
    above_zero(name, value)
    if value is not None and not isinstance(value, Integral):
        raise OptionError(f"{name} must be a whole number, got {value!r}.")


def at_least(name: str, value: float, least: float) -> None:
    """Refuse an option below its least value.

    Raises:
        OptionError: It is below, or NaN.
    """
    if not value >= least:
        raise OptionError(f"{name} must be at least {least}, got {value!r}.")
