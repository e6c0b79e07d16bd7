"""What a report says about every kind of model: the held-out figures, and how they came about.

    log-likelihood    log p(x), bounded from below by importance weighting (Burda et al. 2016)
    ELBO              log p(x|z) - KL(q(z|x) || p(z)), the bound that training raises
    KL                what the codes say about the items
    active units      latent dimensions whose mean code moves with the data (Burda et al. 2016)

All in nats per item. This module does not know how they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from variate.report.page import Picture, Section
from variate.report.style import INK, MODEL, PAPER, REAL, canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["headline"]

LABELLED = 40  # latent dimensions up to which each bar is labelled
IDLE = 0.01  # nats, up to which a group says nothing


def headline(
    figures: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> tuple[Section, ...]:
    """The sections that every kind's report begins with.

    Args:
        figures: `rows`, `elbo`, `log_likelihood`, `log_likelihood_error`, `draws`, `kl`,
            `kl_per_dimension`, `kl_per_group`, `active_units`; what is None or absent is shown as
            a dash.
        history: The validations, in order: `step`, `figure` and perhaps `kl`.

    Returns:
        The table of held-out figures; the KL of each latent dimension or group if it is known; the
        course of training if there was one.
    """
    sections = [Section("Held-out figures", table=_table(figures))]
    if figures.get("kl_per_dimension"):
        sections.append(_latent_section(figures))
    if figures.get("kl_per_group"):
        sections.append(_groups_section(figures["kl_per_group"]))
    if len(history) > 1:
        sections.append(_training_section(history))
    return tuple(sections)


def _table(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    draws = figures.get("draws")
    bound = f"importance-weighted with {draws} draws" if draws else "importance-weighted"
    units = figures.get("kl_per_dimension")
    active = _number(figures.get("active_units"), "{:.0f}")
    rows = [
        (
            "Log-likelihood",
            _with_error(figures.get("log_likelihood"), figures.get("log_likelihood_error")),
            "nats per item",
            f"How probable the model finds items it has not seen, ± standard error of the mean; "
            f"a lower bound, {bound}. Higher is better.",
        ),
        (
            "ELBO",
            _number(figures.get("elbo")),
            "nats per item",
            "What training raises: how well an item is told from its code, less what the code "
            "costs. Never above the log-likelihood.",
        ),
        (
            "KL",
            _number(figures.get("kl")),
            "nats per item",
            "How much an item's code says that the prior does not. Near 0, the codes are not used.",
        ),
        (
            "Active units",
            f"{active} of {len(units)}" if units and active is not None else active,
            "dimensions",
            "Latent dimensions whose mean code moves with the data (its variance exceeds 0.01).",
        ),
    ]
    return [
        {"figure": name, "value": value, "unit": unit, "meaning": meaning}
        for name, value, unit, meaning in rows
    ]


def _number(value: Any, form: str = "{:,.3f}") -> str | None:
    return None if value is None else form.format(value).replace("-", "−")


def _with_error(value: Any, error: Any) -> str | None:
    return _number(value) if error is None else f"{_number(value)} ± {error:.3f}"


# -- latent dimensions ----------------------------------------------------------------------------


def _latent_section(figures: Mapping[str, Any]) -> Section:
    kl = np.asarray(figures["kl_per_dimension"], dtype=np.float64)
    active = figures.get("active_units")
    caption = "KL from the prior of each latent dimension, in nats per item, largest first."
    if active is not None:
        caption += (
            f" As many bars are coloured as there are active units ({active} of {len(kl)}); "
            "a grey dimension says next to nothing about the data."
        )
    marked = len(kl) if active is None else int(active)
    return Section("Latent dimensions", pictures=(Picture(lambda: _draw_kl(kl, marked), caption),))


@styled()
def _draw_kl(kl: np.ndarray, marked: int) -> Figure:
    order = np.argsort(-kl, kind="stable")
    count = len(kl)
    figure, ax = canvas(min(8.0, max(3.6, 1.6 + 0.22 * count)), 2.3)
    colours = [MODEL if rank < marked else REAL for rank in range(count)]
    ax.bar(np.arange(count), kl[order], width=0.72, color=colours)
    labelled = count <= LABELLED
    ax.set_xticks(np.arange(count) if labelled else [], order if labelled else [])
    ax.set_xlim(-0.7, count - 0.3)
    ax.set_ylim(0, max(1e-3, 1.08 * float(kl.max())))
    ax.set_xlabel("latent dimension" if labelled else f"{count} latent dimensions")
    ax.set_ylabel("KL (nats per item)")
    ax.yaxis.grid(visible=True)
    ax.spines["left"].set_visible(False)
    return figure


def _groups_section(kl: Sequence[float]) -> Section:
    nats = np.asarray(kl, dtype=np.float64)
    idle = int((nats <= IDLE).sum())
    caption = (
        "KL from its prior of each group of latents, in nats per item, the top (coarsest) one "
        f"first. {idle} of {len(nats)} groups say next to nothing (at most {IDLE} nats; grey)."
    )
    return Section("Groups of latents", pictures=(Picture(lambda: _draw_groups(nats), caption),))


@styled()
def _draw_groups(kl: np.ndarray) -> Figure:
    count = len(kl)
    figure, ax = canvas(min(8.0, max(3.6, 1.6 + 0.22 * count)), 2.3)
    colours = [REAL if nats <= IDLE else MODEL for nats in kl]
    ax.bar(np.arange(count), kl, width=0.72, color=colours)
    ax.set_xlim(-0.7, count - 0.3)
    ax.set_ylim(0, max(1e-3, 1.08 * float(kl.max())))
    every = max(1, count // LABELLED)
    ax.set_xticks(np.arange(0, count, every), [str(n) for n in range(0, count, every)])
    ax.set_xlabel("group of latents, from the top down")
    ax.set_ylabel("KL (nats per item)")
    ax.yaxis.grid(visible=True)
    ax.spines["left"].set_visible(False)
    return figure


# -- training -------------------------------------------------------------------------------------


def _training_section(history: Sequence[Mapping[str, Any]]) -> Section:
    step = np.array([entry["step"] for entry in history], dtype=np.float64)
    value = np.array([entry["figure"] for entry in history], dtype=np.float64)
    pictures = [
        Picture(
            lambda: _draw_course(step, value),
            "Minus the objective on validation items, in nats per item; higher is better. "
            "The model is the one at the marked step.",
        )
    ]
    if all(entry.get("kl") is not None for entry in history):
        kl = np.array([entry["kl"] for entry in history], dtype=np.float64)
        caption = "KL on the same items. Where it falls to 0, the codes have been given up."
        pictures.append(Picture(lambda: _draw_kl_course(step, kl), caption))
    return Section("Training", pictures=tuple(pictures))


@styled()
def _draw_course(step: np.ndarray, value: np.ndarray) -> Figure:
    figure, ax = _curve(step, value, "validation (nats per item)")
    if np.isfinite(value).any():
        best = int(np.nanargmax(np.where(np.isfinite(value), value, np.nan)))
        _zoom(ax, value[np.isfinite(value)])
        _mark(ax, step[best], value[best], late=step[best] > step[-1] / 2)
    return figure


@styled()
def _draw_kl_course(step: np.ndarray, kl: np.ndarray) -> Figure:
    figure, ax = _curve(step, kl, "KL (nats per item)")
    ax.set_ylim(bottom=0)
    return figure


def _curve(step: np.ndarray, value: np.ndarray, label: str) -> tuple[Figure, Axes]:
    figure, ax = canvas(3.5, 2.3)
    ax.plot(step, value, color=MODEL, linewidth=1.4)
    ax.set_xlabel("step")
    ax.set_ylabel(label)
    ax.set_xlim(0, step[-1] * 1.02)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.locator_params("x", nbins=5)
    ax.yaxis.grid(visible=True)
    ax.spines["left"].set_visible(False)
    return figure, ax


def _zoom(ax: Axes, value: np.ndarray) -> None:
    """Leave out the first steep rise, which would flatten everything after it."""
    best, middle = value.max(), np.median(value)
    low = max(value.min(), best - 6 * max(best - middle, 1e-9))
    room = 0.08 * max(best - low, 1e-3)
    ax.set_ylim(low - room, best + 2.5 * room)


def _mark(ax: Axes, step: float, value: float, *, late: bool) -> None:
    ax.plot([step], [value], "o", color=INK, markersize=4.5, markeredgecolor=PAPER, zorder=3)
    ax.annotate(
        f"{value:,.3f} at step {step:,.0f}".replace("-", "−"),
        (step, value),
        xytext=(4, 6),
        textcoords="offset points",
        ha="right" if late else "left",
        color=INK,
        fontsize=7.5,
    )
