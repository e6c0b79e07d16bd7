"""How near synthetic rows lie to the rows that were learnt from: copies, and distances.

The distance of two rows is the sum over the numbers of |a - b| / (the range in the training
split) plus the number of categories that differ. Every synthetic row (up to `ROWS` of them) is
asked whether its nearest row lies in the training split or among rows that were kept apart:

    share = P(nearest in train < nearest in held-out) + P(equal) / 2.

Both sides have the same number of rows: the held-out split stands against disjoint random parts of
the training split of its size (up to `PARTS`), and the shares are averaged. A model that has
learnt the law and no row comes to 0.5. One that only copies comes to 1/2 + size / (2 N), where N is
the size of the training split, for most originals lie outside of the part: 0.75 where the held-out
split is half as big as the training split, but 0.56 where it is a ninth. Hence beside it

    memorised = (2 share - 1) N / size:    0 for the law, 1 for copies, and as noisy as N / size.

It says something of tables that are good otherwise: far from all real rows, chance decides.

This module does not know how tables are read or prepared.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from harness.table_prepare import Prepared

__all__ = ["copies", "nearer_to_train"]

ROWS, PARTS, CHUNK = 10_000, 8, 128


def copies(table: pd.DataFrame, train: pd.DataFrame) -> float:
    """The share of rows that equal a row of the training split in every column."""
    known = pd.util.hash_pandas_object(train, index=False)
    return float(pd.util.hash_pandas_object(table[list(train)], index=False).isin(known).mean())


def nearer_to_train(tables: Prepared, seed: int) -> dict[str, float]:
    """The share of synthetic rows nearer to the training split; the frames: train, table, test."""
    rng = np.random.default_rng(seed)
    (train, table, test), levels = _numbers(tables), _levels(tables)
    size = min(len(train), len(test))
    parts = min(PARTS, len(train) // size)
    at = rng.permutation(len(train))[: parts * size]
    kept = rng.permutation(len(test))[:size]
    asked = rng.permutation(len(table))[:ROWS]
    pool = np.concatenate([train[at], test[kept]])
    pool_levels = np.concatenate([levels[0][at], levels[2][kept]])
    nearest = np.concatenate(
        [
            _nearest(table[some], levels[1][some], pool, pool_levels, size)
            for some in np.array_split(asked, max(1, len(asked) // CHUNK))
        ]
    )  # [asked, parts + 1], the last of them held-out
    ours, held_out = nearest[:, :-1], nearest[:, -1:]
    share = (ours < held_out).mean() + (ours == held_out).mean() / 2
    return {
        "dcr_share": float(share),
        "memorised": float((2 * share - 1) * len(train) / size),
        "dcr_train_median": float(np.median(ours)),
        "dcr_held_out_median": float(np.median(held_out)),
    }


def _nearest(
    rows: np.ndarray, levels: np.ndarray, pool: np.ndarray, pool_levels: np.ndarray, size: int
) -> np.ndarray:
    """The distance from each row to its nearest in every `size` rows of the pool."""
    far = cdist(rows, pool, "cityblock") if pool.shape[1] else np.zeros((len(rows), len(pool)))
    for column in range(pool_levels.shape[1]):
        far += levels[:, column, None] != pool_levels[None, :, column]
    return far.reshape(len(rows), -1, size).min(axis=2)


def _numbers(tables: Prepared) -> list[np.ndarray]:
    names = list(tables.numeric)
    numbers = [frame[names].to_numpy(dtype=float) for frame in tables.frames]
    span = np.ptp(numbers[0], axis=0)
    return [values / np.where(span > 0, span, 1.0) for values in numbers]


def _levels(tables: Prepared) -> list[np.ndarray]:
    names = list(tables.categorical)
    whole = pd.concat([frame[names] for frame in tables.frames], ignore_index=True)
    codes = np.empty(whole.shape, dtype=np.int32)
    for column, name in enumerate(names):
        codes[:, column] = pd.factorize(whole[name])[0]
    return np.split(codes, np.cumsum([len(frame) for frame in tables.frames])[:-1])
