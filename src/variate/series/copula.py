r"""Noise that wanders: the steps of a channel tied by a Gaussian copula of order one.

Noise has a law of its own at each step (`law`): a symmetric mixture of logistics, G_c in units of
its scale. Put in the scores of a normal,

    w = h(y) = Φ⁻¹(G_c(y))        y = (T(x_t) - μ_t) / σ_t

each step's noise is N(0, 1), and the steps of a channel are tied as those of a stationary
autoregression are, given z:

    w_t = φ_c w_{t-1} + √(1 - φ_c²) ε_t        so that Cov(w_s, w_t) = φ_c^|t-s|

This is a Gaussian copula (Joe 2014, *Dependence Modeling with Copulas*): the law of each step by
itself stays what it was, tails and all, and only how steps go together is new. **Gaps** need no
convention, for leaving steps out of it leaves a copula of the same kind. With p the last step
before t that was observed, and g = t - p,

    w_t | the observed before t  ~  N(φ^g w_p, 1 - φ^{2g})          N(0, 1) where there is none

exactly; of a hidden step between its neighbours p and n, g and d away, which are all that matters,

    precision  1/(1 - φ^{2g}) + φ^{2d}/(1 - φ^{2d})
    mean       (φ^g w_p/(1 - φ^{2g}) + φ^d w_n/(1 - φ^{2d})) / precision

**On a grid** a value tells the cell (a, b] of normal scores that the noise is in, not where in it.
For the steps after it, it stands for what is expected there,

    w = E[w | a < w ≤ b] = (N(a) - N(b)) / (Φ(b) - Φ(a))

so that a cell which is nearly certain tells nothing, and the law of a value is the mass of its cell
given the w before. The masses of all cells sum to one, whatever is observed, and draws one after
the other follow this law. But it is exact for the cells of no finer grid: with a gap in it, it is
close to the sum over what the gap may hide, not equal, and what is drawn in a gap is drawn as if
the w of the step after it were exact.

This module does not know scales and locations, nor the units of the data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Tie",
    "log_ratio",
    "noise",
    "normal_scores",
    "path",
    "recorded",
    "tied_after",
    "tied_around",
]

LEAST = 1e-300  # the smallest tail that has a normal score of its own: beyond, it is -37
NARROW = 1e-5  # the width of a cell in normal scores below which its mass is a density
NEARLY = 1e-2  # and below which it stands for its middle
BISECTIONS = 44


@dataclass(frozen=True)
class Tie:
    """What other steps tell of the noise of each step, N(mean, deviation²) in normal scores.

    Attributes:
        mean: `[*batch, L, C]`.
        deviation: The same shape, or that of the observed cells.
    """

    mean: Tensor
    deviation: Tensor


def normal_scores(y: Tensor, logits: Tensor, relative: Tensor) -> Tensor:
    """h(y) `[*, C]`, float64, of a mixture of K logistics at 0; logits and scales `[C, K]`."""
    tail = _tail(y.abs(), logits.double().softmax(-1), relative.double())
    return -y.sign() * torch.special.ndtri(tail.clamp(min=LEAST))


@torch.no_grad()
def noise(w: Tensor, logits: Tensor, relative: Tensor) -> Tensor:
    """The y of h(y) = w `[*, C]`, float64, by bisection between the quantiles of the components."""
    weight, relative = logits.double().softmax(-1), relative.double()
    tail = torch.special.ndtr(-w.double().abs())
    logistic = torch.log1p(-tail) - tail.log()
    low, high = logistic * relative.amin(-1), logistic * relative.amax(-1)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        beyond = _tail(middle, weight, relative) > tail
        low, high = torch.where(beyond, middle, low), torch.where(beyond, high, middle)
    return w.sign() * (low + high) / 2


def _tail(y: Tensor, weight: Tensor, relative: Tensor) -> Tensor:
    """1 - G(y) for y ≥ 0."""
    return (weight * torch.sigmoid(-y.double().unsqueeze(-1) / relative)).sum(-1)


def tied_after(w: Tensor, observed: Tensor, phi: Tensor) -> Tie:
    """What the observed steps before each step tell of it.

    Args:
        w: Normal scores `[*batch, L, C]`, finite; hidden ones are not looked at.
        observed: Bool, `[*, L, C]`.
        phi: φ, `[C]`, between -1 and 1.
    """
    rho, at = _before(observed, phi)
    known = torch.take_along_dim(w, at.expand_as(w), -2)
    return Tie(rho * known, (1 - rho.square()).sqrt())


def tied_around(w: Tensor, observed: Tensor, phi: Tensor) -> Tie:
    """What the observed steps before and after each step tell of it, as for `tied_after`."""
    one = tied_after(w, observed, phi)
    rho, at = _after(observed, phi)
    told = rho / (1 - rho.square())
    before = one.deviation.square().reciprocal()
    precision = before + rho * told
    pull = told * torch.take_along_dim(w, at.expand_as(w), -2)
    return Tie((before * one.mean + pull) / precision, precision.rsqrt())


@torch.no_grad()
def path(
    w: Tensor,
    observed: Tensor,
    phi: Tensor,
    record: Callable[[int, Tensor], Tensor] | None = None,
) -> Tensor:
    """Normal scores with those of hidden steps drawn given all others, `[*batch, L, C]`.

    Args:
        w: As for `tied_after`.
        observed: As for `tied_after`, of the shape of w.
        phi: As for `tied_after`.
        record: Step, w drawn `[*batch, C]` -> the w that its value stands for; None: w itself.
    """
    rho, at = _after(observed, phi)
    told = (rho / (1 - rho.square())).expand_as(w)
    pull = told * torch.take_along_dim(w, at.expand_as(w), -2)
    alone = torch.ones_like(phi)
    drawn, made = torch.randn_like(w), [torch.zeros_like(w[..., 0, :])]
    whole = observed.all(-1).reshape(-1, w.shape[-2]).all(0).tolist()
    for t, full in enumerate(whole):
        known, hidden = observed[..., t, :], w[..., t, :]
        if not full:
            before = alone if t == 0 else 1 / (1 - phi.square())
            precision = before + rho[..., t, :] * told[..., t, :]
            mean = (before * phi * made[-1] + pull[..., t, :]) / precision
            hidden = mean + drawn[..., t, :] * precision.rsqrt()
            hidden = hidden if record is None else record(t, hidden)
        made.append(torch.where(known, w[..., t, :], hidden))
    return torch.stack(made[1:], -2)


def recorded(a: Tensor, b: Tensor) -> Tensor:
    """The w that a cell between a and b stands for, its middle where it is narrow."""
    wide = b - a > NEARLY
    if not wide.any():
        return (a + b) / 2
    low, high = torch.where(wide, a, -1.0), torch.where(wide, b, 1.0)
    mass = _log_mass(low, high) + 0.5 * math.log(2 * math.pi)
    found = torch.exp(-0.5 * low.square() - mass) - torch.exp(-0.5 * high.square() - mass)
    return torch.where(wide, torch.minimum(torch.maximum(found, low), high), (a + b) / 2)


def log_ratio(w: Tensor, edges: tuple[Tensor, Tensor], tie: Tie) -> Tensor:
    """Log of p(cell | other steps) / p(cell), in nats, float64.

    Args:
        w: What the values stand for (see `recorded`).
        edges: The normal scores of the edges of their cells; w both, where there is no grid.
        tie: What other steps tell.
    """
    m, s = tie.mean, tie.deviation
    density = 0.5 * (w.square() - ((w - m) / s).square()) - s.log()
    a, b = edges
    wide = b - a > NARROW
    if not wide.any():
        return density
    a, b = torch.where(wide, a, -1.0), torch.where(wide, b, 1.0)
    masses = _log_mass((a - m) / s, (b - m) / s) - _log_mass(a, b)
    return torch.where(wide, masses, density)


def _log_mass(a: Tensor, b: Tensor) -> Tensor:
    """Log(Φ(b) - Φ(a)), a < b, in the tail where nothing cancels."""
    right = a + b > 0
    low, high = torch.where(right, -b, a), torch.where(right, -a, b)
    top = torch.special.log_ndtr(high)
    less = (torch.special.log_ndtr(low) - top).clamp(max=-1e-14)
    return top + torch.log(-torch.expm1(less))


def _before(observed: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """φ^g of the last observed step before each, 0 where there is none, and which step it is."""
    places = torch.arange(observed.shape[-2], device=observed.device).unsqueeze(-1)
    last = torch.where(observed, places, -1).cummax(-2).values
    at = torch.cat([torch.full_like(last[..., :1, :], -1), last[..., :-1, :]], -2)
    power = phi.pow((places - at).to(phi.dtype))
    return torch.where(at < 0, 0.0, power), at.clamp(min=0)


def _after(observed: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """φ^d of the next observed step after each, 0 where there is none, and which step it is."""
    rho, at = _before(observed.flip(-2), phi)
    return rho.flip(-2), observed.shape[-2] - 1 - at.flip(-2)
