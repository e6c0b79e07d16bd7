r"""Counts with more zeros than their distribution explains.

With the gate π = σ(g), a zero is either structural or one of the base's own:

    P(0) = π + (1 - π) P_base(0)
    P(x) = (1 - π) P_base(x),       x ≠ 0

(Lambert 1992). The Poisson and the negative binomial themselves are torch's. Their log-probability
is a difference of log-gammas that are as large as the count, so counts above 10⁵ want float64
values.

This module does not know what is counted.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Bernoulli, Distribution, constraints

__all__ = ["ZeroInflated"]


class ZeroInflated(Distribution):
    """A discrete distribution that is replaced by zero with probability σ(gate_logits).

    Args:
        base: A discrete distribution of empty event shape, such as a Poisson.
        gate_logits: Log-odds of a structural zero, broadcastable with the base's batch.
        validate_args: As in torch; None takes torch's global default.

    Raises:
        TypeError: The base is continuous (where a zero has no mass, so that a density and a
            probability would be added) or has an event shape.
    """

    arg_constraints = {"gate_logits": constraints.real}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self, base: Distribution, gate_logits: Tensor, *, validate_args: bool | None = None
    ) -> None:
        if base.event_shape or not getattr(base.support, "is_discrete", False):
            raise TypeError(
                f"ZeroInflated needs a discrete base of empty event shape, such as a Poisson; "
                f"got {type(base).__name__} with event shape {tuple(base.event_shape)}"
            )
        shape = torch.broadcast_shapes(base.batch_shape, gate_logits.shape)
        self.base = base.expand(shape)
        self.gate_logits = gate_logits.expand(shape)
        super().__init__(shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The base's support, which must hold zero."""
        base: constraints.Constraint = self.base.support
        return base

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ZeroInflated":
        """The same distribution with its batch broadcast to `batch_shape`."""
        base, gate_logits = self.base.expand(batch_shape), self.gate_logits.expand(batch_shape)
        return ZeroInflated(base, gate_logits, validate_args=self._validate_args)

    @property
    def mean(self) -> Tensor:
        """(1 - π) times the base's mean."""
        return torch.sigmoid(-self.gate_logits) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """(1 - π) (variance + π mean²) of the base."""
        kept = torch.sigmoid(-self.gate_logits)
        return kept * (self.base.variance + (1 - kept) * self.base.mean.square())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability in nats, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        base = F.logsigmoid(-self.gate_logits) + self.base.log_prob(value)
        zero = torch.logaddexp(F.logsigmoid(self.gate_logits), base)
        return torch.where(value == 0, zero, base)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch]`."""
        structural = Bernoulli(logits=self.gate_logits).sample(Size(sample_shape))
        draw = self.base.sample(Size(sample_shape))
        return torch.where(structural.bool(), torch.zeros_like(draw), draw)
