r"""p(x|z) of a window: steps and channels independent given z, each with heavy tails.

A window x is `[L, C]`, NaN where nothing was observed. With the map T of `scaling`, a location μ_tc
and a scale σ_tc from the decoder, and for each channel c a mixture over the shape of the noise
(weights π_ck, relative scales r_ck, k = 1 … K),

    p(T(x_tc) | z) = Σ_k π_ck Logistic(T(x_tc); μ_tc, σ_tc r_ck)

A value on a grid of step g has the mass of its cell, between T(x - g/2) and T(x + g/2); the masses
of all cells telescope to one. A value on none has the density in its own units,

    log p(x_tc | z) = log p(T(x_tc) | z) + log T'(x_tc)

A cell that is NaN contributes nothing: the other cells' law is the marginal, as they are
independent given z. The tails are those of a scale mixture of logistics in T(x), powers of x.

Draws stay within the range that training had, widened by its own length on either side.

This module does not know the networks, nor which cells were hidden on purpose.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from variate.distributions import tempered
from variate.distributions.grid import LogisticMixture
from variate.series.scaling import Scaling

__all__ = ["Steps", "Units", "shapes"]


class Units(torch.nn.Module):
    """T and its inverse, on tensors `[..., C]`.

    Args:
        scaling: What is known of the channels.
    """

    middle: Tensor
    spread: Tensor
    grid: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        span = scaling.high - scaling.low
        with torch.device("cpu"):  # these are data, also where the weights are only shapes
            for name, values in (
                ("middle", scaling.middle),
                ("spread", scaling.spread),
                ("grid", scaling.grid),
                ("low", scaling.low - span),
                ("high", scaling.high + span),
            ):
                self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def scores(self, x: Tensor) -> Tensor:
        """T(x), float64."""
        return torch.asinh((x.double() - self.middle) / self.spread)

    def raw(self, v: Tensor) -> Tensor:
        """The x of T(x), float64, on its grid and within the range that draws keep to."""
        x = self.middle + self.spread * torch.sinh(v.double().clamp(-50.0, 50.0))
        x = torch.minimum(torch.maximum(x, self.low), self.high)
        step = torch.where(self.grid > 0, self.grid, 1.0)
        return torch.where(self.grid > 0, torch.round(x / step) * step, x)

    def cells(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of values x: T at the lower edge of the cell, its width, and log T' where it has none."""
        half = self.grid / 2
        lower = self.scores(x - half)
        width = torch.where(self.grid > 0, self.scores(x + half) - lower, 0.0)
        u = (x.double() - self.middle) / self.spread
        slope = -self.spread.log() - 0.5 * torch.log1p(u.square())
        return lower, width, torch.where(self.grid > 0, 0.0, slope)


class _Known(constraints.Constraint):
    """A finite number, or NaN for none."""

    def check(self, value: Tensor) -> Tensor:
        return torch.isfinite(value) | torch.isnan(value)


class Steps(Distribution):
    """The law of windows given z.

    Args:
        units: T.
        location: μ, `[*batch, L, C]`.
        scale: σ, `[*batch, L, C]`.
        logits: Log-weights of the shapes, `[C, K]`.
        relative: r, `[C, K]`.
    """

    arg_constraints = {}  # noqa: RUF012
    support = _Known()
    has_rsample = False

    def __init__(
        self, units: Units, location: Tensor, scale: Tensor, logits: Tensor, relative: Tensor
    ) -> None:
        self.units = units
        self.location, self.scale = location, scale
        self.logits, self.relative = logits, relative
        super().__init__(location.shape[:-2], location.shape[-2:], validate_args=False)

    def at(self, steps: slice) -> "Steps":
        """The law of some of the steps alone."""
        where = (self.location[..., steps, :], self.scale[..., steps, :])
        return Steps(self.units, *where, self.logits, self.relative)

    def picked(self, *indices: Tensor) -> "Steps":
        """The law at some places of the batch."""
        where = (self.location[indices], self.scale[indices])
        return Steps(self.units, *where, self.logits, self.relative)

    def mixture(self) -> LogisticMixture:
        """The law of each T(x_tc), batch shape `[*batch, L, C]`."""
        scale = self.scale.unsqueeze(-1) * self.relative
        location = self.location.unsqueeze(-1).expand_as(scale)
        return LogisticMixture(self.logits.expand_as(scale), location, scale, validate_args=False)

    def log_cells(self, x: Tensor) -> Tensor:
        """Log p of each cell of x `[*, L, C]` in nats; 0 where x is NaN."""
        observed = ~x.isnan()
        lower, width, slope = self.units.cells(torch.where(observed, x, self.units.middle))
        like = self.scale.dtype
        log_p = self.mixture().log_mass(lower.to(like), width.to(like)) + slope.to(like)
        return torch.where(observed, log_p, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p of the observed cells, summed, in nats."""
        return self.log_cells(value).sum((-2, -1))

    def log_tails(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log P(X ≤ x) and log P(X ≥ x) of each cell, both with x itself; NaN where x is NaN."""
        lower, width, _ = self.units.cells(x)
        like = self.scale.dtype
        scale = self.scale.unsqueeze(-1) * self.relative
        middle, log_weight = self.location.unsqueeze(-1), self.logits.log_softmax(-1)
        below = (lower.to(like).unsqueeze(-1) - middle) / scale
        above = ((lower + width).to(like).unsqueeze(-1) - middle) / scale
        at_most = torch.logsumexp(log_weight + F.logsigmoid(above), -1)
        return at_most, torch.logsumexp(log_weight + F.logsigmoid(-below), -1)

    def central(self) -> Tensor:
        """The median of each cell, `[*batch, L, C]`, float64."""
        return self.units.raw(self.location)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch, L, C]`, float64, in the data's units and on its grid."""
        return self.units.raw(self.mixture().sample(Size(sample_shape)))


@tempered.register
def _steps(law: Steps, temperature: float) -> Distribution:
    logits, scale = law.logits / temperature, law.scale * temperature
    return Steps(law.units, law.location, scale, logits, law.relative)


def shapes(components: int) -> Tensor:
    """Log of the relative scales that K shapes start from: from narrow to wide, `[K]`."""
    return torch.linspace(-0.5, 0.5, components) * math.log(9.0)
