r"""Temperature: the same distribution, sharper (T < 1) or flatter (T > 1).

    scale · T       where there is a scale: normals, Laplace, Student-t, logistics
    logits / T      where there are log-odds: Bernoulli, categorical, ordinal, mixture weights

The first is what the literature of flows and deep VAEs calls temperature (Kingma & Dhariwal 2018),
the second what that of language models does. T = 1 changes nothing; T -> 0 draws the mode (of a
mixture the location of its heaviest component). A tempered distribution is again a normalised one
of the same kind.

What is made of other distributions is tempered part by part, and a transformed distribution at its
base. A Poisson or a negative binomial has one parameter for location and spread, and therefore no
temperature. Another module adds a kind of its own by `tempered.register`.

This module does not know which part of a model it is applied to.
"""

import math
from functools import singledispatch

from torch import distributions as td
from torch.distributions import Distribution

from variate.distributions.codes import CodeLaw
from variate.distributions.continuous import ContinuousBernoulli
from variate.distributions.counts import ZeroInflated
from variate.distributions.gaussian import Delta
from variate.distributions.grid import GridLogisticMixture, LogisticMixture
from variate.distributions.ordinal import Ordinal
from variate.distributions.pixels import Bits, DiscretisedLogisticMixture, Labels, Rescaled
from variate.distributions.sequences import Sequences
from variate.errors import OptionError

__all__ = ["temper", "tempered"]


def temper(distribution: Distribution, temperature: float) -> Distribution:
    """The distribution at a temperature, sharper below one, flatter above, itself at one.

    Args:
        distribution: Any distribution that `tempered` knows.
        temperature: Positive and finite.

    Returns:
        A distribution of the same kind and shapes.

    Raises:
        OptionError: The temperature is not a positive number, or the kind has no temperature.
    """
    try:
        fits = temperature > 0 and math.isfinite(temperature)
    except TypeError:  # no number
        fits = False
    if not fits:
        raise OptionError(
            f"the temperature must be a positive number; got {temperature!r}. "
            "Use a small one such as 0.01 for what is likeliest"
        )
    return distribution if temperature == 1 else tempered(distribution, temperature)


@singledispatch
def tempered(distribution: Distribution, temperature: float) -> Distribution:
    """What `temper` does for each kind of distribution, without its check."""
    raise OptionError(
        f"a {type(distribution).__name__} has no temperature (asked for {temperature}); "
        "leave the temperature out"
    )


@tempered.register
def _normal(distribution: td.Normal, temperature: float) -> Distribution:
    return td.Normal(distribution.loc, distribution.scale * temperature, validate_args=False)


@tempered.register
def _laplace(distribution: td.Laplace, temperature: float) -> Distribution:
    return td.Laplace(distribution.loc, distribution.scale * temperature, validate_args=False)


@tempered.register
def _student_t(distribution: td.StudentT, temperature: float) -> Distribution:
    scale = distribution.scale * temperature
    return td.StudentT(distribution.df, distribution.loc, scale, validate_args=False)


@tempered.register
def _multivariate(distribution: td.MultivariateNormal, temperature: float) -> Distribution:
    scale_tril = distribution.scale_tril * temperature
    return td.MultivariateNormal(distribution.loc, scale_tril=scale_tril, validate_args=False)


@tempered.register
def _low_rank(distribution: td.LowRankMultivariateNormal, temperature: float) -> Distribution:
    return td.LowRankMultivariateNormal(
        distribution.loc,
        distribution.cov_factor * temperature,
        distribution.cov_diag * temperature**2,
        validate_args=False,
    )


@tempered.register
def _delta(distribution: Delta, temperature: float) -> Distribution:  # noqa: ARG001
    return distribution  # nothing random is left to sharpen


@tempered.register
def _bernoulli(distribution: td.Bernoulli, temperature: float) -> Distribution:
    return td.Bernoulli(logits=distribution.logits / temperature, validate_args=False)


