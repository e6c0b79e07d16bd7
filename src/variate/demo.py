"""The demonstrations: real data that a dependency bundles, a model, and what it can do.

This module does not know anything that a user could not do with the public verbs.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from variate.errors import OutputError
from variate.table import TableVAE, files
from variate.table.demo_data import health_insurance

__all__ = ["DEMOS", "table"]


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


DEMOS: dict[str, Callable[..., dict[str, Any]]] = {"table": table}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}.") from error


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
