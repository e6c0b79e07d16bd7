"""Cross-calibration: every row of a small table is a calibration row, of a model new to it."""

import numpy as np
import pytest
import torch
from tables import people

import variate as vt
from variate import TableVAE, cross_calibrate, load
from variate.errors import DataError, DataWarning, OptionError
from variate.evaluation import conformal
from variate.table import files, folds

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")
TINY = {"latent": 2, "hidden": (16,), "width": 8, "components": 3, "epochs": 4, "seed": 0}


@pytest.fixture(scope="module")
def rows():
    return people(200)


@pytest.fixture
def model(rows):
    return TableVAE(**TINY).fit(rows)


def test_every_row_calibrates_and_the_model_stays(model, rows, tmp_path):
    before = {name: value.clone() for name, value in model.model_.state_dict().items()}
    facts, random = dict(model.facts_), torch.get_rng_state()
    assert model.calibration_.rows == 10
    assert cross_calibrate(model, rows, folds=3) is model
    assert model.calibration_.rows == 200
    assert model.facts_ == facts
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.model_.state_dict().items():
        assert torch.equal(value, before[name])
    again = load(model.save(tmp_path / "m.variate")).calibration_
    np.testing.assert_array_equal(again.scores, model.calibration_.scores)
    cross_calibrate(model, rows, folds=3)
    np.testing.assert_array_equal(again.scores, model.calibration_.scores)


def test_no_row_is_scored_by_a_model_that_has_seen_it(model, rows, monkeypatch):
    told = []
    fitted_on, scored = folds._fitted_on, folds._scored

    def noted(given, known):
        told.append([known.to_pylist()])
        return fitted_on(given, known)

    def noted_too(other, left_out):
        told[-1].append(left_out.to_pylist())
        return scored(other, left_out)

    monkeypatch.setattr(folds, "_fitted_on", noted)
    monkeypatch.setattr(folds, "_scored", noted_too)
    numbered = rows.assign(number=np.arange(200.0))
    model = TableVAE(**TINY).fit(numbered)
    cross_calibrate(model, numbered, folds=4)
    assert len(told) == 4
    for known, left_out in told:
        assert (len(known), len(left_out)) == (150, 50)
        assert not {row["number"] for row in known} & {row["number"] for row in left_out}
    assert len({row["number"] for _, left_out in told for row in left_out}) == 200


def test_arrays_and_levels_that_one_fold_has_alone(rows):
    array = np.random.default_rng(0).normal(size=(100, 2)).round(2)
    model = cross_calibrate(TableVAE(**TINY).fit(array), array, folds=2)
    assert model.calibration_.rows == 100
    rare = rows.assign(note=["only once", *rows["note"][1:]])
    model = cross_calibrate(TableVAE(**TINY).fit(rare), rare, folds=2)
    assert model.calibration_.rows == 199  # `detect` would not judge that row by its score


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")  # rows of training, few of them
def test_dates_constraints_and_files(tmp_path):
    frame = people(120)
    frame["more"] = frame["income"] + frame["age"].fillna(0) + 1
    files.write(frame, tmp_path / "people.csv")
    rules = [vt.constraints.LessEqual("income", "more")]
    model = TableVAE(**TINY, constraints=rules).fit(tmp_path / "people.csv")
    cross_calibrate(model, tmp_path / "people.csv", folds=2)
    assert model.calibration_.rows == 120
    assert len(model.detect(tmp_path / "people.csv")) == 120


def test_bad_input(model, rows):
    with pytest.raises(DataError, match="fitted on 200 rows, and these are 199"):
        cross_calibrate(model, rows[:199])
    for wrong in (1, 2.5, True):
        with pytest.raises(OptionError, match="folds must be"):
            cross_calibrate(model, rows, folds=wrong)
    few = TableVAE(**TINY).fit(rows[:99])
    with pytest.raises(DataError, match="too few to be dealt"):
        cross_calibrate(few, rows[:99])
    bare = TableVAE(**TINY, posterior=vt.posteriors.Delta(2)).fit(rows)
    with pytest.raises(OptionError, match="no density"):
        cross_calibrate(bare, rows)
    model.privacy = vt.Privacy(epsilon=3.0, delta=1e-5, columns={})
    with pytest.raises(OptionError, match="no private ones"):
        cross_calibrate(model, rows)


def test_want_of_scores_says_what_can_be_done(model, rows):
    new = rows[:30].copy()
    new.loc[:2, ["age", "income"]] = [19, 900_000.0]
    with pytest.warns(DataWarning, match=r"vt\.cross_calibrate\(model, the rows of fit\)"):
        model.detect(new)


def test_on_the_command_line(run, model, rows, tmp_path):
    files.write(rows, tmp_path / "people.csv")
    path = TableVAE(**TINY).fit(tmp_path / "people.csv").save(tmp_path / "m.variate")
    words = ("recalibrate", path, tmp_path / "people.csv", "--folds", 2)
    status, said, _ = run(*words, "--json")
    assert status == 0
    assert '"calibration_rows": 200' in said
    assert load(path).calibration_.rows == 200
    assert not load(path).verbose
    for wrong, says in (
        ((*words, "--extend"), "leave out the other options"),
        ((*words[:-1], 1), "folds must be at least 2"),
    ):
        status, _, said = run(*wrong)
        assert status == 2
        assert says in said


@pytest.mark.slow
def test_the_share_of_false_alarms_of_500_rows():
    """Held-out rows alone raise no alarm; all rows raise them, of which few are false."""
    false, found, without, small = [], [], [], []
    for seed in range(3):
        rows, new = people(500, seed=seed), people(3_000, seed=100 + seed)
        model = TableVAE(**TINY | {"epochs": 30, "seed": seed}).fit(rows)
        odd = new[2_500:].assign(age=19.0, income=1_000_000.0)
        normal, strange = (-model.score_samples(part) for part in (new[:2_500], odd))
        held_out = model.calibration_
        cross_calibrate(model, rows)
        small.append(model.calibration_.p_values(normal) <= 0.05)
        rng = np.random.default_rng(seed)
        for _ in range(100):
            scores = np.append(rng.choice(strange, 20), rng.choice(normal, 180, replace=False))
            alarms = conformal.benjamini_hochberg(model.calibration_.p_values(scores), 0.05)
            false.append(alarms[20:].sum() / max(1, alarms.sum()))
            found.append(alarms[:20].mean())
            raised = conformal.benjamini_hochberg(held_out.p_values(scores), 0.05)
            without.append(raised.mean())
    assert np.mean(without) == 0
    assert np.mean(found) > 0.3
    assert np.mean(false) < 0.06
    assert np.mean(small) < 0.06
