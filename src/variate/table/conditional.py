r"""Rows under a condition: x ~ p(x | x_c in A_c for some columns c), by particles along the chain.

M rows grow column by column. At a column with a condition the law is restricted to it, which is
exact, and the row gets the probability of the condition as a weight:

    w = Π_c p(x_c in A_c | x before c, z),        p(condition) = E[w]

Rows are then kept in proportion to their weights. Two ways, by how rare the condition is:

    rejection   each row lives on with probability w: the rows left are exact draws. (Where a
                single value of a continuous column is asked for, w is a density, and is divided by
                the largest of a pilot's: nearly exact.)
    resampling  where fewer than one in a thousand would be left: at each condition the rows are
                drawn anew in proportion to their weights (a particle filter; Doucet & Johansen
                2011), exact as M grows. If m_i of the n rows stem from the i-th code, they are
                worth (Σ m)² / Σ m² different beginnings.

Conditions on columns that come early in the chain (categories of few levels) cost nothing.

This module does not know what the columns mean.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from variate.distributions import temper
from variate.distributions.column import Allowed
from variate.models import VAE
from variate.randomness import isolated
from variate.table.blocks import in_blocks, one_thread
from variate.table.chain import Chain
from variate.table.rows import RowDecoder
from variate.table.walk import Route, Walk

__all__ = ["Conditional", "draw_given", "draw_rows"]

PILOT = 8_192  # rows that tell how rare the condition is
RARE = 1e-3
MOST = 131_072  # rows that are tried at once
FEWEST, PARTICLES = 8_192, 262_144  # of the resampling
IMPOSSIBLE = -1e6  # far below any density: what no outcome stands for


class Conditional(NamedTuple):
    """Rows under a condition, and how they came about.

    Attributes:
        x: The rows, `[n, C]`.
        log_probability: Of the condition under the model, in nats (of a density where a single
            value of a continuous column is asked for).
        effective: The effective number of different beginnings among the rows; n where they are
            exact draws.
    """

    x: Tensor
    log_probability: float
    effective: float


def draw_rows(
    model: VAE, n: int, allowed: Mapping[int, Allowed], temperature: float, seed: int | None
) -> Conditional:
    """n rows of a table's model under a condition, or none: see `draw_given`."""
    assert isinstance(model.decoder, RowDecoder)
    device = next(model.parameters()).device
    with isolated(seed, device):
        prior = temper(model.prior(), temperature)

        def codes(rows: int) -> Tensor:
            with one_thread():
                return prior.sample(torch.Size((rows,)))

        found = draw_given(model.decoder.chain, codes, n, allowed, temperature)
    return found._replace(x=found.x.cpu())


@torch.no_grad()
def draw_given(
    chain: Chain,
    codes: Callable[[int], Tensor],
    n: int,
    allowed: Mapping[int, Allowed],
    temperature: float = 1.0,
) -> Conditional:
    """n rows under a condition.

    Args:
        chain: The networks of the columns.
        codes: So many draws of z, `[M, D]`.
        n: How many rows.
        allowed: What columns may be, by position.
        temperature: Of the draws of the other columns.

    Returns:
        The rows; none if no row that meets the condition was found.
    """
    route = Route(chain)
    if not allowed:
        sizes = [min(MOST, n - start) for start in range(0, n, MOST)]
        drawn = [x for m in sizes for x, _ in _alone(route, codes(m), {}, temperature)]
        return Conditional(torch.cat(drawn), 0.0, float(n))
    last = max(place for place, column in enumerate(chain.order) if column in allowed)
    pilot = _alone(route, codes(PILOT), allowed, temperature, end=last + 1)
    weights = torch.cat([w for _, w in pilot])
    log_p = float(weights.logsumexp(0)) - math.log(PILOT)
    if not log_p > IMPOSSIBLE:
        return Conditional(torch.zeros(0, len(chain.order)), log_p, 0.0)
    # a density is no probability to be rejected by: scale by the largest weight seen
    top = max(float(weights.max()), 0.0)
    if log_p - top > math.log(RARE):
        return _rejected(route, codes, n, allowed, temperature, log_p, top)
    m = min(max(4 * n, FEWEST), PARTICLES)
    walk, _, beginnings = _grow(route, codes(m), allowed, temperature, resample=True)
    kept = torch.randperm(m)[:n] if n <= m else torch.randint(m, (n,))
    counts = beginnings[kept].bincount().double()
    effective = float(counts.sum().square() / counts.square().sum())
    return Conditional(walk.whole(_fixed(chain, allowed))[kept], log_p, effective)


