"""A table that is streamed from disk gives what the same table in memory gives."""

import numpy as np
import pytest
from tables import people

from variate import TableVAE, load
from variate.table import files, intake


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    frame = people(20_000)
    for name in ("t.csv", "t.parquet"):
        files.write(frame, folder / name)
    return folder


def fitted(path):
    return TableVAE(latent=3, hidden=(32, 32), components=3, width=16, epochs=6, seed=1).fit(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_streamed_training_is_as_good_as_resident_training(paths, monkeypatch, tmp_path, name):
    resident = fitted(paths / name)
    monkeypatch.setattr(intake, "LARGE", 0)
    streamed = fitted(paths / name)
    rows = people(5_000, seed=9)
    apart = streamed.score_samples(rows) - resident.score_samples(rows)
    # Two runs of the same length differ by how they ended; held-out nats must not.
    assert abs(apart.mean()) < 0.05
    assert streamed.facts_["training_rows"] + streamed.facts_["validation_rows"] < 20_000
    again = load(streamed.save(tmp_path / "m.variate"))
    np.testing.assert_array_equal(again.score_samples(rows), streamed.score_samples(rows))


def test_a_streamed_fit_is_repeatable(paths, monkeypatch):
    monkeypatch.setattr(intake, "LARGE", 0)
    quick = TableVAE(latent=2, hidden=(8,), components=2, width=8, epochs=1)
    rows = people(50, seed=3)
    first = quick.fit(paths / "t.parquet").score_samples(rows)
    np.testing.assert_array_equal(quick.fit(paths / "t.parquet").score_samples(rows), first)
