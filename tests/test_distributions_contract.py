"""One list of all likelihoods; each normalised, sampled as scored, broadcast and differentiable.

A case makes its distribution from unconstrained numbers `[..., parameters]`, as a network's head
does, and says where its mass lies: a list of values for a discrete one, break points for a
density (quadrature runs between them, and from the outermost to infinity).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch import distributions as td

from variate.distributions import (
    Bits,
    ContinuousBernoulli,
    GridLogisticMixture,
    Labels,
    LogisticMixture,
    Ordinal,
    Rescaled,
    ZeroInflated,
    bounded_scale,
)


@dataclass(frozen=True)
class Case:
    name: str
    parameters: int
    make: Callable[[Tensor], td.Distribution]
    values: Tensor | None = None  # a discrete support, out to where mass is negligible
    breaks: tuple[float, ...] = ()  # of a density
    ends: tuple[float, float] = (-math.inf, math.inf)
    extremes: tuple[float, ...] = (-1e6, 0.0, 1e6)

    def __repr__(self):
        return self.name


def mixture(raw):
    logits, location, scale = raw.unflatten(-1, (3, -1)).unbind(-2)
    return logits, location, bounded_scale(scale)


def poisson(raw):
    return td.Poisson(bounded_scale(raw[..., 0]) * 3)


def negative_binomial(raw):
    return td.NegativeBinomial(bounded_scale(raw[..., 0]), logits=raw[..., 1])


def ordinal(raw):
    return Ordinal(raw[..., 0], bounded_scale(raw[..., 1:]).cumsum(-1) - 2)


def student(raw):
    return td.StudentT(2 + bounded_scale(raw[..., 0]), raw[..., 1], bounded_scale(raw[..., 2]))


integers = torch.arange(0.0, 4000)
CASES = [
    Case(
        "bernoulli",
        1,
        lambda r: td.Bernoulli(logits=r[..., 0]),
        torch.arange(2.0),
        extremes=(0.0, 1.0),
    ),
    Case(
        "continuous bernoulli",
        1,
        lambda r: ContinuousBernoulli(r[..., 0]),
        breaks=(0.5,),
        ends=(0.0, 1.0),
        extremes=(0.0, 0.3, 1.0),
    ),
    Case(
        "categorical", 4, lambda r: td.Categorical(logits=r), torch.arange(4.0), extremes=(0.0, 3.0)
    ),
    Case("bits", 1, lambda r: Bits(r[..., 0]), torch.arange(2.0), extremes=(0.0, 1.0)),
    Case("labels", 4, lambda r: Labels(logits=r), torch.arange(4.0), extremes=(0.0, 3.0)),
    Case(
        "rescaled continuous bernoulli",
        1,
        lambda r: Rescaled(ContinuousBernoulli(r[..., 0]), 0.0, 15.0, (0.0, 15.0)),
        breaks=(7.5,),
        ends=(0.0, 15.0),
        extremes=(0.0, 3.0, 15.0),
    ),
    Case(
        "rescaled normal",
        2,
        lambda r: Rescaled(td.Normal(r[..., 0], bounded_scale(r[..., 1])), 7.5, 7.5),
        breaks=(0.0, 7.5, 15.0),
    ),
    Case("ordinal", 5, ordinal, torch.arange(5.0), extremes=(0.0, 2.0, 4.0)),
    Case("normal", 2, lambda r: td.Normal(r[..., 0], bounded_scale(r[..., 1])), breaks=(0.0,)),
    Case("laplace", 2, lambda r: td.Laplace(r[..., 0], bounded_scale(r[..., 1])), breaks=(0.0,)),
    Case("student t", 3, student, breaks=(-100.0, -10, 0, 10, 100)),
    Case("poisson", 1, poisson, integers, extremes=(0.0, 1.0, 1e6)),
    Case("negative binomial", 2, negative_binomial, integers, extremes=(0.0, 1.0, 1e6)),
    Case(
        "zero-inflated poisson",
        2,
        lambda r: ZeroInflated(poisson(r), r[..., 1]),
        integers,
        extremes=(0.0, 1.0, 1e6),
    ),
    Case(
        "zero-inflated negative binomial",
        3,
        lambda r: ZeroInflated(negative_binomial(r), r[..., 2]),
        integers,
        extremes=(0.0, 1.0, 1e6),
    ),
    Case(
        "zero-inflated categorical",
        5,
        lambda r: ZeroInflated(td.Categorical(logits=r[..., :4]), r[..., 4]),
        torch.arange(4.0),
        extremes=(0.0, 3.0),
    ),
    Case("logistic mixture", 9, lambda r: LogisticMixture(*mixture(r)), breaks=(-2.0, 0, 2)),
    Case(
        "grid logistic mixture",
        9,
        lambda r: GridLogisticMixture(*mixture(r), 0.25, 0.1),
        0.1 + 0.25 * torch.arange(-2000, 2001, dtype=torch.float64),
        extremes=(-1e6 + 0.1, 0.1, 1e6 + 0.1),
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=repr)


def raws(case, n=3):
    """Parameters of n distributions, the first of them at the network's zero."""
    raw = torch.randn(n, case.parameters, dtype=torch.float64) * 1.5
    raw[0] = 0
    return raw


