"""TableVAE under constraints: every row obeys, in the caller's types; files keep them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from variate import TableVAE, constraints, load, propose_constraints
from variate.errors import DataError, OptionError

ROWS = 300


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": [f"C-{i:05d}" for i in range(ROWS)],
            "low": rng.integers(0, 50, ROWS),
            "a": rng.normal(size=ROWS).round(2),
            "b": rng.normal(size=ROWS).round(2),
            "c": rng.choice(list("xyz"), ROWS),
        }
    )
    table["high"] = table["low"] + rng.integers(0, 9, ROWS)
    table["total"] = (table["a"] + table["b"]).round(2)
    table["word"] = table["c"].map({"x": "ex", "y": "why", "z": "zed"})
    return table


RULES = (
    constraints.Unique("id"),
    constraints.Sum("total", ("a", "b")),
    constraints.LessEqual("low", "high"),
    constraints.Determined("word", "c"),
)
tiny = {"latent": 2, "hidden": (16,), "width": 8, "epochs": 3}


@pytest.fixture(scope="module")
def model(frame):
    return TableVAE(constraints=RULES, **tiny).fit(frame)


def obeys(made, frame):
    assert (made.dtypes == frame.dtypes).all()
    assert list(made.columns) == list(frame.columns)
    assert (made["low"] <= made["high"]).all()
    np.testing.assert_allclose(made["total"], made["a"] + made["b"], atol=1e-9)
    assert (made["word"] == made["c"].map({"x": "ex", "y": "why", "z": "zed"})).all()
    assert made["id"].is_unique
    assert not set(made["id"]) & set(frame["id"])


def test_every_sampled_row_obeys(model, frame):
    obeys(model.sample(500, seed=0), frame)
    obeys(model.sample(50, given={"c": "x"}, seed=0), frame)


def test_a_model_file_keeps_the_constraints(model, frame, tmp_path):
    again = load(model.save(tmp_path / "m.variate"))
    assert again.sample(9, seed=1).equals(model.sample(9, seed=1))
    np.testing.assert_array_equal(again.score_samples(frame[:5]), model.score_samples(frame[:5]))


def test_what_is_found_can_be_declared(frame):
    found = propose_constraints(frame)
    assert set(RULES) <= set(found.constraints)
    obeys(TableVAE(constraints=found.constraints, **tiny).fit(frame).sample(40), frame)


def test_the_callers_frame_comes_back(frame):
    given = pl.from_pandas(frame)
    made = TableVAE(constraints=RULES, **tiny).fit(given).sample(7, seed=0)
    assert made.schema == given.schema


def test_a_row_that_breaks_a_rule_is_named(frame):
    broken = frame.copy()
    broken.loc[7, "high"] = -1
    with pytest.raises(DataError, match="row 7"):
        TableVAE(constraints=RULES, **tiny).fit(broken)


def test_what_is_no_constraint(frame):
    with pytest.raises(OptionError, match="no constraint"):
        TableVAE(constraints=("low <= high",), **tiny).fit(frame)
