r"""How strange each step is: to the steps before it, beside its reconstruction, and by its code.

For a window x of L steps and draws of z ~ q(z|x), minus the ELBO has two parts,

    -ELBO(x) = Σ_t c_t + k        c_t = E_q [ -Σ_c log p(x_tc | z, x before t) ]
                                  k   = KL(q(z|x) ‖ p(z))

in nats. c is what neither z nor the steps before tell of a step, k how far the code is from those
of training, whose distribution p(z) has learned. c hardly sees two sorts of change: one that goes
on, for noise that wanders goes on from where it was, and how large a large one is, for the tails
are powers. So the distance to the reconstruction is a third part,

    r_t = E_q [ Σ_c |x_tc - median of p(x_tc | z)| / spread_c ]

Windows begin every L/8 steps, and each part is averaged over those that hold t. A cell that was not
observed adds nothing.

An anomaly may break the rhythm for a moment, or go on though each step of it alone is usual, or be
a window that is like itself and like no other. So three means are looked at,

    c over L/8 steps around t          r over L steps          k

each in units of what the series usually has (m and u, the median of training's steps and that of
their distances from it), and the largest counts, as in a scan statistic:

    s_t = max_i (mean_i(t) - m_i) / u_i

which is 0 for a usual step. Being medians, m and u do not care for the anomalies that training has.

**What was to be expected** of a step is another question, and has another law: a block of h = L/8
steps is hidden from a window around it, and its cells are drawn given the rest (see `completion`).
Hidden together, the steps of an anomaly cannot vouch for each other.

Averaged once more over the window around a step, s says which parts of a series are strange; by
itself it says where. The parts, their units and their combination were chosen on twelve series of
NAB: the mean VUS-PR was 0.57, beside 0.55 with -log p(x_t|z) in the place of r, and 0.41 of the
larger of the means of c + k/L over L/8 and L steps in units of their 90 % quantiles (PCA of
windows: 0.52, nearest windows: 0.43). Distances of codes to those of the nearest other windows were
no better than k, which needs no windows kept. As the score of a step the tail probability under the
law of the hidden block was worse than all.

This module does not know which scores are alarms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

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

__all__ = ["Costs", "Expected", "Scan", "block_of", "costs", "expected", "smoothed"]

CELLS = 4_000_000  # of decoded windows that exist at once
BAND = (0.05, 0.5, 0.95)
BAND_DRAWS = 64
LEAST = 1e-3  # nats, or spreads, that the means of a series differ by at the least

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """How strange the steps of a series are, `[G]` each, NaN where nothing was observed.

    Attributes:
        told: c, in nats.
        away: r, in spreads of the channels.
        code: k of the windows that hold the step, in nats.
    """

    told: Floats
    away: Floats
    code: Floats

    def where(self, chosen: Any) -> "Costs":
        """The parts of the steps that are chosen, bool `[G]`; NaN for the others."""
        kept = (np.where(chosen, part, np.nan) for part in (self.told, self.away, self.code))
        return Costs(*kept)

    def means(self, length: int) -> tuple[Floats, Floats, Floats]:
        """The three means that are looked at."""
        return smoothed(self.told, block_of(length)), smoothed(self.away, length), self.code


@dataclass(frozen=True)
class Scan:
    """The scores of steps from their costs.

    Attributes:
        length: L.
        middle: m, of each mean.
        spread: u.
    """

    length: int
    middle: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def of(cls, series: Sequence[Costs], length: int) -> Self:
        """From the costs of the steps of training's series."""
        parts = zip(*(costs.means(length) for costs in series), strict=True)
        joined = [np.concatenate(part) for part in parts]
        middle = [float(np.nanmedian(part)) for part in joined]
        spread = [
            float(np.nanmedian(np.abs(part - m))) for part, m in zip(joined, middle, strict=True)
        ]
        return cls(length, tuple(middle), tuple(max(u, LEAST) for u in spread))

    def scores(self, costs: Costs) -> Floats:
        """s of each step, `[G]`; NaN where there is no cost."""
        means = zip(costs.means(self.length), self.middle, self.spread, strict=True)
        found: Floats = np.maximum.reduce([(mean - m) / u for mean, m, u in means])
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


def costs(model: VAE, values: Floats, length: int, draws: int, seed: int) -> Costs:
    """The costs of the steps of a series `[G, C]`.

    Args:
        model: The model.
        values: The series, NaN for gaps.
        length: L, of a window.
        draws: Of z for each window.
        seed: Of the draws.
    """
    starts = np.array(starts_of(len(values), length, block_of(length)))
    total = np.zeros((3, max(len(values), starts[-1] + length)))
    count = np.zeros(total.shape[1])
    with isolated(seed, verbs.device_of(model)):
        for group in _groups(starts, draws * length * values.shape[1]):
            x = torch.from_numpy(np.stack([cut(values, a, length) for a in group]))
            for a, part in zip(group, _shares(model, x, draws), strict=True):
                total[:, a : a + length] += part
                count[a : a + length] += 1
    known = (~np.isnan(values)).any(1)
    return Costs(*(total / count)[:, : len(values)]).where(known)


@torch.no_grad()
def _shares(model: VAE, x: Tensor, draws: int) -> Floats:
    """c, r and k of each step of windows x `[B, L, C]`: `[B, 3, L]`."""
    x = x.to(verbs.device_of(model))
    q = model.encoder(x)
    z = q.sample(torch.Size((draws,)))
    law = model.decoder(z)
    assert isinstance(law, Steps)
    k = (q.log_prob(z) - model.prior().log_prob(z)).mean(0)
    told = -law.log_cells(x).mean(0).sum(-1)
    away = ((x - law.central()).abs() / law.units.spread).nan_to_num(0.0).mean(0).sum(-1)
    found = torch.stack([told.double(), away, k.double()[:, None].expand_as(told)], 1)
    return found.cpu().numpy()


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
