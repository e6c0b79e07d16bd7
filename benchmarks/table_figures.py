"""Do the figures of `evaluate` agree with sdmetrics, where both define them?

Two tables of each shared set are compared with its training split by variate's measures and by
sdmetrics' own metrics, in the peers' environment: the test split, and the training split with every
column put in another order, which keeps the shapes and breaks every pair.

    shape    the error of each column        KSComplement, TVComplement
    trend    the error of each pair          CorrelationSimilarity, ContingencySimilarity

What is shown is the largest difference, in percent: it is to be below a thousandth.
"""

import argparse
import json
import os
import subprocess
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from harness.arguments import parser
from harness.record import Record
from harness.table_sets import DATES, SETS, TableSet, table_set

from variate.table.measures import Kind, column_shape_error, pair_trend_error

HERE = Path(__file__).parent
BOUND = 1e-3  # percent


def main() -> None:
    options = arguments()
    sets = options.sets[:2] if options.quick else options.sets
    record = Record("table_figures", {"sets": sets, "rows": options.rows})
    record.head()
    rows, worst = [], {"shape": 0.0, "trend": 0.0}
    for name in sets:
        about = table_set(options.data, name)
        for which, (real, other) in tables(about, options.rows).items():
            found = differences(real, other, categories_of(about, real), options.metrics_python)
            record.results[f"{name}, {which}"] = found
            worst = {key: max(worst[key], found[key]) for key in worst}
            rows.append([name, which, *(f"{found[key]:.2g}" for key in worst)])
    columns = ["table", "beside the training split", "shape", "trend"]
    record.table("largest difference from sdmetrics, percent", columns, rows)
    for key, value in worst.items():
        record.target(f"{key} error, largest difference in percent", value, BOUND, least=False)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    words = lambda text: tuple(text.split(","))  # noqa: E731
    made.add_argument("--sets", type=words, default=(*SETS, DATES), help="the tables")
    made.add_argument("--rows", type=int, default=4_000, help="rows of each table")
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--metrics-python", type=Path, required=True,
                      help="python of an environment that has sdmetrics")  # fmt: skip
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    options.data = Path(options.data).resolve()
    return options


def tables(about: TableSet, rows: int) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Pairs of tables that are compared, by what the second is."""
    train, test = (pd.read_csv(path).head(rows) for path in (about.train, about.test))
    rng = np.random.default_rng(0)
    mixed = pd.DataFrame({name: rng.permutation(train[name]) for name in train})
    return {"test split": (train, test), "columns mixed": (train, mixed)}


def categories_of(about: TableSet, table: pd.DataFrame) -> list[str]:
    """The columns that are categories: those named so, text, and dates as text."""
    text = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    return sorted({*about.categorical, *text})


def differences(
    real: pd.DataFrame, other: pd.DataFrame, categories: list[str], python: Path
) -> dict[str, float]:
    """The largest differences of errors of columns and of pairs, in percent."""
    theirs = sdmetrics(real, other, categories, python)
    kinds: list[Kind] = ["category" if name in categories else "numeric" for name in real]
    x, y = encoded(real, other, categories)
    shape = 1 - column_shape_error(x, y, kinds)
    trend = 1 - pair_trend_error(x, y, kinds).errors
    pairs = [f"{a} & {b}" for a, b in combinations(real, 2)]
    return {
        "shape": largest(shape, [theirs["shape"][name] for name in real]),
        "trend": largest(trend, [theirs["trend"][pair] for pair in pairs]),
    }


def largest(ours: np.ndarray, theirs: list[float]) -> float:
    """The largest difference in percent, where both have a score."""
    off = np.abs(ours - np.array(theirs, dtype=float))
    return float(100 * np.nanmax(off))


def encoded(
    real: pd.DataFrame, other: pd.DataFrame, categories: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The tables as the measures take them: codes of categories, NaN for gaps."""
    made = []
    for name in real:
        if name in categories:
            both = pd.concat([real[name], other[name]])
            codes = pd.factorize(both)[0].astype(float)
            codes[codes < 0] = np.nan
            made.append((codes[: len(real)], codes[len(real) :]))
        else:
            made.append((real[name].to_numpy(float), other[name].to_numpy(float)))
    first, second = zip(*made, strict=True)
    return np.stack(first, 1), np.stack(second, 1)


def sdmetrics(
    real: pd.DataFrame, other: pd.DataFrame, categories: list[str], python: Path
) -> dict[str, dict[str, float]]:
    """What sdmetrics says of the two tables."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "real.csv", Path(folder) / "other.csv"]
        real.to_csv(paths[0], index=False)
        other.to_csv(paths[1], index=False)
        command = [str(python.absolute()), "-m", "harness.table_sdmetrics", *map(str, paths)]
        done = subprocess.run(
            [*command, json.dumps(categories)],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"sdmetrics failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
