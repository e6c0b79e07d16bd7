"""variate's loop on the same network, with everything on as it comes.

That is: moving average of the weights, gradient clipping, learning-rate schedule, the held-out
validations that a run of this length makes by default, and the best weights kept. `wall` and `cpu`
are the whole loop, from `Started` to `Finished`. The validations, which have no counterpart in a
minimal loop, are timed beside: they lie between a `Step` event and the `Validated` that follows.

This module does not know what it is compared with.
"""

from typing import Any

import torch
import torch.distributions as td
from torch import Tensor, nn

from harness.loops import Job
from harness.network import HIDDEN, LATENT, LAYERS, MAPS, PIXELS, perceptron
from harness.timing import Stopwatch, Taken
from variate.evaluation import elbo
from variate.models import VAE
from variate.models.likelihoods import Bernoulli
from variate.models.posteriors import DiagonalGaussian
from variate.models.priors import StandardNormal
from variate.objectives import ELBO
from variate.training import Saved, Started, Step, Validated, train

__all__ = ["model", "run", "run_bfloat16", "without_validations"]


class _Convolutions(nn.Module):
    """p(x|z) of convolutions: what a user writes whose network ends in logits."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(MAPS[0], 1, 4, 2, 1), nn.Flatten())

    def forward(self, z: Tensor) -> td.Distribution:
        """p(x|z) for z `[S, B, 16]`."""
        logits = self.layers(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        return td.Independent(td.Bernoulli(logits=logits, validate_args=False), 1)


def model(seed: int, network: str = "MLP", hidden: tuple[int, int] = HIDDEN) -> VAE:
    """A network of `network.py`, of variate's parts; `hidden` are the widths of the MLP."""
    torch.manual_seed(seed)
    encoder, decoder = perceptron(hidden) if network == "MLP" else LAYERS[network]()
    made = VAE(
        nn.Sequential(*encoder, DiagonalGaussian(LATENT)),
        nn.Sequential(*decoder, Bernoulli((PIXELS,)))
        if network == "MLP"
        else _Convolutions(decoder),
        StandardNormal(LATENT),
    )
    made(torch.zeros(1, PIXELS))  # gives the lazy layers their shapes
    return made


def run_bfloat16(job: Job) -> dict[str, Any]:
    """`run`, the products in bfloat16."""
    return run(job, precision="bfloat16")


def run(job: Job, hidden: tuple[int, int] = HIDDEN, **options: Any) -> dict[str, Any]:
    """Train with variate and report as the other loops do, and its validations beside.

    `steps` and `saves` hold the seconds that each step and each checkpoint took (wall, CPU),
    `total` those from the call of `train` to the end. `hidden` replaces the network's widths; the
    other options are `train`'s.
    """
    vae = model(job.seed, job.network, hidden)
    events = train(
        vae, ELBO(), job.train, validation=job.held_out, epochs=job.epochs, batch_size=job.batch,
        seed=job.seed, device="cpu", **options,
    )  # fmt: skip
    timed = _Timed()
    for event in events:
        timed.note(event)
    return timed.report() | {
        "parameters": sum(p.numel() for p in vae.parameters()),
        "elbo": float(elbo(vae, job.held_out, draws=4).mean()),
    }


def without_validations(run: dict[str, Any]) -> dict[str, Any]:
    """A report of `run` whose `wall` and `cpu` are those of everything but the validations."""
    return run | {time: run[time] - run[f"validating_{time}"] for time in ("wall", "cpu")}


class _Timed:
    """Splits the time of a run by its events."""

    def __init__(self) -> None:
        self.call = Stopwatch()
        self.loop = self.call
        self.last = Taken(0.0, 0.0)
        self.steps: list[Taken] = []
        self.validations: list[Taken] = []
        self.saves: list[Taken] = []
        self.saved_bytes = 0
        self.items = 0

    def note(self, event: Any) -> None:
        """What came since the last event belongs to this one."""
        now = self.call.taken()
        passed = Taken(now.wall - self.last.wall, now.cpu - self.last.cpu)
        self.last = now
        if isinstance(event, Started):
            self.loop = Stopwatch()
        elif isinstance(event, Step):
            self.steps.append(passed)
            self.items = event.items
        elif isinstance(event, Validated):
            self.validations.append(passed)
        elif isinstance(event, Saved):
            self.saves.append(passed)
            self.saved_bytes = event.size

    def report(self) -> dict[str, Any]:
        """The times of the run, in seconds."""
        whole = self.loop.taken()
        validating = Taken(*(sum(column) for column in zip(*self.validations, strict=True)))
        return {
            "items": self.items,
            "wall": whole.wall,
            "cpu": whole.cpu,
            "validations": len(self.validations),
            "validating_wall": validating.wall,
            "validating_cpu": validating.cpu,
            "total": self.last.wall,
            "steps": self.steps,
            "saves": self.saves,
            "saved_bytes": self.saved_bytes,
        }
