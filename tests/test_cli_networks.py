"""Hierarchies and discrete codes of pictures on the command line."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from variate import load

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

X = load_digits().images.astype(np.uint8)
FIT = ["--levels", 17, "--width", 4, "--epochs", 1, "--quiet", "--json", "--network"]


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "digits.npy", X[:200])
    np.save(tmp_path / "new.npy", X[200:210])
    return tmp_path


def test_a_hierarchy(run, folder):
    out = folder / "h.variate"
    network = "Hierarchy(groups=(0, 1, 1), channels=2)"
    status, said, words = run("fit", folder / "digits.npy", *FIT, network, "--out", out)
    assert status == 0, words
    assert len(json.loads(said)["held_out"]["kl_per_group"]) == 2
    assert load(out).network.groups == (0, 1, 1)
    status, _, words = run(
        "vary", out, folder / "new.npy", "--item", 3, "--keep", 1, "--strength", 1, "--seed", 0,
        "--out", folder / "v.png",
    )  # fmt: skip
    assert status == 0, words
    with Image.open(folder / "v.png") as drawn:
        assert drawn.size[0] > 8
    status, _, words = run("vary", out, folder / "new.npy", "--keep", 3, "--out", folder / "w.png")
    assert status == 2
    assert "keep must be 0 to 2 of the 2 groups" in words


def test_discrete_codes(run, folder):
    out = folder / "c.variate"
    status, said, words = run(
        "fit", folder / "digits.npy", *FIT, "FSQ((3, 3), halvings=2)", "--out", out
    )
    assert status == 0, words
    assert json.loads(said)["second_stage"]["codes"] == 180
    assert sorted(path.name for path in folder.iterdir()) == ["c.variate", "digits.npy", "new.npy"]
    status, said, _ = run("encode", out, folder / "new.npy")
    assert status == 0
    assert said.splitlines()[0].replace('"', "") == "picture,code1,code2,code3,code4"
    status, said, _ = run("info", out)
    assert "the prior was fitted to 180 codes afterwards" in said


def test_a_flow_over_discrete_codes(run, folder):
    out = folder / "f.variate"
    prior = "SecondStage(FlowCodes(4, (3, 3), transforms=2, hidden=(8,)))"
    network = "FSQ((3, 3), halvings=2)"
    status, said, words = run(
        "fit", folder / "digits.npy", *FIT, network, "--prior", prior, "--out", out
    )
    assert status == 0, words
    held_out = json.loads(said)["held_out"]
    assert held_out["elbo"] < held_out["log_likelihood"]
    assert load(out).prior.prior.levels == (3, 3)
    status, _, words = run("sample", out, "-n", 3, "--out", folder / "s.png")
    assert status == 0, words
    status, said, words = run("score", out, folder / "new.npy")
    assert status == 0, words
    status, _, words = run(
        "fit", folder / "digits.npy", *FIT, "VQ(9, 2, halvings=2)", "--prior", prior, "--out", out
    )
    assert status == 2
    assert "FlowCodes is for the codes of an FSQ" in words


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("Hierarchy(groups=(0, 0))", "the last of them above zero"),
        ("Ladder()", "is not a call such as"),
        ("FSQ(levels=(1,))", "levels must be whole numbers"),
        ("VQ(size=16, depth=2)", "unexpected keyword"),
    ],
)
def test_networks_that_are_none(run, folder, network, words):
    status, _, said = run(
        "fit", folder / "digits.npy", *FIT, network, "--out", folder / "x.variate"
    )
    assert status == 2
    assert words in said


def test_networks_are_for_pictures(run, folder):
    (folder / "t.csv").write_text("a,b\n1,2\n3,4\n")
    status, _, said = run(
        "fit", folder / "t.csv", "--network", "FSQ", "--out", folder / "x.variate"
    )
    assert status == 2
    assert "--network is for pictures" in said
