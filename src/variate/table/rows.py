"""Rows: the likelihood p(x|z) of a table's rows, a chain of columns.

This module does not know where z came from.
"""

from typing import Any

import torch
from torch import Generator, Size, Tensor, nn
from torch.distributions import Distribution, constraints

from variate.distributions.rows import RowLayout
from variate.distributions.temper import tempered
from variate.table.blocks import in_blocks
from variate.table.chain import Chain
from variate.table.walk import Route

__all__ = ["RowDecoder", "Rows"]


class RowDecoder(nn.Module):
    """z `[S, B, D]` -> p(x|z), the likelihood of rows, batch shape `[S, B]`.

    Args:
        chain: The networks of the columns.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, z: Tensor) -> "Rows":
        """p(x|z)."""
        device = z.device.type
        half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        return Rows(self.chain, z, half=half)


class Rows(Distribution):
    """Rows of a table, each column given those before it and z; NaN is a gap.

    Values are float64 `[..., C]`, in the columns' own units, codes for categories. Draws keep to
    what was observed: no number beyond the range of its column.

    Args:
        chain: The networks of the columns.
        z: The codes, `[S, B, D]`.
        temperature: Of the draws; the density is that of temperature 1.
        half: What the networks compute a density in, where not in float32. They run when a density
            is asked for, which is after the decoder's `forward`, and so after its autocast.
    """

    arg_constraints = {}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self,
        chain: Chain,
        z: Tensor,
        temperature: float = 1.0,
        half: torch.dtype | None = None,
    ) -> None:
        self.chain = chain
        self.z = z
        self.temperature = temperature
        self.half = half
        event = Size((len(chain.layout.columns),))
        super().__init__(z.shape[:-1], event, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """NaN, or for each column one of its levels, its grid's values or any finite number."""
        return _RowSupport(self.chain.layout)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Rows":
        """The same rows with their batch broadcast to `batch_shape`."""
        z = self.z.expand(*batch_shape, self.z.shape[-1])
        return Rows(self.chain, z, self.temperature, self.half)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of rows `[B, C]` in nats, `[S, B]`.

        The value must lie in the support, which `RowLayout.check` tells and this does not.
        """
        return self.log_prob_columns(value).sum(0)

    def log_prob_columns(self, value: Tensor) -> Tensor:
        """The same column by column, `[C, S, B]`, in the order of the chain's layout."""
        return self.chain.log_prob(self.z, value, half=self.half)

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, S, B, C]`, float64."""
        shape = Size(sample_shape)
        z = self.z.expand(*shape, *self.z.shape)
        route = Route(self.chain)

        def drawn(codes: Tensor, generator: Generator) -> Tensor:
            walk = route.walk(codes)
            for place in range(len(self.chain.order)):
                walk.draw(place, generator, self.temperature)
            return walk.whole()

        parts = in_blocks(drawn, z.reshape(-1, z.shape[-1]))
        return torch.cat(parts).reshape(*z.shape[:-1], -1)

    @torch.no_grad()
    def central(self) -> Tensor:
        """Each column's middle given those before it, `[S, B, C]`, float64."""
        walk = Route(self.chain).walk(self.z.flatten(0, -2))
        for place in range(len(self.chain.order)):
            walk.take(place, walk.observed(place).middle())
        return walk.whole().reshape(*self.z.shape[:-1], -1)


@tempered.register
def _rows(distribution: Rows, temperature: float) -> Distribution:
    hotter = distribution.temperature * temperature
    return Rows(distribution.chain, distribution.z, hotter, distribution.half)


class _RowSupport(constraints.Constraint):
    """What a layout accepts; NaN included."""

    event_dim = 1

    def __init__(self, layout: RowLayout) -> None:
        self.layout = layout
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return ~self.layout.violations(value).any(-1)
