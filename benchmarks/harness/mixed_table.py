"""A table of mixed columns of any size, the same bytes for the same seed, written piece by piece.

Each row has a hidden u in R^3, and every column follows it with noise of its own, so that a model
has something to learn: six reals of full precision, three with two decimals, four integers, two
booleans, five categories (3 to 200 levels), a moment, and gaps in some of them: 21 columns, about
90 bytes a row in Parquet.

    python -m harness.mixed_table FILE MEGABYTES SEED [ROWS_OF_A_GROUP]

This module does not know what the table is for.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["DEFAULT_GROUP", "rows_of", "write"]

DEFAULT_GROUP = 2**20  # rows: what pyarrow and pandas write when nobody says otherwise
LEVELS = (3, 5, 12, 40, 200)
PIECE = 2**17


def write(path: Path, megabytes: float, seed: int, group: int = DEFAULT_GROUP) -> int:
    """Write the table until the file has so many megabytes (10^6 bytes); gives back its rows."""
    written = 0
    with pq.ParquetWriter(path, rows_of(1, seed, 0).schema) as writer:
        while path.stat().st_size < megabytes * 1e6:
            left = megabytes * 1e6 - path.stat().st_size
            rows = min(group, max(10_000, int(left / 68)))  # about what is left, in the last group
            pieces = [
                rows_of(min(PIECE, rows - start), seed, written + start)
                for start in range(0, rows, PIECE)
            ]
            writer.write_table(pa.concat_tables(pieces), row_group_size=group)
            written += rows
    return written


def rows_of(rows: int, seed: int, start: int) -> pa.Table:
    """Rows start, start + 1, … of the table: pieces of the same size at the same place agree."""
    rng = np.random.default_rng([seed, start])
    u = rng.standard_normal((rows, 3))
    columns: dict[str, pa.Array] = {}
    for i in range(6):
        real = np.tanh(u[:, i % 3]) * (i + 1) + 0.3 * rng.standard_normal(rows) * (1 + u[:, 0] ** 2)
        columns[f"real{i}"] = pa.array(real, mask=rng.random(rows) < 0.05 * (i % 2))
    for i in range(3):
        price = np.exp(3.0 + 0.5 * u[:, i] + 0.2 * rng.standard_normal(rows))
        columns[f"price{i}"] = pa.array(price.round(2))
    for i in range(4):
        number = rng.poisson(np.exp(1.0 + 0.4 * u[:, i % 3]))
        columns[f"count{i}"] = pa.array(number, pa.int32(), mask=rng.random(rows) < 0.1 * (i == 3))
    for i in range(2):
        columns[f"flag{i}"] = pa.array(u[:, i] + rng.standard_normal(rows) > 0.5)
    for i, levels in enumerate(LEVELS):
        place = 1 / (1 + np.exp(-u[:, i % 3] - 0.5 * rng.standard_normal(rows)))
        names = pa.array([f"level {k}" for k in range(levels)])
        codes = pa.array((place * levels).astype(np.int32), mask=rng.random(rows) < 0.03 * (i == 2))
        columns[f"category{i}"] = names.take(codes)
    days = 9_000 + 2_000 * u[:, 2] + 300 * rng.standard_normal(rows)
    moments = (np.clip(days, 0, 20_000) * 86_400).astype(np.int64)
    columns["moment"] = pa.array(moments, pa.timestamp("s"))
    return pa.table(columns)


if __name__ == "__main__":
    _file, _megabytes, _seed, *_group = sys.argv[1:]
    print(write(Path(_file), float(_megabytes), int(_seed), *map(int, _group)))
