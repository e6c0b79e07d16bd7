r"""Noised histograms of declared columns, and what follows from them.

Before training, every column is counted once, in cells that its declaration fixes:

    a category             its levels
    a number of few values (at most 100 on its grid)    each of them
    any other number       its atoms, and elsewhere a tree: the range halved, and halved again, at
                           most DEPTH times, with a count for every half at every depth
    each, if declared so   its gap

A row adds 1 to one cell of a column, or to one at each depth of a tree, so to all counts together a
vector of the length Δ = √(Σ_columns depth), and noise N(0, (σΔ)²) on every count is one Gaussian
mechanism. Nothing after that looks at the rows:

- **Shares.** The counts nearest to the noised ones that are not negative and add to the number of
  rows: max(c - τ, 0) with the τ that makes them add up.
- **Scores.** A tree is followed from the top while a half's count stands out of the noise, by
  RELIABLE deviations; what it is not followed into is taken as even. The scores at the edges of its
  leaves are normal quantiles of their ranks.
- **Rows to begin with.** Drawn column by column from the shares, for the start of the decoder.

This module does not know what is public about a column, nor what noise costs.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from variate.table.schema import NUMBER, ColumnSchema

__all__ = ["Cells", "Histogram", "cells_of", "noised"]

FEW = 100
DEPTH = 12
RELIABLE = 4.0
LEAST = 0.01  # rows in a cell, so that scores rise

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """The cells that a column is counted in: by themselves first, then those of the tree.

    Attributes:
        column: The declared column.
        atoms: Values of a number that have cells by themselves.
        depth: Of the tree; 0 for none.
    """

    column: ColumnSchema
    atoms: tuple[float, ...]
    depth: int

    @property
    def alone(self) -> int:
        """How many cells stand by themselves: levels or atoms, and a gap if there may be one."""
        return len(self.column.levels or self.atoms) + (self.column.missing > 0)

    @property
    def count(self) -> int:
        """How many cells there are."""
        return self.alone + 2 ** (self.depth + 1) - 2

    @property
    def squared_length(self) -> int:
        """The squared length of what a row adds."""
        return max(self.depth, 1)

    def edges(self) -> tuple[float, float]:
        """The ends of the tree's range."""
        assert self.column.low is not None
        assert self.column.high is not None
        half = (self.column.step or 0.0) / 2
        return self.column.low - half, self.column.high + half

    def counts(self, x: Floats) -> Floats:
        """How many of x `[N]` are in each cell."""
        found = np.zeros(self.count)
        missing = np.isnan(x)
        if self.column.missing:
            found[self.alone - 1] = missing.sum()
        x = x[~missing]
        if self.column.levels:
            return found + np.bincount(x.astype(np.int64), minlength=self.count)
        if self.atoms:
            atoms = np.array(self.atoms)
            nearest = np.abs(x[:, None] - atoms).argmin(1)
            tolerance = (self.column.step or 0.0) / 2
            at = np.abs(x - atoms[nearest]) <= tolerance
            found += np.bincount(nearest[at], minlength=self.count)
            x = x[~at]
        low, high = self.edges()
        share = (x - low) / (high - low)
        for depth in range(1, self.depth + 1):
            place = np.floor(share * 2**depth).clip(0, 2**depth - 1).astype(np.int64)
            start = self.alone + 2**depth - 2
            found[start : start + 2**depth] += np.bincount(place, minlength=2**depth)
        return found


def cells_of(column: ColumnSchema, atoms: tuple[float, ...] = ()) -> Cells:
    """The cells of a declared column, a number with these declared atoms."""
    if column.kind not in NUMBER:
        return Cells(column, (), 0)
    assert column.low is not None
    assert column.high is not None
    if column.step is None:
        return Cells(column, atoms, DEPTH)
    grid = round((column.high - column.low) / column.step) + 1
    if grid <= FEW:
        per_unit = round(1 / column.step)
        values = (np.rint(column.low * per_unit) + np.arange(grid)) / per_unit
        return Cells(column, tuple(values.tolist()), 0)
    return Cells(column, atoms, min(DEPTH, math.ceil(math.log2(grid))))


