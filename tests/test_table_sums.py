"""Sums that hold in every row: found, and settled in every row that is drawn."""

import numpy as np
import pandas as pd
import pytest
import torch

import variate as vt
from variate import TableVAE
from variate.distributions import Numeric, RowLayout
from variate.distributions.scores import Copy
from variate.table.sums import settled

STEEP = Numeric((0.0, 0.1, 1.0), (-3.0, 2.0, 3.0), low=0.0, high=1.0)
FLAT = Numeric((0.0, 1.0), (-0.1, 0.1), low=0.0, high=1.0)
HALVES = Numeric((0.0, 1.0), (-0.1, 0.1), step=0.25, low=0.0, high=1.0)
ATOMS = Numeric((0.0, 1.0), (-0.1, 0.1), low=0.0, high=1.0, atoms=(0.5,))
WHOLE = ((2, Copy((0, 1), (-1.0, -1.0), 1.0)),)


def one(columns, row, fixed=None, sums=WHOLE):
    layout = RowLayout(columns)
    x = torch.tensor([row], dtype=torch.float64)
    return settled(layout, sums, x, fixed)[0].tolist()


def test_what_is_off_goes_where_it_moves_the_score_least():
    assert one((STEEP, STEEP, FLAT), [0.1, 0.2, 0.9]) == pytest.approx([0.1, 0.2, 0.7])
    assert one((STEEP, FLAT, STEEP), [0.05, 0.2, 0.05]) == pytest.approx([0.05, 0.9, 0.05])
    # of two equal columns: where T is flat
    assert one((STEEP, STEEP, STEEP), [0.05, 0.6, 0.01]) == pytest.approx([0.05, 0.94, 0.01])


def test_what_would_leave_the_range_goes_to_the_next():
    assert one((STEEP, STEEP, FLAT), [0.8, 0.7, 0.1]) == pytest.approx([0.3, 0.7, 0.0])


def test_given_cells_and_atoms_are_left():
    fixed = torch.tensor([False, False, True])
    assert one((FLAT, STEEP, FLAT), [0.1, 0.2, 0.9], fixed) == pytest.approx([0.0, 0.1, 0.9])
    assert one((STEEP, STEEP, ATOMS), [0.3, 0.05, 0.5]) == pytest.approx([0.45, 0.05, 0.5])
    everything = torch.ones(3, dtype=torch.bool)
    assert one((FLAT, FLAT, FLAT), [0.1, 0.2, 0.9], everything) == [0.1, 0.2, 0.9]


def test_grids_and_gaps_are_kept():
    assert one((HALVES, HALVES, HALVES), [0.25, 0.25, 0.25])[2] in (0.25, 0.5)
    assert sum(one((HALVES, HALVES, HALVES), [0.25, 0.25, 0.25])) == 1.0
    row = one((FLAT, FLAT, FLAT), [0.25, float("nan"), 0.25])
    assert row[0] == row[2] == 0.25
    assert np.isnan(row[1])


def test_rows_that_are_given_are_not_touched():
    x = torch.tensor([[0.1, 0.2, 0.9]], dtype=torch.float64)
    settled(RowLayout((FLAT, FLAT, FLAT)), WHOLE, x)
    assert x.tolist() == [[0.1, 0.2, 0.9]]


@pytest.fixture(scope="module")
def shares():
    """Four shares, most of which are small: the least is known far better than the largest."""
    rng = np.random.default_rng(0)
    small = 0.02 + 0.001 * rng.exponential(size=(4_000, 4)) ** 3
    large = rng.integers(0, 4, 4_000)
    small[np.arange(4_000), large] = 0.0
    small[np.arange(4_000), large] = 1.0 - small.sum(1)
    keep = small.min(1) > 0
    frame = pd.DataFrame(small[keep].round(9), columns=list("abcd"))
    frame["d"] = (1.0 - frame[["a", "b", "c"]].sum(axis=1)).round(9)
    frame["kind"] = np.array(list("wxyz"))[large[keep]]
    return frame


@pytest.fixture(scope="module")
def model(shares):
    return TableVAE(latent=2, hidden=(16,), epochs=4).fit(shares)


def test_every_drawn_row_obeys(model, shares, tmp_path):
    assert len(model.codec_.sums) == 1
    model.save(tmp_path / "shares.variate")
    again = vt.load(tmp_path / "shares.variate")
    rows = again.sample(500, seed=0)
    assert rows.equals(model.sample(500, seed=0))
    for drawn in (rows, model.vary(shares.head(3), n=4, seed=0), model.reconstruct(shares.head(9))):
        np.testing.assert_allclose(drawn[list("abcd")].sum(axis=1), 1.0, atol=1e-8)
        assert drawn[list("abcd")].ge(0).all(axis=None)


def test_what_is_asked_for_stays(model):
    rows = model.sample(50, given={"c": vt.Between(0.3, 1.0)}, seed=0)
    assert rows["c"].between(0.3, 1.0).all()
    np.testing.assert_allclose(rows[list("abcd")].sum(axis=1), 1.0, atol=1e-8)
    some = pd.DataFrame({"a": [0.021, 0.9], "b": [0.021, 0.022]})
    whole = model.complete(some, seed=0)
    np.testing.assert_array_equal(whole[["a", "b"]], some)
    np.testing.assert_allclose(whole[list("abcd")].sum(axis=1), 1.0, atol=1e-8)
