"""Rows for rare levels, and what they are worth to a model that learns from them."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tables import people

from variate import TableVAE, augmentation_gain, balance, constraints
from variate.errors import DataError, OptionError
from variate.table.augmentation import Gain
from variate.table.detection import chances


@pytest.fixture(scope="module")
def model():
    return TableVAE(latent=2, hidden=(16,), width=8, epochs=4, seed=0).fit(people(400))


def test_all_levels_become_as_frequent_as_the_most_common_and_real_rows_stay(model):
    frame = people(400)
    more = balance(model, frame, "note", seed=0)
    counts = more["note"].value_counts()
    assert set(counts) == {frame["note"].value_counts().max()}
    pd.testing.assert_frame_equal(more.iloc[:400].drop(columns="synthetic"), frame)
    assert list(more["synthetic"]) == [False] * 400 + [True] * (len(more) - 400)
    assert more["note"].isna().sum() == frame["note"].isna().sum()  # a gap is no level


def test_a_ratio_asks_for_less_and_a_seed_repeats(model):
    frame = people(400)
    most, least = frame["city"].value_counts()[["Zug", "Basel"]].sort_values(ascending=False)
    ratio = (least + 10) / most
    more = balance(model, frame, "city", ratio=ratio, mark=None, seed=3)
    assert len(more) == 410
    assert list(more.columns) == list(frame.columns)
    pd.testing.assert_frame_equal(
        more, balance(model, frame, "city", ratio=ratio, mark=None, seed=3)
    )
    assert len(balance(model, frame, "city", ratio=0.01, seed=0)) == 400


@pytest.mark.parametrize("made", [pl.from_pandas, pa.Table.from_pandas])
def test_rows_come_back_in_the_type_they_came_in(model, made):
    rows = made(people(400).assign(extra=range(400)))
    more = balance(model, rows, "member", seed=0)
    assert type(more) is type(rows)
    table = more if isinstance(more, pa.Table) else more.to_arrow()
    assert table.column("extra").null_count == table.num_rows - 400  # the model does not have it
    assert table.schema.field("income").type == pa.float64()


def test_a_path_and_an_array_work_too(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=200), rng.random(200) < 0.1])
    fitted = TableVAE(latent=2, hidden=(16,), width=8, epochs=2).fit(rows)
    more = balance(fitted, rows, "x1", seed=0)
    assert more.dtype == rows.dtype
    assert (more[:, 1] == 1).sum() == (more[:, 1] == 0).sum() == (rows[:, 1] == 0).sum()
    people(400).to_csv(tmp_path / "p.csv", index=False)
    fitted = TableVAE(latent=2, hidden=(16,), width=8, epochs=2).fit(tmp_path / "p.csv")
    assert isinstance(balance(fitted, tmp_path / "p.csv", "city", seed=0), pa.Table)


def test_new_keys_are_new_across_levels():
    frame = people(200).assign(id=np.arange(200) + 5000)
    fitted = TableVAE(
        latent=2, hidden=(16,), width=8, epochs=2, constraints=[constraints.Unique("id")]
    ).fit(frame)
    more = balance(fitted, frame, "note", seed=0)
    assert more["id"].is_unique


def test_what_cannot_be_balanced_is_an_error(model):
    frame = people(400)
    with pytest.raises(OptionError, match="no column 'town' to balance; there are 'age'"):
        balance(model, frame, "town")
    with pytest.raises(OptionError, match="different values; a column to balance has at most 100"):
        balance(model, frame, "income")
    with pytest.raises(OptionError, match="ratio must be at most 1"):
        balance(model, frame, "city", ratio=2)
    with pytest.raises(OptionError, match="a column 'synthetic' already"):
        balance(model, frame.assign(synthetic=1), "city")
    rarest = frame["note"].value_counts().index[-1]
    strange = frame.assign(note=frame["note"].replace(rarest, "never seen"))
    with pytest.raises(OptionError, match="never seen"):
        balance(model, strange, "note", seed=0)


# -- is it worth it -------------------------------------------------------------------------------


def scarce(rows=300, rare=40, seed=0):
    rng = np.random.default_rng(seed)
    y = np.r_[np.zeros(rows, int), np.ones(rare, int)]
    return pd.DataFrame({"size": (rng.normal(size=len(y)) + 1.5 * y).round(2), "y": y,
                         "kind": rng.choice(["a", "b"], len(y))})  # fmt: skip


@pytest.fixture(scope="module")
def gain():
    model = TableVAE(latent=2, hidden=(16,), width=8, epochs=3)
    return augmentation_gain(model, scarce(), "y", splits=2, seed=0)


def test_every_way_is_measured_on_the_same_splits(gain):
    figures = gain.figures()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["added"] == 182  # 210 - 28 in each split
    assert figures["levels"] == ["1"]
    for way in ("real", "synthetic", "repeated", "weighted"):
        assert 0.5 < gain.mean(way) <= 1
        assert 0.12 < gain.mean(way, "precision") <= 1
    assert "AUC" in str(gain)
    assert str(gain).count("synthetic less the best of the others") == 2


def test_the_error_of_a_difference_allows_for_the_overlap_of_splits():
    scores = {
        "real": {"auc": (0.70, 0.80), "precision": (0.5, 0.5)},
        "synthetic": {"auc": (0.74, 0.82), "precision": (0.3, 0.3)},
        "repeated": {"auc": (0.60, 0.60), "precision": (0.4, 0.4)},
        "weighted": {"auc": (0.60, 0.60), "precision": (0.4, 0.4)},
    }
    gain = Gain("y", (1,), 10.0, 2, 0.5, scores)
    difference, error = gain.over("real")
    assert difference == pytest.approx(0.03)
    assert error == pytest.approx(((1 / 2 + 1) * 0.0002) ** 0.5)
    said = str(gain)
    assert "auc: synthetic less the best of the others (real): +0.0300 ± 0.0173, no diff" in said
    assert "precision: synthetic less the best of the others (real): -0.2000 ± 0.0000, a loss" in (
        said
    )


def test_other_rows_to_test_on_and_a_repeatable_seed():
    model = TableVAE(latent=2, hidden=(16,), width=8, epochs=2)
    options = {"test": scarce(200, 100, seed=5), "splits": 2, "held_out": 0.2, "seed": 1}
    once, again = (augmentation_gain(model, scarce(), "y", **options) for _ in range(2))
    assert once == again
    assert not hasattr(model, "model_")


def test_what_cannot_be_measured_is_an_error():
    model = TableVAE(epochs=1)
    with pytest.raises(OptionError, match="all levels of 'kind' are frequent"):
        augmentation_gain(model, scarce().assign(kind=["a", "b"] * 170), "kind")
    with pytest.raises(DataError, match="level 1 of column 'y' has 9 rows, too few"):
        augmentation_gain(model, scarce(rare=9), "y")
    with pytest.raises(OptionError, match="at least 2 splits"):
        augmentation_gain(model, scarce(), "y", splits=1)
    numbers = scarce().assign(y=np.repeat([0, 1, 2], [240, 50, 50]))
    with pytest.raises(OptionError, match="must be a category"):
        augmentation_gain(model, numbers, "y")


def test_chances_of_levels_that_were_not_learned_are_nothing():
    rng = np.random.default_rng(0)
    train = np.column_stack([rng.normal(size=100), rng.integers(0, 2, 100)])
    test = np.column_stack([rng.normal(size=20), np.full(20, 2)])
    found = chances(train, test, 1, ["numeric", "category"])
    assert set(found) == {0.0, 1.0, 2.0}
    assert not found[2.0].any()
    assert found[0.0] + found[1.0] == pytest.approx(np.ones(20))
