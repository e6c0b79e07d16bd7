"""RelatedTables: parents and children, keys, siblings, files, and what is refused."""

from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from variate import RelatedTables, TableVAE, bundle, constraints, load
from variate.cli import app
from variate.errors import DataError, ModelFileError, OptionError, SchemaError
from variate.table import kinship
from variate.table.codec import TableCodec
from variate.table.siblings import Siblings, memory_kinds

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

small = partial(TableVAE, latent=3, hidden=(24, 24), components=3)
tiny = partial(small, epochs=1, latent=2, hidden=(8,))


def shop(customers=300, seed=0):
    """Customers, some of whom never order, and orders that show a taste which customers do not."""
    rng = np.random.default_rng(seed)
    segment = rng.choice(["private", "business", "idle"], customers, p=[0.5, 0.3, 0.2])
    number = np.where(segment == "idle", 0, rng.poisson(np.where(segment == "business", 6, 2)))
    who = np.repeat(np.arange(customers), number)
    taste = rng.normal(size=customers)
    parents = pd.DataFrame(
        {"id": [f"C-{i:04d}" for i in rng.permutation(9999)[:customers]], "segment": segment}
    )
    parents["age"] = rng.integers(18, 90, customers)
    high = 3 + (segment == "business")[who] + 0.8 * taste[who] + 0.4 * rng.normal(size=len(who))
    children = pd.DataFrame({"order": rng.permutation(len(who)) + 1, "sum": np.exp(high).round(2)})
    children["express"] = rng.random(len(who)) < np.where(segment == "business", 0.7, 0.1)[who]
    children["item"] = pd.Categorical(rng.choice(["tea", "salt", "oil"], len(who)))
    children["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        rng.integers(0, 300, len(who)), "D"
    )
    children["customer"] = parents["id"].to_numpy()[who]
    return parents, children.sample(frac=1, random_state=1).reset_index(drop=True)


def pair_of(model=tiny, **options):
    names = {"parent_key": "id", "foreign_key": "customer", "child_key": "order"}
    options = {"parents": model(), "children": model()} | options
    return RelatedTables(**names, order_by="day", **options)


@pytest.fixture(scope="module")
def tables():
    return shop()


@pytest.fixture(scope="module")
def pair(tables):
    return pair_of().fit(*tables)


FRAMES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": lambda frame: pa.table(pl.from_pandas(frame).to_arrow()),
}


# -- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_keys_are_consistent_and_fresh_and_types_come_back(tables, kind):
    given = [FRAMES[kind](table) for table in tables]
    made = pair_of().fit(*given).sample(60, seed=0)
    for was, table in zip(given, made, strict=True):
        assert type(table) is type(was)
        if kind == "pandas":
            pd.testing.assert_series_equal(table.dtypes, was.dtypes)
        else:
            assert table.schema == was.schema
    parents, children = (pl.DataFrame(table) for table in made)
    assert parents["id"].n_unique() == len(parents) == 60
    assert set(children["customer"]) <= set(parents["id"])
    assert children["order"].n_unique() == len(children)
    assert not set(parents["id"]) & set(tables[0]["id"])
    assert not set(children["order"]) & set(tables[1]["order"])
    assert parents["id"].str.contains(r"^C-\d{4,5}$").all()


def test_children_stand_with_their_siblings_in_order(pair):
    parents, children = pair.sample(60, seed=0)
    place = {key: i for i, key in enumerate(parents["id"])}
    stand = [(place[row.customer], row.day) for row in children.itertuples()]
    assert all(a <= b for a, b in pairwise(stand))


