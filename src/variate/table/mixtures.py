r"""Mixtures of numbers that draw the quantiles of the data, as far as biases can.

Rows are drawn along the chain, and it is a number's turn. With F_m the distribution function of its
mixture in row m, F the mean over the rows and G that of the data's scores, each where the number is
no atom and no copy, r = F(t) - G(t) at E quantiles t of the data is what the column is off. Let
b be the biases of the mixture's weights and locations, J the derivatives of F(t) by them, and H
Fisher's information, so that a shift b changes the law by b'Hb/2 nats. Then

    b <- b - (J'J + λH)^{-1} J'r

does the most for r at its price; λ is the least for which the price is not above a limit. A few
such steps are made, as long as r becomes smaller. They move a column as a whole and the weights of
its parts, not single values, nor what it has to do with others. With a multiple of the identity for
H (Levenberg, Marquardt) narrow laws paid for it: measurements of showers lost 0.37 nats a row.

The scales are left alone. J leaves out that the law is cut to what was observed.

This module does not know the outcomes of a column, nor where the rows came from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from variate.distributions.column import NumberLaw
from variate.distributions.rows import Numeric, Reading
from variate.table.walk import Walk

__all__ = ["settle_mixture"]

EDGES = 31  # E
FEWEST = 100 * EDGES  # rows of the data; of fewer a quantile is noise
STEPS = 4
PRICE = 0.003  # nats of a number, at most, by which a step changes its law
DEARER = 30  # times λ is raised by a factor of four
SOME = 4_096  # rows that are enough for an average


def settle_mixture(walk: Walk, place: int, reading: Reading) -> None:
    """Give the mixture of a number, whose turn it is, what its biases can mend.

    Args:
        walk: Rows drawn up to the column.
        place: The column's; it may be of any kind.
        reading: The data.
    """
    chain = walk.chain
    column = chain.order[place]
    number = chain.layout.columns[column]
    if not isinstance(number, Numeric) or number.closed:
        return
    mine = reading.outcome[column] == len(number.atoms)
    for r, (copying, _) in enumerate(chain.layout.copies):
        if copying == column:
            mine = mine & ~reading.equal[r]
    n = chain.layout.numeric.index(column)
    upper = (reading.lower[n] + reading.width[n])[mine]  # of cells; points are their own
    if len(upper) < FEWEST:
        return
    levels = torch.linspace(0, 1, EDGES + 2, device=upper.device)[1:-1]
    edges = upper.quantile(levels).unique()
    wanted = (upper.unsqueeze(-1) <= edges).double().mean(0)
    off, change = _off(walk, place, edges, wanted)
    for _ in range(STEPS):
        if off.abs().max() < len(upper) ** -0.5:  # the noise of the data itself
            return
        law = walk.observed(place)
        assert isinstance(law, NumberLaw)
        shift = _least(off, change, _information(law.some(SOME)))
        shift = torch.cat([shift, torch.zeros_like(shift[: chain.layout.components])]).float()
        chain.shift_numbers(column, shift)
        before = off
        off, change = _off(walk, place, edges, wanted)
        if off.square().sum() >= before.square().sum():
            chain.shift_numbers(column, -shift)
            return


def _least(off: Tensor, change: Tensor, information: Tensor) -> Tensor:
    """The shift `[2·K]` that does most for what is off at no more than the price."""
    eye = torch.eye(len(information), dtype=information.dtype, device=information.device)
    information = information + 1e-6 * information.diagonal().mean() * eye
    square, slope = change.T @ change, change.T @ off
    price = 1e-6 * square.diagonal().mean() / information.diagonal().mean()
    for _ in range(DEARER):
        shift = -torch.linalg.solve(square + price * information, slope)
        if shift @ information @ shift / 2 <= PRICE:
            return shift
        price = 4 * price
    return torch.zeros_like(slope)


def _information(law: NumberLaw) -> Tensor:
    """Fisher's, of the biases of a mixture's weights and locations, `[2·K, 2·K]`."""
    weight = law.log_w[:, len(law.column.atoms)].exp().double()
    mixture = law.mixture.double()
    p, location, scale = (
        part[:, :-1] for part in (mixture.logits.exp(), mixture.location, mixture.scale)
    )
    chosen = torch.multinomial(p, 1)
    uniform = torch.rand_like(p[:, :1])
    score = location.gather(1, chosen) + scale.gather(1, chosen) * torch.logit(uniform, 1e-9)
    u = (score - location) / scale
    log_f = mixture.logits[:, :-1] - scale.log() + F.logsigmoid(u) + F.logsigmoid(-u)
    own = log_f.softmax(-1)
    by = torch.cat([own - p, own * torch.tanh(u / 2) / scale], -1)
    return by.T @ (by * weight.unsqueeze(-1)) / len(by)


def _off(walk: Walk, place: int, edges: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """F(t) - G(t) `[E]`, and the derivatives of F(t) by biases of weights and locations `[E, 2·K]`.

    These leave out that the law is cut to what was observed.
    """
    law = walk.observed(place)
    assert isinstance(law, NumberLaw)
    weight = law.log_w[:, len(law.column.atoms)].exp()
    weight = weight / weight.sum()
    p, location, rate = law.mixture.logits.exp(), law.mixture.location, 1 / law.mixture.scale
    own = p[:, :-1].sum(-1, keepdim=True)  # the last component is the broad one
    low, high = (law.mixture.cdf(weight.new_full(weight.shape, end)) for end in (law.low, law.high))
    inside = (high - low).clamp_min(1e-6)
    found, change = [], []
    for edge in edges:
        under = torch.sigmoid((edge - location) * rate)
        share = p * under
        found.append(weight @ ((share.sum(-1) - low) / inside).clamp(0, 1))
        by_weight = share - p * (share[:, :-1].sum(-1, keepdim=True) / own)
        by_location = -share * (1 - under) * rate
        change.append(torch.cat([weight @ by_weight[:, :-1], weight @ by_location[:, :-1]]))
    return torch.stack(found).double() - wanted, torch.stack(change).double()
