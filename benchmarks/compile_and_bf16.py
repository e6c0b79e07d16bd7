"""Where torch.compile and bfloat16 pay on this machine, their start-up time counted.

Four ways of running the same training (variate's loop, MLP VAE 784-512-256-z16) take turns:
float32 and bfloat16, each plain and compiled. Three questions:

    speed       items per second once it runs: all steps after the tenth, validations left out
    start-up    seconds of a run that are not such steps, beyond what plain float32 needs;
                cold with an empty compiler cache, warm with the cache of an earlier process
    same?       held-out ELBO after the same steps from the same seeds: the mean difference to
                plain float32, in nats, and its standard error over the seeds

It pays from the break-even time on, t = start-up / (1 - speed of plain float32 / its own speed).
"""

import argparse
import math
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from harness.arguments import integers, parser
from harness.images import binary_images
from harness.machine import cores
from harness.record import Record, ratios, show, summary
from harness.workers import Worker, images_file

WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "float32, compiled": {"compile": True},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
}
PLAIN = "float32"
LOOP = "harness.ours:run"
WARM_UP = 10  # steps


def main() -> None:
    options = arguments()
    name, train, held_out = binary_images(options.data, options.rows)
    names = ("batches", "threads", "rows", "epochs", "rounds")
    record = Record("compile_and_bf16", {"data": name} | {n: getattr(options, n) for n in names})
    record.head()
    if "avx512_bf16" not in record.machine["flags"] and "amx_bf16" not in record.machine["flags"]:
        print(
            "this CPU has no bfloat16 arithmetic (avx512_bf16, amx_bf16): expect bfloat16 to lose"
        )
    with tempfile.TemporaryDirectory() as folder:
        data = images_file(folder, train, held_out)
        for threads in options.threads:
            for batch in options.batches:
                measure(record, data, options, batch, threads)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--batches", type=integers, default=(100, 512), help="batch sizes")
    made.add_argument("--threads", type=integers, default=(cores(),), help="numbers of threads")
    made.add_argument("--rows", type=int, default=30_000, help="training images")
    made.add_argument("--epochs", type=int, default=3, help="epochs of a run")
    made.add_argument("--rounds", type=int, default=3, help="rounds, each with its own seed")
    options = made.parse_args()
    if options.quick:
        options.rows, options.epochs, options.rounds = min(options.rows, 6_000), 2, 2
        options.batches, options.threads = options.batches[-1:], (1,)
    return options


def measure(
    record: Record, data: Path, options: argparse.Namespace, batch: int, threads: int
) -> None:
    asked = {"batch": batch, "threads": threads, "rows": options.rows, "epochs": options.epochs}
    cold: dict[str, dict[str, Any]] = {}
    warm: dict[str, dict[str, Any]] = {}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as cache, ExitStack() as stack:
        workers = {}
        for way, own in WAYS.items():
            place = {"TORCHINDUCTOR_CACHE_DIR": str(Path(cache) / way.replace(", ", "-"))}
            with Worker(sys.executable, LOOP, data, place) as first:
                cold[way] = first.run(**asked, **own, seed=0)
            workers[way] = stack.enter_context(Worker(sys.executable, LOOP, data, place))
            warm[way] = workers[way].run(**asked, **own, seed=0)
        for turn in range(options.rounds):
            for way, worker in workers.items():
                runs[way].append(worker.run(**asked, **WAYS[way], seed=1 + turn))
    report(record, f"batch {batch}, threads {threads}", batch, cold, warm, runs)


def seconds_per_step(run: dict[str, Any], time: int = 0) -> float:
    """The mean step once it runs; `time` is 0 for wall, 1 for CPU."""
    return mean(step[time] for step in run["steps"][WARM_UP:])


def overhead(run: dict[str, Any], step: float) -> float:
    """Seconds from the call to the end that were not steps."""
    return run["total"] - step * len(run["steps"])


def break_even(startup: float, ratio: float) -> float:
    """Seconds of training after which so many times the speed has won back the start-up."""
    return max(startup, 0.0) / (1 - 1 / ratio) if ratio > 1 else math.inf


def report(
    record: Record,
    where: str,
    batch: int,
    cold: dict[str, dict[str, Any]],
    warm: dict[str, dict[str, Any]],
    runs: dict[str, list[dict[str, Any]]],
) -> None:
    steps = {way: median(seconds_per_step(run) for run in told) for way, told in runs.items()}
    startup = {
        way: [
            overhead(of[way], steps[way]) - overhead(of[PLAIN], steps[PLAIN]) for of in (cold, warm)
        ]
        for way in WAYS
    }
    rows, results = [], {}
    for way, told in runs.items():
        speed = [[batch / seconds_per_step(run, time) for run in told] for time in range(2)]
        plain = [[batch / seconds_per_step(run, time) for run in runs[PLAIN]] for time in range(2)]
        wall, cpu = (ratios(a, b) for a, b in zip(speed, plain, strict=True))
        gaps = [a["elbo"] - b["elbo"] for a, b in zip(told, runs[PLAIN], strict=True)]
        error = stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
        pays = [break_even(seconds, median(wall)) for seconds in startup[way]]
        when = ["–", "–"] if way == PLAIN else [_minutes(t) for t in pays]
        rows.append([
            way, show(speed[0], 0), show(wall), show(cpu),
            *(f"{seconds:.1f}" for seconds in startup[way]), *when,
            f"{mean(run['elbo'] for run in told):.2f}", f"{mean(gaps):+.2f} ± {error:.2f}",
        ])  # fmt: skip
        results[way] = {
            "items_per_second": summary(speed[0]), "items_per_cpu_second": summary(speed[1]),
            "ratio_wall": summary(wall), "ratio_cpu": summary(cpu),
            "startup_cold": startup[way][0], "startup_warm": startup[way][1],
            "break_even_cold": _finite(pays[0]), "break_even_warm": _finite(pays[1]),
            "elbo": summary([run["elbo"] for run in told]), "elbo_difference": summary(gaps),
            "elbo_standard_error": _finite(error),
        }  # fmt: skip
    record.table(
        f"{where}: median (min..max) over the rounds; ratios and differences to plain float32",
        ["way", "items/s", "ratio wall", "ratio CPU", "start-up cold s", "warm s",
         "pays after, cold", "warm", "ELBO", "difference"],
        rows,
    )  # fmt: skip
    seeds = [run["elbo"] for run in runs[PLAIN]]
    if len(seeds) > 1:
        print(f"  plain float32 alone varies by {stdev(seeds):.2f} nats from seed to seed\n")
    record.results[where] = results


def _minutes(seconds: float) -> str:
    if seconds == 0:
        return "at once"
    return f"{seconds / 60:.1f} min" if math.isfinite(seconds) else "never"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main()
