"""A decision in a TOML file: what is read from it, what is refused, and its command."""

import json

import pytest
from tables import people

from variate import TableVAE
from variate.errors import OptionError
from variate.table import files
from variate.table.decision_files import read_decision

GOOD = """
unknown = ["member"]

[ask]
income = 2.5

[constants]
cost = 10

[actions]
call = "30 - cost if member else -cost"
leave = "0"

[actions.mail]
utility = "reply * (30 if member else 0) - 1"
reply = 0.4

[risk]
regret = 0.5
cvar = -20
"""


@pytest.fixture
def spec(tmp_path):
    def write(text):
        path = tmp_path / "spec.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_what_is_read(spec):
    found = read_decision(spec(GOOD))
    assert found.unknown == ("member",)
    assert found.ask == {"income": 2.5}
    assert found.actions == {
        "call": {"cost": 10},
        "leave": {"cost": 10},
        "mail": {"cost": 10, "reply": 0.4},
    }
    assert found.utility["leave"] == "0"
    assert (found.risk.regret, found.risk.cvar, found.risk.level) == (0.5, -20, 0.95)


def test_one_utility_for_all(spec):
    found = read_decision(
        spec('utility = "k * income"\n[actions]\nbig = { k = 2 }\nsmall = { k = 1 }\n')
    )
    assert found.utility == {"big": "k * income", "small": "k * income"}
    assert found.ask is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('unknown = ["member"]', 'unkown = ["member"]', r"line 2: the key 'unkown' means nothing"),
        ('unknown = ["member"]', 'unknown = "member"', r"line 2: 'unknown' is a list of names"),
        ('unknown = ["member"]', "unknown = [1]", r"line 2: 'unknown' is a list of names"),
        ("income = 2.5", 'income = "dear"', r"line 5: the cost of asking about 'income'"),
        ("[constants]", "constants = 3\n[constant]", r"TOML|constants"),
        ('leave = "0"', "leave = 0", r"line 12: the action 'leave' has no utility"),
        ('leave = "0"', 'leave = ""', "it is no expression"),
        ('leave = "0"', 'leave = "__import__"', "spec.toml.*is not allowed"),
        ('utility = "reply', 'utlity = "reply', r"line 14: the action 'mail' has no utility"),
        ("reply = 0.4", "reply = [1]", r"the settings of 'mail'"),
        ("reply = 0.4", "cost = 2", r"line 14: 'cost' is a constant and a setting"),
        ("regret = 0.5", "regret = 5", r"line 19: regret of the risk is a chance"),
        ("regret = 0.5", "level = 2", r"line 19: .*level of CVaR"),
        ("regret = 0.5", 'cvar = "x"', "TOML|cvar"),
        ("regret = 0.5", "regrets = 1", r"line 19: the key 'regrets' of \[risk\]"),
        ("[risk]", "[risk", "is no TOML file"),
        ('leave = "0"', 'leave = "0"\nleave = "1"', "is no TOML file"),
    ],
)
def test_every_mistake_names_the_file_and_the_line_or_key(spec, old, new, said):
    assert old in GOOD
    with pytest.raises(OptionError, match=said) as caught:
        read_decision(spec(GOOD.replace(old, new, 1)))
    assert "spec.toml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "unknown = []", "[actions]", "actions = []"])
def test_a_spec_without_actions(spec, text):
    with pytest.raises(OptionError, match=r"no action|is a block"):
        read_decision(spec(text))


def test_files_that_are_none(tmp_path):
    with pytest.raises(OptionError, match="cannot read"):
        read_decision(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="is not UTF-8"):
        read_decision(tmp_path / "bytes.toml")


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decide")
    files.write(people(), folder / "people.csv")
    (folder / "spec.toml").write_text(GOOD, encoding="utf-8")
    model = TableVAE(latent=3, hidden=(16,), width=8, epochs=3)
    model.fit(folder / "people.csv").save(folder / "m.variate")
    return folder


def test_decide_keeps_the_rows_and_adds_the_decision(run, folder, tmp_path):
    out = tmp_path / "decided.parquet"
    words = ("decide", folder / "m.variate", folder / "people.csv", "--spec", folder / "spec.toml")
    status, said, _ = run(*words, "--draws", 20, "--seed", 0, "--out", out, "--json")
    assert status == 0
    assert json.loads(said) == {"rows": 400, "out": str(out)}
    made = files.read(out)
    assert made.column_names[:6] == people().columns.tolist()
    assert made.column_names[6:9] == ["action", "abstain", "best_action"]
    assert made.column_names[-2:] == ["value_of_income", "ask_first"]
    assert made.column("age").to_pylist() == people()["age"].tolist()
    assert set(made.column("best_action").to_pylist()) <= {"call", "leave", "mail"}


def test_decide_on_standard_output_can_be_repeated(run, folder):
    words = ("decide", folder / "m.variate", folder / "people.csv", "--spec", folder / "spec.toml")
    _, once, _ = run(*words, "--draws", 10, "--seed", 4)
    _, again, _ = run(*words, "--draws", 10, "--seed", 4)
    assert once == again
    assert len(once.splitlines()) == 401


def test_mistakes_end_with_a_status_and_one_line(run, folder, tmp_path):
    words = ["decide", folder / "m.variate", folder / "people.csv", "--spec", tmp_path / "s.toml"]
    (tmp_path / "s.toml").write_text('unknown = ["town"]\n[actions]\na = "1"\n')
    status, _, said = run(*words)
    assert (status, said.count("\n")) == (2, 1)
    assert "unknown names 'town'" in said
    (tmp_path / "s.toml").write_text('[actions]\na = "1 / (age - age)"\n')
    status, _, said = run(*words)
    assert status == 1
    assert "people.csv: row 0: the utility of 'a'" in said
    status, _, said = run(*words[:3])
    assert status == 2
    status, _, said = run(*words, "--draws", 0)
    assert status == 2
    assert "draws" in said


def test_help_shows_an_example(run):
    status, said, _ = run("decide", "--help")
    assert status == 0
    assert "variate decide credit.variate new.csv --spec grant.toml" in " ".join(said.split())
