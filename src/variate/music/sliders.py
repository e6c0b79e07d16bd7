r"""Sliders: attributes as directions among codes, and as targets of what is drawn.

Each attribute a of the training items is put on a normal scale by its ranks (Pati & Lerch 2021 with
the transform of "joint losses", 2025), and laid over the codes by ridge regression,

    rank(a) ≈ w · (z - m) + noise            w over standardised z

with the ridge that foretells items best that are left out, one at a time. What codes *tell* of an
attribute is the share of its variance that is foretold so: by the residuals of the fit itself,
codes of as many dimensions as there are items would tell everything.

So the direction of an attribute is the least change of a code, in the codes' own spread Σ (their
variances), that moves its expectation by one standard deviation:  d = Σ w / (w · Σ w). Where codes
tell less than a quarter of an attribute, a step is that of a quarter: it would else lead to where
no code has been.

A target t is met in two steps. A code from the prior is made one given the attribute, by Matheron's
rule for jointly normal variables,

    a = w · (z - m) + ε,  ε ~ N(0, 1 - w · Σ w)        z' = z + Σ w (t - a)

so that codes that tell nothing of an attribute are left where they are; then several items are
written from it, and the one that comes nearest is kept.

This module does not know how an attribute is measured, nor networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from variate.errors import OptionError

__all__ = ["Sliders"]

Floats = NDArray[np.float64]
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the number of items
LEAST_TOLD = 0.25  # of an attribute, that a direction reckons with
GRID = 33  # quantiles that are kept of an attribute


@dataclass(frozen=True)
class Sliders:
    """How attributes lie over the codes.

    Attributes:
        names: Of the A attributes.
        quantiles: Of each over the training items, `[A, GRID]`.
        weights: w, `[A, D]`.
        told: The share of each attribute's variance (by ranks) that the codes tell of items that
            are left out, `[A]`, at least 0.
        mean: Of the codes, `[D]`.
        variance: Of the codes, `[D]`.
    """

    names: tuple[str, ...]
    quantiles: Floats
    weights: Floats
    told: Floats
    mean: Floats
    variance: Floats

    @classmethod
    def fit(cls, codes: Floats, attributes: Mapping[str, Floats]) -> Self:
        """Lay attributes `[N]` over codes `[N, D]`; those that do not vary are left out."""
        mean, variance = codes.mean(0), codes.var(0) + 1e-12
        left, spread, right = np.linalg.svd((codes - mean) / np.sqrt(variance), full_matrices=False)
        names, quantiles, weights, told = [], [], [], []
        for name, values in attributes.items():
            if np.ptp(values) == 0:
                continue
            normal = ndtri((rankdata(values) - 0.5) / len(values))
            normal = (normal - normal.mean()) / max(normal.std(), 1e-9)
            fits = [_left_out(left, spread, normal, ridge * len(values)) for ridge in RIDGES]
            lost, shrunk = min(fits, key=lambda fit: fit[0])
            names.append(name)
            quantiles.append(np.quantile(values, np.linspace(0, 1, GRID)))
            weights.append(right.T @ shrunk / np.sqrt(variance))
            told.append(max(0.0, 1 - lost))
        return cls(
            tuple(names), np.array(quantiles), np.array(weights), np.array(told), mean, variance
        )

    def direction(self, name: str) -> Floats:
        """The change of a code that raises an attribute by one standard deviation, `[D]`.

        Raises:
            OptionError: There is no such attribute, or it did not vary.
        """
        w = self.weights[self._number(name)]
        least: Floats = self.variance * w / max(float(w @ (self.variance * w)), LEAST_TOLD)
        return least

    def moved(self, z: Floats, targets: Mapping[str, float], noise: Floats) -> Floats:
        """Codes `[N, D]` given that attributes are as asked; noise `[N, A]` is standard normal."""
        rows = [self._number(name) for name in targets]
        w = self.weights[rows]  # [A, D]
        wanted = np.array([self.normal(name, value) for name, value in targets.items()])
        spread = w * self.variance
        told = spread @ w.T
        left = np.clip(1 - np.diag(told), 0.05, 1.0)
        off = wanted - (z - self.mean) @ w.T - np.sqrt(left) * noise  # [N, A]
        gram = told + np.diag(left)
        found: Floats = z + off @ np.linalg.solve(gram, spread)
        return found

    def normal(self, name: str, value: float) -> float:
        """A value of an attribute on its normal scale, within what was seen."""
        quantiles = self.quantiles[self._number(name)]
        below, upto = (np.searchsorted(quantiles, value, side=side) for side in ("left", "right"))
        if 0 < below < GRID and below == upto:  # between two quantiles
            a, b = quantiles[below - 1], quantiles[below]
            place = below - 1 + (value - a) / max(b - a, 1e-12)
        else:
            place = (below + upto - 1) / 2
        return float(ndtri(np.clip(place / (GRID - 1), 0.02, 0.98)))

    def distance(self, attributes: Mapping[str, Floats], targets: Mapping[str, float]) -> Floats:
        """How far items are from the targets, `[N]`, in the spreads of the attributes."""
        total: Floats = np.zeros(())
        for name, value in targets.items():
            quantiles = self.quantiles[self._number(name)]
            total = total + np.abs(attributes[name] - value) / quantiles.std()
        return total

    def _number(self, name: str) -> int:
        if name not in self.names:
            raise OptionError(
                f"there is no attribute {name!r} that varies in the training data; there is: "
                f"{', '.join(self.names)}."
            )
        return self.names.index(name)

    def state(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        parts = ("quantiles", "weights", "told", "mean", "variance")
        return {"names": list(self.names)} | {
            part: np.asarray(getattr(self, part), np.float64).tolist() for part in parts
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state` kept."""
        parts = ("quantiles", "weights", "told", "mean", "variance")
        arrays = {part: np.asarray(state[part], np.float64) for part in parts}
        return cls(tuple(state["names"]), **arrays)


def _left_out(left: Floats, spread: Floats, y: Floats, ridge: float) -> tuple[float, Floats]:
    """What a ridge regression loses of items that it is not fitted to, and its weights.

    Args:
        left: U of the standardised codes U S V, `[N, K]`.
        spread: S, `[K]`.
        y: Of each item, of mean 0, `[N]`.
        ridge: What is added to the squares of S.

    Returns:
        The mean squared error of each item by the regression on all others (which follows from
        the fit to all), and the weights in the basis of V, `[K]`.
    """
    kept = spread**2 / (spread**2 + ridge)
    along = left.T @ y
    leverage = left**2 @ kept + 1 / len(y)
    errors = (y - left @ (kept * along)) / np.maximum(1 - leverage, 1e-6)
    return float((errors**2).mean()), along * spread / (spread**2 + ridge)
