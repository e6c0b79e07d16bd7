r"""An ensemble of small variational autoencoders that are shown a part of each row.

Member m is a VAE of standardised rows x with cells `seen`,

    q_m(z | x_seen) = N(mu, diag(sigma²))        p_m(x_j | z) = N(c_j, s_j²),  s_j >= 0.02

and all are trained as one model, on a random half of each row's cells seen and all of its cells
told: what is maximised is, with a batch that changes,

    E_q[log p_m(x | z)] - KL(q_m(z | x_seen) ‖ p(z))          in nats, over the number of columns

so that p_m(x | x_seen) is learned for all parts that can be seen (Nazabal et al. 2020; Ivanov et
al. 2019). Rows come in folds, and a member learns from all folds but its own: of a training row the
members that have not seen it can speak like those of a new row.

This module does not know what is made of this to find anomalies.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.inference import Loss, Moment
from variate.nets import Members

__all__ = ["FOLDS", "MEMBERS", "Ensemble", "PartlySeen", "Told"]

MEMBERS = 6  # a multiple of FOLDS
FOLDS = 3
HIDDEN = 64
LATENT = 16
FLOOR = 0.02  # of s, in standard deviations of a column
LOG_VARIANCE = (-8.0, 3.0)  # of q
LIMIT = 30.0  # standard scores end here for the networks
SHOWN = 0.5  # the share of cells that are seen in training


class Told(NamedTuple):
    """What the members say of rows, of which they have seen some cells.

    Attributes:
        center: c, `[M, B, C]`.
        scale: s, `[M, B, C]`.
        kl: KL(q‖p) in nats, `[M, B]`.
    """

    center: Tensor
    scale: Tensor
    kl: Tensor


class Ensemble(nn.Module):
    """M autoencoders of rows of C columns.

    Args:
        columns: C.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.encoder = Members(MEMBERS, (2 * columns, HIDDEN, HIDDEN, 2 * LATENT))
        self.decoder = Members(MEMBERS, (LATENT, HIDDEN, HIDDEN, 2 * columns))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Told:
        """What is said of rows `[B, C]` or `[M, B, C]`, NaN = missing.

        Args:
            x: The rows, in standard scores.
            seen: Which cells are seen, of x's shape; None for all that are there. z is drawn in
                training, and else the mean of q.
        """
        x = x[..., : self.columns]
        there = ~x.isnan() if seen is None else seen & ~x.isnan()
        item = x.nan_to_num(0.0).clamp(-LIMIT, LIMIT).expand(MEMBERS, -1, -1)
        shown = there.to(item).expand_as(item)
        mean, log_variance = self.encoder(torch.cat([item * shown, shown], -1)).chunk(2, -1)
        log_variance = log_variance.clamp(*LOG_VARIANCE)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
        if self.training:
            mean = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        center, raw = self.decoder(mean).chunk(2, -1)
        return Told(center, FLOOR + F.softplus(raw + 0.5), kl)


class PartlySeen(nn.Module):
    """The negative bound of rows of which a random half of the cells is seen, per column.

    Rows are `[B, C + 1]`, the last column being the fold: the members of which it is have no part
    in the row's loss.
    """

    def forward(self, model: Ensemble, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch: the sum of the members' means over the rows that they learn from."""
        rows, fold = x[:, :-1], x[:, -1]
        seen = torch.rand(MEMBERS, *rows.shape, device=x.device) < SHOWN
        told = model(rows, seen)
        present = ~rows.isnan()
        value = rows.nan_to_num(0.0).clamp(-LIMIT, LIMIT)
        log_p = -0.5 * ((value - told.center) / told.scale).square() - told.scale.log()
        log_p = ((log_p - 0.5 * math.log(2 * math.pi)) * present).sum(-1)
        learns = fold != (torch.arange(MEMBERS, device=x.device) % FOLDS).unsqueeze(-1)
        bound = ((log_p - told.kl) * learns).sum(1) / learns.sum(1).clamp_min(1)
        kl = (told.kl * learns).sum(1) / learns.sum(1).clamp_min(1)
        return Loss(-bound.sum() / rows.shape[1], {"bound": bound.mean(), "rate": kl.mean()})
