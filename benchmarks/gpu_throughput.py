"""How fast does training run on a GPU, beside pythae and beside what the GPU can do?

    MLP         784-512-256-z16, 60,000 binary images that stay on the device; variate with and
                without its steps recorded as CUDA graphs, a minimal loop, and pythae's trainer
    hierarchy   a ladder of convolutions over images, in bfloat16; the floating-point operations of
                its convolutions and products, beside those of one large bfloat16 product

Speeds of variate are those of its steps from the two hundredth on, when all is compiled and
recorded; how long that takes is told beside. Loops take turns, round after round.
"""

import argparse
import time
from typing import Any

import torch
from harness import ours
from harness.arguments import integers, parser
from harness.images import binary_images
from harness.loops import Job, minimal
from harness.record import Record, show, summary
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import variate as vt
from variate.inference import Moment

FROM = 200  # the step from which variate's are timed


def main() -> None:
    options = arguments()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "there is no GPU, and this is about one; --quick --device cpu tries it out"
        )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    record = Record("gpu_throughput", {
        "device": _named(options.device), "torch": torch.__version__,
        "batches": options.batches, "rounds": options.rounds, "images": options.images,
        "groups": options.groups, "width": options.width,
    })  # fmt: skip
    record.head()
    ceiling = ceiling_of(torch.bfloat16, options.device, 512 if options.quick else 8192)
    record.results["bf16_ceiling_tflops"] = ceiling
    print(f"a large bfloat16 product runs at {ceiling:.3g} TFLOP/s")
    if "mlp" in options.parts:
        for batch in options.batches:
            record.results[f"mlp, batch {batch}"] = mlp(record, options, batch)
    if "hierarchy" in options.parts:
        for images in options.images:
            record.results[f"hierarchy, {images}"] = hierarchy(record, options, images, ceiling)
    record.write(options)


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--parts", nargs="+", default=["mlp", "hierarchy"])
    made.add_argument("--batches", type=integers, default=(128, 512, 4096))
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--images", nargs="+", default=["digits", "photographs"])
    made.add_argument("--batch", type=int, default=256, help="of the hierarchy")
    made.add_argument("--groups", type=lambda s: tuple(map(int, s.split(","))), default=(2, 4, 4))
    made.add_argument("--width", type=int, default=256)
    made.add_argument("--ways", nargs="+", default=["graph", "graph+compile"])
    made.add_argument("--steps", type=int, default=60, help="of the hierarchy that are timed")
    made.add_argument("--device", default="cuda")
    options = made.parse_args()
    if options.quick:
        options.rounds, options.batches, options.steps = 1, (512,), 3
        options.batch, options.width = 8, 16
    return options


