r"""Pixels: distributions over the levels 0, …, L-1 of an image `[C, H, W]`.

**Mixtures of discretised logistics** (Salimans et al. 2017, PixelCNN++). A logistic of location μ
and scale s is rounded to the levels, its tails to the two end levels, so that with the distance
d = (x - μ)/s and half a level h = 1/(2s)

    P(0) = σ(d + h)      P(x) = σ(d + h) σ(h - d) (1 - exp(-2h))      P(L-1) = σ(h - d)

The middle one is σ(d + h) - σ(d - h) written as a product: in logarithms nothing cancels, however
narrow the scale or far the tail. Neighbours share an edge, so the masses telescope to one, exactly,
for every location and scale. A pixel picks one of K components for all of its channels, which are
then drawn one after the other, each location moved by the channels before it:

    p(x_1, …, x_C) = Σ_k w_k Π_c P(x_c; μ_kc + Σ_{j<c} α_kcj (x_j - m), s_kc),     m = (L-1)/2

and pixels are independent given z. What moves a location is the level itself, in scoring as in
sampling (PixelCNN++ samples with the number before it is rounded, which is another law).

**Levels as labels**, and bits: a categorical and a Bernoulli, that take whole numbers of any type.

**Densities of levels**: a density over y is stated over x = m + u·y, per level: log p(y) - log u.

This module does not know where the parameters come from.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch import distributions as td
from torch.distributions import Distribution, constraints

__all__ = ["Bits", "DiscretisedLogisticMixture", "Labels", "Rescaled", "level_type"]


def level_type(levels: int) -> torch.dtype:
    """The integer type that holds levels 0, …, levels - 1: uint8 up to 256 of them, else int32."""
    return torch.uint8 if levels <= 256 else torch.int32


class _Levels(constraints.Constraint):
    """The whole numbers 0, …, levels - 1."""

    is_discrete = True

    def __init__(self, levels: int) -> None:
        self.levels = levels
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0) & (value <= self.levels - 1) & (value % 1 == 0)

    def __repr__(self) -> str:
        return f"the whole numbers 0 to {self.levels - 1}"


class _Binary(_Levels):
    """Zero and one, with what to do about grey."""

    def __init__(self) -> None:
        super().__init__(2)

    def __repr__(self) -> str:
        return (
            "0 and 1 only, and a Bernoulli of grey values is no likelihood: give them "
            "pixels.LogisticMixturePixels, or pixels.ContinuousBernoulliPixels, or make them binary"
        )


class DiscretisedLogisticMixture(Distribution):
    """A mixture of logistics over the levels of an image, its channels one after the other.

    Locations and scales are in levels. Batch shape `[*batch]`, event shape `[C, H, W]`.

    Args:
        logits: Log weights of the components up to a constant, `[*batch, K, H, W]`.
        location: Their medians, `[*batch, K, C, H, W]`.
        scale: Their scales, positive, `[*batch, K, C, H, W]`.
        levels: L.
        slopes: How a location moves per level of each channel before, in the order (2,1), (3,1),
            (3,2), (4,1), …: `[*batch, K, C(C-1)/2, H, W]`. None for channels that are independent
            given their component.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {  # noqa: RUF012
        "logits": constraints.independent(constraints.real, 3),
        "location": constraints.independent(constraints.real, 4),
        "scale": constraints.independent(constraints.positive, 4),
    }
    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        location: Tensor,
        scale: Tensor,
        levels: int,
        slopes: Tensor | None = None,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.logits = logits - logits.logsumexp(-3, keepdim=True)
        self.location = location
        self.scale = scale
        self.levels = levels
        self.slopes = slopes
        self._slopes = () if slopes is None else slopes.unbind(-3)
        super().__init__(location.shape[:-4], location.shape[-3:], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The whole numbers 0, …, levels - 1 in each channel of each pixel."""
        return constraints.independent(_Levels(self.levels), 3)

    @property
    def middle(self) -> float:
        """m, the middle of the levels."""
        return (self.levels - 1) / 2

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DiscretisedLogisticMixture":
        """The same distribution with its batch broadcast to `batch_shape`."""

        def wide(parameter: Tensor, dims: int) -> Tensor:
            return parameter.expand(*batch_shape, *parameter.shape[-dims:])

        return DiscretisedLogisticMixture(
            wide(self.logits, 3),
            wide(self.location, 4),
            wide(self.scale, 4),
            self.levels,
            None if self.slopes is None else wide(self.slopes, 4),
            validate_args=self._validate_args,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability in nats, broadcast of `[*batch]` and the value's batch."""
        if self._validate_args:
            self._validate_sample(value)
        return self.log_prob_of_pixels(value).sum((-2, -1))

    def log_prob_of_pixels(self, value: Tensor) -> Tensor:
        """Log-probability of each pixel, all its channels together, in nats: `[*batch, H, W]`."""
        x = value.to(self.location.dtype).unsqueeze(-4).unbind(-3)  # C of [..., 1, H, W]
        total = self.logits
        for c, (location, scale) in enumerate(self._channels()):
            rate = scale.reciprocal()
            distance = (x[c] - self._moved(c, location, x)) * rate
            total = total + _log_mass(x[c], distance, rate / 2, self.levels)
        return total.logsumexp(-3)

    def _channels(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Location and scale of each channel, `[*batch, K, H, W]`."""
        # one unbind: a slice per channel would fill zeros for all the others on the way back
        return zip(self.location.unbind(-3), self.scale.unbind(-3), strict=True)

    def _moved(self, c: int, location: Tensor, x: Sequence[Tensor]) -> Tensor:
        """The location of channel c, moved by the channels before it, `[*batch, K, H, W]`."""
        if self._slopes:
            first = c * (c - 1) // 2
            for j in range(c):
                slope = self._slopes[first + j]
                location = torch.addcmul(location, slope, x[j] - self.middle)
        return location

    @property
    def mean(self) -> Tensor:
        """The mean of the logistics, held within the levels but not rounded, `[*batch, C, H, W]`.

        E[min(max(X, 0), L-1)] = s [log(1 + e^(μ/s)) - log(1 + e^((μ-L+1)/s))] of each component;
        a location is moved by the means of the channels before. For one channel it is less than
        half a level from the mean of the discretised law; for more it is an approximation.
        """
        means: list[Tensor] = []
        for c, (location, scale) in enumerate(self._channels()):
            location = self._moved(c, location, means)
            low, high = location / scale, (location - self.levels + 1) / scale
            means.append(scale * (F.softplus(low) - F.softplus(high)))
        weights = self.logits.exp().unsqueeze(-3)
        return (weights * torch.stack(means, -3)).sum(-4)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch, C, H, W]`, uint8 up to 256 levels, else int32."""
        batch = (*sample_shape, *self.batch_shape)
        logits = self.logits.expand(*batch, *self.logits.shape[-3:])
        noise = -torch.empty_like(logits).exponential_().log()  # Gumbel: the arg-max is a draw
        k = (logits + noise).argmax(-3, keepdim=True)  # [*batch, 1, H, W]
        x: list[Tensor] = []  # C of [*batch, 1, H, W]
        for c, (location, scale) in enumerate(self._channels()):
            location = self._moved(c, location, x).expand(logits.shape).gather(-3, k)
            scale = scale.expand(logits.shape).gather(-3, k)
            # a zero stands for the cell between it and the generator's next number
            uniform = torch.rand_like(location).clamp_min(torch.finfo(location.dtype).eps / 4)
            drawn = location + scale * (uniform.log() - torch.log1p(-uniform))
            x.append(drawn.round().clamp(0, self.levels - 1))
        return torch.cat(x, -3).to(level_type(self.levels))


def _log_mass(x: Tensor, distance: Tensor, half: Tensor, levels: int) -> Tensor:
    """Log-mass of the level x of a logistic whose centre is `distance` scales below it."""
    lowest, highest = x == 0, x == levels - 1
    below_upper = torch.where(highest, 0.0, F.logsigmoid(half + distance))
    above_lower = torch.where(lowest, 0.0, F.logsigmoid(half - distance))
    size = torch.where(lowest | highest, 0.0, torch.log(-torch.expm1(-2 * half)))
    return below_upper + above_lower + size


class Labels(td.Categorical):
    """A categorical of levels, `logits [*batch, L]`, whose mean is that of the levels."""

    @property
    def support(self) -> constraints.Constraint:
        """The whole numbers 0, …, L-1."""
        return _Levels(self._num_events)

    @property
    def mean(self) -> Tensor:
        """Σ_k p_k k, `[*batch]`."""
        return self.probs @ torch.arange(self._num_events).to(self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Labels":
        """The same distribution with its batch broadcast to `batch_shape`."""
        logits = self.logits.expand(*batch_shape, self._num_events)
        return Labels(logits=logits, validate_args=self._validate_args)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`, uint8 up to 256 levels, else int32."""
        return super().sample(Size(sample_shape)).to(level_type(self._num_events))


class Bits(Distribution):
    """A Bernoulli of values in {0, 1} of any type.

    Args:
        logits: Log-odds of a one, `[*batch]`.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    has_rsample = False

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """0 and 1."""
        return _Binary()

    @property
    def mean(self) -> Tensor:
        """The probability of a one, `[*batch]`."""
        return torch.sigmoid(self.logits)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Bits":
        """The same distribution with its batch broadcast to `batch_shape`."""
        return Bits(self.logits.expand(batch_shape), validate_args=self._validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability in nats, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        x, logits = torch.broadcast_tensors(value.to(self.logits.dtype), self.logits)
        return -F.binary_cross_entropy_with_logits(logits, x, reduction="none")

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`, uint8."""
        mean = self.mean.expand(self._extended_shape(Size(sample_shape)))
        return (torch.rand_like(mean) < mean).to(torch.uint8)


class Rescaled(Distribution):
    """A density over y, stated over x = origin + unit·y: log p(x) = log p(y) - log unit.

    Args:
        base: The density of y, of independent dimensions.
        origin: The x of y = 0.
        unit: How much x is one y, positive.
        bounds: Least and greatest x, or None where x is any real number.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self,
        base: Distribution,
        origin: float,
        unit: float,
        bounds: tuple[float, float] | None = None,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.base = base
        self.origin = origin
        self.unit = unit
        self.bounds = bounds
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Between the bounds, or all real numbers."""
        return constraints.real if self.bounds is None else constraints.interval(*self.bounds)

    @property
    def mean(self) -> Tensor:
        """The mean of x, `[*batch]`."""
        return self.origin + self.unit * self.base.mean

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of x, `[*batch]`."""
        return self.unit * self.base.stddev

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Rescaled":
        """The same distribution with its batch broadcast to `batch_shape`."""
        base = self.base.expand(batch_shape)
        options = {"validate_args": self._validate_args}
        return Rescaled(base, self.origin, self.unit, self.bounds, **options)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats per unit of x, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        return self.base.log_prob((value - self.origin) / self.unit) - math.log(self.unit)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`, real numbers."""
        return self.origin + self.unit * self.base.sample(Size(sample_shape))
