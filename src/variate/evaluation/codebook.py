r"""How much of a codebook is used: the health of a model with discrete codes.

With n_k of the N·P codes of N items being k, and p_k = n_k / (N P),

    perplexity = exp(-Σ_k p_k log p_k)        1 if all codes are one, K if all are used alike

A perplexity far below K says that the codebook has collapsed, as a KL near zero does of a normal
posterior; KL(q‖p) itself cannot tell, as it is -log p of the codes, whatever these are. Positions
may mean different things and use the codes differently, so each has a perplexity of its own too.

This module does not know how codes are chosen.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from variate.distributions import CodePoint
from variate.evaluation.passes import at_least_one, evaluating, in_rows
from variate.inference import Inference

__all__ = ["CodeUsage", "code_usage"]


class CodeUsage(NamedTuple):
    """Which codes some items have.

    Attributes:
        counts: How often each code is used, `[K]` int64.
        perplexity: How many codes would be used, were all that are used alike; 1 to K.
        share: The share of the K codes that are used at all. With N·P not much above K some are
            not for want of items.
        per_position: The perplexity of each position, `[P]` float64.
    """

    counts: Tensor
    perplexity: float
    share: float
    per_position: Tensor


def code_usage(model: nn.Module, x: Tensor, *, rows: int = 256) -> CodeUsage:
    """Which codes the items have.

    Args:
        model: A `LatentModel` whose first latent is quantised, by `posteriors.FSQ` or `VQ`.
        x: `[N, *event]`, on any device.
        rows: Most items at a time.

    Raises:
        OptionError: There is no item, or `rows` is less than 1.
        TypeError: The posterior has no codes.
    """
    at_least_one(items=len(x))
    with evaluating(model, 0):
        pieces = [_codes(model(batch, 1)) for _, batch in in_rows(model, x, rows)]
    size = pieces[0][1]
    codes = torch.cat([piece.cpu() for piece, _ in pieces])
    each = torch.stack([column.bincount(minlength=size) for column in codes.unbind(1)])
    counts = each.sum(0)
    return CodeUsage(
        counts,
        _perplexity(counts).item(),
        (counts > 0).double().mean().item(),
        _perplexity(each),
    )


def _codes(inference: Inference) -> tuple[Tensor, int]:
    posterior = inference.latents[0].posterior
    if not isinstance(posterior, CodePoint):
        raise TypeError(
            "code_usage is for a posterior that is a grid of codes, posteriors.FSQ or VQ, but the "
            f"model's is a {type(posterior).__name__}"
        )
    return posterior.codes, posterior.codebook.size


def _perplexity(counts: Tensor) -> Tensor:
    """Of counts `[..., K]`, `[...]`."""
    share = counts / counts.sum(-1, keepdim=True).double()
    return (-torch.special.xlogy(share, share).sum(-1)).exp()
