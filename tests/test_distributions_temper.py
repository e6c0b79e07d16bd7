"""Temperature: one is nothing, zero is the mode, and nothing else changes."""

import math

import pytest
import torch
from torch import distributions as td

from variate.distributions import (
    CodeLaw,
    ContinuousBernoulli,
    Delta,
    GridLogisticMixture,
    LogisticMixture,
    Ordinal,
    ZeroInflated,
    temper,
)
from variate.errors import OptionError
from variate.models.quantized import Lattice


def everything():
    weights = td.Categorical(logits=torch.randn(3))
    parts = td.Independent(td.Normal(torch.randn(3, 2), torch.rand(3, 2) + 0.5), 1)
    return [
        td.Normal(torch.randn(4), torch.ones(4)),
        td.Laplace(torch.randn(4), torch.ones(4)),
        td.StudentT(torch.full((4,), 3.0), torch.randn(4), torch.ones(4)),
        td.MultivariateNormal(torch.randn(4), torch.eye(4) + 0.5),
        td.LowRankMultivariateNormal(torch.randn(4), torch.randn(4, 2), torch.ones(4)),
        td.Bernoulli(logits=torch.randn(4)),
        td.Categorical(logits=torch.randn(4)),
        td.OneHotCategorical(logits=torch.randn(4)),
        td.OneHotCategoricalStraightThrough(logits=torch.randn(4)),
        td.RelaxedOneHotCategorical(torch.tensor(0.5), logits=torch.randn(4)),
        td.MixtureSameFamily(weights, parts),
        td.TransformedDistribution(td.Normal(0.0, 1.0), [td.ExpTransform()]),
        td.Independent(td.Normal(torch.randn(4), torch.ones(4)), 1),
        ContinuousBernoulli(torch.randn(4)),
        CodeLaw(td.Independent(td.Categorical(logits=torch.randn(3, 6)), 1), Lattice((3, 2))),
        Delta(torch.randn(4)),
        GridLogisticMixture(*torch.rand(3, 4, 2), 0.5),
        LogisticMixture(*torch.rand(3, 4, 2)),
        Ordinal(torch.randn(4), torch.tensor([-1.0, 0.0, 1.0])),
        ZeroInflated(td.Bernoulli(logits=torch.randn(4)), torch.randn(4)),
    ]


@pytest.mark.parametrize("index", range(len(everything())))
def test_one_changes_nothing_and_shapes_stay(index):
    d = everything()[index]
    same = temper(d, 1.0)
    x = d.sample()
    torch.testing.assert_close(same.log_prob(x), d.log_prob(x), rtol=1e-4, atol=1e-5)
    cold = temper(d, 0.3)
    assert type(cold) is type(d)
    assert (cold.batch_shape, cold.event_shape) == (d.batch_shape, d.event_shape)
    assert cold.sample().shape == x.shape


def test_scales_are_multiplied():
    cold = temper(td.Independent(td.Normal(torch.ones(3), torch.ones(3)), 1), 0.5)
    assert torch.equal(cold.stddev, torch.full((3,), 0.5))
    low_rank = td.LowRankMultivariateNormal(torch.zeros(3), torch.randn(3, 2), torch.ones(3))
    expected = low_rank.covariance_matrix * 0.25
    torch.testing.assert_close(temper(low_rank, 0.5).covariance_matrix, expected)
    dense = td.MultivariateNormal(torch.zeros(3), low_rank.covariance_matrix)
    torch.testing.assert_close(temper(dense, 0.5).covariance_matrix, expected)


def test_logits_are_divided():
    p = torch.tensor([0.2, 0.3, 0.5])
    cold = temper(td.Categorical(probs=p), 0.5)
    torch.testing.assert_close(cold.probs, p.square() / p.square().sum())


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(OptionError, match="positive number"):
        temper(td.Normal(0.0, 1.0), temperature)


def test_what_has_no_temperature_says_so():
    with pytest.raises(OptionError, match="Poisson has no temperature"):
        temper(td.Independent(td.Poisson(torch.ones(3)), 1), 0.5)
