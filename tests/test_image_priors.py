"""Learned priors over the one-layer model of pictures: fitted, drawn from, scored, kept."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torch import nn

import variate as vt

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

X = (load_digits().images > 7).astype(np.uint8)
PRIORS: dict[str, Callable[[], nn.Module]] = {
    "vamp": lambda: vt.priors.Vamp(4, 16),
    "mixture": lambda: vt.priors.Mixture(4, 8),
    "flow": lambda: vt.flows.Flow(4, transforms=2, hidden=(16,)),
    "matching": lambda: vt.flows.FlowMatching(4, hidden=(16,), steps=4),
}


@pytest.mark.parametrize("name", PRIORS)
def test_every_verb_works_with_a_learned_prior(name: str, tmp_path) -> None:
    prior = PRIORS[name]()
    model = vt.ImageVAE(width=8, latent=4, epochs=15, prior=prior).fit(X[:800])
    held_out = model.facts_["held_out"]
    assert np.isfinite(held_out["elbo"])
    assert held_out["elbo"] <= held_out["log_likelihood"] + 1e-6
    assert held_out["elbo"] > -64 * np.log(2)  # of a fair coin for each pixel
    drawn = model.sample(50, seed=0)
    assert drawn.shape == (50, 8, 8)
    assert set(np.unique(drawn)) <= {0, 1}
    assert model.sample(5, temperature=0.5, seed=0).shape == (5, 8, 8)
    assert model.vary(X[:2], n=3, seed=0).shape == (6, 8, 8)
    assert model.interpolate(X[:1], X[1:2], steps=4).shape == (4, 8, 8)
    mask = np.eye(8, dtype=bool)
    assert (model.impute(X[:2], mask, seed=0).filled[:, ~mask] == X[:2][:, ~mask]).all()
    scores = model.score_samples(X[800:810])
    assert scores.mean() > model.score_samples(1 - X[800:810]).mean()
    model.save(tmp_path / "m.variate")
    again = vt.load(tmp_path / "m.variate")
    assert np.array_equal(again.score_samples(X[800:810]), scores)
    assert np.array_equal(again.sample(50, seed=0), drawn)
    assert type(again.model_.prior) is type(prior)
