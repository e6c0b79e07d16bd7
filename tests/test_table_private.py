"""Private tables: declared columns, noised histograms, what neighbours share, and a whole fit."""

import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from tables import people

import variate as vt
from variate.errors import DataWarning, OptionError
from variate.privacy import Levels, Privacy, Range, Times, declared
from variate.randomness import Secret
from variate.table.declared import read_column
from variate.table.histograms import Histogram, cells_of
from variate.table.private import prepare_privately

pytest.importorskip("opacus")

PUBLIC = {
    "age": Range(0, 110, step=1),
    "income": Range(0, 300_000, step=0.01, atoms=(0.0,), missing=True),
    "city": Levels(["Basel", "Zug", "Bern"]),
    "member": Levels([False, True]),
    "joined": Times("2019-01-01", "2023-12-31"),
    "note": Levels(["a", "b", "c"], missing=True),
}
PRIVACY = Privacy(epsilon=3.0, delta=1e-5, columns=PUBLIC)


def small(**arguments) -> vt.TableVAE:
    wanted = {"latent": 2, "hidden": (16,), "width": 8, "components": 3, "privacy": PRIVACY}
    return vt.TableVAE(**wanted | arguments)


def prepared(frame, seed: int = 0):
    return prepare_privately(
        frame,
        PRIVACY,
        batch_size=64,
        epochs=1,
        seed=0,
        secret=Secret(np.random.default_rng(seed).bytes),
    )


# ---- what is declared -----------------------------------------------------------------------


