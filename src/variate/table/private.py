r"""A table made ready for private training, and what a private estimator may not be asked.

    rows, declarations -> x [N, C]                         declared
    x -> noised counts -> scores, shares, rows to begin with   histograms
    ε -> the noise of both                                 training.accounting

All rows are trained on: none are put aside, because nothing is chosen by them and what would be
measured on them would not be covered.

This module does not know how the steps of training are made.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from variate.errors import DataError, DataWarning, OptionError
from variate.inference import Objective
from variate.models import posteriors, priors
from variate.preparation import Prepared
from variate.privacy import Privacy, Range
from variate.randomness import Secret
from variate.table.constrained import ConstrainedCodec
from variate.table.declared import blank_column, expect_declared, read_column
from variate.table.frames import to_frame
from variate.table.histograms import Histogram, cells_of, noised
from variate.table.schema import Dropped, TableSchema
from variate.training import Event, train_privately
from variate.training.accounting import Spending, plan

__all__ = [
    "PrivatelyPrepared",
    "events",
    "expect_trainable",
    "expect_uninterrupted",
    "prepare_privately",
    "prepared",
]

STEPS = 400
MOSTLY = 0.5
PRIORS = priors.StandardNormal | priors.Mixture
EXAMPLES = 4_096

COVERED = (
    "the weights; the scores, shares and gaps of the columns; the start of training. Neighbours "
    "are tables of equally many rows of which one counts for nothing in one of them."
)
NOT_COVERED = (
    "the number of rows, the names of the columns, their types in the caller's frame and what was "
    "declared of them, which count as "
    "public; what is evaluated later on rows of one's own; several rows of one person, each of "
    "which spends its own ε; the time that training took, and the rounding of floating-point "
    "numbers; other models fitted to the same rows, whose ε adds up."
)


@dataclass(frozen=True)
class PrivatelyPrepared(Prepared):
    """Data made ready for private training.

    Attributes:
        spending: What the run spends.
    """

    spending: Spending

    def facts(self, raw: Any) -> dict[str, Any]:
        """What is known before training begins, with what is spent."""
        steps = self.spending.steps
        return super().facts(raw) | {
            "privacy": {
                "epsilon": self.spending.epsilon,
                "delta": self.spending.delta,
                "noise_multiplier": steps.noise,
                "sampling_rate": steps.rate,
                "steps": steps.times,
                "histogram_noise_multiplier": self.spending.histograms.noise,
                "accountant": "Rényi",
                "covers": COVERED,
                "does_not_cover": NOT_COVERED,
            }
        }


def prepare_privately(
    raw: Any,
    privacy: Privacy,
    *,
    columns: Any = None,
    batch_size: int,
    epochs: float | None,
    seed: int,
    secret: Secret | None = None,
) -> PrivatelyPrepared:
    """A table as x, with a codec that was made from declarations and noised counts.

    Args:
        raw: The table.
        privacy: The budget and the declarations.
        columns: Columns to leave out: name to "ignore".
        batch_size: Rows of a step, on average.
        epochs: Passes over the rows, on average; None for `STEPS` steps.
        seed: Of the rows to begin with, which are drawn from what is noised.
        secret: Where the noise comes from; None is the operating system.

    Raises:
        OptionError: A column is not declared, or no noise is enough.
        DataError: It is no table, or has fewer than two rows.
    """
    ignored = {str(name) for name in columns or {}}
    frame = to_frame(raw, sorted(ignored))
    names, rows = frame.table.column_names, frame.table.num_rows
    expect_declared(names, privacy.columns, ignored)
    if rows < 2 or len(ignored) == len(names):
        raise DataError(f"there are {rows} row(s) and {len(names) - len(ignored)} column(s) to "
                        "learn from; at least 2 rows and a column are needed.")  # fmt: skip
    secret = secret or Secret()
    rate = min(1.0, batch_size / rows)
    spending = plan(privacy, rate, STEPS if epochs is None else max(1, round(epochs / rate)))
    kept = [name for name in names if name not in ignored]
    numeric = all(isinstance(privacy.columns[name], Range) for name in kept)
    blank = [
        blank_column(name, privacy.columns[name], frame.source, numeric=numeric, label=label)
        for name, label in zip(names, frame.labels, strict=True)
        if name not in ignored
    ]
    x = [read_column(frame.table.column(name), privacy.columns[name]) for name in kept]
    cells = [cells_of(column, _atoms(privacy, column.name)) for column in blank]
    length = float(np.sqrt(sum(part.squared_length for part in cells)))
    histograms = noised(
        cells,
        [part.counts(values) for part, values in zip(cells, x, strict=True)],
        [secret.normal(part.count).numpy() for part in cells],
        rows,
        spending.histograms.noise * length,
    )
    for histogram in histograms:
        _mention_unknown(histogram)
    codec = ConstrainedCodec(columns)
    codec.schema = TableSchema(
        columns=tuple(histogram.column() for histogram in histograms),
        rows=rows,
        source=frame.source,
        dropped=tuple(Dropped(name, "ignored, as asked") for name in names if name in ignored),
        names=tuple(names),
    )
    generator = np.random.default_rng(seed)
    begin = np.stack([histogram.draw(EXAMPLES, generator) for histogram in histograms], 1)
    return PrivatelyPrepared(
        codec, torch.from_numpy(np.stack(x, 1)), torch.from_numpy(begin), None, None, spending
    )


def prepared(estimator: Any, raw: Any) -> PrivatelyPrepared:
    """A table made ready as a `TableVAE` with privacy asks; see `prepare_privately`."""
    return prepare_privately(
        raw,
        estimator.privacy,
        columns=estimator.columns,
        batch_size=estimator.batch_size or 256,
        epochs=estimator.epochs,
        seed=estimator.seed,
    )


def events(estimator: Any, ready: PrivatelyPrepared, objective: Objective) -> Iterator[Event]:
    """The private training run of a `TableVAE`, not yet begun."""
    return train_privately(
        estimator.model_,
        objective,
        ready.many(),
        spending=ready.spending,
        clip=estimator.privacy.clip,
        learning_rate=estimator.learning_rate,
        device=estimator.device,
    )


def _mention_unknown(histogram: Histogram) -> None:
    """Say that a declaration does not fit, as far as the noised counts tell."""
    if histogram.known() < MOSTLY:
        warnings.warn(
            f"column {histogram.cells.column.name!r}: by the noised counts, most rows hold nothing "
            "that is declared of it, and count as not observed; look at its declaration",
            DataWarning,
            stacklevel=2,
        )


def _atoms(privacy: Privacy, name: str) -> tuple[float, ...]:
    declared = privacy.columns[name]
    return tuple(map(float, declared.atoms)) if isinstance(declared, Range) else ()


def expect_trainable(estimator: Any) -> None:
    """Refuse what would look at the rows without paying for it, or is not made for it.

    Args:
        estimator: A `TableVAE` with privacy.

    Raises:
        OptionError: An argument of it cannot be used together with privacy.
    """
    prior, posterior = estimator.prior, estimator.posterior
    refused = {
        "minutes": (estimator.minutes is not None, "the noise depends on the number of steps, "
                    "which must be known beforehand: give epochs"),
        "precision": (estimator.precision != "float32", "it trains in float32"),
        "columns": (any(kind != "ignore" for kind in (estimator.columns or {}).values()), "kinds "
                    "are declared in Privacy(columns=...); here columns can only be ignored"),
        "constraints": (bool(estimator.constraints), "a constraint learns from "
                        "rows what it keeps to (keys, levels, grids), which is not paid for"),
        "prior": (prior is not None and not isinstance(prior, PRIORS),
                  "only StandardNormal and Mixture learn nothing from rows but by gradients"),
        "posterior": (posterior is not None
                      and not isinstance(posterior, posteriors.DiagonalGaussian),
                      "codes are drawn row by row, from a DiagonalGaussian"),
    }  # fmt: skip
    for name, (asked, why) in refused.items():
        if asked:
            raise OptionError(f"{name} cannot be used together with privacy: {why}.")


def expect_uninterrupted(checkpoint: Any, processes: int | None, *, resume: bool) -> None:
    """Refuse arguments of `fit` that private training does not have.

    Raises:
        OptionError: A checkpoint, or several processes.
    """
    if checkpoint is not None or resume:
        raise OptionError(
            "checkpoint and resume cannot be used together with privacy: what a step saw would be "
            "kept in a file, and noise that can be drawn again hides nothing."
        )
    if processes not in (None, 1):
        raise OptionError("processes cannot be used together with privacy: it trains in one.")
