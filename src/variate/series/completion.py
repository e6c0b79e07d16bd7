r"""Hidden cells drawn given the others: gaps, and the future, which is a gap at the end.

For a window whose observed cells are x_o, draws of its hidden cells x_h under the model are made by
sampling importance resampling (Rubin 1987):

    z_m ~ q(z | x_o),    log w_m = log p(x_o | z_m) + log p(z_m) - log q(z_m | x_o),   m = 1 … M
    z   = one of the z_m, with probability ∝ w_m;    x_h ~ p(x_h | z, x_o)

which is p(x_h | x_o) as M grows, whatever q is. The effective number of candidates
(Σ w)² / Σ w² says how far M is from that.

A series is longer than a window. It is gone through from its start to its end: each window is
completed given what is observed in it and what was drawn before, so that every draw is one coherent
path. The future goes on in the same way, half a window at a time.

This module does not know where the gaps came from.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate import verbs
from variate.models import VAE
from variate.randomness import isolated
from variate.series.law import Steps
from variate.series.windows import cut, starts_of

__all__ = ["CANDIDATES", "completed", "extended", "filled", "weighed"]

CANDIDATES = 64
CELLS = 4_000_000  # of decoded windows that exist at once

Floats = NDArray[np.float64]


@torch.no_grad()
def weighed(model: VAE, x: Tensor, candidates: int) -> tuple[Steps, Tensor]:
    """p(x|z) at M candidates of z for each window x `[B, L, C]`; log w, normalised, `[M, B]`."""
    x = x.to(verbs.device_of(model))
    q = model.encoder(x)
    z = q.sample(torch.Size((candidates,)))
    law = model.decoder(z)
    assert isinstance(law, Steps)
    log_w = law.log_prob(x) + model.prior().log_prob(z) - q.log_prob(z)
    return law, log_w.double().log_softmax(0)


@torch.no_grad()
def completed(model: VAE, x: Tensor, candidates: int = CANDIDATES) -> Tensor:
    """Windows x `[B, L, C]` with their gaps drawn, each window on its own, float64."""
    parts = []
    for block in _blocks(x, candidates):
        law, log_w = weighed(model, block, candidates)
        chosen = torch.multinomial(log_w.exp().T, 1)[:, 0]
        own = torch.arange(len(block), device=chosen.device)
        parts.append(law.picked(chosen, own).filled(block.to(chosen.device)).cpu())
    return torch.cat(parts)


def filled(
    model: VAE, values: Floats, length: int, draws: int, candidates: int, seed: int | None
) -> Floats:
    """A series `[G, C]` with its gaps drawn, K times over, `[K, G, C]`."""
    paths = np.repeat(values[None], draws, axis=0)
    gaps = np.logical_or.reduce(np.isnan(values), axis=1)
    with isolated(seed, verbs.device_of(model)):
        for start in starts_of(len(values), length, max(1, length // 2)):
            if gaps[start : start + length].any():
                _complete_at(model, paths, start, length, candidates)
    return paths


def extended(
    model: VAE, values: Floats, length: int, steps: int, draws: int, seed: int | None,
    candidates: int = CANDIDATES,
) -> Floats:  # fmt: skip
    """The next steps of a series `[G, C]`, K paths, `[K, steps, C]`.

    The paths go on from the last window alone; gaps in it are drawn with them.
    """
    half = max(1, length // 2)
    paths = np.repeat(cut(values, len(values) - length, length)[None], draws, axis=0)
    with isolated(seed, verbs.device_of(model)):
        while paths.shape[1] < length + steps:
            ahead = np.full((draws, half, values.shape[1]), np.nan)
            paths = np.concatenate([paths, ahead], axis=1)
            _complete_at(model, paths, paths.shape[1] - length, length, candidates)
    return paths[:, length : length + steps]


def _complete_at(model: VAE, paths: Floats, start: int, length: int, candidates: int) -> None:
    """Draw the gaps of all paths `[K, G, C]` in one window, in place."""
    windows = np.stack([cut(path, start, length) for path in paths])
    drawn = completed(model, torch.from_numpy(windows), candidates).numpy()
    low, high = max(start, 0), min(start + length, paths.shape[1])
    paths[:, low:high] = drawn[:, low - start : high - start]


def _blocks(x: Tensor, candidates: int) -> Iterator[Tensor]:
    size = max(1, CELLS // (candidates * x[0].numel()))
    yield from x.split(size)
