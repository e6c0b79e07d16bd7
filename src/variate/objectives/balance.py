r"""KL balancing: while the KL warms up, groups that say little are charged less (NVAE).

In a hierarchy the KL can come to lie in a few groups, while others collapse before the layers
above and below have learned to use them. Vahdat & Kautz (2020, appendix A) charge, while β(t) is
still on its way up to its final value, with K_l the mean KL of group l over the batch,

    total = R + β(t) Σ_l γ_l K_l,      γ_l  ∝  (|K_l| + 0.01) / α_l,      mean_l γ_l = 1
    α_l   = (dimensions of group l) / (how many groups have as many),     the least α_l being 1

γ has no gradient. A group with twice the KL of another is charged twice as much for each nat, so
that one near its prior is nearly free; groups of large maps, in which more is to be said, are
charged less, by α. α is that of the authors' code, with dimensions for the area of a map, which is
the same thing where all groups have as many channels.

When the warm-up is over, γ_l = 1: what is trained in the end is the ELBO, and figures of held-out
items are those of it throughout. With a β that never changes it is the ELBO from the start.
`GroupFreeBits` meets the same end by a floor that each group has free.

This module does not know how groups are tied.
"""

from collections import Counter

import torch
from torch import Tensor, nn

from variate.inference import Loss, Moment
from variate.objectives.bound import arguments, check_samples, halves, scalar
from variate.objectives.schedules import Schedule, WarmUp, coefficient

__all__ = ["BalancedKL", "balanced"]

_LEAST = 0.01  # nats, so that a group that is its prior has a weight


class BalancedKL(nn.Module):
    """The ELBO, whose KL is balanced over the groups of latents while β rises.

    The term `kl_balanced` is Σ_l γ_l K_l, what is paid for; `elbo` is exact.

    Args:
        beta: The weight of the KL, a schedule that ends at its largest value; None for
            `WarmUp(1.0, 0.3)`, the share of the run that NVAE warms up for.
        samples: Posterior draws per item.

    Raises:
        OptionError: β is negative or not finite, or samples not a positive whole number.
    """

    def __init__(self, beta: float | Schedule | None = None, samples: int = 1) -> None:
        super().__init__()
        self.beta = coefficient("beta", WarmUp(1.0, 0.3) if beta is None else beta)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        parts = halves(model, x, self.samples)
        kl = torch.stack([group.sum() for group in parts.groups])
        sizes = [latent.z[0, 0].numel() for latent in parts.inference.latents]
        # told on the device, so that no step waits for it
        rising = scalar(beta, parts.kl) < Moment().at(self.beta)
        paid = torch.where(rising, (balanced(kl.detach(), sizes) * kl).sum(), parts.kl)
        return Loss(beta * paid + parts.distortion, parts.terms(beta, kl_balanced=paid))


def balanced(kl: Tensor, sizes: list[int]) -> Tensor:
    """γ `[L]` of groups whose KLs are `[L]`, in nats, and which have so many dimensions each."""
    alike = Counter(sizes)
    spread = [size / alike[size] for size in sizes]
    least = min(spread)
    charge = torch.stack(
        [(k.abs() + _LEAST) / (a / least) for k, a in zip(kl, spread, strict=True)]
    )
    return charge / charge.mean()
