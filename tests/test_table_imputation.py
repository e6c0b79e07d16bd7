"""Imputation: the conditional law, the caller's table, and bad input."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import people

import variate as vt
from variate import TableImputer, TableVAE, constraints
from variate.errors import DataError, DataWarning, OptionError, SchemaError
from variate.table.candidates import drawn_cells

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=3, hidden=(24, 24), epochs=10, components=3)


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def model(frame):
    return tiny().fit(frame)


# -- the mathematics -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 600)
    b = np.where(rng.random(600) < 0.7, a, rng.integers(0, 3, 600))
    return pd.DataFrame({"a": a.astype(str), "b": b.astype(str), "c": rng.integers(0, 9, 600)})


@pytest.mark.parametrize("missing", ["a", "b"])
def test_draws_have_the_models_own_conditional_law(pairs, missing):
    """Of a column that comes before a known one as of one that comes after it."""
    model = tiny(epochs=40).fit(pairs)
    other = "b" if missing == "a" else "a"
    rows = pd.DataFrame({missing: pd.Series([None] * 40, dtype=object), other: ["1"] * 40})
    made = model.impute(rows, draws=200, seed=0).probabilities(missing)
    drawn = model.sample(40_000, seed=1)
    wanted = drawn.loc[drawn[other] == "1", missing].value_counts(normalize=True)
    found = made.drop(columns="row").mean()
    np.testing.assert_allclose(found[wanted.index], wanted, atol=0.03)


@pytest.fixture(scope="module")
def copula():
    """Correlated normals, one of them seen as a category; 30 % of all cells are removed."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=4000)
    b = 0.8 * a + 0.6 * rng.normal(size=4000)
    c = np.where(0.6 * b + 0.8 * rng.normal(size=4000) > 0, "high", "low")
    whole = pd.DataFrame({"a": a.round(3), "b": b.round(3), "c": c})
    holes = rng.random(whole.shape) < 0.3
    return whole, whole.mask(holes), holes


@pytest.fixture(scope="module")
def gappy(copula):
    return TableVAE(seed=0, epochs=40).fit(copula[1])


@pytest.mark.slow
def test_a_model_of_incomplete_rows_knows_the_conditional_law(gappy):
    """A Gaussian's: b given a, a given b, and the probability of c given b, both ways."""
    at = np.repeat([-1.0, 0.0, 1.5], 100)
    none, blank = pd.Series(np.nan, range(300)), pd.Series(None, range(300), dtype=object)
    forward = gappy.impute(pd.DataFrame({"a": at, "b": none, "c": blank}), seed=0).interval(0.9)
    backward = gappy.impute(pd.DataFrame({"a": none, "b": at, "c": blank}), seed=0).interval(0.9)
    reach = norm.ppf(0.95) * 0.6
    for made, column in ((forward, "b"), (backward, "a")):
        cells = made[made["column"] == column].sort_values("row")
        for known in (-1.0, 0.0, 1.5):
            some = cells[at == known]
            assert some["filled"].astype(float).mean() == pytest.approx(0.8 * known, abs=0.12)
            assert some["low"].mean() == pytest.approx(0.8 * known - reach, abs=0.2)
            assert some["high"].mean() == pytest.approx(0.8 * known + reach, abs=0.2)
    rows = pd.DataFrame({"a": none, "b": at, "c": blank})
    high = gappy.impute(rows, draws=200, seed=0).probabilities("c")["high"]
    for known in (-1.0, 0.0, 1.5):
        assert high[at == known].mean() == pytest.approx(norm.cdf(0.75 * known), abs=0.08)


@pytest.mark.slow
def test_intervals_cover_and_means_beat_the_columns_mean(copula, gappy):
    whole, gaps, holes = copula
    made = gappy.impute(gaps, seed=0)
    intervals = made.interval(0.9)
    for place, name in enumerate("ab"):
        cells = intervals[intervals["column"] == name]
        truth = whole[name].to_numpy()[cells["row"]]
        assert 0.86 < ((truth >= cells["low"]) & (truth <= cells["high"])).mean() < 0.94
        miss = holes[:, place]
        error = np.sqrt(((made.filled[name] - whole[name])[miss] ** 2).mean()) / whole[name].std()
        assert error < 0.82
    drawn = made.tables[0]
    assert np.corrcoef(drawn["a"], drawn["b"])[0, 1] == pytest.approx(0.8, abs=0.04)


def test_fewer_candidates_are_worth_less_and_the_effective_number_says_so(model, frame):
    made = model.impute(frame, seed=0)
    gaps = frame.isna().any(axis=1).to_numpy()
    assert np.isinf(made.effective[~gaps]).all()
    assert ((made.effective[gaps] >= 1) & (made.effective[gaps] <= 512)).all()


