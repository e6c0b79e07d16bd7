"""Options of one kind of data, given to a model of another, are refused and not ignored."""

import sys

import numpy as np
import pytest

from variate import TableVAE, cli
from variate.errors import DataError
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


def test_text_is_one_column(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.csv").write_text("said,also\nyes,no\n")
    asked = ["--kind", "text", "--column", "said", "--column", "also"]
    monkeypatch.setattr(sys, "argv", ["variate", "fit", str(tmp_path / "a.csv"), *asked])
    with pytest.raises(SystemExit):
        cli.main()
    assert "text is one column (--column NAME), got said, also" in capsys.readouterr().err
