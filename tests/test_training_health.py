"""What is said about a run in words: collapse, and data that cannot be."""

import warnings

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Gamma,
    Independent,
    Normal,
    OneHotCategorical,
    Poisson,
    Uniform,
)

from variate.errors import CollapseWarning, SupportError
from variate.training.health import active_dimensions, check_support, warn_of_collapse


def test_a_dimension_is_active_above_a_hundredth_of_a_nat():
    assert active_dimensions([0.0, 0.009, 0.011, 3.0, float("nan")]) == 2
    assert active_dimensions([]) == 0


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"kl": 0.004, "kl_per_dimension": [0.002, 0.002]}, "0 of 2 latent dimensions are active"),
        ({"kl": 0.004}, "no latent dimension is active"),
    ],
)
def test_a_collapse_is_told_with_figures_and_remedies(terms, words):
    with pytest.warns(CollapseWarning, match=words) as caught:
        warn_of_collapse(terms)
    message = str(caught[0].message)
    assert "KL 0.0040 nats" in message
    for remedy in ("beta", "warm it up", "free bits", "weaker decoder"):
        assert remedy in message


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"log_likelihood": -3.0},
        {"kl": 2.0},
        {"kl": float("nan")},
        {"kl": 0.5, "kl_per_dimension": [0.0, 0.0, 0.0, 0.5]},
        {"kl": 3.0, "kl_per_group": [0.001, 1.0, 2.0]},
    ],
)
def test_nothing_is_said_without_a_collapse(terms):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(terms)


def test_groups_of_a_hierarchy_that_say_nothing_are_told_once_they_are_half():
    words = r"2 of the 4 groups of latents \(number 0, 2, the top one is 0\) have collapsed"
    with pytest.warns(CollapseWarning, match=words):
        warn_of_collapse({"kl": 3.0, "kl_per_group": [0.001, 2.0, 0.0, 1.0]})
    with pytest.warns(CollapseWarning, match="no latent dimension is active"):
        warn_of_collapse({"kl": 0.001, "kl_per_group": [0.001, 0.0]})


def event(base, ndim):
    return Independent(base, ndim, validate_args=False)


ONES = torch.ones(1, 1, 4)
LIKELIHOODS = [
    (event(Bernoulli(0.5 * ONES), 1), torch.tensor([0.0, 1.0]), 0.5),
    (event(Poisson(ONES), 1), torch.tensor([0.0, 17.0]), 2.5),
    (event(Gamma(ONES, ONES), 1), torch.tensor([0.1, 1e6]), 0.0 - 1e-3),
    (event(Normal(ONES, ONES), 1), torch.tensor([-1e6, 1e6]), float("nan")),
    (event(Normal(ONES, ONES), 1), torch.tensor([-1e6, 1e6]), float("-inf")),
    (event(Categorical(logits=torch.zeros(1, 1, 4, 3)), 1), torch.tensor([0, 2]), 3),
]


@pytest.mark.parametrize(("likelihood", "allowed", "bad"), LIKELIHOODS)
def test_the_first_value_out_of_the_support_is_named(likelihood, allowed, bad):
    x = allowed[torch.randint(2, (50, 4))]
    check_support(likelihood, x)
    x[33, 2] = bad
    x[40, 1] = bad
    with pytest.raises(SupportError, match=r"row 33, position 2: the value") as caught:
        check_support(likelihood, x)
    assert f"{bad:g}" in str(caught.value)
    assert "2 rows" in str(caught.value)


def test_rows_far_into_the_data_are_numbered_from_its_start(monkeypatch):
    monkeypatch.setattr("variate.training.health._ELEMENTS", 10)
    x = torch.zeros(25, 2, 2)
    x[23, 1, 0] = -1.0
    likelihood = event(Poisson(torch.ones(1, 1, 2, 2)), 2)
    with pytest.raises(SupportError, match=r"row 23, position \(1, 0\): the value -1"):
        check_support(likelihood, x)


def test_a_support_over_whole_items_names_the_row():
    likelihood = OneHotCategorical(logits=torch.zeros(1, 1, 3), validate_args=False)
    x = torch.eye(3)[torch.randint(3, (9,))]
    check_support(likelihood, x)
    x[4] = torch.tensor([1.0, 1.0, 0.0])
    with pytest.raises(SupportError, match=r"row 4: the value of shape \[3\]"):
        check_support(likelihood, x)


def test_a_support_that_depends_on_the_parameters_is_not_checked():
    likelihood = event(Uniform(torch.zeros(1, 1, 4), torch.ones(1, 1, 4)), 1)
    check_support(likelihood, torch.full((5, 4), 7.0))
