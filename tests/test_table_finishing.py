"""The columns that are drawn given all others: learned again, and better for it."""

import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from variate import TableVAE, load
from variate.table.finishing import finish, outcomes_of
from variate.table.forecasts import Forecast

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=2, hidden=(24,), width=16, components=3)


def rows(n=1_500, seed=0):
    """Many columns that say nothing, one that says much, an outcome and a number after it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=n).round(2) for i in range(6)})
    chance = 1 / (1 + np.exp(-2 * frame["x0"]))
    frame["paid"] = rng.random(n) < chance
    return frame, chance.to_numpy()


FRAME, _ = rows()
OTHERS = [f"x{i}" for i in range(6)]


def scored(score):
    """A stand-in for the forecasts of what was: all columns of one log score."""

    def stand_in(model, x, **rest):
        same = torch.full((len(x),), score)
        return [Forecast(c, same, None, None, gap=False) for c in range(x.shape[1])]

    return stand_in


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("variate.table.finishing.forecasts", scored(-99.0))
        return tiny(condition_on=OTHERS, epochs=6).fit(FRAME)


def chances(model, frame):
    chain = model.model_.decoder.chain
    x = model.codec_.encode(frame.assign(paid=True))
    z = torch.zeros(1, len(x), model.latent_)
    with torch.no_grad():
        return chain.log_prob(z, x)[6, 0].exp().numpy()


def test_the_outcome_sees_no_code_and_its_law_is_the_one_that_is_known(model):
    chain = model.model_.decoder.chain
    assert not chain.sees_code(6)
    assert chain.sees_code(5)
    new, chance = rows(2_000, seed=1)
    assert np.abs(chances(model, new) - chance).mean() < 0.09


@pytest.mark.parametrize(("was", "kept"), [(-99.0, False), (0.0, True)])
def test_what_was_stays_unless_the_new_is_better(was, kept, monkeypatch):
    monkeypatch.setattr("variate.table.estimator.finish", lambda *args, **rest: None)
    before = tiny(condition_on=OTHERS, epochs=3).fit(FRAME)
    after = copy.deepcopy(before)
    x, chain = after.codec_.encode(FRAME), after.model_.decoder.chain
    monkeypatch.setattr("variate.table.finishing.forecasts", scored(was))
    finish(after.model_, outcomes_of(chain, range(6)), x[:1_300], x[1_300:], seed=0)
    assert chain.sees_code(6) is kept
    z = torch.randn(1, 5, 2)
    old, new = (m.model_.decoder.chain.log_prob(z, x[:5]) for m in (before, after))
    torch.testing.assert_close(old[:6], new[:6])  # the other columns stay as they were
    assert torch.equal(old[6], new[6]) is kept


def test_the_comparison_is_a_fair_one(monkeypatch):
    """It is made on validation rows: a column that knows the training rows by heart is replaced."""
    monkeypatch.setattr("variate.table.estimator.finish", lambda *args, **rest: None)
    model = tiny(condition_on=OTHERS, epochs=3).fit(FRAME)
    x, chain = model.codec_.encode(FRAME), model.model_.decoder.chain
    chain.shift_outcomes(6, torch.tensor([9.0, -9.0]))  # sure, and mostly wrong
    finish(model.model_, [6], x[:1_300], x[1_300:], seed=0)
    new, chance = rows(2_000, seed=1)
    assert np.abs(chances(model, new) - chance).mean() < 0.1


def test_all_ways_along_the_chain_agree_on_it(model):
    """The walk draws the outcome as often as its density says, and the model file keeps it."""
    one = FRAME.head(1)[OTHERS]
    drawn = model.complete(pd.concat([one] * 3_000), seed=0)["paid"].mean()
    assert drawn == pytest.approx(float(chances(model, FRAME.head(1))[0]), abs=0.04)


def test_the_model_file_keeps_it(model, tmp_path):
    again = load(model.save(tmp_path / "m.variate"))
    np.testing.assert_allclose(chances(again, FRAME), chances(model, FRAME), atol=1e-6)


def test_which_columns_are_learned_again(model):
    chain = model.model_.decoder.chain
    assert outcomes_of(chain, range(6)) == [6]
    assert outcomes_of(chain, range(5)) == [6, 5]
    assert outcomes_of(chain, []) == []  # all of them are no outcome
    assert outcomes_of(chain, range(7)) == []


def test_a_number_can_be_an_outcome():
    frame = FRAME.assign(x5=(FRAME["x0"] + 0.5 * FRAME["x5"]).round(2))
    model = tiny(condition_on=[*OTHERS[:5], "paid"], epochs=6).fit(frame)
    some = frame.head(200)
    drawn = model.complete(some.drop(columns="x5"), seed=0)["x5"]
    assert np.corrcoef(drawn, some["x0"])[0, 1] > 0.6


def test_without_validation_rows_nothing_is_done(model):
    x = model.codec_.encode(FRAME)
    before = copy.deepcopy(model.model_.state_dict())
    finish(model.model_, [6], x, None, seed=0)
    assert all(value.equal(before[name]) for name, value in model.model_.state_dict().items())
