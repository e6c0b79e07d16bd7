"""Habits: larger tables train longer, tables of numbers have wider networks, files keep theirs."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from variate import TableVAE, bundle, load, priors
from variate.errors import ModelFileError
from variate.table import assembly
from variate.table.habits import habits_for


def test_what_grows_with_the_table_grows():
    made = [habits_for(rows, 15, 6) for rows in (300, 3_000, 30_000, 300_000)]
    assert sorted(h.steps for h in made) == [h.steps for h in made]
    assert sorted(h.batch_size for h in made) == [h.batch_size for h in made]
    assert sorted((h.weight_decay for h in made), reverse=True) == [h.weight_decay for h in made]


def test_many_rows_of_numbers_get_a_wider_network_and_few_do_not():
    assert habits_for(30_000, 12, 11).width > habits_for(30_000, 12, 3).width
    assert habits_for(9_000, 12, 11).width == habits_for(9_000, 12, 3).width
    assert habits_for(30_000, 100, 90).width == habits_for(30_000, 100, 3).width


def test_a_model_file_keeps_its_width_whatever_the_habits_are_now(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(200, 2)).round(2)
    model = TableVAE(latent=2, hidden=(8,), epochs=1).fit(rows)
    path = model.save(tmp_path / "m.variate")
    wider = habits_for(30_000, 12, 11)
    assert wider.width != model.model_.decoder.chain.width
    monkeypatch.setattr(assembly, "habits_of", lambda _: wider)
    again = load(path)
    assert again.width is None  # the user chose nothing
    np.testing.assert_array_equal(again.score_samples(rows), model.score_samples(rows))


@pytest.mark.parametrize("width", [0, -1, True, "64", 8.0, 10**9])
def test_a_file_with_a_strange_width_is_refused(tmp_path, width):
    rows = np.random.default_rng(0).normal(size=(200, 2)).round(2)
    manifest, weights = TableVAE(latent=2, hidden=(8,), epochs=1).fit(rows)._described()
    manifest["codec"]["width"] = width
    bundle.write(tmp_path / "bad.variate", manifest, weights, "")
    with pytest.raises(ModelFileError):
        load(tmp_path / "bad.variate")


def test_a_fit_that_fails_leaves_nothing_behind():
    """Neither half a model of the new rows, nor a model of the old ones that reads the new."""
    rows = np.random.default_rng(0).normal(size=(200, 2)).round(2)
    model = TableVAE(latent=2, hidden=(8,), epochs=1, prior=priors.StandardNormal(3))
    with pytest.raises(Exception, match=r"latent|dimension"):
        model.fit(rows)
    with pytest.raises(NotFittedError):
        model.sample(1)
    model.set_params(prior=None).fit(rows)
    before = model.score_samples(rows)
    model.set_params(prior=priors.StandardNormal(3))
    with pytest.raises(Exception, match=r"latent|dimension"):
        model.fit(rows * 100)
    np.testing.assert_array_equal(model.score_samples(rows), before)
