"""Checks of options, with one wording for all.

This module does not know what an option means.
"""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

from variate.errors import OptionError

__all__ = [
    "Options",
    "above_zero",
    "asked_latent",
    "at_least",
    "check_training",
    "expect_seed",
    "finite",
    "part",
    "share",
    "whole",
    "whole_from",
]


SEEDS = 2**32


class Options:
    """The options that estimators of every kind have; each kind documents its own."""

    latent: int | None
    beta: float
    objective: Any
    posterior: Any
    prior: Any
    epochs: int | None
    minutes: float | None
    batch_size: int | None
    learning_rate: float
    seed: int
    device: str | None
    precision: str
    verbose: bool


def above_zero(name: str, value: float | None) -> None:
    """Refuse an option that is given (not None) and not above zero.

    Raises:
        OptionError: It is zero, negative, infinite or NaN.
    """
    if value is None:
        return
    if not _holds(name, value, lambda number: number > 0):
        raise OptionError(f"{name} must be greater than 0, got {value!r}.")
    finite(name, value)


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
        OptionError: It is below, infinite or NaN.
    """
    if not _holds(name, value, lambda number: number >= least):
        raise OptionError(f"{name} must be at least {least}, got {value!r}.")
    finite(name, value)


def whole_from(name: str, value: float, least: int = 1) -> None:
    """Refuse an option that is not a whole number of at least so much.

    Raises:
        OptionError: It is something else.
    """
    at_least(name, value, least)
    if not isinstance(value, Integral):
        raise OptionError(f"{name} must be a whole number, got {value!r}.")


def finite(name: str, value: float) -> None:
    """Refuse an option that is no finite number.

    Raises:
        OptionError: It is something else.
    """
    if not _holds(name, value, math.isfinite):
        raise OptionError(f"{name} must be a finite number, got {value!r}.")


def expect_seed(seed: Any) -> None:
    """Refuse a seed that not all generators take: torch's, NumPy's and scikit-learn's.

    Raises:
        OptionError: It is no whole number from 0 to 2^32 - 1.
    """
    if not (isinstance(seed, Integral) and 0 <= int(seed) < SEEDS):
        raise OptionError(f"seed must be a whole number from 0 to {SEEDS - 1}, got {seed!r:.60}.")


def part(name: str, value: float) -> None:
    """Refuse an option that is not at least 0 and below 1.

    Raises:
        OptionError: It is something else, or NaN.
    """
    if not _holds(name, value, lambda number: 0 <= number < 1):
        raise OptionError(f"{name} must be at least 0 and below 1, got {value!r}.")


def share(name: str, value: float) -> None:
    """Refuse an option that is not strictly between 0 and 1.

    Raises:
        OptionError: It is something else, or NaN.
    """
    if not _holds(name, value, lambda number: 0 < number < 1):
        raise OptionError(f"{name} must be between 0 and 1, both excluded, got {value!r}.")


def _holds(name: str, value: Any, condition: Callable[[Any], bool]) -> bool:
    """Whether a condition on a number holds.

    Raises:
        OptionError: The option is no number.
    """
    try:
        return bool(condition(value))
    except (TypeError, ValueError, RuntimeError):
        raise OptionError(f"{name} must be a number, got {value!r:.60}.") from None


def check_training(options: Any) -> None:
    """Refuse what an estimator of any kind cannot be trained with.

    Args:
        options: The estimator.

    Raises:
        OptionError: An option is out of its range, or two exclude each other.
    """
    for name in ("latent", "batch_size"):
        whole(name, getattr(options, name))
    for name in ("epochs", "minutes", "learning_rate"):
        above_zero(name, getattr(options, name))
    at_least("beta", options.beta, 0)
    expect_seed(options.seed)
    if options.epochs is not None and options.minutes is not None:
        raise OptionError("give epochs or minutes, not both: each is the whole budget.")
    if options.objective is not None and options.beta != 1.0:
        raise OptionError(
            "beta belongs to the default objective; with an objective of your own, "
            "give it there, for example objective=ELBO(beta=4.0)."
        )


def asked_latent(options: Any) -> int | None:
    """The latent dimensions that an estimator's options ask for, if any does.

    Args:
        options: The estimator.

    Raises:
        OptionError: They ask for different numbers.
    """
    given = {
        name: part.latent
        for name, part in (("posterior", options.posterior), ("prior", options.prior))
        if part is not None
    }
    if options.latent is not None:
        given["latent"] = options.latent
    if len(set(given.values())) > 1:
        raise OptionError(f"the latent dimensions differ: {given}; they must be the same.")
    return next(iter(given.values()), None)
