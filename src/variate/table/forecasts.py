r"""What a table's model says of each column of a row, given the columns before it in the chain.

    p(x_j | x_1, ..., x_{j-1}) = Σ_k w̄_jk p(x_j | x_1, ..., x_{j-1}, z_k)
    w_jk = Π_{i<j} p(x_i | x_1, ..., x_{i-1}, z_k),     z_k ~ p(z)

so that a forecast of column j has seen nothing of x_j, neither directly nor through a code. It is
exact as the number of codes grows. A column's log score is the logarithm of that sum at what was
observed; the log scores of a row add up to an estimate of log p(x).

A number is forecast given that it is not missing, within what was observed in training.

This module does not know whether the forecasts are good.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from variate.distributions.column import Allowed, CategoryLaw, ColumnLaw
from variate.models import VAE
from variate.randomness import isolated
from variate.table.rows import RowDecoder
from variate.table.walk import Route, Walk

__all__ = ["Forecast", "forecasts"]

CODES = 64
DRAWS = 60
BLOCK = 16_384  # laws that are made at once
POOL = 4_096


class Forecast(NamedTuple):
    """The forecasts of one column for N rows.

    Attributes:
        column: Its position in x.
        log_score: Of what was observed, in nats, `[N]`; 0 of a gap that no outcome stands for.
        draws: Of a number, `[N, S]`; None of a category.
        probability: Of a category's levels, and of a gap after them if there is one, `[N, L]`;
            None of a number.
        gap: Whether a gap is an outcome of the column.
    """

    column: int
    log_score: Tensor
    draws: Tensor | None
    probability: Tensor | None
    gap: bool


@torch.no_grad()
def forecasts(
    model: VAE, x: Tensor, *, seed: int, codes: int = CODES, draws: int = DRAWS
) -> list[Forecast]:
    """The forecasts of all columns, in the order of x.

    Args:
        model: One whose decoder is a chain of columns.
        x: The rows, `[N, C]`, within the support.
        seed: Of the codes and the draws.
        codes: How many of them stand for p(z).
        draws: S, of each forecast of a number.
    """
    assert isinstance(model.decoder, RowDecoder)
    route, device = Route(model.decoder.chain), next(model.parameters()).device
    with isolated(seed, device):
        pool = model.prior().sample(torch.Size((max(POOL, codes),)))
        blocks = x.to(device).split(max(1, BLOCK // codes))
        parts = [_of_block(route, pool, block, codes, draws) for block in blocks]
    return [_joined(column) for column in sorted(zip(*parts, strict=True), key=_position)]


def _of_block(route: Route, pool: Tensor, x: Tensor, codes: int, draws: int) -> list[Forecast]:
    """The forecasts for some rows, in the order of the chain."""
    chain = route.chain
    chosen = torch.randint(len(pool), (len(x), codes), device=x.device)
    walk = route.walk(pool[chosen[:, 0]])
    features = chain.features(pool)
    log_w = torch.zeros(chosen.shape, device=x.device)
    found = []
    for place, column in enumerate(chain.order):
        values = x[:, column]
        law = walk.law_under(place, features[place][chosen])
        log_p = law.log_prob(values.repeat_interleave(codes)).view_as(log_w)
        score = (log_w.log_softmax(-1) + log_p).logsumexp(-1)
        if isinstance(law, CategoryLaw):
            share = log_w.softmax(-1).unsqueeze(-1)
            each = law.log_w.exp().unflatten(0, chosen.shape)
            found.append(Forecast(column, score, None, (share * each).sum(1), law.column.gaps))
        else:
            allowed = Allowed(low=law.column.low, high=law.column.high)
            there = log_w
            if law.column.gaps:
                there = log_w + law.restricted(allowed)[1].view_as(log_w)
            kept = torch.multinomial(there.softmax(-1), draws, replacement=True)
            drawn = _drawn(walk, place, features[place][chosen.gather(1, kept)], allowed)
            found.append(Forecast(column, score, drawn.view(len(x), draws), None, law.column.gaps))
        log_w = log_w + log_p
        walk.take(place, values)
    return found


def _drawn(walk: Walk, place: int, features: Tensor, allowed: Allowed) -> Tensor:
    """A number under each of these codes."""
    law: ColumnLaw = walk.law_under(place, features)
    return law.restricted(allowed)[0].sample()


def _position(parts: tuple[Forecast, ...]) -> int:
    return parts[0].column


def _joined(parts: tuple[Forecast, ...]) -> Forecast:
    """One column's forecasts for the rows of all blocks."""
    first = parts[0]
    score = torch.cat([part.log_score for part in parts]).cpu()
    draws, probability = (
        torch.cat([part for part in several if part is not None]).cpu()
        if several[0] is not None
        else None
        for several in ([part.draws for part in parts], [part.probability for part in parts])
    )
    return Forecast(first.column, score, draws, probability, first.gap)
