r"""log p of one symbol each, where logits are products with many symbols' vectors.

    log p_r = l_r[x_r] - log Σ_k exp l_r[k]        l_r = W h_r + b

A vocabulary of ten thousand makes logits of a batch larger than all else in a step, and what is
done with them waits for memory. Here as many rows at a time are looked at as a cache holds, and the
gradient computes their logits anew, one product more in place of five passes over memory:

    ∂ log p_r / ∂ l_r[k] = 1[k = x_r] - exp(l_r[k] - log Σ exp l_r)

This module does not know what the rows and the symbols stand for.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Ruled", "picked_log_probs", "worthwhile"]

_HELD = {"cpu": 2**21}  # logits at once
_HELD_ELSEWHERE = 2**26

Ruled = Callable[[Tensor, slice], Tensor]


def worthwhile(rows: int, symbols: int, device: torch.device) -> bool:
    """Whether so many logits are too many to be held; never within `torch.func`'s transforms.

    Those know no functions with gradients of their own.
    """
    held = _HELD.get(device.type, _HELD_ELSEWHERE)
    return rows * symbols > held and not torch._C._are_functorch_transforms_active()


def picked_log_probs(
    known: Tensor,
    weight: Tensor,
    bias: Tensor,
    symbols: Tensor,
    *,
    ruled: Ruled | None = None,
    half: bool = False,
) -> Tensor:
    """Log-probabilities of symbols under the softmax of W h + b, in nats.

    Args:
        known: h, `[R, F]`.
        weight: W, `[K, F]`.
        bias: b, `[K]`.
        symbols: Of each row one of 0, …, K - 1, `[R]`.
        ruled: Makes logits -∞ that are ruled out, `[r, K]` of the rows of a slice.
        half: Whether products are in bfloat16; sums are in float32 in any case.

    Returns:
        `[R]`, float32 (float64 for such h).
    """
    with torch.autocast(known.device.type, enabled=False):
        kind = torch.bfloat16 if half else torch.promote_types(known.dtype, weight.dtype)
        found: Tensor = _Picked.apply(known.to(kind), weight.to(kind), bias, symbols, ruled)
    return found


class _Picked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, known: Tensor, weight: Tensor, bias: Tensor, symbols: Tensor, ruled: Ruled | None
    ) -> Tensor:
        total = torch.empty(len(known), dtype=bias.dtype, device=known.device)
        chosen = torch.empty_like(total)
        for rows in _blocks(known, weight):
            logits = _logits(known, weight, bias, ruled, rows)
            total[rows] = logits.logsumexp(-1)
            chosen[rows] = logits.gather(-1, symbols[rows, None])[:, 0]
        ctx.save_for_backward(known, weight, bias, symbols, total)
        ctx.ruled = ruled
        return chosen - total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        known, weight, bias, symbols, total = ctx.saved_tensors
        of_known = torch.empty_like(known)
        of_weight = torch.zeros_like(weight, dtype=bias.dtype)
        of_bias = torch.zeros_like(bias)
        for rows in _blocks(known, weight):
            p = _logits(known, weight, bias, ctx.ruled, rows).sub_(total[rows, None]).exp_()
            here = slope[rows, None]
            each = p.mul_(-here).scatter_add_(-1, symbols[rows, None], here)
            of_bias += each.sum(0)
            each = each.to(known.dtype)
            of_known[rows] = each @ weight
            of_weight += each.T @ known[rows]
        return of_known, of_weight.to(weight.dtype), of_bias, None, None


def _logits(
    known: Tensor, weight: Tensor, bias: Tensor, ruled: Ruled | None, rows: slice
) -> Tensor:
    logits = (known[rows] @ weight.T).to(bias.dtype).add_(bias)
    return logits if ruled is None else ruled(logits, rows)


def _blocks(known: Tensor, weight: Tensor) -> Iterator[slice]:
    held = _HELD.get(known.device.type, _HELD_ELSEWHERE)
    each = max(1, held // len(weight))
    for start in range(0, len(known), each):
        yield slice(start, start + each)
