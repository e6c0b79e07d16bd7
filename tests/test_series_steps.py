"""Steps of a fixed time, and of months."""

import numpy as np
import pandas as pd
import pytest

import variate as vt
from variate.errors import DataWarning, SchemaError
from variate.series.codec import SeriesCodec
from variate.series.estimator import SeriesVAE
from variate.series.reading import Columns
from variate.series.steps import Months, Ticks, step_from


def frame(stamps):
    return pd.DataFrame({"at": stamps, "sales": np.arange(len(stamps)) % 7 * 1.5})


def fitted(stamps):
    return SeriesCodec(Columns(), 6).fit(frame(stamps))


DATES = {
    "MS": "1 month",
    "ME": "1 month",
    "BME": "1 month",
    "BMS": "1 month",
    "QS": "3 months",
    "QE": "3 months",
    "YS": "1 year",
    "YE": "1 year",
    "2YS": "2 years",
    "D": "1 day, 0:00:00",
    "W": "7 days, 0:00:00",
    "2W": "14 days, 0:00:00",
    "30D": "30 days, 0:00:00",
    "h": "1:00:00",
}


@pytest.mark.parametrize("freq", DATES)
def test_the_step_and_no_gaps(freq, recwarn):
    stamps = pd.date_range("2015-01-01", periods=30, freq=freq)
    codec = fitted(stamps)
    assert str(codec.step) == DATES[freq]
    (part,) = codec.received(frame(stamps))
    np.testing.assert_array_equal(part.place, np.arange(30))
    assert not [w for w in recwarn if issubclass(w.category, DataWarning)]
    if not freq.startswith("B"):
        ahead = codec.stamps(part, np.arange(40)).to_pandas()
        expected = pd.date_range("2015-01-01", periods=40, freq=freq)
        np.testing.assert_array_equal(ahead.to_numpy(), expected.to_numpy().astype("M8[us]"))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_months_are_those_of_the_time_zone(zone):
    stamps = pd.date_range("2015-01-01", periods=30, freq="MS", tz=zone)
    codec = fitted(stamps)
    assert str(codec.step) == "1 month"
    (part,) = codec.received(frame(stamps))
    ahead = codec.stamps(part, np.arange(35)).to_pandas()
    assert list(ahead) == list(pd.date_range("2015-01-01", periods=35, freq="MS", tz=zone))


def test_dates_without_a_time_of_day(tmp_path):
    stamps = pd.date_range("2015-01-31", periods=24, freq="ME")
    file = tmp_path / "a.csv"
    frame(stamps.date).to_csv(file, index=False)
    codec = SeriesCodec(Columns(), 6).fit(file)
    assert codec.time_type == "date32[day]"
    (part,) = codec.received(file)
    assert str(codec.stamps(part, np.array([25]))[0]) == "2017-02-28"


def test_a_month_without_a_row_is_a_gap():
    stamps = pd.date_range("2015-01-01", periods=30, freq="MS").delete([4, 5, 11])
    codec = fitted(stamps)
    (part,) = codec.received(frame(stamps))
    assert len(part.values) == 30
    assert np.isnan(part.values[[4, 5, 11]]).all()


def test_a_day_that_some_months_lack():
    stamps = [pd.Timestamp("2015-01-30") + pd.DateOffset(months=i) for i in range(30)]
    codec = fitted(stamps)
    (part,) = codec.received(frame(stamps))
    assert list(codec.stamps(part, np.arange(30)).to_pandas()) == stamps


def test_few_stamps_are_of_the_months_of_training():
    codec = fitted(pd.date_range("2015-01-01", periods=30, freq="MS"))
    for two in (["2020-02-01", "2020-03-01"], ["2020-03-31", "2020-04-30"], ["2020-05-15"]):
        (part,) = codec.received(frame(pd.to_datetime(two)))
        assert len(part.values) == len(two)
    with pytest.raises(SchemaError, match="3 months apart, and those of training were 1 month"):
        codec.received(frame(pd.date_range("2015-01-01", periods=9, freq="QS")))
    with pytest.raises(SchemaError, match="1 day, 0:00:00 apart"):
        codec.received(frame(pd.date_range("2015-01-01", periods=9, freq="D")))


def test_dates_that_are_on_no_grid_of_months():
    days = np.cumsum([0, 31, 40, 25, 52, 31, 36, 31, 47, 31, 29, 60])
    with pytest.warns(DataWarning, match="off the regular grid"):
        codec = fitted(pd.Timestamp("2015-01-01") + pd.to_timedelta(days, "D"))
    assert isinstance(codec.step, Ticks)


def test_what_is_kept_comes_back():
    for step in (Months(3, True, "date32[day]"), Ticks(3.6e9, "timestamp[us]")):
        assert step_from(step.state(), step.time_type) == step
    assert step_from(None, "") is None


def test_a_forecast_of_months(tmp_path):
    stamps = pd.date_range("2005-01-01", periods=120, freq="MS")
    values = 10 + np.sin(np.arange(120) * 2 * np.pi / 12)
    given = pd.DataFrame({"at": stamps, "sales": values})
    model = SeriesVAE(window=24, epochs=2, seed=0).fit(given)
    model.save(tmp_path / "a.variate")
    ahead = vt.load(tmp_path / "a.variate").forecast(given, 3, seed=0)
    assert list(ahead.table["at"]) == list(pd.date_range("2015-01-01", periods=3, freq="MS"))
