"""Schedules: how a coefficient moves while training is under way.

A schedule is any callable  progress in [0, 1] -> value,  where progress is the share of the budget
(time or epochs) that is spent. It is laid over the budget and never over a number of steps, so a
warm-up always completes, whatever the size of the data; and at progress = 1, the default of
`Moment`, every schedule here gives its final value, so that held-out figures are those of the
objective itself.

    WarmUp        value · min(1, progress / share)                        (Bowman et al. 2016)
    Fade          value · max(0, 1 - progress / share)
    Cyclical      value · min(1, τ / share), τ in [0, 1] the place within one of the equal cycles
                                                                          (Fu et al. 2019)

This module does not know which coefficient it moves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from variate.errors import OptionError

__all__ = ["Constant", "Cyclical", "Fade", "Schedule", "WarmUp", "coefficient", "finite"]

Schedule = Callable[[float], float]


def finite(name: str, value: float, least: float = -math.inf) -> float:
    """`value` as a float, if it is a finite number and at least `least`.

    Raises:
        OptionError: It is not.
    """
    if not (isinstance(value, Real) and math.isfinite(value) and value >= least):
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise OptionError(f"{name} must be a finite number{bound}, but is {value!r}")
    return float(value)


def _share(name: str, value: float) -> float:
    if not (isinstance(value, Real) and 0.0 < value <= 1.0):
        raise OptionError(
            f"{name} must be a share of the training budget, above 0 and at most 1, "
            f"but is {value!r}; use Constant(value) to have no warm-up"
        )
    return float(value)


@dataclass(frozen=True)
class Constant:
    """The same value throughout.

    Raises:
        OptionError: The value is not finite.
    """

    value: float

    def __post_init__(self) -> None:
        finite("Constant's value", self.value)

    def __call__(self, progress: float) -> float:  # noqa: ARG002 - the signature of a schedule
        """The value."""
        return self.value


@dataclass(frozen=True)
class WarmUp:
    """A straight rise from 0 to `value`, reached when `share` of the budget is spent.

    Raises:
        OptionError: The value is not finite, or the share not in (0, 1].
    """

    value: float
    share: float = 0.1

    def __post_init__(self) -> None:
        finite("WarmUp's value", self.value)
        _share("WarmUp's share", self.share)

    def __call__(self, progress: float) -> float:
        """The value at `progress`."""
        return self.value * min(1.0, max(0.0, progress) / self.share)


@dataclass(frozen=True)
class Fade:
    """A straight fall from `value` to 0, reached when `share` of the budget is spent.

    Raises:
        OptionError: The value is not finite, or the share not in (0, 1].
    """

    value: float
    share: float = 0.5

    def __post_init__(self) -> None:
        finite("Fade's value", self.value)
        _share("Fade's share", self.share)

    def __call__(self, progress: float) -> float:
        """The value at `progress`."""
        return self.value * max(0.0, 1.0 - max(0.0, progress) / self.share)


@dataclass(frozen=True)
class Cyclical:
    """Rises from 0 to `value` over the first `share` of each of `cycles` cycles, then held.

    Raises:
        OptionError: The value is not finite, the cycles not a positive whole number, or the share
            not in (0, 1].
    """

    value: float
    cycles: int = 4
    share: float = 0.5

    def __post_init__(self) -> None:
        finite("Cyclical's value", self.value)
        _share("Cyclical's share", self.share)
        if not (isinstance(self.cycles, Real) and self.cycles >= 1 and self.cycles % 1 == 0):
            raise OptionError(
                f"Cyclical's cycles must be a positive whole number, but is {self.cycles!r}"
            )

    def __call__(self, progress: float) -> float:
        """The value at `progress`; the end of the last cycle belongs to it, not to a next one."""
        place = min(1.0, max(0.0, progress)) * self.cycles
        within = place - min(math.floor(place), self.cycles - 1)
        return self.value * min(1.0, within / self.share)


def coefficient(name: str, value: float | Schedule) -> float | Schedule:
    """`value` as it is, if it is a schedule or a number that a loss can be weighed by.

    Raises:
        OptionError: A number that is negative or not finite.
    """
    return value if callable(value) else finite(name, value, 0.0)
