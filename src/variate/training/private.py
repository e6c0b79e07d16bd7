r"""Training with differential privacy: DP-SGD as a generator of events.

In every step each row is chosen by itself with probability q (Poisson sampling), and with g_i the
gradient of one chosen row's loss, C the clip, N rows and d parameters (Abadi et al. 2016)

    g  = 1/(qN) · ( Σ_{chosen} g_i · min(1, C / ‖g_i‖) + σ C ξ ),     ξ ~ N(0, I_d)
    θ <- Adam(θ, g, η(progress))
    θ̄ <- the moving average of θ

A row adds a vector of length C at most to the sum, whatever its cells hold, so a step is a Gaussian
mechanism of noise σ and rate q, and what all of them spend is computed beforehand (`accounting`).
Adam, the average and the schedule only see what is noised. Nothing else looks at the rows: no
figure is measured, no weights are chosen, and the events carry no loss.

The gradients of single rows are those of an objective on a batch of one, computed for many rows at
once (`torch.func.vmap`) in chunks that keep to a bound of memory. The number of chosen rows varies,
so the last chunk is filled up with rows of weight zero. A row whose gradient is not finite adds
nothing. The codes z = μ + σ ε are made of an ε that is drawn for each row and is an input
of its gradient.

The choice of rows and all noise come from the operating system and follow from no seed: whoever
can repeat them can take them off. This module does not know what is in a row, nor what the figures
ε and δ are.
"""

import math
import warnings
from collections.abc import Generator as Generates
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.func import functional_call, grad, vmap

from variate.errors import OptionError
from variate.inference import Inference, Latent, Loss, Moment, Objective
from variate.models import VAE
from variate.objectives import ELBO, IWAE, FreeBits
from variate.randomness import Secret
from variate.training.accounting import Mechanism, Spending
from variate.training.average import Average
from variate.training.events import Event, Finished, Started, Step
from variate.training.schedule import Clock, learning_rate

__all__ = ["RowGradients", "noised_sum", "train_privately"]

MEMORY = 128 * 2**20  # bytes of single rows' gradients that are held at once
MOST_ROWS = 256
FILLED = 16  # a chunk has a multiple of so many rows
OBJECTIVES = (ELBO, FreeBits, IWAE)
_ROUNDING = 1e-5  # the clip is undercut by this, so that rounding does not exceed it


