"""Deciding: a table whose law is known, brute force beside it, and bad input."""

import copy
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from tables import people

from variate import Risk, TableVAE
from variate.errors import DataError, OptionError, SchemaError
from variate.table import completion

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=2, hidden=(24,), width=16, components=3)
CHANCE = np.array([0.05, 0.3, 0.8])  # of a fault, by what the dial shows
WORTH = {"run": "-100 if fault else 10", "stop": "-20"}
BREAK_EVEN = 30 / 110


def machines(rows=3_000, seed=0):
    """A dial that tells much of a fault, a noise that tells little, a colour that tells nothing."""
    rng = np.random.default_rng(seed)
    dial = rng.choice(3, rows, p=[0.6, 0.25, 0.15])
    fault = rng.random(rows) < CHANCE[dial]
    return pd.DataFrame({
        "dial": np.array(["low", "mid", "high"])[dial],
        "noise": (rng.normal(size=rows) + 0.7 * fault).round(2),
        "colour": rng.choice(["red", "blue"], rows),
        "fault": fault,
    })  # fmt: skip


@pytest.fixture(scope="module")
def frame():
    return machines()


@pytest.fixture(scope="module")
def model(frame):
    """Told what it must predict: `fault` is last."""
    return tiny(condition_on=["dial", "noise", "colour"], epochs=12).fit(frame)


@pytest.fixture(scope="module")
def plain(frame):
    """Told nothing: `fault` is among the first."""
    return tiny(epochs=12).fit(frame)


def chance_of(rows):
    """P(fault | dial, noise), exactly."""
    prior = CHANCE[rows["dial"].map({"low": 0, "mid": 1, "high": 2})]
    odds = prior / (1 - prior) * np.exp(0.7 * rows["noise"] - 0.245)
    return odds / (1 + odds)


# -- what is decided ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["model", "plain"])
def test_decisions_are_those_of_the_law_that_is_known(which, frame, request):
    model, rows = request.getfixturevalue(which), machines(300, seed=1)
    made = model.decide(rows, None, WORTH, unknown=["fault"], draws=400, seed=0)
    chance = chance_of(rows)
    worth = {"run": 10 - 110 * chance, "stop": np.full(len(rows), -20.0)}
    best = np.where(worth["run"] > -20, "run", "stop")
    clear = np.abs(chance - BREAK_EVEN) > 0.12
    assert (made["best_action"][clear] == best[clear]).mean() > 0.95
    assert np.abs(made["expected_utility_run"] - worth["run"]).mean() < 8
    assert (made["expected_utility_stop"] == -20).all()
    assert (made["expected_utility"] >= -20).all()
    stopped = made["best_action"] == "stop"  # and would have been wrong where there is no fault
    assert np.abs(made["regret"] - np.where(stopped, 1 - chance, chance)).mean() < 0.07
    assert (made["cvar"][~stopped & (chance > 0.2)] < -95).all()
    np.testing.assert_allclose(made["cvar"][stopped], -20)
    assert (made["action"] == made["best_action"]).all()
    assert not made["abstain"].any()


def test_what_the_column_holds_is_not_looked_at(model, frame):
    rows = frame.head(40)
    decide = partial(model.decide, actions=None, utility=WORTH, unknown=["fault"], ask=(), seed=3)
    turned = rows.assign(fault=~rows["fault"])
    pd.testing.assert_frame_equal(decide(rows), decide(turned))
    pd.testing.assert_frame_equal(decide(rows), decide(rows.drop(columns="fault")))


def test_the_standard_error_is_that_of_repeated_decisions(plain):
    rows = machines(15, seed=2)
    decide = partial(plain.decide, rows, None, WORTH, unknown=["fault"], draws=100)
    made = [decide(seed=seed) for seed in range(12)]
    means = np.stack([each["expected_utility_run"] for each in made])
    runs = np.stack([each["best_action"] == "run" for each in made]).all(0)
    errors = np.stack([each["standard_error"] for each in made])[:, runs]
    assert runs.sum() > 5
    ratio = np.sqrt(np.square(errors).mean() / means[:, runs].var(0, ddof=1).mean())
    assert 0.6 < ratio < 1.6


