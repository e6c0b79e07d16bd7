r"""One outcome of several, by the inverse of the sums of their probabilities.

With s_l = w_1 + ... + w_l and U uniform on (0, 1], the first l with s_l >= U s_L has the
probability w_l / s_L. It is found by bisection. U is never zero, therefore an outcome of
probability zero is never drawn.

This module does not know what the outcomes are.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

__all__ = ["NEVER", "drawn_outcomes", "padded"]

NEVER = -1e9  # a logit whose probability is zero, and whose gradient is not NaN
_LANES = 16  # numbers that the processor handles at once: a softmax over fewer takes longer


def drawn_outcomes(
    logits: Tensor, generator: Generator | None = None, beyond: float = 0.0
) -> Tensor:
    """One outcome for each row, int32 `[M]`.

    Args:
        logits: Log-probabilities up to a constant, `[M, L]`.
        generator: Of the uniform numbers; None is torch's own.
        beyond: How often, for each draw of one of the outcomes, there is to be an L.
    """
    reached = padded(logits).softmax(-1).cumsum(-1)
    uniform = torch.rand(
        len(logits), 1, generator=generator, dtype=reached.dtype, device=reached.device
    )
    share = (1 - uniform) * (reached[:, -1:] * (1 + beyond))
    found = torch.searchsorted(reached, share, out_int32=True).squeeze(-1)
    return found.clamp(max=logits.shape[-1] - (beyond == 0))  # also where nothing is possible


def padded(logits: Tensor) -> Tensor:
    """The logits `[..., L]` and impossible outcomes, up to a convenient number of them."""
    more = -logits.shape[-1] % _LANES
    return F.pad(logits, (0, more), value=-torch.inf) if more else logits  # pad would copy
