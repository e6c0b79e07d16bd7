"""Copies: found where a column repeats another, and only there; hostile files are refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from variate import TableVAE
from variate.distributions import Copy
from variate.errors import ModelFileError
from variate.table.codec import TableCodec
from variate.table.copies import MOST, checked_copies, find_copies
from variate.table.network import layout_of
from variate.table.schema import ColumnSchema

NUMBER = {"knots": (-1e9, 1e9), "scores": (-1.0, 1.0), "low": -1e9, "high": 1e9}


def column(name, kind="continuous", atoms=(), closed=False, missing=0):
    if kind == "category":
        return ColumnSchema(name, kind, "string", "string", missing, levels=("a", "b"))
    return ColumnSchema(
        name, kind, "double", "double", missing, **NUMBER, atoms=atoms, closed=closed
    )


def columns(count, **last):
    return [*(column(f"x{i}") for i in range(count - 1)), column("last", **last)]


def one(column, source, sign=1, constant=0.0):
    return column, (source,), (sign,), constant


def told(x, about):
    """What is found, but for the tolerances."""
    return tuple(
        (c, found.sources, found.signs, found.constant) for c, found in find_copies(x, about)
    )


def table(rows=5_000, count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, count))


def test_a_column_that_repeats_another_is_found():
    x = table()
    x[:200, 2] = x[:200, 0]
    assert told(x, columns(3)) == (one(2, 0),)


def test_a_negative_is_found_and_the_commonest_comes_first():
    x = table()
    x[:200, 2], x[200:1000, 2], x[1000:1300, 2] = -x[:200, 0], x[200:1000, 1], -x[1000:1300, 1]
    assert told(x, columns(3)) == (one(2, 1), one(2, 1, -1), one(2, 0, -1))


def test_a_hundredth_of_the_rows_is_the_least():
    for share, expected in ((0.015, (one(1, 0),)), (0.007, ())):
        x = table(10_000, 2)
        x[:: round(1 / share), 1] = x[:: round(1 / share), 0]
        assert told(x, columns(2)) == expected


def test_rows_that_are_explained_are_explained_once():
    """Three columns that are the same: each later one needs one source and no second."""
    x = table()
    x[:, 1] = x[:, 2] = x[:, 0]
    assert told(x, columns(3)) == (one(1, 0), one(2, 0))


def test_at_most_three_sources():
    x = table(count=6)
    for source in range(5):
        x[source * 500 : (source + 1) * 500, 5] = x[source * 500 : (source + 1) * 500, source]
    found = told(x, columns(6))
    assert len(found) == MOST
    assert len(set(found)) == MOST


def test_chance_equality_of_heaped_atoms_is_no_copy():
    x = table()
    x[:, 0][::2] = 0.0
    x[:, 2][::3] = 0.0
    assert told(x, columns(3, atoms=(0.0,))) == ()
    assert told(x, columns(3)) != ()
    x[:50, 2] = x[:50, 0] = -0.0  # as zero as the other
    assert told(x, columns(3, atoms=(0.0,))) == ()


def test_closed_columns_categories_and_gaps_are_no_copies():
    x = table()
    x[:, 2] = x[:, 0].round()
    x[:, 0] = x[:, 2]
    assert told(x, columns(3, atoms=tuple(np.unique(x[:, 2])), closed=True)) == ()
    x[:, 1:] = np.nan
    assert told(x, columns(3)) == ()
    coded = np.random.default_rng(0).integers(0, 2, (5_000, 2)).astype(float)
    assert told(coded, [column("a", "category"), column("b", "category")]) == ()
    assert told(coded, [column("a", "category"), column("b")]) == ()


def test_a_copy_with_gaps_in_either_column_is_found():
    x = table()
    x[:1_000, 2] = x[:1_000, 0]
    x[::5, 0] = np.nan
    x[1::5, 2] = np.nan
    assert told(x, columns(3, missing=1)) == (one(2, 0),)


def test_few_rows_and_many():
    assert told(table(1), columns(3)) == ()
    large = table(100_000)
    large[::40, 2] = large[::40, 0]
    large = np.random.default_rng(1).permutation(large)
    assert told(large, columns(3)) == (one(2, 0),)


def test_a_shift_is_found():
    x = table()
    x[:2_000, 2] = 1 - x[:2_000, 1]
    x[2_000:3_000, 2] = x[2_000:3_000, 0] + 0.25
    x = np.random.default_rng(0).permutation(x)
    assert told(x, columns(3)) == (one(2, 1, -1, 1.0), one(2, 0, 1, 0.25))


def test_small_whole_numbers_that_differ_alike_by_chance_are_no_shift():
    """A difference of two dice is zero in every sixth throw, and one in nearly as many."""
    dice = np.random.default_rng(0).integers(1, 7, (5_000, 2)).astype(float)
    about = [replace(column(name), step=1.0, scores=(-1.0, 1.0)) for name in "ab"]
    assert all(c.constant == 0 for _, c in find_copies(dice, about))


def shares(concentration):
    x = np.random.default_rng(0).dirichlet([concentration] * 4, 5_000).round(9)
    codec = TableCodec().fit(x)
    return x, codec.modelled


def test_the_least_of_some_shares_is_not_what_the_largest_leaves():
    """Nearly all of a sum is in one part, and what is off there would drown the others."""
    assert all(len(copy.sources) == 1 for _, copy in find_copies(*shares(0.2)))


def test_shares_that_sum_to_one_are_found_whatever_their_rounding():
    x, about = shares(2.0)
    ((place, copy),) = find_copies(x, about)
    assert (place, copy.sources, copy.signs) == (3, (0, 1, 2), (-1.0, -1.0, -1.0))
    assert copy.constant == 1.0
    assert (np.abs(x[:, 3] - (1 - x[:, :3].sum(1))) <= copy.tolerance).all()


def test_a_total_in_most_rows_is_found_but_not_a_weighted_sum():
    x = np.abs(table(count=4)).round(2)
    x[:, 3] = x[:, 0] + x[:, 1] - x[:, 2]
    assert told(x, columns(4)) == ((3, (0, 1, 2), (1, 1, -1), 0),)
    x[:, 3] = 0.5 * x[:, 0] + x[:, 1]
    assert told(x, columns(4)) == ()


def test_a_model_says_the_sum_that_was_found():
    """The last share is what the others leave, in every drawn row, without being told so."""
    rows = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], 600)
    model = TableVAE(latent=2, hidden=(16,), epochs=15).fit(rows)
    drawn = model.sample(500, seed=0)
    assert np.mean(np.abs(drawn.sum(1) - 1) < 1e-6) > 0.98
    assert np.isfinite(model.score_samples(rows)).all()


def test_what_was_saved_is_read():
    state = [[2, [0], [1], 0, 0], [2, [0, 1], [1.0, -1.0], 0.5, 1e-9]]
    first, second = Copy((0,), (1.0,)), Copy((0, 1), (1.0, -1.0), 0.5, 1e-9)
    assert checked_copies(state, columns(3)) == ((2, first), (2, second))
    assert checked_copies([], columns(3)) == ()


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        "copies",
        [None],
        [[2, [0], [1]]],
        [(2, [0], [1], 0, 0)],
        [[2, 0, 1, 0, 0]],
        [[2, [0], [2], 0, 0]],
        [[2, [0], [0], 0, 0]],
        [[2, [0], [True], 0, 0]],
        [[2, [0], [1, 1], 0, 0]],
        [[2, [], [], 0, 0]],
        [["2", [0], [1], 0, 0]],
        [[2, [2], [1], 0, 0]],
        [[0, [2], [1], 0, 0]],
        [[3, [0], [1], 0, 0]],
        [[2, [-1], [1], 0, 0]],
        [[2, [1], [1], 0, 0]],
        [[1, [0], [1], 0, 0]],
        [[2, [[]], [1], 0, 0]],
        [[2, [0], [1], float("nan"), 0]],
        [[2, [0], [1], float("inf"), 0]],
        [[2, [0], [1], 0, -1]],
        [[2, [0], [1], "0", 0]],
        [[float("nan"), [0], [1], 0, 0]],
        [[2, [0], [1], 0, 0]] * (MOST + 1),
        [[2, [0], [1], 0, 0]] * 2,
    ],
    ids=str,
)
def test_hostile_copies_are_refused(state):
    mixed = [column("x0"), column("x1", "category"), column("x2")]
    with pytest.raises(ModelFileError, match="makes no sense"):
        checked_copies(state, mixed)


def test_a_codec_notices_copies_and_keeps_them():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"bill": rng.gamma(2, 100, 2_000).round(2), "sex": ["f", "m"] * 1_000})
    frame["paid"] = np.where(
        rng.random(2_000) < 0.3, frame["bill"], rng.gamma(2, 90, 2_000).round(2)
    )
    codec = TableCodec().fit(frame)
    assert codec.copies == ()
    x = codec.encode(frame)
    codec.notice(x)
    assert codec.copies == ((2, Copy((0,), (1.0,))),)
    state = json.loads(json.dumps(codec.state()))
    assert TableCodec.from_state(state).copies == codec.copies
    layout = layout_of(codec.modelled, codec.copies, 5)
    same = frame["paid"] == frame["bill"]
    assert layout.read(x).equal[0].tolist() == same.tolist()
    state["copies"] = [[0, [2], [1], 0, 0]]
    with pytest.raises(ModelFileError, match="makes no sense"):
        TableCodec.from_state(state)