def _rejected(
    route: Route,
    codes: Callable[[int], Tensor],
    n: int,
    allowed: Mapping[int, Allowed],
    temperature: float,
    log_p: float,
    top: float,
) -> Conditional:
    found: list[Tensor] = []
    while sum(map(len, found)) < n:
        missing = n - sum(map(len, found))
        m = int(min(max(1.1 * missing / math.exp(log_p - top), 256), MOST))
        found += [x for x, _ in _alone(route, codes(m), allowed, temperature, top)]
    return Conditional(torch.cat(found)[:n], log_p, float(n))


def _alone(
    route: Route,
    z: Tensor,
    allowed: Mapping[int, Allowed],
    temperature: float,
    top: float | None = None,
    end: int | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """Rows that know nothing of each other, in blocks: those left, and their log-weights."""
    fixed = _fixed(route.chain, allowed)

    def grown(block: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        walk, log_w, _ = _grow(
            route,
            block,
            allowed,
            temperature,
            resample=False,
            top=top,
            end=end,
            generator=generator,
        )
        return walk.whole(fixed), log_w

    return in_blocks(grown, z)


def _grow(
    route: Route,
    z: Tensor,
    allowed: Mapping[int, Allowed],
    temperature: float,
    *,
    resample: bool,
    top: float | None = None,
    end: int | None = None,
    generator: Generator | None = None,
) -> tuple[Walk, Tensor, Tensor]:
    """Rows grown along the chain, their log-weights `[M]`, and which of the codes each began with.

    With `top` rows live on with probability exp(w - top) after the last condition. Columns from the
    place `end` on are left out.
    """
    order, walk = route.chain.order, route.walk(z)
    log_w = z.new_zeros(len(z))
    beginnings = torch.arange(len(z), device=z.device)
    last = max((p for p, column in enumerate(order) if column in allowed), default=-1)
    for place, column in enumerate(order[:end]):
        kept = None
        if column in allowed:
            law = walk.observed(place)
            law = law if temperature == 1 else law.tempered(temperature)
            cut, log_mass = law.restricted(allowed[column])
            walk.take(place, cut.sample(generator))
            log_w = log_w + log_mass
        else:
            walk.draw(place, generator, temperature)
        if resample and column in allowed:
            kept = _systematic(log_w.softmax(0))
            log_w = torch.zeros_like(log_w)
        elif top is not None and place == last:
            uniform = torch.rand(len(log_w), generator=generator, device=log_w.device)
            kept = (log_w - top > uniform.log()).nonzero().squeeze(-1)
            log_w = log_w[kept]
        if kept is not None:
            walk.keep(kept)
            beginnings = beginnings[kept]
    return walk, log_w, beginnings


def _fixed(chain: Chain, allowed: Mapping[int, Allowed]) -> Tensor:
    """Which columns something is asked of, bool `[C]`."""
    return torch.tensor([c in allowed for c in range(len(chain.order))], device=chain.bias.device)


def _systematic(share: Tensor) -> Tensor:
    """As many indices as shares, each as often as its share says, but for rounding."""
    n = len(share)
    points = (torch.arange(n, device=share.device) + torch.rand((), device=share.device)) / n
    return torch.searchsorted(share.cumsum(0), points).clamp(max=n - 1)
