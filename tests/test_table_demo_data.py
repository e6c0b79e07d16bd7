"""The demonstration table: what is in it, and what happens without its source."""

import sys

import pytest

from variate.errors import MissingExtraError
from variate.table.demo_data import health_insurance

pd = pytest.importorskip("pandas")
pytest.importorskip("statsmodels")


@pytest.fixture(scope="module")
def frame():
    return health_insurance()


def test_columns_and_kinds(frame):
    assert frame.shape == (20_190, 8)
    assert [(name, str(dtype)) for name, dtype in frame.dtypes.items()] == [
        ("visits", "int64"),
        ("coinsurance", "category"),
        ("individual_deductible", "bool"),
        ("incentive", "float64"),
        ("max_out_of_pocket", "float64"),
        ("physical_limitation", "boolean"),
        ("chronic_diseases", "float64"),
        ("health", "category"),
    ]
    assert list(frame["coinsurance"].cat.categories) == ["0%", "25%", "50%", "95%", "100%"]
    assert list(frame["health"].cat.categories) == ["excellent", "good", "fair", "poor"]


def test_the_transformed_columns_are_back_in_their_units(frame):
    # plans offered limits of 1,000 and 750 dollars, and 150 a head, up to 450 a family
    assert frame["max_out_of_pocket"].max() == 1000.0
    assert set(frame["max_out_of_pocket"].value_counts().index[:4]) == {1000.0, 450.0, 750.0, 300.0}
    assert frame["incentive"].min() == 0.0
    assert frame["incentive"].value_counts().index[:3].tolist() == [0.0, 1000.0, 450.0]
    assert frame["visits"].max() == 77
    assert frame["health"].value_counts().to_dict() == {
        "excellent": 11_019,
        "good": 7_309,
        "fair": 1_560,
        "poor": 302,
    }


def test_gaps_are_gaps(frame):
    gaps = frame.isna().sum()
    assert gaps["max_out_of_pocket"] == 8_379
    assert gaps["physical_limitation"] == 1_052
    assert gaps.sum() == 8_379 + 1_052


def test_the_same_on_every_call_and_independent(frame):
    other = health_insurance()
    pd.testing.assert_frame_equal(frame, other)
    other.loc[0, "visits"] = 99
    pd.testing.assert_frame_equal(frame, health_insurance())


@pytest.mark.parametrize("package", ["statsmodels", "pandas"])
def test_without_its_source(package, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*variate\[table\]"):
        health_insurance()
