r"""p(x|z) of a window: steps with heavy tails, those of a channel tied as noise that wanders is.

A window x is `[L, C]`, NaN where nothing was observed. With the map T of `scaling`, a location μ_tc
and a scale σ_tc from the decoder, and for each channel c a mixture over the shape of the noise
(weights π_ck, relative scales r_ck, k = 1 … K),

    p(T(x_tc) | z) = Σ_k π_ck Logistic(T(x_tc); μ_tc, σ_tc r_ck)

A value on a grid of step g has the mass of its cell, between T(x - g/2) and T(x + g/2); the masses
of all cells telescope to one. A value on none has the density in its own units,

    log p(x_tc | z) = log p(T(x_tc) | z) + log T'(x_tc)

The steps of a channel are tied by a Gaussian copula of order one, φ_c, and channels are independent
given z. So with x_oc, the cells of channel c that were observed, in order of time

    log p(x_o | z) = Σ_c Σ_{t observed} [ log p(x_tc | z) + log R_tc ]

where log R is what the observed cells before t change (see `copula`): 0 everywhere for φ = 0. A
cell that is NaN contributes nothing, and the other cells' law is the marginal. The tails are those
of a scale mixture of logistics in T(x), powers of x.

Draws stay within the range that training had, widened by its own length on either side.

This module does not know the networks, nor which cells were hidden on purpose.
"""

import math
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from variate.distributions import tempered
from variate.distributions.grid import LogisticMixture
from variate.series.copula import (
    log_ratio,
    noise,
    normal_scores,
    path,
    recorded,
    tied_after,
    tied_around,
)
from variate.series.scaling import Scaling

__all__ = ["Steps", "Units", "shapes"]

EVERY = slice(None)


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
        phi: φ, `[C]`, between -1 and 1.
    """

    arg_constraints = {}  # noqa: RUF012
    support = _Known()
    has_rsample = False

    def __init__(
        self,
        units: Units,
        location: Tensor,
        scale: Tensor,
        logits: Tensor,
        relative: Tensor,
        phi: Tensor,
    ) -> None:
        self.units = units
        self.location, self.scale = location, scale
        self.logits, self.relative, self.phi = logits, relative, phi
        super().__init__(location.shape[:-2], location.shape[-2:], validate_args=False)

    def picked(self, *indices: Tensor) -> "Steps":
        """The law at some places of the batch."""
        where = (self.location[indices], self.scale[indices])
        return Steps(self.units, *where, self.logits, self.relative, self.phi)

    def mixture(self) -> LogisticMixture:
        """The law of each T(x_tc), batch shape `[*batch, L, C]`."""
        scale = self.scale.unsqueeze(-1) * self.relative
        location = self.location.unsqueeze(-1).expand_as(scale)
        return LogisticMixture(self.logits.expand_as(scale), location, scale, validate_args=False)

    def log_cells(self, x: Tensor) -> Tensor:
        """Log p of each cell of x `[*, L, C]` given those before, in nats; 0 where x is NaN."""
        observed, shown = self._shown(x)
        lower, width, slope = self.units.cells(shown)
        like = self.scale.dtype
        log_p = self.mixture().log_mass(lower.to(like), width.to(like)) + slope.to(like)
        edges = self._edges(shown)
        w = recorded(*edges)
        ratio = log_ratio(w, edges, tied_after(w, observed, self.phi.double()))
        return torch.where(observed, log_p + ratio.to(log_p), 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p of the observed cells, summed, in nats."""
        return self.log_cells(value).sum((-2, -1))

    def log_tails(self, x: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Log P(X ≤ x) and log P(X ≥ x) of each cell given those that are shown.

        Args:
            x: Values `[*, L, C]`; NaN where there is none, and the answer is NaN there.
            shown: What is known of the window, `[*, L, C]`, NaN where nothing is.
        """
        observed, known = self._shown(shown)
        tie = tied_around(recorded(*self._edges(known)), observed, self.phi.double())
        a, b = self._edges(x)
        at_most = torch.special.log_ndtr((b - tie.mean) / tie.deviation)
        return at_most, torch.special.log_ndtr((tie.mean - a) / tie.deviation)

    def central(self) -> Tensor:
        """The median of each cell, `[*batch, L, C]`, float64."""
        return self.units.raw(self.location)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch, L, C]`, float64, in the data's units and on its grid."""
        shape = Size(sample_shape) + self.batch_shape + self.event_shape
        nothing = self.location.new_full((), torch.nan, dtype=torch.float64)
        return self.filled(nothing.expand(shape))

    @torch.no_grad()
    def filled(self, x: Tensor) -> Tensor:
        """Windows x `[*, *batch, L, C]`, float64, gaps drawn given what is observed, and z."""
        observed, shown = self._shown(x)
        record = self._record if (self.units.grid > 0).any() else None
        w = recorded(*self._edges(shown))
        return torch.where(observed, x, self._raw(path(w, observed, self.phi.double(), record)))

    def _shown(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Which cells are observed, and x with some value where none is."""
        observed = ~x.isnan()
        return observed, torch.where(observed, x, self.units.middle)

    def _edges(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The normal scores of both edges of x's cells, float64; one and the same without grids."""
        if not (self.units.grid > 0).any():
            w = self._normal(self.units.scores(x))
            return w, w
        lower, width, _ = self.units.cells(x)
        return self._normal(lower), self._normal(lower + width)

    def _normal(self, v: Tensor, steps: Any = EVERY) -> Tensor:
        """The normal scores of scores v, of all steps or one."""
        y = (v - self.location[..., steps, :].double()) / self.scale[..., steps, :].double()
        return normal_scores(y, self.logits, self.relative)

    def _record(self, step: int, w: Tensor) -> Tensor:
        """What the values of a step drawn as w `[*batch, C]` stand for."""
        lower, width, _ = self.units.cells(self._raw(w, step))
        found = recorded(self._normal(lower, step), self._normal(lower + width, step))
        return torch.where(self.units.grid > 0, found, w)

    def _raw(self, w: Tensor, steps: Any = EVERY) -> Tensor:
        """Values drawn as w, of all steps or one."""
        y = noise(w, self.logits, self.relative)
        location, scale = self.location[..., steps, :], self.scale[..., steps, :]
        return self.units.raw(location.double() + scale.double() * y)


@tempered.register
def _steps(law: Steps, temperature: float) -> Distribution:
    logits, scale = law.logits / temperature, law.scale * temperature
    return Steps(law.units, law.location, scale, logits, law.relative, law.phi)


def shapes(components: int) -> Tensor:
    """Log of the relative scales that K shapes start from: from narrow to wide, `[K]`."""
    return torch.linspace(-0.5, 0.5, components) * math.log(9.0)
