"""The memory that training from a file bigger than memory takes, and whether it learns the same.

First a Parquet file of mixed columns is written, about 5 GB, in row groups of pyarrow's default
size, and `variate fit FILE --minutes M` is run on it in a process of its own, whose largest
resident memory is read off (VmHWM, which counts the libraries too).

Then a small table of the same kind is fitted from a frame in memory and streamed from the file,
with the same seeds and budget, and both are measured on rows of another file. They see the same
rows in another order, so they may differ by what seeds differ by, and no more.

The files are deleted at the end.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow.parquet as pq
from harness.arguments import parser
from harness.machine import peak_bytes
from harness.mixed_table import DEFAULT_GROUP
from harness.record import Record, show, summary
from harness.timing import Stopwatch

HERE = Path(__file__).resolve().parent
VARIATE = Path(sys.executable).with_name("variate")
WAYS = ("memory", "streamed")


def main() -> None:
    options = arguments()
    names = ("gigabytes", "minutes", "megabytes", "seeds", "epochs", "batch", "group")
    record = Record("streaming_memory", {n: getattr(options, n) for n in names})
    record.head()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.gigabytes:
            big_file(record, options, Path(folder))
        if options.megabytes:
            same_result(record, options, Path(folder))
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0])
    made.add_argument("--gigabytes", type=float, default=5.0, help="size of the file; 0: skip")
    made.add_argument("--minutes", type=float, default=3.0, help="training budget on it")
    made.add_argument("--megabytes", type=float, default=300.0, help="the comparison; 0: skip")
    made.add_argument("--seeds", type=int, default=3, help="seeds of the comparison")
    made.add_argument("--epochs", type=float, default=0.25, help="epochs of the comparison")
    made.add_argument("--batch", type=int, default=1024, help="batch size of the comparison")
    made.add_argument("--group", type=int, default=DEFAULT_GROUP, help="rows of a row group")
    made.add_argument("--folder", type=Path, help="where the files go (a temporary folder)")
    options = made.parse_args()
    if options.quick:
        options.gigabytes, options.minutes = min(options.gigabytes, 0.25), 0.25
        options.megabytes, options.seeds = min(options.megabytes, 1.5), 2
        options.batch, options.epochs = 256, 1.0
    return options


def big_file(record: Record, options: argparse.Namespace, folder: Path) -> None:
    """Train from the big file, and report the peak."""
    file = folder / "big.parquet"
    writing = Stopwatch()
    rows = write_table(file, options.gigabytes * 1e3, 0, options.group)
    size = file.stat().st_size / 1e9
    columns = pq.read_schema(file).names
    print(f"wrote {size:.2f} GB, {rows:,} rows of {len(columns)} columns, in "
          f"{writing.taken().wall:.0f} s; as 8-byte numbers it is "
          f"{rows * len(columns) * 8 / 1e9:.1f} GB", flush=True)  # fmt: skip
    command = [str(VARIATE), "fit", str(file), "--minutes", str(options.minutes),
               "--out", str(folder / "big.variate"), "--quiet", "--json"]  # fmt: skip
    fitted = watched(command)
    facts = fitted["output"]
    peak = fitted["peak_bytes"] / 1e9
    record.table(
        f"variate fit of {size:.2f} GB, {options.minutes:g} minutes of training",
        ["figure", "value"],
        [
            ["peak resident memory, GB", f"{peak:.2f}"],
            ["file / peak", f"{size / peak:.1f}"],
            ["seconds in all", f"{fitted['wall']:.0f}"],
            ["CPU seconds in all", f"{fitted['cpu']:.0f}"],
            ["seconds of training", f"{facts['seconds']:.0f}"],
            ["steps", f"{facts['steps']:,}"],
            ["held-out ELBO, nats per row", f"{facts['held_out']['elbo']:.2f}"],
        ],
    )
    record.target("peak resident memory, GB", peak, 1.5, least=False)
    print()
    record.results["big file"] = {
        "gigabytes": size, "rows": rows, "columns": len(columns), "peak_gb": peak,
        "wall": fitted["wall"], "cpu": fitted["cpu"], "facts": public(facts),
    }  # fmt: skip
    file.unlink()


def public(facts: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of a fit's facts: nothing that names a place on this machine."""
    return {name: fact for name, fact in facts.items() if name not in ("source", "model")}


def same_result(record: Record, options: argparse.Namespace, folder: Path) -> None:
    """Fit in memory and streamed, seed by seed, and compare held-out figures."""
    train, test = folder / "train.parquet", folder / "test.parquet"
    rows = write_table(train, options.megabytes, 1, options.group)
    write_table(test, 0.5, 2)
    print(f"comparing on {train.stat().st_size / 1e6:.0f} MB, {rows:,} rows", flush=True)
    told: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        for way in WAYS:
            numbers = (str(number) for number in (seed, options.epochs, options.batch))
            command = [sys.executable, "-m", "harness.table_fit", way, str(train), str(test)]
            fitted = watched([*command, *numbers])
            told[way].append(fitted["output"] | {"peak_gb": fitted["peak_bytes"] / 1e9})
    elbos = {way: [run["elbo"] for run in runs] for way, runs in told.items()}
    gaps = [s - m for s, m in zip(elbos["streamed"], elbos["memory"], strict=True)]
    record.table(
        f"{options.seeds} seeds, {options.epochs:g} epochs, batch {options.batch}",
        ["rows come from", "held-out ELBO", "seconds", "CPU seconds", "peak GB"],
        [[way, *(show([run[name] for run in told[way]], digits) for name, digits in
                 (("elbo", 3), ("wall", 0), ("cpu", 0), ("peak_gb", 2)))] for way in WAYS],
    )  # fmt: skip
    record.results["same result"] = {
        "megabytes": train.stat().st_size / 1e6, "rows": rows,
        "difference": summary(gaps),
        **{way: {name: summary([run[name] for run in runs]) for name in runs[0]}
           for way, runs in told.items()},
    }  # fmt: skip
    if options.seeds > 1:
        noise = math.sqrt((stdev(elbos["memory"]) ** 2 + stdev(elbos["streamed"]) ** 2) / len(gaps))
        print(f"  streamed - memory: {mean(gaps):+.3f} nats; seeds alone would give ± {noise:.3f}")
        what = "|streamed - memory| in standard errors of the seeds"
        record.target(what, abs(mean(gaps)) / noise, 3.0, least=False)


def write_table(file: Path, megabytes: float, seed: int, group: int = DEFAULT_GROUP) -> int:
    """Write a table in a process of its own, so that its memory is not this one's."""
    command = [sys.executable, "-m", "harness.mixed_table", str(file), str(megabytes), str(seed)]
    said = subprocess.run(
        [*command, str(group)], cwd=HERE, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(said.stdout)


def watched(command: list[str]) -> dict[str, Any]:
    """Run a command that prints one JSON object; also its peak memory and its time."""
    before = os.times()
    watch = Stopwatch()
    peak = 0
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, peak_bytes(process.pid))
            time.sleep(0.05)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} … failed with status {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user
    return {
        "output": json.loads(output.strip().splitlines()[-1]),
        "peak_bytes": peak,
        "wall": watch.taken().wall,
        "cpu": cpu - before.children_system,
    }


if __name__ == "__main__":
    main()
