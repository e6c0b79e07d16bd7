r"""Mixtures of logistics, on the line and on a grid.

A logistic with location μ and scale s has the distribution function σ((x - μ)/s), so its mass on a
cell (a, a + w] is a difference of two sigmoids. With u = (a - μ)/s and v = w/s,

    σ(u + v) - σ(u) = σ(u + v) σ(-u) (1 - exp(-v))               the mass of a cell
    σ(u) σ(-u) / s                                               the density at a point, w = 0

Both are products, so in logarithms nothing cancels, however small the cell or far the tail.
A mixture of K of them is a logsumexp over the components.

On a grid x = origin + k·step, k any integer, the cells meet and the masses telescope: they sum to
one exactly (Salimans et al. 2017, PixelCNN++, without their two end cells).

The edges are formed in the data's own precision (float64 for tables) and only the distance to the
location is rounded to the parameters' precision, so that a step of 0.01 survives at 1,000,000.

This module does not know where the parameters come from, nor that a column may be warped before
its cells are measured (rows.py).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

__all__ = ["OFF_GRID", "GridLogisticMixture", "LogisticMixture", "cell", "on_grid", "snap"]

_BISECTIONS = 64
OFF_GRID = 1e-3  # of a step: what decimal fractions lose in binary is far below, a stray far above


def snap(x: Tensor, step: Tensor, origin: Tensor) -> Tensor:
    """The value of the grid origin + k·step that is nearest to x, float64."""
    return origin + torch.round((x.double() - origin) / step) * step


def cell(x: Tensor, step: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Both edges of the cell that holds x, float64; neighbours share an edge to the last bit."""
    k = torch.round((x.double() - origin) / step)
    return origin + (k - 0.5) * step, origin + (k + 0.5) * step


def on_grid(x: Tensor, step: Tensor, origin: Tensor) -> Tensor:
    """Whether x is finite and lies on the grid, up to a thousandth of a step."""
    k = (x.double() - origin) / step
    return torch.isfinite(k) & ((k - torch.round(k)).abs() <= OFF_GRID)


