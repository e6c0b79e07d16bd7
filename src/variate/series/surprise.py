r"""How strange each step is, given the rest of its window.

A block of h steps is hidden from a window around it, and the law of its cells given the rest x_o is

    p(x_tc | x_o) ≈ Σ_m w_m p(x_tc | z_m),   z_m ~ q(z | x_o)        (w as in `completion`)

Hidden together, the steps of an anomaly cannot vouch for each other. The score of a cell is minus
the log of its two-sided tail,

    s_tc = -log min(1, 2 min(P(X_tc ≤ x_tc | x_o), P(X_tc ≥ x_tc | x_o)))

in nats: were the model right, it would be exponential with mean one whatever the channel's scale
(a density would also call usual values strange where the law is wide). A step's score is the sum
over its channels, averaged over windows that have the block at several places, and then over the
steps around it, h of them, for an anomaly lasts.

This module does not know which scores are alarms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.models import VAE
from variate.randomness import isolated
from variate.series.completion import weighed
from variate.series.law import Steps
from variate.series.windows import cut

__all__ = ["Surprise", "block_of", "smoothed", "surprise"]

CELLS = 4_000_000  # of decoded windows that exist at once
PLACES = (0.25, 0.5, 0.75)  # of the block in the window
BAND = (0.05, 0.5, 0.95)
BAND_DRAWS = 64

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surprise:
    """What the model makes of each step of a series.

    Attributes:
        score: Of each step, smoothed, in nats, `[G]`; NaN where nothing was observed.
        cells: s of each step and channel, `[G, C]`.
        band: What was to be expected: the 5 %, 50 % and 95 % quantile, `[3, G, C]`.
    """

    score: Floats
    cells: Floats
    band: Floats


def block_of(length: int) -> int:
    """How many steps are hidden together, from the length of a window."""
    return max(1, length // 8)


def surprise(
    model: VAE, values: Floats, length: int, draws: int, seed: int, *, asked: Any = None
) -> Surprise:
    """The scores of a series `[G, C]`.

    Args:
        model: The model.
        values: The series, NaN for gaps.
        length: L, of a window.
        draws: M, candidates of z for each window.
        seed: Of the draws.
        asked: Which cells are asked about, bool `[G, C]`; None for all. Others have no score.
    """
    h, steps = block_of(length), len(values)
    wanted = values if asked is None else np.where(asked, values, np.nan)
    begins = np.arange(0, steps, h)
    begins = begins[[not np.isnan(wanted[b : b + h]).all() for b in begins]]
    size = -(-steps // h) * h
    cells = np.full((len(PLACES), size, values.shape[1]), np.nan)
    band = np.full((len(BAND), size, values.shape[1]), np.nan)
    with isolated(seed, verbs.device_of(model)):
        for r, place in enumerate(PLACES):
            inside = round(place * (length - h))
            for group in _groups(begins, draws * length * values.shape[1]):
                x = torch.from_numpy(np.stack([cut(values, b - inside, length) for b in group]))
                s, quantiles = _blocks_hidden(model, x, slice(inside, inside + h), draws)
                at = (group[:, None] + np.arange(h)).ravel()
                cells[r, at] = s
                if place == 0.5:
                    band[:, at] = quantiles
    found = np.where(np.isnan(wanted), np.nan, cells.mean(0)[:steps])
    gaps = np.isnan(found).all(1)
    score = np.where(gaps, np.nan, np.nansum(found, 1))
    return Surprise(smoothed(score, h), found, band[:, :steps])


def smoothed(score: Floats, width: int) -> Floats:
    """The mean over the `width` steps around each, of those that have a score; NaN stays."""
    known = ~np.isnan(score)
    window = np.ones(width)
    total = np.convolve(np.where(known, score, 0.0), window)
    count = np.convolve(known.astype(np.float64), window)
    middle = slice((width - 1) // 2, (width - 1) // 2 + len(score))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total[middle] / count[middle]
    return np.where(known, mean, np.nan)


@torch.no_grad()
def _blocks_hidden(model: VAE, x: Tensor, block: slice, draws: int) -> tuple[Floats, Floats]:
    """s `[B·h, C]` and the band `[3, B·h, C]` of a block that is hidden from windows x."""
    shown = x.clone()
    shown[:, block] = torch.nan
    law, log_w = weighed(model, shown, draws)
    part = law.at(block)
    below, above = part.log_tails(x[:, block].to(part.location.device))
    weight = log_w[..., None, None]
    tail = torch.minimum((below + weight).logsumexp(0), (above + weight).logsumexp(0))
    s = -(tail + np.log(2.0)).clamp(max=0.0)
    return s.flatten(0, 1).cpu().numpy(), _band(part, log_w).cpu().numpy()


def _band(part: Steps, log_w: Tensor) -> Tensor:
    """Quantiles of the cells of a block under its law, `[3, B·h, C]`, from resampled draws."""
    chosen = torch.multinomial(log_w.exp().T, BAND_DRAWS, replacement=True).T  # [R, B]
    own = torch.arange(chosen.shape[1], device=chosen.device)
    drawn = part.picked(chosen, own).sample()
    levels = torch.tensor(BAND, dtype=drawn.dtype, device=drawn.device)
    return torch.quantile(drawn, levels, dim=0).flatten(1, 2)


def _groups(begins: NDArray[np.int64], cells: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, CELLS // cells)
    for at in range(0, len(begins), size):
        yield begins[at : at + size]
