"""How likely are images of digits under a small network trained for two minutes of one core?

MNIST, made binary anew each time an image is seen (dynamic binarisation); the test images are made
binary once, by a fixed seed. With `--static` all images are made binary once. Every recipe gets the
same CPU time on one thread:

    stock    pytorch/examples' network 784-400-z20 with ReLU, Adam at 1e-3, batches of 128
    variate  784-300-300-z40 with SiLU, `vt.train`: cosine, averaged weights, KL warm-up of 10 %

The figure is -log p(x) by the importance-weighted bound with 1,000 draws of each test image, in
nats; -ELBO beside it, from the same draws. Decoded images are made and left in pieces, so memory
does not grow with the draws or the images.
"""

import argparse
import resource
from collections.abc import Callable
from typing import Any

import torch
from harness.arguments import integers, parser
from harness.binary_mnist import as_it_is, binary, fixed, grey_images
from harness.record import Record, show, summary
from harness.timing import Stopwatch
from torch import Tensor, nn

import variate as vt
from variate.inference import Moment
from variate.nets import MLP
from variate.training import AugmentedSource, MemorySource

BATCH = 128
DRAWS = 1_000
TRIED = 400  # steps from which the speed is taken


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    name, train, test = grey_images(options.data)
    test = test[: options.items]
    if options.static:
        train, test = fixed(train), fixed(test)
    else:
        test = binary(test, torch.Generator().manual_seed(0))
    name += ", static" if options.static else ", dynamic"
    described = {"data": name, "cpu_seconds": options.seconds, "draws": options.draws,
                 "items": len(test), "seeds": options.seeds, "threads": 1}  # fmt: skip
    record = Record("images", described)
    record.head()
    for recipe in options.recipes:
        record.results[recipe] = runs(recipe, train, test, options)
    rows = [
        [recipe, *(show(found[f]["values"], d) for f, d in COLUMNS.items())]
        for recipe, found in record.results.items()
    ]
    title = f"{len(test)} test images of {name}, {options.seconds:g} CPU seconds, one thread"
    record.table(title, ["", *COLUMNS], rows)
    if "variate" in record.results and not options.static:
        median = record.results["variate"]["nll"]["median"]
        record.target("-log p(x) after two CPU minutes", median, 91.3, least=False)
    record.write(options)


COLUMNS = {"nll": 2, "-elbo": 2, "epochs": 1, "cpu": 0, "measuring": 0, "memory_gib": 2}


def arguments() -> argparse.Namespace:
    made = parser(__doc__.partition("\n\n")[0], images=True)
    made.add_argument("--seconds", type=float, default=120.0, help="CPU seconds of a training")
    made.add_argument("--items", type=int, default=10_000, help="test images that are measured")
    made.add_argument("--draws", type=int, default=DRAWS, help="posterior draws of each")
    made.add_argument("--seeds", type=integers, default=(1, 2, 3), help="seeds, by commas")
    made.add_argument("--static", action="store_true", help="binary once, not anew each time")
    made.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    options = made.parse_args()
    if options.quick:
        options.seconds, options.items, options.draws = 5.0, 200, 100
        options.seeds = (1,)
    return options


def runs(
    recipe: str, train: Tensor, test: Tensor, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """The figures of a recipe, one value for each seed."""
    found: dict[str, list[float]] = {name: [] for name in COLUMNS}
    source = AugmentedSource(MemorySource(train), as_it_is if options.static else binary)
    for seed in options.seeds:
        torch.manual_seed(seed)
        model, epochs, cpu = RECIPES[recipe](source, options.seconds, seed)
        watch = Stopwatch()
        bounds = vt.evaluation.bounds(model, test, draws=options.draws, chunk=50, rows=100)
        told = {
            "nll": -float(bounds.importance.mean()),
            "-elbo": -float(bounds.elbo.mean()),
            "epochs": epochs,
            "cpu": cpu,
            "measuring": watch.taken().cpu,
            "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
        print(recipe, f"seed {seed}:", {k: round(v, 2) for k, v in told.items()}, flush=True)
        for key, value in told.items():
            found[key].append(value)
    return {name: summary(values) for name, values in found.items()}


Trained = tuple[nn.Module, float, float]


def stock(source: AugmentedSource, seconds: float, seed: int) -> Trained:
    """The recipe of pytorch/examples without its data loader: the model, epochs, CPU seconds."""
    model = vt.VAE(
        nn.Sequential(nn.Linear(784, 400), nn.ReLU(), vt.posteriors.DiagonalGaussian(20)),
        nn.Sequential(nn.Linear(20, 400), nn.ReLU(), vt.likelihoods.Bernoulli(784)),
        vt.priors.StandardNormal(20),
    )
    objective, moment = vt.objectives.ELBO(), Moment()
    stream = source.batches(0, BATCH, seed)
    model(next(stream))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    watch, steps = Stopwatch(), 0
    while watch.taken().cpu < seconds:
        optimizer.zero_grad()
        objective(model, next(stream), moment).total.backward()
        optimizer.step()
        steps += 1
    return model, steps * BATCH / source.items, watch.taken().cpu


def ours(source: AugmentedSource, seconds: float, seed: int) -> Trained:
    """The loop of variate, with as many epochs as its speed allows: model, epochs, CPU seconds."""
    epochs = seconds / _seconds_of_an_epoch(source, seed)
    torch.manual_seed(seed)
    model = _ours()
    objective = vt.objectives.ELBO(vt.objectives.WarmUp(1.0, 0.1))
    *_, finished = vt.train(
        model, objective, source, epochs=epochs, batch_size=BATCH, seed=seed, device="cpu"
    )
    return model, finished.step * BATCH / source.items, finished.cpu_seconds


def _ours() -> vt.VAE:
    return vt.VAE(
        nn.Sequential(MLP(784, (300, 300)), vt.posteriors.DiagonalGaussian(40)),
        nn.Sequential(MLP(40, (300, 300)), vt.likelihoods.Bernoulli(784)),
        vt.priors.StandardNormal(40),
    )


def _seconds_of_an_epoch(source: AugmentedSource, seed: int) -> float:
    """CPU seconds of an epoch, validations included, from a short run that is thrown away."""
    share = min(1.0, TRIED * BATCH / source.items)
    *_, finished = vt.train(
        _ours(), vt.objectives.ELBO(), source, epochs=share, batch_size=BATCH, seed=seed,
        device="cpu", validate_every=TRIED,
    )  # fmt: skip
    return finished.cpu_seconds * source.items / (finished.step * BATCH)


RECIPES: dict[str, Callable[[AugmentedSource, float, int], Trained]] = {
    "stock": stock,
    "variate": ours,
}


if __name__ == "__main__":
    main()
