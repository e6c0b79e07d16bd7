"""How many rows per second a fitted table model draws, and where the time goes.

    draw         `model.sample(n)` after start-up, by the wall and by the CPU time of the process,
                 on one thread and on two; the promise is for two free cores
    split        on one thread, of the CPU time of a row:
                     prior      z ~ p(z)
                     network    what each column is told of those before it, and its own layers
                     laws       the column's probabilities, and a value by them
                     codec      the frame that is given back
    given        rows under a condition that about one row in ten meets

Without --model a TableVAE is fitted at its defaults (two minutes); without --data a table of 21
mixed columns stands in for Adult's 15.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from harness import mixed_table
from harness.arguments import parser
from harness.record import Record, show, summary
from harness.table_sets import table_set
from harness.timing import Stopwatch, Taken

from variate import TableVAE, load
from variate.randomness import isolated
from variate.table import files
from variate.table.walk import Walk

THREADS = (1, 2)
TARGET = 100_000  # rows of 15 columns a second, on two cores
STAND_IN = 30_000  # rows


def main() -> None:
    options = arguments()
    names = ("set", "rows", "rounds")
    record = Record("table_sampling", {name: getattr(options, name) for name in names})
    record.head()
    model, name = fitted(options)
    columns = len(model.codec_.modelled)
    model.sample(options.rows, seed=0)  # start-up: pages, kernels, imports
    taken: dict[int, list[Taken]] = {threads: [] for threads in THREADS}
    for turn in range(options.rounds):
        for threads in THREADS:
            torch.set_num_threads(threads)
            watch = Stopwatch()
            model.sample(options.rows, seed=turn)
            taken[threads].append(watch.taken())
    torch.set_num_threads(1)
    parts = [split(model, options.rows, turn) for turn in range(options.rounds)]
    given = [conditional(model, options.rows // 4, turn) for turn in range(options.rounds)]
    record.results = report(record, f"{name}, {columns} columns", options.rows, taken, parts, given)
    best = options.rows / min(one.wall for one in taken[2])
    record.target(f"rows/s of {columns} columns on two threads, the best round", best, TARGET,
                  least=True)  # fmt: skip
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    made.add_argument("--set", default="adult", help="the table")
    made.add_argument("--model", type=Path, help="a fitted model of it, instead of fitting one")
    made.add_argument("--rows", type=int, default=200_000, help="rows of a draw")
    made.add_argument("--rounds", type=int, default=7, help="rounds")
    options = made.parse_args()
    if options.quick:
        options.rows, options.rounds = min(options.rows, 20_000), 2
    return options


def fitted(options: argparse.Namespace) -> tuple[TableVAE, str]:
    """The model, and the name of its table."""
    if options.model is not None:
        model = load(options.model)
        assert isinstance(model, TableVAE)
        return model, options.model.stem
    model = TableVAE(epochs=0.5 if options.quick else None)
    if options.data is None:
        return model.fit(mixed_table.rows_of(STAND_IN, 0, 0)), "stand-in"
    table = table_set(Path(options.data), options.set)
    model.columns = dict.fromkeys(table.categorical, "category")
    return model.fit(files.read(table.train)), options.set


def split(model: TableVAE, rows: int, seed: int) -> dict[str, float]:
    """CPU seconds of the parts of a draw, on this thread."""
    prior = model.model_.prior()
    with isolated(seed):
        watch = Stopwatch()
        prior.sample(torch.Size((rows,)))
        parts = {"prior": watch.taken().cpu}
    with clocked(Walk, "draw") as walking, clocked(Walk, "_own", "_note") as network:
        x = model._draw(rows, 1.0, seed)
    parts |= {"network": sum(network), "laws": sum(walking) - sum(network)}
    watch = Stopwatch()
    model.codec_.decode(x)
    return parts | {"codec": watch.taken().cpu}


@contextmanager
def clocked(kind: type, *names: str) -> Iterator[list[float]]:
    """The CPU seconds of each call of these methods."""
    seconds: list[float] = []
    plain = {name: getattr(kind, name) for name in names}

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            result = method(*args, **kwargs)
            seconds.append(time.thread_time() - start)
            return result

        return call

    for name, method in plain.items():
        setattr(kind, name, timed(method))
    try:
        yield seconds
    finally:
        for name, method in plain.items():
            setattr(kind, name, method)


def conditional(model: TableVAE, rows: int, seed: int) -> Taken:
    """The level of a category that is nearest to one row in ten, asked for."""
    shares = {}
    for column in model.codec_.modelled:
        if column.levels:
            counts = model.sample(2_000, seed=0)[column.name]
            for level in column.levels:
                shares[column.name, level] = float((counts == level).mean())
    name, level = min(shares, key=lambda key: abs(shares[key] - 0.1))
    watch = Stopwatch()
    model.sample(rows, given={name: level}, seed=seed)
    return watch.taken()


def report(
    record: Record,
    title: str,
    rows: int,
    taken: dict[int, list[Taken]],
    parts: list[dict[str, float]],
    given: list[Taken],
) -> dict[str, Any]:
    """The tables on the screen, and the figures."""
    speeds: dict[str, dict[str, list[float]]] = {
        f"{threads} thread{'s' * (threads > 1)}": {
            "rows_per_second": [rows / one.wall for one in runs],
            "rows_per_cpu_second": [rows / one.cpu for one in runs],
        }
        for threads, runs in taken.items()
    }
    speeds["given, 1 thread"] = {
        "rows_per_second": [rows // 4 / one.wall for one in given],
        "rows_per_cpu_second": [rows // 4 / one.cpu for one in given],
    }
    heads = ["draw", "rows/s", "rows/CPU-s", "rows/CPU-s, best"]
    lines = [
        [name, *(show(values, 0) for values in of.values()), f"{max(list(of.values())[1]):,.0f}"]
        for name, of in speeds.items()
    ]
    record.table(f"{title}: median (min..max)", heads, lines)
    shares = {name: [one[name] / rows * 1e6 for one in parts] for name in parts[0]}
    whole = sum(median(values) for values in shares.values())
    lines = [
        [name, show(values, 2), f"{median(values) / whole:.0%}"] for name, values in shares.items()
    ]
    record.table("the CPU time of a row", ["part", "microseconds", "share"], lines)
    return {
        "draws": {name: {k: summary(v) for k, v in of.items()} for name, of in speeds.items()},
        "microseconds_of_a_row": {name: summary(values) for name, values in shares.items()},
    }


if __name__ == "__main__":
    main()