def _named(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def ceiling_of(dtype: torch.dtype, device: str, n: int) -> float:
    """TFLOP/s of a large matrix product."""
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    _wait(device)
    start = time.perf_counter()
    for _ in range(20):
        a @ b
    _wait(device)
    return 20 * 2 * n**3 / (time.perf_counter() - start) / 1e12


def mlp(record: Record, options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Images per second of every loop at a batch size."""
    _, *arrays = binary_images(options.data, 60_000, 2_000)
    train, held_out = (torch.as_tensor(array).float() for array in arrays)
    loops = {
        "variate, graph": lambda seed: steps_of(train, options, batch, seed, graph=True),
        "variate, graph, bf16": lambda seed: steps_of(
            train, options, batch, seed, graph=True, precision="bfloat16"
        ),
        "variate, no graph": lambda seed: steps_of(train, options, batch, seed),
        "minimal": lambda seed: _speed(
            minimal(Job(train.to(options.device), held_out, batch, 4, seed, options.device))
        ),
    }
    try:
        from harness.pythae_peer import base_trainer

        loops["pythae"] = lambda seed: _speed(
            base_trainer(Job(train, held_out, batch, 1, seed, options.device))
        )
    except ImportError as error:
        print(f"pythae is skipped: {error}")
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(options.rounds + 1):
        for name, loop in loops.items():
            speed = loop(turn)
            if turn > 0:
                found[name].append(speed)
    rows = [[name, show(speeds, 0)] for name, speeds in found.items()]
    record.table(f"MLP, batch {batch}", ["loop", "images/s"], rows)
    if "pythae" in found:
        ratios = [a / b for a, b in zip(found["variate, graph"], found["pythae"], strict=True)]
        record.target(
            f"variate / pythae, batch {batch}", sorted(ratios)[len(ratios) // 2], 10.0, least=True
        )
    return {name: summary(speeds) for name, speeds in found.items()}


def _speed(told: dict[str, Any]) -> float:
    return float(told["items"] / told["wall"])


def steps_of(
    train: torch.Tensor, options: argparse.Namespace, batch: int, seed: int, **more: Any
) -> float:
    """Images per second of variate's steps."""
    first = 20 if options.quick else FROM
    epochs = max(4, 8 * first * batch / len(train)) if not options.quick else 0.5
    events = vt.train(
        ours.model(seed), vt.objectives.ELBO(), train, epochs=epochs, batch_size=batch, seed=seed,
        device=options.device, validate_every=1_000_000, **more,
    )  # fmt: skip
    return timed(events, first, options.device)[0]


def timed(events: Any, first: int, device: str) -> tuple[float, float, float]:
    """Images per second after `first` steps, seconds until then, the last figure."""
    begun = time.perf_counter()
    start, end, items, seen = 0.0, 0.0, 0, 0
    for event in events:
        if isinstance(event, vt.training.Step):
            seen = event.items
            if event.step == first:
                _wait(device)
                start, items = time.perf_counter(), event.items
            elif event.progress >= 1.0:
                _wait(device)
                end = time.perf_counter()
    return (seen - items) / (end - start), start - begun, event.best_figure


def hierarchy(
    record: Record, options: argparse.Namespace, images: str, ceiling: float
) -> dict[str, Any]:
    """Images per second and the share of the ceiling."""
    digits = images == "digits"
    channels, levels, side = (1, 2, 28) if digits else (3, 256, 32)
    head: nn.Module = (
        vt.pixels.BernoulliPixels(1, 2)
        if digits
        else vt.pixels.LogisticMixturePixels(3, 256, components=5)
    )
    x = torch.randint(0, levels, (4096, channels, side, side), dtype=torch.uint8)
    x = x.to(options.device)
    groups = (0, *options.groups[1:]) if digits else options.groups

    def network() -> nn.Module:
        torch.manual_seed(0)
        model = vt.image_ladder(
            channels, (side, side), head, levels=levels, groups=groups, width=options.width,
            latent=16,
        )  # fmt: skip
        model(torch.zeros(2, channels, side, side, dtype=torch.uint8))
        return model.to(memory_format=torch.channels_last).to(options.device)

    objective = vt.objectives.GroupFreeBits(
        vt.objectives.Fade(0.5, 0.5), vt.objectives.WarmUp(1.0, 0.1)
    )
    with FlopCounterMode(display=False) as counted:
        objective(network(), x[:8], Moment(0.5, 100)).total.backward()
    flops = counted.get_total_flops() / 8
    rows, told = [], {"gflop_per_image": flops / 1e9}
    for way in options.ways:
        first = 3 if options.quick else 30
        steps = first + options.steps
        events = vt.train(
            network(), objective, x, epochs=steps * options.batch / len(x),
            batch_size=options.batch, device=options.device, precision="bfloat16", skip=10.0,
            compile="compile" in way, graph="graph" in way, validate_every=1_000_000,
        )  # fmt: skip
        speed, until, figure = timed(events, first, options.device)
        share = speed * flops / 1e12 / ceiling
        told[way] = {"images_per_second": speed, "share_of_ceiling": share, "start": until}
        rows.append(
            [
                way,
                f"{speed:,.0f}",
                f"{speed * flops / 1e12:.0f}",
                f"{share:.3f}",
                f"{until:.0f}",
                f"{figure:.1f}",
            ]
        )
    record.table(
        f"hierarchy, {images}, {flops / 1e9:.2f} GFLOP an image, batch {options.batch}",
        ["way", "images/s", "TFLOP/s", "of ceiling", "s to start", "figure"],
        rows,
    )
    record.target(
        f"hierarchy of {images}, share of the bfloat16 ceiling",
        max(v["share_of_ceiling"] for k, v in told.items() if isinstance(v, dict)),
        0.4,
        least=True,
    )
    return told


if __name__ == "__main__":
    main()