def test_every_value_is_read_by_itself():
    whole, share = Range(0, 10, step=1), Range(-1.0, 1.0, step=0.1, missing=True)
    assert read_column(pa.array([3, -5, 99, None]), whole)[:3].tolist() == [3, 0, 10]
    mixed = read_column(pa.array(["3", " 4.4 ", "x", "1e9"]), whole)
    assert mixed[[0, 1, 3]].tolist() == [3, 4, 10]
    assert math.isnan(mixed[2])
    found = read_column(pa.array([0.31, math.inf, -math.inf, math.nan]), share)
    assert found[:3].tolist() == [0.3, 1.0, -1.0]
    assert math.isnan(found[3])
    codes = Levels(["1", "2", "x"])
    assert read_column(pa.array([2, 1, 7]), codes)[:2].tolist() == [1, 0]
    assert read_column(pa.array([2.0, None]), codes)[0] == 1
    assert read_column(pa.array(["x", "y"]), codes)[0] == 2
    assert np.isnan(read_column(pa.array(["x", "y"]), codes)[1])
    assert read_column(pa.array(["TRUE", "0", "?"]), Levels([False, True]))[:2].tolist() == [1, 0]
    times = Times("2020-01-01", "2020-12-31")
    ours = ["2020-01-03", "1999-01-01", "2222-01-01T00:00", "soon"]
    assert read_column(pa.array(ours), times)[:3].tolist() == [2, 0, 365]
    stamps = pa.array(["2020-01-03T18:00"]).cast(pa.timestamp("ns"))
    for array in (stamps, stamps.cast(pa.date32(), safe=False), stamps.cast(pa.timestamp("ms"))):
        assert read_column(array, times).tolist() == [2]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Levels([]), "levels"),
        (lambda: Levels(["a", 1]), "one type"),
        (lambda: Levels(["a", "a"]), "twice"),
        (lambda: Range(3, 3), "below high"),
        (lambda: Range(0, 1, step=0.3), "step"),
        (lambda: Range(0.5, 2, step=1), "multiples"),
        (lambda: Range(0, 2, atoms=(3,)), "atoms"),
        (lambda: Times("2020-01-01", "2019-01-01"), "before"),
        (lambda: Times("soon", "2019-01-01"), "soon"),
        (lambda: Times("2019-01-01", "2020-01-01", unit="week"), "unit"),
        (lambda: Privacy(epsilon=0), "epsilon"),
        (lambda: Privacy(epsilon=1, delta=1.0), "delta"),
        (lambda: Privacy(epsilon=1, columns={"a": 3}), "Levels"),
        (lambda: declared({"a": {"low": 1}}), "'a'"),
        (lambda: declared([]), "JSON object"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(make, what):
    with pytest.raises(OptionError, match=what):
        make()


def test_a_column_that_nothing_is_known_of_is_refused_by_name():
    frame = people(50)
    some = Privacy(epsilon=1.0, columns={k: v for k, v in PUBLIC.items() if k != "city"})
    with pytest.raises(OptionError, match="'city'"):
        small(privacy=some).fit(frame)
    with pytest.raises(OptionError, match="'salary'"):
        small(privacy=Privacy(1.0, columns=PUBLIC | {"salary": Range(0, 1)})).fit(frame)


@pytest.mark.parametrize(
    "asked",
    [
        {"minutes": 1.0},
        {"columns": {"age": "integer"}},
        {"prior": vt.priors.Vamp(2, 3)},
        {"prior": vt.priors.Aggregate(2)},
        {"posterior": vt.posteriors.LowRankGaussian(2, rank=1)},
        {"precision": "auto"},
        {"constraints": [vt.constraints.LessEqual("age", "income")]},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_what_would_look_at_rows_unpaid_is_refused(asked):
    with pytest.raises(OptionError, match="together with privacy"):
        small(**asked).fit(people(50))


def test_a_declaration_that_does_not_fit_is_mentioned_by_noised_counts():
    frame = people(3_000)[["age"]]
    wrong = Privacy(50.0, columns={"age": Levels(["young", "old"])})
    ready = {"batch_size": 64, "epochs": 1, "seed": 0}
    with pytest.warns(DataWarning, match="'age'"):
        prepare_privately(frame, wrong, **ready)
    prepare_privately(frame, Privacy(50.0, columns={"age": PUBLIC["age"]}), **ready)


def test_a_row_of_a_csv_does_not_change_how_the_others_are_read(tmp_path):
    lines = ["n,c", "1.5,1", "2,2", "007,1"]
    public = Privacy(3.0, columns={"n": Range(0, 9), "c": Levels(["1", "2"])})
    read = []
    for last in ("3,2", "many,one"):
        file = tmp_path / "rows.csv"
        file.write_text("\n".join([*lines, last]) + "\n")
        model = small(privacy=public)
        read.append(model._prepare(file, tmp_path).training[:3])
    assert torch.equal(*(x.nan_to_num(-1.0) for x in read))
    assert read[0][:2].tolist() == [[1.5, 0.0], [2.0, 1.0]]


def test_related_tables_are_refused():
    parents = pd.DataFrame({"id": [1, 2, 3], "age": [20, 30, 40]})
    children = pd.DataFrame({"parent": [1, 1, 2], "age": [1, 2, 3]})
    tables = vt.RelatedTables(parent_key="id", foreign_key="parent", children=small())
    with pytest.raises(OptionError, match="related tables"):
        tables.fit(parents, children)


def test_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(OptionError, match="checkpoint"):
        small(epochs=1).fit(people(50), checkpoint=tmp_path / "c")
    with pytest.raises(OptionError, match="processes"):
        small(epochs=1).fit(people(50), processes=2)


# ---- histograms -----------------------------------------------------------------------------


def test_a_row_adds_no_more_than_its_declared_length():
    ready = prepared(people(200))
    for c, column in enumerate(ready.codec.modelled):
        cells = cells_of(column, tuple(getattr(PUBLIC[column.name], "atoms", ())))
        x = ready.training[:, c].numpy()
        whole = cells.counts(x)
        assert whole.shape == (cells.count,)
        for row in range(20):
            apart = whole - cells.counts(np.delete(x, row))
            assert (apart >= 0).all()
            assert (apart**2).sum() <= cells.squared_length


def test_without_noise_the_histogram_is_the_data():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(20_000) < 0.3, 0.0, np.exp(rng.normal(5, 1, 20_000))).round()
    column = prepared(people(50)).codec.modelled[1]
    cells = cells_of(
        column.__class__(**{**vars(column), "step": 1.0, "kind": "integer", "high": 1e5}), (0.0,)
    )
    histogram = Histogram(cells, cells.counts(x), 0.5, len(x))
    made = histogram.column()
    assert histogram.shares()[0] == pytest.approx((x == 0).sum(), rel=0.01)
    assert made.atoms == (0.0,)
    score = np.interp(x[x > 0], made.knots, made.scores)
    assert abs(score.mean()) < 0.05
    assert score.std() == pytest.approx(1.0, abs=0.1)
    drawn = histogram.draw(20_000, np.random.default_rng(1))
    present = drawn[~np.isnan(drawn)]
    assert np.quantile(present, 0.7) == pytest.approx(np.quantile(x, 0.7), rel=0.15)
    assert (present == 0).mean() == pytest.approx(0.3, abs=0.02)


# ---- neighbours -----------------------------------------------------------------------------


def test_neighbours_share_all_that_is_not_noised():
    one = people(200)
    other = one.copy()
    other.loc[17, ["age", "income", "city", "note"]] = [9_999, -1e12, "Bern", None]
    other["member"] = other["member"].astype(object)
    other.loc[17, "member"] = None
    here, there = prepared(one), prepared(other)
    differ = (here.training != there.training) & ~(here.training.isnan() & there.training.isnan())
    assert differ.any(1).nonzero().flatten().tolist() == [17]
    noised = {"knots", "scores", "missing"}
    for a, b in zip(here.codec.schema.columns, there.codec.schema.columns, strict=True):
        for name in vars(a).keys() - noised:
            assert getattr(a, name) == getattr(b, name), name
    assert here.codec.schema.rows == there.codec.schema.rows
    assert here.codec.copies == there.codec.copies == ()
    assert here.validation is here.held_out is None
    assert here.facts(one) == there.facts(other)
    built = []
    for ready in (here, there):
        torch.manual_seed(5)
        built.append(small()._build(ready.codec, ready.example).state_dict())
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])


