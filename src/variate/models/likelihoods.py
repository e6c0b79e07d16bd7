r"""Likelihoods: heads that turn a decoder's features into p(x|z).

    features [S, B, F]  ->  p(x|z),  batch shape [S, B],  event shape [*event]

A decoder is any network followed by a head, `nn.Sequential(net, Bernoulli(784))`. Each head is one
linear layer to the parameters r of every dimension of an item, any real numbers, and the map from
them to a proper, normalised distribution of independent dimensions:

    Bernoulli             logit p = r                                    x in {0, 1}
    ContinuousBernoulli   logit λ = r                                    x in [0, 1]
    Categorical           log p_k = r_k - logsumexp r                    x in {0, …, K-1}
    Ordinal               P(x <= k) = σ(c_k - r), c_k increasing         x in {0, …, K-1}
    Gaussian              μ = r, σ fixed, learned or optimal             x real
    Laplace, StudentT     μ = r_1, scale(r_2), ν > 1 of each dimension   x real
    Poisson               log λ = bend(r)                                x in {0, 1, …}
    NegativeBinomial      log μ = bend(r), dispersion of each dimension  x in {0, 1, …}
    ZeroInflated          zero with probability σ(r), else a count       x in {0, 1, …}

Rates are bend(r) = r / (1 + |r|/a) in the logarithm: close to r, within ±a, and of a gradient that
is never zero, where a clamp would be dead and a bare exponential overflow.

**The optimal scale** (σ-VAE; Rybkin et al. 2021). Of all shared σ, -log N(x; μ, σ²) over a batch is
least at σ² = mean (x - μ)². Training takes that σ batch by batch, so the distortion is
D/2 log mean (x - μ)² and the balance against the KL needs no tuning. As σ is at its optimum, it
adds nothing to the gradient, whether held or not. A density whose scale depends on the item that
it judges is not normalised, so a running mean of σ² is kept, and in evaluation mode that one
number is the scale of a plain normal.

This module does not know the network before the head, nor how the data came to be numbers.
"""

import math
from collections.abc import Sequence

import torch
import torch.distributions as td
import torch.nn.functional as F
from torch import Tensor, nn

from variate.distributions.continuous import ContinuousBernoulli as ContinuousBernoulliValues
from variate.distributions.counts import ZeroInflated as ZeroInflatedCounts
from variate.distributions.gaussian import bounded_scale
from variate.distributions.ordinal import Ordinal as OrdinalLevels
from variate.errors import OptionError

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "FixedScale",
    "Gaussian",
    "Laplace",
    "LearnedScale",
    "NegativeBinomial",
    "OptimalScale",
    "Ordinal",
    "Poisson",
    "StudentT",
    "ZeroInflated",
]

Event = int | Sequence[int]

_LOG_RATE = 15.0  # counts up to 3 million
_LOG_DISPERSION = 7.0  # beyond 1,000 a negative binomial is a Poisson, and float32's lgamma coarse
_FLOOR = 1e-3  # the least optimal scale
_GAP = 1e-6  # the least distance of two cutpoints
_MEMORY = 0.01  # the share of a new batch in the running variance, once there were 100


def _sizes(event: Event) -> tuple[int, ...]:
    sizes = (event,) if isinstance(event, int) else tuple(event)
    if not sizes or any(size < 1 for size in sizes):
        raise OptionError(
            f"event must be the shape of an item, one or more positive sizes, but is {event!r}"
        )
    return sizes


def _bend(raw: Tensor, limit: float) -> Tensor:
    return raw / (1 + raw.abs() / limit)


class _Raw(nn.Module):
    """Features `[..., F]` -> `count` tensors `[..., *event]`, and back to one distribution."""

    def __init__(self, event: Event, count: int = 1) -> None:
        super().__init__()
        self.shape = (count, *_sizes(event))
        self.linear = nn.LazyLinear(math.prod(self.shape))

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        raw: Tensor = self.linear(features).unflatten(-1, self.shape)
        return raw.unbind(-len(self.shape))

    def independent(self, distribution: td.Distribution) -> td.Distribution:
        return td.Independent(distribution, len(self.shape) - 1, validate_args=False)


