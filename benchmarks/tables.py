"""How good synthetic tables are, and what they cost: variate beside ctgan's TVAE and mostlyai.

Every method learns the training split of each shared table at its defaults, in a process of its
own, and samples as many rows; the rows are judged by the field's own figures, all prepared alike,
and the real test split is judged as if it were synthetic: the noise floor. CPU time counts the
process and all that it started.

    variate     TableVAE(seed=s), told which columns are categories; beijing_dt: told nothing
    tvae        ctgan's TVAE, 300 epochs                            needs --peer-python
    mostlyai    the mostlyai engine's TabularARGN                   needs --peer-python

A run of everything takes hours. With --folder it can be broken off and continued, and what is there
is not made again (--again names what is). One table of any origin is judged by

    python benchmarks/tables.py judge --set adult --synthetic ROWS.csv --metrics-python PYTHON
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from harness.arguments import parser
from harness.record import Record, ratios, summary
from harness.table_jobs import Failed, Jobs, judged
from harness.table_sets import DATES, SETS, TableSet, table_set
from harness.table_targets import TARGETS

METHODS = ("variate", "tvae", "mostlyai")
RIVAL = "mostlyai"  # whose CPU time is the measure
SHOWN = {  # the figures, and how many decimals of them are shown
    "shape_error": 2, "trend_error": 2, "trend_error_own_bins": 2, "trend_error_sdmetrics": 2,
    "downstream": 4, "downstream_gap": 4, "gbm_auc": 3, "xgb_detection": 3, "lr_detection": 3,
    "dcr_share": 3, "memorised": 2, "copies": 5, "invalid_rows_share": 5,
    "formats_or_types_changed": 0,
    "fit_cpu": 0, "fit_wall": 0, "cpu_of_mostlyai": 2, "rows_per_second": 0,
    "rows_per_cpu_second": 0, "peak_mib": 0,
}  # fmt: skip

Runs = dict[str, list[dict[str, Any]]]  # a method's figures and costs, a dictionary for each seed


def main() -> None:
    if sys.argv[1:2] == ["judge"]:
        judge(sys.argv[2:])
        return
    options = arguments()
    names = ("sets", "seeds", "peer_seeds", "methods", "threads", "epochs", "rows")
    record = Record("tables", {name: getattr(options, name) for name in names})
    record.head()
    tables = [table_set(options.data, name) for name in options.sets]
    with tempfile.TemporaryDirectory() as temporary:
        jobs = jobs_of(options, Path(temporary))
        for what in options.again:
            jobs.forget(what)
        runs, floors = everything(jobs, tables, options)
    for table in tables:
        report(record, table.name, runs[table.name], floors[table.name])
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    made.add_argument("--sets", type=words, default=(*SETS, DATES), help="the tables")
    made.add_argument("--seeds", type=int, default=3, help="how many seeds")
    made.add_argument("--peer-seeds", type=int, help="how many seeds of the peers (--seeds)")
    made.add_argument("--methods", type=words, default=METHODS, help="the methods")
    made.add_argument("--folder", type=Path, help="where to keep rows and figures, to continue")
    made.add_argument("--again", type=words, default=(), help="methods whose work in --folder is "
                      "stale, or `figures` for all judgements: these are made anew")  # fmt: skip
    made.add_argument("--peer-python", type=Path, help="python of the peers' environment")
    options = common(made, None)
    options.metrics_python = options.metrics_python or options.peer_python
    if options.metrics_python is None:
        made.error("give --peer-python, made from benchmarks/requirements-table-peers.txt")
    if unknown := set(options.methods) - set(METHODS):
        made.error(f"--methods knows {', '.join(METHODS)}, not {', '.join(sorted(unknown))}")
    if options.peer_python is None:
        print("tvae and mostlyai are skipped: no --peer-python")
        options.methods = ("variate",)
    options.epochs, options.rows = (1, 2_000) if options.quick else (None, None)
    options.seeds = list(range(1 if options.quick else options.seeds))
    options.peer_seeds = options.seeds[: options.peer_seeds]
    return options


def common(made: argparse.ArgumentParser, asked: list[str] | None) -> argparse.Namespace:
    """Add the options that both commands have, and parse."""
    made.add_argument("--metrics-python", type=Path, help="python that judges (the peers')")
    made.add_argument("--threads", type=int, default=2, help="threads of each method")
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="a folder that has tables/ ($VARIATE_DATA)")  # fmt: skip
    options = made.parse_args(asked)
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    options.data = Path(options.data).resolve()
    return options


def words(text: str) -> tuple[str, ...]:
    """A comma-separated list of names."""
    return tuple(text.split(","))


def judge(given: list[str]) -> None:
    """The command `judge`: the figures of one file of synthetic rows."""
    made = argparse.ArgumentParser(prog="tables.py judge", description="Judge a synthetic table.")
    made.add_argument("--set", required=True, help="the table that it stands in for")
    made.add_argument("--synthetic", required=True,
                      help="a CSV or Parquet file; `test`: the real test split")  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="of the folds and subsamples")
    made.add_argument("--details", action="store_true", help="also what is worst, and where")
    options = common(made, given)
    if options.metrics_python is None:
        made.error("give --metrics-python, made from benchmarks/requirements-table-peers.txt")
    rows = options.synthetic if options.synthetic == "test" else Path(options.synthetic).resolve()
    asked = {name: getattr(options, name) for name in ("seed", "threads", "details")}
    try:
        told = judged(options.metrics_python, options.data, options.set, str(rows), **asked)
    except Failed as failure:
        raise SystemExit(str(failure)) from None
    print(json.dumps(told, indent=1))


def jobs_of(options: argparse.Namespace, temporary: Path) -> Jobs:
    """Where and how jobs run; short runs and other numbers of threads are kept apart."""
    kind = "quick" if options.quick else "full"
    folder = (options.folder or temporary).resolve() / f"{kind}-{options.threads}-threads"
    folder.mkdir(parents=True, exist_ok=True)
    return Jobs(
        folder=folder,
        data=options.data,
        pythons=dict.fromkeys(METHODS, options.peer_python) | {"variate": Path(sys.executable)},
        metrics=options.metrics_python,
        threads=options.threads,
        epochs=options.epochs,
        rows=options.rows,
    )


def everything(
    jobs: Jobs, tables: list[TableSet], options: argparse.Namespace
) -> tuple[dict[str, Runs], dict[str, dict[str, Any]]]:
    """All runs and the noise floors, by table; the methods take turns, seed after seed."""
    floors = {table.name: jobs.floor(table) for table in tables}
    runs: dict[str, Runs] = {table.name: {} for table in tables}
    for seed in options.seeds:
        for table in tables:
            shown = options.methods if seed in options.peer_seeds else ["variate"]
            methods = [m for m in METHODS if m in shown]
            methods = methods[seed % len(methods) :] + methods[: seed % len(methods)]
            for method in methods if table.name != DATES else ["variate"]:
                try:
                    run = one(jobs, method, table, seed)
                except Failed as failure:
                    print(f"{table.name}, {method}, seed {seed} FAILED:\n{failure}", flush=True)
                    continue
                runs[table.name].setdefault(method, []).append(run)
    return runs, floors


def one(jobs: Jobs, method: str, table: TableSet, seed: int) -> dict[str, Any]:
    """The costs and figures of one job."""
    cost, told = jobs.made(method, table, seed), jobs.figures(method, table, seed)
    changed = {*cost["types_changed"], *told["formats_changed"]}
    run = told | {
        "seed": seed,
        "formats_or_types_changed": len(changed),
        "fit_cpu": cost["fit"]["cpu"],
        "fit_wall": cost["fit"]["wall"],
        "rows_per_second": cost["rows"] / cost["sample"]["wall"],
        "rows_per_cpu_second": cost["rows"] / cost["sample"]["cpu"],
        "peak_mib": cost["peak_bytes"] / 2**20,
        "version": cost["version"],
        "load": cost["load"][0],
    }
    run["downstream_gap"] = told["downstream_real"] - told["downstream"]
    print(
        f"{table.name}, {method}, seed {seed}: fit {run['fit_cpu']:.0f} CPU-s, "
        f"{run['fit_wall']:.0f} s; XGB detection {run['xgb_detection']:.3f}",
        flush=True,
    )
    return run


def report(record: Record, name: str, runs: Runs, floor: dict[str, Any]) -> None:
    """Print and record what was found of one table, and whether the promises hold."""
    against_rival(runs)
    figures = {
        method: {f: [run[f] for run in told] for f in SHOWN if f in told[0]}
        for method, told in runs.items()
    }
    rows = [
        [figure, *(spread(found.get(figure), digits) for found in figures.values()),
         spread([floor[figure]] if floor.get(figure) is not None else None, digits)]
        for figure, digits in SHOWN.items()
    ]  # fmt: skip
    print()
    record.table(
        f"{name}: mean (smallest..largest) of the seeds; the downstream score of the real "
        f"training split is {floor['downstream_real']:.4f}",
        ["figure", *figures, "noise floor"],
        rows,
    )
    ours = figures.get("variate", {})
    for target in TARGETS[name]:
        if target.figure in ours:
            what = f"{name}, {target.figure}, mean of {len(ours[target.figure])}"
            record.target(what, mean(ours[target.figure]), target.bound, least=target.least)
        else:
            print(f"target: {name}, {target.figure}: not measured")
    record.results[name] = {
        "noise_floor": floor,
        **{m: {f: {"mean": mean(v)} | summary(v) for f, v in found.items()}
           for m, found in figures.items()},
        "versions": {method: told[0]["version"] for method, told in runs.items()},
        "load_at_start": {method: [run["load"] for run in told] for method, told in runs.items()},
    }  # fmt: skip


def against_rival(runs: Runs) -> None:
    """Add the ratio of CPU times of the fit, seed by seed, where the rival ran on every seed."""
    rival = {run["seed"]: run["fit_cpu"] for run in runs.get(RIVAL, [])}
    for told in runs.values():
        if all(run["seed"] in rival for run in told):
            found = ratios([r["fit_cpu"] for r in told], [rival[r["seed"]] for r in told])
            for run, ratio in zip(told, found, strict=True):
                run["cpu_of_mostlyai"] = ratio


def spread(values: list[float] | None, digits: int) -> str:
    """A figure for people: `mean (smallest..largest)`."""
    if not values:
        return "-"
    middle, low, high = (f"{f(values):,.{digits}f}" for f in (mean, min, max))
    return f"{middle} ({low}..{high})" if len(values) > 1 else middle


if __name__ == "__main__":
    main()
