r"""The prior of longer items: each part's code given those before it.

    p(z) = Π_i N(z_i; m_i, diag s_i²)        (m_i, s_i) = a GRU over z_1, …, z_{i-1}

It is learned with the rest of the model, by the KL; at first it is N(0, I). KL(q‖p) is taken from
draws. What a piece is as a whole (its key, its metre, that bars come back) is bound by this law
and by the decoder, which reads over the parts' borders.

This module does not know what the codes stand for.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from variate.distributions import bounded_scale, tempered

__all__ = ["Chain", "ChainLaw"]


class Chain(nn.Module):
    """A prior over n codes of d numbers.

    Args:
        spans: n.
        each: d.
        hidden: Of the GRU's state.
    """

    def __init__(self, spans: int, each: int, hidden: int = 128) -> None:
        super().__init__()
        self.spans = spans
        self.each = each
        self.latent = spans * each
        self.cells = nn.GRU(each, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 2 * each)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        nn.init.constant_(self.out.bias.data[each:], math.log(math.e - 1))  # a scale of 1

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[n d]`."""
        return ChainLaw(self)

    def law(self, states: Tensor) -> Normal:
        """The law of the next code at states `[..., H]`."""
        mean, raw = self.out(states).chunk(2, -1)
        return Normal(mean, bounded_scale(raw), validate_args=False)


class ChainLaw(Distribution):
    """The law of a `Chain`, at a temperature by which the spreads are multiplied."""

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(self, chain: Chain, temperature: float = 1.0) -> None:
        self.chain = chain
        self.temperature = temperature
        super().__init__(Size(), Size((chain.latent,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Real vectors."""
        return constraints.independent(constraints.real, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z) in nats, `[...]`, of codes `[..., n d]`."""
        codes = value.reshape(-1, self.chain.spans, self.chain.each)
        states, _ = self.chain.cells(F.pad(codes[:, :-1], (0, 0, 1, 0)))
        law = self._tempered(self.chain.law(states))
        return Independent(law, 2, validate_args=False).log_prob(codes).reshape(value.shape[:-1])

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, n d]`."""
        count = math.prod(sample_shape)
        weight = self.chain.out.weight
        code, state = weight.new_zeros(count, 1, self.chain.each), None
        drawn = []
        for _ in range(self.chain.spans):
            states, state = self.chain.cells(code, state)
            code = self._tempered(self.chain.law(states)).sample()
            drawn.append(code[:, 0])
        return torch.cat(drawn, -1).reshape(*sample_shape, self.chain.latent)

    def _tempered(self, law: Normal) -> Normal:
        return Normal(law.loc, law.scale * self.temperature, validate_args=False)


@tempered.register
def _chain(distribution: ChainLaw, temperature: float) -> Distribution:
    return ChainLaw(distribution.chain, distribution.temperature * temperature)
