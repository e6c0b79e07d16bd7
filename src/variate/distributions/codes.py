r"""Discrete codes held as vectors: the point mass of a quantised posterior, and laws over codes.

A codebook has K vectors e_1, …, e_K of d numbers; z is a grid of P of them, flat,

    z = (e_{c_1}, …, e_{c_P}),        c_p in 0, …, K - 1

so that a decoder takes it as any other z. A law over z is a *mass* over the K^P grids of codes and
zero elsewhere. What quantises is certain of its codes (van den Oord et al. 2017):

    q(z|x) = 1 at z(x)        H(q) = 0        KL(q‖p) = -log p(c(x))

and the ELBO is log p(x|z) + log p(c), minus the length of a two-part code: the codes, then the
data given them. It bounds log p(x) = log Σ_c p(c) p(x|z_c) as a sum is no less than one of its
terms. All draws of a point are equal, so the importance-weighted bound *is* the ELBO, however many
are made.

The codes are known to the posterior, which keeps them; from other vectors they are read back as
those of the nearest entries, and what is on no entry has log p = -∞.

This module does not know how the codebook came about, nor which codes are likely.
"""

from typing import Any, Protocol

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints, register_kl

from variate.distributions.gaussian import Delta

__all__ = ["CodeLaw", "CodePoint", "Codebook"]

_NEAR = 1e-4  # of a vector's size: far above rounding, far below the distance of two entries


class Codebook(Protocol):
    """K vectors of d numbers."""

    size: int
    width: int

    def nearest(self, vectors: Tensor) -> Tensor:
        """Which entries are nearest to vectors `[..., d]`: codes `[...]`, int64."""
        ...

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors `[..., d]` of codes `[...]`."""
        ...


class CodePoint(Delta):
    """The point mass at a grid of codes.

    Args:
        value: z, the vectors of the codes, flat, `[*batch, P·d]`; it may carry a gradient.
        codes: `[*batch, P]`, int64.
        codebook: Whose codes they are.
        penalty: What the quantisation itself is to cost, in nats per item, `[*batch]`, or None.
    """

    def __init__(
        self, value: Tensor, codes: Tensor, codebook: Codebook, penalty: Tensor | None = None
    ) -> None:
        self.codes = codes
        self.codebook = codebook
        self.penalty = penalty
        super().__init__(value, event_dims=1, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "CodePoint":
        """The same point mass with its batch broadcast to `batch_shape`."""
        return CodePoint(
            self.value.expand(*batch_shape, *self.event_shape),
            self.codes.expand(*batch_shape, self.codes.shape[-1]),
            self.codebook,
            None if self.penalty is None else self.penalty.expand(batch_shape),
        )


class CodeLaw(Distribution):
    """A law over grids of codes, as one over their vectors.

    Args:
        grid: The law over codes, batch shape `[]`, event shape `[P]`.
        codebook: What the codes stand for.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract
    support = constraints.real_vector  # the mass off the codebook is zero, not undefined

    def __init__(self, grid: Distribution, codebook: Codebook) -> None:
        self.grid = grid
        self.codebook = codebook
        (positions,) = grid.event_shape
        event = Size((positions * codebook.width,))
        super().__init__(grid.batch_shape, event, validate_args=False)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, P·d]`."""
        with torch.no_grad():
            return self.codebook.look_up(self.grid.sample(Size(sample_shape))).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p of the codes in nats, `[...]` for z `[..., P·d]`; -∞ off the codebook."""
        vectors = value.detach().unflatten(-1, (-1, self.codebook.width))
        codes = self.codebook.nearest(vectors)
        entries = self.codebook.look_up(codes)
        near = torch.isclose(vectors, entries, rtol=_NEAR, atol=_NEAR * 0.1)
        log_p = self.grid.log_prob(codes)
        return torch.where(near.flatten(-2).all(-1), log_p, -torch.inf)


@register_kl(CodePoint, CodeLaw)  # type: ignore[untyped-decorator]
def _kl_point_law(q: CodePoint, p: CodeLaw) -> Tensor:
    """-log p of the codes, which are known and need not be read back."""
    if q.codebook is not p.codebook:
        raise NotImplementedError
    return -p.grid.log_prob(q.codes)
