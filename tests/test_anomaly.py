"""AnomalyDetector: scikit-learn's contract, calibration, reasons, files, strange rows."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import variate as vt
from variate import AnomalyDetector, bundle
from variate.anomaly.crowd import Crowd, _gaps
from variate.anomaly.ensemble import FOLDS, MEMBERS, Ensemble, PartlySeen
from variate.anomaly.features import Features
from variate.anomaly.known import Known
from variate.anomaly.margins import Margins
from variate.anomaly.scales import Scales
from variate.errors import DataError, DataWarning, ModelFileError, OptionError
from variate.evaluation import conformal
from variate.inference import Moment


@parametrize_with_checks([AnomalyDetector()])
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def normal(rows, seed=0, columns=4):
    """Rows on a curved sheet with noise."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, rows))
    made = [a, b, a * b, np.sin(a) + b] + [a - b] * (columns - 4)
    return np.stack(made[:columns], 1) + 0.1 * rng.normal(size=(rows, columns))


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector().fit(normal(900))


# -- scores and alarms ---------------------------------------------------------------------------


def test_rows_off_the_sheet_are_stranger_than_rows_on_it(detector):
    new = normal(400, seed=1)
    off = normal(100, seed=2)
    off[:, 2] = np.random.default_rng(3).permutation(off[:, 2])  # each value usual, not together
    scores = -detector.score_samples(np.concatenate([new, off]))
    assert (scores[400:, None] > scores[:400]).mean() > 0.8
    assert np.median(scores[:400]) == pytest.approx(0.0, abs=0.35)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_p_values_of_normal_rows_are_p_values():
    """Out of bag scores are those of rows that were not seen, if a little longer ways."""
    shares = []
    for seed in range(6):
        fitted = AnomalyDetector(seed=seed).fit(normal(400, seed=10 + seed))
        found = fitted.detect(normal(1_000, seed=50 + seed))
        shares.append([(found.p_value <= level).mean() for level in (0.05, 0.1, 0.3)])
    mean, error = np.mean(shares, 0), np.std(shares, 0) / 6**0.5
    assert (mean <= np.array([0.05, 0.1, 0.3]) + 2.5 * error).all(), mean
    assert (mean >= np.array([0.01, 0.03, 0.15])).all(), mean  # and not far from it


def test_detect_finds_strange_rows_and_names_their_columns(detector):
    new = normal(300, seed=4)
    new[:10, 3] += 4.0
    found = detector.detect(new, fdr=0.1)
    assert found.anomaly[:10].mean() >= 0.8
    assert found.anomaly[10:].mean() < 0.03
    row = int(np.flatnonzero(found.anomaly[:10])[0])
    assert found.reasons[row].startswith("x3=")
    assert "expected" in found.reasons[row]
    assert "90 % within" in found.reasons[row]
    assert not any(found.reasons[i] for i in np.flatnonzero(~found.anomaly))


def test_predict_takes_the_share_asked_for_out_of_normal_rows():
    fitted = AnomalyDetector(level=0.1).fit(normal(900))
    outliers = fitted.predict(normal(2_000, seed=5)) == -1
    assert 0.04 < outliers.mean() < 0.13
    p = conformal.p_values(fitted.oob_scores_, -fitted.score_samples(normal(500, seed=6)))
    np.testing.assert_array_equal(p <= 0.1, fitted.predict(normal(500, seed=6)) == -1)


def test_a_tight_group_does_not_vouch_for_itself():
    """Thirty equal anomalies among the training rows are strange, near as each is to another."""
    rows = np.concatenate([normal(900), 6.0 + 0.01 * np.random.default_rng(0).normal(size=(30, 4))])
    scores = -AnomalyDetector().fit(rows).score_samples(rows)
    assert (scores[900:].min() > np.quantile(scores[:900], 0.98)).all()


def test_training_rows_are_scored_as_if_they_were_new(detector):
    rows = normal(900)
    np.testing.assert_allclose(-detector.score_samples(rows), detector.oob_scores_)
    moved = -detector.score_samples(rows + 1e-9)  # no longer known: at no distance from themselves
    assert np.median(moved) < np.median(detector.oob_scores_) - 0.05


def test_a_score_does_not_depend_on_the_rows_beside_it(detector):
    new = normal(50, seed=7)
    alone = np.concatenate([detector.score_samples(row[None]) for row in new])
    np.testing.assert_array_equal(alone, detector.score_samples(new))


