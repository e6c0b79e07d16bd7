"""detect and recalibrate on every kind: calibrated on items held out, kept, and refreshed.

The kind here is the smallest there can be: vectors under a linear-Gaussian model, whose log p(x)
is known.
"""

import json

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from torch import nn

from variate import alarms, bundle
from variate.codec import Codec
from variate.errors import DataError, DataWarning, ModelFileError, OptionError
from variate.estimator import Estimator
from variate.evaluation import Reference, conformal
from variate.manifest import restored
from variate.models import VAE, likelihoods, posteriors
from variate.preparation import Prepared, split
from variate.records import Alarms


class Vectors(Codec):
    """Arrays `[N, 2]` as they are."""

    def fit(self, raw):
        return self

    def encode(self, raw):
        return torch.as_tensor(np.asarray(raw), dtype=torch.float32)

    def decode(self, x):
        return x.numpy()

    def state(self):
        return {}

    @classmethod
    def from_state(cls, state):
        return cls()


class VectorVAE(Estimator):
    kind = "vectors"
    codec = Vectors

    def __init__(
        self, *, latent=None, beta=1.0, objective=None, posterior=None, prior=None, epochs=2,
        minutes=None, batch_size=256, learning_rate=2e-3, seed=0, device="cpu",
        precision="float32", verbose=False,
    ):  # fmt: skip
        for name, value in list(locals().items()):
            if name != "self":
                setattr(self, name, value)

    def _prepare(self, X, scratch):
        codec = Vectors().fit(X)
        training, validation, held_out = split(codec.encode(X), self.seed)
        return Prepared(codec, training, training[:4096], validation, held_out)

    def _rows(self, X):
        return self.codec_.encode(X)

    def _network(self, codec, posterior, prior):
        encoder = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), posterior)
        decoder = nn.Sequential(nn.Linear(prior.latent, 8), nn.SiLU(), likelihoods.Gaussian(2))
        return VAE(encoder, decoder, prior)

    def _blank(self, codec):
        return torch.zeros(1, 2)

    def _point(self, likelihood):
        return likelihood.mean

    def _default_latent(self, codec):
        return 1

    def _measure(self, x, seed):
        return {}, []


def vectors(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2))


@pytest.fixture(scope="module")
def model():
    return VectorVAE().fit(vectors(4_000))


# -- what comes out ------------------------------------------------------------------------------


def test_scores_are_minus_log_p_and_p_values_come_from_the_held_out_items(model):
    new = vectors(300, seed=1)
    found = model.detect(new)
    assert isinstance(found, Alarms)
    np.testing.assert_array_equal(found.score, -model.score_samples(new))
    _, _, held_out = split(torch.as_tensor(vectors(4_000), dtype=torch.float32), 0)
    known = -model.score_samples(held_out)
    np.testing.assert_allclose(found.p_value, conformal.p_values(known, found.score))
    assert model.calibration_.rows == len(held_out) == 200
    assert found.reasons == [""] * 300
    assert 0.01 < found.drift <= 1


def test_anomalies_are_alarms_and_normal_items_are_few_of_them(model):
    new = vectors(300, seed=2)
    new[:30] += 8
    found = model.detect(new, fdr=0.1)
    assert found.anomaly[:30].all()
    assert found.anomaly[30:].sum() <= 9
    assert found.anomaly.dtype == bool


def test_scores_of_a_known_model_are_its_log_density():
    exact, estimator = LinearGaussian.random(2, 1, 0.5, seed=0), VectorVAE()
    estimator.model_, x = exact.model(), exact.data(400, seed=1)
    known = alarms.Items(estimator, x[200:])
    known.look = lambda part: (part, {})
    estimator.calibration_ = alarms.reference_of(estimator, x[:200])
    found = alarms.judge(known, fdr=0.05)
    torch.testing.assert_close(torch.from_numpy(found.score), -exact.evidence().log_prob(x[200:]))


def test_detect_leaves_the_callers_generators_alone(model):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    model.detect(vectors(20))
    assert torch.equal(torch.rand(3), want)


# -- what it is held against ---------------------------------------------------------------------


def test_the_calibration_is_kept_in_the_model_file(model, tmp_path):
    model.save(tmp_path / "m.variate")
    manifest, weights, _ = bundle.read(tmp_path / "m.variate")
    json.dumps(manifest, allow_nan=False)
    again = restored(VectorVAE, manifest, weights)
    for was, now in zip(model.detect(vectors(50)), again.detect(vectors(50)), strict=True):
        np.testing.assert_array_equal(was, now)
    manifest["calibration"]["rows"] = -1
    with pytest.raises(ModelFileError, match="recalibrate"):
        restored(VectorVAE, manifest, weights)


def test_a_file_of_an_older_version_has_none_until_it_is_recalibrated(model, tmp_path):
    model.save(tmp_path / "m.variate")
    manifest, weights, _ = bundle.read(tmp_path / "m.variate")
    del manifest["calibration"]
    old = restored(VectorVAE, manifest, weights)
    with pytest.raises(OptionError, match=r"no calibration scores.*recalibrate\(rows\)"):
        old.detect(vectors(50))
    with pytest.raises(OptionError, match="no calibration scores"):
        old.recalibrate(vectors(50), extend=True)
    assert old.recalibrate(vectors(50, seed=3)) is old
    assert old.calibration_.rows == 50
    old.detect(vectors(50))


def test_of_few_rows_none_is_spared():
    with pytest.raises(OptionError, match="fewer than 20 rows"):
        VectorVAE().fit(vectors(19)).detect(vectors(3))