# -- the caller's table ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_known_cells_stay_and_the_others_are_filled_in_the_callers_type(model, frame, kind):
    given = kind(frame)
    made = model.impute(given, draws=2, seed=0)
    for table in (made.filled, *made.tables):
        assert type(table) is type(given)
        again = pd.DataFrame(pl.from_dataframe(table).to_pandas() if kind is pl.from_pandas else
                             table.to_pandas() if kind is not pd.DataFrame else table)  # fmt: skip
        assert list(again.columns) == list(frame.columns)
        assert again.notna().all(axis=None)
        for name in ("age", "income", "note"):
            there = frame[name].notna()
            assert (again[name][there] == frame[name][there]).all()
    if kind is pd.DataFrame:
        pd.testing.assert_series_equal(made.filled.dtypes, frame.dtypes)
        assert (made.filled["income"] * 100 % 1).round(6).isin([0, 1]).all()  # two decimals


def test_a_seed_repeats_the_draws(model, frame):
    first, again = (model.impute(frame, draws=2, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first.tables[1], again.tables[1])
    pd.testing.assert_frame_equal(first.filled, again.filled)
    assert not first.tables[0].equals(model.impute(frame, draws=2, seed=2).tables[0])


def test_every_row_with_a_gap_is_counted_once(model, frame):
    x = model.codec_.encode(frame)
    known = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    counted = []
    drawn_cells(
        model.model_, x, known, 4, candidates=256, seed=0, done=lambda rows: counted.append(rows)
    )
    assert len(counted) > 1
    assert sum(counted) == len(x)


def test_the_callers_generator_is_left_alone(model, frame):
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    model.impute(frame.head(20), seed=0)
    assert torch.equal(torch.rand(3), wanted)


def test_tables_are_a_sequence(model, frame):
    made = model.impute(frame, draws=3, seed=0)
    assert len(made.tables) == len(list(made.tables)) == 3
    pd.testing.assert_frame_equal(made.tables[-1], made.tables[1:][1])
    with pytest.raises(IndexError):
        made.tables[3]
    with pytest.raises(OptionError, match="below 3"):
        made.table(3)


def test_dates_are_filled_by_the_draw_in_the_middle(model, frame):
    some = frame.head(30).copy()
    some.loc[4:9, "joined"] = pd.NaT
    made = model.impute(some, seed=0)
    assert made.filled["joined"].between(frame["joined"].min(), frame["joined"].max()).all()
    assert (made.filled["joined"].dt.normalize() == made.filled["joined"]).all()
    cells = made.interval(0.8).query("column == 'joined'")
    middle = made.filled["joined"][4:10].astype("int64") / 10**6
    assert (cells["low"] < cells["high"]).all()
    assert middle.between(cells["low"].to_numpy(), cells["high"].to_numpy()).all()


def test_absent_columns_are_filled_too(model, frame):
    made = model.impute(frame[["city", "age"]].head(20), seed=0).filled
    assert list(made.columns[:2]) == ["city", "age"]
    assert set(made.columns) == set(frame.columns)
    assert made.notna().all(axis=None)
    assert (made.dtypes == frame.dtypes[made.columns]).all()


def test_a_closed_column_takes_values_that_it_had():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"dose": rng.choice([0.0, 10.0, 50.0], 300), "x": rng.normal(size=300)})
    rows.loc[::9, "dose"] = np.nan
    made = tiny().fit(rows).impute(rows, seed=0)
    assert made.filled["dose"].isin([0, 10, 50]).all()
    assert made.tables[0]["dose"].isin([0, 10, 50]).all()


def test_probabilities_add_to_one_and_lead_to_the_level_that_is_filled_in(model, frame):
    made = model.impute(frame, seed=0)
    shares = made.probabilities("note")
    assert (shares.drop(columns="row").sum(axis=1) - 1).abs().max() < 1e-9
    assert list(shares["row"]) == list(np.flatnonzero(frame["note"].isna()))
    cells = made.interval().query("column == 'note'")
    assert (cells["probability"] >= 1 / 3 - 0.1).all()
    with pytest.raises(OptionError, match=r"'income' is no category .* 'note'"):
        made.probabilities("income")
    with pytest.raises(OptionError, match="level"):
        made.interval(90)


