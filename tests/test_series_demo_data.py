"""The demonstration series: what is in it, and what happens without its source."""

import json
import sys

import numpy as np
import pytest

from variate.cli import main
from variate.errors import MissingExtraError
from variate.series.demo_data import carbon_dioxide

pd = pytest.importorskip("pandas")
pytest.importorskip("statsmodels")


def test_weeks_without_a_hole_and_values_with_holes():
    frame = carbon_dioxide()
    assert list(frame.columns) == ["week", "co2"]
    assert (frame["week"].diff().dropna() == pd.Timedelta(days=7)).all()
    assert frame["co2"].isna().sum() == 59
    assert 313 <= frame["co2"].min() < frame["co2"].max() <= 374
    assert np.allclose(frame["co2"].dropna() * 10, (frame["co2"].dropna() * 10).round())


def test_without_its_source(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)
    with pytest.raises(MissingExtraError, match="demonstration series"):
        carbon_dioxide()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::variate.errors.VariateWarning")
def test_the_demonstration(tmp_path, monkeypatch, capsys):
    command = ["variate", "demo", "series", "--epochs", "4", "--out", str(tmp_path / "d"), "--json"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert 0 <= told["coverage_90"] <= 1
    made = {path.name for path in (tmp_path / "d").iterdir()}
    assert set(told["files"]) == made
    ahead = pd.read_csv(tmp_path / "d" / "forecast.csv")
    assert len(ahead) == 104
    assert (ahead["co2_low"] <= ahead["co2_high"]).all()
    assert not pd.read_csv(tmp_path / "d" / "filled.csv")["co2"].isna().any()
