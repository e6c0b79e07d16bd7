"""Which share of a run goes into its checkpoints.

Runs with checkpoints and runs without take turns, each under the same budget of seconds, for the
network 784-512-256-z16 and for a wide one. The checkpoints are asked for as often as the loop ever
writes them (`checkpoint_seconds=0`: it still keeps a distance of fifty times what one costs). The
default, one a minute, costs less; what it would cost is worked out from the seconds of one.

    share        seconds (wall, CPU) between the event before a checkpoint and its own / the run's
    items/s      with and without, which also holds what the writing costs the steps after it
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from harness import ours
from harness.arguments import parser
from harness.images import binary_images
from harness.loops import Job
from harness.network import HIDDEN
from harness.record import Record, ratios, show, summary

WIDE = (2048, 1024)
DEFAULT_SECONDS = 60.0


def main() -> None:
    options = arguments()
    name, train, held_out = binary_images(options.data, options.rows)
    described = {n: getattr(options, n) for n in ("rows", "batch", "seconds", "rounds", "threads")}
    record = Record("checkpoint_cost", {"data": name} | described)
    record.head()
    torch.set_num_threads(options.threads)
    images = (torch.from_numpy(part).float() for part in (train, held_out))
    job = Job(*images, batch=options.batch, epochs=None, seed=0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for hidden in (HIDDEN,) if options.quick else (HIDDEN, WIDE):
            report(record, hidden, *measure(job, hidden, options, Path(folder)))
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--rows", type=int, default=60_000, help="training images")
    made.add_argument("--batch", type=int, default=512, help="batch size")
    made.add_argument("--seconds", type=float, default=60.0, help="the budget of a run")
    made.add_argument("--rounds", type=int, default=2, help="rounds")
    made.add_argument("--threads", type=int, default=1, help="threads")
    made.add_argument("--folder", type=Path, help="where the checkpoints go (a temporary folder)")
    options = made.parse_args()
    if options.quick:
        options.rows, options.seconds, options.rounds = min(options.rows, 6_000), 8.0, 1
    return options


Runs = list[dict[str, Any]]


def measure(
    job: Job, hidden: tuple[int, int], options: argparse.Namespace, folder: Path
) -> tuple[Runs, Runs]:
    """Runs without checkpoints, and with as many as the loop allows."""
    without: Runs = []
    writing: Runs = []
    minutes = options.seconds / 60
    for _ in range(options.rounds):
        without.append(ours.run(job, hidden=hidden, minutes=minutes))
        file = folder / "run.checkpoint"
        writing.append(
            ours.run(job, hidden=hidden, minutes=minutes, checkpoint=file, checkpoint_seconds=0.0)
        )
        file.unlink(missing_ok=True)
    return without, writing


def report(record: Record, hidden: tuple[int, int], without: Runs, writing: Runs) -> None:
    where = f"{hidden[0]}-{hidden[1]}, {writing[0]['parameters'] / 1e6:.1f} million parameters"
    saves = [save for run in writing for save in run["saves"]]
    if not saves:
        print(f"{where}: no checkpoint was due in {writing[0]['total']:.0f} s; give more --seconds")
        return
    shares = [
        [sum(save[time] for save in run["saves"]) / run[name] for run in writing]
        for time, name in enumerate(("wall", "cpu"))
    ]
    one = [mean(save[time] for save in saves) for time in range(2)]
    speeds = [[run["items"] / run["wall"] for run in runs] for runs in (without, writing)]
    megabytes = writing[0]["saved_bytes"] / 1e6
    counts = [float(len(run["saves"])) for run in writing]
    rows = [
        ["checkpoints of a run", show(counts, 0)],
        ["megabytes of one", f"{megabytes:.1f}"],
        ["milliseconds of one, wall", f"{one[0] * 1e3:.0f}"],
        ["milliseconds of one, CPU", f"{one[1] * 1e3:.0f}"],
        ["share of the run, wall, %", show(shares[0], 2, 100)],
        ["share of the run, CPU, %", show(shares[1], 2, 100)],
        ["share at one a minute, wall, %", f"{one[0] / DEFAULT_SECONDS * 100:.3f}"],
        ["items/s without", show(speeds[0], 0)],
        ["items/s with", show(speeds[1], 0)],
        ["with / without", show(ratios(speeds[1], speeds[0]), 3)],
    ]
    record.table(where, ["figure", "median (min..max)"], rows)
    for name, share in zip(("wall", "CPU"), shares, strict=True):
        what = f"share of the run, as often as it can, {where}, {name}"
        record.target(what, median(share), 0.02, least=False)
    print()
    record.results[where] = {
        "checkpoints": counts, "megabytes": megabytes,
        "seconds_of_one_wall": one[0], "seconds_of_one_cpu": one[1],
        "share_wall": summary(shares[0]), "share_cpu": summary(shares[1]),
        "share_at_default": one[0] / DEFAULT_SECONDS,
        "items_per_second_without": summary(speeds[0]),
        "items_per_second_with": summary(speeds[1]),
    }  # fmt: skip


if __name__ == "__main__":
    main()
