"""Pictures on the command line."""

import contextlib
import csv
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from variate import cli, load
from variate.cli.labelling import labels_of
from variate.errors import DataError, DataWarning, OptionError
from variate.image.reading import Wanted, read

pytestmark = pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")

X = load_digits().images.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "photos").mkdir()
    for i in range(60):
        Image.fromarray(X[i] * 15).save(folder / "photos" / f"{i:02d}.png")
    np.save(folder / "digits.npy", X[:300])
    np.save(folder / "new.npy", X[300:340])
    return folder


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "digits.variate"
    sys.argv = ["variate", "fit", str(folder / "digits.npy"), "--levels", "17", "--width", "8"]
    sys.argv += ["--latent", "4", "--epochs", "30", "--quiet", "--out", str(path)]
    with contextlib.suppress(SystemExit):
        cli.main()
    return path


def test_a_folder_of_pictures_becomes_a_model(run, folder, tmp_path):
    (tmp_path / "p").mkdir()
    out = tmp_path / "p.variate"
    status, said, _ = run(
        "fit", folder / "photos", "--size", 12, "--width", 4, "--latent", 2, "--epochs", 1,
        "--depth", 1, "--quiet", "--json", "--out", out,
    )  # fmt: skip
    assert status == 0
    assert json.loads(said)["picture"] == [1, 12, 12]
    assert load(out).codec_.grey.levels == 256
    status, _, _ = run("sample", out, "-n", 3, "--out", tmp_path / "drawn")
    assert status == 0
    assert len(list((tmp_path / "drawn").iterdir())) == 3
    status, said, _ = run("score", out, folder / "photos", "--draws", 4)
    assert status == 0
    rows = list(csv.DictReader(said.splitlines()))
    assert [rows[0]["picture"], rows[59]["picture"]] == ["00.png", "59.png"]


def test_info_says_what_the_pictures_are(run, model):
    status, said, _ = run("info", model)
    assert status == 0
    assert "pictures of 8 x 8 pixels (height x width), grey, 17 levels" in said


@pytest.mark.parametrize("ending", ["x.png", "x.webp", "x.gif", "x.npy", "x"])
def test_samples_in_every_form(run, model, tmp_path, ending):
    status, _, said = run("sample", model, "-n", 5, "--seed", 0, "--out", tmp_path / ending)
    assert status == 0, said
    if ending == "x.npy":
        assert np.load(tmp_path / ending).shape == (5, 8, 8)


def test_pictures_need_a_place_to_go(run, model, folder, tmp_path):
    status, _, said = run("sample", model)
    assert status == 2
    assert "pictures need --out" in said
    status, _, said = run("sample", model, "--out", folder)
    assert status == 1
    assert "a folder with something in it" in said
    status, _, said = run("sample", model, "--out", tmp_path / "x.txt")
    assert status == 1
    assert "pictures end in" in said


def test_the_verbs(run, model, folder, tmp_path):
    new = folder / "new.npy"
    out = tmp_path / "out.png"
    for command in (
        ["reconstruct", model, new],
        ["vary", model, new, "--item", 3, "-n", 4],
        ["interpolate", model, new, "--from", 0, "--to", 7, "--steps", 5],
        ["traverse", model, new, "--item", 2, "--steps", 3],
        ["traverse", model],
    ):
        status, _, said = run(*command, "--out", out)
        assert status == 0, said
        assert Image.open(out).convert("L").size[0] > 8
        out.unlink()
    status, said, _ = run("encode", model, new)
    assert status == 0
    assert said.startswith("picture,z1,z2,z3,z4,scale1")
    status, _, said = run("vary", model, new, "--item", 40, "--out", out)
    assert status == 2
    assert "the pictures 0 to 39" in said