def test_a_utility_is_an_expression_one_for_each_action_or_a_function(model, frame):
    rows = frame.head(30)
    settings = {"run": {"good": 10, "bad": -100}, "stop": {"good": -20, "bad": -20}}

    def function(action, draws):
        return np.where(draws["fault"], draws["bad"], draws["good"])

    decide = partial(model.decide, rows, unknown=["fault"], seed=0)
    made = decide(None, WORTH)
    for other in (
        decide(settings, "bad if fault else good"),
        decide(settings, function),
        decide(["run", "stop"], lambda a, d: np.where(d["fault"], -100, 10) if a == "run" else -20),
    ):
        pd.testing.assert_frame_equal(made, other)


def test_a_utility_may_read_columns_that_the_model_lacks(model, frame):
    rows = frame.head(5).assign(price=[1.0, 2.0, 3.0, 4.0, 5.0])
    made = model.decide(rows, ["sell", "keep"], lambda a, d: d["price"] if a == "sell" else 3.5)
    assert made["best_action"].tolist() == ["keep", "keep", "keep", "sell", "sell"]
    assert made["expected_utility_sell"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_abstention(model, frame):
    rows = machines(200, seed=4)
    decide = partial(model.decide, rows, None, WORTH, unknown=["fault"], seed=0)
    made = decide(risk=Risk(regret=0.25))
    assert (made["abstain"] == (made["regret"] > 0.25)).all()
    assert 0 < made["abstain"].mean() < 1
    assert made["action"][made["abstain"]].isna().all()
    assert (made["action"][~made["abstain"]] == made["best_action"][~made["abstain"]]).all()
    careful = decide(risk=Risk(level=0.9, cvar=-50))
    assert (careful["abstain"] == (careful["cvar"] < -50)).all()
    assert careful["abstain"].any()


# -- what to ask first ----------------------------------------------------------------------------


def test_the_value_of_knowing_a_column_is_that_of_brute_force(plain):
    """Knowing the dial: the model's own decision at each of its levels, by how likely they are."""
    bare = pd.DataFrame({"colour": ["red"] * 20})
    decide = partial(plain.decide, actions=None, utility=WORTH, unknown=["fault"], draws=1_000)
    made = decide(bare, ask=["dial", "noise", "colour"], seed=0)
    levels = ["low", "mid", "high"]
    known = [
        decide(bare.assign(dial=level), ask=(), seed=1)["expected_utility"].mean()
        for level in levels
    ]
    drawn = plain.complete(pd.concat([bare] * 100), seed=2)["dial"].value_counts(normalize=True)
    want = float(drawn[levels] @ known) - made["expected_utility"].mean()
    assert want > 5
    assert made["value_of_dial"].mean() == pytest.approx(want, abs=2.0)
    means = made[["value_of_dial", "value_of_noise", "value_of_colour"]].mean()
    assert means.is_monotonic_decreasing
    assert (made["value_of_colour"] == 0).all()  # it is known
    assert (made["ask_first"] == "dial").all()
    assert (made["perfect_information"] >= made["value_of_dial"] - 1e-9).all()


def test_a_question_that_costs_more_than_it_is_worth_is_not_asked(plain):
    bare = pd.DataFrame({"colour": ["red"] * 5})
    made = plain.decide(
        bare, None, WORTH, unknown=["fault"], ask={"dial": 1_000, "noise": 0.01}, seed=0
    )
    assert set(made["ask_first"].dropna()) <= {"noise"}
    made = plain.decide(bare, None, WORTH, unknown=["fault"], ask={"dial": 1e6}, seed=0)
    assert made["ask_first"].isna().all()


def test_what_is_missing_is_what_could_be_asked(plain, frame):
    rows = frame.head(4).copy()
    rows.loc[1, "noise"] = np.nan
    made = plain.decide(rows.drop(columns="dial"), None, WORTH, unknown=["fault"], seed=0)
    assert {"value_of_dial", "value_of_noise"} <= set(made)
    assert "value_of_colour" not in made
    assert (made["value_of_noise"][[0, 2, 3]] == 0).all()
    assert "ask_first" not in plain.decide(frame.head(3), None, WORTH, unknown=["fault"])


# -- shapes and types -----------------------------------------------------------------------------


def test_a_row_with_nothing_known_gets_the_decision_of_the_average(model, frame):
    nothing = pd.DataFrame({"dial": [None, "low"], "noise": [np.nan, 0.0], "colour": [None, "red"]})
    made = model.decide(nothing, None, WORTH, unknown=["fault"], draws=2_000, seed=0)
    average = 10 - 110 * frame["fault"].mean()
    assert made["expected_utility_run"][0] == pytest.approx(average, abs=8)
    only = model.decide(frame.head(3), None, WORTH, unknown=list(frame), draws=2_000, seed=0)
    assert only["expected_utility_run"].to_numpy() == pytest.approx(average, abs=8)


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, lambda frame: frame])
def test_the_callers_type_comes_back(model, frame, convert):
    given = convert(frame.head(7))
    made = model.decide(given, None, WORTH, unknown=["fault"], seed=0)
    assert type(made) is type(given)
    assert len(made) == 7


