"""SeriesVAE: the verbs of windows and of steps, kept in a file, and bad input."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone

import variate as vt
from variate import SeriesVAE, load
from variate.errors import DataError, DataWarning, OptionError, SchemaError

# A model that trains for a moment may well know nothing yet.
pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")


def wave(steps, seed=0, noise=1.0):
    t = np.arange(steps)
    return (
        50
        + 10 * np.sin(2 * np.pi * t / 24)
        + noise * np.random.default_rng(seed).normal(size=steps)
    )


def frame(steps=900, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "at": pd.date_range("2024-05-01", periods=steps, freq="h"),
        "load": wave(steps, seed).round().astype(int),
        "temp": (wave(steps, seed, 0.0) / 5 + 0.3 * rng.normal(size=steps)).round(1),
    })  # fmt: skip


def tiny(**options):
    chosen = {"hidden": (32, 32), "latent": 4, "window": 48, "epochs": 12}
    return SeriesVAE(**(chosen | options))


@pytest.fixture(scope="module")
def model():
    return SeriesVAE(hidden=(64, 64), latent=4, window=48, epochs=60).fit(frame())


# -- the verbs of windows ----------------------------------------------------------------------


def test_windows_are_the_items_of_the_verbs_that_all_kinds_share(model):
    windows = model.windows(frame())
    assert windows.shape == (19, 48, 2)
    assert model.encode(frame()).mean.shape == (19, 4)
    assert model.score_samples(frame(), draws=4).shape == (19,)
    assert len(model.reconstruct(frame())) == 19 * 48
    np.testing.assert_allclose(
        model.score_samples(windows, draws=4), model.score_samples(frame(), draws=4)
    )
    assert len(model.vary(windows[:1], 3)) == 3 * 48
    assert len(model.interpolate(windows[:1], windows[5:6], 4)) == 4 * 48


def test_samples_are_windows_that_resemble_the_data(model):
    made = model.sample(200, seed=0)
    assert list(made.columns) == ["window", "step", "load", "temp"]
    assert made["load"].dtype.kind == "i"
    assert abs(made["load"].mean() - 50) < 2
    assert abs(made["load"].std() - frame()["load"].std()) < 1.5
    np.testing.assert_allclose(made["temp"] * 10, (made["temp"] * 10).round(), atol=1e-6)
    pd.testing.assert_frame_equal(made, model.sample(200, seed=0))
    assert model.sample(2, temperature=0.5, seed=0).shape == (96, 4)


def test_conditions_and_wrong_codes_are_errors(model):
    with pytest.raises(OptionError, match="draws without conditions"):
        model.sample(3, given={"load": 3})
    with pytest.raises(OptionError, match=r"\[N, 4\]"):
        model.decode(np.zeros((2, 3)))


def test_gaps_do_not_count_in_the_score_and_values_do(model):
    x = model.windows(frame())[:2].copy()
    gone = np.full_like(x, np.nan)
    assert -12 < model.score_samples(gone, draws=64).min() <= 0.1  # a bound of log 1
    part = x.copy()
    part[:, 24:] = np.nan
    assert (model.score_samples(part) > model.score_samples(x)).all()


# -- the verbs of steps ------------------------------------------------------------------------


def test_detect_finds_intervals_and_says_why(model):
    strange = frame(400, seed=5)
    strange.loc[200:207, "load"] = 90
    found = model.detect(strange, fdr=0.05)
    assert list(found.columns) == [
        "start", "end", "peak", "steps", "score", "p_value", "channel", "reasons",
    ]  # fmt: skip
    hit = found[
        (found["start"] <= strange.loc[207, "at"]) & (found["end"] >= strange.loc[200, "at"])
    ]
    assert len(hit) == 1
    assert hit["channel"].item() == "load"
    assert "load=90 (expected" in hit["reasons"].item()
    assert hit["p_value"].item() < 0.01
    assert len(found) <= 2


def test_detect_is_quiet_where_there_is_nothing(model):
    assert len(model.detect(frame(400, seed=6), fdr=0.01)) <= 1


def test_step_scores_are_in_the_order_of_the_rows(model):
    given = frame(200, seed=7)
    scores = model.score_steps(given)
    assert scores.shape == (200,)
    mixed = given.iloc[::-1]
    with pytest.warns(DataWarning, match="sorted"):
        np.testing.assert_allclose(model.score_steps(mixed), scores[::-1])
    gappy = given.assign(load=given["load"].astype(float), temp=given["temp"])
    gappy.loc[50:52, ["load", "temp"]] = np.nan
    assert np.isnan(model.score_steps(gappy)).nonzero()[0].tolist() == [50, 51, 52]


def test_forecasts_follow_the_wave_and_their_bands_hold(model):
    given = frame(900, seed=3)
    past, future = given.iloc[:840], given.iloc[840:]
    ahead = model.forecast(past, 60, draws=200, seed=0)
    assert ahead.mean.shape == (60, 2)
    error = np.abs(ahead.median[:, 0] - future["load"]).mean()
    assert error < 2.0
    assert ahead.outside(future[["load", "temp"]]).mean() < 0.25
    low, high = ahead.band(0.5)
    assert (low <= high).all()
    table = ahead.table
    assert table["at"].tolist() == future["at"].tolist()
    assert list(table.columns)[:4] == ["at", "load", "load_low", "load_high"]
    again = model.forecast(past, 60, draws=200, seed=0)
    np.testing.assert_array_equal(ahead.paths[0], again.paths[0])
    with pytest.raises(OptionError, match="shape"):
        ahead.outside(np.zeros(3))
    with pytest.raises(OptionError, match="steps must be greater than 0"):
        model.forecast(past, 0)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_bands_hold_what_comes_though_noise_wanders(correlation):
    def series(steps, seed):
        shock = np.random.default_rng(seed).normal(size=steps)
        noise = np.zeros(steps)
        for t in range(steps):
            noise[t] = correlation * noise[t - 1] + np.sqrt(1 - correlation**2) * shock[t]
        return 10 * np.sin(2 * np.pi * np.arange(steps) / 24) + 3 * noise

    found = SeriesVAE(hidden=(64, 64), window=64).fit(series(3000, 0))
    found = found.evaluate(found.windows(series(4000, 1)))
    assert 0.85 < found["coverage_90"] < 0.95
    assert 0.42 < found["coverage_50"] < 0.58


def test_gaps_and_missing_stamps_are_filled(model):
    whole = frame(300, seed=4)
    gappy = whole.drop(index=range(100, 110)).assign(
        temp=whole["temp"].where(whole.index % 50 != 7)
    )
    made = model.impute(gappy, draws=3, seed=0)
    assert list(made.filled.columns) == ["at", "load", "temp"]
    assert len(made.filled) == 300
    assert made.filled["load"].dtype.kind == "i"
    assert not made.filled.isna().any().any()
    kept = whole.index.difference(range(100, 110))
    assert (made.filled["load"][kept] == whole["load"][kept]).all()
    assert np.abs(made.filled["load"][100:110] - whole["load"][100:110]).mean() < 3
    assert len(made.tables) == 3
    assert made.missing == 10 * 2 + 5
    where = made.interval(0.9)
    assert list(where.columns) == ["at", "channel", "low", "median", "high"]
    assert (where["low"] <= where["high"]).all()
    nothing = model.impute(whole, seed=0)
    assert nothing.missing == 0
    assert len(nothing.interval()) == 0
    pd.testing.assert_frame_equal(nothing.filled, whole, check_dtype=False)


def test_several_series_in_one_file():
    long = pd.concat([frame(400, s).assign(site=name) for s, name in enumerate("ab")])
    model = tiny(series="site").fit(long)
    assert model.facts_["series"] == 2
    assert [len(s) for s in model.score_steps(long)] == [400, 400]
    ahead = model.forecast(long, 5, draws=8, seed=0)
    assert [paths.shape for paths in ahead.paths] == [(8, 5, 2)] * 2
    assert ahead.table["site"].tolist() == ["a"] * 5 + ["b"] * 5
    assert set(model.detect(long).columns) >= {"site", "start", "end"}
    filled = model.impute(long.drop(index=7), seed=0).filled
    assert filled["site"].value_counts().tolist() == [400, 400]
    assert list(model.score_table(long)["site"].unique()) == ["a", "b"]


def test_arrays_and_lists_of_arrays():
    parts = [wave(500), wave(300, 1)]
    model = tiny(epochs=4).fit(parts)
    assert model.sample(2, seed=0).shape == (2, 48, 1)
    assert isinstance(model.detect(parts), pa.Table)
    gappy = [np.where(np.arange(500) == 9, np.nan, parts[0]), parts[1]]
    filled = model.impute(gappy, draws=2, seed=0)
    assert [part.shape for part in filled.filled] == [(500, 1), (300, 1)]
    assert filled.missing == 1
    assert [part.shape for part in model.forecast(parts, 3, draws=4).mean] == [(3, 1)] * 2


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_the_callers_type_comes_back(kind):
    given = pl.from_pandas(frame(300))
    given = given if kind == "polars" else given.to_arrow()
    model = tiny(epochs=2).fit(given)
    made = [model.sample(2), model.detect(given), model.impute(given).filled]
    made += [model.forecast(given, 2, draws=2).table, model.score_table(given, draws=2)]
    assert {type(one) for one in made} == {type(given)}


# -- what is kept ------------------------------------------------------------------------------


def test_a_saved_model_does_the_same(model, tmp_path):
    model.save(tmp_path / "m.variate")
    again = load(tmp_path / "m.variate")
    assert again.kind == "series"
    given = frame(200, seed=8)
    np.testing.assert_array_equal(again.score_steps(given), model.score_steps(given))
    np.testing.assert_array_equal(
        again.forecast(given, 4, seed=1).paths[0], model.forecast(given, 4, seed=1).paths[0]
    )
    pd.testing.assert_frame_equal(again.detect(given), model.detect(given))


def test_a_seed_repeats_the_training():
    first, second = tiny(seed=3, epochs=2).fit(wave(400)), tiny(seed=3, epochs=2).fit(wave(400))
    for a, b in zip(first.model_.parameters(), second.model_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_fit_by_name_clone_and_evaluate(tmp_path):
    model = vt.fit(wave(400), kind="series", epochs=2, window=40, hidden=(16,), latent=2)
    assert clone(model).window == 40
    evaluation = model.evaluate(wave(400, 1))
    assert evaluation["elbo"] <= evaluation["log_likelihood"]
    assert 0 <= evaluation["coverage_90"] <= 1
    text = evaluation.to_html(tmp_path / "r.html").read_text()
    assert "Steps ahead" in text


def test_recalibrate_replaces_or_extends(model):
    other = clone(model).set_params(epochs=2).fit(frame(500))
    before = len(other.facts_["block_scores"])
    assert other.calibration_ is None  # of windows: nothing would read it
    other.recalibrate(frame(480, 9), extend=True)
    assert len(other.facts_["block_scores"]) == before + 80
    other.recalibrate(frame(480, 9))
    assert len(other.facts_["block_scores"]) == 80
    with pytest.raises(OptionError, match="nothing is observed"):
        other.recalibrate(frame(60).assign(load=np.nan, temp=np.nan))


# -- bad input ---------------------------------------------------------------------------------


def test_a_short_series_fits_and_says_why_it_raises_no_alarm():
    short = wave(30)
    model = SeriesVAE(epochs=2, hidden=(16,)).fit(short)
    assert model.codec_.length == 8
    assert model.forecast(short, 3, draws=2).mean.shape == (3, 1)
    with pytest.raises(OptionError, match="too short to hold stretches out"):
        model.detect(short)
    assert len(model.recalibrate(wave(300)).detect(short)) >= 0


def test_a_constant_series_fits_with_a_warning():
    with pytest.warns(DataWarning, match="one value 7 only"):
        model = tiny(epochs=12).fit(np.full(300, 7))
    assert (model.sample(3, seed=0) == 7).mean() > 0.9
    assert model.forecast(np.full(100, 7), 5, seed=0).median.ravel().tolist() == [7.0] * 5
    odd = np.full(200, 7)
    odd[100] = 40
    assert model.score_steps(odd)[100] > model.score_steps(odd)[10]


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (np.zeros(0), DataError, "the array is empty"),
        (np.array([1.0]), DataError, "more than one step"),
        (np.full(50, np.nan), DataError, "no observed value"),
        (np.r_[wave(50), np.inf], DataError, "channel x0, row 50"),
        (np.array(["a"] * 50), DataError, "must be numeric"),
    ],
)
def test_bad_series_are_told(raw, error, message):
    with pytest.raises(error, match=message):
        SeriesVAE(epochs=1).fit(raw)


def test_bad_options_are_told():
    for options, message in [
        ({"window": 3}, "window must be at least 4"),
        ({"window": 2.5}, "window must be a whole number"),
        ({"hidden_spans": 1.5}, "hidden_spans must be a share"),
        ({"hidden": ()}, "hidden must be widths"),
        ({"components": 0}, "components must be greater than 0"),
        ({"epochs": 1, "minutes": 1}, "not both"),
    ]:
        with pytest.raises(OptionError, match=message):
            SeriesVAE(**options).fit(wave(100))
    with pytest.raises(DataError, match="a window of 200 steps is longer"):
        SeriesVAE(window=200).fit(wave(100))


def test_other_data_at_scoring_time_is_told(model):
    with pytest.raises(SchemaError, match="no column 'temp'"):
        model.detect(frame().drop(columns="temp"))
    with pytest.raises(OptionError, match="fdr must be between 0 and 1"):
        model.detect(frame(), fdr=1.5)
    infinite = frame(100).assign(temp=np.inf)
    with pytest.raises(DataError, match="'temp', row 0"):
        model.forecast(infinite, 3)
    with pytest.raises(OptionError, match="draws must be greater than 0"):
        model.impute(frame(), draws=0)


def test_an_autoencoder_has_no_scores_of_steps():
    model = tiny(
        posterior=vt.posteriors.Delta(4), objective=vt.objectives.Reconstruction(), epochs=2
    ).fit(wave(400))
    assert model.reconstruct(wave(400)).shape == (9, 48, 1)
    with pytest.raises(OptionError, match="has no density"):
        model.score_steps(wave(100))


@pytest.mark.slow
@pytest.mark.filterwarnings("error::variate.errors.CollapseWarning")
def test_false_alarms_are_rare_and_anomalies_are_found():
    model = SeriesVAE().fit(wave(3000))
    quiet, found = 0, 0
    for seed in range(30):
        series = wave(1000, 100 + seed)
        quiet += model.detect(series, fdr=0.1).num_rows == 0
        strange = series.copy()
        strange[500:512] = strange[500]
        strange[503] += 12
        found += any(
            row["start"] <= 512 and row["end"] >= 500
            for row in model.detect(strange, fdr=0.1).to_pylist()
        )
    assert quiet >= 24  # at most 10 %, plus chance
    assert found >= 27
