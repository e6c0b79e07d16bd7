"""The demonstrations: real data that a dependency bundles, a model, and what it can do.

This module does not know anything that a user could not do with the public verbs.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from variate.errors import OutputError
from variate.image import ImageVAE
from variate.image.illustrations import stacked
from variate.image.pictures import animate, grid, write_picture
from variate.music import MusicVAE
from variate.music.demo_data import chorales
from variate.music.engraving import svg_of
from variate.music.midi import write_midi
from variate.music.sound import write_audio
from variate.output import replacing
from variate.series import SeriesVAE
from variate.series.demo_data import carbon_dioxide
from variate.table import TableVAE, files
from variate.table.demo_data import health_insurance
from variate.text import TextVAE
from variate.text.demo_data import python_reference

__all__ = ["DEMOS", "image", "music", "series", "table", "text"]

YEARS_ASIDE, YEARS_AHEAD, WEEKS = 5, 2, 52


def table(folder: Path, *, epochs: int | None, seed: int) -> dict[str, Any]:
    """Fit the RAND Health Insurance Experiment, measure it on rows kept aside, and show it.

    Args:
        folder: Where people.csv, people.variate, sampled.csv and report.html go.
        epochs: The budget; None lets the data decide.
        seed: Of the split, the training and the draws.

    Returns:
        The held-out figures and the files written.
    """
    _make(folder)
    frame = health_insurance()
    order = np.random.default_rng(seed).permutation(len(frame))
    test, train = frame.iloc[order[:4000]], frame.iloc[order[4000:]]
    files.write(train, folder / "train.csv")
    files.write(test, folder / "test.csv")
    _say(f"the RAND Health Insurance Experiment: {len(train):,} rows to learn from, "
         f"{len(test):,} kept aside, {frame.shape[1]} columns")  # fmt: skip
    model = TableVAE(epochs=epochs, seed=seed, verbose=True).fit(train)
    model.save(folder / "model.variate")
    evaluation = model.evaluate(test, seed=seed, train=train, target="health")
    evaluation.to_html(folder / "report.html")
    sampled = model.sample(1000, seed=seed)
    files.write(sampled, folder / "sampled.csv")
    _say(f"\nfive of {len(sampled):,} sampled rows\n{sampled.head().to_string(index=False)}\n")
    _say(f"one row, and three variations of it\n{test.head(1).to_string(index=False)}\n"
         f"{model.vary(test.head(1), 3, seed=seed).to_string(index=False)}\n")  # fmt: skip
    _say("measured on the rows kept aside (nats per row)")
    names = ("model.variate", "report.html", "sampled.csv", "train.csv", "test.csv")
    return evaluation.figures | {"files": {name: str(folder / name) for name in names}}


def image(folder: Path, *, epochs: int | None, seed: int) -> dict[str, Any]:
    """Fit scikit-learn's handwritten digits, measure the model, and draw what it can do.

    Args:
        folder: Where the pictures, model.variate and report.html go.
        epochs: The budget; None lets the data decide.
        seed: Of the split, the training and the draws.

    Returns:
        The held-out figures and the files written.
    """
    from sklearn.datasets import load_digits

    _make(folder)
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.images))
    x, labels = digits.images[order].astype(np.uint8), digits.target[order]
    test, train = x[:297], x[297:]
    for name, array in (("train.npy", train), ("test.npy", test)):
        with replacing(folder / name) as file:
            np.save(file, array, allow_pickle=False)
    _say(f"handwritten digits: {len(train):,} pictures of 8 x 8 pixels and 17 levels to learn "
         f"from, {len(test):,} kept aside")  # fmt: skip
    model = ImageVAE(levels=17, epochs=epochs, seed=seed, verbose=True).fit(train)
    model.save(folder / "model.variate")
    evaluation = model.evaluate(test, seed=seed, train=train, labels=labels[297:])
    evaluation.to_html(folder / "report.html")
    shown = model.codec_.eight_bits
    write_picture(grid(shown(model.sample(64, seed=seed))), folder / "sampled.png")
    pairs = stacked(shown(test[:12]), shown(model.reconstruct(test[:12])))
    write_picture(grid(pairs, 12), folder / "reconstructed.png")
    write_picture(grid(shown(model.traverse(test[:1], steps=11)), 11), folder / "dimensions.png")
    way = shown(model.interpolate(test[:1], test[1:2], steps=24))
    animate(way, folder / "way.gif", there_and_back=True)
    towards = model.direction(train, labels[297:] == 0) - model.direction(train, labels[297:] == 1)
    ones = test[labels[:297] == 1][:8]
    moved = [shown(model.move(ones, towards, strength)) for strength in (0.0, 0.33, 0.67, 1.0)]
    write_picture(grid(np.concatenate([shown(ones), *moved]), len(ones)), folder / "moved.png")
    _say("measured on the pictures kept aside (nats per picture)")
    names = ("model.variate", "report.html", "sampled.png", "reconstructed.png", "dimensions.png",
             "way.gif", "moved.png", "train.npy", "test.npy")  # fmt: skip
    return evaluation.figures | {"files": {name: str(folder / name) for name in names}}


def music(folder: Path, *, epochs: int | None, seed: int) -> dict[str, Any]:
    """Fit the chorales of Bach that music21 bundles, measure the model, and write what it can do.

    Args:
        folder: Where the scores, model.variate and report.html go.
        epochs: The budget; None lets the data decide.
        seed: Of the split, the training and the draws.

    Returns:
        The held-out figures and the files written.
    """
    _make(folder)
    _say("chorales of Bach, from music21; reading them takes a minute or two")
    train, test = chorales(folder, seed=seed)
    _say(f"{len(train):,} windows of two bars of four voices to learn from, {len(test):,} of other "
         "chorales kept aside")  # fmt: skip
    model = MusicVAE(bars=2, epochs=epochs, seed=seed, verbose=True).fit(train)
    model.save(folder / "model.variate")
    evaluation = model.evaluate(test, seed=seed, train=train)
    evaluation.to_html(folder / "report.html")
    real = model.codec_.decode(model.codec_.symbols(test.part([0, len(test) // 2])))
    shown = {
        "drawn": model.sample(4, seed=seed),
        "varied": [real[0], *model.vary(real[:1], 3, seed=seed)],
        "accompanied": [real[0], model.impute(real[:1], voices=[2, 3, 4], seed=seed).filled[0]],
    }
    for name, pieces in shown.items():
        with replacing(folder / f"{name}.svg") as file:
            file.write(svg_of(pieces).encode())
        for number, piece in enumerate(pieces):
            write_midi(piece, folder / f"{name}{number}.mid")
    write_audio(shown["drawn"][0], folder / "drawn0.wav")
    _say("measured on the chorales kept aside (nats per item of two bars)")
    names = ("model.variate", "report.html", "drawn.svg", "varied.svg", "accompanied.svg",
             "drawn0.wav", "train.npz", "test.npz")  # fmt: skip
    return evaluation.figures | {"files": {name: str(folder / name) for name in names}}


def series(folder: Path, *, epochs: int | None, seed: int) -> dict[str, Any]:
    """Fit 39 years of carbon dioxide in the air, forecast what came next, and fill the gaps.

    Args:
        folder: Where the series, forecast.csv, filled.csv, alarms.csv, model.variate and
            report.html go.
        epochs: The budget; None lets the data decide.
        seed: Of the training and the draws.

    Returns:
        The held-out figures and the files written.
    """
    _make(folder)
    frame = carbon_dioxide()
    train, test = frame.iloc[: -YEARS_ASIDE * WEEKS], frame.iloc[-YEARS_ASIDE * WEEKS :]
    _say(f"carbon dioxide in the air at Mauna Loa: {len(train):,} weeks to learn from, the last "
         f"{len(test):,} kept aside")  # fmt: skip
    model = SeriesVAE(epochs=epochs, seed=seed, verbose=True).fit(train)
    model.save(folder / "model.variate")
    evaluation = model.evaluate(test, seed=seed)
    evaluation.to_html(folder / "report.html")
    steps = YEARS_AHEAD * WEEKS
    ahead = model.forecast(train, steps, seed=seed)
    outside = ahead.outside(test["co2"].to_numpy()[:steps, None])
    made = {
        "train.csv": train, "test.csv": test, "forecast.csv": ahead.table,
        "filled.csv": model.impute(train, draws=5, seed=seed).filled,
        "alarms.csv": model.detect(frame),
    }  # fmt: skip
    for name, table in made.items():
        files.write(table, folder / name)
    _say(f"\nthe next {steps} weeks, and the band that 90 of 100 values should lie in; "
         f"{(~outside).mean():.0%} of those kept aside do\n"
         f"{ahead.table.iloc[::13].to_string(index=False)}\n")  # fmt: skip
    _say("measured on the weeks kept aside (nats per window)")
    names = ("model.variate", "report.html", *made)
    return evaluation.figures | {"files": {name: str(folder / name) for name in names}}


def text(folder: Path, *, epochs: int | None, seed: int) -> dict[str, Any]:
    """Fit the sentences of Python's language reference, measure the model, and let it speak.

    Args:
        folder: Where the sentences, model.variate and report.html go.
        epochs: The budget; None lets the data decide.
        seed: Of the split, the training and the draws.

    Returns:
        The held-out figures and the files written.
    """
    _make(folder)
    sentences = python_reference()
    order = np.random.default_rng(seed).permutation(len(sentences))
    test, train = ([sentences[i] for i in part] for part in (order[:300], order[300:]))
    for name, part in (("train.txt", train), ("test.txt", test)):
        _lines(folder / name, part)
    _say(f"the language reference of Python: {len(train):,} sentences to learn from, "
         f"{len(test):,} kept aside")  # fmt: skip
    model = TextVAE(epochs=epochs, seed=seed, verbose=True).fit(train)
    model.save(folder / "model.variate")
    evaluation = model.evaluate(test, seed=seed, train=train)
    evaluation.to_html(folder / "report.html")
    drawn = model.sample(100, seed=seed, top_p=0.9)
    _lines(folder / "sampled.txt", [sentence.replace("\n", " ") for sentence in drawn])
    about = model.direction(train, ["class" in sentence for sentence in train])
    shown = {
        "drawn": drawn[:5],
        "on the way from one sentence to another": model.interpolate(test[:1], test[1:2], steps=5),
        "a sentence, and three variations": [*test[:1], *model.vary(test[:1], 3, seed=seed)],
        "moved towards classes": model.move(test[:3], about, 2.0),
    }
    for title, lines in shown.items():
        _say(f"\n{title}\n  " + "\n  ".join(lines))
    _say("\nmeasured on the sentences kept aside (nats per sentence)")
    names = ("model.variate", "report.html", "sampled.txt", "train.txt", "test.txt")
    return evaluation.figures | {"files": {name: str(folder / name) for name in names}}


DEMOS: dict[str, Callable[..., dict[str, Any]]] = {
    "table": table, "image": image, "text": text, "music": music, "series": series,
}  # fmt: skip


def _lines(path: Path, sentences: list[str]) -> None:
    with replacing(path) as file:
        file.write("".join(sentence + "\n" for sentence in sentences).encode())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}.") from error


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