class Bernoulli(nn.Module):
    """Binary data, x in {0, 1}; grey values in between belong to `ContinuousBernoulli`.

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event)

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (logits,) = self.raw(features)
        return self.raw.independent(td.Bernoulli(logits=logits, validate_args=False))


class ContinuousBernoulli(nn.Module):
    """Data in [0, 1], with the normaliser that a binary cross-entropy lacks (Loaiza-Ganem 2019).

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event)

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (logits,) = self.raw(features)
        return self.raw.independent(ContinuousBernoulliValues(logits=logits, validate_args=False))


class Categorical(nn.Module):
    """Codes 0, …, levels - 1 without an order.

    Args:
        event: The shape of an item, a size or several.
        levels: K, how many values a code has.
    """

    def __init__(self, event: Event, levels: int) -> None:
        super().__init__()
        self.event = event
        self.levels = levels
        self.raw = _Raw((*_sizes(event), levels))

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (logits,) = self.raw(features)
        codes = td.Categorical(logits=logits, validate_args=False)
        return td.Independent(codes, len(self.raw.shape) - 2, validate_args=False)


class Ordinal(nn.Module):
    """Codes 0, …, levels - 1 in order: a cumulative logit whose cutpoints are shared by all items.

    Args:
        event: The shape of an item, a size or several.
        levels: K, how many values a code has.

    Raises:
        OptionError: There are fewer than two levels.
    """

    def __init__(self, event: Event, levels: int) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event)
        if levels < 2:
            raise OptionError(f"levels must be at least 2, but is {levels!r}")
        self.levels = levels
        even = torch.arange(1, levels) / levels
        gaps = torch.logit(even).diff(prepend=torch.zeros(1))
        gaps[1:] = torch.expm1(gaps[1:]).log()  # the inverse of softplus: equal probabilities at 0
        self.raw_cutpoints = nn.Parameter(gaps.expand(*_sizes(event), -1).clone())

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (location,) = self.raw(features)
        first, gaps = self.raw_cutpoints[..., :1], self.raw_cutpoints[..., 1:]
        cutpoints = torch.cat([first, F.softplus(gaps) + _GAP], -1).cumsum(-1)
        return self.raw.independent(OrdinalLevels(location, cutpoints, validate_args=False))


class FixedScale(nn.Module):
    """One σ, given: with 1 the distortion is half the squared error, up to a constant.

    Args:
        value: σ, in the units of the data.

    Raises:
        OptionError: It is not positive and finite.
    """

    needs = 0
    scale: Tensor

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        if not (value > 0 and math.isfinite(value)):
            raise OptionError(f"FixedScale's value must be positive and finite, but is {value!r}")
        self.value = float(value)
        self.register_buffer("scale", torch.tensor(self.value), persistent=False)

    def forward(self, mean: Tensor) -> td.Normal:
        """The normal of each dimension."""
        return td.Normal(mean, self.scale, validate_args=False)


class LearnedScale(nn.Module):
    """σ(z) of each dimension, from the features as the mean is, bounded from below."""

    needs = 1

    def __init__(self) -> None:
        super().__init__()

    def forward(self, mean: Tensor, raw: Tensor) -> td.Normal:
        """The normal of each dimension."""
        return td.Normal(mean, bounded_scale(raw), validate_args=False)


class OptimalScale(nn.Module):
    """One σ: that of the batch while training, its running mean in evaluation mode.

    Reference: Rybkin, Daniilidis & Levine 2021, Simple and effective VAE training with calibrated
    decoders.
    """

    needs = 0
    variance: Tensor
    batches: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, mean: Tensor) -> td.Normal:
        """The normal of each dimension."""
        if self.training:
            return _OptimalNormal(mean, self)
        return td.Normal(mean, self.variance.sqrt(), validate_args=False)

    @torch.no_grad()
    def observe(self, variance: Tensor) -> None:
        """Take the variance of one batch into the running mean."""
        # A batch that is not finite is skipped by the optimiser, and must be skipped here too.
        finite = variance.isfinite()
        self.batches.add_(finite)
        share = (1 / self.batches.clamp(min=1)).clamp(min=_MEMORY)
        self.variance.lerp_(torch.where(finite, variance, self.variance).to(self.variance), share)


