"""TableVAE: the verbs on every kind of frame, scikit-learn's contract, and bad input."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import people

from variate import TableVAE, bundle, flows, load, objectives, posteriors, priors
from variate.errors import DataError, DataWarning, ModelFileError, OptionError, SchemaError

# A model that trains for a moment may well know nothing yet.
pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=3, hidden=(24, 24), width=8, epochs=3, components=3)


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def model(frame):
    return tiny(epochs=30).fit(frame)


@parametrize_with_checks([TableVAE(latent=2, hidden=(16,), width=8, epochs=2, components=2)])
def test_keeps_scikit_learns_contract(estimator, check):
    check(estimator)


def test_fits_in_a_pipeline_and_clones():
    pipeline = make_pipeline(StandardScaler(), tiny())
    rows = np.random.default_rng(0).normal(size=(100, 4))
    assert clone(pipeline).fit_transform(rows).shape == (100, 3)


# -- the verbs ---------------------------------------------------------------------------------

FRAMES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": lambda frame: pl.from_pandas(frame).to_arrow(),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_callers_type_comes_back(frame, kind):
    given = FRAMES[kind](frame)
    model = tiny().fit(given)
    for made in (model.sample(7, seed=0), model.reconstruct(given), model.vary(given[:2], 3)):
        assert type(made) is type(given)
        names = made.column_names if kind == "pyarrow" else list(made.columns)
        assert names == list(frame.columns)


def test_samples_have_the_dtypes_and_the_precision_of_the_data(model, frame):
    made = model.sample(500, seed=0)
    assert (made.dtypes == frame.dtypes).all()
    assert list(made["city"].cat.categories) == ["Basel", "Zug", "Bern"]
    assert "Bern" not in set(made["city"])  # never seen, so never made
    np.testing.assert_array_equal(made["income"], made["income"].round(2))
    assert (made["joined"] == made["joined"].dt.normalize()).all()


def test_samples_resemble_the_data():
    frame = people(2_000)
    made = TableVAE(latent=3).fit(frame).sample(2000, seed=0)
    assert abs(made["age"].mean() - frame["age"].mean()) < 3
    assert abs((made["city"] == "Basel").mean() - (frame["city"] == "Basel").mean()) < 0.06
    known = made.dropna(subset="income")
    assert np.corrcoef(known["age"], np.log(known["income"].clip(1)))[0, 1] > 0.4
    for column in ("income", "note"):
        assert abs(made[column].isna().mean() - frame[column].isna().mean()) < 0.04


def test_encode_gives_means_and_scales(model, frame):
    mean, scale = model.encode(frame)
    assert mean.shape == scale.shape == (len(frame), 3)
    assert (scale > 0).all()
    np.testing.assert_array_equal(model.transform(frame), mean)


def test_decode_of_the_mean_code_is_the_reconstruction(model, frame):
    made = model.decode(model.encode(frame).mean)
    pd.testing.assert_frame_equal(made, model.reconstruct(frame))


def test_vary_with_no_strength_is_the_reconstruction(model, frame):
    some = frame.head(2)
    made = model.vary(some, 3, strength=0.0)
    want = model.reconstruct(some)
    pd.testing.assert_frame_equal(made, want.loc[[0, 0, 0, 1, 1, 1]].reset_index(drop=True))
    assert len(model.vary(some, 4, strength=2.0, seed=1).drop_duplicates()) > 2


def test_interpolation_begins_and_ends_at_its_ends(model, frame):
    a, b = frame.iloc[[0]], frame.iloc[[1]]
    way = model.interpolate(a, b, steps=5)
    assert len(way) == 5
    pd.testing.assert_frame_equal(way.head(1), model.reconstruct(a))
    pd.testing.assert_frame_equal(way.tail(1).reset_index(drop=True), model.reconstruct(b))


def test_seeds_make_everything_repeatable(frame):
    first, second = tiny(seed=3).fit(frame), tiny(seed=3).fit(frame)
    for a, b in zip(first.model_.parameters(), second.model_.parameters(), strict=True):
        assert torch.equal(a, b)
    pd.testing.assert_frame_equal(first.sample(20, seed=5), second.sample(20, seed=5))
    some = frame.head(1)
    pd.testing.assert_frame_equal(first.vary(some, seed=5), second.vary(some, seed=5))
    np.testing.assert_array_equal(first.score_samples(frame), second.score_samples(frame))
    assert not first.sample(20).equals(first.sample(20))


def test_fitting_leaves_the_callers_randomness_alone(frame):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    model = tiny().fit(frame)
    model.sample(3, seed=1)
    model.sample(3)
    model.score_samples(frame.head(3))
    assert torch.equal(before, torch.get_rng_state())


def test_a_score_does_not_depend_on_the_company(model, frame):
    every = model.score_samples(frame)
    alone = model.score_samples(frame.iloc[[17]])
    shuffled = model.score_samples(frame.sample(frac=1.0, random_state=0).sort_index())
    assert alone[0] == pytest.approx(every[17], rel=1e-6)  # a product of one row rounds otherwise
    np.testing.assert_array_equal(shuffled, every)


def test_a_gap_is_an_outcome_where_training_had_gaps_and_unobserved_where_it_had_none(model, frame):
    row = frame.iloc[[3]].copy()
    row["note"] = "a"
    known = {"note": ["a", "b", "c", None], "member": [True, False]}
    values = {name: [model.score_samples(row.assign(**{name: pd.array([v], frame[name].dtype)}))[0]
                     for v in outcomes] for name, outcomes in known.items()}  # fmt: skip
    unknown = model.score_samples(row.assign(member=pd.array([None], "boolean")))[0]
    either = np.logaddexp(*values["member"])  # what a cell that may be either would have
    assert unknown == pytest.approx(either, abs=0.75)
    assert all(np.isfinite(score) for scores in values.values() for score in scores)


def test_scores_are_densities_in_the_columns_own_units():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    in_metres = tiny(epochs=20).fit(rows).score(rows)
    in_millimetres = tiny(epochs=20).fit(rows * 1000).score(rows * 1000)
    assert in_metres - in_millimetres == pytest.approx(2 * np.log(1000), abs=0.05)


def test_facts_are_measured_on_rows_kept_aside(model, frame):
    facts = model.facts_
    assert facts["training_rows"] + facts["validation_rows"] + facts["held_out"]["rows"] == 400
    held_out = facts["held_out"]
    assert held_out["elbo"] <= held_out["log_likelihood"] + 1e-6
    assert 0 <= held_out["active_units"] <= 3


# -- models other than the default ---------------------------------------------------------------

OBJECTIVES = [
    objectives.ELBO(beta=4.0),
    objectives.FreeBits(0.1),
    objectives.Capacity(2.0),
    objectives.IWAE(3),
    objectives.DReG(3),
    objectives.StickTheLanding(),
    objectives.TotalCorrelation(4.0),
    objectives.MMD(10.0),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_every_objective_trains_a_table_and_is_kept_in_the_file(frame, objective, tmp_path):
    model = tiny(objective=objective).fit(frame)
    again = load(model.save(tmp_path / "m.variate"))
    assert type(again.objective) is type(objective)
    np.testing.assert_array_equal(again.score_samples(frame), model.score_samples(frame))


PARTS = [
    {"prior": priors.Mixture(3, components=4)},
    {"prior": priors.Vamp(3, components=5)},
    {"prior": flows.Flow(3, transforms=2, hidden=(16,))},
    {"posterior": posteriors.LowRankGaussian(3, rank=1)},
    {"posterior": posteriors.InverseAutoregressive(3, hidden=(16,))},
    {
        "posterior": posteriors.RelaxedCategorical(2, 3),
        "prior": priors.RelaxedUniform(2, 3),
        "latent": None,
    },
]


@pytest.mark.parametrize("parts", PARTS, ids=lambda p: type(next(iter(p.values()))).__name__)
def test_other_priors_and_posteriors(frame, parts, tmp_path):
    model = tiny(**parts).fit(frame)
    again = load(model.save(tmp_path / "m.variate"))
    np.testing.assert_array_equal(again.score_samples(frame), model.score_samples(frame))
    pd.testing.assert_frame_equal(again.sample(9, seed=0), model.sample(9, seed=0))
    assert len(model.vary(frame.head(2), 2)) == 4
    assert model.encode(frame).scale.shape == (len(frame), model.latent_)


def test_the_deterministic_autoencoder_has_the_same_interface(frame):
    model = tiny(posterior=posteriors.Delta(3), objective=objectives.Reconstruction()).fit(frame)
    assert len(model.reconstruct(frame)) == len(frame)
    assert model.facts_["held_out"]["elbo"] is None
    with pytest.raises(OptionError, match="no density"):
        model.score_samples(frame)


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [("latent", 0), ("epochs", 0), ("minutes", -1), ("beta", -1.0), ("hidden", ()),
     ("batch_size", 0), ("components", 0), ("learning_rate", 0.0), ("latent", 2.5),
     ("hidden", (8, 0.5)), ("batch_size", 10.5), ("device", "gpu"), ("precision", "half")],
)  # fmt: skip
def test_options_are_checked(frame, option, value):
    with pytest.raises(OptionError, match=option):
        TableVAE(**{option: value}).fit(frame)


def test_epochs_and_minutes_exclude_each_other(frame):
    with pytest.raises(OptionError, match="not both"):
        TableVAE(epochs=1, minutes=1).fit(frame)


def test_latent_dimensions_must_agree(frame):
    with pytest.raises(OptionError, match="latent dimensions differ"):
        TableVAE(latent=2, prior=priors.StandardNormal(5)).fit(frame)


def test_one_row_is_too_few(frame):
    with pytest.raises(DataError, match=r"1 row"):
        tiny().fit(frame.head(1))


def test_frames_at_scoring_time(model, frame):
    want = model.score_samples(frame)
    np.testing.assert_array_equal(model.score_samples(frame[frame.columns[::-1]]), want)
    with pytest.warns(DataWarning, match="extra"):
        np.testing.assert_array_equal(model.score_samples(frame.assign(extra=1)), want)
    with pytest.raises(SchemaError, match="income"):
        model.score_samples(frame.drop(columns="income"))
    with pytest.raises(SchemaError, match="Chur"):
        model.score_samples(frame.assign(note="Chur"))
    with pytest.raises(SchemaError, match="age"):
        model.score_samples(frame.assign(age="old"))
    with pytest.raises(DataError, match="income"):
        model.score_samples(frame.assign(income=np.inf))


def test_codes_of_the_wrong_width(model):
    with pytest.raises(OptionError, match=r"\[N, 3\]"):
        model.decode(np.zeros((2, 4)))


@pytest.mark.parametrize("n", [0, -3])
def test_no_items_cannot_be_sampled(model, n):
    with pytest.raises(OptionError, match="n must be at least 1"):
        model.sample(n)


def test_a_model_file_that_asks_for_more_than_it_holds_is_refused_before_it_is_made(
    model, tmp_path
):
    manifest, weights, card = bundle.read(model.save(tmp_path / "m.variate"))
    huge = {"type": "models.priors.Mixture", "arguments": {"latent": 3, "components": 10**12}}
    critic = {"gamma": 1.0, "latent": 3, "hidden": {"tuple": [10**6, 10**6]}}
    for name, size in (
        ("hidden", {"tuple": [10**6, 10**6]}), ("latent", 10**9), ("prior", huge),
        ("objective", {"type": "objectives.Factor", "arguments": critic}),
    ):  # fmt: skip
        parameters = {"dict": manifest["parameters"]["dict"] | {name: size}}
        path = bundle.write(
            tmp_path / "n.variate", manifest | {"parameters": parameters}, weights, card
        )
        with pytest.raises(ModelFileError, match="does not fit together"):
            load(path)


def test_duplicate_columns_are_named():
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    with pytest.raises(DataError, match="'a'"):
        tiny().fit(frame)
