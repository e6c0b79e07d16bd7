r"""What noise costs: ε from the noise of every mechanism that looked at the rows.

A Gaussian mechanism adds N(0, (σΔ)²) to a sum to which a row adds a vector of at most length Δ, and
looks only at rows that are chosen by chance, each with probability q. Its Rényi divergence of order
α between neighbours, ρ_α(σ, q), is known (Mironov, Talwar & Zhang 2019); mechanisms that follow one
another add up; and for every α

    ε(δ) <= Σ ρ_α - (log δ + log α) / (α - 1) + log((α - 1) / α)              (Balle et al. 2020)

so the least over some α is an upper bound. Opacus computes both. Its other accountant, by the
distribution of the privacy loss, gives an ε that is some percent smaller, but by numerical
integration; the bound here holds without conditions.

`plan` turns this around: the noise that spends at most ε, the histograms having a share of their
own.

This module does not know what is summed, nor who draws the noise.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from variate.errors import MissingExtraError, OptionError
from variate.privacy import Privacy

__all__ = ["Mechanism", "Spending", "plan", "spent"]

BROKEN = [1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.75, 2.25, 2.5, 2.75, 3.5, 4.5]  # slow, so few
ORDERS = [*BROKEN, *range(2, 64), 72, 80, 96, 128, 192, 256, 512, 1024]
CLOSE = 1e-3  # how close, relatively, the noise comes to the least that is enough
LEAST, MOST = 0.2, 1e6


@dataclass(frozen=True)
class Mechanism:
    """A Gaussian mechanism that is used some times.

    Attributes:
        noise: σ, the noise's deviation over the length that a row can add.
        rate: q, the probability that a row is looked at, each time.
        times: How many times.
    """

    noise: float
    rate: float = 1.0
    times: int = 1


@dataclass(frozen=True)
class Spending:
    """What a private run spends, and on what.

    Attributes:
        epsilon: ε of everything together.
        delta: The δ that it is meant at.
        histograms: The look at the columns before training.
        steps: The steps of training.
    """

    epsilon: float
    delta: float
    histograms: Mechanism
    steps: Mechanism


def spent(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """An upper bound of ε at a δ for mechanisms that look at the same rows.

    Raises:
        MissingExtraError: Opacus is not installed.
    """
    rdp = _accountant()
    total = sum(_divergences(rdp, mechanism) for mechanism in mechanisms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an α at the end of the list is a bound like any other
        epsilon, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=total, delta=delta)
    return max(float(epsilon), 0.0)


def plan(privacy: Privacy, rate: float, steps: int) -> Spending:
    """The noise with which so many steps, and the histograms before, spend at most ε.

    Args:
        privacy: What may be spent.
        rate: The probability that a row is part of a step.
        steps: How many steps there will be.

    Raises:
        OptionError: No noise is enough.
        MissingExtraError: Opacus is not installed.
    """
    delta = privacy.delta
    noise = _least(lambda s: spent([Mechanism(s)], delta) <= privacy.share * privacy.epsilon)
    histograms = Mechanism(noise)

    def enough(noise: float) -> bool:
        return spent([histograms, Mechanism(noise, rate, steps)], delta) <= privacy.epsilon

    mechanism = Mechanism(_least(enough), rate, steps)
    return Spending(spent([histograms, mechanism], delta), delta, histograms, mechanism)


def _least(enough: Callable[[float], bool]) -> float:
    """About the least noise that is enough, by bisection of its logarithm."""
    low, high = LEAST, MOST
    if not enough(high):
        raise OptionError(
            "no noise is enough to keep to this privacy: give a larger epsilon, delta or share."
        )
    while high / low > 1 + CLOSE:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _divergences(rdp: Any, mechanism: Mechanism) -> np.ndarray[Any, np.dtype[np.float64]]:
    divergences: np.ndarray[Any, np.dtype[np.float64]] = rdp.compute_rdp(
        q=mechanism.rate,
        noise_multiplier=mechanism.noise,
        steps=mechanism.times,
        orders=ORDERS,
    )
    return divergences


def _accountant() -> Any:
    try:
        from opacus.accountants.analysis import rdp
    except ImportError as error:
        raise MissingExtraError("training with privacy", "opacus", "privacy") from error
    return rdp
