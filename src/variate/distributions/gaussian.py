r"""Scales, point masses and the divergences of normals that torch lacks.

**Scales.** A network's output r is any real number; a scale must be positive, and neither may the
density explode (σ → 0) nor the gradient die (a hard clamp, or softplus far below zero). With

    σ(r) = softplus(r) + floor · (3/2 + atan(r) / π)

σ is smooth and strictly increasing, lies above the floor, is close to softplus(r) wherever that is
well above the floor, and its gradient falls like floor / r² and not like exp(r), so it stays
positive over the whole range of float32.

**Divergence.** For q = N(μ, D + W Wᵀ), D diagonal and W `[L, R]`, and p = N(m, diag s²),

    KL(q‖p) = ½ Σ_i [ (D_i + Σ_r W_ir² + (μ_i - m_i)²) / s_i² - 1 + log s_i² ] - ½ log|D + W Wᵀ|
    log|D + W Wᵀ| = Σ_i log D_i + log|I + Wᵀ D⁻¹ W|                    (matrix determinant lemma)

so only an R × R matrix is factorised.

This module does not know what the normals are for: posterior, prior and likelihood look the same.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    Normal,
    constraints,
    register_kl,
)

__all__ = ["Delta", "bounded_scale"]


def bounded_scale(raw: Tensor, floor: float = 1e-3) -> Tensor:
    """A positive scale from any real number: smooth, above `floor`, its gradient never zero.

    Args:
        raw: Any real numbers, any shape.
        floor: What the scale tends to as raw goes to minus infinity.

    Returns:
        The scale, same shape: 0.69 at raw = 0, close to raw where raw is large.
    """
    return F.softplus(raw) + floor * (1.5 + torch.atan(raw) / math.pi)


class Delta(Distribution):
    """A point mass: all draws are `value`, and its log-probability there is zero.

    As the posterior of a deterministic autoencoder it makes log q(z|x) vanish, so that what
    remains of the bound is log p(x|z) + log p(z) at one point.

    Args:
        value: The point, `[*batch, *event]`.
        event_dims: How many of its last dimensions are the event.
        validate_args: As in torch; None takes torch's global default.
    """

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(
        self, value: Tensor, event_dims: int = 1, *, validate_args: bool | None = None
    ) -> None:
        self.value = value
        self.event_dims = event_dims
        batch_dims = value.dim() - event_dims
        super().__init__(
            value.shape[:batch_dims], value.shape[batch_dims:], validate_args=validate_args
        )

    @property
    def support(self) -> constraints.Constraint:
        """All of space: the mass elsewhere is zero, not undefined."""
        return constraints.independent(constraints.real, self.event_dims)

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.value

    @property
    def mode(self) -> Tensor:
        """The point."""
        return self.value

    @property
    def variance(self) -> Tensor:
        """Zero."""
        return torch.zeros_like(self.value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Delta":
        """The same point mass with its batch broadcast to `batch_shape`."""
        value = self.value.expand(*batch_shape, *self.event_shape)
        return Delta(value, self.event_dims, validate_args=self._validate_args)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """The point, `[*sample_shape, *batch, *event]`, with its gradient."""
        return self.value.expand(self._extended_shape(Size(sample_shape)))

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """The point, `[*sample_shape, *batch, *event]`, without its gradient."""
        return self.rsample(sample_shape).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """Zero at the point and minus infinity elsewhere (the mass is a point mass)."""
        same = value == self.value
        for _ in range(self.event_dims):
            same = same.all(-1)
        return torch.where(same, 0.0, -torch.inf).to(self.value.dtype)


@register_kl(LowRankMultivariateNormal, Independent)  # type: ignore[untyped-decorator]
def _kl_low_rank_independent(
    q: LowRankMultivariateNormal, p: "Independent[Distribution]"
) -> Tensor:
    """KL from a low-rank normal to a diagonal one, in nats."""
    normal = p.base_dist
    if not isinstance(normal, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    variance = normal.scale.square()
    moments = q.cov_diag + q.cov_factor.square().sum(-1) + (q.loc - normal.loc).square()
    weighted = q.cov_factor / q.cov_diag.unsqueeze(-1)
    inner = torch.eye(q.cov_factor.shape[-1]).to(weighted) + q.cov_factor.mT @ weighted
    half_log_det = torch.linalg.cholesky(inner).diagonal(dim1=-2, dim2=-1).log().sum(-1)
    terms = moments / variance - 1 + variance.log() - q.cov_diag.log()
    return terms.sum(-1) / 2 - half_log_det