def test_a_new_fit_forgets_the_old_calibration(model):
    estimator = VectorVAE().fit(vectors(100))
    assert estimator.calibration_.rows == 5
    assert estimator.fit(vectors(10)).calibration_ is None


def test_recalibration_replaces_or_extends(model):
    estimator = VectorVAE().fit(vectors(400))
    assert estimator.calibration_.rows == 20
    assert estimator.recalibrate(vectors(300, seed=5)).calibration_.rows == 300
    assert estimator.recalibrate(vectors(100, seed=6), extend=True).calibration_.rows == 400
    both = np.concatenate([vectors(300, seed=5), vectors(100, seed=6)])
    new = vectors(80, seed=7)
    want = conformal.p_values(-estimator.score_samples(both), -estimator.score_samples(new))
    np.testing.assert_allclose(estimator.detect(new).p_value, want)


def test_scores_of_other_draws_cannot_be_compared():
    estimator = VectorVAE().fit(vectors(100))
    with pytest.raises(OptionError, match=r"64 draws, and scores of 8.*recalibrate"):
        estimator.detect(vectors(9), draws=8)
    with pytest.raises(OptionError, match="64 draws"):
        estimator.recalibrate(vectors(9), extend=True, draws=8)
    with pytest.raises(OptionError, match="draws must be at least 1"):
        estimator.recalibrate(vectors(9), draws=0)
    assert estimator.recalibrate(vectors(99, seed=1), draws=8).calibration_.draws == 8
    found = estimator.detect(vectors(9), draws=8)
    np.testing.assert_array_equal(found.score, -estimator.score_samples(vectors(9), draws=8))


def test_a_deterministic_autoencoder_has_no_score():
    flat = VectorVAE(posterior=posteriors.Delta(1)).fit(vectors(100))
    assert flat.calibration_ is None
    with pytest.raises(OptionError, match="deterministic autoencoder has no density"):
        flat.detect(vectors(5))
    with pytest.raises(OptionError, match="deterministic autoencoder has no density"):
        flat.recalibrate(vectors(5))


# -- what is worth a word ------------------------------------------------------------------------


@pytest.mark.parametrize("fdr", [0, 1, -0.5, 1.5, float("nan")])
def test_a_rate_that_is_none(model, fdr):
    with pytest.raises(OptionError, match="fdr must be between 0 and 1"):
        model.detect(vectors(5), fdr=fdr)


def test_too_few_calibration_scores_are_said(model):
    estimator = VectorVAE().fit(vectors(200))  # ten are held out
    with pytest.warns(DataWarning, match=r"want of calibration scores.*It takes 19 for that"):
        found = estimator.detect(np.full((8, 2), 50.0))
    assert not found.anomaly.any()
    new = vectors(1_000, seed=4)
    model.detect(new)  # a few are stranger than all 200 by chance, which is not worth a word
    new[:20] = 50.0
    with pytest.warns(DataWarning, match=r"23 of 1,000 rows are stranger than all 200.*869 for"):
        model.detect(new)


def test_drift_is_said(model):
    with pytest.warns(DataWarning, match="do not score as the 200 that the alarms are held"):
        found = model.detect(vectors(400, seed=3) * 3)
    assert found.drift < 1e-3


def test_anomalies_only_are_alarms_and_said_to_be_too_many(model):
    with pytest.warns(DataWarning, match="do not score as"):
        found = model.detect(vectors(100) + 30)
    assert found.anomaly.all()


def test_an_item_of_which_nothing_is_known_is_no_alarm(model):
    known = alarms.Items(model, None)
    known.look = lambda part: (torch.tensor([[0.1, 0.2], [torch.nan, torch.nan]]), {})
    with pytest.warns(DataWarning, match="in 1 of the rows no cell is known, the first is row 1"):
        found = alarms.judge(known, fdr=0.05)
    assert np.isnan(found.score[1])
    assert found.p_value[1] == 1
    assert not found.anomaly[1]
    with pytest.raises(DataError, match=r"row 1 .* cannot be held to be normal: nothing is known"):
        alarms.recalibrated(known, extend=False, draws=64)


def test_an_item_that_is_an_alarm_in_any_case(model):
    known = alarms.Items(model, None)
    known.look = lambda part: (torch.tensor([[0.1, 0.2], [0.3, 0.1]]), {1: "blue"})
    found = alarms.judge(known, fdr=0.05)
    (told,) = alarms.explained(known, found)
    assert told.anomaly.tolist() == [False, True]
    assert told.p_value[1] == 1 / 201
    assert told.reasons == ["", "blue"]
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\) .*: blue"):
        alarms.recalibrated(known, extend=False, draws=64)


def test_the_share_of_false_alarms_is_kept_by_a_model(model):
    pool, odd = vectors(6_000, seed=8), vectors(600, seed=9) + np.array([3.5, -3.5])
    normal, strange = -model.score_samples(pool), -model.score_samples(odd)
    for level in (0.05, 0.1):
        false, power = [], []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(normal))
            reference = Reference.of(normal[order[:1_000]], 64)
            new = np.append(normal[order[1_000:1_450]], rng.choice(strange, 50))
            raised = conformal.benjamini_hochberg(reference.p_values(new), level)
            false.append(raised[:450].sum() / max(1, raised.sum()))
            power.append(raised[450:].mean())
        error = np.std(false) / np.sqrt(200)
        assert np.mean(false) <= level + 2 * error
        assert np.mean(power) > 0.5
