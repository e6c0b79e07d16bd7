"""How fast variate's training loop is, against loops written by hand and against peers.

All train the same network (`MLP`: 784-512-256-z16, Bernoulli, 1.08 million parameters; `conv`: two
convolutions to 64 maps, 256, z16, and the way back) on the same binary images in batches of the
same size, in processes of their own that take turns, round after round.

    variate, steps    everything on as by default, validations left out: the promise is on this
    variate, whole    the same runs with the validations, of a thirtieth as many images: four in a
                      run of one epoch, the most that the loop makes in proportion to its steps
    variate, bf16     the whole runs with the networks' products in bfloat16
    minimal           hand-written: batches by index, fused Adam, nothing else; the measure (1.0)
    minimal, Adam     the same with Adam as it comes
    examples          the loop of pytorch/examples/vae: DataLoader, .item(), a test per epoch
    pythae            its BaseTrainer                                       needs --peer-python
    lightning         a LightningModule that logs as PyTorch-VAE does       needs --peer-python

The column `ELBO` is held-out, in nats, after so few epochs: it shows that all of them do train.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from harness.arguments import integers, parser
from harness.images import binary_images
from harness.network import LAYERS
from harness.ours import without_validations
from harness.record import Record, ratios, show, summary
from harness.workers import Worker, images_file

OWN = {
    "variate": "harness.ours:run",
    "variate, bf16": "harness.ours:run_bfloat16",
    "minimal": "harness.loops:minimal",
    "minimal, Adam": "harness.loops:minimal_default_adam",
    "examples": "harness.loops:examples",
}
PEERS = {
    "pythae": "harness.pythae_peer:base_trainer",
    "lightning": "harness.lightning_peer:trainer",
}
TIMES = ("wall", "cpu")
# What is asked for beside pythae in CPU time: by network, batch and loop.
TARGETS = {
    ("MLP", 100, "variate, whole"): 1.7,
    ("MLP", 512, "variate, bf16"): 2.8,
    ("conv", 100, "variate, bf16"): 1.6,
    ("conv", 512, "variate, bf16"): 1.6,
}


def main() -> None:
    options = arguments()
    name, train, held_out = binary_images(options.data, options.rows, options.rows // 30)
    record = Record("step_throughput", describe(options, name))
    record.head()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = images_file(folder, train, held_out)
        workers = {
            loop: stack.enter_context(Worker(python, code, data))
            for python, loops in interpreters(options.peer_python).items()
            for loop, code in loops.items()
        }
        record.options["torch"] = {loop: worker.torch for loop, worker in workers.items()}
        for network, threads, batch in product(options.networks, options.threads, options.batches):
            runs = measure(workers, options, network, batch, threads)
            whole = runs.pop("variate")
            steps = [without_validations(run) for run in whole]
            both = {"variate, steps": steps, "variate, whole": whole}
            report(record, both | runs, network, batch, threads)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--peer-python", type=Path, help="python of the peers' environment")
    made.add_argument("--networks", nargs="+", choices=tuple(LAYERS), default=tuple(LAYERS))
    made.add_argument("--batches", type=integers, default=(100, 512), help="batch sizes")
    made.add_argument("--threads", type=integers, default=(1, 2), help="numbers of threads")
    made.add_argument("--rows", type=int, default=60_000, help="training images")
    made.add_argument("--epochs", type=int, default=1, help="epochs of a run")
    made.add_argument("--rounds", type=int, default=5, help="rounds, after one to warm up")
    options = made.parse_args()
    if options.quick:
        options.rows, options.rounds, options.threads = min(options.rows, 6_000), 2, (1,)
    return options


def describe(options: argparse.Namespace, data: str) -> dict[str, Any]:
    names = ("networks", "batches", "threads", "rows", "epochs", "rounds")
    return {"data": data} | {name: getattr(options, name) for name in names}


def interpreters(peer: Path | None) -> dict[str, dict[str, str]]:
    """Which loops run in which interpreter; the peers' are left out where there is none."""
    if peer is None or not peer.exists():
        why = "no --peer-python" if peer is None else f"there is no {peer}"
        print(f"pythae and lightning are skipped: {why} (benchmarks/requirements-peers.txt)\n")
        return {sys.executable: OWN}
    return {sys.executable: OWN, str(peer): PEERS}


def measure(
    workers: dict[str, Worker],
    options: argparse.Namespace,
    network: str,
    batch: int,
    threads: int,
) -> dict[str, list[dict[str, Any]]]:
    """The runs of every loop, in rounds: each loop once per round, in a rotated order."""
    runs: dict[str, list[dict[str, Any]]] = {loop: [] for loop in workers}
    loops = list(workers)
    for turn in range(options.rounds + 1):
        for loop in loops[turn % len(loops) :] + loops[: turn % len(loops)]:
            told = workers[loop].run(
                batch=batch, epochs=options.epochs, rows=options.rows, seed=turn, threads=threads,
                network=network,
            )  # fmt: skip
            if turn > 0:
                runs[loop].append(told)
    parameters = {loop: told[0]["parameters"] for loop, told in runs.items()}
    assert len(set(parameters.values())) == 1, f"the networks differ: {parameters}"
    return runs


def speeds(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list[float]]]:
    """Items per second of wall and of CPU time, by loop."""
    return {
        loop: {time: [run["items"] / run[time] for run in told] for time in TIMES}
        for loop, told in runs.items()
    }


def report(
    record: Record, runs: dict[str, list[dict[str, Any]]], network: str, batch: int, threads: int
) -> None:
    found = speeds(runs)
    against = {
        loop: {t: ratios(speed[t], found["minimal"][t]) for t in TIMES}
        for loop, speed in found.items()
    }
    elbos = {loop: [run["elbo"] for run in told] for loop, told in runs.items()}
    rows = [
        [loop, *(show(found[loop][t], 0) for t in TIMES),
         *(show(against[loop][t]) for t in TIMES), show([median(elbos[loop])], 1)]
        for loop in found
    ]  # fmt: skip
    plural = "thread" if threads == 1 else "threads"
    record.table(
        f"{network}, batch {batch}, {threads} {plural}: median (min..max) of the rounds",
        ["loop", "items/s", "items/CPU-s", "ratio wall", "ratio CPU", "ELBO"],
        rows,
    )
    for peer in ("examples", *PEERS):
        for loop in ("variate, whole", "variate, bf16"):
            if peer in found:
                ours = ratios(found[loop]["cpu"], found[peer]["cpu"])
                print(f"  {loop} / {peer}: {show(ours)} in CPU time")
                least = TARGETS.get((network, batch, loop))
                if peer == "pythae" and least and threads == 1:
                    what = f"{loop} / pythae, {network}, batch {batch}, CPU time"
                    record.target(what, median(ours), least, least=True)
    for loop in ("variate, steps", "variate, whole"):
        for time in TIMES:
            what = f"{loop} / minimal, {network}, batch {batch}, {threads} {plural}, {time} time"
            record.target(what, median(against[loop][time]), 0.95, least=True)
    print()
    record.results[f"{network}, batch {batch}, {threads} {plural}"] = {
        loop: {
            "items_per_second": summary(found[loop]["wall"]),
            "items_per_cpu_second": summary(found[loop]["cpu"]),
            "ratio_to_minimal_wall": summary(against[loop]["wall"]),
            "ratio_to_minimal_cpu": summary(against[loop]["cpu"]),
            "held_out_elbo": summary(elbos[loop]),
        }
        for loop in found
    }


if __name__ == "__main__":
    main()
