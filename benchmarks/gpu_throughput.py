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
    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU, and this is about one")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    record = Record("gpu_throughput", {
        "device": torch.cuda.get_device_name(), "torch": torch.__version__,
        "batches": options.batches, "rounds": options.rounds, "images": options.images,
        "groups": options.groups, "width": options.width,
    })  # fmt: skip
    record.head()
    ceiling = ceiling_of(torch.bfloat16)
    record.results["bf16_ceiling_tflops"] = ceiling
    print(f"{record.options['device']}: a bfloat16 product of 8192^3 runs at {ceiling:.0f} TFLOP/s")
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
    return made.parse_args()


def ceiling_of(dtype: torch.dtype, n: int = 8192) -> float:
    """TFLOP/s of a large matrix product."""
    a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * n**3 / (time.perf_counter() - start) / 1e12


def mlp(record: Record, options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Images per second of every loop at a batch size."""
    _, train, held_out = binary_images(options.data, 60_000, 2_000)
    loops = {
        "variate, graph": lambda seed: steps_of(train, batch, seed, graph=True),
        "variate, graph, bf16": lambda seed: steps_of(
            train, batch, seed, graph=True, precision="bfloat16"
        ),
        "variate, no graph": lambda seed: steps_of(train, batch, seed),
        "minimal": lambda seed: _speed(
            minimal(Job(train.cuda(), held_out, batch, 4, seed, "cuda"))
        ),
    }
    try:
        from harness.pythae_peer import base_trainer

        loops["pythae"] = lambda seed: _speed(
            base_trainer(Job(train, held_out, batch, 1, seed, "cuda"))
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


def steps_of(train: torch.Tensor, batch: int, seed: int, **options: Any) -> float:
    """Images per second of variate's steps."""
    model = ours.model(seed)
    epochs = max(4, (FROM + 1_500) * batch / len(train))
    events = vt.train(
        model, vt.objectives.ELBO(), train, epochs=epochs, batch_size=batch, seed=seed,
        device="cuda", validate_every=1_000_000, **options,
    )  # fmt: skip
    return timed(events, FROM)[0]


def timed(events: Any, first: int) -> tuple[float, float, float]:
    """Images per second after `first` steps, seconds until then, the last figure."""
    begun = time.perf_counter()
    start, until, items, seen = 0.0, 0.0, 0, 0
    for event in events:
        if isinstance(event, vt.training.Step):
            seen = event.items
            if event.step == first:
                torch.cuda.synchronize()
                start, items = time.perf_counter(), event.items
                until = start - begun
            elif event.progress >= 1.0:
                torch.cuda.synchronize()
                end = time.perf_counter()
    figure = event.best_figure
    return (seen - items) / (end - start), until, figure


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
    x = torch.randint(0, levels, (4096, channels, side, side), dtype=torch.uint8).cuda()
    groups = (0, *options.groups[1:]) if digits else options.groups

    def network() -> nn.Module:
        torch.manual_seed(0)
        model = vt.image_ladder(
            channels, (side, side), head, levels=levels, groups=groups, width=options.width,
            latent=16,
        )  # fmt: skip
        model(torch.zeros(2, channels, side, side, dtype=torch.uint8))
        return model.to(memory_format=torch.channels_last).cuda()

    objective = vt.objectives.GroupFreeBits(
        vt.objectives.Fade(0.5, 0.5), vt.objectives.WarmUp(1.0, 0.1)
    )
    with FlopCounterMode(display=False) as counted:
        objective(network(), x[:8], Moment(0.5, 100)).total.backward()
    flops = counted.get_total_flops() / 8
    rows, told = [], {"gflop_per_image": flops / 1e9}
    for way in options.ways:
        first = 30
        steps = first + options.steps
        events = vt.train(
            network(), objective, x, epochs=steps * options.batch / len(x),
            batch_size=options.batch, device="cuda", precision="bfloat16", skip=10.0,
            compile="compile" in way, graph="graph" in way, validate_every=1_000_000,
        )  # fmt: skip
        speed, until, figure = timed(events, first)
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
        ["way", "images/s", "TFLOP/s", "of ceiling", "s to step 30", "figure"],
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
