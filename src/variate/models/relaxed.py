r"""Relaxed categories: a differentiable law near the corners of a simplex, held as logarithms.

A category out of K, drawn by the Gumbel trick with a softmax at temperature τ in place of the
maximum (Maddison et al. 2017; Jang et al. 2017), is a point of a simplex whose coordinates
underflow in float32 at low temperatures: e^{-200} is 0, and its density then a NaN. So the value
is its *logarithm*, for which the density (Maddison et al. 2017, appendix C) stays finite:

    y = log softmax((l + g) / τ),            g_k standard Gumbel
    log p(y) = log Γ(K) + (K - 1) log τ + Σ_k a_k - K logsumexp_k a_k,      a = l - τ y

The KL between two such laws is that of the points themselves, for both are densities of one y.

This module does not know which is the posterior and which the prior.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from variate.errors import OptionError

__all__ = ["RelaxedCategories", "check_temperature"]


def check_temperature(temperature: float) -> float:
    """`temperature` as a float.

    Raises:
        OptionError: It is not positive and finite.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise OptionError(f"temperature must be positive and finite, but is {temperature!r}")
    return float(temperature)


class RelaxedCategories(Distribution):
    """G independent relaxed categories of K values each; the event is their G·K logarithms, flat.

    Args:
        logits: l, `[*batch, G, K]`, any real numbers.
        temperature: τ, positive.
    """

    arg_constraints = {"logits": constraints.independent(constraints.real, 2)}  # noqa: RUF012
    support = constraints.real_vector  # a surface in it; being on it is not checked
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits
        self.temperature = temperature
        event = torch.Size((math.prod(logits.shape[-2:]),))
        super().__init__(logits.shape[:-2], event, validate_args=False)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, *batch, G·K]`."""
        shape = (*sample_shape, *self.logits.shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        limits = torch.finfo(uniform.dtype)
        gumbel = -(-uniform.clamp(limits.tiny, 1 - limits.eps).log()).log()
        y = torch.log_softmax((self.logits + gumbel) / self.temperature, -1)
        return y.flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of the logarithms in nats, `[...]` for values `[..., G·K]`."""
        categories = self.logits.shape[-1]
        a = self.logits - self.temperature * value.unflatten(-1, self.logits.shape[-2:])
        constant = math.lgamma(categories) + (categories - 1) * math.log(self.temperature)
        log_p = constant + a.sum(-1) - categories * torch.logsumexp(a, -1)
        return log_p.sum(-1)
