"""Constraints as a file: written, edited, read, and fitted from the command line."""

import sys

import numpy as np
import pyarrow as pa
import pytest

from variate import cli, load
from variate.errors import OptionError
from variate.table import files
from variate.table.constraints import (
    Absolute,
    Determined,
    FixedCombinations,
    LessEqual,
    Linear,
    Sum,
    Unique,
    read,
    write,
)

EVERY_KIND = [
    Unique("key", pattern=r"[A-Z]\d{4}"),
    LessEqual(("a", "b"), "c", strict=True),
    Sum("total", ("net", 'ta"x\n\\'), tolerance=0.01),
    Linear("no", "yes", (-1.0,), (1.0, 0.0)),
    Absolute("size", "number"),
    FixedCombinations(("town", "Straße \x7f")),
    Determined("region", by="place"),
    Determined("sort", by=("x", "y")),
]


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path / "rules.toml", [(rule, "two\nlines") for rule in EVERY_KIND])
    assert read(path) == EVERY_KIND
    assert "# two\n# lines\n[[constraint]]" in path.read_text(encoding="utf-8")
    assert read(write(path, [])) == []


GOOD = '[[constraint]]\nrule = "LessEqual"\nlow = "a"\nhigh = "b"\n\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("low <= high", "no TOML file.*line 1"),
        (GOOD + "[[constraint]]\nlow = 'a'\n", "line 6: rule = null is no constraint.*LessEqual"),
        (GOOD + "[[constraint]]\nrule = 'Less'\n", 'line 6: rule = "Less" is no constraint'),
        ("[[constraint]]\nrule = 'Unique'\n", "line 1: Unique lacks the key 'column'"),
        (GOOD + "#\n[[constraint]]\nrule='Unique'\ncolum='a'", "line 7: .*'colum'; it has column"),
        ("[[constraint]]\nrule='Sum'\ntotal='t'\nparts=3", "line 1: .*not the values that Sum"),
        ("[[constraint]]\nrule='Sum'\ntotal='t'\nparts=[1]", "line 1: .*must be text"),
        ("[[constraint]]\nrule='LessEqual'\nlow='a'\nhigh='b'\nstrict='no'", "line 1: strict must"),
        ("\n[[constraints]]\nrule='Unique'\ncolumn='a'", "line 2: 'constraints' means nothing"),
        ("constraint = 3", "begins with"),
        (GOOD + GOOD.replace('"LessEqual"', '"Sum"').replace("low", "parts"), "line 6: Sum has no"),
        (GOOD + "[[constraint]]\nrule='Determined'\ncolumn='b'\nby='a'", "rules.toml: .*settle"),
    ],
)
def test_a_bad_file_says_what_is_wrong_and_where(tmp_path, text, says):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=says) as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(OptionError, match=r"cannot read .*No such file"):
        read(tmp_path / "rules.toml")
    (tmp_path / "rules.toml").write_bytes(b"\xff")
    with pytest.raises(OptionError, match="not UTF-8"):
        read(tmp_path / "rules.toml")


def told(capsys, monkeypatch, *words):
    """The command line in this process: exit status, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["variate", *map(str, words)])
    status = 0
    try:
        cli.main()
    except SystemExit as stop:
        status = stop.code or 0
    said = capsys.readouterr()
    return status, said.out, said.err


def test_from_proposals_to_rows_that_obey(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    low, extra = rng.integers(0, 50, 400), rng.integers(0, 9, 400)
    rows = pa.table({"low": low, "high": low + extra, "noise": rng.normal(size=400).round(2)})
    data, rules, model = (tmp_path / name for name in ("rows.csv", "rules.toml", "m.variate"))
    files.write(rows, data)
    status, said, _ = told(capsys, monkeypatch, "constraints", data, "-o", rules)
    assert (status, said) == (0, "")
    assert read(rules) == [LessEqual("low", "high")]
    quick = ["--epochs", 2, "--latent", 2, "--hidden", 16, "--width", 8, "--quiet"]
    fit = ["fit", data, "--constraints", rules, "--out", model, *quick]
    assert told(capsys, monkeypatch, *fit)[0] == 0
    made = load(model).sample(200, seed=0)
    assert (made["high"].to_numpy() >= made["low"].to_numpy()).all()
    rules.write_text(rules.read_text(encoding="utf-8").replace("high =", "hi ="), encoding="utf-8")
    status, _, words = told(capsys, monkeypatch, *fit)
    assert status == 2
    assert "no key 'hi'" in words


def test_nothing_found_is_a_file_without_rules(tmp_path, capsys, monkeypatch):
    noise = pa.table({"x": np.random.default_rng(0).normal(size=200)})
    files.write(noise, tmp_path / "rows.csv")
    words = ("constraints", tmp_path / "rows.csv", "--out", tmp_path / "rules.toml")
    status, said, _ = told(capsys, monkeypatch, *words)
    assert (status, said.strip()) == (0, "no constraints were found")
    assert read(tmp_path / "rules.toml") == []
