"""The sections of a report on synthetic rows: figures, columns, pairs, privacy, codes.

Tables are in codec space: float64 `[N, C]`, NaN = missing, categories as codes. Nothing is drawn
before a report is rendered.

This module does not know any model, nor how figures are measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from variate.report import Section
from variate.report.style import shorten
from variate.table.curves import closeness
from variate.table.disclosure import Disclosure
from variate.table.fidelity import Fidelity
from variate.table.glossary import CODE, FIDELITY, PRIVACY, USE, Entry
from variate.table.maps import association_maps, latent_maps, trend_map
from variate.table.neighbours import NEIGHBOURS
from variate.table.pictures import Column, marginals, percent, reconstruction

__all__ = ["Findings", "sections"]

MAPPED = 3  # latent maps in a report, one per colouring column
WORST = 12  # columns and pairs in a table
LABEL = 32  # characters of a column's name in a table


@dataclass(frozen=True)
class Findings:
    """What was found out about synthetic rows.

    Attributes:
        columns: The C modelled columns.
        figures: By the names of the glossary, with `noise_floor` and perhaps `without_z`.
        found: The measures behind the figures.
        noise: The same of a second sample of real rows.
        told: What the synthetic rows tell of the training rows; None if they are not at hand.
        target: The name of the column that a downstream model predicts, if any.
        place: Its position.
        given_gaps: Whether the synthetic rows were given the gaps of the real ones.
        trained: Whether the noise floor is that of training rows, and not of halves.
    """

    columns: Sequence[Column]
    figures: Mapping[str, Any]
    found: Fidelity
    noise: Fidelity
    told: Disclosure | None
    target: str | None
    place: int | None
    given_gaps: bool
    trained: bool


def sections(
    findings: Findings,
    x: np.ndarray,
    synthetic: np.ndarray,
    reconstructed: np.ndarray,
    codes: np.ndarray,
) -> list[Section]:
    """The sections, from the whole to the parts.

    Args:
        findings: What was found out.
        x: Real rows `[N, C]`.
        synthetic: Synthetic rows `[M, C]`, as they were drawn.
        reconstructed: x through the code and back, `[N, C]`.
        codes: The posterior means of x, `[N, D]`.
    """
    columns = findings.columns
    return [
        Section(
            "Synthetic rows beside real ones",
            _introduction(findings, len(x), len(synthetic)),
            table=_table((*FIDELITY, *(USE if findings.target else ())), findings),
        ),
        Section(
            "Column by column",
            _of_columns(findings),
            table=_worst_columns(findings, x, synthetic),
            pictures=marginals(x, synthetic, columns, floor=findings.noise.shape),
        ),
        Section(
            "What hangs together",
            _of_pairs(findings),
            table=_worst_pairs(findings),
            pictures=(
                trend_map(findings.found.shape, findings.found.trends, columns),
                *association_maps(x, synthetic, columns),
            ),
        ),
        _privacy(findings),
        Section(
            "The latent space",
            _of_codes(findings),
            table=_code_table(findings),
            pictures=latent_maps(codes, x, columns, first=findings.place, most=MAPPED),
        ),
        Section(
            "Through the code and back",
            "What a row's code keeps of it: the central value of each column's likelihood. An R² "
            "of 0 and a grey bar are what a guess reaches that knows no code.",
            pictures=reconstruction(x, reconstructed, columns),
        ),
    ]  # fmt: skip


# -- the figures ----------------------------------------------------------------------------------


def _introduction(findings: Findings, real: int, synthetic: int) -> str:
    text = (
        f"{synthetic:,} rows that the model drew beside {real:,} that it has never seen. The noise "
        "floor of a figure is the same figure for a second sample of real rows"
    )
    text += (
        ", the training rows: a perfect model reaches it, and what is below is luck."
        if findings.trained
        else " (two halves of the real ones, the errors scaled to the whole): a perfect model "
        "reaches it, and what is below is luck."
    )
    if findings.target:
        text += f" The target of the downstream model is {findings.target!r}."
    if findings.given_gaps:
        text += (
            " The model never leaves a cell empty; before pairs of columns and whole rows are "
            "compared, its rows are given the gaps of the real ones."
        )
    return text


def _table(entries: Sequence[Entry], findings: Findings) -> list[dict[str, Any]]:
    figures = findings.figures
    noise, other = figures["noise_floor"], figures.get("without_z") or {}
    beside = any(entry.name in other for entry in entries)
    rows = []
    for entry in entries:
        label = entry.label
        if entry.name == "efficacy":
            label = f"{label}, {figures['efficacy_measure']}"
        row = {"figure": label, "model": _shown(entry.name, figures, reach=True)}
        if beside:
            row["without z"] = _shown(entry.name, other)
        row |= {"noise floor": _shown(entry.name, noise)}
        rows.append(row | {"meaning": f"{entry.meaning} {_best(entry)}"})
    return rows


def _best(entry: Entry) -> str:
    return "Best: the noise floor." if entry.best == "as real" else f"Best: {entry.best}."


def _shown(name: str, figures: Mapping[str, Any], *, reach: bool = False) -> str | None:
    """A figure as a text; with its error if there is one and it is asked for."""
    value = figures.get(name)
    if value is None:
        return None
    if name in ("exact_copies", "rare_values"):
        return f"{100 * value:.2f}\N{NO-BREAK SPACE}%"
    if name.endswith("_error"):
        return f"{value:.2f}"
    text = f"{round(value, 3) + 0.0:.3f}".replace("-", "−")  # no minus zero
    interval, error = figures.get(f"{name}_interval"), figures.get(f"{name}_error")
    if interval is not None:
        error = (interval[1] - interval[0]) / 2
    return f"{text} ± {error:.3f}" if reach and error is not None else text


# -- columns and pairs ----------------------------------------------------------------------------


def _of_columns(findings: Findings) -> str:
    shown = min(WORST, len(findings.columns))
    which = "All columns" if shown == len(findings.columns) else f"The {shown} worst columns"
    return (
        f"{which}, by the error of the shape or of the gaps, beside the noise floor of that "
        "column's shape. In the pictures, grey: real rows; blue: synthetic ones."
    )


def _worst_columns(
    findings: Findings, x: np.ndarray, synthetic: np.ndarray
) -> list[dict[str, Any]]:
    shape, noise = findings.found.shape, findings.noise.shape
    real = np.isnan(x).mean(axis=0) if len(x) else np.zeros(len(shape))
    made = np.isnan(synthetic).mean(axis=0) if len(synthetic) else np.zeros(len(shape))
    gaps = bool(real.any() or made.any())
    rows = []
    worst = np.fmax(shape, findings.found.missing)
    for c in np.argsort(-np.nan_to_num(worst, nan=-1.0), kind="stable")[:WORST]:
        row = {
            "column": shorten(findings.columns[c].name, LABEL),
            "shape error, %": _error(shape[c]),
            "noise floor": _error(noise[c]),
        }
        if gaps:
            row |= {"missing, real": percent(real[c]), "missing, synthetic": percent(made[c])}
        rows.append(row)
    return rows


def _of_pairs(findings: Findings) -> str:
    pairs, columns = findings.found.trends.pairs, len(findings.columns)
    every = columns * (columns - 1) // 2
    text = (
        "The pairs of columns whose dependence is off by most, beside the noise floor of that pair."
        if len(pairs)
        else "There is one column, and so no pair."
    )
    if len(pairs) < every:
        text += f" Of {every:,} pairs, {len(pairs):,} were drawn at random and measured."
    return text


def _worst_pairs(findings: Findings) -> list[dict[str, Any]]:
    trends, noise = findings.found.trends, findings.noise.trends
    order = np.argsort(-np.nan_to_num(trends.errors, nan=-1.0), kind="stable")[:WORST]
    return [
        {
            "columns": " – ".join(
                shorten(findings.columns[c].name, LABEL) for c in trends.pairs[p]
            ),
            "trend error, %": _error(trends.errors[p]),
            "noise floor": _error(noise.errors[p]),
        }
        for p in order
    ]  # fmt: skip


def _error(share: float) -> str | None:
    return None if np.isnan(share) else f"{100 * share:.2f}"


# -- codes ----------------------------------------------------------------------------------------


def _of_codes(findings: Findings) -> str:
    text = (
        "Each point is a row; rows with similar codes are close. How much of a column its "
        f"{NEIGHBOURS} nearest neighbours on the map tell is the share of the variance of its "
        "ranks, or of its levels, that goes away when a row is guessed by their mean; the noise "
        "floor is the same for values that are dealt out at random."
    )
    if "without_z" not in findings.figures:
        text += (
            "\n\nWhat the same model without its codes would score is not shown: that takes a "
            "second training, as long as the first and on the same rows. Ask for it with "
            "evaluate(test, train=rows, without_z=True); the command line has the same options."
        )
    return text


def _code_table(findings: Findings) -> list[dict[str, Any]] | None:
    figures, other = findings.figures, findings.figures.get("without_z")
    if other is None:
        return None
    gain = figures.get("code_gain")
    likelihood = {
        "figure": "Log-likelihood",
        "model": None if gain is None else _nats(other["log_likelihood"] + gain),
        "without z": _nats(other["log_likelihood"]),
        "noise floor": None,
        "meaning": f"How probable {other['rows']:,} of the rows are, in nats per row: the "
        "importance-weighted bound of the model, and the exact mean without z.",
    }
    return [likelihood, *({"without z": None} | row for row in _table(CODE, findings))]


def _nats(value: float) -> str:
    return f"{value:,.3f}".replace("-", "−")


# -- privacy --------------------------------------------------------------------------------------


def _of_rare(columns: Mapping[str, int]) -> str:
    if not columns:
        return ""
    order = sorted(columns, key=lambda name: -columns[name])
    shown = ", ".join(f"{shorten(name, LABEL)} ({columns[name]:,})" for name in order[:WORST])
    more = f" and {len(order) - WORST:,} other columns" if len(order) > WORST else ""
    return f"\n\nValues that fewer than five training rows have: {shown}{more}."


def _privacy(findings: Findings) -> Section:
    told = findings.told
    if told is None:
        return Section(
            "Privacy",
            "Not measured: whether synthetic rows repeat training rows can be seen beside the "
            "training rows alone, and they were not given, or there are too few rows."
        )  # fmt: skip
    return Section(
        "Privacy",
        f"What {told.rows:,} synthetic rows tell of the training rows, beside what as many real "
        f"rows that were not trained on do. Distances are 0 for equal rows and at most 1. This is "
        "what shows in the rows, and no guarantee: that takes training with differential privacy."
        + _of_rare(findings.figures["rare_columns"]),
        table=_table(PRIVACY, findings),
        pictures=(closeness(told.synthetic, told.holdout),),
    )
