"""Conditions on columns that a rule computes, and on moments that are taken apart."""

import numpy as np
import pandas as pd
import pytest

from variate import Between, TableVAE, constraints
from variate.errors import OptionError

ROWS = 1_500
TOWNS = [f"town {i}" for i in range(40)]
PAIRS = ("make", "type")


def table():
    rng = np.random.default_rng(0)
    town = rng.choice(40, ROWS, p=np.r_[0.001, np.full(39, 0.999 / 39)])
    net, tax = rng.integers(100, 9_000, ROWS) / 100, rng.integers(0, 900, ROWS) / 100
    day = pd.Timestamp("2023-01-02") + pd.to_timedelta(rng.integers(0, 400, ROWS), "D")
    kind = rng.integers(0, 6, ROWS)
    low = rng.integers(0, 200, ROWS)
    return pd.DataFrame(
        {
            "key": np.arange(ROWS),
            "town": np.array(TOWNS)[town],
            "region": np.where(town == 0, "rare", np.char.add("region ", (town // 10).astype(str))),
            "net": net,
            "tax": tax,
            "total": (net + tax).round(2),
            "low": low,
            "high": low + rng.integers(0, 150, ROWS),
            "make": np.array(list("aabbcc"))[kind],
            "type": np.array(list("uvwxyz"))[kind],
            "at": day + pd.to_timedelta(rng.integers(0, 1440, ROWS), "min"),
        }
    )


RULES = (
    constraints.Unique("key"),
    constraints.Sum("total", ("net", "tax")),
    constraints.LessEqual("low", "high"),
    constraints.Determined("region", "town"),
    constraints.FixedCombinations(PAIRS),
)


@pytest.fixture(scope="module")
def model():
    return TableVAE(constraints=RULES, latent=2, hidden=(16,), width=8, epochs=4).fit(table())


NOON = pd.Timestamp("2023-06-05 12:00")

CONDITIONS = {
    "a sum": ({"total": Between(50, 60)}, lambda t: t["total"].between(50, 60)),
    "a sum with an open end": ({"total": Between(60)}, lambda t: t["total"] >= 60),
    "a column above another": ({"high": Between(200, 250)}, lambda t: t["high"].between(200, 250)),
    "a town's region": ({"region": "region 2"}, lambda t: t["region"] == "region 2"),
    "one of a combination": ({"make": "b"}, lambda t: t["make"] == "b"),
    "a whole combination": (
        {"make": "b", "type": "w"},
        lambda t: (t["make"] == "b") & (t["type"] == "w"),
    ),
    "some moments": (
        {"at": Between(NOON, NOON + pd.Timedelta(days=20))},
        lambda t: t["at"].between(NOON, NOON + pd.Timedelta(days=20)),
    ),
    "several at once": (
        {"total": Between(None, 70), "region": {"region 1", "region 2"}, "low": Between(50, 150)},
        lambda t: (t["total"] <= 70) & t["region"].isin({"region 1", "region 2"})
        & t["low"].between(50, 150),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(model):
    return model.sample(30_000, seed=5)


@pytest.mark.parametrize(("given", "holds"), CONDITIONS.values(), ids=CONDITIONS)
def test_rows_meet_the_condition_and_are_else_as_those_of_the_model_that_do(
    model, drawn, given, holds
):
    made = model.sample(1_000, given=given, seed=1)
    assert len(made) == 1_000
    assert holds(made).all()
    np.testing.assert_allclose(made["total"], made["net"] + made["tax"], atol=1e-9)
    assert made["key"].is_unique
    kept = drawn[holds(drawn)]
    for name in ("net", "tax", "low", "high"):
        error = kept[name].std() * np.sqrt(1 / len(kept) + 1 / 1_000)
        assert abs(made[name].mean() - kept[name].mean()) < 5 * error, name
    assert made["town"].nunique() >= min(5, kept["town"].nunique())


def test_what_is_rare_but_known_before_is_met_without_throwing_rows_away(model):
    assert (model.sample(300, given={"region": "rare"}, seed=0)["town"] == TOWNS[0]).all()
    (moment,) = model.sample(1, seed=3)["at"]
    assert (model.sample(50, given={"at": moment}, seed=0)["at"] == moment).all()
    weekend = model.sample(50, given={"at: weekday": {"Saturday", "Sunday"}}, seed=0)
    assert (weekend["at"].dt.day_of_week >= 5).all()


def test_conditions_on_computed_columns_as_text(model):
    given = model.conditions(["total=50..60", "at=2023-06-05..2023-07-05", "make=b|c"])
    made = model.sample(20, given=given, seed=0)
    assert made["total"].between(50, 60).all()
    assert made["at"].between("2023-06-05", "2023-07-05").all()
    assert set(made["make"]) <= {"b", "c"}


def test_the_same_seed_gives_the_same_rows(model):
    given = {"total": Between(50, 60)}
    one, other = (model.sample(30, given=given, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"key": 3}, r"Unique\('key'\) makes every row a new one"),
        ({"total": 50.01}, r"fewer than one row in 1,000 .* computes: condition on 'net', 'tax'"),
        ({"total": Between(500, 600)}, "holds nothing"),
        ({"region": "nowhere"}, "nowhere"),
        ({"make": "a", "type": "z"}, "draws no such row"),
        ({"town": TOWNS[3], "region": "region 3"}, "draws no such row"),
        ({"at": NOON - pd.Timedelta(days=4_000)}, "never seen"),
        ({"shop": 1}, "'shop', which the model does not have.*'total'"),
    ],
)
def test_what_cannot_be_met_says_why_and_what_to_do(model, given, says):
    with pytest.raises(OptionError, match=says):
        model.sample(50, given=given, seed=0)


def test_what_follows_from_a_column_that_is_computed_itself():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 5, 600)
    high = low + rng.integers(0, 5, 600)
    band = np.where(high > 5, "upper", "lower")
    rules = (constraints.LessEqual("low", "high"), constraints.Determined("band", "high"))
    frame = pd.DataFrame({"low": low, "high": high, "band": band})
    model = TableVAE(constraints=rules, latent=2, hidden=(16,), width=8, epochs=3).fit(frame)
    made = model.sample(200, given={"band": "upper"}, seed=0)
    assert (made["high"] > 5).all()
    assert set(made["low"]) == {2, 3, 4}