def test_a_seed_repeats_a_fit_and_leaves_the_callers_generator():
    state = torch.random.get_rng_state()
    first, second = (AnomalyDetector(seed=3).fit(normal(200)) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    new = normal(20, seed=8)
    np.testing.assert_array_equal(first.score_samples(new), second.score_samples(new))
    assert clone(first).get_params() == first.get_params()


# -- tables ---------------------------------------------------------------------------------------


def table(rows, seed=0):
    rng = np.random.default_rng(seed)
    town = rng.choice(["Basel", "Bern", "Zug"], rows, p=[0.5, 0.3, 0.2])
    rent = rng.normal(pd.Series(town).map({"Basel": 10.0, "Bern": 20.0, "Zug": 40.0}), 1.0)
    rent[rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame({"town": town, "rent": rent.round(1), "rooms": rng.integers(1, 6, rows)})


def test_tables_with_categories_and_gaps(tmp_path):
    fitted = AnomalyDetector().fit(table(800))
    new = table(100, seed=1)
    new.loc[0, ["town", "rent"]] = ["Basel", 40.0]
    new.loc[1, "town"] = "Atlantis"
    found = fitted.detect(new, fdr=0.2)
    assert list(found.columns) == ["score", "p_value", "anomaly", "reasons"]
    assert found["anomaly"][0]
    assert "rent=40" in found["reasons"][0]
    assert "town=Basel (expected Zug)" in found["reasons"][0]
    assert found["reasons"][1] == "town=Atlantis (never seen in training)"
    new.to_csv(tmp_path / "new.csv", index=False)
    again = vt.load(fitted.save(tmp_path / "d.variate")).detect(tmp_path / "new.csv", fdr=0.2)
    np.testing.assert_allclose(again.column("p_value"), found["p_value"])


def test_a_column_that_was_constant_and_is_not():
    rows = np.column_stack([normal(200), np.full(200, 7.0)])
    fitted = AnomalyDetector().fit(rows)
    new = np.column_stack([normal(2, seed=1), [7.0, 8.0]])
    scores = -fitted.score_samples(new)
    assert scores[1] > scores[0] + 1.0
    assert fitted.predict(new)[1] == -1


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_odd_tables():
    constant = AnomalyDetector().fit(np.ones((30, 2)))
    assert constant.predict(np.ones((2, 2))).tolist() == [1, 1]
    assert constant.predict(np.full((1, 2), 2.0)).tolist() == [-1]
    same = AnomalyDetector().fit(np.repeat([[1.0, 2.0]], 50, 0) + np.eye(50)[:, :2] * 0)
    assert np.isfinite(same.score_samples([[1.0, 2.0], [3.0, 4.0]])).all()
    gaps = normal(200)
    gaps[np.random.default_rng(0).random(gaps.shape) < 0.3] = np.nan
    gaps[:, 3] = np.nan
    fitted = AnomalyDetector().fit(gaps)
    assert np.isfinite(fitted.score_samples(gaps)).all()
    nothing = fitted.detect(np.full((1, 4), np.nan))
    assert nothing.p_value.tolist() == [1.0]
    assert not nothing.anomaly.any()


def test_anomalies_only_are_all_alarms(detector):
    with pytest.warns(DataWarning, match="do not score as the 900"):
        found = detector.detect(8.0 + normal(40, seed=9), fdr=0.05)
    assert found.anomaly.all()


# -- what cannot be used --------------------------------------------------------------------------


def test_bad_input(detector, tmp_path):
    with pytest.raises(OptionError, match="level must be between 0 and 1"):
        AnomalyDetector(level=1.5).fit(normal(30))
    for fdr in (0, 1, -0.1, float("nan")):
        with pytest.raises(OptionError, match="fdr must be between 0 and 1"):
            detector.detect(normal(5), fdr=fdr)
    with pytest.raises(ValueError, match="infinity"):
        detector.detect(np.full((1, 4), np.inf))
    with pytest.raises(ValueError, match="features"):
        detector.score_samples(normal(5, columns=3))
    with pytest.raises(DataError, match=r"nothing\.csv"):
        AnomalyDetector().fit(tmp_path / "nothing.csv")


def test_recalibration_replaces_or_extends(detector, tmp_path):
    again = vt.load(detector.save(tmp_path / "d.variate"))
    again.recalibrate(normal(50, seed=11))
    assert again.calibration_.rows == 50
    again.recalibrate(normal(30, seed=12), extend=True)
    assert again.calibration_.rows == 80
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        again.detect(normal(60, seed=13) * 3)
    assert any(issubclass(w.category, DataWarning) for w in said)


def test_an_interrupted_fit_leaves_nothing_behind(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    fitted = AnomalyDetector().fit(normal(60))
    before = fitted.score_samples(normal(5, seed=1))
    monkeypatch.setattr(Known, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(normal(60) * 100)
    np.testing.assert_array_equal(fitted.score_samples(normal(5, seed=1)), before)


# -- files ----------------------------------------------------------------------------------------


def test_a_file_gives_the_same_scores(detector, tmp_path):
    again = vt.load(detector.save(tmp_path / "d.variate"))
    new = np.concatenate([normal(30, seed=14), normal(900)[:30]])
    np.testing.assert_array_equal(again.score_samples(new), detector.score_samples(new))
    assert again.predict(new).tolist() == detector.predict(new).tolist()


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: m["scales"].update(mean=[0.0]),
        lambda m: m["features"].pop(),
        lambda m: m["features"][0].__setitem__(1, 5),
        lambda m: m.update(calibration={}),
        lambda m: m.pop("offset"),
    ],
)
def test_a_damaged_file_is_refused(detector, tmp_path, damage):
    path = detector.save(tmp_path / "d.variate")
    manifest, weights, card = bundle.read(path)
    manifest = json.loads(json.dumps(manifest))
    damage(manifest)
    bundle.write(path, manifest, weights, card)
    with pytest.raises(ModelFileError):
        vt.load(path)


def test_references_that_do_not_fit_are_refused(detector, tmp_path):
    path = detector.save(tmp_path / "d.variate")
    manifest, weights, card = bundle.read(path)
    weights["voices.plain.sizes"] = weights["voices.plain.sizes"] * 2
    bundle.write(path, manifest, weights, card)
    with pytest.raises(ModelFileError):
        vt.load(path)


# -- the parts ------------------------------------------------------------------------------------


def test_gaps_are_the_heights_of_single_linkage():
    """Twenty rows in a line are a crowd; two beside them join it over the way to the nearest."""
    line = torch.stack([torch.arange(20.0), torch.zeros(20)], 1)
    pair = torch.tensor([[10.0, 7.0], [10.0, 7.5]])
    gaps = _gaps(torch.cat([line, pair])).sqrt()
    assert torch.allclose(gaps[:20], torch.ones(20))
    assert torch.allclose(gaps[20:], torch.tensor([7.0, 7.0]))


def test_lengths_against_brute_force():
    rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    crowd = Crowd()
    crowd.learn(rows, torch.Generator().manual_seed(0))
    new = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    d = torch.cdist(new, rows)
    nearest, _ = crowd.log_lengths(new, (0.0, 1.0))
    exact = 0.5 * (d.amin(1).square() + crowd.soft).log()
    assert torch.allclose(nearest, exact, atol=1e-4)
    d = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
    (own,) = crowd.log_lengths(rows, (0.0,), first=0)
    assert torch.allclose(own, 0.5 * (d.amin(1).square() + crowd.soft).log(), atol=1e-3)


def test_margins_are_those_of_a_histogram():
    x = torch.tensor([[0.0], [1.0], [2.0], [2.0], [20.0]])
    margins = Margins(1)
    margins.learn(x)
    surprise = margins.surprise(torch.tensor([[2.0], [0.0], [25.0], [float("nan")]]), own=False)
    total = np.log(5 + 10)
    wanted = [total - np.log(2.5), total - np.log(1.5), total - np.log(0.5), 0.0]
    assert surprise[:, 0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_members_learn_from_all_folds_but_their_own():
    torch.manual_seed(0)
    model = Ensemble(3)
    rows = torch.cat([torch.randn(20, 3), torch.full((20, 1), 1.0)], 1)  # all of fold 1
    PartlySeen()(model, rows, Moment()).total.backward()
    own = [m for m in range(MEMBERS) if m % FOLDS == 1]
    gradient = model.decoder.weight[0].grad.abs().sum((1, 2))
    assert (gradient[own] == 0).all()
    assert (gradient > 0).sum() == MEMBERS - len(own)


def test_features_of_categories():
    features = Features.from_state([["n", 0, 1, None], ["c", 1, 4, [0, 2, 5]]])
    wide = features.expand(torch.tensor([[1.5, 2.0], [0.0, 1.0], [2.0, float("nan")]]).double())
    assert wide[0].tolist() == [1.5, 0.0, 1.0, 0.0]
    assert wide[1].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert wide[2, 1:].isnan().all()


def test_scales_are_not_moved_by_one_value():
    x = torch.randn(1_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wild = torch.cat([x, torch.full((1, 1), 1e9, dtype=torch.float64)])
    calm, moved = Scales(x).squashed(x), Scales(wild).squashed(x)
    assert torch.allclose(calm, moved, atol=0.02)
    assert torch.allclose(Scales(x).raw(Scales(x).standard(x)), x, atol=1e-5)


def test_known_rows_by_value():
    known = Known()
    x = torch.tensor([[0.0, 1.0], [2.0, float("nan")], [0.0, 1.0]]).double()
    known.learn(x, torch.tensor([1.0, 5.0, 3.0]).double())
    asked = torch.tensor([[-0.0, 1.0], [2.0, float("nan")], [1.0, 0.0]]).double()
    assert known.recall(asked, torch.full((3,), 9.0).double()).tolist() == [2.0, 5.0, 9.0]
