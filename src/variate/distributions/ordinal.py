r"""Ordered levels: the cumulative logit, or proportional odds (McCullagh 1980).

A hidden logistic variable with location η falls between cutpoints c_1 < ... < c_{K-1}:

    P(x <= k) = σ(c_{k+1} - η),      x = 0, ..., K - 1

so moving η moves all the mass one way, which a softmax over the levels does not know. As in
grid.py the difference of two sigmoids is a product of three terms, none of which cancels:

    log P(k) = log σ(c_{k+1} - η) + log σ(η - c_k) + log(1 - exp(-(c_{k+1} - c_k)))

with the terms of c_0 = -∞ and c_K = ∞ left out.

This module does not know how the cutpoints are kept in order.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, constraints

__all__ = ["Ordinal"]


class Ordinal(Distribution):
    """A distribution over the ordered levels 0, ..., K - 1.

    Args:
        location: η of the hidden logistic variable, `[*batch]`.
        cutpoints: c_1 < ... < c_{K-1}, `[K - 1]` or broadcastable to `[*batch, K - 1]`.
        validate_args: As in torch; None takes torch's global default.

    Raises:
        ValueError: Arguments are validated and the cutpoints do not increase strictly.
    """

    arg_constraints = {  # noqa: RUF012
        "location": constraints.real,
        "cutpoints": constraints.real_vector,
    }
    has_rsample = False

    def __init__(
        self, location: Tensor, cutpoints: Tensor, *, validate_args: bool | None = None
    ) -> None:
        shape = torch.broadcast_shapes(location.shape, cutpoints.shape[:-1])
        self.location = location.expand(shape)
        self.cutpoints = cutpoints.expand(*shape, -1)
        super().__init__(shape, validate_args=validate_args)
        if self._validate_args and not bool((self.cutpoints.diff(dim=-1) > 0).all()):
            raise ValueError(
                "the cutpoints of an Ordinal must increase strictly along their last dimension"
            )
        below = self.cutpoints - self.location.unsqueeze(-1)
        width = self.cutpoints.diff(dim=-1)
        logits = F.pad(F.logsigmoid(below), (0, 1)) + F.pad(F.logsigmoid(-below), (1, 0))
        logits = logits + F.pad(torch.log(-torch.expm1(-width)), (1, 1))
        self._levels = Categorical(logits=logits, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The levels 0, ..., K - 1."""
        return constraints.integer_interval(0, self.cutpoints.shape[-1])

    @property
    def logits(self) -> Tensor:
        """Log-probabilities of the levels, `[*batch, K]`."""
        return self._levels.logits

    @property
    def mode(self) -> Tensor:
        """The likeliest level, `[*batch]`."""
        return self.logits.argmax(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Ordinal":
        """The same distribution with its batch broadcast to `batch_shape`."""
        location = self.location.expand(batch_shape)
        cutpoints = self.cutpoints.expand(*batch_shape, -1)
        return Ordinal(location, cutpoints, validate_args=self._validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability in nats, broadcast of `[*batch]` and the value's shape."""
        if self._validate_args:
            self._validate_sample(value)
        return self._levels.log_prob(value)

    def entropy(self) -> Tensor:
        """Entropy in nats, `[*batch]`."""
        return self._levels.entropy()

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Levels `[*sample_shape, *batch]`, int64 as torch's Categorical draws them."""
        return self._levels.sample(Size(sample_shape))
