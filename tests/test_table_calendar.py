"""Moments are taken apart into weeks, weekdays and times of day, and put together again."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import variate as vt
from variate import RelatedTables, TableVAE, constraints, load
from variate.errors import ModelFileError, SchemaError
from variate.table import intake
from variate.table.calendar import Calendar
from variate.table.constrained import ConstrainedCodec
from variate.table.stream import TableStream

ROWS = 3_000
DAYS = pd.date_range("2022-01-01", periods=730)


def shop(seed=0, rows=ROWS):
    """Sales that peak at weekends, in the evening and in December; a desk open in business hours.

    The amount depends on the weekday, the hour and the month.
    """
    rng = np.random.default_rng(seed)
    weekend, month = DAYS.day_of_week.to_numpy() >= 5, DAYS.month.to_numpy()
    daily = np.where(weekend, 3.0, 1.0) * (1 + 0.6 * np.cos(2 * np.pi * month / 12))
    day = rng.choice(len(DAYS), rows, p=daily / daily.sum())
    hourly = np.where(np.arange(24) < 6, 0.05, 1 + 8 * np.exp(-(((np.arange(24) - 18) / 4) ** 2)))
    hour = rng.choice(24, rows, p=hourly / hourly.sum())
    sold = DAYS[day] + pd.to_timedelta(60 * hour + rng.integers(0, 60, rows), "min")
    desk = rng.choice(np.flatnonzero(~weekend), rows)
    log = 3 + 0.6 * weekend[day] + 0.5 * np.sin(2 * np.pi * hour / 24)
    log += 0.5 * np.cos(2 * np.pi * month[day] / 12) + 0.2 * rng.normal(size=rows)
    return pd.DataFrame(
        {
            "amount": np.exp(log).round(2),
            "sold": sold,
            "asked": DAYS[desk] + pd.to_timedelta(5 * rng.integers(108, 204, rows), "min"),
        }
    )


@pytest.fixture(scope="module")
def frame():
    return shop()


@pytest.fixture(scope="module")
def model(frame):
    return TableVAE(latent=4, epochs=25, seed=0).fit(frame)


def off(real, made, levels):
    """Total variation of two samples of whole numbers."""
    counts = [np.bincount(column, minlength=levels) / len(column) for column in (real, made)]
    return np.abs(counts[0] - counts[1]).sum() / 2


def test_hours_weekdays_and_months_are_kept(model, frame):
    made = model.sample(6_000, seed=1)
    for column in ("sold", "asked"):
        real, drawn = frame[column].dt, made[column].dt
        assert off(real.hour, drawn.hour, 24) < 0.05
        assert off(real.day_of_week, drawn.day_of_week, 7) < 0.04
        assert off(real.month, drawn.month, 13) < 0.05
    assert off(real.minute, drawn.minute, 60) < 0.05
    assert ((drawn.hour >= 9) & (drawn.hour < 17) & (drawn.day_of_week < 5)).all()
    assert (drawn.minute % 5 == 0).all()


def test_what_depends_on_the_calendar_depends_on_it(model, frame):
    made = model.sample(6_000, seed=1)
    for pattern in (
        lambda t: t.day_of_week >= 5,
        lambda t: t.hour // 6,
        lambda t: t.month,
    ):
        means = [np.log(t["amount"]).groupby(pattern(t["sold"].dt)).mean() for t in (frame, made)]
        apart = means[0] - means[1]
        assert apart.std() < 0.35 * means[0].std()


def test_rows_come_back_and_drawn_ones_are_within_the_range(model, frame):
    codec = model.codec_
    pd.testing.assert_frame_equal(codec.decode(codec.encode(frame)), frame)
    made = model.sample(2_000, seed=2)
    assert (made.dtypes == frame.dtypes).all()
    assert list(made) == list(frame)
    for column in ("sold", "asked"):
        assert made[column].between(frame[column].min(), frame[column].max()).all()


def test_a_model_file_keeps_the_calendar(model, frame, tmp_path):
    again = load(model.save(tmp_path / "m.variate"))
    pd.testing.assert_frame_equal(again.sample(20, seed=1), model.sample(20, seed=1))
    np.testing.assert_array_equal(again.score_samples(frame[:5]), model.score_samples(frame[:5]))
    state = model.codec_.state()
    for damage in ({"weekly": 3}, {"column": "?"}, {"parts": ["x"]}, {"column": "amount"}):
        broken = state | {"calendars": [state["calendars"][0] | damage]}
        with pytest.raises(ModelFileError, match="damaged"):
            ConstrainedCodec.from_state(broken)


def test_the_log_likelihood_stays_in_the_unit_of_the_column():
    """One uniform minute of a hundred weeks: log(1 / minutes), whatever it is taken apart into."""
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 100 * 7 * 24 * 60, 4_000)
    frame = pd.DataFrame({"t": pd.Timestamp("2001-01-01") + pd.to_timedelta(minutes, "min")})
    model = TableVAE(latent=2, epochs=4, seed=0).fit(frame)
    assert len(model.codec_.modelled) == 3
    expected = -np.log(100 * 7 * 24 * 60)
    assert model.score_samples(frame, draws=4).mean() == pytest.approx(expected, abs=0.25)


def test_a_moment_that_is_known_comes_first_and_comes_back(frame):
    tiny = {"latent": 2, "hidden": (16,), "width": 8, "epochs": 2}
    model = TableVAE(condition_on=["sold"], **tiny).fit(frame)
    order = model.model_.decoder.chain.order
    names = [model.codec_.modelled[c].name for c in order[:3]]
    assert set(names) == {"sold: week", "sold: weekday", "sold: time of day"}
    asked = frame[["sold"]].head(50)
    pd.testing.assert_frame_equal(model.complete(asked, seed=0)[["sold"]], asked)


# -- which moments are taken apart --------------------------------------------------------------


def parts_of(values):
    """The names of what is modelled of a column of these values, without its own."""
    codec = ConstrainedCodec().fit(pa.table({"t": values, "x": np.arange(len(values)) % 7}))
    assert codec.decode(codec.encode(pa.table({"t": values, "x": [0] * len(values)})))["t"].equals(
        pa.chunked_array([values])
    )
    return [c.name.removeprefix("t: ") for c in codec.schema.columns if c.name != "x"]


def moments(days, minutes=0, unit="us"):
    start = np.datetime64("2015-06-05T00:00", "m")
    return pa.array((start + 1440 * np.asarray(days) + minutes).astype(f"datetime64[{unit}]"))


RNG = np.random.default_rng(1)
WEEKDAYS_ONLY = np.flatnonzero(np.arange(4_000) % 7 < 5)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (moments(RNG.integers(0, 300, 2_000), RNG.integers(0, 1440, 2_000)), 3),
        (moments(RNG.integers(0, 300, 2_000), RNG.integers(0, 1440, 2_000), "ns"), 3),
        (moments(RNG.integers(0, 300, 2_000)).cast(pa.date32()), 2),
        (moments(RNG.choice(WEEKDAYS_ONLY, 800)).cast(pa.date32()), 2),  # few of the days
        (moments(RNG.integers(0, 9_000, 800)).cast(pa.date32()), 1),  # birthdays: no weekday
        (moments(RNG.integers(0, 9_000, 800), RNG.integers(0, 1440, 800)), 2),  # a day and a time
        (moments(np.repeat(RNG.integers(0, 4_000, 200), 20), 600), 1),  # shows, many seats each
        (moments(RNG.integers(0, 50, 2_000)).cast(pa.date32()), 1),  # few days: atoms
        (moments(7 * RNG.integers(0, 300, 2_000)).cast(pa.date32()), 2),  # Fridays
    ],
)
def test_only_what_the_column_calls_for_is_taken_apart(values, parts):
    found = parts_of(values)
    expected = {
        1: ["t"],
        2: ["week", "weekday"] if len(found) == 2 and "week" in found else ["day", "time of day"],
        3: ["week", "weekday", "time of day"],
    }
    assert found == expected[parts]


def test_the_first_of_each_month_stays_the_first():
    firsts = pd.date_range("1990-01-01", periods=240, freq="MS").to_numpy()
    values = pa.array(RNG.choice(firsts, 2_000)).cast(pa.timestamp("us"))
    assert parts_of(values) == ["t"]


def test_text_and_time_zones():
    stamps = moments(RNG.integers(0, 200, 1_500), RNG.integers(0, 1440, 1_500), "s")
    text = pa.compute.strftime(stamps, format="%Y-%m-%d %H:%M")
    assert len(parts_of(text)) == 3
    zoned = stamps.cast(pa.timestamp("us", tz="Europe/Zurich"))
    assert len(parts_of(zoned)) == 3


def test_gaps_are_missing_in_every_part_and_come_back():
    values = moments(RNG.integers(0, 300, 2_000), RNG.integers(0, 1440, 2_000))
    values = pa.compute.if_else(pa.array(RNG.random(2_000) < 0.1), None, values)
    assert len(parts_of(values)) == 3


def test_what_is_put_together_out_of_range_moves_by_weeks():
    values = moments([*range(3, 200), *range(3, 200)], 60 * RNG.integers(9, 17, 394))
    codec = ConstrainedCodec().fit(pa.table({"t": values}))
    (calendar,) = codec.calendars
    low, high = pa.compute.min_max(values).as_py().values()
    parts = calendar.apply(pa.table({"t": pa.array([low, high], values.type)}))
    for weeks in (-1, 1):
        moved = parts.set_column(
            0, parts.column_names[0], pa.compute.add(parts.column(0), 7 * weeks)
        )
        found = calendar.restore(moved)["t"].to_pylist()
        assert all(low <= moment <= high for moment in found)
        assert [m.weekday() for m in found] == [low.weekday(), high.weekday()]
        assert [m.time() for m in found] == [low.time(), high.time()]


def test_a_column_that_is_not_there_or_is_something_else(model, frame):
    with pytest.raises(SchemaError, match="'sold'"):
        model.score_samples(frame.drop(columns="sold"))
    with pytest.raises(SchemaError, match="'sold'"):
        model.score_samples(frame.assign(sold=1.5))
    (calendar, _) = model.codec_.calendars
    with pytest.raises(ValueError, match="damaged"):
        Calendar(replace(calendar.column), calendar.parts, weekly=False, daily=False)


def test_a_name_that_is_taken():
    values = moments(RNG.integers(0, 300, 900), RNG.integers(0, 1440, 900))
    table = pa.table({"t": values, "t: week": np.arange(900) % 11})
    codec = ConstrainedCodec().fit(table)
    assert "t: week'" in codec.schema.names
    assert codec.decode(codec.encode(table)).equals(table)


def test_moments_under_constraints():
    start = moments(RNG.integers(0, 300, 900), RNG.integers(0, 1440, 900), "s")
    end = pa.compute.add(start, pa.array(RNG.integers(0, 90_000, 900) // 60 * 60, pa.duration("s")))
    table = pa.table({"start": start, "end": end})
    codec = ConstrainedCodec(constraints=[constraints.LessEqual("start", "end")]).fit(table)
    assert [c.column.name for c in codec.calendars] == ["start"]
    assert codec.decode(codec.encode(table)).equals(table)
    x = codec.encode(table)
    mixed = torch.stack([column[torch.randperm(len(x))] for column in x.T], 1)
    made = codec.decode(mixed)
    assert pa.compute.all(pa.compute.less_equal(made["start"], made["end"])).as_py()


def test_moments_of_related_tables():
    rng = np.random.default_rng(0)
    parents = pa.table({
        "id": np.arange(300),
        "joined": moments(rng.integers(0, 300, 300), rng.integers(0, 1440, 300)),
    })  # fmt: skip
    children = pa.table({
        "who": rng.integers(0, 300, 900),
        "placed": moments(rng.integers(300, 600, 900), rng.integers(0, 1440, 900)),
    })  # fmt: skip
    tiny = {"latent": 2, "hidden": (16,), "width": 8, "epochs": 2}
    pair = RelatedTables(
        parent_key="id",
        foreign_key="who",
        order_by="placed",
        parents=TableVAE(**tiny),
        children=TableVAE(**tiny),
    ).fit(parents, children)
    assert pair.children_.codec_.calendars
    above, below = pair.sample(40, seed=0)
    assert above.schema == parents.schema
    assert below.schema == children.schema
    assert all(isinstance(moment, dt.datetime) for moment in below["placed"].to_pylist())


def test_a_stream_takes_moments_apart_as_a_table_in_memory_does(tmp_path, monkeypatch):
    frame = shop(rows=2_000)
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=300)
    found = TableStream(tmp_path / "rows.parquet")
    expected = ConstrainedCodec().fit(table)
    assert found.codec.schema == expected.schema
    assert found.codec.calendars == expected.calendars
    blocks = [part for block in found.blocks()[0] for part in (block(), block.held_out())]
    x = torch.cat(blocks)
    assert x.sum(0).tolist() == pytest.approx(expected.encode(table).sum(0).tolist())
    assert found.codec.decode(x).schema == table.schema
    monkeypatch.setattr(intake, "LARGE", 1)
    tiny = {"latent": 2, "hidden": (16,), "width": 8, "epochs": 1}
    model = TableVAE(**tiny).fit(tmp_path / "rows.parquet")
    asked = vt.Between(dt.datetime(2022, 6, 1), dt.datetime(2022, 6, 30))
    moments = model.sample(20, given={"sold": asked}, seed=0)["sold"].to_pylist()
    assert all(asked.low <= moment <= asked.high for moment in moments)
