"""The child's side of a job: one method learns one table and samples one, in a process of its own.

    python -m harness.table_method METHOD TRAIN.csv.gz OUT.csv.gz ABOUT.json

ABOUT.json says: categorical (names), seed, threads, epochs (null for the method's default), rows
(how many to learn from, null for all). It is replaced by what the job cost. Every method is at its
defaults; all are told which columns are categories whatever their type. The time of imports and of
reading and writing files is nobody's; a first small sample, before the timed one, is the start-up.

This module does not know the figures.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from harness.table_process import TreeStopwatch

__all__ = ["METHODS"]

MISSING = "(missing)"
START = 100  # rows of the sample that starts a method up

Sample = Callable[[int], pd.DataFrame]
Fit = Callable[[pd.DataFrame], Sample]


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        categorical: The columns that are categories, whatever their type.
        seed: The seed of the training and of the sample.
        threads: The number of threads.
        epochs: The number of epochs; None for the method's own default.
        rows: How many rows to learn from; None for all.
    """

    categorical: tuple[str, ...]
    seed: int
    threads: int
    epochs: int | None
    rows: int | None


def main(method: str, train: Path, out: Path, about: Path) -> None:
    job = Job(**json.loads(about.read_text(encoding="utf-8")))
    torch.set_num_threads(job.threads)
    warnings.simplefilter("ignore")
    package, prepare = METHODS[method]
    fit = prepare(job)
    table = pd.read_csv(train, float_precision="round_trip").head(job.rows)
    fitting = TreeStopwatch()
    sample = fit(table)
    fitted = fitting.taken()
    starting = TreeStopwatch()
    sample(START)
    started = starting.taken()
    sampling = TreeStopwatch()
    synthetic = sample(len(table))
    sampled = sampling.taken()
    synthetic.to_csv(out, index=False)
    told = {
        "version": version(package),
        "torch": torch.__version__,
        "rows": len(table),
        "fit": fitted._asdict(),
        "start": started._asdict(),
        "sample": sampled._asdict(),
        "types_changed": types_changed(table, synthetic),
    }
    about.write_text(json.dumps(told), encoding="utf-8")


def types_changed(table: pd.DataFrame, synthetic: pd.DataFrame) -> list[str]:
    """The columns that come back with another type, or not at all."""
    found = {name: str(synthetic[name].dtype) for name in synthetic}
    return [name for name in table if found.get(name) != str(table[name].dtype)]


def variate(job: Job) -> Fit:
    from variate import TableVAE

    more: dict[str, Any] = {} if job.epochs is None else {"epochs": job.epochs}
    if job.categorical:
        more["columns"] = dict.fromkeys(job.categorical, "category")

    def fit(table: pd.DataFrame) -> Sample:
        model = TableVAE(seed=job.seed, **more).fit(table)
        return lambda rows: model.sample(rows, seed=job.seed)

    return fit


def tvae(job: Job) -> Fit:
    from ctgan import TVAE

    more = {} if job.epochs is None else {"epochs": job.epochs}

    def fit(table: pd.DataFrame) -> Sample:
        text = [name for name in job.categorical if table[name].dtype.kind == "O"]
        filled = table.fillna(dict.fromkeys(text, MISSING))  # it takes no missing values
        model = TVAE(**more)
        model.set_random_state(job.seed)
        model.fit(filled, discrete_columns=list(job.categorical))
        return lambda rows: model.sample(rows).replace(dict.fromkeys(text, MISSING), float("nan"))

    return fit


def mostlyai(job: Job) -> Fit:
    from mostlyai.engine import TabularARGN

    more = {} if job.epochs is None else {"max_epochs": float(job.epochs)}

    def fit(table: pd.DataFrame) -> Sample:
        kinds = {  # what it would choose itself, but for categories that are integers
            name: "TABULAR_CATEGORICAL" if name in job.categorical else "TABULAR_NUMERIC_AUTO"
            for name in table
        }
        model = TabularARGN(random_state=job.seed, tgt_encoding_types=kinds, **more).fit(table)
        return lambda rows: model.sample(rows)

    return fit


METHODS: dict[str, tuple[str, Callable[[Job], Fit]]] = {
    "variate": ("variate", variate),
    "tvae": ("ctgan", tvae),
    "mostlyai": ("mostlyai-engine", mostlyai),
}

if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