def test_filling(run, model, folder, tmp_path):
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    np.save(tmp_path / "mask.npy", mask)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for name in ("mask.npy", "mask.png"):
        out = tmp_path / f"{name}.filled.npy"
        status, _, said = run(
            "impute", model, folder / "new.npy", "--mask", tmp_path / name, "--out", out
        )
        assert status == 0, said
        assert np.array_equal(np.load(out)[:, :, :4], X[300:340, :, :4])
    status, _, _ = run(
        "impute", model, folder / "new.npy", "--mask", tmp_path / "mask.png", "--draws", 3,
        "--out", tmp_path / "drawn.png",
    )  # fmt: skip
    assert status == 0
    status, _, said = run("impute", model, folder / "new.npy", "--out", tmp_path / "x.png")
    assert status == 2
    assert "pictures need --mask" in said


def test_strange_pictures(run, model, folder, tmp_path):
    strange = X[300:360].copy()
    strange[7] = np.random.default_rng(0).integers(0, 17, (8, 8))
    np.save(tmp_path / "strange.npy", strange)
    np.save(tmp_path / "normal.npy", X[400:600])
    status, said, words = run(
        "detect", model, tmp_path / "strange.npy", "--normal", tmp_path / "normal.npy",
        "--fdr", 0.4, "--heat", tmp_path / "heat.png",
    )  # fmt: skip
    assert status == 0, words
    rows = list(csv.DictReader(said.splitlines()))
    assert rows[7]["anomaly"] == "true"
    assert "of what is unexpected" in rows[7]["reasons"]
    assert (tmp_path / "heat.png").exists()


def test_an_evaluation(run, model, folder, tmp_path):
    status, said, words = run(
        "evaluate", model, folder / "new.npy", "--train", folder / "digits.npy", "--draws", 4,
        "--json", "--out", tmp_path / "report.html",
    )  # fmt: skip
    assert status == 0, words
    found = json.loads(said)
    assert {"elbo", "log_likelihood", "bits_per_dimension", "psnr", "ssim"} <= set(found)
    assert (tmp_path / "report.html").stat().st_size > 10_000


