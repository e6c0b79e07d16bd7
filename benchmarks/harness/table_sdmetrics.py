"""The other side of `table_figures.py`: sdmetrics' scores of columns and of pairs of columns.

    python -m harness.table_sdmetrics REAL.csv OTHER.csv CATEGORIES.json

prints one line of JSON: `shape` by column, `trend` by pair. It needs sdmetrics: the peers'
environment. sdmetrics' own metrics are called one by one; a number beside a category is cut into
ten bins of the real column's range first, the outer two open.

This module does not know variate.
"""

import json
import sys
from itertools import combinations

import numpy as np
import pandas as pd
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

__all__ = ["main"]


def main(real: pd.DataFrame, other: pd.DataFrame, categories: list[str]) -> None:
    shape = {
        name: (TVComplement if name in categories else KSComplement).compute(
            real[name], other[name]
        )
        for name in real
    }
    trend = {}
    for a, b in combinations(real, 2):
        if a in categories or b in categories:
            cut = [_cut(real[[a, b]], table[[a, b]], categories) for table in (real, other)]
            trend[f"{a} & {b}"] = ContingencySimilarity.compute(*cut, num_rows_subsample=None)
        else:
            pair = real[[a, b]].dropna(), other[[a, b]].dropna()
            trend[f"{a} & {b}"] = CorrelationSimilarity.compute(*pair)
    print(json.dumps({"shape": shape, "trend": trend}))


def _cut(real: pd.DataFrame, table: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    """The table with numbers as the bins of the real column's range, and gaps as a level."""
    made = {}
    for name in table:
        if name in categories:
            made[name] = table[name].astype(object).where(table[name].notna(), "(missing)")
            continue
        edges = np.histogram_bin_edges(real[name].dropna())
        place = np.digitize(table[name], edges[1:-1]).astype(object)
        made[name] = pd.Series(place, table.index).where(table[name].notna(), "(missing)")
    return pd.DataFrame(made).astype(str)


if __name__ == "__main__":
    _real, _other, _categories = sys.argv[1:]
    main(pd.read_csv(_real), pd.read_csv(_other), json.loads(_categories))
