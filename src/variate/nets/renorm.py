r"""Batch renormalisation: numbers standardised by running statistics, with the batch's slope.

In training the mean m and the variance v of each number are running, moved by each batch before
they are used, at a rate a_t = 1 - min(decay, (1 + t) / (10 + t)),

    v <- v + a_t (mean (y - m)² - v)        m <- m + a_t (mean y - m)

and a batch of mean μ and deviation σ becomes (Ioffe 2017, without limits on r and d)

    (y - μ)/σ · r + d,        r = σ/√v,  d = (μ - m)/√v,  both without gradient

whose value is (y - m)/√v. So an item's value does not depend on the items beside it, save as every
batch moves what is running; but its gradient has no part along shift and scale, which no loss can
then run away with. In evaluation mode it is (y - m)/√v with all held.

This module does not know what the numbers are for.
"""

import torch
from torch import Tensor, nn

__all__ = ["BatchRenorm", "rate_of"]

_LEAST = 1e-6  # a variance below which a number is a constant


def rate_of(steps: Tensor, decay: float) -> Tensor:
    """By which share of the way running means move after so many steps, fast at first."""
    return 1 - ((1 + steps) / (10 + steps)).clamp_max(decay)


class BatchRenorm(nn.Module):
    """Numbers `[N, D]` -> the same, of mean 0 and variance 1 over the data.

    Args:
        width: D.
        decay: The share of a running mean that a batch leaves.
    """

    mean: Tensor
    variance: Tensor
    steps: Tensor

    def __init__(self, width: int, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, y: Tensor) -> Tensor:
        """Of numbers `[N, D]`; the statistics move in training mode with gradients on."""
        if not (self.training and torch.is_grad_enabled()):
            return (y - self.mean) / self._scale()
        self._move(y.detach())
        variance, mean = torch.var_mean(y, 0, correction=0)
        own, running = (variance + _LEAST).sqrt(), self._scale()
        r, d = (own / running).detach(), ((mean - self.mean) / running).detach()
        return (y - mean) / own * r + d

    def _scale(self) -> Tensor:
        return (self.variance + _LEAST).sqrt()

    @torch.no_grad()
    def _move(self, y: Tensor) -> None:
        sound = y.isfinite().all()  # a batch that is not is skipped by the optimiser too
        rate = torch.where(sound, rate_of(self.steps, self.decay), 0.0).to(y.dtype)
        y = torch.where(sound, y, self.mean)
        self.variance.lerp_((y - self.mean).square().mean(0), rate)
        self.mean.lerp_(y.mean(0), rate)
        self.steps.add_(sound)
