"""How disentangled are the codes of sprites, over seeds, beside the literature's values?

A VAE, β-VAE, β-TC-VAE and FactorVAE of one small network learn the same images of known factors
(harness/sprites.py, dSprites-like), once for each seed; the codes of 10,000 images, and of groups
that agree in a factor, are scored. What is shown is the median over seeds and the quartiles. The
values beside are those of dSprites in the table of a later paper that compiled them: the images,
networks, lengths of training (300,000 steps there) and, for DCI, the estimator are others, so they
compare in kind and not cell by cell. With --folder a run can be broken off and continued.

Seeds are trained one after the other: on a CPU the products of ten of these networks as one batched
product take 1.2 times as long as one by one, at 64 images as at 256.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.arguments import integers, parser
from harness.record import Record, summary
from harness.sprites import CATEGORIES, PIXELS, SIZES, Sprites
from torch import Tensor, nn

import variate as vt
from variate.errors import VariateWarning
from variate.evaluation import active_units, disentanglement, elbo, spreads

LATENT = 10
HELD_OUT, SCORED = 2_000, 10_000
TRAINING = ("images", "batch", "hidden", "learning_rate", "beta", "tc", "gamma", "device")
METHODS: dict[str, Callable[[argparse.Namespace], nn.Module]] = {
    "VAE": lambda _: vt.objectives.ELBO(),
    "β-VAE": lambda options: vt.objectives.ELBO(options.beta),
    "β-TC-VAE": lambda options: vt.objectives.TotalCorrelation(options.tc),
    "FactorVAE": lambda options: vt.objectives.Factor(options.gamma, LATENT),
}
FIGURES = {
    "MIG": "mig", "DCI": "dci_disentanglement", "completeness": "dci_completeness",
    "informativeness": "dci_informativeness", "SAP": "sap", "FactorVAE score": "factor_vae_score",
    "BetaVAE score": "beta_vae_score", "-ELBO": "negative_elbo", "active": "active_units",
}  # fmt: skip
# For dSprites, mean over seeds: Table 1 of a paper on orthogonality ("OAT", OpenReview), compiled.
LITERATURE = {
    "VAE": {"MIG": 0.10, "DCI": 0.30, "FactorVAE score": 0.63},
    "β-VAE": {"MIG": 0.21, "DCI": 0.41, "FactorVAE score": 0.63},
    "β-TC-VAE": {"MIG": 0.45, "DCI": 0.29, "FactorVAE score": 0.62},
    "FactorVAE": {"MIG": 0.43, "DCI": 0.74, "FactorVAE score": 0.82, "BetaVAE score": 0.84},
}


def network(hidden: tuple[int, ...]) -> vt.VAE:
    """4096 - hidden - z10 - hidden reversed - 4096, with ReLU and a Bernoulli likelihood."""

    def layers(widths: tuple[int, ...]) -> list[nn.Module]:
        return [made for width in widths for made in (nn.LazyLinear(width), nn.ReLU())]

    return vt.VAE(
        nn.Sequential(*layers(hidden), vt.posteriors.DiagonalGaussian(LATENT)),
        nn.Sequential(*layers(hidden[::-1]), vt.likelihoods.Bernoulli((PIXELS,))),
        vt.priors.StandardNormal(LATENT),
    )


def factors(n: int, seed: int) -> np.ndarray:
    """The factors `[n, 5]` of n images at random."""
    return np.random.default_rng(seed).integers(0, SIZES, (n, len(SIZES)))


def trained(options: argparse.Namespace, sprites: Sprites, method: str, seed: int) -> vt.VAE:
    """A model of `--images` images, seen in random order."""
    torch.manual_seed(seed)
    model, objective = network(options.hidden), METHODS[method](options)
    for _ in vt.train(
        model, objective, sprites, validation=sprites.images(factors(HELD_OUT, 1)),
        epochs=options.images / sprites.items, batch_size=options.batch,
        learning_rate=options.learning_rate, seed=seed, device=options.device,
    ):  # fmt: skip
        pass
    return model


def figures(model: vt.VAE, sprites: Sprites) -> dict[str, float]:
    """What a model is worth."""

    @torch.no_grad()
    def encode(asked: np.ndarray) -> Tensor:
        return model.encoder(sprites.images(asked)).mean

    chosen = factors(SCORED, 2)
    codes = encode(chosen)
    dci = disentanglement.dci(codes, chosen, categories=CATEGORIES)
    grid = disentanglement.Grid(encode, SIZES)
    held_out = sprites.images(factors(HELD_OUT, 3))
    return {
        "mig": disentanglement.mig(codes, chosen).score,
        "dci_disentanglement": dci.disentanglement,
        "dci_completeness": dci.completeness,
        "dci_informativeness": dci.informativeness,
        "sap": disentanglement.sap(codes, chosen, categories=CATEGORIES).score,
        "factor_vae_score": disentanglement.factor_vae_score(grid).score,
        "beta_vae_score": disentanglement.beta_vae_score(grid).score,
        "negative_elbo": -float(elbo(model, held_out, draws=4).mean()),
        "active_units": active_units(model, held_out),
    }


def one(
    options: argparse.Namespace, folder: Path, sprites: Sprites, method: str, seed: int
) -> dict[str, Any]:
    """The figures of one method and seed; those that are kept are not made again."""
    made_with = [str(getattr(options, name)) for name in TRAINING]
    kept = folder / f"{'-'.join([method, *made_with, str(seed)])}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    start, wall = time.process_time(), time.perf_counter()
    model = trained(options, sprites, method, seed)
    spent = {"train_cpu": time.process_time() - start, "train_wall": time.perf_counter() - wall}
    told = figures(model, sprites) | spent
    told |= {"score_cpu": time.process_time() - start - spent["train_cpu"]}
    shown = ", ".join(f"{name} {told[key]:.3g}" for name, key in FIGURES.items())
    print(f"{method} seed {seed}: {shown}; {spent['train_cpu']:.0f} CPU s", flush=True)
    kept.with_suffix(".part").write_text(json.dumps(told), encoding="utf-8")
    kept.with_suffix(".part").rename(kept)
    return told


def report(record: Record, found: dict[str, list[dict[str, Any]]]) -> None:
    """Medians with quartiles, and the literature's values below them."""
    rows = []
    for method, runs in found.items():
        record.results[method] = {key: summary([run[key] for run in runs]) for key in runs[0]}
        over = spreads(runs)
        rows.append([method, *(cell(*over[key][:3]) for key in FIGURES.values())])
        known = LITERATURE[method]
        rows.append(["  dSprites", *(f"{known[n]:.2f}" if n in known else "" for n in FIGURES)])
    record.results["runs"] = found  # of each seed, so that more can be joined to them
    seeds = len(next(iter(found.values())))
    record.table(f"\nmedian (quartiles) of {seeds} seed(s)", ["", *FIGURES], rows)


