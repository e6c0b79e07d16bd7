r"""How strange each step is: its share of -ELBO, looked at over a short and a long stretch.

For a window x of L steps and draws of z ~ q(z|x),

    -ELBO(x) = Σ_t e_t        e_t = E_q [ -Σ_c log p(x_tc | z) ] + KL(q(z|x) ‖ p(z)) / L

in nats, so that e_t is what step t adds to the score of its window: what z does not tell of it, and
its part of what it costs to tell z. Windows begin every L/8 steps, and e_t is averaged over those
that hold t. A cell that was not observed adds nothing.

An anomaly may be a spike, which a mean over many steps hides, or a change that goes on, of which
each step alone is usual. So e is averaged over w = L/8 steps around t and over w = L, each mean is
put in the units of what the series usually has (m_w and u_w, median and 90 % quantile of training's
steps), and the larger counts, as in a scan statistic:

    s_t = max_w (mean_w e(t) - m_w) / (u_w - m_w)

which is 0 for a usual step, and 1 where only a tenth of the steps are as strange.

**What was to be expected** of a step is another question, and has another law: a block of h = L/8
steps is hidden from a window around it, and its cells are drawn given the rest (see `completion`).
Hidden together, the steps of an anomaly cannot vouch for each other.

Averaged once more over the window around a step, s says which parts of a series are strange (VUS-PR
0.52 on the same series); by itself it says where.

As the score of a step the tail probability under that second law was tried; over ten series of NAB
it had a VUS-PR of 0.29 where e, averaged over L steps, had 0.40, and s with longer windows 0.46:
what goes on for longer than a window is given away by its rest.

This module does not know which scores are alarms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.models import VAE
from variate.randomness import isolated
from variate.series.completion import weighed
from variate.series.law import Steps
from variate.series.windows import cut, starts_of

__all__ = ["Expected", "Scan", "block_of", "costs", "expected", "smoothed"]

CELLS = 4_000_000  # of decoded windows that exist at once
BAND = (0.05, 0.5, 0.95)
BAND_DRAWS = 64
LEAST = 1e-3  # nats that the scores of a series differ by at the least

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """The scores of steps from their costs e.

    Attributes:
        widths: w, in steps.
        middle: m_w, for each width.
        spread: u_w - m_w.
    """

    widths: tuple[int, ...]
    middle: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def of(cls, series: Sequence[Floats], length: int) -> Self:
        """From the costs `[G]` of the steps of training's series, NaN where there is none."""
        widths = (block_of(length), length)
        ends = [
            np.nanquantile(np.concatenate([smoothed(e, w) for e in series]), [0.5, 0.9])
            for w in widths
        ]
        middle = tuple(float(low) for low, _ in ends)
        return cls(widths, middle, tuple(max(float(u - m), LEAST) for m, u in ends))

    def scores(self, e: Floats) -> Floats:
        """s of each step, `[G]`; NaN where there is no cost."""
        scaled = [
            (smoothed(e, w) - m) / u
            for w, m, u in zip(self.widths, self.middle, self.spread, strict=True)
        ]
        found: Floats = np.maximum.reduce(scaled)
        return found


@dataclass(frozen=True)
class Expected:
    """What was to be expected of the steps of some blocks; NaN elsewhere.

    Attributes:
        cells: Minus the log of the two-sided tail of each value, in nats, `[G, C]`.
        band: The 5 %, 50 % and 95 % quantile, `[3, G, C]`.
    """

    cells: Floats
    band: Floats


