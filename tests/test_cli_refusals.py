"""Options of one kind of data, given to a model of another, are refused and not ignored."""

import sys
from pathlib import Path

import numpy as np
import pytest

from variate import TableVAE, cli
from variate.cli.music import numbers
from variate.cli.pictures import mask_of
from variate.cli.training import _named_after
from variate.errors import DataError, OptionError
from variate.kinds import kind_of


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusals")
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.2f},{b}" for a, b in zip(rng.normal(size=80), rng.integers(0, 3, 80), strict=True)
    ]
    (folder / "t.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    TableVAE(latent=2, hidden=(8,), epochs=1).fit(folder / "t.csv").save(folder / "t.variate")
    return folder


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("impute", "--bars", "2"), "--bars is for models of the kind 'music'"),
        (("impute", "--voices", "1"), "--voices is for models of the kind 'music'"),
        (("impute", "--mask", "t.csv"), "--mask is for models of the kind 'image'"),
        (("interpolate", "--from", "0", "--to", "1", "--animate"), "--animate is for models"),
        (("vary", "--keep", "1"), "--keep is for models of the kind 'image'"),
        (("reconstruct", "--score", "svg"), "--score is for models of the kind 'music'"),
        (("evaluate", "--labels", "b"), "--labels is for models of the kind 'image'"),
        (("accompany", "--out", "new"), "accompany is for models of the kind 'music'"),
        (("continue", "--out", "new"), "continue is for models of the kind 'music'"),
        (("adapt", "--out", "new.variate"), "adapt is for models of the kind 'music'"),
    ],
)
def test_a_table_has_no_such_option(places, monkeypatch, capsys, command, reason):
    verb, *options = command
    data = [str(places / "t.variate"), str(places / "t.csv")]
    monkeypatch.setattr(sys, "argv", ["variate", verb, *data, *options])
    monkeypatch.chdir(places)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert not said.out


def test_what_says_nothing_of_its_kind_is_told_the_endings(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"text ends in \.txt.*music"):
        kind_of(tmp_path / "x.bin")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "NoneType is no data"),
        ({"a": [1, 2]}, r"dict is no data: .*DataFrame\(data\)"),
        ([{"a": 1}], r"a list of dict is no data: .*DataFrame\(data\)"),
        ((number for number in range(3)), "generator is no data"),
        (b"a,b", "bytes is no data"),
        ([1, 2, 3], "a list of int is no data"),
        ([], "the list is empty"),
    ],
)
def test_what_is_no_data_is_told_what_is(data, said):
    """It was scikit-learn's "Expected 2D array, got scalar array instead"."""
    with pytest.raises(DataError, match=said):
        kind_of(data)


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [3.0, 4.0]], [(1, "a")], np.zeros((2, 2))])
def test_rows_are_a_table(rows):
    assert kind_of(rows) == "table"


def test_bars_are_not_more_than_there_can_be():
    """A list of so many was made."""
    with pytest.raises(OptionError, match="more numbers than there are bars"):
        numbers("1-99999999999")
    assert numbers("1-3,5") == [1, 2, 3, 5]


def test_there_is_nothing_to_resume(places, run, tmp_path):
    """It was promised to be said, and was not."""
    words = ("fit", places / "t.csv", "--epochs", 1, "--latent", 2, "--resume", "--quiet")
    status, _, said = run(*words, "--out", tmp_path / "a.variate")
    assert status == 0
    assert "no " in said
    assert "afresh" in said


def test_text_is_one_column(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.csv").write_text("said,also\nyes,no\n")
    asked = ["--kind", "text", "--column", "said", "--column", "also"]
    monkeypatch.setattr(sys, "argv", ["variate", "fit", str(tmp_path / "a.csv"), *asked])
    with pytest.raises(SystemExit):
        cli.main()
    assert "text is one column (--column NAME), got said, also" in capsys.readouterr().err


def test_the_data_are_not_written_over_by_their_model(places, run):
    before = (places / "t.csv").read_bytes()
    status, _, said = run("fit", places / "t.csv", "--out", places / "t.csv", "--epochs", 1)
    assert status == 1
    assert "is no model file" in said
    assert (places / "t.csv").read_bytes() == before


@pytest.mark.parametrize("option", [("fit", "--epochs"), ("sample", "-n"), ("sample", "--seed")])
def test_a_fraction_of_a_whole_number_is_not_rounded(places, run, option):
    """`--epochs 1.5` trained for two, and `--seed 1.5` was 2."""
    verb, name = option
    words = (verb, places / ("t.csv" if verb == "fit" else "t.variate"), name)
    status, said, told = run(*words, "1.5")
    assert status == 2
    assert f"{name}: '1.5' is no whole number" in told
    assert not said


@pytest.mark.parametrize(
    ("verb", "data", "ending"),
    [("evaluate", ("t.variate", "t.csv"), ".html"), ("constraints", ("t.csv",), ".toml")],
)
def test_what_is_written_is_named_by_its_ending(places, run, verb, data, ending):
    """A report was written into x.pdf, and over any file that was there."""
    out = places / "x.pdf"
    status, _, said = run(verb, *(places / name for name in data), "--out", out)
    assert status == 1
    assert f"what is written there is {ending}" in said
    assert not out.exists()


@pytest.mark.parametrize("name", ["none.npy", "objects.npy", "text.npy", "text.png", "none.png"])
def test_a_mask_that_cannot_be_read_is_named(tmp_path, name):
    """These were tracebacks, or did not say which file."""
    np.save(tmp_path / "objects.npy", np.array([1, None], object))
    for text in ("text.npy", "text.png"):
        (tmp_path / text).write_text("words")
    with pytest.raises(DataError, match=rf"--mask .*{name} cannot be read"):
        mask_of(tmp_path / name, (8, 8))


def test_a_seed_that_no_generator_takes_is_a_sentence(places, run):
    """It was scikit-learn's traceback."""
    words = ("evaluate", places / "t.variate", places / "t.csv", "--seed", 2**32)
    status, _, said = run(*words)
    assert status == 2
    assert "seed must be a whole number from 0 to 4294967295" in said


def test_the_columns_that_there_are_are_named(places, run, tmp_path):
    (tmp_path / "u.csv").write_text("A ,b\n1.5,2\n")
    status, _, said = run("score", places / "t.variate", tmp_path / "u.csv")
    assert status == 1
    assert "the columns 'a' are missing" in said
    assert "The data has 'A ' instead" in said


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("sales.2024.csv", "sales.2024.variate"),
        ("sales.2024.csv.gz", "sales.2024.variate"),
        ("photos.v2/", "photos.v2.variate"),
        ("photos.v2/.", "photos.v2.variate"),
    ],
)
def test_a_model_is_named_after_all_of_its_data(tmp_path, data, model):
    """sales.2023.csv and sales.2024.csv were both sales.variate; a folder `.` was hidden."""
    (tmp_path / "photos.v2").mkdir()
    assert _named_after(tmp_path / data) == Path(model)
