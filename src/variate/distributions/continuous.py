r"""The continuous Bernoulli: a density over [0, 1], for grey values and shares.

A Bernoulli's λ^x (1-λ)^(1-x) is no density when x may be any number in [0, 1]: it does not
integrate to one (Loaiza-Ganem & Cunningham 2019). With ℓ = log λ/(1-λ) it is proportional to
exp(ℓ x), an exponential that is cut off at one, so with m = |ℓ| and y the distance of x from the
end that ℓ favours (y = x for ℓ < 0, y = 1 - x otherwise)

    p(x) = exp(-m y) / decay(m),      decay(m) = ∫_0^1 exp(-m u) du = (1 - exp(-m)) / m

Near m = 0 the quotient is 0/0, and its logarithm is summed as the series

    log decay(m) = -m/2 + m²/24 - m⁴/2880 + m⁶/181440 - ...

torch.distributions.ContinuousBernoulli computes the normaliser from λ, which float32 rounds to one:
its density is off by 0.2 nats at ℓ = 20 and by 1.3 at ℓ = 60. This one is exact for every ℓ.

This module does not know how grey values were brought into [0, 1].
"""

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

__all__ = ["ContinuousBernoulli"]

_SERIES_BELOW = 0.1  # the series' next term is then below 1e-15


class ContinuousBernoulli(Distribution):
    """A density over [0, 1] that is proportional to exp(logits · x).

    Args:
        logits: Any real numbers, `[*batch]`; zero is the uniform density.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval
    has_rsample = False

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ContinuousBernoulli":
        """The same distribution with its batch broadcast to `batch_shape`."""
        logits = self.logits.expand(batch_shape)
        return ContinuousBernoulli(logits, validate_args=self._validate_args)

    @property
    def mean(self) -> Tensor:
        """1 / (1 - exp(-ℓ)) - 1/ℓ, `[*batch]`."""
        small = self.logits.abs() < _SERIES_BELOW
        low = torch.where(small, self.logits, 0.0)
        series = 0.5 + low / 12 - low**3 / 720 + low**5 / 30240
        high = torch.where(small, 1.0, self.logits)
        return torch.where(small, series, -1 / torch.expm1(-high) - 1 / high)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        # not abs(): its gradient at zero logits would be zero
        negative = self.logits < 0
        m = torch.where(negative, -self.logits, self.logits)
        return -m * torch.where(negative, value, 1 - value) - _log_decay(m)

    def cdf(self, value: Tensor) -> Tensor:
        """(exp(ℓx) - 1) / (exp(ℓ) - 1), measured from the end that ℓ favours."""
        m = self._steepness()
        negative = self.logits < 0
        y = torch.where(negative, value, 1 - value)
        from_favoured = torch.expm1(-m * y) / torch.expm1(-m)
        return torch.where(negative, from_favoured, 1 - from_favoured)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile function, the inverse of `cdf`."""
        m = self._steepness()
        negative = self.logits < 0
        share = torch.where(negative, value, 1 - value)
        y = torch.log1p(share * torch.expm1(-m)) / -m
        return torch.where(negative, y, 1 - y)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`, by the quantile function."""
        shape = self._extended_shape(Size(sample_shape))
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return self.icdf(uniform).clamp(0.0, 1.0)

    def _steepness(self) -> Tensor:
        """|ℓ|, just above zero where it is zero, so that the quotients below are their limits."""
        return self.logits.abs().clamp_min(1e-30)


def _log_decay(m: Tensor) -> Tensor:
    """Log of (1 - exp(-m)) / m for m >= 0, with value and gradient finite at 0."""
    small = m < _SERIES_BELOW
    low = torch.where(small, m, 0.0)
    square = low.square()
    series = square * (1 / 24 - square * (1 / 2880 - square / 181440)) - low / 2
    high = torch.where(small, 1.0, m)
    return torch.where(small, series, torch.log(-torch.expm1(-high)) - high.log())