def block_of(length: int) -> int:
    """How many steps are a block, from the length of a window."""
    return max(1, length // 8)


def costs(model: VAE, values: Floats, length: int, draws: int, seed: int) -> tuple[Floats, Floats]:
    """e of each step of a series `[G, C]`, and the part of each channel in it.

    Args:
        model: The model.
        values: The series, NaN for gaps.
        length: L, of a window.
        draws: Of z for each window.
        seed: Of the draws.

    Returns:
        e `[G]`, NaN where nothing was observed; -log p of each cell `[G, C]`, NaN for gaps.
    """
    starts = np.array(starts_of(len(values), length, block_of(length)))
    total = np.zeros((max(len(values), starts[-1] + length), values.shape[1] + 1))
    count = np.zeros((len(total), 1))
    with isolated(seed, verbs.device_of(model)):
        for group in _groups(starts, draws * length * values.shape[1]):
            x = torch.from_numpy(np.stack([cut(values, a, length) for a in group]))
            for a, part in zip(group, _shares(model, x, draws), strict=True):
                total[a : a + length] += part
                count[a : a + length] += 1
    mean = (total / count)[: len(values)]
    gaps = np.isnan(values)
    e = np.where(gaps.all(1), np.nan, mean.sum(1))
    return e, np.where(gaps, np.nan, mean[:, :-1])


@torch.no_grad()
def _shares(model: VAE, x: Tensor, draws: int) -> Floats:
    """-log p of each cell of windows x `[B, L, C]`, and KL/L of each step: `[B, L, C + 1]`."""
    x = x.to(verbs.device_of(model))
    q = model.encoder(x)
    z = q.sample(torch.Size((draws,)))
    law = model.decoder(z)
    assert isinstance(law, Steps)
    kl = (q.log_prob(z) - model.prior().log_prob(z)).mean(0) / x.shape[1]
    cells = -law.log_cells(x).mean(0)
    found = torch.cat([cells, kl[:, None, None].expand(*x.shape[:2], 1)], -1)
    return found.double().cpu().numpy()


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


def expected(
    model: VAE, values: Floats, length: int, asked: NDArray[np.bool_], draws: int, seed: int
) -> Expected:
    """What was to be expected of steps, block by block, the block hidden.

    Args:
        model: The model.
        values: The series `[G, C]`.
        length: L, of a window.
        asked: Which steps are asked about, bool `[G]`; whole blocks are answered.
        draws: Candidates of z for each window.
        seed: Of the draws.
    """
    h, steps = block_of(length), len(values)
    begins = np.array([b for b in range(0, steps, h) if asked[b : b + h].any()], dtype=np.int64)
    size, inside = -(-steps // h) * h, (length - h) // 2
    cells = np.full((size, values.shape[1]), np.nan)
    band = np.full((len(BAND), size, values.shape[1]), np.nan)
    with isolated(seed, verbs.device_of(model)):
        for group in _groups(begins, draws * length * values.shape[1]):
            x = torch.from_numpy(np.stack([cut(values, b - inside, length) for b in group]))
            s, quantiles = _blocks_hidden(model, x, slice(inside, inside + h), draws)
            at = (group[:, None] + np.arange(h)).ravel()
            cells[at], band[:, at] = s, quantiles
    return Expected(np.where(np.isnan(values), np.nan, cells[:steps]), band[:, :steps])


@torch.no_grad()
def _blocks_hidden(model: VAE, x: Tensor, block: slice, draws: int) -> tuple[Floats, Floats]:
    """Minus log tails `[B·h, C]` and bands `[3, B·h, C]` of a block that is hidden from x."""
    shown = x.clone()
    shown[:, block] = torch.nan
    law, log_w = weighed(model, shown, draws)
    x, shown = x.to(law.location.device), shown.to(law.location.device)
    below, above = (tail[..., block, :] for tail in law.log_tails(x, shown))
    weight = log_w[..., None, None]
    tail = torch.minimum((below + weight).logsumexp(0), (above + weight).logsumexp(0))
    s = -(tail + np.log(2.0)).clamp(max=0.0)
    return s.flatten(0, 1).cpu().numpy(), _band(law, log_w, shown, block).cpu().numpy()


def _band(law: Steps, log_w: Tensor, shown: Tensor, block: slice) -> Tensor:
    """Quantiles of the cells of a block under its law, `[3, B·h, C]`, from resampled draws."""
    chosen = torch.multinomial(log_w.exp().T, BAND_DRAWS, replacement=True).T  # [R, B]
    own = torch.arange(chosen.shape[1], device=chosen.device)
    drawn = law.picked(chosen, own).filled(shown.expand(*chosen.shape, *shown.shape[1:]))
    drawn = drawn[..., block, :]
    levels = torch.tensor(BAND, dtype=drawn.dtype, device=drawn.device)
    return torch.quantile(drawn, levels, dim=0).flatten(1, 2)


def _groups(begins: NDArray[np.int64], cells: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, CELLS // cells)
    for at in range(0, len(begins), size):
        yield begins[at : at + size]
