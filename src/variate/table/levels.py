r"""The most probable level of a missing category, from the weighted candidates of its row.

With weights w̄_k, codes z_k and whole rows x^k, there are three estimates of p(x_j = l | x_known).
The shares of the candidates, a_l = Σ_k w̄_k [x^k_j = l], are right but noisy; what they were drawn
from, b_l = Σ_k w̄_k p(l | x^k before j, z_k), is calm, but leaves out what later columns say of the
level itself. As far as they differ by no more than noise does, b is taken:

    p_l = b_l + max(0, 1 - v / Σ (a_l - b_l)²) (a_l - b_l),    v = (1 - Σ b_l²) / effective number

(James & Stein 1961, with the variance that indicators have). Where that leaves a doubt, the
likelier levels are tried in the cell, all else of a candidate staying as it is:

    c_l = E_k [ p(x^k with x_j = l | z_k) / Σ_l' p(x^k with x_j = l' | z_k) ]

with k drawn in proportion to the weights. It is the law from which Gibbs sampling would draw the
cell, and its mean is the probability of the level without the noise of the draw (Rao-Blackwell;
Gelfand & Smith 1990). Its noise is another than that of p, so the mean of the two is taken.

This module does not know how the candidates came about.
"""

import torch
from torch import Tensor

from variate.table.chain import Chain

__all__ = ["DOUBT", "STATES", "given_others", "shrunk_shares"]

STATES = 8  # candidates of a row whose other cells a level is tried with
TRIED = 4  # levels, the likeliest
DOUBT = 0.2  # times as likely as the best: a level that is not worth a try below
ROWS = 4_096  # that are looked at together
IMPOSSIBLE = -1e6


def shrunk_shares(codes: Tensor, share: Tensor, law: Tensor, effective: Tensor) -> Tensor:
    """The probabilities p of a category's levels, `[cells, L]`.

    Args:
        codes: Of the candidates, `[cells, k]`.
        share: Their weights, which add to one.
        law: From what they were drawn, `[cells, k, L]`.
        effective: How many they are worth, `[cells]`.
    """
    calm = (share.unsqueeze(-1) * law).sum(1)
    found = torch.zeros_like(calm).scatter_add(1, codes.long(), share)
    off = found - calm
    noise = (1 - calm.square().sum(-1)) / effective
    kept = (1 - noise / off.square().sum(-1).clamp_min(1e-12)).clamp(min=0)
    return calm + kept.unsqueeze(-1) * off


def given_others(chain: Chain, column: int, chance: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """The probabilities of a category's levels, p and c together, `[cells, L]`.

    Args:
        chain: The networks of the columns.
        column: The position of the category.
        chance: p, `[cells, L]`.
        x: Rows of which the cells are part, drawn in proportion to their weights,
            `[cells, S, C]`.
        z: Their codes, `[cells, S, D]`.
    """
    best, tried = chance.topk(min(TRIED, chance.shape[-1]), -1)
    if best.shape[-1] < 2:
        return chance
    open_ = (best[:, 1] > DOUBT * best[:, 0]).nonzero().squeeze(-1)
    if not len(open_):
        return chance
    levels, total = tried[open_], best[open_].sum(-1, keepdim=True)
    law = _law(chain, column, levels, x[open_], z[open_])
    made = chance.clone()
    made[open_] = made[open_].scatter(1, levels, 0.5 * (best[open_] + total * law))
    return made


def _law(chain: Chain, column: int, levels: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """c of levels `[n, T]` among themselves, `[n, T]`."""
    (n, tried), states = levels.shape, x.shape[1]
    x = x.unsqueeze(2).repeat(1, 1, tried, 1)
    x[..., column] = levels.to(x).unsqueeze(1)
    z = z.unsqueeze(2).expand(-1, -1, tried, -1).flatten(0, 2)
    parts = [
        chain.log_prob(codes.unsqueeze(0), rows).squeeze(1)
        for rows, codes in zip(x.flatten(0, 2).split(ROWS), z.split(ROWS), strict=True)
    ]
    log_p = torch.cat(parts, -1).view(-1, n, states, tried)
    never = log_p.amax((-1, -2), keepdim=True) < IMPOSSIBLE  # it says nothing, as for candidates
    return torch.where(never, 0.0, log_p).sum(0).softmax(-1).mean(1)
