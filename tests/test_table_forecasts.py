"""Forecasts of columns from those before them: what they add up to, and whether they are right."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from tables import people

from variate import TableVAE
from variate.table.curves import pit_histogram, reliability_diagram
from variate.table.forecasts import Forecast, forecasts
from variate.table.foresight import foreseen
from variate.table.glossary import FORESIGHT

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

tiny = partial(TableVAE, latent=2, hidden=(24,), width=16, components=3)


@pytest.fixture(scope="module")
def frame():
    return people(900)


@pytest.fixture(scope="module")
def model(frame):
    return tiny(epochs=20).fit(frame[:600])


@pytest.fixture(scope="module")
def made(model, frame):
    return forecasts(model.model_, model.codec_.encode(frame[600:]), seed=0)


def test_the_log_scores_of_a_row_add_up_to_its_log_probability(model, frame):
    rows = frame[600:660]
    found = forecasts(model.model_, model.codec_.encode(rows), seed=0, codes=1_024, draws=2)
    total = sum(each.log_score for each in found).numpy()
    np.testing.assert_allclose(total.mean(), model.score_samples(rows, draws=256).mean(), atol=0.15)


def test_a_forecast_has_not_seen_what_it_foretells(model, frame):
    """What a column is said to be does not change with its own value, nor with a later one's."""
    chain = model.model_.decoder.chain
    x = model.codec_.encode(frame[600:610])
    for place, column in enumerate(chain.order):
        other = x.clone()
        other[:, chain.order[place:]] = x.roll(1, 0)[:, chain.order[place:]]
        one, two = (forecasts(model.model_, rows, seed=0, draws=8)[column] for rows in (x, other))
        told = one.probability if one.draws is None else one.draws
        again = two.probability if two.draws is None else two.draws
        if one.draws is None:
            torch.testing.assert_close(told, again, rtol=1e-5, atol=1e-6)
        elif place == 0:
            assert told.equal(again)


def test_shapes_and_supports(model, made, frame):
    assert [each.column for each in made] == list(range(len(model.codec_.modelled)))
    for column, each in zip(model.codec_.modelled, made, strict=True):
        if column.kind in ("boolean", "category"):
            assert each.draws is None
            assert each.probability.shape == (300, len(column.levels) + each.gap)
            torch.testing.assert_close(each.probability.sum(1), torch.ones(300), atol=1e-5, rtol=0)
        else:
            assert each.draws.shape == (300, 60)
            assert each.draws.min() >= column.low
            assert each.draws.max() <= column.high


def test_a_seed_repeats_and_leaves_the_callers_generator_alone(model, frame):
    x = model.codec_.encode(frame[:20])
    before = torch.get_rng_state()
    one, two = (forecasts(model.model_, x, seed=3) for _ in range(2))
    assert all(a.log_score.equal(b.log_score) for a, b in zip(one, two, strict=True))
    assert torch.equal(before, torch.get_rng_state())


# -- whether they are right -----------------------------------------------------------------------


def simulated(rows=2_000, narrow=1.0):
    """Forecasts of a number and of a category that are right, but for the width of the number's."""
    rng = np.random.default_rng(0)
    centre, p = rng.normal(size=(rows, 1)), rng.dirichlet([1.0, 1.0, 1.0], rows)
    x = np.stack([
        centre[:, 0] + rng.normal(size=rows), (rng.random((rows, 1)) > p.cumsum(1)).sum(1)
    ], 1)  # fmt: skip
    zero = torch.zeros(rows)
    draws = torch.from_numpy(centre + narrow * rng.normal(size=(rows, 80)))
    return [
        Forecast(0, zero, draws, None, gap=False),
        Forecast(1, zero, None, torch.from_numpy(p), gap=False),
    ], x


def test_forecasts_that_are_right_are_said_to_be():
    figures, floors, section = foreseen(*simulated(), ["size", "kind"], seed=0)
    assert figures["coverage_50"] == pytest.approx(0.5, abs=0.03)
    assert figures["coverage_80"] == pytest.approx(0.8, abs=0.03)
    assert figures["coverage_95"] == pytest.approx(0.95, abs=0.02)
    assert figures["crps_ratio"] == pytest.approx(0.5**0.5, abs=0.03)  # of the deviations, 1 to √2
    assert figures["calibration_error"] < 2 * floors["calibration_error"]
    assert set(figures) == {entry.name for entry in FORESIGHT} | {"forecasts"}
    assert [row["figure"] for row in section.table] == [entry.label for entry in FORESIGHT]


def test_forecasts_that_are_too_sure_are_found_out():
    figures, _, section = foreseen(*simulated(narrow=0.4), ["size", "kind"], seed=0)
    assert figures["coverage_80"] < 0.5
    assert "size (4" in section.text


def test_a_gap_that_no_outcome_stands_for_is_left_out():
    found, x = simulated()
    x[::2] = np.nan
    figures, _, _ = foreseen(found, x, ["size", "kind"], seed=0)
    assert figures["coverage_80"] == pytest.approx(0.8, abs=0.04)
    assert figures["calibration_error"] < 0.05
    x[:] = np.nan
    figures, floors, section = foreseen(found, x, ["size", "kind"], seed=0)
    assert figures["coverage_80"] is None
    assert (floors, section.pictures, section.table) == ({}, (), [])


def test_evaluate_has_them_and_shows_them(model, frame):
    evaluation = model.evaluate(frame[600:], draws=4, seed=0)
    assert evaluation["coverage_80"] == pytest.approx(0.8, abs=0.1)
    assert evaluation["noise_floor"]["coverage_80"] == 0.8
    assert set(evaluation["forecasts"]) == set(frame.columns)
    assert any(section.title == "Are forecasts right?" for section in evaluation.report.sections)


def test_a_table_of_one_sort_of_columns(tmp_path):
    rows = pd.DataFrame({"a": np.random.default_rng(0).normal(size=120).round(2)})
    evaluation = tiny(epochs=1).fit(rows).evaluate(rows, draws=2)
    assert evaluation["calibration_error"] is None
    assert evaluation["coverage_80"] is not None
    evaluation.to_html(tmp_path / "r.html")


def test_the_pictures_can_be_drawn():
    pytest.importorskip("matplotlib")
    _, _, section = foreseen(*simulated(), ["size", "kind"], seed=0)
    bars, line = (picture.draw().axes[0] for picture in section.pictures)
    assert bars.patches
    assert line.get_xlabel() == "forecast"
    few = foreseen([Forecast(1, torch.zeros(12), None, torch.full((12, 2), 0.5), gap=False)],
                   np.zeros((12, 2)), ["a", "b"], seed=0)[2]  # fmt: skip
    assert few.pictures[0].draw().axes
    assert pit_histogram(np.zeros(0)).draw().axes
    assert reliability_diagram.__doc__
