"""Which share of the machine's matrix-multiply ceiling the training of an MLP VAE reaches.

The ceiling is the fastest matrix product found in the same run: of 2048 x 2048 matrices, and of
each of the 17 products that one training step of the network (784-512-256-z16) consists of, in
float32 and in bfloat16. The work of a training step counts those 17 products only (5.66 MFLOP per
item); whatever else a step does (sampling, losses, Adam, moving average, validations) is what
keeps the share below one.

    variate, steps  its loop with everything on but the validations; `whole` has them too
    share           FLOP/s of training / the ceiling of the same precision
    products alone  the share that the 17 products would reach if they were all there is

Ceilings and trainings take turns in one process. Where others use the machine, trust the shares of
CPU time more than those of wall time.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from harness import loops, ours
from harness.arguments import integers, parser
from harness.images import binary_images
from harness.network import flops_per_item, products
from harness.record import Record, ratios, show, summary
from harness.timing import Stopwatch, Taken

LARGE = (2048, 2048, 2048)
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    options = arguments()
    name, train, held_out = binary_images(options.data, options.rows, options.rows // 30)
    described = {"data": name, "batch": options.batch, "threads": options.threads,
                 "rows": options.rows, "rounds": options.rounds}  # fmt: skip
    record = Record("matmul_share", described)
    record.head()
    job = loops.Job(
        torch.from_numpy(train).float(), torch.from_numpy(held_out).float(), options.batch, 1, 0
    )
    for threads in options.threads:
        torch.set_num_threads(threads)
        report(record, measure(job, options), options, threads)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--batch", type=int, default=512, help="batch size")
    made.add_argument("--threads", type=integers, default=(1, 2), help="numbers of threads")
    made.add_argument("--rows", type=int, default=60_000, help="training images of a run")
    made.add_argument("--rounds", type=int, default=5, help="rounds, after one to warm up")
    made.add_argument("--slice", type=float, default=0.1, help="seconds for one product's speed")
    options = made.parse_args()
    if options.quick:
        options.rows, options.rounds, options.slice = min(options.rows, 6_000), 2, 0.03
        options.threads = (1,)
    return options


Rates = dict[str, dict[str, list[Any]]]


def measure(job: loops.Job, options: argparse.Namespace) -> Rates:
    """By precision: GFLOP/s (wall, CPU) of the ceiling, of the products together, of trainings."""
    trainings: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
        "float32": {"variate": lambda: ours.run(job), "minimal": lambda: loops.minimal(job)},
        "bfloat16": {"variate": lambda: ours.run(job, precision="bfloat16")},
    }
    found: Rates = {precision: {} for precision in trainings}
    for turn in range(options.rounds + 1):
        for precision, runs in trainings.items():
            of_turn = {}
            of_turn["ceiling"], of_turn["products alone"] = ceiling(
                TYPES[precision], options.batch, options.slice
            )
            for loop, run in runs.items():
                told = run()
                if loop == "variate":
                    of_turn["variate, whole"] = speed(told)
                    loop, told = "variate, steps", ours.without_validations(told)
                of_turn[loop] = speed(told)
            for what, rate in of_turn.items():
                if turn > 0:
                    found[precision].setdefault(what, []).append(rate)
    return found


def speed(run: dict[str, Any]) -> Taken:
    """GFLOP/s of a training, counting its matrix products alone."""
    work = run["items"] * flops_per_item() / 1e9
    return Taken(work / run["wall"], work / run["cpu"])


def ceiling(dtype: torch.dtype, batch: int, seconds: float) -> tuple[Taken, Taken]:
    """GFLOP/s of the fastest product, and of all products of a step done one after the other."""
    shapes = products(batch)
    each = {shape: _seconds(shape, dtype, seconds) for shape in {*shapes, LARGE}}
    rates = {shape: [_work(shape) / t for t in taken] for shape, taken in each.items()}
    best = Taken(*(max(column) for column in zip(*rates.values(), strict=True)))
    work = sum(_work(shape) for shape in shapes)
    together = Taken(*(work / sum(each[shape][i] for shape in shapes) for i in range(2)))
    return best, together


def _work(shape: tuple[int, int, int]) -> float:
    m, k, n = shape
    return 2 * m * k * n / 1e9


def _seconds(shape: tuple[int, int, int], dtype: torch.dtype, seconds: float) -> Taken:
    """Seconds of one product of this shape: the fastest of several slices of time."""
    m, k, n = shape
    a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
    out = torch.empty(m, n, dtype=dtype)
    once = Stopwatch()
    torch.mm(a, b, out=out)
    repeats = max(1, int(seconds / 4 / max(once.taken().wall, 1e-6)))
    slices = []
    for _ in range(4):
        watch = Stopwatch()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        slices.append(watch.taken())
    return Taken(*(min(column) / repeats for column in zip(*slices, strict=True)))


def report(record: Record, found: Rates, options: argparse.Namespace, threads: int) -> None:
    plural = "thread" if threads == 1 else "threads"
    rows, results = [], {}
    for precision, rates in found.items():
        for what, taken in rates.items():
            columns = [list(column) for column in zip(*taken, strict=True)]
            tops = [list(column) for column in zip(*rates["ceiling"], strict=True)]
            shares = [ratios(a, b) for a, b in zip(columns, tops, strict=True)]
            rows.append([f"{precision} {what}", *(show(c, 0) for c in columns),
                         *(show(s) for s in shares)])  # fmt: skip
            results[f"{precision} {what}"] = {
                "gflops_wall": summary(columns[0]), "gflops_cpu": summary(columns[1]),
                "share_wall": summary(shares[0]), "share_cpu": summary(shares[1]),
            }  # fmt: skip
    record.table(
        f"batch {options.batch}, {threads} {plural}: median (min..max)",
        ["", "GFLOP/s", "GFLOP/CPU-s", "share wall", "share CPU"],
        rows,
    )
    for time in ("wall", "cpu"):
        share = results["float32 variate, steps"][f"share_{time}"]["median"]
        what = f"share of the float32 ceiling, {threads} {plural}, {time} time"
        record.target(what, share, 0.70, least=True)
    print()
    record.results[f"{threads} {plural}"] = results


if __name__ == "__main__":
    main()
