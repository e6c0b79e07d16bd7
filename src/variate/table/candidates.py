r"""Weighted candidates for the missing cells of a table: p(x_missing | x_known), row by row.

Each row has K candidates, which differ in their codes z_k ~ p(z) and walk along the chain. A known
cell is taken, and weighs; a missing one is drawn, as a value and not as a gap:

    w_k = Π_{j known} p(x_j | x before j, z_k) · Π_{j missing} (1 - p(gap_j | x before j, z_k))

Where the next column is missing and the weights of a row have become too unequal, its candidates
are first drawn anew in proportion to them (a particle filter for each row; Doucet & Johansen 2011).
At the end the candidates, weighted, are draws of the missing cells together, exact as K grows.

Codes come from the prior, not from the encoder: what the encoder sees of a row with gaps is, above
all, which cells are missing, and codes that say so know nothing of the values.

Which level of a category is the most probable, `levels` finds from the candidates with less noise
than their values have.

The fewest that the candidates of a row were worth on the way, min 1 / Σ w̄_k², says how far its
draws can be trusted. Rows for which it is small are done again with more candidates.

A known cell that is impossible under all candidates, log p < -10^6, says nothing and is noted.

This module does not know the columns' names, nor what is made of the candidates.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from variate.models import VAE
from variate.randomness import isolated
from variate.table.blocks import in_blocks
from variate.table.levels import STATES, given_others, shrunk_shares
from variate.table.rows import RowDecoder
from variate.table.walk import Route

__all__ = ["CANDIDATES", "MOST", "Drawn", "drawn_cells"]

CANDIDATES = 128  # of a row; a power of two, so that blocks hold whole rows
MOST = 8_192  # those of one block
MORE = 4  # times the candidates, for the rows where
FEW = 8.0  # is the least effective number of them
POOL = 65_536  # codes that the candidates are taken from
IMPOSSIBLE = -1e6


class Drawn(NamedTuple):
    """The missing cells, row by row, and in a row from left to right.

    Attributes:
        values: Draws of each cell, those of a row together, `[cells, draws]`.
        point: The weighted mean of a number, the most probable level of a category, `[cells]`.
        effective: The effective number of candidates of each row, `[N]`.
        impossible: For each row the first column of which the value was impossible, or -1, `[N]`.
    """

    values: Tensor
    point: Tensor
    effective: Tensor
    impossible: Tensor


@torch.no_grad()
def drawn_cells(
    model: VAE,
    x: Tensor,
    known: Tensor,
    draws: int,
    *,
    candidates: int,
    seed: int | None,
    done: Callable[[int], None] = lambda _: None,
) -> Drawn:
    """Draws of the cells that are not known.

    Args:
        model: One whose decoder is a chain of columns.
        x: The rows `[N, C]`; of a cell that is not known the value is nothing.
        known: Which cells are known, bool `[N, C]`.
        draws: How many of each cell.
        candidates: K, a power of two, at most `MOST`.
        seed: Makes the draws repeatable.
        done: Is told of how many rows are done, as they are.
    """
    assert isinstance(model.decoder, RowDecoder)
    route, device = Route(model.decoder.chain), next(model.parameters()).device
    x, known = x.to(device), known.to(device)
    with isolated(seed, device):
        pool = model.prior().sample(torch.Size((POOL,)))
        found = _all(route, pool, x, known, candidates, draws, done)
        again = (found.effective < FEW).nonzero().squeeze(-1)
        more = min(MORE * candidates, MOST)
        if len(again) and more > candidates:
            better = _all(route, pool, x[again], known[again], more, draws, lambda _: None)
            row, _ = (~known).nonzero(as_tuple=True)
            some = torch.isin(row, again)
            found.values[some], found.point[some] = better.values, better.point
            found.effective[again] = better.effective
            found.impossible[again] = better.impossible
    return Drawn(*(part.cpu() for part in found))


def _all(
    route: Route,
    pool: Tensor,
    x: Tensor,
    known: Tensor,
    k: int,
    draws: int,
    done: Callable[[int], None],
) -> Drawn:
    """Blocks of rows, each alone."""

    def work(block: Tensor, generator: Generator) -> Drawn:
        rows = block[::k]
        return _block(route, pool, x[rows], known[rows], k, draws, generator)

    candidates = torch.arange(len(x), device=x.device).repeat_interleave(k)
    parts = in_blocks(work, candidates, lambda rows: done(rows // k))
    return Drawn(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _block(
    route: Route,
    pool: Tensor,
    x: Tensor,
    known: Tensor,
    k: int,
    draws: int,
    generator: Generator,
) -> Drawn:
    """The missing cells of a few rows."""
    n, order = len(x), route.chain.order
    codes = torch.randint(len(pool), (n * k,), generator=generator, device=x.device)
    walk = route.walk(pool[codes])
    log_w = torch.zeros(n, k, device=x.device)
    effective = torch.full((n,), float(k), device=x.device)
    impossible = torch.full((n,), -1, device=x.device)
    laws: dict[int, Tensor] = {}
    for place, column in enumerate(order):
        here = known[:, column]
        if not here.all():
            effective = torch.minimum(effective, _effective(log_w))
            log_w, to, of = _evened(log_w, ~here, generator)
            walk.move(to, of)
            for part in (codes, *laws.values()):
                part[to] = part[of]
        given = x[:, column].repeat_interleave(k)
        gained, law = walk.meet(place, given, here.repeat_interleave(k), generator)
        gained = gained.view(n, k)
        if law is not None:
            laws[column] = law
        never = gained.amax(-1) < IMPOSSIBLE
        impossible = torch.where(never & (impossible < 0), column, impossible)
        log_w = log_w + torch.where(never.unsqueeze(-1), 0.0, gained)
    effective = torch.minimum(effective, _effective(log_w))
    rows = walk.whole(known.repeat_interleave(k, 0)).view(n, k, -1)
    share = log_w.softmax(-1)
    cell_row, cell_column = (~known).nonzero(as_tuple=True)
    cells = rows[cell_row, :, cell_column]  # [cells, k]
    chosen = _systematic(share, draws, generator)
    mixed = torch.rand(n, draws, generator=generator, device=x.device).argsort(-1)
    values = cells.gather(1, chosen.gather(1, mixed)[cell_row])
    point = (cells * share[cell_row]).sum(-1)
    if laws:
        some = _systematic(share, STATES, generator)
        states = walk.x.view(n, k, -1).gather(1, some.unsqueeze(-1).expand(-1, -1, len(order)))
        z = pool[codes.view(n, k).gather(1, some)]
    for column, law in laws.items():
        mine = cell_column == column
        row = cell_row[mine]
        chance = shrunk_shares(cells[mine], share[row], law.view(n, k, -1)[row], effective[row])
        chance = given_others(route.chain, column, chance, states[row], z[row])
        point[mine] = chance.argmax(-1).double()
    return Drawn(values, point, effective, impossible)


def _effective(log_w: Tensor) -> Tensor:
    """The effective number of each row's candidates, `[n]`."""
    return 1 / log_w.softmax(-1).square().sum(-1)


def _evened(log_w: Tensor, here: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw anew the candidates of these rows if their weights are too unequal.

    Returns:
        The log-weights `[n, k]`, and which of all n·k candidates become copies of which.
    """
    k = log_w.shape[1]
    rows = (here & (_effective(log_w) < k / 2)).nonzero()
    if not len(rows):
        return log_w, rows[:, 0], rows[:, 0]
    drawn = _systematic(log_w[rows[:, 0]].softmax(-1), k, generator)
    same = torch.arange(k, device=log_w.device).expand_as(drawn)
    moved = drawn != same
    log_w = log_w.index_fill(0, rows[:, 0], 0.0)
    return log_w, (k * rows + same)[moved], (k * rows + drawn)[moved]


def _systematic(share: Tensor, draws: int, generator: Generator) -> Tensor:
    """So many indices for each row, each as often as its share says, but for rounding."""
    n, k = share.shape
    start = torch.rand(n, 1, generator=generator, device=share.device)
    points = (torch.arange(draws, device=share.device) + start) / draws
    return torch.searchsorted(share.cumsum(-1), points).clamp(max=k - 1)
