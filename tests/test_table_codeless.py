"""The same model without its code: an exact likelihood, and an honest comparison."""

import numpy as np
import pytest
import torch
from tables import people

from variate import Privacy, TableVAE
from variate.errors import OptionError
from variate.table.codeless import compared, expect_teachable, taught_without_code
from variate.table.neighbours import told


def fitted(frame, **options):
    return TableVAE(latent=2, hidden=(16,), width=8, epochs=4, seed=0, **options).fit(frame)


@pytest.fixture(scope="module")
def model():
    return fitted(people(400))


@pytest.fixture(scope="module")
def taught(model):
    x = model._rows(people(400))
    fresh = model._build(model.codec_, x)
    options = model._habits(len(x)) | {"device": "cpu", "precision": "float32"}
    return taught_without_code(
        fresh.decoder, 2, x, steps=model.facts_["steps"], seed=0, show=False, **options
    )


def test_its_likelihood_is_exact_and_that_of_the_chain_alone(model, taught):
    x = model._rows(people(150, seed=1))
    found = compared(taught, model.model_, x, rows=60, draws=8, seed=0)
    with torch.no_grad():
        chain = taught.decoder.chain.log_prob(torch.zeros(1, len(x), 2), x).sum(0)[0]
    assert found.log_likelihood == pytest.approx(chain.double().numpy(), abs=1e-4)
    bound = found.gain + found.log_likelihood
    assert bound.mean() == pytest.approx(
        model.score(people(150, seed=1)), abs=0.5
    )  # other draws of the same bound
    assert found.drawn.shape == (60, x.shape[1])


def test_its_rows_do_not_depend_on_a_code(taught):
    prior, x = taught.prior(), torch.zeros(3, 6, dtype=torch.float64)
    assert not prior.sample(torch.Size((5,))).any()
    assert not taught.encoder(x).sample().any()


def test_it_starts_afresh_and_leaves_the_model_as_it_was(model):
    before = {name: value.clone() for name, value in model.model_.state_dict().items()}
    evaluation = model.evaluate(people(150, seed=1), train=people(400), without_z=True, draws=4)
    after = model.model_.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert evaluation["without_z"]["rows"] == 150
    assert abs(evaluation["code_gain"]) < 5
    again = model.evaluate(people(150, seed=1), train=people(400), without_z=True, draws=4)
    assert again["code_gain"] == evaluation["code_gain"]


def test_a_code_gains_nothing_where_there_is_nothing_to_tell():
    rng = np.random.default_rng(0)
    frame = people(600)[["city"]].assign(size=rng.normal(size=600).round(2))
    model = fitted(frame)
    evaluation = model.evaluate(frame, train=frame, without_z=True, draws=16)
    assert evaluation["code_gain"] < 3 * evaluation["code_gain_error"] + 0.2


def test_without_training_rows_or_with_privacy_it_is_an_error(model):
    with pytest.raises(OptionError, match="needs the rows that it was fitted on: give train"):
        model.evaluate(people(50), without_z=True)
    private = TableVAE(privacy=Privacy(epsilon=3.0, delta=1e-5, columns={}))
    with pytest.raises(OptionError, match="fitted with privacy"):
        expect_teachable(private, torch.zeros(9, 2))


# -- how much a map tells -------------------------------------------------------------------------


def test_a_map_tells_what_it_shows_and_nothing_else():
    rng = np.random.default_rng(0)
    place = rng.normal(size=(2_000, 2))
    level = (place[:, 0] > 0) + 2.0 * (place[:, 1] > 0)
    assert told(place, place[:, 0] ** 3, "numeric", seed=0)[0] > 0.95
    assert told(place, level, "category", seed=0)[0] > 0.9
    share, floor = told(place, rng.normal(size=2_000), "numeric", seed=0)
    assert abs(share) < 0.05
    assert abs(floor) < 0.05
    share, floor = told(place, rng.integers(0, 4, 2_000).astype(float), "category", seed=0)
    assert abs(share) < 0.05


def test_half_of_the_variance_is_half_told():
    rng = np.random.default_rng(1)
    place = rng.uniform(size=(4_000, 2))
    y = place[:, 0] + rng.normal(size=4_000) * place[:, 0].std()
    assert told(place, y, "numeric", seed=0)[0] == pytest.approx(0.5, abs=0.07)


def test_gaps_are_a_level_and_left_out_of_numbers():
    rng = np.random.default_rng(2)
    place = rng.normal(size=(1_000, 2))
    values = np.where(place[:, 0] > 0.5, np.nan, place[:, 1])
    assert told(place, values, "numeric", seed=0)[0] > 0.9
    gaps = np.where(place[:, 0] > 0.5, np.nan, 1.0)
    assert told(place, gaps, "category", seed=0)[0] > 0.8
    assert np.isnan(told(place, gaps, "numeric", seed=0)[0])  # one value is left


def test_few_rows_and_rows_at_one_place_are_no_obstacle():
    assert np.isnan(told(np.zeros((30, 2)), np.arange(30.0), "numeric", seed=0)[0])
    share, _ = told(np.zeros((300, 2)), np.arange(300.0), "numeric", seed=0)
    assert share < 0.2
