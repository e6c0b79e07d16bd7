"""Options that are out of their range, or no numbers, are refused in a sentence by every door."""

import math

import numpy as np
import pytest

from variate import MusicVAE, TableVAE, objectives
from variate.errors import OptionError
from variate.music.adapting import adapted
from variate.options import above_zero, at_least, expect_seed, whole_from
from variate.randomness import isolated
from variate.training import train


@pytest.fixture(scope="module")
def model():
    rows = np.random.default_rng(0).normal(size=(60, 2)).round(1)
    return TableVAE(latent=2, hidden=(8,), width=8, epochs=1).fit(rows)


@pytest.mark.parametrize("name", ["minutes", "learning_rate", "epochs", "beta"])
def test_a_budget_without_end_is_refused(name):
    """`--minutes inf` trained for ever."""
    with pytest.raises(OptionError, match=f"{name} must be a finite number, got inf"):
        TableVAE(**{name: math.inf}).fit(np.zeros((3, 2)))


def test_train_refuses_a_budget_without_end():
    with pytest.raises(OptionError, match="minutes=inf must be finite"):
        next(train(None, None, None, minutes=math.inf))


def test_numbers_are_finite_and_counts_are_whole():
    for check in (above_zero, lambda name, value: at_least(name, value, 0)):
        with pytest.raises(OptionError, match="size must be a finite number"):
            check("size", math.inf)
    for wrong in (0, 2.5, math.inf, math.nan, "two", None):
        with pytest.raises(OptionError, match="n must be"):
            whole_from("n", wrong)
    whole_from("n", np.int64(3))


def test_seeds_are_those_that_all_generators_take():
    """scikit-learn refuses others, after the training, with a traceback."""
    for wrong in (-1, 2**32, 1.5, "a", None):
        with pytest.raises(OptionError, match="seed must be a whole number"):
            expect_seed(wrong)
    with pytest.raises(OptionError, match="seed must be a whole number from 0 to 4294967295"):
        TableVAE(seed=-1).fit(np.zeros((3, 2)))
    for wrong in (1.5, "a", 2**70):
        with pytest.raises(OptionError, match="seed must be"), isolated(wrong):
            pass


def test_verbs_refuse_counts_and_seeds_that_are_none(model):
    """These were torch's errors."""
    rows = np.zeros((1, 2))
    for call in (
        lambda: model.sample(2.5),
        lambda: model.sample(2, seed="a"),
        lambda: model.sample(2, temperature=math.inf),
        lambda: model.vary(rows, 1.5),
        lambda: model.vary(rows, strength=math.inf),
        lambda: model.interpolate(rows, rows, steps=2.5),
        lambda: model.score_samples(rows, draws=1.5),
    ):
        with pytest.raises(OptionError, match="must be a"):
            call()


def test_objectives_refuse_what_is_no_number():
    with pytest.raises(OptionError, match=r"Factor\(gamma, latent\), must be a whole number"):
        objectives.Factor(16, 6.0)  # the arguments are swapped; it was torch's TypeError
    with pytest.raises(OptionError, match="each width of hidden must be greater than 0"):
        objectives.Factor(6.0, 16, hidden=(0,))
    for call in (
        lambda: objectives.FreeBits("a"),
        lambda: objectives.ELBO(beta="a"),
        lambda: objectives.ELBO(1.0, "a"),
        lambda: objectives.WarmUp(1.0, share="a"),
        lambda: objectives.Cyclical(1.0, cycles="a"),
    ):
        with pytest.raises(OptionError, match="'a'"):
            call()


@pytest.mark.parametrize("wrong", ["a", None, math.nan, 2])
def test_the_spread_of_a_style_is_a_number(wrong):
    with pytest.raises(OptionError, match="spread must be a number from 0 to 1"):
        adapted(MusicVAE(), [], spread=wrong)
