"""How likely are digits and photographs under a hierarchy of latents, after so much time?

    mnist   made binary anew each time an image is seen; the test images by a fixed seed; nats
    cifar   8-bit colour, mirrored by chance in training; bits per dimension

A ladder of convolutions (`vt.image_ladder`) is trained by `vt.train`: free bits by the group that
fade away, warm-up of the KL, steps of unusual gradients skipped, averaged weights, the best of them
by 500 training images that are held out. On a CPU the budget is CPU time, by as many epochs as the
machine's speed allows; on a GPU it is wall time.

`--tune M` goes on for M minutes with the importance-weighted bound of `--tune-draws` draws as the
objective (Burda et al. 2016): what the figure is, too.

The figure is the importance-weighted bound with `--draws` draws of each of `--items` test images,
and -ELBO from the same draws. `--save FILE` keeps the weights, `--load FILE` measures them again
(with more draws, on another machine) without training.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from harness import natural
from harness.arguments import parser
from harness.record import Record
from harness.timing import Stopwatch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import variate as vt
from variate.training.augment import AugmentedSource
from variate.training.batches import MemorySource

HELD_OUT = 500  # training images by which weights are chosen
TRIED, UNTIMED = 40, 5  # steps from which the speed is taken, after some that are slower


class Shape(NamedTuple):
    """What a hierarchy is made of."""

    groups: tuple[int, ...]
    width: int
    latent: int


SHAPES = {
    ("mnist", "cpu"): Shape((0, 2, 2), 32, 8),
    ("mnist", "cuda"): Shape((0, 5, 6), 64, 16),
    ("cifar", "cpu"): Shape((1, 3, 3), 64, 8),
    ("cifar", "cuda"): Shape((2, 5, 5), 128, 16),
}
TARGETS = {  # by the set and the device: the minutes (of one core, or of a GPU) and the figure
    ("mnist", "cpu"): ((60.0, 84.5), (480.0, 81.0)),
    ("mnist", "cuda"): ((20.0, 78.5),),
    ("cifar", "cpu"): ((120.0, 4.4),),
    ("cifar", "cuda"): ((25.0, 3.4),),
}


def main() -> None:
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    load = natural.digits if options.set == "mnist" else natural.photographs
    name, train, test = load(options.data)
    if options.set == "mnist":
        name = f"{name}, dynamic"
        test = natural.dynamic(test, torch.Generator().manual_seed(0))
    test = test[: options.items]
    record = Record(f"hierarchies_{options.set}", described(options, name))
    record.head()
    trained = recalled(options, device) if options.load else learned(options, train, device)
    if options.tune:
        trained |= tuned(options, trained["model"], train, device)
    if options.save:
        keep(options, trained)
    record.results = trained | measured(options, trained.pop("model"), test.to(device))
    unit = "nats" if options.set == "mnist" else "bits/dim"
    rows = [[k, f"{v:,.4g}"] for k, v in record.results.items() if isinstance(v, float | int)]
    record.table(f"{len(test)} test images of {name}, {unit}", ["", ""], rows)
    for minutes, bound in TARGETS[options.set, device.type]:
        if options.minutes + options.tune <= minutes:
            what = f"{options.set} on {device.type} within {minutes:g} minutes, {unit}"
            record.target(what, record.results["nll"], bound, least=False)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--set", choices=("mnist", "cifar"), default="mnist")
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--minutes", type=float, default=30.0, help="of CPU or of wall time on a GPU")
    made.add_argument("--groups", type=lambda s: tuple(map(int, s.split(","))), help="by size")
    made.add_argument("--width", type=int)
    made.add_argument("--latent", type=int)
    made.add_argument("--batch", type=int, default=128)
    made.add_argument("--rate", type=float, default=2e-3, help="the learning rate")
    made.add_argument("--free", type=float, default=0.5, help="nats free in each group at first")
    made.add_argument("--decay", type=float, default=0.0, help="weight decay")
    made.add_argument("--tune", type=float, default=0.0, help="minutes of it after that")
    made.add_argument("--tune-draws", type=int, default=5)
    made.add_argument("--tune-rate", type=float, default=5e-4, help="the learning rate of it")
    made.add_argument("--precision", default="auto")
    made.add_argument("--compile", action="store_true")
    made.add_argument("--threads", type=int, help="of the CPU")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--items", type=int, default=10_000, help="test images that are measured")
    made.add_argument("--draws", type=int, default=1_000, help="posterior draws of each")
    made.add_argument("--rows", type=int, default=100, help="images measured at once")
    made.add_argument("--chunk", type=int, default=25, help="draws measured at once")
    made.add_argument("--save", type=Path, help="where the weights are kept")
    made.add_argument("--load", type=Path, help="weights that were kept: measure, do not train")
    options = made.parse_args()
    shape = SHAPES[options.set, options.device.partition(":")[0]]
    for part, value in shape._asdict().items():
        if getattr(options, part) is None:
            setattr(options, part, value)
    if options.quick:
        options.minutes, options.items, options.draws = 0.1, 100, 10
    return options


def described(options: argparse.Namespace, name: str) -> dict[str, Any]:
    told = {k: v for k, v in vars(options).items() if k not in {"data", "out", "save", "load"}}
    return {"data": name} | told


def network(options: argparse.Namespace) -> nn.Module:
    torch.manual_seed(options.seed)
    digits = options.set == "mnist"
    size = (28, 28) if digits else (32, 32)
    head = (
        vt.pixels.BernoulliPixels(1, 2)
        if digits
        else vt.pixels.LogisticMixturePixels(3, 256, components=5)
    )
    channels, levels = (1, 2) if digits else (3, 256)
    model = vt.image_ladder(
        channels, size, head, levels=levels, groups=options.groups, width=options.width,
        latent=options.latent,
    )  # fmt: skip
    model(torch.zeros(2, channels, *size, dtype=torch.uint8))
    return model.to(memory_format=torch.channels_last)


def learned(options: argparse.Namespace, train: Tensor, device: torch.device) -> dict[str, Any]:
    """Train by the ELBO: the model and what is to be said of it."""
    objective = vt.objectives.GroupFreeBits(
        vt.objectives.Fade(options.free, 0.5), vt.objectives.WarmUp(1.0, 0.1)
    )
    model = network(options)
    told = _trained(options, model, objective, train, device, options.minutes, options.rate)
    return told | {"parameters": sum(p.numel() for p in model.parameters()), "model": model}


def tuned(
    options: argparse.Namespace, model: nn.Module, train: Tensor, device: torch.device
) -> dict[str, Any]:
    """Go on by the importance-weighted bound: what is to be said of that."""
    objective = vt.objectives.IWAE(options.tune_draws)
    told = _trained(options, model, objective, train, device, options.tune, options.tune_rate)
    return {f"tuning_{name}": value for name, value in told.items()}


def _trained(
    options: argparse.Namespace, model: nn.Module, objective: nn.Module, train: Tensor,
    device: torch.device, minutes: float, rate: float,
) -> dict[str, Any]:  # fmt: skip
    change = natural.dynamic if options.set == "mnist" else natural.mirrored
    train, validation = train[:-HELD_OUT], train[-HELD_OUT:]
    if options.set == "mnist":
        validation = natural.dynamic(validation, torch.Generator().manual_seed(2))
    source = AugmentedSource(MemorySource(train.to(device)), change)
    budget: dict[str, Any] = {"minutes": minutes}
    if device.type == "cpu":
        seconds = _seconds_of_an_epoch(options, objective, source)
        budget = {"epochs": 60 * minutes / seconds}
    watch, said = Stopwatch(), time.monotonic()
    budget |= {"validation": validation, "learning_rate": rate}
    for event in _events(options, model, objective, source, budget):
        if isinstance(event, vt.training.Validated) and time.monotonic() - said > 20:
            print(f"{event.progress:.3f} {event.seconds:.0f} s {event.figure:.3f}", flush=True)
            said = time.monotonic()
    assert isinstance(event, vt.training.Finished)
    told = {
        "steps": event.step,
        "epochs": event.step * options.batch / len(train),
        "cpu_seconds": event.cpu_seconds,
        "wall_seconds": watch.taken().wall,
        "images_per_cpu_second": event.step * options.batch / event.cpu_seconds,
        "images_per_second": event.step * options.batch / event.seconds,
    }
    print(told, flush=True)
    return told


def _events(
    options: argparse.Namespace, model: nn.Module, objective: nn.Module, source: AugmentedSource,
    budget: dict[str, Any],
) -> Any:  # fmt: skip
    return vt.train(
        model, objective, source, batch_size=options.batch, weight_decay=options.decay, skip=10.0,
        seed=options.seed, device=options.device, precision=options.precision,
        compile=options.compile, graph=True, **budget,
    )  # fmt: skip


def _seconds_of_an_epoch(
    options: argparse.Namespace, objective: nn.Module, source: AugmentedSource
) -> float:
    """CPU seconds of an epoch of steps, from a short run that is thrown away.

    The run validates some thirty times besides, which costs a few hundredths.
    """
    epochs = (TRIED + UNTIMED) * options.batch / source.items
    budget = {"epochs": epochs, "validate_every": 10**6}
    events = _events(options, network(options), objective, source, budget)
    clock = [event.cpu_seconds for event in events if isinstance(event, vt.training.Step)]
    return (clock[-1] - clock[UNTIMED]) / (TRIED - 1) * source.items / options.batch


def keep(options: argparse.Namespace, trained: dict[str, Any]) -> None:
    """Write the weights to `--save`, with what is to be said of them."""
    state = {k: v.contiguous() for k, v in trained["model"].state_dict().items()}
    told = {k: v for k, v in trained.items() if k != "model"}
    told |= {k: getattr(options, k) for k in ("set", "groups", "width", "latent", "seed")}
    save_file(state, options.save, {"options": json.dumps(told)})


def recalled(options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """A model that was kept, and what was said of it."""
    with safe_open(options.load, "pt") as file:
        told = json.loads(file.metadata()["options"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    for part in ("groups", "width", "latent", "seed"):
        setattr(options, part, told[part])
    model = network(options)
    model.load_state_dict(state)
    return told | {"model": model.to(device)}


def measured(options: argparse.Namespace, model: nn.Module, test: Tensor) -> dict[str, float]:
    """The bounds on the test images, and what finding them cost."""
    watch = Stopwatch()
    bounds = vt.evaluation.bounds(
        model, test, draws=options.draws, chunk=options.chunk, rows=options.rows
    )
    unit = 1.0 if options.set == "mnist" else math.log(2) * test[0].numel()
    nll, elbo = -bounds.importance / unit, -bounds.elbo / unit
    return {
        "nll": float(nll.mean()),
        "nll_error": float(nll.std() / len(nll) ** 0.5),
        "-elbo": float(elbo.mean()),
        "measuring_seconds": watch.taken().wall,
    }


if __name__ == "__main__":
    main()