def test_arrays_and_files(frame, tmp_path):
    rows = np.random.default_rng(0).normal(size=(200, 3)).round(2)
    model = tiny(epochs=2).fit(rows)
    made = model.decide(rows[:4], None, {"go": "x2", "stay": "0"}, unknown=["x2"], seed=0)
    assert isinstance(made, pa.Table)
    assert made.num_rows == 4
    frame.head(3).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(SchemaError, match=r"rows.csv: none of the columns"):
        model.decide(tmp_path / "rows.csv", None, {"go": "dial"})


def test_gaps_constraints_and_moments(frame):
    rows = people()
    model = tiny(epochs=4).fit(rows)
    worth = {"call": "income / 1000 - 30 if note != 'a' else -5", "leave": "0"}
    made = model.decide(rows.head(50), None, worth, draws=20, seed=0)
    assert np.isfinite(made["expected_utility"]).all()
    known = rows["income"].head(50).notna() & rows["note"].head(50).notna()
    assert (made["standard_error"][known] < 1e-9).all()
    assert (made["standard_error"][~known] > 0).any()


@pytest.mark.parametrize("written", [None, "%Y-%m-%d"])
def test_dates_in_a_utility(written):
    frame = people()
    rows = frame if written is None else frame.assign(joined=frame["joined"].dt.strftime(written))
    model = tiny(epochs=2, condition_on=["joined"]).fit(rows)
    worth = {"call": "joined - since if joined < '2021-01-01' else -1", "leave": "-2"}
    actions = {"call": {"since": "2020-01-01"}, "leave": {}}
    made = model.decide(rows.head(20), actions, worth, draws=10, seed=0)
    days = (frame["joined"].head(20) - pd.Timestamp("2020-01-01")).dt.days
    want = np.where(frame["joined"].head(20) < pd.Timestamp("2021-01-01"), days, -1)
    np.testing.assert_allclose(made["expected_utility"], want)
    drawn = model.decide(rows.head(5), actions, worth, unknown=["joined"], draws=50, seed=0)
    assert (drawn["standard_error"] > 0).all()
    with pytest.raises(OptionError, match="'soon' is no date"):
        model.decide(rows.head(2), None, {"call": "joined - 'soon'"}, draws=10)


def test_a_seed_repeats_and_leaves_the_callers_generator_alone(model, frame):
    before = torch.get_rng_state()
    one, two = (
        model.decide(frame.head(20), None, WORTH, unknown=["fault"], draws=7, seed=5)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, two)
    assert torch.equal(before, torch.get_rng_state())
    single = model.decide(frame.head(2), None, WORTH, unknown=["fault"], draws=1, seed=5)
    assert single["standard_error"].isna().all()


