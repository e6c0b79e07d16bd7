"""Cells in words: dates and columns under constraints are the user's, and in the user's units."""

import numpy as np
import pandas as pd
import pytest

from variate import AnomalyDetector, TableVAE, constraints
from variate.table.wording import Words, homes

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")
RULES = [
    constraints.LessEqual("signup", "shipped"),
    constraints.FixedCombinations(("town", "country")),
    constraints.Sum("total", ("net", "tax")),
]


def orders(rows=1_200, seed=0):
    """Orders on working days in working hours, shipped within five days."""
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2019-01-07") + pd.to_timedelta(rng.integers(0, 700, rows), "D")
    days = days[days.day_of_week < 5]
    n = len(days)
    town = rng.choice(["Basel", "Bern", "Paris"], n)
    net, tax = rng.normal(100, 10, (2, n)).round(2)
    return pd.DataFrame({
        "signup": days,
        "at": days + pd.to_timedelta(9 * 3600 + rng.integers(0, 480, n) * 60, "s"),
        "shipped": days + pd.to_timedelta(rng.integers(1, 6, n), "D"),
        "town": town,
        "country": np.where(town == "Paris", "FR", "CH"),
        "net": net,
        "tax": tax,
        "total": (net + tax).round(2),
    })  # fmt: skip


@pytest.fixture(scope="module")
def model():
    options = {"latent": 3, "hidden": (32,), "width": 16, "epochs": 15, "seed": 0}
    model = TableVAE(constraints=RULES, **options).fit(orders())
    return model.recalibrate(orders(seed=1))


@pytest.fixture
def strange():
    """Orders of which the first five have one thing each that does not go with the others."""
    rows = orders(80, seed=2)
    rows.loc[0, ["signup", "shipped"]] = pd.Timestamp("2031-02-07"), pd.Timestamp("2031-02-10")
    rows.loc[1, "shipped"] = rows["signup"][1] + pd.Timedelta(days=200)
    rows.loc[2, "at"] = rows["at"][2].normalize() + pd.Timedelta(hours=3, minutes=12)
    rows.loc[3, ["signup", "shipped"]] = pd.Timestamp("2020-03-01"), pd.Timestamp("2020-03-03")
    return rows


def place(model, start):
    names = [column.name for column in model.codec_.modelled]
    return next(i for i, name in enumerate(names) if name.startswith(start))


def test_every_column_is_about_the_users(model):
    own = set(orders().columns)
    for column, home in zip(model.codec_.modelled, homes(model.codec_), strict=True):
        assert set(home or (column.name,)) <= own
    assert homes(model.codec_)[place(model, "signup: week")] == ("signup",)
    assert homes(model.codec_)[place(model, "town")] == ("town", "country")
    assert homes(model.codec_)[place(model, "shipped")] == ("shipped",)
    assert homes(model.codec_)[place(model, "net")] == ()


def test_cells_and_other_values_are_in_the_users_units(model):
    rows = orders(40, seed=3)[:2]
    x = model._rows(rows)
    words = Words(model.codec_, x)
    signup, shipped = rows["signup"].dt.date, rows["shipped"].dt.date
    week, day = place(model, "signup: week"), place(model, "signup: weekday")
    assert words.cell(0, week) == f"signup={signup[0]}"
    assert words.cell(0, day) == f"signup={signup[0]}, {rows['signup'][0].day_name()}"
    earlier = [str(date - pd.Timedelta(days=14)) for date in signup]
    assert words.told(week, x[:, week].numpy() - 2, [0, 1]) == earlier
    assert words.told(day, np.array([0.0]), [1]) == ["Monday"]
    clock = place(model, "at: time")
    told = words.told(clock, x[:1, clock].numpy(), [1])
    assert told == [f"{rows['at'][1].date()} {rows['at'][0].time()}"]
    later = place(model, "shipped")
    assert words.cell(1, later) == f"shipped={shipped[1]}"
    (told,) = words.told(later, x[:1, later].numpy(), [1])
    assert told == str(signup[1] + (shipped[0] - signup[0]))
    town = place(model, "town")
    assert words.cell(0, town) == f"town={rows['town'][0]}, country={rows['country'][0]}"
    told = words.told(town, x[:1, town].numpy(), [1])
    assert told == [f"town={rows['town'][0]}, country={rows['country'][0]}"]


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_what_was_found_is_the_users_own_value(model, strange):
    x = model._rows(strange.drop(index=3).reset_index(drop=True))
    table = model.codec_.table_of(strange.drop(index=3).reset_index(drop=True))
    week = place(model, "signup: week")
    assert Words(model.codec_, x, table).cell(0, week) == "signup=2031-02-07"


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_reasons_name_the_users_columns(model, strange):
    reasons = list(model.detect(strange, fdr=0.3)["reasons"])
    assert "signup=2031-02-07 (expected 20" in reasons[0]
    assert reasons[1].startswith(f"shipped={strange['shipped'][1].date()} (expected 20")
    assert f"at={strange['at'][2]} (expected {strange['at'][2].date()} " in reasons[2]
    assert reasons[3] == "signup=2020-03-01 (never seen in training: a Sunday)"
    inner = [c.name for c in model.codec_.modelled if c.name not in strange.columns]
    assert inner
    for reason in reasons:
        assert not any(name in reason for name in inner)


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_a_detector_names_the_users_columns(strange):
    detector = AnomalyDetector().fit(orders())
    assert any(": week" in column.name for column in detector.codec_.modelled)
    reasons = list(detector.detect(strange, fdr=0.5)["reasons"])
    assert "signup=2031-02-07 (expected 20" in reasons[0]
    assert "signup=2020-03-01 (never seen in training: a Sunday)" in reasons[3]
    assert not any(": week" in reason or ": time of day" in reason for reason in reasons)


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_a_date_that_a_constraint_reads_may_fall_on_a_new_weekday(model, strange, tmp_path):
    strange.to_csv(tmp_path / "orders.csv", index=False)
    found = model.detect(tmp_path / "orders.csv", fdr=0.3)
    assert found["anomaly"][3].as_py()
    assert np.isfinite(found["score"][3].as_py())