@dataclass(frozen=True)
class Histogram:
    """Noised counts of a column.

    Attributes:
        cells: What was counted.
        counts: The noised counts, `[cells]`.
        deviation: Of the noise on each.
        rows: How many rows the table has.
    """

    cells: Cells
    counts: Floats
    deviation: float
    rows: int

    def known(self) -> float:
        """About which share of the rows holds what is declared, gaps included."""
        counted = self.counts[: self.cells.alone + (2 if self.cells.depth else 0)]
        reach = RELIABLE * self.deviation * math.sqrt(len(counted))
        return min(1.0, float(counted.sum() + reach) / self.rows)

    def shares(self) -> Floats:
        """Rows in each cell that stands by itself, and then elsewhere if there is a tree."""
        counts = self.counts[: self.cells.alone]
        if self.cells.depth:
            top = self.counts[self.cells.alone : self.cells.alone + 2].sum()
            counts = np.append(counts, top)
        return _projected(counts, float(self.rows))

    def column(self) -> ColumnSchema:
        """The column with its scores, atoms and how many values are missing."""
        column, shares = self.cells.column, self.shares()
        if column.missing:
            gap = shares[self.cells.alone - 1]
            column = replace(column, missing=max(1, round(float(gap))))
        if column.kind not in NUMBER:
            return column
        edges, weights = self._leaves(shares)
        ranks = np.concatenate([[0.0], np.cumsum(np.maximum(weights, LEAST))])
        scores = ndtri((ranks + 0.5) / (ranks[-1] + 1.0))
        return replace(
            column,
            knots=tuple(edges.tolist()),
            scores=tuple(scores.tolist()),
            atoms=self.cells.atoms,
            closed=self.cells.depth == 0,
        )

    def draw(self, n: int, generator: np.random.Generator) -> Floats:
        """n values from the shares, x `[n]`; NaN is a gap."""
        column, shares = self.cells.column, self.shares()
        values = [float(code) for code in range(len(column.levels))] or list(self.cells.atoms)
        values += [math.nan] * (column.missing > 0) + [math.inf] * (self.cells.depth > 0)
        x = generator.choice(np.array(values), n, p=shares / shares.sum())
        elsewhere = np.isinf(x)
        if not elsewhere.any():
            return x
        edges, weights = self._leaves(shares)
        weights = np.maximum(weights, LEAST)
        leaf = generator.choice(len(weights), int(elsewhere.sum()), p=weights / weights.sum())
        inside = edges[leaf] + generator.random(len(leaf)) * (edges[leaf + 1] - edges[leaf])
        if column.step is not None:
            per_unit = round(1 / column.step)
            inside = np.rint(inside * per_unit) / per_unit
        assert column.low is not None
        assert column.high is not None
        x[elsewhere] = inside.clip(column.low, column.high)
        return x

    def _leaves(self, shares: Floats) -> tuple[Floats, Floats]:
        """Edges `[L + 1]` of the stretches of a number and the rows in each, `[L]`."""
        low, high = self.cells.edges()
        if not self.cells.depth:
            weights = shares[: len(self.cells.atoms)]
            return np.linspace(low, high, len(weights) + 1), weights
        weights = np.array([max(float(shares[-1]), LEAST)])
        width, places, sizes, found = 1.0, np.array([0]), weights, []
        for depth in range(1, self.cells.depth + 1):
            width /= 2
            start = self.cells.alone + 2**depth - 2
            halves = self.counts[start : start + 2**depth].reshape(-1, 2)[places]
            divided = self._followed(halves)
            found += [(p * 2 * width, s) for p, s in zip(places[~divided], sizes[~divided],
                                                         strict=True)]  # fmt: skip
            part = np.maximum(halves[divided], 0.0)
            part *= (sizes[divided] / part.sum(1))[:, None]
            places = (places[divided, None] * 2 + np.array([0, 1])).ravel()
            sizes = part.ravel()
        found += [(p * width, s) for p, s in zip(places, sizes, strict=True)]
        found.sort()
        starts, rows = (np.array(part) for part in zip(*found, strict=True))
        return np.append(low + (high - low) * starts, high), rows

    def _followed(self, halves: Floats) -> NDArray[np.bool_]:
        """Whether a stretch has so many rows in its halves that their shares can be told."""
        total = halves.sum(1)
        return (total > RELIABLE * self.deviation * math.sqrt(2)) & (halves > 0).any(1)


def _projected(counts: Floats, total: float) -> Floats:
    """The nearest counts that are not negative and add to the total."""
    falling = np.sort(counts)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(counts) + 1)
    last = np.flatnonzero(falling > excess)[-1]
    projected: Floats = np.maximum(counts - excess[last], 0.0)
    return np.maximum(projected, LEAST)


def noised(cells: list[Cells], counts: list[Floats], noise: list[Floats], rows: int,
           deviation: float) -> list[Histogram]:  # fmt: skip
    """The histograms of all columns.

    Args:
        cells: Of each column.
        counts: The true counts of each.
        noise: Standard normals for each.
        rows: How many rows the table has.
        deviation: Of the noise.
    """
    return [
        Histogram(of, count + deviation * normal, deviation, rows)
        for of, count, normal in zip(cells, counts, noise, strict=True)
    ]
