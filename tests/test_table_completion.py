"""Completion: what is not known of a row, given what is; and the columns that come first."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from tables import people

from variate import TableVAE, constraints, load
from variate.cli import app
from variate.errors import DataError, OptionError
from variate.table.completion import Cells, complete_rows, known_cells, seen_cells
from variate.table.frames import to_arrow
from variate.table.network import chain_order
from variate.table.rows import RowDecoder
from variate.table.walk import Route

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=3, hidden=(24, 24), epochs=10, components=3)


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def model(frame):
    return tiny(condition_on=["joined", "note"]).fit(frame)


def chain_of(model):
    assert isinstance(model.model_.decoder, RowDecoder)
    return model.model_.decoder.chain


def names_in_order(model):
    return [model.codec_.modelled[c].name for c in chain_of(model).order]


# -- the columns that come first -----------------------------------------------------------------


def test_columns_that_are_conditioned_on_come_first_categories_before_numbers(model, frame):
    assert names_in_order(model)[:2] == ["note", "joined"]
    assert set(names_in_order(tiny(epochs=1).fit(frame))[:3]) == {"city", "member", "note"}


def test_the_order_of_the_others_stays(model):
    layout = chain_of(model).layout
    plain = chain_order(layout)
    assert chain_order(layout, [4, 5]) == [5, 4, *(c for c in plain if c not in (4, 5))]


def test_a_number_that_comes_first_cannot_repeat_one_that_comes_later():
    rng = np.random.default_rng(0)
    bill = rng.normal(100, 20, 300).round(2)
    paid = np.where(rng.random(300) < 0.5, bill, rng.normal(50, 9, 300).round(2))
    rows = pd.DataFrame({"bill": bill, "paid": paid})
    assert chain_of(tiny(epochs=1).fit(rows)).layout.copies
    model = tiny(epochs=1, condition_on=["paid"]).fit(rows)
    assert not chain_of(model).layout.copies
    assert model.sample(200, seed=0).notna().all(axis=None)


def test_condition_on_is_kept_in_the_model_file(model, tmp_path, frame):
    again = load(model.save(tmp_path / "m.variate"))
    assert names_in_order(again) == names_in_order(model)
    some = frame[["joined"]].head(20)
    pd.testing.assert_frame_equal(again.complete(some, seed=1), model.complete(some, seed=1))


@pytest.mark.parametrize("wrong", [["joind"], "joined", [3]])
def test_condition_on_must_name_columns(frame, wrong):
    with pytest.raises(OptionError, match="condition_on"):
        tiny(condition_on=wrong).fit(frame)


def test_the_command_line_takes_columns_to_condition_on(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame.to_csv("people.csv", index=False)
    line = "fit people.csv --condition-on joined --condition-on note --epochs 1 --quiet"
    app(line.split(), result_action="return_value")
    assert names_in_order(load("people.variate"))[:2] == ["note", "joined"]


# -- the mathematics -----------------------------------------------------------------------------


@torch.no_grad()
def test_a_laws_log_probability_is_the_chains(model, frame):
    x, chain = model.codec_.encode(frame), chain_of(model)
    z = torch.randn(len(x), 3)
    want = chain.log_prob(z[None], x)[:, 0]
    walk = Route(chain).walk(z)
    for place, column in enumerate(chain.order):
        found = walk.law(place).log_prob(x[:, column])
        torch.testing.assert_close(found, want[column], rtol=1e-4, atol=1e-4)
        walk.take(place, x[:, column])


@torch.no_grad()
def test_the_law_under_other_codes_is_that_of_a_walk_with_these_codes(model, frame):
    x, chain = model.codec_.encode(frame.head(10)), chain_of(model)
    z, others = torch.randn(10, 3), torch.randn(10, 4, 3)
    walk = Route(chain).walk(z)
    walks = Route(chain).walk(others.flatten(0, 1))
    features = chain.features(others, 3)
    for place, column in enumerate(chain.order[:3]):
        values = x[:, column].repeat_interleave(4)
        found = walk.law_under(place, features[place]).log_prob(values)
        torch.testing.assert_close(found, walks.law(place).log_prob(values), rtol=1e-4, atol=1e-4)
        walk.take(place, x[:, column])
        walks.take(place, values)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 600)
    b = np.where(rng.random(600) < 0.7, a, rng.integers(0, 3, 600))
    c = rng.integers(0, 9, 600)
    return pd.DataFrame({"a": a.astype(str), "b": b.astype(str), "c": c})


@pytest.mark.parametrize("first", ["a", "b"])
def test_completions_have_the_models_own_conditional_law(pairs, first):
    # With b first in the chain, an unknown column is drawn before the known one is weighed.
    model = TableVAE(latent=2, epochs=15, condition_on=[first], batch_size=64).fit(pairs)
    chain, n = chain_of(model), 20_000
    torch.manual_seed(0)
    z = model.model_.prior().sample((1, n))
    every = torch.tensor([[0.0, b, 0.0] for b in range(3)], dtype=torch.float64)
    with torch.no_grad():
        joint = [chain.log_prob(z, row.expand(n, 3))[:2].sum(0).exp().mean() for row in every]
    want = torch.stack(joint) / sum(joint)
    asked = pd.DataFrame({"a": ["0"] * 3000})
    made = model.complete(asked, candidates=64, seed=0)
    share = made["b"].value_counts(normalize=True).sort_index().to_numpy()
    assert np.abs(share - want.numpy()).max() < 0.04
    assert want.max() > 0.5, "the columns should depend on one another for this to tell anything"


def test_where_the_known_columns_say_nothing_all_candidates_count_alike(model):
    x = torch.full((5, 6), torch.nan, dtype=torch.float64)
    nothing = torch.zeros(5, 6, dtype=torch.bool)
    found = complete_rows(model.model_, Cells(x, nothing, nothing), 16, 0)
    torch.testing.assert_close(found.effective, torch.full((5,), 16.0, dtype=torch.float64))
    assert found.x.shape == (5, 6)


# -- the verb ------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [["joined", "note"], ["income"], ["age", "city", "note"]])
def test_known_cells_stay_and_the_rest_is_drawn(model, frame, known):
    made = model.complete(frame[known], seed=0)
    pd.testing.assert_frame_equal(made[known], frame[known])
    assert (made.dtypes == frame.dtypes).all()
    assert made["age"].notna().all()
    pd.testing.assert_frame_equal(made, model.complete(frame[known], seed=0))
    assert not made.equals(model.complete(frame[known], seed=1))


def test_a_missing_cell_is_kept_or_filled(model, frame):
    kept, filled = model.complete(frame, seed=0), model.complete(frame, fill=True, seed=0)
    pd.testing.assert_frame_equal(kept, frame)
    assert filled.notna().all(axis=None)
    for name in frame:
        there = frame[name].notna()
        assert (filled[name][there] == frame[name][there]).all()


def test_a_missing_cell_of_a_column_that_had_none_is_drawn(model, frame):
    some = frame.head(10).astype({"age": "float"})
    some.loc[3, "age"] = np.nan
    made = model.complete(some, seed=0)
    assert made["age"].notna().all()
    assert (made["age"].drop(3) == some["age"].drop(3)).all()


def test_an_array_has_its_gaps_filled():
    rows = np.random.default_rng(0).normal(size=(200, 3)).round(1)
    model = tiny(epochs=2).fit(rows)
    holes = rows[:5].copy()
    holes[2, 1] = np.nan
    made = model.complete(holes, seed=0)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(np.delete(made, 2, 0), np.delete(rows[:5], 2, 0))


def test_a_level_that_was_never_seen_is_an_error_or_unknown(model, frame):
    some = frame[["note"]].head(3).assign(note=["a", "zebra", None])
    with pytest.raises(DataError, match="zebra"):
        known_cells(model.codec_, some, fill=False)
    cells = seen_cells(model.codec_, to_arrow(some))
    place = [column.name for column in model.codec_.modelled].index("note")
    assert cells.known[:, place].tolist() == [True, False, True]  # missing is known to be missing
    assert cells.known.sum() == 2


def test_under_constraints_what_they_tie_together_is_known_together():
    rng = np.random.default_rng(0)
    net = rng.integers(1, 99, 200)
    rows = pd.DataFrame({"net": net, "tax": net // 10, "kind": rng.choice(["a", "b"], 200)})
    rows["total"] = rows["net"] + rows["tax"]
    rule = constraints.Sum("total", ("net", "tax"))
    model = tiny(epochs=2, constraints=[rule], condition_on=["kind"]).fit(rows)
    for known in (["kind"], ["kind", "net"], list(rows.columns)):
        made = model.complete(rows[known], seed=0)
        pd.testing.assert_frame_equal(made[known], rows[known])
        assert (made["net"] + made["tax"] == made["total"]).all()
    with pytest.raises(DataError, match="'net', 'tax' must be given too"):
        model.complete(rows[["total"]])


def test_there_must_be_a_candidate(model, frame):
    with pytest.raises(OptionError, match="candidates"):
        model.complete(frame, candidates=0)
