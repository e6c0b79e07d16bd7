"""Two related tables, and rows to be completed, on the command line."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from variate import load
from variate.table import files
from variate.table.constraints import LessEqual, Unique, write

QUICK = ["--epochs", "2", "--latent", "2", "--hidden", "16", "--width", "8", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    low = rng.integers(0, 9, 200)
    people = {"id": np.arange(200), "age": rng.integers(18, 80, 200), "low": low, "high": low + 3}
    files.write(pa.table(people), folder / "people.csv")
    orders = {"who": rng.integers(0, 200, 400), "sum": rng.integers(1, 99, 400)}
    files.write(pa.table(orders), folder / "orders.csv")
    write(folder / "rules.toml", [(Unique("id"), ""), (LessEqual("low", "high", strict=True), "")])
    return folder


def test_two_tables_are_fitted_shown_and_written(run, folder, tmp_path):
    model, above, below = (tmp_path / name for name in ("m.variate", "people.csv", "orders.csv"))
    status, said, _ = run(
        "fit", folder / "people.csv", "--children", folder / "orders.csv", "--key", "id",
        "--foreign-key", "who", "--constraints", folder / "rules.toml",
        "--column", "sum=continuous", "--out", model, "--json", *QUICK,
    )  # fmt: skip
    assert status == 0
    assert json.loads(said)["children"]["held_out"]["rows"] > 0
    pair = load(model)
    assert pair.parents_.codec_.constraints.rules == (LessEqual("low", "high", strict=True),)
    assert pair.children_.codec_.modelled[-1].kind == "continuous"
    words = ("--given", "age=30..50", "--out", above, "--children", below, "--seed", 0, "--json")
    status, said, _ = run("sample", model, "-n", 50, *words)
    assert (status, json.loads(said)["parents"]) == (0, {"rows": 50, "out": str(above)})
    people, orders = files.read(above), files.read(below)
    assert people.num_rows == 50
    assert all(30 <= age <= 50 for age in people["age"].to_pylist())
    assert set(orders["who"].to_pylist()) <= set(people["id"].to_pylist())
    assert "children\n" in run("info", model)[1]
    assert json.loads(run("info", model, "--json")[1])["kind"] == "related"
    status, _, said = run("sample", model, "-n", 5)
    assert (status, "name both" in said) == (2, True)
    status, _, said = run("encode", model, folder / "people.csv")
    assert (status, "two related tables" in said) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--key", "id"], "--key is about two related tables.*--children and --foreign-key"),
        (["--children", "orders.csv", "--key", "id"], "--foreign-key too"),
        (["--children", "orders.csv", "--key", "id", "--foreign-key", "who", "--resume"], "resume"),
        (
            ["--children", "orders.csv", "--key", "id", "--foreign-key", "who",
             "--column", "town=category"], "--column town is about columns of neither",
        ),
        (["--children", "orders.csv", "--key", "no", "--foreign-key", "who"], "'no'"),
    ],
)  # fmt: skip
def test_what_is_missing_or_does_not_go_together(run, folder, tmp_path, words, says, monkeypatch):
    monkeypatch.chdir(folder)
    status, _, said = run("fit", "people.csv", "--out", tmp_path / "m.variate", *words, *QUICK)
    assert status in (1, 2)
    assert re.search(says, said)


def test_the_rest_of_rows_is_drawn(run, folder, tmp_path):
    model, rows, out = (tmp_path / name for name in ("m.variate", "rows.csv", "out.csv"))
    assert (
        run("fit", folder / "people.csv", "--column", "id=ignore", "--out", model, *QUICK)[0] == 0
    )
    files.write(pa.table({"age": [20, 30, 40]}), rows)
    status, _, _ = run("sample", model, "--rows", rows, "--seed", 0, "--out", out)
    assert status == 0
    made = files.read(out)
    assert made["age"].to_pylist() == [20, 30, 40]
    assert made.column_names == ["age", "low", "high"]
    status, _, said = run("sample", model, "--rows", rows, "-n", 3)
    assert (status, "--rows" in said) == (2, True)
    status, _, said = run("sample", model, "--children", out)
    assert (status, "one table" in said) == (2, True)
