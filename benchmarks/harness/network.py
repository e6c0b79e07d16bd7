"""The network that every loop trains: an MLP 784-512-256-z16-256-512-784 of a binary image.

    q(z|x) = N(mu, diag(exp(log_variance)))        p(x|z) = Bernoulli(sigmoid(logits))

It is written here in plain torch, so that the peers need nothing of variate; `ours.py` has the same
network made of variate's parts. The work of one training step, in its matrix products: an affine
map of i inputs and o outputs takes 2·i·o floating-point operations per item forward, as many again
for the gradient of its weight, and as many for the gradient of its input, which the first layer
does not need.

This module does not know how it is trained.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HIDDEN", "LATENT", "PIXELS", "Net", "elbo", "flops_per_item", "loss", "products"]

PIXELS, HIDDEN, LATENT = 784, (512, 256), 16


class Net(nn.Module):
    """Encoder and decoder, in plain torch."""

    def __init__(self) -> None:
        super().__init__()
        first, second = HIDDEN
        self.encoder = nn.Sequential(
            nn.Linear(PIXELS, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
            nn.Linear(second, 2 * LATENT),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(LATENT, second), nn.ReLU(), nn.Linear(second, first), nn.ReLU(),
            nn.Linear(first, PIXELS),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each `[B, 16]`, for x `[B, 784]`."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return mean, log_variance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of p(x|z) at one draw, mean and log variance of q(z|x)."""
        mean, log_variance = self.encode(x)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(z), mean, log_variance


def loss(net: Net, x: Tensor) -> Tensor:
    """The negative ELBO of a batch, in nats per item."""
    logits, mean, log_variance = net(x)
    distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
    return (distortion + rate) / len(x)


@torch.no_grad()
def elbo(net: Net, x: Tensor) -> float:
    """The held-out ELBO of a trained network, nats per item: did the loop train at all?"""
    return -float(loss(net, x))


def products(batch: int) -> list[tuple[int, int, int]]:
    """The matrix products (m, k, n) of a training step of `batch` items: `[m, k] @ [k, n]`."""
    widths = [PIXELS, *HIDDEN, 2 * LATENT], [LATENT, *reversed(HIDDEN), PIXELS]
    affine = [pair for half in widths for pair in pairwise(half)]
    forward = [(batch, i, o) for i, o in affine]
    of_weights = [(o, batch, i) for i, o in affine]
    of_inputs = [(batch, o, i) for i, o in affine[1:]]
    return forward + of_weights + of_inputs


def flops_per_item() -> int:
    """Floating-point operations of the matrix products of a training step, per item."""
    return sum(2 * m * k * n for m, k, n in products(1))