def test_constraints_hold_in_completed_tables():
    rng = np.random.default_rng(0)
    net = rng.integers(1, 99, 300)
    rows = pd.DataFrame({"net": net, "tax": net // 10, "low": rng.normal(size=300).round(2)})
    rows["total"] = rows["net"] + rows["tax"]
    rows["high"] = (rows["low"] + rng.gamma(2, size=300)).round(2)
    rules = [constraints.Sum("total", ("net", "tax")), constraints.LessEqual("low", "high")]
    model = tiny(epochs=2, constraints=rules).fit(rows)
    gaps = rows.astype({"net": "float", "total": "float"})
    gaps.loc[::5, ["net", "total"]] = np.nan
    gaps.loc[1::5, "total"] = np.nan
    gaps.loc[2::5, "high"] = np.nan
    made = model.impute(gaps, draws=3, seed=0)
    for table in (made.filled, *made.tables):
        assert table.notna().all(axis=None)
        assert (table["net"] + table["tax"] == table["total"]).all()
        assert (table["low"] <= table["high"]).all()
    assert (made.filled["total"][1::5] == rows["total"][1::5]).all()  # it follows from the others
    gaps.loc[0, "total"] = 5.0
    with pytest.raises(DataError, match=r"Sum\('total'.* row 0 "):
        model.impute(gaps, seed=0)


# -- bad input -----------------------------------------------------------------------------------


def test_nothing_missing_gives_the_table_back(model, frame):
    whole = frame.dropna().reset_index(drop=True)
    made = model.impute(whole, draws=2, seed=0)
    pd.testing.assert_frame_equal(made.filled, whole)
    pd.testing.assert_frame_equal(made.tables[1], whole)
    assert made.missing == len(made.interval()) == 0


def test_a_row_wholly_missing_is_drawn_from_the_model(model, frame):
    some = frame.head(5).astype({"age": "float", "member": "object"})
    some.loc[3] = [None] * 6
    made = model.impute(some, seed=0)
    assert made.filled.notna().all(axis=None)
    assert made.effective[3] > 50


def test_a_column_that_was_never_seen_is_kept_with_a_warning(model, frame):
    with pytest.warns(DataWarning, match="'extra'.*left as they are"):
        made = model.impute(frame.assign(extra=np.nan), seed=0)
    assert made.filled["extra"].isna().all()
    assert made.filled["note"].notna().all()


def test_no_column_of_the_model_at_all_is_an_error(model):
    with pytest.raises(SchemaError, match="none of the columns"):
        model.impute(pd.DataFrame({"extra": [1, 2]}))


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [("income", np.inf, "infinity.*row 2"), ("note", "zebra", "zebra.*row 2")],
)
def test_a_cell_that_cannot_be_used_is_an_error(model, frame, column, value, match):
    some = frame.head(5).copy()
    some.loc[2, column] = value
    with pytest.raises(DataError, match=match):
        model.impute(some)


def test_a_value_off_the_grid_or_far_out_is_named(model, frame):
    some = frame.head(5).copy()
    some.loc[2, "income"] = 1e9
    with pytest.warns(DataWarning, match="far outside the range.*row 2"):
        made = model.impute(some.assign(city=None), seed=0)
    assert made.filled["income"][2] == 1e9  # what is known stays
    with pytest.raises(SchemaError, match=r"'age' was int64.*row 2"):
        model.impute(some.assign(age=[30.0, 31.0, 30.5, 40.0, 50.0]))


def test_impossible_evidence_names_the_row_and_says_nothing(frame):
    model = tiny(epochs=2).fit(frame)
    place = [column.name for column in model.codec_.modelled].index("note")
    never = torch.tensor([0.0, -1e9, 0.0])
    model.model_.decoder.chain.shift_outcomes(place, never)
    some = frame[["note", "city"]].head(4).assign(note=["a", "a", "b", "a"], income=np.nan)
    with pytest.warns(DataWarning, match="row 2 .*'note' is impossible.*1 row"):
        made = model.impute(some, seed=0)
    assert made.filled.notna().all(axis=None)
    assert list(made.filled["note"]) == ["a", "a", "b", "a"]


@pytest.mark.parametrize("draws", [0, -1, 2.5, 10_000])
def test_draws_must_be_a_number_of_tables(model, frame, draws):
    with pytest.raises(OptionError, match="draws"):
        model.impute(frame, draws=draws)


def test_there_must_be_rows(model, frame):
    with pytest.raises(DataError, match="no rows"):
        model.impute(frame.head(0))


# -- scikit-learn --------------------------------------------------------------------------------


@parametrize_with_checks([
    TableImputer(TableVAE(latent=2, hidden=(16,), width=8, epochs=2, components=2))
])  # fmt: skip
def test_the_imputer_keeps_scikit_learns_contract(estimator, check):
    check(estimator)


def test_the_imputer_stands_in_a_pipeline(frame):
    rows = np.random.default_rng(0).normal(size=(200, 3))
    holes = np.where(np.random.default_rng(1).random(rows.shape) < 0.2, np.nan, rows)
    line = make_pipeline(TableImputer(tiny(epochs=2)), LinearRegression())
    assert np.isfinite(clone(line).fit(holes, rows[:, 0]).predict(holes)).all()
    imputer = TableImputer(tiny(epochs=2)).fit(frame)
    made = imputer.transform(frame)
    assert made.notna().all(axis=None)
    assert list(imputer.get_feature_names_out()) == list(frame.columns)
    pd.testing.assert_frame_equal(made, imputer.transform(frame))
    named = imputer.set_output(transform="pandas").transform(frame)
    pd.testing.assert_series_equal(named.dtypes, frame.dtypes)
    assert vt.TableImputer is TableImputer
