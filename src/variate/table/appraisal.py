"""What an evaluation of a table model says beyond the likelihood: figures, and report sections.

Tables are compared in codec space: real rows x that the model has not seen, synthetic rows, the
real rows after their way through the code, and, where they are at hand, the training rows.
`glossary` says what each figure means, `fidelity` what its noise floor is.

A model that never leaves a cell empty says nothing of *which* cells go missing. Its rows are given
the gaps of the real ones before whole rows or pairs of columns are compared, so that gaps alone do
not decide; the missing error is that of the rows as they were drawn.

This module does not know the model, only what it made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from variate.errors import OptionError
from variate.report import Section
from variate.table.codeless import Codeless
from variate.table.detection import Efficacy, efficacy
from variate.table.disclosure import Disclosure, disclosure
from variate.table.fidelity import Fidelity, fidelity, floor, halves
from variate.table.measures import Kind, column_shape_error, missing_error
from variate.table.pictures import Column
from variate.table.rarity import rare_counts, rare_share, rare_values
from variate.table.schema import ColumnSchema
from variate.table.sections import Findings, sections

__all__ = ["appraise"]


@dataclass(frozen=True)
class _Rows:
    """The tables that are compared, with the kinds of their columns."""

    real: np.ndarray
    synthetic: np.ndarray
    train: np.ndarray | None
    kinds: Sequence[Kind]
    seed: int


def appraise(
    schema: Sequence[ColumnSchema],
    x: np.ndarray,
    synthetic: np.ndarray,
    reconstructed: np.ndarray,
    codes: np.ndarray,
    *,
    seed: int,
    train: np.ndarray | None = None,
    holdout: np.ndarray | None = None,
    target: str | None = None,
    codeless: Codeless | None = None,
) -> tuple[dict[str, Any], list[Section]]:
    """Figures and sections of a table model.

    Args:
        schema: The C modelled columns.
        x: Rows that the model has not seen, `[N, C]`.
        synthetic: Rows that it drew, best as many, `[M, C]`.
        reconstructed: x through the code and back, `[N, C]`.
        codes: The posterior means of x, `[N, D]`.
        seed: Of the classifiers and of every choice of rows and pairs.
        train: The rows that the model was trained on `[T, C]`; without them privacy is not
            measured, and the noise floor comes from halves of x.
        holdout: Rows that the model was not trained on, for privacy; None takes x.
        target: The column that a downstream model is to predict; None leaves efficacy out.
        codeless: What the same model without its latent variable makes of rows, if it was trained.

    Returns:
        The figures of `glossary` as far as they could be measured; `two_sample_auc_error`;
        `rare_columns`, how many rare values each column has; `noise_floor` and `without_z`,
        figures by the same names, the latter with a `log_likelihood` and its error;
        `column_errors` in percent by column; and the sections.

    Raises:
        OptionError: There is no such target column.
    """
    columns = [Column.of(column) for column in schema]
    kinds = [column.kind for column in columns]
    place = None if target is None else _position(target, columns)
    given_gaps = bool(np.isnan(x).any() and not np.isnan(synthetic).any())
    drawn = _with_gaps_of(x, synthetic) if given_gaps else synthetic
    rows = _Rows(x, drawn, train, kinds, seed)
    found = replace(
        fidelity(x, drawn, kinds, seed=seed),
        shape=column_shape_error(x, synthetic, kinds),
        missing=missing_error(x, synthetic),
    )
    noise = floor(x, kinds, rows=len(drawn), second=train, seed=seed)
    use = None if place is None else _use(rows, place)
    holdout = x if holdout is None else holdout
    told, told_of_real = _told(rows, holdout)

    figures: dict[str, Any] = found.figures()
    figures["two_sample_auc_error"] = _number(found.boosted.error)
    figures |= _of_use(use) | _of_privacy(told)
    figures["noise_floor"] = _of_floor(noise, use, told, told_of_real)
    if train is not None and told is not None:
        rare = rare_values(train, schema)
        figures["rare_values"] = rare_share(synthetic, rare)
        figures["noise_floor"]["rare_values"] = rare_share(holdout, rare)
        figures["rare_columns"] = rare_counts(train, schema)
    if codeless is not None:
        figures |= _of_code(codeless)
        figures["noise_floor"]["code_gain"] = 0.0
        figures["without_z"] = _without_code(codeless, rows, place)
    figures["column_errors"] = {
        column.name: _number(100 * error)
        for column, error in zip(columns, found.shape, strict=True)
    }
    findings = Findings(
        columns, figures, found, noise, told, target, place, given_gaps, train is not None
    )
    return figures, sections(findings, x, synthetic, reconstructed, codes)


# -- what is compared -----------------------------------------------------------------------------


def _position(target: str, columns: Sequence[Column]) -> int:
    names = [column.name for column in columns]
    if target not in names:
        raise OptionError(
            f"the target {target!r} is not a column of the model; it has "
            f"{', '.join(map(repr, names))}."
        )
    return names.index(target)


def _with_gaps_of(x: np.ndarray, synthetic: np.ndarray) -> np.ndarray:
    """The synthetic rows with the gaps of the real ones, taken again from the first on."""
    gaps = np.isnan(x)[np.arange(len(synthetic)) % max(1, len(x))]
    return np.where(gaps, np.nan, synthetic)


def _use(rows: _Rows, target: int) -> tuple[Efficacy, Efficacy]:
    """What was learned from synthetic rows and from as many real ones, on the same test rows."""
    known, test = (rows.train, rows.real)
    if known is None:
        known, test = halves(rows.real, seed=rows.seed)
    size = min(len(known), len(rows.synthetic))
    chosen = np.random.default_rng(rows.seed).permutation(len(known))[:size]
    learned, baseline = (
        efficacy(train, test, target, rows.kinds, seed=rows.seed)
        for train in (rows.synthetic[:size], known[chosen])
    )
    return learned, baseline


def _without_code(codeless: Codeless, rows: _Rows, target: int | None) -> dict[str, Any]:
    """The figures of the rows that a model without z drew, and how probable it finds real ones."""
    drawn = codeless.drawn
    if np.isnan(rows.real).any() and not np.isnan(drawn).any():
        drawn = _with_gaps_of(rows.real, drawn)
    mean, error = _mean(codeless.log_likelihood)
    scored = len(codeless.log_likelihood)
    figures: dict[str, Any] = {
        "rows": scored, "log_likelihood": mean, "log_likelihood_error": error
    }  # fmt: skip
    figures |= fidelity(rows.real, drawn, rows.kinds, seed=rows.seed).figures()
    if target is not None:
        figures |= {"efficacy": _of_use(_use(replace(rows, synthetic=drawn), target))["efficacy"]}
    return figures


def _told(rows: _Rows, holdout: np.ndarray) -> tuple[Disclosure | None, Disclosure | None]:
    """What the synthetic rows tell of the training rows, and what half of the held-out ones do."""
    if rows.train is None:
        return None, None
    first, second = halves(holdout, seed=rows.seed)
    return (
        disclosure(rows.synthetic, rows.train, holdout, rows.kinds, seed=rows.seed),
        disclosure(first, rows.train, second, rows.kinds, seed=rows.seed),
    )


# -- figures by name ------------------------------------------------------------------------------


def _of_use(use: tuple[Efficacy, Efficacy] | None) -> dict[str, Any]:
    if use is None:
        return {}
    learned, baseline = use
    return {
        "efficacy": _number(learned.score),
        "efficacy_real": _number(baseline.score),
        "efficacy_measure": learned.measure,
    }


def _of_code(codeless: Codeless) -> dict[str, Any]:
    if codeless.gain is None:
        return {}
    mean, error = _mean(codeless.gain)
    return {"code_gain": mean, "code_gain_error": error}


def _of_privacy(told: Disclosure | None) -> dict[str, Any]:
    if told is None:
        return {}
    return {
        "dcr": float(np.median(told.synthetic)),
        "dcr_real": float(np.median(told.holdout)),
        "dcr_share": told.share,
        "exact_copies": told.copies,
        "exact_copies_real": told.holdout_copies,
        "membership_advantage": told.advantage,
        "membership_advantage_error": told.advantage_error,
        "membership_advantage_interval": list(told.interval),
    }


def _of_floor(
    noise: Fidelity,
    use: tuple[Efficacy, Efficacy] | None,
    told: Disclosure | None,
    told_of_real: Disclosure | None,
) -> dict[str, Any]:
    figures: dict[str, Any] = noise.figures()
    if use is not None:
        figures["efficacy"] = _number(use[1].score)
    if told is not None:
        figures["dcr"] = float(np.median(told.holdout))
        figures["exact_copies"] = told.holdout_copies
    if told_of_real is not None:
        figures["dcr_share"] = told_of_real.share
        figures["membership_advantage"] = told_of_real.advantage
    return figures


def _mean(values: np.ndarray) -> tuple[float, float | None]:
    """The mean and its standard error."""
    rows = len(values)
    return float(values.mean()), float(values.std(ddof=1) / rows**0.5) if rows > 1 else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
