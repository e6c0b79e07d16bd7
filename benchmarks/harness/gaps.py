"""Cells taken out of a table, and how well others put them back.

    mcar    each cell goes with the same probability
    mar     in all columns but two, drawn by the seed, a cell goes with a probability that rises
            with the mean rank of these two, which are always there: from about a tenth of the
            share to twice the share

This module does not know who fills the gaps.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["WAYS", "Gapped", "figures", "gapped", "read"]

WAYS = ("mcar", "mar")
STEEP = 6.0  # of the logistic curve from few gaps to many
MOST = 0.95  # the largest probability of a gap


class Gapped(NamedTuple):
    """A table with gaps.

    Attributes:
        whole: The table before.
        gaps: The table with them; whole numbers have become floating ones.
        holes: Where they are, bool `[N, C]`.
        categorical: The names of the columns that are categories.
    """

    whole: pd.DataFrame
    gaps: pd.DataFrame
    holes: np.ndarray
    categorical: tuple[str, ...]


def read(path: Any, categorical: tuple[str, ...], rows: int | None, seed: int) -> pd.DataFrame:
    """So many rows of a table, without regard to order; categories as text."""
    table = pd.read_csv(path)
    if rows is not None and rows < len(table):
        table = table.sample(rows, random_state=seed).reset_index(drop=True)
    return table.astype(dict.fromkeys(categorical, str)).astype(
        {name: float for name in table if name not in categorical}
    )


def gapped(
    table: pd.DataFrame, categorical: tuple[str, ...], way: str, share: float, seed: int
) -> Gapped:
    """The table with this share of its cells taken out."""
    rng = np.random.default_rng(seed)
    chance = np.full(table.shape, share)
    if way == "mar":
        drivers = rng.choice(table.shape[1], 2, replace=False)
        ranks = [table.iloc[:, d].rank(pct=True, method="average") for d in drivers]
        rise = 1 / (1 + np.exp(-STEEP * (sum(ranks) / 2 - 0.5)))
        chance[:] = np.clip(rise / rise.mean() * share, 0, MOST).to_numpy()[:, None]
        chance[:, drivers] = 0
    holes = rng.random(table.shape) < chance
    return Gapped(table, table.mask(holes), holes, categorical)


def figures(
    given: Gapped, filled: pd.DataFrame, intervals: pd.DataFrame | None
) -> dict[str, float]:
    """How far the filled cells are off.

    Returns:
        `rmse`, of numbers in deviations of their column, `category_error`, the share of wrong
        levels, each the mean over columns, and `coverage` of the intervals, if there are any.
    """
    numbers, categories, covered = [], [], []
    for place, name in enumerate(given.whole):
        holes, truth = given.holes[:, place], given.whole[name]
        if not holes.any():
            continue
        if name in given.categorical:
            categories.append(float((filled[name][holes] != truth[holes]).mean()))
            continue
        off = filled[name][holes].astype(float) - truth[holes]
        numbers.append(float(np.sqrt((off**2).mean()) / truth.std()))
        if intervals is not None:
            cells = intervals[intervals["column"] == name]
            value = truth.to_numpy()[cells["row"]]
            slack = 1e-9 * truth.abs().max()
            inside = (value >= cells["low"] - slack) & (value <= cells["high"] + slack)
            covered.append(float(inside.mean()))
    found = {"rmse": numbers, "category_error": categories, "coverage": covered}
    return {name: float(np.mean(values)) for name, values in found.items() if values}
