r"""One column of a row given all the others: p(x_j | x_-j).

With codes z_1, ..., z_K from q(z), half from the encoder that is shown the value and half from it
shown a guess instead (`guide`; for categories nothing), and values v_k from r(v), half the chain's
law p(v | x before j, z_k) and half the guess,

    w_k = p(z_k) / q(z_k) · p(v_k | x before j, z_k) / r(v_k)
          · Π_{i≠j} p(x_i | x before i with x_j = v_k, z_k)

are importance weights (defensive mixtures; Owen & Zhou 2000): the v_k, weighted, are draws from
p(x_j | x_-j), and the mean of the w_k is an estimate of p(x_-j). Divided into that of p(x), over
the same codes, it gives p(x_j | x_-j) in the column's own units. For categories r is the law.

Where a later column repeats x_j, or adds it up, one value of x_j has a probability of its own that
no draw would ever meet: the value that the later column is a copy of. It joins the candidates, as
if drawn by r with probability one; draws that are the same value are left out.

This module does not know the columns' names, nor what is made of the answer.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from variate.distributions.column import ColumnLaw
from variate.distributions.rows import Numeric
from variate.models import VAE
from variate.randomness import isolated
from variate.table.chain import Chain
from variate.table.guide import Guide
from variate.table.rows import RowDecoder
from variate.table.walk import Route

__all__ = ["Rest", "given_rest"]

CANDIDATES = 32_768  # that are looked at together
GUIDING = 4_096  # rows from which a guess is learned


class Rest(NamedTuple):
    """What one column of N rows could be, given the others.

    Attributes:
        values: Candidates, `[N, M]`, M at least as many as there were draws; NaN for a gap.
        log_w: Their log-weights, `[N, M]`, which add to one over a row.
        log_prob: Log p(x_j | x_-j) of the value that was found, `[N]`, in nats; of a gap that no
            outcome stands for it is about 0.
    """

    values: Tensor
    log_w: Tensor
    log_prob: Tensor

    @property
    def effective(self) -> Tensor:
        """The effective number of candidates, 1 / Σ w², `[N]`."""
        return torch.exp(-torch.logsumexp(2 * self.log_w, -1))

    def quantiles(self, levels: Tensor) -> Tensor:
        """Weighted quantiles of the candidates that are no gap, `[N, Q]`, for levels `[Q]`.

        NaN where all weight is on a gap.
        """
        weight = torch.where(self.values.isnan(), 0.0, self.log_w.exp())
        values, order = self.values.nan_to_num(torch.inf).sort(-1)
        share = weight.gather(-1, order).cumsum(-1)
        share = share / share[:, -1:]
        wanted = levels.to(share).expand(len(share), -1).contiguous()
        place = torch.searchsorted(share.contiguous(), wanted * (1 - 1e-12))
        found = values.gather(-1, place.clamp(max=values.shape[-1] - 1))
        return torch.where(share[:, -1:].isnan(), torch.nan, found)

    def likeliest(self) -> tuple[Tensor, Tensor]:
        """The value with the most weight of each row, `[N]`, and that weight; NaN: a gap."""
        values, order = self.values.nan_to_num(torch.inf).sort(-1)
        weight = self.log_w.exp().gather(-1, order)
        new = torch.ones_like(values, dtype=torch.bool)
        new[:, 1:] = values[:, 1:] != values[:, :-1]
        groups = new.cumsum(-1) - 1
        total = torch.zeros_like(weight).scatter_add(-1, groups, weight)
        most, which = total.max(-1)
        first = (groups == which.unsqueeze(-1)).int().argmax(-1)
        found = values.gather(-1, first.unsqueeze(-1)).squeeze(-1)
        return torch.where(found.isinf(), torch.nan, found), most


@torch.no_grad()
def given_rest(model: VAE, x: Tensor, column: int, *, draws: int = 64, seed: int | None) -> Rest:
    """What a column of rows could be, given the other cells of each row.

    Args:
        model: Of rows, in evaluation mode.
        x: The rows, `[N, C]`; NaN = a gap. In the column it is what was found.
        column: Its position.
        draws: K, the codes that are drawn for each row; an even number, for they come in halves.
        seed: Makes the result repeatable.
    """
    assert isinstance(model.decoder, RowDecoder)
    route = Route(model.decoder.chain)
    device = next(model.parameters()).device
    size = max(1, CANDIDATES // draws)
    with isolated(seed, device):
        guide = _guide(model, route, column)
        parts = [
            _block(model, route, guide, rows.to(device), column, draws) for rows in x.split(size)
        ]
    return Rest(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


def _guide(model: VAE, route: Route, column: int) -> Guide | None:
    """The guess of a number that takes many values, from rows that the model draws."""
    layout = route.chain.layout
    number = layout.columns[column]
    if not isinstance(number, Numeric) or number.closed:
        return None
    walk = route.walk(model.prior().sample(torch.Size((GUIDING,))))
    for place in range(len(route.chain.order)):
        walk.draw(place)
    return Guide(layout, column, walk.x)


def _block(
    model: VAE, route: Route, guide: Guide | None, x: Tensor, column: int, draws: int
) -> Rest:
    order = route.chain.order
    z, log_r = _codes(model, guide, x, column, draws)
    walk, place = route.walk(z), order.index(column)
    for before, c in enumerate(order[:place]):
        log_r = log_r + walk.law(before).log_prob(x[:, c].repeat(draws)).view_as(log_r)
        walk.take(before, x[:, c].repeat(draws))
    law = walk.law(place)
    values, own = _candidates(law, guide, x, draws)
    implied = _implied(route.chain, x, column)
    own = own.masked_fill((values == implied.unsqueeze(1)).any(0), -torch.inf)
    whole = [values, *(value.expand_as(values) for value in (*implied, x[:, column]))]
    exact = [law.log_prob(value.flatten()).view_as(values) for value in whole[1:]]
    log_w = torch.stack([log_r + one for one in (own, *exact)])  # [1 + R + 1, K, N]
    walk.keep(torch.arange(len(z), device=z.device).repeat(len(whole)))
    walk.take(place, torch.cat([value.flatten() for value in whole]))
    for after in range(place + 1, len(order)):
        taken = x[:, order[after]].repeat(draws * len(whole))
        log_w = log_w + walk.law(after).log_prob(taken).view_as(log_w)
        walk.take(after, taken)
    log_w[1:-1].masked_fill_(implied.isnan().unsqueeze(1), -torch.inf)
    weights = log_w[:-1].flatten(0, 1).T.double()
    total = weights.logsumexp(-1)
    candidates = torch.cat(whole[:-1]).T
    found = log_w[-1].double().logsumexp(0) - total
    return Rest(candidates, weights - total.unsqueeze(-1), found)


def _codes(
    model: VAE, guide: Guide | None, x: Tensor, column: int, draws: int
) -> tuple[Tensor, Tensor]:
    """Codes `[K·N, D]`, and log p(z) - log q(z) of each, `[K, N]`."""
    guessed = x.clone()
    guessed[:, column] = torch.nan if guide is None else guide.law(x).middle()
    by_guess, by_value = model.encoder(guessed), model.encoder(x)
    half = draws // 2
    z = torch.cat([by_guess.sample((draws - half,)), by_value.sample((half,))])
    log_q = torch.logaddexp(by_guess.log_prob(z), by_value.log_prob(z)) - math.log(2)
    return z.flatten(0, 1), model.prior().log_prob(z) - log_q


def _candidates(
    law: ColumnLaw, guide: Guide | None, x: Tensor, draws: int
) -> tuple[Tensor, Tensor]:
    """Draws v of r, and log p(v | x before j, z) - log r(v), each `[K, N]`."""
    drawn = law.sample()
    if guide is None:
        return drawn.view(draws, -1), drawn.new_zeros(draws, len(x)).float()
    guess = guide.law(x.repeat(draws, 1))
    other = guess.sample()
    half = torch.arange(len(drawn), device=x.device) // len(x) % 2 == 0
    drawn = torch.where(half, drawn, other)
    own = law.log_prob(drawn)
    log_r = torch.logaddexp(own, guess.log_prob(drawn)) - math.log(2)
    return drawn.view(draws, -1), (own - log_r).view(draws, -1)


def _implied(chain: Chain, x: Tensor, column: int) -> Tensor:
    """What the column is if a later one is a copy of it, `[R, N]`; NaN where it cannot be that."""
    found = []
    for copying, copy in chain.layout.copies:
        if column in copy.sources:
            sign = copy.signs[copy.sources.index(column)]
            others = copy.value(x.T) - sign * x[:, column]
            value = (x[:, copying] - others) / sign
            fits = chain.layout.map_of(column).supports(value.unsqueeze(-1)).squeeze(-1)
            found.append(torch.where(fits, value, torch.nan))
    return torch.stack(found) if found else x.new_zeros(0, len(x))
