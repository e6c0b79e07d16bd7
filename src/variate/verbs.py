"""The verbs on tensors: what a fitted model can do, before any kind of data comes in.

    sample       z ~ p(z), x ~ p(x|z)
    encode       x -> mean and scale of q(z|x)
    decode       z -> the one x that stands for p(x|z)
    vary, way    codes around one code, codes between two
    score        log p(x), the importance-weighted bound

Every forward pass over given items has exactly as many rows (512, or what the decoder says), the
last block filled up: a matrix product may round a row differently in batches of another size, and
an item's code or score must not depend on the items that happen to be beside it.

This module does not know where x came from, nor what it is turned into.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from variate.distributions import temper
from variate.evaluation import BLOCK, block_of, log_evidence
from variate.models import VAE
from variate.randomness import isolated
from variate.training.processes import processes_of, share

__all__ = [
    "BLOCK",
    "codes",
    "decode",
    "device_of",
    "encode",
    "log_likelihood",
    "sample",
    "score",
    "vary",
    "way",
]


@torch.no_grad()
def sample(
    model: VAE,
    n: int,
    *,
    temperature: float,
    seed: int | None,
    narrow: Callable[[Distribution], Distribution] | None = None,
) -> Tensor:
    """n draws of x `[n, *event]`; the temperature narrows (or widens) both prior and likelihood.

    Args:
        model: The model.
        n: How many.
        temperature: Of both.
        seed: Of the draws.
        narrow: What else is done to the likelihood, if anything.
    """
    drawn = []
    with isolated(seed, device_of(model)):
        prior = temper(model.prior(), temperature)
        most = 8 * block_of(model)
        for start in range(0, n, most):
            z = prior.sample(torch.Size((1, min(most, n - start))))
            law = temper(model.decoder(z), temperature)
            drawn.append((law if narrow is None else narrow(law)).sample()[0].cpu())
    return torch.cat(drawn)


@torch.no_grad()
def encode(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(z|x), each `[N, D]`, float64."""
    means, scales = [], []
    for block, size in _blocks(x, block_of(model)):
        mean, scale = _moments(model.encoder(block.to(device_of(model))))
        means.append(mean[:size].double().cpu())
        scales.append(scale[:size].double().cpu())
    return torch.cat(means), torch.cat(scales)


@torch.no_grad()
def codes(model: VAE, x: Tensor, most: int, *, seed: int) -> Tensor:
    """About `most` draws of z ~ q(z|x), as many for each of the first rows of x, `[M, D]`."""
    x, draws, drawn = x[:most], max(1, most // len(x)), []
    with isolated(seed, device_of(model)):
        for block, size in _blocks(x, block_of(model)):
            q: Distribution = model.encoder(block.to(device_of(model)))
            drawn.append(q.sample(torch.Size((draws,)))[:, :size].flatten(0, 1).cpu())
    return torch.cat(drawn)


@torch.no_grad()
def decode(model: VAE, z: Tensor, point: Callable[[Distribution], Tensor]) -> Tensor:
    """x `[N, *event]`: the point that stands for p(x|z) at each code of z `[N, D]`."""
    weight = next(model.decoder.parameters())
    points = [
        point(model.decoder(block.to(weight)[None]))[0, :size].cpu()
        for block, size in _blocks(z, block_of(model))
    ]
    return torch.cat(points)


@torch.no_grad()
def vary(model: VAE, z: Tensor, n: int, *, strength: float, seed: int | None) -> Tensor:
    """n codes around each of z `[N, D]`, `[N·n, D]`, moved by `strength` prior deviations."""
    center = z.repeat_interleave(n, dim=0)
    scale = _prior_scale(model).to(z)
    with isolated(seed):
        return center + strength * scale * torch.randn_like(center)


def way(start: Tensor, end: Tensor, steps: int, *, spherical: bool) -> Tensor:
    """Codes `[steps, D]` from start to end `[D]`, both included.

    Spherical interpolation (White 2016) follows the great circle between the two directions while
    the length changes evenly: under a standard normal prior the straight line would cross the
    empty middle.
    """
    share = torch.linspace(0.0, 1.0, steps, dtype=start.dtype)[:, None]
    straight = (1 - share) * start + share * end
    lengths = start.norm() * end.norm()
    if not spherical or lengths == 0:
        return straight
    angle = torch.arccos(((start * end).sum() / lengths).clamp(-1.0, 1.0))
    if angle < 1e-3 or angle > torch.pi - 1e-3:  # the circle is the line, or is not unique
        return straight
    weight_start, weight_end = torch.sin((1 - share) * angle), torch.sin(share * angle)
    return (weight_start * start + weight_end * end) / torch.sin(angle)


def score(model: VAE, x: Tensor, *, draws: int, seed: int) -> Tensor:
    """`log_likelihood`, with the work shared.

    Under `torchrun` each process scores its share of the items, and all get all scores, in order.
    """
    device = device_of(model)
    with processes_of(None, device, timeout=600.0) as group:
        own = share(len(x), group.rank, group.world)
        scores = log_likelihood(model, x[own.start : own.stop], draws=draws, seed=seed)
        if group.world == 1:
            return scores
        return group.gather(scores.to(device), len(x)).cpu()


def log_likelihood(model: VAE, x: Tensor, *, draws: int, seed: int) -> Tensor:
    """Log p(x) `[N]` in nats, every item under the same noise (common random numbers)."""
    parts = [torch.zeros(0, dtype=torch.float64)]
    rows = max(1, block_of(model) // 2)
    for block, size in _blocks(x, block_of(model)):
        block = block.to(device_of(model))
        scores = log_evidence(model, block, draws=draws, seed=seed, common=True, rows=rows)
        parts.append(scores[:size].double().cpu())
    return torch.cat(parts)


def device_of(model: VAE) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def _moments(q: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation; of 256 draws where they have no closed form (flows)."""
    try:
        return q.mean, q.stddev
    except NotImplementedError:
        with isolated(0, "cpu"):
            draws = q.sample(torch.Size((256,)))
        return draws.mean(0), draws.std(0)


def _prior_scale(model: VAE) -> Tensor:
    """The standard deviation of each latent dimension under the prior, `[D]`."""
    prior: Distribution = model.prior()
    if isinstance(prior, Independent) and isinstance(prior.base_dist, Normal):
        return prior.stddev
    with isolated(0, device_of(model)):
        return prior.sample(torch.Size((4096,))).std(0)


def _blocks(x: Tensor, rows: int) -> Iterator[tuple[Tensor, int]]:
    """x in blocks of exactly so many rows, the last one filled up, with the count that is real."""
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        size = len(block)
        if size < rows:
            block = torch.cat([block, block[-1:].expand(rows - size, *block.shape[1:])])
        yield block, size