# -- draws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["model", "plain"])
def test_several_draws_of_a_row_have_the_law_of_single_ones(which, request):
    model = request.getfixturevalue(which)
    rows = pd.DataFrame({"dial": ["mid"] * 40, "noise": [0.5] * 40})
    cells = completion.known_cells(model.codec_, rows, fill=False)
    one = completion.complete_rows(model.model_, completion.Cells(
        *(part.repeat_interleave(50, 0) for part in cells)), 64, 0).x  # fmt: skip
    many = completion.complete_rows(model.model_, cells, 64, 1, draws=50).x
    assert many.shape == one.shape
    for name in ("fault", "colour"):
        place = [column.name for column in model.codec_.modelled].index(name)
        assert one[:, place].mean() == pytest.approx(float(many[:, place].mean()), abs=0.06)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"utility": {"run": "faulty", "stop": "0"}}, r"reads 'faulty', which is no column"),
        ({"utility": {"run": "__import__('os')", "stop": "0"}}, "can be called"),
        ({"utility": {}}, "there is no action"),
        ({"actions": ["run", "stop", "wait"]}, "the action 'wait' has no utility"),
        ({"actions": ["run"]}, "a utility of 'stop', which is no action"),
        ({"actions": []}, "there is no action"),
        ({"actions": "run"}, "actions are a list of names"),
        ({"actions": ["run", "run"]}, "two actions have one name"),
        ({"actions": {"run": 3}}, "the settings of 'run'"),
        ({"actions": {"run": {"dial": 3}}, "utility": "dial"}, "the name of a column too"),
        ({"utility": 3, "actions": ["a"]}, "an expression is text"),
        ({"utility": lambda a, d: d["nope"], "actions": ["a"]}, "reads 'nope'"),
        ({"utility": lambda a, d: "x", "actions": ["a"]}, "a number for each draw, got 'x'"),
        ({"utility": lambda a, d: np.ones(3), "actions": ["a"]}, r"an array of the shape \[3\]"),
        ({"draws": 0}, "draws must be greater than 0"),
        ({"draws": 2.5}, "draws must be a whole number"),
        ({"unknown": "fault"}, "unknown is a list of names"),
        ({"unknown": ["default"]}, "unknown names 'default'"),
        ({"ask": ["default"]}, "ask names 'default'"),
        ({"ask": {"dial": -1}}, "the cost of 'dial'"),
        ({"risk": 0.3}, "risk is a vt.Risk"),
    ],
)
def test_options_that_cannot_be_used(model, frame, change, said):
    options = {"actions": None, "utility": WORTH, "unknown": ["fault"]} | change
    with pytest.raises(OptionError, match=said):
        model.decide(frame.head(3), **options)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"regret": 1.5}, "regret of the risk is a chance"),
        ({"regret": -0.1}, "regret of the risk is a chance"),
        ({"level": 1.0}, "level of CVaR"),
        ({"level": None}, "level of the risk must be a finite number"),
        ({"cvar": float("nan")}, "cvar of the risk must be a finite number"),
        ({"cvar": "low"}, "cvar of the risk must be a finite number"),
    ],
)
def test_limits_out_of_their_range(limits, said):
    with pytest.raises(OptionError, match=said):
        Risk(**limits)


def test_a_utility_that_is_no_finite_number_names_action_and_row(model, frame):
    rows = frame.head(4).assign(noise=[1.0, 2.0, 0.0, 1.0])
    decide = partial(model.decide, rows, unknown=["fault"])
    with pytest.raises(
        DataError, match=r"row 2: the utility of 'run' \('1 / noise'\) is inf where noise = 0"
    ):
        decide(None, {"stop": "0", "run": "1 / noise"})
    with pytest.raises(DataError, match=r"row 0: the utility of 'go' is nan"):
        decide(["go"], lambda action, draws: np.log(-1 - draws["noise"] ** 2))
    with pytest.raises(DataError, match=r"is inf"):
        decide(None, {"run": "exp(1e6)"})


@pytest.mark.parametrize("which", ["model", "plain"])
def test_what_is_impossible_is_an_error_that_names_the_row(which, frame, request):
    model = copy.deepcopy(request.getfixturevalue(which))
    place = [column.name for column in model.codec_.modelled].index("dial")
    column = model.codec_.modelled[place]
    never = torch.tensor([-1e9 if level == "high" else 0.0 for level in column.levels])
    model.model_.decoder.chain.shift_outcomes(place, never)
    rows = frame.head(4).assign(dial=["low", "mid", "high", "low"])
    with pytest.raises(DataError, match="row 2: what is known of it has the probability zero"):
        model.decide(rows, None, WORTH, unknown=["fault"])
    made = model.decide(rows.drop(index=2), None, WORTH, unknown=["fault"])
    assert len(made) == 3


def test_a_level_that_was_never_seen_is_an_error(model, frame):
    with pytest.raises(DataError, match=r"'dial'.*'off'"):
        model.decide(frame.head(2).assign(dial="off"), None, WORTH, unknown=["fault"])


def test_rows_of_another_table_are_an_error(model):
    with pytest.raises(SchemaError, match=r"none of the columns 'town' is one of the model's"):
        model.decide(pd.DataFrame({"town": ["x"]}), None, WORTH, unknown=["fault"])


def test_no_rows(model, frame):
    with pytest.raises(DataError, match="no rows"):
        model.decide(frame.head(0), None, WORTH, unknown=["fault"])