def cell(median: float, lower: float, upper: float) -> str:
    digits = 2 if upper < 10 else 0
    return f"{median:.{digits}f} ({lower:.{digits}f}-{upper:.{digits}f})"


def arguments() -> argparse.Namespace:
    made = parser((__doc__ or "").partition("\n\n")[0])
    made.add_argument("--methods", type=words, default=tuple(METHODS), help="by commas")
    made.add_argument("--seeds", type=int, default=10, help="how many seeds")
    made.add_argument("--first-seed", type=int, default=0, help="which is the first")
    made.add_argument("--images", type=int, default=1_000_000, help="seen in training, each model")
    made.add_argument("--batch", type=int, default=256, help="images per step")
    made.add_argument("--hidden", type=integers, default=(256, 128), help="widths of the encoder")
    made.add_argument("--learning-rate", type=float, default=1e-3)
    made.add_argument("--beta", type=float, default=4.0, help="β of the β-VAE")
    made.add_argument("--tc", type=float, default=6.0, help="β of the β-TC-VAE")
    made.add_argument("--gamma", type=float, default=35.0, help="γ of FactorVAE")
    made.add_argument("--device", default="cpu")
    made.add_argument("--folder", type=Path, help="where to keep figures, to continue")
    made.add_argument("--data", type=Path, default=os.environ.get("VARIATE_DATA"),
                      help="holds images/dsprites_like_base.npz ($VARIATE_DATA)")  # fmt: skip
    options = made.parse_args()
    if options.data is None:
        made.error("give --data (or set $VARIATE_DATA)")
    if unknown := set(options.methods) - set(METHODS):
        made.error(f"--methods knows {', '.join(METHODS)}, not {', '.join(sorted(unknown))}")
    if options.quick:
        options.seeds, options.images = 1, min(options.images, 50_000)
    return options


def words(text: str) -> tuple[str, ...]:
    """A comma-separated list of names."""
    return tuple(text.split(","))


def main() -> None:
    options = arguments()
    warnings.simplefilter("ignore", VariateWarning)
    names = ("methods", "seeds", "first_seed", *TRAINING)
    record = Record("disentanglement", {name: getattr(options, name) for name in names})
    record.head()
    sprites = Sprites(Path(options.data), torch.device(options.device))
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in options.methods}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for method in options.methods:
                found[method].append(one(options, folder, sprites, method, seed))
    report(record, found)
    record.write(options)


if __name__ == "__main__":
    main()