class LogisticMixture(Distribution):
    """A mixture of K logistic densities over the real line.

    Args:
        logits: Log weights of the components up to a constant, `[*batch, K]`.
        location: Their medians, `[*batch, K]`.
        scale: Their scales, positive, `[*batch, K]`; the standard deviation is πs/√3.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {  # noqa: RUF012
        "logits": constraints.real_vector,
        "location": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real
    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        location: Tensor,
        scale: Tensor,
        *,
        validate_args: bool | None = None,
    ) -> None:
        shape = torch.broadcast_shapes(logits.shape, location.shape, scale.shape)
        self.logits = (logits - logits.logsumexp(-1, keepdim=True)).expand(shape)
        self.location = location.expand(shape)
        self.scale = scale.expand(shape)
        super().__init__(shape[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "LogisticMixture":
        """The same mixture with its batch broadcast to `batch_shape`."""
        shape = (*batch_shape, self.logits.shape[-1])
        parameters = (p.expand(shape) for p in (self.logits, self.location, self.scale))
        return LogisticMixture(*parameters, validate_args=self._validate_args)

    def double(self) -> "LogisticMixture":
        """The same mixture in float64; its draws and quantiles then resolve a fine grid."""
        return LogisticMixture(
            self.logits.double(),
            self.location.double(),
            self.scale.double(),
            validate_args=self._validate_args,
        )

    @property
    def mean(self) -> Tensor:
        """Σ_k w_k μ_k, `[*batch]`."""
        return (self.logits.exp() * self.location).sum(-1)

    @property
    def variance(self) -> Tensor:
        """The components' variances s²π²/3 and the spread of their means, `[*batch]`."""
        spread = (self.location - self.mean.unsqueeze(-1)).square()
        within = self.scale.square() * (math.pi**2 / 3)
        return (self.logits.exp() * (within + spread)).sum(-1)

    def log_mass(self, lower: Tensor, width: Tensor) -> Tensor:
        """Log of the mass on the cells (lower, lower + width], in nats; of the density at a point.

        Args:
            lower: The cells' lower edges, broadcastable to `[*batch]`.
            width: Their widths, which the caller may know without cancellation; zero for a point.

        Returns:
            The log-mass where the width is positive and the log-density where it is zero,
            broadcast of `[*batch]` and the edges.
        """
        dtype = self.scale.dtype
        rate = self.scale.reciprocal()
        cell_width = width.to(dtype).unsqueeze(-1)
        u = (lower.unsqueeze(-1) - self.location).to(dtype) * rate
        v = cell_width * rate
        size = torch.where(cell_width > 0, -torch.expm1(-v), rate).log()
        components = self.logits + F.logsigmoid(u + v) + F.logsigmoid(-u) + size
        return torch.logsumexp(components, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        return self.log_mass(value, torch.zeros_like(value))

    def cdf(self, value: Tensor) -> Tensor:
        """The distribution function Σ_k w_k σ((x - μ_k)/s_k)."""
        u = (value.unsqueeze(-1) - self.location) / self.scale
        return (self.logits.exp() * torch.sigmoid(u)).sum(-1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile function, by bisection.

        The quantile of a mixture lies between the least and the greatest quantile of its
        components, so the bracket is known and the bisection cannot fail.
        """
        ends = self.location + self.scale * torch.logit(value).unsqueeze(-1)
        lower, upper = ends.amin(-1), ends.amax(-1)
        for _ in range(_BISECTIONS):
            middle = (lower + upper) / 2
            below = self.cdf(middle) < value
            lower, upper = torch.where(below, middle, lower), torch.where(below, upper, middle)
        return upper

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`: a component, then a logistic by its quantiles."""
        shape = self._extended_shape(Size(sample_shape))
        weights = self.logits.exp().expand(*shape, -1)
        chosen = torch.multinomial(weights.reshape(-1, weights.shape[-1]), 1).reshape(*shape, 1)
        location = self.location.expand(weights.shape).gather(-1, chosen).squeeze(-1)
        scale = self.scale.expand(weights.shape).gather(-1, chosen).squeeze(-1)
        # a zero stands for the cell between it and the generator's next number
        uniform = torch.rand_like(location).clamp_min(torch.finfo(location.dtype).eps / 4)
        return location + scale * (uniform.log() - torch.log1p(-uniform))


class _OnGrid(constraints.Constraint):
    """The values origin + k·step."""

    is_discrete = True

    def __init__(self, step: Tensor, origin: Tensor) -> None:
        self.step = step
        self.origin = origin
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return on_grid(value, self.step, self.origin)


class GridLogisticMixture(Distribution):
    """A mixture of K logistics, rounded to the grid origin + k·step, k any integer.

    The parameters are in the data's own units. Values and draws are float64, for a fine grid far
    from zero does not fit into float32.

    Args:
        logits: Log weights of the components up to a constant, `[*batch, K]`.
        location: Their medians, `[*batch, K]`.
        scale: Their scales, positive, `[*batch, K]`.
        step: The grid's step, positive, broadcastable to `[*batch]`.
        origin: Any value on the grid, broadcastable to `[*batch]`.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {  # noqa: RUF012
        "step": constraints.positive,
        "origin": constraints.real,
    }
    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        location: Tensor,
        scale: Tensor,
        step: float | Tensor,
        origin: float | Tensor = 0.0,
        *,
        validate_args: bool | None = None,
    ) -> None:
        mixture = LogisticMixture(logits, location, scale, validate_args=validate_args)
        self.step = torch.as_tensor(step, dtype=torch.float64, device=location.device)
        self.origin = torch.as_tensor(origin, dtype=torch.float64, device=location.device)
        shape = torch.broadcast_shapes(mixture.batch_shape, self.step.shape, self.origin.shape)
        self.mixture = mixture.expand(shape)
        super().__init__(shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The values origin + k·step."""
        return _OnGrid(self.step, self.origin)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "GridLogisticMixture":
        """The same distribution with its batch broadcast to `batch_shape`."""
        mixture = self.mixture.expand(batch_shape)
        return GridLogisticMixture(
            mixture.logits,
            mixture.location,
            mixture.scale,
            self.step.expand(batch_shape),
            self.origin.expand(batch_shape),
            validate_args=self._validate_args,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability in nats, in the parameters' precision."""
        if self._validate_args:
            self._validate_sample(value)
        lower, _ = cell(value, self.step, self.origin)
        return self.mixture.log_mass(lower, self.step)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]` on the grid, float64."""
        return snap(self.mixture.double().sample(sample_shape), self.step, self.origin)