def masses(case, distribution):
    """Values and their probabilities; a density is cut into cells fine enough to look flat."""
    if case.values is not None:
        return case.values.double(), probabilities(case, distribution)
    low, high = (max(case.ends[0], -1e5), min(case.ends[1], 1e5))
    ends = torch.asinh(torch.tensor([low, high], dtype=torch.float64))
    edges = torch.sinh(ends[0] + (ends[1] - ends[0]) * torch.linspace(0, 1, 500_001).double())
    middles = (edges[1:] + edges[:-1]) / 2
    return middles, distribution.log_prob(middles).exp() * edges.diff()


def probabilities(case, distribution):
    """Of the values that a discrete case lists."""
    return distribution.log_prob(case.values.double()).exp()


def integral(case, distribution):
    """Of the density over its whole support, by adaptive quadrature."""
    points = sorted({case.ends[0], *case.breaks, case.ends[1]})

    def density(x):
        return float(distribution.log_prob(torch.tensor(x, dtype=torch.float64)).exp())

    parts = (
        integrate.quad(density, a, b, epsabs=1e-10, limit=200)[0]
        for a, b in itertools.pairwise(points)
    )
    return sum(parts)


@EVERY
def test_sums_or_integrates_to_one(case):
    for raw in raws(case):
        d = case.make(raw)
        listed = case.values is not None
        total = float(probabilities(case, d).sum()) if listed else integral(case, d)
        assert total == pytest.approx(1.0, abs=1e-7), (case, raw)


@EVERY
def test_samples_agree_with_log_prob(case):
    n = 20_000
    d = case.make(raws(case, 2)[1])
    draws = d.sample((n,)).double()
    values, p = masses(case, d)
    # some fifty bins of similar probability; what the list of values leaves out is a bin's tail
    cumulative = p.cumsum(0)
    last = torch.searchsorted(cumulative, torch.linspace(0, 1, 52, dtype=torch.float64)[1:-1])
    last = last.clamp_max(len(p) - 2).unique()
    expected = torch.cat([cumulative[last], torch.ones(1)]).diff(prepend=torch.zeros(1)) * n
    edges = (values[last] + values[last + 1]) / 2
    observed = torch.bincount(torch.searchsorted(edges, draws), minlength=len(expected))
    kept = expected > 5
    statistic = float(((observed - expected)[kept].square() / expected[kept]).sum())
    assert kept.sum() > 1 or case.parameters == 1
    assert stats.chi2.sf(statistic, int(kept.sum()) - 1) > 1e-3


@EVERY
def test_mean_log_prob_of_samples_is_the_negative_entropy(case):
    n = 20_000
    d = case.make(raws(case, 2)[1])
    log_p = d.log_prob(d.sample((n,)))
    values, p = masses(case, d)
    exact = float(torch.special.xlogy(p, d.log_prob(values).exp()).sum())
    error = float(log_p.double().std()) / math.sqrt(n)
    assert float(log_p.double().mean()) == pytest.approx(exact, abs=4 * error + 1e-6)


@EVERY
def test_shapes_of_log_prob_and_sample(case):
    d = case.make(torch.randn(3, 4, case.parameters))
    assert d.batch_shape == (3, 4)
    assert d.event_shape == ()
    x = d.sample()
    assert x.shape == (3, 4)
    assert not x.requires_grad
    assert d.sample((2,)).shape == (2, 3, 4)
    assert d.log_prob(x).shape == (3, 4)
    assert d.log_prob(x.double()).isfinite().all()
    assert case.make(torch.randn(case.parameters)).sample().shape == ()


@EVERY
def test_data_broadcast_against_draws(case):
    raw = torch.randn(3, 4, case.parameters)
    d = case.make(raw)
    x = d.sample()[0]
    expected = torch.stack([case.make(part).log_prob(x) for part in raw])
    assert d.log_prob(x).shape == (3, 4)
    torch.testing.assert_close(d.log_prob(x), expected)


@EVERY
def test_expand(case):
    d = case.make(torch.randn(4, case.parameters))
    wide = d.expand((3, 4))
    assert wide.batch_shape == (3, 4)
    assert wide.event_shape == d.event_shape
    x = wide.sample()
    assert x.shape == (3, 4)
    torch.testing.assert_close(wide.log_prob(x), d.log_prob(x))
    assert wide.expand((2, 3, 4)).log_prob(x).shape == (2, 3, 4)


