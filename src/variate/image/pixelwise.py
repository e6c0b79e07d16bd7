"""What each pixel contributes to log p(x|z), and where a picture is not as expected.

Pixels are independent given z, so log p(x|z) = Σ_i log p(x_i|z), with all channels of a pixel in
one term. How strange a pixel is, given what the code says of the picture as a whole:

    u_i = E_q(z|x) [ -log p(x_i|z) - E_{x' ~ p(x'|z)} [-log p(x'_i|z)] ]

its surprise less the surprise that the model expects there. Without the second term every edge and
every noisy background would be strange; with it u_i is 0 on average wherever the model is right.

This module does not know how many pictures there are, nor where they are from.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, Independent

from variate.errors import OptionError
from variate.evaluation import block_of
from variate.models import VAE
from variate.randomness import isolated
from variate.verbs import device_of

__all__ = ["log_prob_of_pixels", "place_of", "unexpected"]

DRAWS = 8
_PARTS = (("upper", "middle", "lower"), ("left", "middle", "right"))

Floats = NDArray[np.float64]


def log_prob_of_pixels(likelihood: Distribution, x: Tensor) -> Tensor:
    """Log p(x_i|z) of each pixel of x `[B, C, H, W]`, `[S, B, H, W]`.

    Raises:
        OptionError: The likelihood is one of the user's own, whose pixels cannot be told apart.
    """
    own = getattr(likelihood, "log_prob_of_pixels", None)
    if own is not None:
        found: Tensor = own(x)
        return found
    if isinstance(likelihood, Independent) and likelihood.reinterpreted_batch_ndims == 3:
        return likelihood.base_dist.log_prob(x).sum(-3)
    raise OptionError(
        f"the likelihood {type(likelihood).__name__} does not say what each pixel contributes."
    )


@torch.no_grad()
def unexpected(model: VAE, x: Tensor, *, draws: int = DRAWS, seed: int) -> Floats:
    """U of each pixel of pictures x `[N, C, H, W]`, `[N, H, W]`, nats."""
    found = []
    with isolated(seed, device_of(model)):
        for block in x.split(block_of(model)):
            block = block.to(device_of(model))
            q: Distribution = model.encoder(block)
            p: Distribution = model.decoder(q.sample(torch.Size((draws,))))
            expected = log_prob_of_pixels(p, p.sample())
            found.append((expected - log_prob_of_pixels(p, block)).double().mean(0).cpu())
    return torch.cat(found).numpy() if found else np.zeros((0, *x.shape[2:]))


def place_of(surprise: Floats) -> str:
    """Where in a picture most of what is unexpected lies, in words.

    Args:
        surprise: U, `[H, W]`.

    Returns:
        The square of a quarter of the side that has the most of it, as rows and columns (counted
        from 0), with its part of the picture and its share of all that is above zero.
    """
    above = np.clip(surprise, 0, None)
    height, width = above.shape
    tall, wide = max(2, height // 4), max(2, width // 4)
    sums = np.pad(above.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = (int(i) for i in np.unravel_index(boxes.argmax(), boxes.shape))
    share = boxes.max() / max(above.sum(), 1e-12)
    names = [
        _PARTS[axis][min(2, int(3 * (at + long / 2) / side))]
        for axis, (at, long, side) in enumerate(((top, tall, height), (left, wide, width)))
    ]
    part = names[0] if names[0] == names[1] else " ".join(names)
    return (
        f"rows {top}-{top + tall - 1}, columns {left}-{left + wide - 1} ({part}): "
        f"{share:.0%} of what is unexpected"
    )