def test_seeds_make_both_tables_repeatable(pair):
    first, again, other = (pair.sample(30, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(a, b)
    assert not first[1].equals(other[1])


def test_parents_can_be_asked_for_by_what_they_are(pair):
    parents, _ = pair.sample(20, given={"segment": "business"}, seed=0)
    assert set(parents["segment"]) == {"business"}


def test_no_children_may_be_drawn(pair, tables):
    asked = {"number of customer": 0}
    parents, children = pair.sample(3, given=asked, seed=0)
    assert len(parents) == 3
    assert len(children) == 0
    assert list(children.columns) == list(tables[1].columns)


def similarity(children):
    """The correlation of a sum with the one before it of the same customer."""
    high, who = np.log(children["sum"]).to_numpy(), children["customer"].to_numpy()
    same = who[1:] == who[:-1]
    return np.corrcoef(high[1:][same], high[:-1][same])[0, 1]


def test_numbers_of_children_their_parents_and_their_siblings_are_learned():
    parents, children = shop(600)
    model = partial(small, epochs=40)
    made = pair_of(model).fit(parents, children).sample(600, seed=0)
    figures = []
    for above, below in ((parents, children.sort_values(["customer", "day"])), made):
        number = below.groupby("customer").size().reindex(above["id"]).fillna(0)
        joint = below.merge(above, left_on="customer", right_on="id")
        business, express = joint["segment"] == "business", joint["express"]
        figures.append(
            {
                "childless": (number == 0).mean(),
                "children of the idle": number[(above["segment"] == "idle").to_numpy()].mean(),
                "children": number.mean(),
                "express of business": express[business].mean(),
                "express of others": express[~business].mean(),
                "similarity": similarity(below),
            }
        )
    for name, real in figures[0].items():
        tolerance = {"children": 0.6, "children of the idle": 0.3}.get(name, 0.15)
        assert figures[1][name] == pytest.approx(real, abs=tolerance), name


def test_without_memory_children_are_drawn_at_once(tables):
    pair = pair_of(memory=False).fit(*tables)
    assert not pair.known_.memory
    parents, children = pair.sample(40, seed=0)
    assert set(children["customer"]) <= set(parents["id"])


def test_a_level_that_only_the_childless_have_is_no_obstacle(tables):
    parents, children = tables
    assert not children["customer"].isin(parents["id"][parents["segment"] == "idle"]).any()
    asked = {"segment": "idle", "number of customer": 2}
    made, theirs = pair_of().fit(parents, children).sample(4, given=asked, seed=0)
    assert (made["segment"] == "idle").all()
    assert len(theirs) == 8


def test_constraints_of_either_table_hold(tables):
    parents, children = (table.copy() for table in tables)
    parents["born"] = 2024 - parents["age"]
    children["due"] = children["day"] + pd.Timedelta(days=7)
    pair = pair_of(
        parents=tiny(constraints=[constraints.Linear("born", ("age",), (-1,), (2024,))]),
        children=tiny(constraints=[constraints.LessEqual("day", "due")]),
    ).fit(parents, children)
    above, below = pair.sample(50, seed=0)
    assert (above["born"] + above["age"] == 2024).all()
    assert (below["day"] <= below["due"]).all()
    assert list(above.columns) == list(parents.columns)
    assert list(below.columns) == list(children.columns)


def test_files_are_read(tables, tmp_path):
    paths = [tmp_path / "customers.csv", tmp_path / "orders.csv"]
    for path, table in zip(paths, tables, strict=True):
        table.to_csv(path, index=False)
    parents, children = pair_of().fit(*paths).sample(5, seed=0)
    assert set(children["customer"].to_pylist()) <= set(parents["id"].to_pylist())


# -- siblings ------------------------------------------------------------------------------------


def test_places_and_orders():
    owner = np.array([1, 0, 1, 1, 0])
    by = pa.chunked_array([["c", "b", "a", None, "a"]])
    assert kinship.in_order(owner, None).tolist() == [1, 4, 0, 2, 3]
    assert kinship.in_order(owner, by).tolist() == [4, 1, 2, 0, 3]
    assert kinship.places(np.sort(owner)).tolist() == [0, 1, 0, 1, 2]
    assert kinship.counted(owner, 3).tolist() == [2, 3, 0]


def test_what_is_known_of_siblings_is_the_last_and_what_all_were_like():
    rows = pa.table(
        {
            "n": [1, 2, 3, 4, None, 6],
            "c": ["x", "y", "z", "x", "y", "x"],
            "b": [True, False, False, True, True, True],
        }
    )
    codec = TableCodec().fit(rows)
    x = codec.encode(rows).numpy()
    names = [name for name, _ in memory_kinds(codec.modelled)]
    assert names == ["last.n", "last.c", "last.b", "so far.n", "so far.c", "so far.b"]
    siblings = Siblings(2, codec.modelled)
    one = np.array([1])
    assert all(column[0].as_py() is None for column in siblings.recall(one))
    for row in (0, 4, 5):
        siblings.add(one, x[[row]])
    last_n, last_c, last_b, mean_n, most_c, mean_b = (c[0].as_py() for c in siblings.recall(one))
    column = codec.modelled[0]
    scores = np.interp([1, 6], column.knots, column.scores)
    assert (last_n, last_c, last_b) == (6, 0, 1)
    assert mean_n == pytest.approx(scores.mean())
    assert most_c == 0  # x twice, y once
    assert mean_b == 1.0
    assert all(column[0].as_py() is None for column in siblings.recall(np.array([0])))


# -- what is refused -----------------------------------------------------------------------------


def broken(tables, change):
    parents, children = (table.copy() for table in tables)
    return change(parents, children) or (parents, children)


def orphan(parents, children):
    children.loc[[3, 9], "customer"] = "C-nobody"


def twice(parents, children):
    parents.loc[7, "id"] = parents.loc[2, "id"]


def no_key(parents, children):
    parents.loc[4, "id"] = None


def no_foreign_key(parents, children):
    children.loc[5, "customer"] = None


def own_key_twice(parents, children):
    children.loc[5, "order"] = children.loc[1, "order"]


def other_type(parents, children):
    children["customer"] = 5


def childless(parents, children):
    return parents, children.head(0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (orphan, "'C-nobody' in row 3 .* 2 children of 1 such keys"),
        (twice, "in row 7 .* as in row 2 already"),
        (no_key, "'id' is missing in row 4"),
        (no_foreign_key, "'customer' is missing in row 5"),
        (own_key_twice, "'order' is .* in row 5 .* as in row 1 already"),
        (other_type, "holds text, the children's 'customer' integer"),
        (childless, "no children"),
    ],
)
def test_keys_that_do_not_fit_are_refused_by_row(tables, change, says):
    with pytest.raises(DataError, match=says):
        pair_of().fit(*broken(tables, change))


def test_other_things_are_refused(tables, pair):
    parents, children = tables
    with pytest.raises(DataError, match="no column but keys"):
        RelatedTables(parent_key="id", foreign_key="customer", parents=tiny()).fit(
            parents, children[["customer"]]
        )
    with pytest.raises(SchemaError, match="the parents have no column 'ID'"):
        RelatedTables(parent_key="ID", foreign_key="customer").fit(parents, children)
    with pytest.raises(DataError, match="names"):
        pair_of().fit(parents.to_numpy(), children)
    with pytest.raises(OptionError, match="n must be"):
        pair.sample(0)


# -- the model file ------------------------------------------------------------------------------


def test_a_pair_is_one_file(pair, tmp_path):
    again = load(pair.save(tmp_path / "pair.variate"))
    assert isinstance(again, RelatedTables)
    for a, b in zip(pair.sample(20, seed=3), again.sample(20, seed=3), strict=True):
        pd.testing.assert_frame_equal(a, b)
    assert again.get_params(deep=False).keys() == pair.get_params(deep=False).keys()
    assert again.children.condition_on is None
    assert again.parents.latent == 2


TAMPERED = {
    "keys": lambda manifest, _: manifest.update(keys={}),
    "known": lambda manifest, _: manifest["known"].update(place="nowhere"),
    "inherited": lambda manifest, _: manifest["known"]["inherited"].append(["nothing", "age"]),
    "memory": lambda manifest, _: manifest["known"]["memory"].pop(),
    "frames": lambda manifest, _: manifest["frames"].reverse(),
    "weights": lambda _, weights: weights.update({"others.x": next(iter(weights.values()))}),
    "renamed": lambda manifest, _: manifest["options"].update(parent_key="sum"),
    "option": lambda manifest, _: manifest["options"].update(run="rm"),
    "order": lambda manifest, _: manifest["options"].update(order_by="nowhere"),
    "count": lambda manifest, _: manifest["known"].update(count="segment"),
    "part": lambda manifest, _: manifest.pop("children"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_file_is_refused(pair, tmp_path, what):
    manifest, weights, card = bundle.read(pair.save(tmp_path / "pair.variate"))
    TAMPERED[what](manifest, weights)
    bundle.write(tmp_path / "bad.variate", manifest, weights, card)
    with pytest.raises(ModelFileError):
        load(tmp_path / "bad.variate")


def test_the_command_line_says_that_it_writes_one_table(pair, tmp_path):
    path = pair.save(tmp_path / "pair.variate")
    with pytest.raises(OptionError, match="two related tables"):
        app(["sample", str(path)], result_action="return_value")
