r"""What each token contributes: its surprise, and whether it is the likeliest.

With z the mean code of x,

    s_t = -log p(x_t | x_<t, z)                    surprise, nats
    e_t = E[-log p(y | x_<t, z)], y ~ p(. | x_<t, z)   what the model itself expects: its entropy

A sentence is strange where s_t - e_t is large; s_t alone marks every name and number.

This module does not know any text.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from variate.distributions import Sequences
from variate.distributions.sequences import counted, trimmed
from variate.evaluation import block_of
from variate.models import VAE
from variate.verbs import encode

__all__ = ["Tokenwise", "tokenwise"]


class Tokenwise(NamedTuple):
    """Of each token of sentences, 0 behind the end.

    Attributes:
        surprise: s, nats, `[N, T]`.
        expected: e, nats, `[N, T]`.
        right: Whether it is the likeliest, `[N, T]`.
        part: Which places are modelled: those of a sentence and its end, `[N, T]`.
    """

    surprise: Tensor
    expected: Tensor
    right: Tensor
    part: Tensor


@torch.no_grad()
def tokenwise(model: VAE, x: Tensor) -> Tokenwise:
    """What each token of x `[N, T]` contributes, given the mean code."""
    rows, codes = block_of(model), encode(model, x)[0]
    weight = next(model.decoder.parameters())
    found = [
        _block(model, z.to(weight), block.to(weight.device))
        for block, z in zip(x.split(rows), codes.split(rows), strict=True)
    ]
    surprise, expected, right, part = zip(*found, strict=True)
    return Tokenwise(*(torch.cat(parts).cpu() for parts in (surprise, expected, right, part)))


def _block(model: VAE, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    law = model.decoder(z[None])
    assert isinstance(law, Sequences)
    used, part = trimmed(x, law.end).long(), counted(x, law.end)
    if law.prompt is not None:
        part[:, 0] = False
    pieces = [_looked(log_p[0], used[:, where]) for where, log_p in law.next_pieces(used)]
    wide = (0, x.shape[1] - used.shape[1])
    surprise, expected, right = (
        F.pad(torch.cat(values, 1), wide) * part for values in zip(*pieces, strict=True)
    )
    return surprise, expected, right, part


def _looked(log_p: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of some places x `[B, t]` what is lost, what was expected to be, and whether it was best."""
    surprise = -log_p.gather(-1, x[..., None])[..., 0]
    expected = -(log_p.exp() * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(-1)
    return surprise, expected, (log_p.argmax(-1) == x).float()