def train_privately(
    model: VAE,
    objective: Objective,
    data: Tensor,
    *,
    spending: Spending,
    clip: float = 1.0,
    learning_rate: float = 2e-3,
    ema: float = 0.99,
    device: str | torch.device | None = None,
    secret: Secret | None = None,
) -> Generates[Event, None, None]:
    """Train a model with differential privacy, and tell of each step.

    Args:
        model: What is trained; it is moved to the device and changed in place. It is in evaluation
            mode all along: there is noise enough without dropout.
        objective: An `ELBO`, `FreeBits` or `IWAE`, evaluated on single rows: free bits are then
            free in each row.
        data: The rows `[N, *event]`; N counts as public.
        spending: The noise, the rate and the number of steps, from `accounting.plan`.
        clip: C, the norm that a row's gradient is scaled down to.
        learning_rate: The peak of the schedule.
        ema: The decay of the averaged weights, which are kept at the end; 0 for none.
        device: "cpu" or "cuda"; None takes a GPU if there is one.
        secret: Where the noise and the choice of rows come from; None is the operating system.

    Yields:
        `Started`, a `Step` for each step, whose loss is not told (NaN), and `Finished`.

    Raises:
        OptionError: The objective or the posterior cannot be trained row by row.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    secret = secret or Secret()
    model.to(device).eval()
    gradients = RowGradients(model, objective, items=len(data), clip=clip)
    rows, run = data.to(device), _Descent(gradients, spending, ema, secret)
    clock, mechanism = Clock(), spending.steps
    untold = Loss(torch.tensor(math.nan))
    try:
        yield _started(model, mechanism, len(data), device)
        for step in range(mechanism.times):
            rate = _rate(learning_rate, step / mechanism.times)
            run.advance(rows, step, rate)
            done = step + 1
            items = round(done * mechanism.rate * len(data))
            yield Step(
                step=done,
                epoch=done * mechanism.rate,
                progress=done / mechanism.times,
                items=items,
                seconds=clock.seconds(),
                cpu_seconds=clock.cpu_seconds(),
                learning_rate=rate,
                loss=untold,
            )
    finally:
        run.average.adopt()
    yield _finished(spending, clock, objective)


_rate = learning_rate  # the argument of the same name hides the function


class RowGradients:
    """Gradients of single rows, and their sum with each clipped.

    Args:
        model: A VAE with the posterior `DiagonalGaussian`.
        objective: An `ELBO`, `FreeBits` or `IWAE`.
        items: N, how many rows there are.
        clip: The norm that a row's gradient is scaled down to.

    Attributes:
        parameters: What is trained, in order.
        chunk: How many rows are worked on at once.

    Raises:
        OptionError: The objective cannot be evaluated row by row.
    """

    def __init__(self, model: VAE, objective: Objective, *, items: int, clip: float) -> None:
        if type(objective) not in OBJECTIVES:
            known = ", ".join(kind.__name__ for kind in OBJECTIVES)
            raise OptionError(
                f"training with privacy takes an objective that is a sum over rows and keeps no "
                f"state: {known}; got {type(objective).__name__}."
            )
        self._loss = _RowLoss(model, objective, items)
        named = {n: p for n, p in self._loss.named_parameters() if p.requires_grad}
        self._names = list(named)
        self.parameters = list(named.values())
        self.clip = clip
        numbers = sum(p.numel() for p in self.parameters)
        self.chunk = max(1, min(MOST_ROWS, MEMORY // (4 * numbers)))

    def noise_shape(self, rows: int) -> tuple[int, ...]:
        """The shape of the ε of so many rows, `[rows, S, 1, D]`."""
        return (rows, self._loss.samples, 1, self._loss.latent)

    def of(self, x: Tensor, epsilon: Tensor, progress: float) -> list[Tensor]:
        """The gradient of each row x `[M, *event]`, `[M, *parameter]` for each parameter.

        Args:
            x: The rows.
            epsilon: Standard normals, `[M, S, 1, D]`.
            progress: Of the run, for schedules.
        """
        held = {n: p.detach() for n, p in zip(self._names, self.parameters, strict=True)}

        def loss(parameters: dict[str, Tensor], row: Tensor, noise: Tensor) -> Tensor:
            arguments = (row.unsqueeze(0), noise, progress)
            total: Tensor = functional_call(self._loss, parameters, arguments)
            return total

        with warnings.catch_warnings():  # vmap lays tensors out as it likes
            warnings.filterwarnings("ignore", message=".*searchsorted.*non-contiguous")
            found = vmap(grad(loss), in_dims=(None, 0, 0))(held, x, epsilon)
        return [found[name] for name in self._names]

    def clipped_sum(self, x: Tensor, epsilon: Tensor, progress: float) -> list[Tensor]:
        """Σ_i g_i · min(1, C / ‖g_i‖) over rows x `[M, *event]`, chunk by chunk."""
        sums = [torch.zeros_like(p) for p in self.parameters]
        for start in range(0, len(x), self.chunk):
            part, noise = x[start : start + self.chunk], epsilon[start : start + self.chunk]
            weight = torch.ones(len(part), device=x.device)
            lacking = -len(part) % FILLED
            if lacking:  # filled up with rows of weight zero, so that few shapes come up
                part = torch.cat([part, part[-1:].expand(lacking, *part.shape[1:])])
                noise = torch.cat([noise, noise[-1:].expand(lacking, *noise.shape[1:])])
                weight = torch.cat([weight, weight.new_zeros(lacking)])
            self._add(sums, self.of(part, noise, progress), weight)
        return sums

    def _add(self, sums: Sequence[Tensor], found: Sequence[Tensor], weight: Tensor) -> None:
        """Add weighted and clipped gradients to the sums."""
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in found])
        norm = torch.linalg.vector_norm(norms, dim=0)
        sound = norm.isfinite()
        if not bool(sound.all()):  # zero times NaN is NaN
            found = [g.nan_to_num(0.0, 0.0, 0.0) for g in found]
        scale = (self.clip / (norm * (1 + _ROUNDING))).clamp(max=1.0)
        weight = weight * torch.where(sound, scale, 0.0)
        for total, g in zip(sums, found, strict=True):
            total += (weight @ g.flatten(1)).view_as(total)


class _Descent:
    """The optimiser, and the average of the weights."""

    def __init__(
        self, gradients: RowGradients, spending: Spending, ema: float, secret: Secret
    ) -> None:
        self._gradients = gradients
        self._mechanism = spending.steps
        self._secret = secret
        self._adam = torch.optim.Adam(gradients.parameters)
        self.average = Average(gradients.parameters, ema)

    @torch.no_grad()
    def advance(self, data: Tensor, step: int, rate: float) -> None:
        """One step: choose, clip, sum, add noise, move."""
        progress = step / self._mechanism.times
        found = noised_sum(self._gradients, data, self._mechanism, progress, self._secret)
        expected = self._mechanism.rate * len(data)
        for p, g in zip(self._gradients.parameters, found, strict=True):
            p.grad = g / expected
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        self.average.update(step + 1)


def noised_sum(
    gradients: RowGradients,
    data: Tensor,
    mechanism: Mechanism,
    progress: float,
    secret: Secret,
) -> list[Tensor]:
    """The sum of the clipped gradients of chosen rows, with noise: all that a step may see.

    Args:
        gradients: Of the model.
        data: All rows, `[N, *event]`.
        mechanism: q, with which a row is chosen, and σ; the noise has the deviation σ C.
        progress: Of the run.
        secret: Where choice and noise come from.
    """
    chosen = secret.chosen(len(data), mechanism.rate)
    epsilon = secret.normal(*gradients.noise_shape(len(chosen)))
    like = gradients.parameters[0]
    x = data[chosen.to(data.device)]
    sums = gradients.clipped_sum(x, epsilon.to(like), progress)
    flat = (mechanism.noise * gradients.clip * secret.normal(sum(s.numel() for s in sums))).to(like)
    pieces = flat.split([s.numel() for s in sums])
    return [s + piece.view_as(s) for s, piece in zip(sums, pieces, strict=True)]


class _RowLoss(nn.Module):
    """The objective of one row, given the ε of its code."""

    def __init__(self, model: VAE, objective: Objective, items: int) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.items = items
        self.samples = int(getattr(objective, "samples", 1))
        self.latent = int(model.prior.latent)  # type: ignore[arg-type]

    def forward(self, x: Tensor, epsilon: Tensor, progress: float) -> Tensor:
        """The total for x `[1, *event]` and ε `[S, 1, D]`."""
        total: Tensor = self.objective(
            _Given(self.model, epsilon), x, Moment(progress, self.items)
        ).total
        return total


class _Given(nn.Module):
    """A VAE whose codes are made of a given ε."""

    def __init__(self, model: VAE, epsilon: Tensor) -> None:
        super().__init__()
        self._model = model
        self._epsilon = epsilon

    def forward(self, x: Tensor, samples: int = 1) -> Inference:  # noqa: ARG002 - ε has as many
        """Infer z from x, and the likelihood that it implies."""
        posterior = self._model.encoder(x)
        base = getattr(posterior, "base_dist", None)
        if not (isinstance(posterior, Independent) and isinstance(base, Normal)):
            raise OptionError(
                "training with privacy needs the posterior DiagonalGaussian, whose codes are made "
                f"of a noise that is given row by row; got {type(posterior).__name__}."
            )
        z = base.loc + base.scale * self._epsilon
        return Inference((Latent(z, posterior, self._model.prior()),), self._model.decoder(z))


def _started(model: nn.Module, mechanism: Mechanism, items: int, device: torch.device) -> Started:
    return Started(
        items=items,
        held_out=0,
        probe=0,
        batch_size=max(1, round(mechanism.rate * items)),
        steps=mechanism.times,
        seconds=None,
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        device=str(device),
        precision="float32",
    )


def _finished(spending: Spending, clock: Clock, objective: Objective) -> Finished:
    beta = getattr(objective, "beta", 1.0)
    return Finished(
        reason=f"budget spent ({spending.steps.times} steps, ε = {spending.epsilon:.3g} at "
        f"δ = {spending.delta:g})",
        step=spending.steps.times,
        seconds=clock.seconds(),
        cpu_seconds=clock.cpu_seconds(),
        best_step=spending.steps.times,
        best_figure=math.nan,
        terms={"beta": float(beta if isinstance(beta, float | int) else beta(1.0))},
        held_out=False,
    )
