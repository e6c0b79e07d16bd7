r"""The prior of longer items: each part's code given those before it.

    p(z) = Π_i N(z_i; m_i, diag s_i²)        (m_i, s_i) = a GRU over z_1, …, z_{i-1}

It is learned with the rest of the model, by the KL; at first it is N(0, I). KL(q‖p) is taken from
draws. What a piece is as a whole (its key, its metre, that bars come back) is bound by this law
and by the decoder, which reads over the parts' borders.

The same law writes a code out of noise, and the noise that a code was written from is known,

    z_i = m_i + s_i ε_i      ε_i = (z_i - m_i) / s_i      log p(z) = log p(ε) - Σ_i log s_i

so another law of ε, in place of N(0, I), makes another prior, in which each part still follows on
those before it: that is how a chain is adapted to a few pieces (`StyledChain`; `adapting`).

This module does not know what the codes stand for.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints

from variate.distributions import bounded_scale, temper, tempered
from variate.models import priors

__all__ = ["Chain", "ChainLaw", "StyledChain", "StyledLaw"]


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
        self.hidden = hidden
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

    def laws(self, codes: Tensor) -> Normal:
        """The law of each code of `[N, n, d]`, given those before it."""
        states, _ = self.cells(F.pad(codes[:, :-1], (0, 0, 1, 0)))
        return self.law(states)

    def noise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The noise ε that codes `[..., n d]` were written from, and log s, both `[..., n d]`."""
        codes = z.reshape(-1, self.spans, self.each)
        law = self.laws(codes)
        noise = (codes - law.loc) / law.scale
        return noise.reshape(z.shape), law.scale.log().reshape(z.shape)

    def written(self, noise: Tensor) -> Tensor:
        """The codes that noise ε `[..., n d]` writes."""
        given = noise.reshape(-1, self.spans, self.each)
        code, state = torch.zeros_like(given[:, :1]), None
        codes = []
        for part in given.split(1, 1):
            states, state = self.cells(code, state)
            law = self.law(states)
            code = law.loc + law.scale * part
            codes.append(code)
        return torch.cat(codes, 1).reshape(noise.shape)


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
        law = self._tempered(self.chain.laws(codes))
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


class StyledChain(nn.Module):
    """A chain whose noise has a law of its own: N(0, I) at first, then a mixture.

    Args:
        spans: n.
        each: d.
        hidden: Of the GRU's state.
        components: Of the mixture, at the most.
    """

    def __init__(self, spans: int, each: int, hidden: int = 128, components: int = 64) -> None:
        super().__init__()
        self.spans = spans
        self.each = each
        self.hidden = hidden
        self.components = components
        self.latent = spans * each
        self.chain = Chain(spans, each, hidden)
        self.noise = priors.Aggregate(self.latent, components)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[n d]`."""
        return StyledLaw(self.chain, self.noise())


class StyledLaw(Distribution):
    """The law of what a chain writes from noise.

    Args:
        chain: The chain.
        noise: The law of ε, event shape `[n d]`.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's contract

    def __init__(self, chain: Chain, noise: Distribution) -> None:
        self.chain = chain
        self.noise = noise
        super().__init__(Size(), Size((chain.latent,)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Real vectors."""
        return constraints.independent(constraints.real, 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z) in nats, `[...]`, of codes `[..., n d]`."""
        noise, log_scale = self.chain.noise(value)
        found: Tensor = self.noise.log_prob(noise) - log_scale.sum(-1)
        return found

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws `[*sample_shape, n d]`."""
        return self.chain.written(self.noise.sample(Size(sample_shape)))


@tempered.register
def _styled(distribution: StyledLaw, temperature: float) -> Distribution:
    return StyledLaw(distribution.chain, temper(distribution.noise, temperature))
