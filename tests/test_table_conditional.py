"""Rows under a condition: they meet it, and are otherwise as the model's own rows that meet it."""

import numpy as np
import pandas as pd
import pytest
import torch
from tables import people

from variate import Between, TableVAE
from variate.errors import DataWarning, OptionError
from variate.table.conditional import Conditional
from variate.table.conditions import expect_enough

ROWS = 4_000


@pytest.fixture(scope="module")
def model():
    return TableVAE(latent=3, width=16, hidden=(32,), epochs=40).fit(people(800))


@pytest.fixture(scope="module")
def drawn(model):
    return model.sample(60_000, seed=0)


CONDITIONS = {
    "a level": ({"city": "Zug"}, lambda t: t["city"] == "Zug"),
    "several": ({"note": {"a", "c"}}, lambda t: t["note"].isin(["a", "c"])),
    "a gap": ({"note": None}, lambda t: t["note"].isna()),
    "a level or a gap": ({"note": ["b", None]}, lambda t: t["note"].isin(["b"]) | t["note"].isna()),
    "a range": ({"age": Between(30, 40)}, lambda t: t["age"].between(30, 40)),
    "an open range": ({"income": Between(low=40_000)}, lambda t: t["income"] >= 40_000),
    "a number": ({"age": 50}, lambda t: t["age"] == 50),
    "dates": (
        {"joined": Between(pd.Timestamp("2021-01-01"), None)},
        lambda t: t["joined"] >= pd.Timestamp("2021-01-01"),
    ),
    "together": (
        {"city": "Basel", "age": Between(None, 45), "member": True},
        lambda t: (t["city"] == "Basel") & (t["age"] <= 45) & t["member"],
    ),
}


@pytest.mark.parametrize(("given", "holds"), CONDITIONS.values(), ids=CONDITIONS)
def test_rows_meet_the_condition_and_are_else_as_those_of_the_model_that_do(
    model, drawn, given, holds
):
    made = model.sample(ROWS, given=given, seed=1)
    assert holds(made).all()
    kept = drawn[holds(drawn)]
    for name in ("age", "income"):
        error = kept[name].std() * np.sqrt(1 / len(kept) + 1 / ROWS)
        assert abs(made[name].mean() - kept[name].mean()) < 5 * error + 1e-9, name
    for name in ("city", "member", "note"):
        both = (
            t[name].astype(object).fillna("gap").value_counts(normalize=True) for t in (made, kept)
        )
        difference = pd.concat(both, axis=1).fillna(0.0).diff(axis=1).iloc[:, 1].abs().max()
        assert difference < 4 / np.sqrt(min(len(kept), ROWS)), name


def test_a_condition_on_a_constant_or_on_nothing_is_none(model):
    frame = people(60).assign(country="CH")
    small = TableVAE(latent=2, width=8, hidden=(8,), epochs=2).fit(frame)
    for given in ({"country": "CH"}, {}):
        assert (small.sample(9, given=given, seed=0)["country"] == "CH").all()
    with pytest.raises(OptionError, match="nothing to choose"):
        small.sample(9, given={"country": "DE"})


def test_a_density_in_any_unit_is_no_impossibility():
    x = np.random.default_rng(0).normal(size=(200, 2)) * 1e40
    wide = TableVAE(latent=2, width=8, hidden=(8,), epochs=2).fit(
        pd.DataFrame(x, columns=["a", "b"])
    )
    assert (wide.sample(5, given={"a": 1e39}, seed=0)["a"] == 1e39).all()


def test_draws_under_a_condition_are_repeatable(model):
    first, second = (model.sample(5, given={"city": "Zug"}, seed=3) for _ in range(2))
    assert first.equals(second)


def test_a_rare_condition_is_met_without_throwing_draws_away(model):
    day = pd.Timestamp("2020-03-01")
    given = {"age": 19, "income": Between(low=60_000), "note": None, "joined": Between(day, day)}
    made = model.sample(500, given=given, seed=0)  # about one draw in a hundred million
    assert (made["income"] >= 60_000).all()
    assert (made["age"] == 19).all()
    assert made["note"].isna().all()
    assert made["income"].nunique() > 200


def test_few_beginnings_are_said():
    found = Conditional(torch.zeros(500, 2), -14.0, 12.3)
    with pytest.warns(DataWarning, match=r"8e-07 .* 500 rows grew from about 12 different"):
        expect_enough(found, 500, {"age": 19})
    with pytest.raises(OptionError, match="never seen together"):
        expect_enough(Conditional(torch.zeros(0, 2), -50.0, 0.0), 500, {"age": 19})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"town": "Zug"}, "does not have"),
        ({"city": "Paris"}, "Paris"),
        ({"age": 300}, "never seen"),
        ({"age": Between(200, 300)}, "holds nothing"),
        ({"age": Between(40, 30)}, "holds nothing"),
        ({"city": Between("A", "B")}, "range of column 'city'"),
        ({"age": None}, "missing value"),
        ({"note": []}, "empty"),
        ("city=Zug", "mapping"),
    ],
)
def test_a_condition_that_cannot_be_met_says_what_there_is(model, given, says):
    with pytest.raises(OptionError, match=says):
        model.sample(5, given=given)


def test_conditions_written_as_text(model):
    texts = ["city=Zug", "age=30..40", "note=a|", "member=true", "income=..50000.5"]
    assert model.conditions(texts) == {
        "city": ["Zug"], "age": Between(30, 40), "note": ["a", None], "member": [True],
        "income": Between(None, 50000.5),
    }  # fmt: skip
    made = model.sample(20, given=model.conditions(texts), seed=0)
    assert made["age"].between(30, 40).all()


@pytest.mark.parametrize("text", ["city", "town=Zug", "age=old", "joined=soon"])
def test_a_text_that_is_no_condition(model, text):
    with pytest.raises(OptionError, match="--given"):
        model.conditions([text])