@EVERY
def test_samples_lie_in_the_support_and_repeat(case):
    d = case.make(torch.randn(50, case.parameters))
    x = d.sample((20,))
    assert d.support.check(x).all()
    torch.manual_seed(5)
    first = d.sample()
    torch.manual_seed(5)
    assert torch.equal(first, d.sample())


@EVERY
def test_an_event_is_a_sum(case):
    d = td.Independent(case.make(torch.randn(3, 4, 6, case.parameters)), 1)
    x = d.sample()[0]
    assert d.log_prob(x).shape == (3, 4)
    torch.testing.assert_close(d.log_prob(x), d.base_dist.log_prob(x).sum(-1))


@EVERY
@pytest.mark.parametrize("size", [0.0, 30.0, 300.0])
def test_gradients_are_finite_at_the_extremes(case, size):
    """Extreme outputs of a network, extreme values, float32."""
    signs = torch.tensor([-1.0, 0.0, 1.0])
    corners = signs[torch.randint(0, 3, (200, case.parameters))] * size
    raw = (corners + torch.randn_like(corners)).requires_grad_()
    for value in case.extremes:
        x = torch.full((), value, dtype=torch.float64)
        if not case.name.startswith("grid"):
            x = x.float()
        log_p = case.make(raw).log_prob(x)
        assert log_p.dtype == torch.float32
        assert log_p.isfinite().all()
        (gradient,) = torch.autograd.grad(log_p.sum(), raw)
        assert gradient.isfinite().all()


@EVERY
def test_gradient_at_zero_parameters_is_that_of_finite_differences(case):
    raw = torch.zeros(case.parameters, dtype=torch.float64, requires_grad=True)
    x = case.make(torch.randn(5, case.parameters, dtype=torch.float64)).sample()
    assert torch.autograd.gradcheck(lambda r: case.make(r).log_prob(x), raw)


SCIPY = [
    (td.Normal(1.5, 0.7), stats.norm(1.5, 0.7)),
    (td.Laplace(-2.0, 3.0), stats.laplace(-2.0, 3.0)),
    (td.StudentT(3.0, 1.0, 2.0), stats.t(3.0, 1.0, 2.0)),
    (td.Bernoulli(0.3), stats.bernoulli(0.3)),
    (td.Poisson(4.2), stats.poisson(4.2)),
    (td.NegativeBinomial(2.5, probs=0.3), stats.nbinom(2.5, 0.7)),
    (ContinuousBernoulli(torch.tensor(-3.0)), stats.truncexpon(3.0, scale=1 / 3.0)),
    (ContinuousBernoulli(torch.tensor(-1e-5)), stats.uniform()),
    (LogisticMixture(*torch.tensor([[0.0], [1.0], [2.0]])), stats.logistic(1.0, 2.0)),
]


@pytest.mark.parametrize(("ours", "theirs"), SCIPY, ids=lambda d: type(d).__name__)
def test_log_prob_agrees_with_scipy(ours, theirs):
    x = theirs.rvs(size=200, random_state=0)
    discrete = hasattr(theirs, "logpmf") and theirs.dist.__class__.__module__.endswith(
        "discrete_distns"
    )
    expected = theirs.logpmf(x) if discrete else theirs.logpdf(x)
    got = ours.log_prob(torch.tensor(x, dtype=torch.float64 if not discrete else torch.float32))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_mixtures_and_levels_agree_with_scipy():
    logits, location, scale = mixture(torch.randn(9, dtype=torch.float64))
    weights, x = logits.softmax(-1).numpy(), torch.linspace(-9, 9, 37, dtype=torch.float64)
    parts = [stats.logistic(m, s) for m, s in zip(location.tolist(), scale.tolist(), strict=True)]
    density = sum(w * part.pdf(x) for w, part in zip(weights, parts, strict=True))
    ours = LogisticMixture(logits, location, scale)
    np.testing.assert_allclose(ours.log_prob(x).exp(), density, rtol=1e-12)
    grid = GridLogisticMixture(logits, location, scale, 0.5)
    cell = sum(w * (p.cdf(x + 0.25) - p.cdf(x - 0.25)) for w, p in zip(weights, parts, strict=True))
    np.testing.assert_allclose(grid.log_prob(x).exp(), cell, rtol=1e-9, atol=1e-15)
    cuts = np.array([-1.0, 0.5, 2.0])
    levels = np.diff(np.concatenate([[0], stats.logistic(0.3).cdf(cuts), [1]]))
    ordinal = Ordinal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(cuts))
    np.testing.assert_allclose(ordinal.logits.exp(), levels, rtol=1e-12)
    inflated = ZeroInflated(td.Poisson(torch.tensor(2.0)), torch.tensor(0.0))
    pmf = 0.5 * stats.poisson(2).pmf(np.arange(9)) + 0.5 * (np.arange(9) == 0)
    np.testing.assert_allclose(inflated.log_prob(torch.arange(9.0)).exp(), pmf, rtol=1e-5)