class _OptimalNormal(td.Normal):
    """A normal whose log-density is taken at the scale that is best for the values it is given."""

    def __init__(self, mean: Tensor, scale: OptimalScale) -> None:
        super().__init__(mean, scale.variance.sqrt(), validate_args=False)
        self._observe = scale.observe

    def log_prob(self, value: Tensor) -> Tensor:
        variance = (value - self.loc).square().mean() + _FLOOR**2
        self._observe(variance)
        return td.Normal(self.loc, variance.sqrt(), validate_args=False).log_prob(value)


class Gaussian(nn.Module):
    """Real data, normal about a mean.

    Args:
        event: The shape of an item, a size or several.
        scale: `FixedScale(σ)`, `LearnedScale()` (the default) or `OptimalScale()`.
    """

    def __init__(
        self, event: Event, scale: FixedScale | LearnedScale | OptimalScale | None = None
    ) -> None:
        super().__init__()
        self.scale = LearnedScale() if scale is None else scale
        self.event = event
        self.raw = _Raw(event, 1 + self.scale.needs)

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        return self.raw.independent(self.scale(*self.raw(features)))


class Laplace(nn.Module):
    """Real data whose distortion is the absolute error over a learned scale.

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event, 2)

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        mean, raw = self.raw(features)
        return self.raw.independent(td.Laplace(mean, bounded_scale(raw), validate_args=False))


class _StudentT(td.StudentT):
    """torch's, without the validation of its inner chi-square, which waits for the device."""

    def __init__(self, freedom: Tensor, mean: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(freedom, mean, scale)
        self._chi2 = td.Chi2(self.df, validate_args=False)
        td.Distribution.__init__(self, self.df.shape, validate_args=False)


class StudentT(nn.Module):
    """Real data with heavy tails; the degrees of freedom ν > 1 of each dimension are learned.

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event, 2)
        self.raw_freedom = nn.Parameter(torch.full(_sizes(event), 4.0))  # ν starts at 5

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        mean, raw = self.raw(features)
        freedom = 1 + bounded_scale(self.raw_freedom)
        return self.raw.independent(_StudentT(freedom, mean, bounded_scale(raw)))


class Poisson(nn.Module):
    """Counts whose variance is their mean.

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event)

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (raw,) = self.raw(features)
        return self.raw.independent(td.Poisson(_bend(raw, _LOG_RATE).exp(), validate_args=False))


class NegativeBinomial(nn.Module):
    """Counts of mean μ and variance μ + μ²/r, r learned for each dimension.

    Args:
        event: The shape of an item, a size or several.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event
        self.raw = _Raw(event)
        self.raw_dispersion = nn.Parameter(torch.zeros(_sizes(event)))  # r starts at 1

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (raw,) = self.raw(features)
        log_r = _bend(self.raw_dispersion, _LOG_DISPERSION)
        logits = _bend(raw, _LOG_RATE) - log_r  # μ = r e^logits
        r = log_r.exp().expand_as(logits)
        return self.raw.independent(td.NegativeBinomial(r, logits=logits, validate_args=False))


class ZeroInflated(nn.Module):
    """Counts with more zeros than they would have: `ZeroInflated(Poisson(event))`.

    Args:
        counts: A head of independent counts, `Poisson(event)` or `NegativeBinomial(event)`.
    """

    def __init__(self, counts: Poisson | NegativeBinomial) -> None:
        super().__init__()
        self.counts = counts
        self.raw = _Raw(counts.raw.shape[1:])

    def forward(self, features: Tensor) -> td.Distribution:
        """p(x|z) from features `[S, B, F]`."""
        (gate,) = self.raw(features)
        counts = self.counts(features).base_dist
        return self.raw.independent(ZeroInflatedCounts(counts, gate, validate_args=False))
