"""The networks that every loop trains, of a binary image `[784]`.

    q(z|x) = N(mu, diag(exp(log_variance)))        p(x|z) = Bernoulli(sigmoid(logits))

    MLP     784-512-256-z16-256-512-784
    conv    convolutions 4 x 4 of stride 2 to 32 and 64 maps, 256, z16, and the way back

They are written here in plain torch, so that the peers need nothing of variate; `ours.py` has the
same made of variate's parts. The work of one training step of the MLP, in its matrix products: an
affine map of i inputs and o outputs takes 2·i·o floating-point operations per item forward, as many
again for the gradient of its weight, and as many for the gradient of its input, which the first
layer does not need.

This module does not know how it is trained.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "HIDDEN",
    "LATENT",
    "LAYERS",
    "MAPS",
    "PIXELS",
    "Net",
    "elbo",
    "flops_per_item",
    "loss",
    "perceptron",
    "products",
]

SIDE, LATENT = 28, 16
PIXELS, HIDDEN = SIDE * SIDE, (512, 256)
MAPS, DENSE = (32, 64), 256
SMALL = MAPS[1], SIDE // 4, SIDE // 4  # the last maps

Layers = tuple[list[nn.Module], list[nn.Module]]


def perceptron(hidden: tuple[int, int] = HIDDEN) -> Layers:
    """The layers of the MLP, of these widths."""
    first, second = hidden
    return (
        [nn.Linear(PIXELS, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()],
        [nn.Linear(LATENT, second), nn.ReLU(), nn.Linear(second, first), nn.ReLU()],
    )


def _convolutional() -> Layers:
    first, second = MAPS
    flat = math.prod(SMALL)
    return (
        [
            nn.Unflatten(1, (1, SIDE, SIDE)),
            nn.Conv2d(1, first, 4, 2, 1), nn.ReLU(), nn.Conv2d(first, second, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(flat, DENSE), nn.ReLU(),
        ],
        [
            nn.Linear(LATENT, DENSE), nn.ReLU(), nn.Linear(DENSE, flat), nn.ReLU(),
            nn.Unflatten(1, SMALL), nn.ConvTranspose2d(second, first, 4, 2, 1), nn.ReLU(),
        ],
    )  # fmt: skip


# The layers below the last of the encoder, and below the last of the decoder.
LAYERS = {"MLP": perceptron, "conv": _convolutional}


class Net(nn.Module):
    """Encoder and decoder, in plain torch; the key of `LAYERS` says of which layers."""

    def __init__(self, network: str = "MLP") -> None:
        super().__init__()
        encoder, decoder = LAYERS[network]()
        dense = network == "MLP"
        heads = nn.Linear(HIDDEN[1] if dense else DENSE, 2 * LATENT)
        pixels = (
            [nn.Linear(HIDDEN[0], PIXELS)]
            if dense
            else [nn.ConvTranspose2d(MAPS[0], 1, 4, 2, 1), nn.Flatten()]
        )
        self.encoder = nn.Sequential(*encoder, heads)
        self.decoder = nn.Sequential(*decoder, *pixels)

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