REFUSED = {
    "--size": (["fit", "TABLE", "--size", "9"], "--size is for pictures"),
    "--window": (["fit", "DATA", "--window", "9"], "--window is for series, and does not go with"),
    "--hidden": (["fit", "DATA", "--hidden", "9"], "--hidden is for tables and series"),
    "--target": (["evaluate", "MODEL", "DATA", "--target", "a"], "--target is for models"),
    "--given": (["sample", "MODEL", "--given", "a=b"], "--given is for models"),
    "--level": (["fit", "DATA", "--level", "0.1"], "--level is for detectors"),
    "traverse": (["traverse", "MODEL", "DATA", "--item", "99"], "--out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_of_other_kinds_is_refused(run, model, folder, tmp_path, name):
    command, reason = REFUSED[name]
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    places = {"MODEL": model, "DATA": folder / "new.npy", "TABLE": tmp_path / "t.csv"}
    status, _, said = run(*(places.get(word, word) for word in command))
    assert status == 2
    assert reason in said or "no picture 99" in said


@pytest.mark.slow
def test_the_demonstration(run, tmp_path):
    status, said, words = run("demo", "image", "--epochs", 2, "--out", tmp_path / "demo", "--json")
    assert status == 0, words
    files = json.loads(said)["files"]
    assert {"sampled.png", "moved.png", "report.html", "way.gif"} <= set(files)


# ---- labels -----------------------------------------------------------------------------------

Y = load_digits().target


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_an_evaluation_by_features(run, model, folder, tmp_path):
    np.save(tmp_path / "labels.npy", Y[:300])
    np.save(tmp_path / "new.npy", X[300:420])
    status, said, words = run(
        "evaluate", model, tmp_path / "new.npy", "--train", folder / "digits.npy",
        "--labels", tmp_path / "labels.npy", "--draws", 2, "--json",
    )  # fmt: skip
    assert status == 0, words
    found = json.loads(said)
    assert found["samples"]["features"] == "classifier"
    assert found["samples"]["comparable_with_published"] is False
    assert {"samples_drawn", "samples_means", "samples_real"} < set(found)
    assert "copy_rate" in found["samples_drawn"]


def test_labels_of_pictures_wherever_they_are(folder, tmp_path):
    for i in range(6):
        (tmp_path / "photos" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[i] * 15).save(tmp_path / "photos" / str(i % 2) / f"{i}.png")
    photos = tmp_path / "photos"
    items = read(photos, Wanted())
    assert labels_of("folders", photos, items).tolist() == ["0", "0", "0", "1", "1", "1"]
    named = tmp_path / "named.csv"
    lines = ["picture,label,weight", *(f"{i % 2}/{i}.png,{'ab'[i % 2]},1" for i in range(6))]
    named.write_text("\n".join(lines))
    assert labels_of(str(named), photos, items).tolist() == ["a", "a", "a", "b", "b", "b"]
    files = [photos / str(i % 2) / f"{i}.png" for i in range(6)]
    encoded = [{"bytes": file.read_bytes(), "path": None} for file in files]
    encoded[2] = {"bytes": b"no picture", "path": None}
    table = pa.table({"image": encoded, "digit": list(range(6))})
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.warns(DataWarning, match="1 of 6 pictures are left out"):
        items = read(tmp_path / "p.parquet", Wanted())
    assert labels_of("digit", tmp_path / "p.parquet", items).tolist() == [0, 1, 3, 4, 5]


def test_labels_that_are_none(folder, tmp_path):
    items = read(folder / "new.npy", Wanted())
    np.save(tmp_path / "few.npy", Y[:3])
    with pytest.raises(DataError, match=r"few.npy has 3 labels, and there are 40 items"):
        labels_of(str(tmp_path / "few.npy"), folder / "new.npy", items)
    with pytest.raises(OptionError, match="--labels digit: this is neither a file"):
        labels_of("digit", folder / "new.npy", items)
    with pytest.raises(OptionError, match="of a folder of folders say --labels folders"):
        labels_of("digit", folder / "photos", read(folder / "photos", Wanted()))
    lines = ["picture,label", *(f"{i},{i}" for i in range(39))]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"no label for 1 of 40 items; the first is '39'"):
        labels_of(str(tmp_path / "l.csv"), folder / "new.npy", items)
    (tmp_path / "l.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="a file of labels has the column 'label'"):
        labels_of(str(tmp_path / "l.csv"), folder / "new.npy", items)
    (tmp_path / "l.csv").write_text("picture,label\n0,\n1,a\n")
    with pytest.raises(DataError, match="no label in row 0"):
        labels_of(str(tmp_path / "l.csv"), folder / "new.npy", items)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(OptionError, match="has no such column; it has a, b"):
        labels_of("c", tmp_path / "t.csv", None)
    assert labels_of("b", tmp_path / "t.csv", None).tolist() == [2, 4]


# ---- directions, animations, options that are objects -------------------------------------------


def test_a_direction_is_found_kept_and_followed(run, model, folder, tmp_path):
    np.save(tmp_path / "labels.npy", Y[:300])
    way, digits = tmp_path / "way.json", folder / "digits.npy"
    status, said, words = run(
        "direction", model, digits, "--labels", tmp_path / "labels.npy", "--from", 1, "--to", 0,
        "--out", way, "--json",
    )  # fmt: skip
    assert status == 0, words
    told = json.loads(said)
    assert [told["with"], told["without"]] == [int((Y[:300] == 0).sum()), int((Y[:300] == 1).sum())]
    fitted = load(model)
    either = Y[:300] < 2
    expected = fitted.direction(X[:300][either], Y[:300][either] == 0)
    assert np.allclose(json.loads(way.read_text())["direction"], expected)
    out = tmp_path / "moved.npy"
    status, _, words = run(
        "move", model, folder / "new.npy", "--direction", way, "--strength", 0.5, "--out", out
    )
    assert status == 0, words
    assert np.array_equal(np.load(out), fitted.move(X[300:340], expected, 0.5))
    sheet = tmp_path / "sheet.png"
    status, _, words = run(
        "move", model, folder / "new.npy", "--item", 2, "--direction", way, "--steps", 5,
        "--out", sheet,
    )  # fmt: skip
    assert status == 0, words
    with Image.open(sheet) as image:
        assert image.size[0] > 4 * image.size[1]


def test_directions_that_make_no_sense(run, model, folder, tmp_path):
    np.save(tmp_path / "labels.npy", Y[:300])
    np.save(tmp_path / "truth.npy", Y[:300] == 3)
    labels, digits = tmp_path / "labels.npy", folder / "digits.npy"
    command = ["direction", model, digits, "--labels", labels, "--out", tmp_path / "way.json"]
    status, _, said = run(*command)
    assert status == 2
    assert "say --to with the label to move to; there are 0, 1, 2" in said
    status, _, said = run(*command, "--to", "seven")
    assert status == 1
    assert "no item has the label 'seven'; there are 0, 1" in said
    np.save(labels, Y[:299])
    status, _, said = run(*command, "--to", 1)
    assert status == 1
    assert "299 labels, and there are 300 items" in said
    command[4] = tmp_path / "truth.npy"
    status, _, said = run(*command)
    assert status == 0, said
    told = json.loads((tmp_path / "way.json").read_text())
    move = ["move", model, folder / "new.npy", "--direction", tmp_path / "way.json"]
    status, _, said = run(*move, "--steps", 1, "--out", tmp_path / "x.png")
    assert status == 2
    for broken, reason in (
        ({**told, "model": "other"}, "a direction of another model"),
        ({**told, "direction": [1.0]}, "a direction of another model"),
        ({"a": 1}, "is no direction"),
    ):
        (tmp_path / "way.json").write_text(json.dumps(broken))
        status, _, said = run(*move, "--out", tmp_path / "x.png")
        assert status == 1
        assert reason in said


@pytest.mark.parametrize("ending", ["x.gif", "x.webp"])
def test_animations(run, model, folder, tmp_path, ending):
    new, out = folder / "new.npy", tmp_path / ending
    for command, frames in (
        (["traverse", model, "--steps", 5], 8),  # five there, three back; all dimensions at once
        (["interpolate", model, new, "--from", 0, "--to", 7, "--steps", 6], 10),
    ):
        status, _, said = run(*command, "--animate", "--out", out)
        assert status == 0, said
        with Image.open(out) as image:
            assert frames // 2 <= image.n_frames <= frames  # equal ones are written once
        out.unlink()
    status, _, said = run("traverse", model, "--animate", "--out", tmp_path / "x.png")
    assert status == 2
    assert "animations end in .gif or .webp" in said


def test_options_that_are_objects(run, folder, tmp_path):
    out = tmp_path / "m.variate"
    status, _, said = run(
        "fit", folder / "digits.npy", "--levels", 17, "--width", 4, "--latent", 3, "--epochs", 1,
        "--quiet", "--likelihood", "CategoricalPixels(1, 17)", "--prior", "Vamp(3, components=8)",
        "--posterior", "LowRankGaussian(3, rank=1)",
        "--objective", "FreeBits(0.1, beta=WarmUp(1.0, 0.5))", "--out", out,
    )  # fmt: skip
    assert status == 0, said
    fitted = load(out)
    assert type(fitted.model_.decoder.head).__name__ == "CategoricalPixels"
    assert type(fitted.model_.prior).__name__ == "Vamp"
    assert fitted.posterior.rank == 1
    assert fitted.objective.beta.share == 0.5


@pytest.mark.parametrize(
    ("option", "text", "reason"),
    [
        ("--prior", "Vamp(3", "is not a call such as"),
        ("--prior", "open('x')", "is not a call such as"),
        ("--prior", "Vamp(3, **{'components': 2})", "is not a call such as"),
        ("--prior", "Vamp(3, components=__import__('os'))", "is not a call such as"),
        ("--prior", "Vamp()", "missing 2 required"),
        ("--objective", "FreeBits(-1)", "nats_per_dimension"),
        ("--objective", "3", "is not a call such as"),
    ],
)
def test_objects_that_are_none(run, folder, option, text, reason):
    status, _, said = run("fit", folder / "digits.npy", option, text)
    assert status == 2
    assert reason in said
