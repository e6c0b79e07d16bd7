r"""Scores of items that agree in one factor: the FactorVAE score and the BetaVAE score.

**The BetaVAE score** (Higgins et al. 2017). For a factor k chosen at random, L pairs of items that
agree in v_k make one point and its label,

    u = (1/L) Σ_l |z_l - z'_l|   [D],        label k

and the score is the accuracy of a linear classifier of u on points that it did not learn from. In
the dimension that tells k the difference is 0. The classifier is a logistic regression on
standardised u, so that the scale of a dimension does not matter. It also forgives much: it may
combine dimensions, so codes that are mixed linearly can reach 1.

**The FactorVAE score** (Kim & Mnih 2018). For a factor k chosen at random, L items that agree in
v_k cast one vote for the dimension that varies least among them, for its scale over all items:

    d = argmin_d Var_l(z_ld) / Var(z_d)

A dimension is taken to tell the factor that most votes for it came from; the score is the share of
votes, on new groups, that are right so. Codes mixed linearly have no dimension that stays.

A dimension that has collapsed onto the prior has next to no variance, and whatever little is left
would draw votes by accident or by rounding. Dimensions whose standard deviation over the items is
at most `threshold` are left out; the public benchmark (Locatello et al. 2019) takes 0.05 as well,
for codes whose prior is a standard normal. Where no dimension is left there is nothing to vote for:
the score is then that of saying the same factor always, 1/K on average.

Both take L = 64; the accuracy of n votes of which a share p is right has the standard error
√(p (1 - p)/n), at most 0.018 for n = 800. Chance is 1/K.

This module does not know how items are made or encoded (`sampling`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from variate.errors import OptionError
from variate.evaluation.disentanglement.inputs import Codes, Factors
from variate.evaluation.disentanglement.sampling import FactorSampler
from variate.evaluation.passes import at_least_one

__all__ = ["BetaVAEScore", "FactorVAEScore", "beta_vae_score", "factor_vae_score"]

_SCALE_ITEMS = 10_000
_ITERATIONS = 5_000


class BetaVAEScore(NamedTuple):
    """The BetaVAE score.

    Attributes:
        score: The accuracy on new points, 0 to 1; chance is 1/K.
        train_score: The accuracy on the points that the classifier learned from.
    """

    score: float
    train_score: float


class FactorVAEScore(NamedTuple):
    """The FactorVAE score, and what it is made of.

    Attributes:
        score: The accuracy on new votes, 0 to 1; chance is 1/K.
        train_score: The accuracy on the votes that chose each dimension's factor.
        votes: How often factor k voted for dimension d, `[D, K]`.
        active: Which dimensions took part, `[D]`.
    """

    score: float
    train_score: float
    votes: Factors
    active: NDArray[np.bool_]


def beta_vae_score(
    sampler: FactorSampler, *, pairs: int = 64, points: int = 800, tests: int = 800, seed: int = 0
) -> BetaVAEScore:
    """The BetaVAE score: can a linear classifier tell which factor a set of pairs agrees in?

    Args:
        sampler: What items are drawn from, a `Grid` or `Labelled`.
        pairs: L, the pairs of items of a point.
        points: How many points the classifier learns from.
        tests: How many points it is tested on.
        seed: Of the draws.

    Raises:
        OptionError: A number is less than 1, or there are fewer points than 10 for each factor.
        DataError: The codes are not finite, or not `[M, D]`.
    """
    at_least_one(pairs=pairs, tests=tests)
    _enough(points=points, factors=sampler.factors)
    generator = np.random.default_rng(seed)
    u, labels = _differences(sampler, points, pairs, generator)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS))
    classifier.fit(u, labels)
    new, truth = _differences(sampler, tests, pairs, generator)
    return BetaVAEScore(
        float(np.mean(classifier.predict(new) == truth)),
        float(np.mean(classifier.predict(u) == labels)),
    )


def factor_vae_score(
    sampler: FactorSampler,
    *,
    items: int = 64,
    votes: int = 800,
    tests: int = 800,
    threshold: float = 0.05,
    seed: int = 0,
) -> FactorVAEScore:
    """The FactorVAE score: does a dimension stay still when a factor does?

    Args:
        sampler: What items are drawn from, a `Grid` or `Labelled`.
        items: L, the items of a vote, at least 2.
        votes: How many votes choose each dimension's factor.
        tests: How many votes that choice is tested on.
        threshold: The standard deviation, in the units of z, up to which a dimension is left out.
        seed: Of the draws.

    Raises:
        OptionError: A number is out of its range.
        DataError: The codes are not finite, or not `[M, D]`.
    """
    if items < 2 or not threshold >= 0:
        raise OptionError(
            "a variance needs at least 2 items, and a threshold is at least 0, however: "
            f"{items=}, {threshold=}"
        )
    at_least_one(tests=tests)
    _enough(votes=votes, factors=sampler.factors)
    generator = np.random.default_rng(seed)
    scale = sampler.items(_SCALE_ITEMS, generator).std(0)
    active = scale > threshold
    cast = _votes(sampler, votes, items, scale, active, generator)
    chosen = cast.argmax(1)
    new = _votes(sampler, tests, items, scale, active, generator)
    return FactorVAEScore(_right(new, chosen), _right(cast, chosen), cast, active)


def _differences(
    sampler: FactorSampler, points: int, pairs: int, generator: np.random.Generator
) -> tuple[Codes, Factors]:
    """Points `[points, D]` and their labels `[points]`."""
    labels = np.sort(generator.integers(sampler.factors, size=points))
    found = []
    for k, count in enumerate(np.bincount(labels, minlength=sampler.factors)):
        if count:
            z = sampler.agreeing(k, count * pairs, 2, generator)
            found.append(np.abs(z[:, 0] - z[:, 1]).reshape(count, pairs, -1).mean(1))
    return np.concatenate(found), labels


def _votes(
    sampler: FactorSampler,
    votes: int,
    items: int,
    scale: Codes,
    active: NDArray[np.bool_],
    generator: np.random.Generator,
) -> Factors:
    """How often each factor voted for each dimension, `[D, K]`; for the first if none is active."""
    cast = np.zeros((len(scale), sampler.factors), dtype=np.int64)
    divisor = np.where(active, scale, 1.0) ** 2
    labels = generator.integers(sampler.factors, size=votes)
    for k, count in enumerate(np.bincount(labels, minlength=sampler.factors)):
        if count:
            z = sampler.agreeing(k, count, items, generator)
            spread = np.where(active, z.var(1) / divisor, np.inf)
            cast[:, k] = np.bincount(spread.argmin(1), minlength=len(scale))
    return cast


def _right(cast: Factors, chosen: Factors) -> float:
    """The share of votes whose factor is the one that their dimension stands for."""
    return float(cast[np.arange(len(cast)), chosen].sum() / cast.sum())


def _enough(factors: int, **counts: int) -> None:
    """Check that there are enough points or votes for every factor to occur."""
    for name, count in counts.items():
        if count < 10 * factors:
            raise OptionError(
                f"`{name}` must be at least 10 for each of the {factors} factors, however: "
                f"{name}={count}"
            )
