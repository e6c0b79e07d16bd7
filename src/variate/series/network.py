r"""The encoder and the decoder of windows.

    x [B, L, C], NaN = unobserved
      -> T(x), 0 where unobserved; whether it was observed          [B, 2 L C]
      -> MLP -> q(z|x)

    z [S, B, D] -> MLP -> μ, σ of each step and channel -> p(x|z)   (see `law`)

How the noise of a channel is tied, φ, is one number for all z, from 0 at the start.

Perceptrons over the whole window, not convolutions: each step has weights of its own, so the place
in the window needs no code, and a training step of a window of 288 takes a few milliseconds of one
core, a tenth of what convolutions of the same width took.

This module does not know where windows come from, nor which cells were hidden on purpose.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.distributions import bounded_scale
from variate.nets import MLP
from variate.series.law import Steps, Units, shapes
from variate.series.scaling import Scaling

__all__ = ["WindowDecoder", "WindowEncoder"]

BOUND = 8.0  # of the scores that the encoder sees
TIED = 0.995  # the most that φ can be
PACE = 5.0  # how much faster than weights φ is learned: else z takes on what wanders


class WindowEncoder(nn.Module):
    """x `[B, L, C]` -> q(z|x).

    Args:
        scaling: Of the channels.
        length: L.
        hidden: The widths of the hidden layers.
        posterior: Features -> q(z|x).
    """

    def __init__(
        self, scaling: Scaling, length: int, hidden: tuple[int, ...], posterior: nn.Module
    ) -> None:
        super().__init__()
        self.units = Units(scaling)
        self.body = MLP(2 * length * len(scaling.middle), hidden)
        self.posterior = posterior

    def forward(self, x: Tensor) -> Distribution:
        """q(z|x) of windows x `[B, L, C]`, NaN = unobserved."""
        observed = ~x.isnan()
        scores = self.units.scores(x).clamp(-BOUND, BOUND)
        seen = torch.stack([torch.where(observed, scores, 0.0), observed.to(scores)], -1)
        weight = next(self.body.parameters())
        q: Distribution = self.posterior(self.body(seen.flatten(1).to(weight.dtype)))
        return q


class WindowDecoder(nn.Module):
    """z `[S, B, D]` -> p(x|z).

    Args:
        scaling: Of the channels.
        length: L.
        latent: D.
        hidden: The widths of the hidden layers.
        components: K, the shapes that the noise is a mixture of.
    """

    def __init__(
        self,
        scaling: Scaling,
        length: int,
        latent: int,
        hidden: tuple[int, ...],
        components: int,
    ) -> None:
        super().__init__()
        self.units = Units(scaling)
        self.shape = (length, len(scaling.middle), 2)
        outputs = length * len(scaling.middle) * 2
        self.body = MLP(latent, hidden, outputs=outputs)
        self.logits = nn.Parameter(torch.zeros(len(scaling.middle), components))
        self.log_relative = nn.Parameter(shapes(components).repeat(len(scaling.middle), 1))
        self.tie = nn.Parameter(torch.zeros(len(scaling.middle)))

    def forward(self, z: Tensor) -> Steps:
        """p(x|z) of codes z `[S, B, D]`."""
        location, raw = self.body(z).unflatten(-1, self.shape).unbind(-1)
        scale, relative = bounded_scale(raw - 1.0), self.log_relative.exp()
        return Steps(
            self.units, location, scale, self.logits, relative, TIED * torch.tanh(PACE * self.tie)
        )
