r"""Pictures varied where the code is a hierarchy or a grid of discrete codes.

**A hierarchy.** With u the code of a picture on the path of means and ε ~ N(0, I)

    u' = √(1 - s²) u + s ε          of the groups below the first `keep`; those keep u

leaves the law of codes as it is, N(0, I), for any strength s from 0 (the reconstruction) to 1 (new
draws, Neal 1998), where adding noise to thousands of variables would lead out of it. With s = 1
and the top groups kept, pictures share what these groups say and differ in all that is finer.

**Codes.** A share s of the places, chosen by chance, is drawn anew by the prior, place by place,
each given the codes before it, kept or drawn. What lies after a place is not looked at.

This module does not know how a picture got its code.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from variate import verbs
from variate.distributions import CodeLaw, CodePoint
from variate.evaluation import block_of
from variate.models import VAE
from variate.models.codeprior import renewed
from variate.models.noncentred import NonCentred
from variate.randomness import isolated

__all__ = [
    "codes_of",
    "codes_where_missing",
    "vectors_of",
    "with_codes_renewed",
    "with_groups_renewed",
]


def with_groups_renewed(
    model: NonCentred, u: Tensor, n: int, *, strength: float, keep: int, seed: int | None
) -> Tensor:
    """n codes for each of u `[N, D]`, `[N·n, D]`: see the module."""
    center = u.repeat_interleave(n, dim=0)
    with isolated(seed):
        moved = (1 - strength**2) ** 0.5 * center + strength * torch.randn_like(center)
    kept = sum(model.sizes[:keep])
    return torch.cat([center[:, :kept], moved[:, kept:]], 1)


@torch.no_grad()
def with_codes_renewed(
    model: VAE, z: Tensor, n: int, *, strength: float, seed: int | None
) -> Tensor:
    """The vectors of n grids of codes for each of z `[N, P·d]`, `[N·n, P·d]`: see the module."""
    law = model.prior()
    assert isinstance(law, CodeLaw)
    device = verbs.device_of(model)
    book: Any = law.codebook
    vectors = z.to(device, torch.float32).unflatten(-1, (-1, book.width))
    codes = book.nearest(vectors).repeat_interleave(n, dim=0)
    count = round(strength * codes.shape[1])
    with isolated(seed, device):
        chosen = torch.rand(codes.shape, device=device).argsort(1) < count
        return book.look_up(renewed(law.grid, codes, chosen)[0]).flatten(-2).to(z)


@torch.no_grad()
def codes_where_missing(model: VAE, filled: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
    """A step of `inpainting`: the codes of places with missing pixels are drawn by the prior.

    Args:
        model: With a grid of codes.
        filled: Pictures `[N, C, H, W]`.
        missing: Which pixels are missing, bool `[N, H, W]`.

    Returns:
        z `[1, N, P·d]` and log q `[1, N]` of the codes drawn.
    """
    law, q = model.prior(), model.encoder(filled)
    assert isinstance(law, CodeLaw)
    assert isinstance(q, CodePoint)
    grid = tuple(model.encoder[1].positions)  # type: ignore[index]
    chosen = (F.adaptive_max_pool2d(missing[:, None].float(), grid) > 0).flatten(1)
    codes, log_q = renewed(law.grid, q.codes, chosen)
    return law.codebook.look_up(codes).flatten(-2)[None], log_q[None]


@torch.no_grad()
def codes_of(model: VAE, x: Tensor) -> Tensor:
    """The codes of pictures x `[N, C, H, W]`, `[N, P]` int64."""
    found = [torch.zeros(0, dtype=torch.int64)]
    device = verbs.device_of(model)
    for block, size in verbs.blocks(x, block_of(model)):
        q: Distribution = model.encoder(block.to(device))
        assert isinstance(q, CodePoint)
        found.append(q.codes[:size].cpu())
    return torch.cat([part for part in found if part.numel()] or found)


@torch.no_grad()
def vectors_of(model: VAE, codes: Tensor) -> Tensor:
    """z `[N, P·d]` of codes `[N, P]`."""
    law = model.prior()
    assert isinstance(law, CodeLaw)
    return law.codebook.look_up(codes.to(verbs.device_of(model))).flatten(-2).cpu()