@tempered.register
def _continuous_bernoulli(distribution: ContinuousBernoulli, temperature: float) -> Distribution:
    return ContinuousBernoulli(distribution.logits / temperature, validate_args=False)


@tempered.register
def _categorical(distribution: td.Categorical, temperature: float) -> td.Categorical:
    return td.Categorical(logits=distribution.logits / temperature, validate_args=False)


@tempered.register
def _one_hot(distribution: td.OneHotCategorical, temperature: float) -> Distribution:
    return type(distribution)(logits=distribution.logits / temperature, validate_args=False)


@tempered.register
def _relaxed(distribution: td.RelaxedOneHotCategorical, temperature: float) -> Distribution:
    logits = distribution.logits / temperature
    return td.RelaxedOneHotCategorical(distribution.temperature, logits=logits, validate_args=False)


@tempered.register
def _ordinal(distribution: Ordinal, temperature: float) -> Distribution:
    location = distribution.location / temperature
    return Ordinal(location, distribution.cutpoints / temperature, validate_args=False)


@tempered.register
def _logistic_mixture(distribution: LogisticMixture, temperature: float) -> LogisticMixture:
    return LogisticMixture(
        distribution.logits / temperature,
        distribution.location,
        distribution.scale * temperature,
        validate_args=False,
    )


@tempered.register
def _grid(distribution: GridLogisticMixture, temperature: float) -> Distribution:
    mixture = _logistic_mixture(distribution.mixture, temperature)
    return GridLogisticMixture(
        mixture.logits,
        mixture.location,
        mixture.scale,
        distribution.step,
        distribution.origin,
        validate_args=False,
    )


@tempered.register
def _discretised(distribution: DiscretisedLogisticMixture, temperature: float) -> Distribution:
    return DiscretisedLogisticMixture(
        distribution.logits / temperature,
        distribution.location,
        distribution.scale * temperature,
        distribution.levels,
        distribution.slopes,
        validate_args=False,
    )


@tempered.register
def _labels(distribution: Labels, temperature: float) -> Distribution:
    return Labels(logits=distribution.logits / temperature, validate_args=False)


@tempered.register
def _bits(distribution: Bits, temperature: float) -> Distribution:
    return Bits(distribution.logits / temperature, validate_args=False)


@tempered.register
def _rescaled(distribution: Rescaled, temperature: float) -> Distribution:
    base = tempered(distribution.base, temperature)
    origin, unit = distribution.origin, distribution.unit
    return Rescaled(base, origin, unit, distribution.bounds, validate_args=False)


@tempered.register
def _sequences(distribution: Sequences, temperature: float) -> Distribution:
    return distribution.tempered(temperature)


@tempered.register
def _codes(distribution: CodeLaw, temperature: float) -> Distribution:
    return CodeLaw(tempered(distribution.grid, temperature), distribution.codebook)


@tempered.register
def _zero_inflated(distribution: ZeroInflated, temperature: float) -> Distribution:
    base = tempered(distribution.base, temperature)
    return ZeroInflated(base, distribution.gate_logits / temperature, validate_args=False)


@tempered.register
def _mixture(distribution: td.MixtureSameFamily, temperature: float) -> Distribution:
    weights = _categorical(distribution.mixture_distribution, temperature)
    components = tempered(distribution.component_distribution, temperature)
    return td.MixtureSameFamily(weights, components, validate_args=False)


@tempered.register
def _independent(
    distribution: td.Independent,  # type: ignore[type-arg]
    temperature: float,
) -> Distribution:
    base = tempered(distribution.base_dist, temperature)
    dims = distribution.reinterpreted_batch_ndims
    return td.Independent(base, dims, validate_args=False)


@tempered.register
def _transformed(distribution: td.TransformedDistribution, temperature: float) -> Distribution:
    base = tempered(distribution.base_dist, temperature)
    return td.TransformedDistribution(base, distribution.transforms, validate_args=False)
