"""How well gaps are filled, and at what cost: variate beside scikit-learn's imputers and forests.

Of the training split of each table, subsampled to `--rows` rows, a share of the cells is removed,
at random (mcar) or depending on other columns (mar, see harness/gaps.py); every method learns from
the incomplete table and fills its gaps. All get the same rows and the same gaps, and one thread.
RMSE is in deviations of the column; both errors are means over columns. CPU seconds count learning
and filling. With --folder a run can be broken off and continued, and --processes makes several
jobs at a time, each in a process and on a thread of its own.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from harness.arguments import parser
from harness.gaps import WAYS, figures, gapped, read
from harness.imputers import METHODS
from harness.record import Record
from harness.table_sets import table_set

SETS = ("adult", "shoppers", "magic", "beijing")
SHARES = (0.1, 0.3, 0.5)
SHOWN = {"rmse": 4, "category_error": 4, "coverage": 3, "cpu": 1}


def main() -> None:
    options = arguments()
    names = ("sets", "shares", "ways", "methods", "rows", "seeds", "first_seed", "processes")
    record = Record("imputation", {name: getattr(options, name) for name in names})
    record.head()
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in options.methods}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for run in made(options, folder):
            found[run["method"]].append(run)
    report(record, found)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    made.add_argument("--sets", type=words, default=SETS, help="the tables")
    made.add_argument("--shares", type=numbers, default=SHARES, help="shares of cells removed")
    made.add_argument("--ways", type=words, default=WAYS, help="mcar, mar")
    made.add_argument("--methods", type=words, default=tuple(METHODS), help="who fills")
    made.add_argument("--rows", type=int, default=5_000, help="of each table; 0: all")
    made.add_argument("--seeds", type=int, default=2, help="how many seeds")
    made.add_argument("--first-seed", type=int, default=0, help="the first of them")
    made.add_argument("--processes", type=int, default=1, help="jobs at a time")
    made.add_argument("--folder", type=Path, help="where to keep figures, to continue")
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    if unknown := set(options.methods) - set(METHODS):
        made.error(f"--methods knows {', '.join(METHODS)}, not {', '.join(sorted(unknown))}")
    if options.quick:
        options.rows, options.seeds, options.shares = min(options.rows or 1_000, 1_000), 1, (0.3,)
    return options


def made(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The figures of all jobs."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = list(product(options.sets, options.ways, options.shares, options.methods, seeds))
    if options.processes == 1:
        return [one(options, folder, job) for job in jobs]
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that begin here
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        return list(pool.map(partial(one, options, folder), jobs))


def words(text: str) -> tuple[str, ...]:
    """A comma-separated list of names."""
    return tuple(text.split(","))


def numbers(text: str) -> tuple[float, ...]:
    """A comma-separated list of numbers."""
    return tuple(map(float, text.split(",")))


def one(
    options: argparse.Namespace, folder: Path, job: tuple[str, str, float, str, int]
) -> dict[str, Any]:
    """The figures of one job; those that are kept are not made again."""
    name, way, share, method, seed = job
    kept = folder / f"{name}-{options.rows}-{way}-{share:g}-{method}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    about = table_set(options.data, name)
    table = read(about.train, about.categorical, options.rows or None, seed)
    given = gapped(table, about.categorical, way, share, seed)
    torch.set_num_threads(1)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filled, intervals = METHODS[method](given, seed)
    cpu = time.process_time() - start
    told: dict[str, Any] = dict(zip(("set", "way", "share", "method", "seed"), job, strict=True))
    told |= {"rows": len(table), "cpu": cpu} | figures(given, filled, intervals)
    shown = ", ".join(f"{f} {told[f]:.{d}f}" for f, d in SHOWN.items() if f in told)
    print(f"{name} {way} {share:g} {method} seed {seed}: {shown}", flush=True)
    kept.with_suffix(".part").write_text(json.dumps(told), encoding="utf-8")
    kept.with_suffix(".part").rename(kept)
    return told


def report(record: Record, found: dict[str, list[dict[str, Any]]]) -> None:
    """Tables of means, and whether the promises hold."""
    averages = {method: average(runs) for method, runs in found.items()}
    for figure, digits in SHOWN.items():
        settings = sorted({(r["set"], r["way"], r["share"]) for r in found[next(iter(found))]})
        rows = [
            [f"{name} {way} {share:g}", *(
                cell([r[figure] for r in runs
                      if (r["set"], r["way"], r["share"]) == (name, way, share) and figure in r],
                     digits)
                for runs in found.values())]
            for name, way, share in settings
        ]  # fmt: skip
        rows.append(["mean", *(cell([a[figure]] if figure in a else [], digits)
                               for a in averages.values())])  # fmt: skip
        print()
        record.table(f"{figure}: means of the seeds", ["", *found], rows)
    record.results = {"means": averages, "runs": found}
    if ours := averages.get("variate"):
        for figure in ("rmse", "category_error"):
            peers = [a[figure] for m, a in averages.items() if m != "variate" and figure in a]
            if figure in ours and peers:
                record.target(f"mean {figure}, best peer", ours[figure], min(peers), least=False)
        record.target("mean coverage", ours["coverage"], 0.87, least=True)
        record.target("mean coverage", ours["coverage"], 0.93, least=False)
        if trees := averages.get("iterative_trees"):
            record.target("CPU seconds, iterative_trees'", ours["cpu"], trees["cpu"], least=False)


def average(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The means of a method's figures over all its runs that have them."""
    return {f: mean(r[f] for r in runs if f in r) for f in SHOWN if any(f in r for r in runs)}


def cell(values: list[float], digits: int) -> str:
    return f"{mean(values):.{digits}f}" if values else "-"


if __name__ == "__main__":
    main()