def test_noise_is_new_each_time_though_the_seed_is_the_same():
    frame = people(100)
    models = [small(epochs=1, seed=0).fit(frame) for _ in range(2)]
    weights = [model.model_.state_dict()["decoder.chain.code.weight"] for model in models]
    assert not torch.equal(*weights)


# ---- a fit ----------------------------------------------------------------------------------


def test_a_private_fit_learns_says_what_it_spent_and_is_kept(tmp_path):
    frame, test = people(1_500), people(500, seed=9)
    model = small(epochs=20, batch_size=150, learning_rate=5e-3, seed=1).fit(frame)
    spent = model.facts_["privacy"]
    assert 2.9 < spent["epsilon"] <= 3.0
    assert spent["delta"] == 1e-5
    assert spent["sampling_rate"] == 0.1
    assert spent["steps"] == model.facts_["steps"] == 200
    assert "held_out" not in model.facts_
    assert model.calibration_ is None
    assert model.history_ == []
    assert "ε = 3" in model.card()
    start = model._started(
        model._build(model.codec_, prepared(frame).example), prepared(frame).example
    ).eval()
    from variate.evaluation import summary

    x = model._rows(test)
    begun, now = (summary(m, x, draws=4, seed=0)["elbo"] for m in (start, model.model_))
    assert now > begun + 0.1
    drawn = model.sample(300, seed=0)
    assert list(drawn.columns) == list(frame.columns)
    assert drawn["age"].between(0, 110).all()
    assert drawn["joined"].between("2019-01-01", "2023-12-31").all()
    again = vt.load(model.save(tmp_path / "m.variate"))
    assert again.privacy == model.privacy
    pd.testing.assert_frame_equal(again.sample(300, seed=0), drawn)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "numpy"])
def test_rows_come_back_in_the_callers_library(library):
    frame = people(60)[["age", "income"]]
    given = {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "pyarrow": pa.Table.from_pandas(frame),
        "numpy": frame.to_numpy(),
    }[library]
    names = ["x0", "x1"] if library == "numpy" else ["age", "income"]
    public = dict(zip(names, (PUBLIC["age"], PUBLIC["income"]), strict=True))
    model = small(epochs=1, privacy=Privacy(3.0, columns=public)).fit(given)
    drawn = model.sample(5, seed=0)
    assert type(drawn) is type(given)
    assert drawn.shape == (5, 2)
    assert np.isfinite(model.score_samples(given)).all()


def test_the_command_line_asks_for_what_is_public_and_prints_epsilon(tmp_path, capsys):
    from variate.cli import main

    frame = people(80)[["age", "city"]]
    frame["city"] = frame["city"].astype(str)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    public = {"age": {"low": 0, "high": 110, "step": 1}, "city": {"values": ["Basel", "Zug"]}}
    (tmp_path / "public.json").write_text(json.dumps(public))
    file = str(tmp_path / "m.variate")
    command = f"fit {tmp_path}/rows.csv --epochs 2 --epsilon 2 --latent 2 --hidden 8 --quiet"
    more = ["--public", str(tmp_path / "public.json")]

    def said(*words: str, status: int = 0) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["variate", *words])
            with pytest.raises(SystemExit) as exited:
                main()
        assert exited.value.code == status
        return "".join(capsys.readouterr())

    assert "--public" in said(*command.split(), "--out", file, status=2)
    assert "privacy.epsilon" in said(*command.split(), *more, "--out", file)
    assert "differential privacy: ε = 2" in said("info", file)
