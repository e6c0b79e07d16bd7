"""p-values with an exponential tail: exact where the tail is, conformal where it is not."""

import numpy as np
import pytest

from variate.errors import OptionError
from variate.evaluation import conformal
from variate.evaluation.tails import tail_p_values


def test_below_the_tail_they_are_conformal():
    rng = np.random.default_rng(0)
    known, new = rng.normal(size=50), rng.normal(size=200)
    low = new[new <= np.sort(known)[24]]
    np.testing.assert_allclose(tail_p_values(known, low), conformal.p_values(known, low))


def test_the_tail_by_hand():
    # n = 4, k = 2: u = 2, excesses 1 and 3, S = 4; a score of 6 has c = 1
    assert tail_p_values([1, 2, 3, 5], [6])[0] == pytest.approx(3 / 5 * (1 + 1) ** -2)


def test_the_censored_tail_by_hand():
    # n = 5, k = 3, r = 1: u = 2, excesses 1, 2 and one of at least 2, S = 5; a score of 7 has c = 1
    p = tail_p_values([1, 2, 3, 4, 99], [7], share=0.6, aside=0.2)
    assert p[0] == pytest.approx(4 / 6 * (1 + 1) ** -2)


@pytest.mark.parametrize(("n", "aside"), [(10, 0.0), (33, 0.0), (33, 0.15)])
def test_exponential_scores_have_uniform_small_p_values(n, aside):
    rng = np.random.default_rng(n)
    rounds, levels = 20_000, (0.2, 0.05, 0.01, 0.001)
    known, new = rng.exponential(3.0, size=(rounds, n)), rng.exponential(3.0, size=rounds)
    p = np.array([tail_p_values(a, [b], aside=aside)[0] for a, b in zip(known, new, strict=True)])
    for level in levels:
        error = np.sqrt(level * (1 - level) / rounds)
        assert abs((p <= level).mean() - level) < 4 * error, level


def test_scores_that_are_worth_less_give_larger_p_values():
    known = np.random.default_rng(3).exponential(size=40)
    new = np.array([0.1, 5.0, 12.0])
    full, half = tail_p_values(known, new), tail_p_values(known, new, worth=0.5)
    assert half[0] == full[0]  # in the bulk ranks decide
    assert (half[1:] > full[1:]).all()


def test_small_p_values_come_from_few_scores():
    known = np.random.default_rng(1).exponential(size=30)
    assert tail_p_values(known, [40.0])[0] < 1e-5  # conformal would stop at 1/31
    assert (np.diff(tail_p_values(known, np.linspace(0, 20, 400))) <= 0).all()


def test_anomalies_in_the_calibration_make_p_larger():
    known = np.random.default_rng(2).exponential(size=40)
    soiled = np.append(known, [30.0, 50.0])
    assert tail_p_values(soiled, [20.0])[0] > 10 * tail_p_values(known, [20.0])[0]
    assert tail_p_values(soiled, [20.0], aside=0.1)[0] < tail_p_values(soiled, [20.0])[0] / 10


def test_ties_and_one_score_fall_back_on_ranks():
    assert tail_p_values([2.0], [1.0, 2.0, 3.0]) == pytest.approx([1.0, 1.0, 0.5])
    assert tail_p_values([2.0, 2.0, 2.0, 2.0], [3.0])[0] == pytest.approx(1 / 5)


def test_bad_input_is_an_error():
    with pytest.raises(OptionError, match="at least one calibration score"):
        tail_p_values([], [1.0])
    with pytest.raises(OptionError, match="no NaN"):
        tail_p_values([1.0], [np.nan])
