"""The spread of a figure over runs."""

import math

import pytest

from variate.errors import DataError
from variate.evaluation import Spread, spread, spreads


def test_median_quartiles_and_range() -> None:
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 1.0, 5.0, 5)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.25, 1.75, 1.0, 2.0, 2)
    assert spread([7]) == Spread(7.0, 7.0, 7.0, 7.0, 7.0, 1)
    assert str(spread([0.1234, 0.2, 0.3])) == "0.2 (0.162 to 0.25, 3 run(s))"


def test_figures_of_several_runs() -> None:
    found = spreads([{"mig": 0.1, "sap": 0.0}, {"mig": 0.3, "sap": 0.1}])
    assert list(found) == ["mig", "sap"]
    assert found["mig"].median == pytest.approx(0.2)


@pytest.mark.parametrize("wrong", [[], [[1.0, 2.0]], [1.0, math.nan]])
def test_what_has_no_spread_is_said(wrong: list[float]) -> None:
    with pytest.raises(DataError, match=r"spread needs|figure of run 1"):
        spread(wrong)


def test_runs_must_have_the_same_figures() -> None:
    for runs in ([], [{"mig": 0.1}, {"sap": 0.1}]):
        with pytest.raises(DataError, match="the same figures"):
            spreads(runs)
