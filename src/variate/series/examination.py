"""What a model makes of windows that it has not seen: likelihood per value, forecasts within them.

The last quarter of each window is hidden and drawn given the rest, as a forecast is. Measured are
how often the central bands hold what was there, and the absolute error of the median beside that of
repeating the last value.

This module does not know where the windows come from.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.evaluation import elbo
from variate.models import VAE
from variate.randomness import isolated
from variate.report import Section
from variate.series.completion import completed
from variate.series.pictures import forecast_section

__all__ = ["examined"]

WINDOWS = 100  # that are measured, at the most
DRAWS = 50

Floats = NDArray[np.float64]


def examined(
    model: VAE, x: Tensor, channels: tuple[str, ...], seed: int
) -> tuple[dict[str, Any], list[Section]]:
    """Figures of windows x `[N, L, C]`, and the sections of a report that show them."""
    some = x[:: max(1, len(x) // WINDOWS)][:WINDOWS]
    values = int((~some.isnan()).sum())
    nats = float(elbo(model, some, draws=8, seed=seed).sum()) / max(values, 1)
    hidden = max(1, x.shape[1] // 4)
    paths = _ends(model, some, hidden, seed)
    truth = some[:, -hidden:].numpy()
    figures: dict[str, Any] = {"nats_per_value": nats, "windows": len(some), "hidden_steps": hidden}
    figures |= _coverage(paths, truth) | _errors(paths, truth, some[:, :-hidden].numpy())
    return figures, [forecast_section(some.numpy(), paths, channels, figures)]


def _ends(model: VAE, x: Tensor, hidden: int, seed: int) -> Floats:
    """The last steps of windows drawn given the others, `[K, N, hidden, C]`."""
    shown = x.clone()
    shown[:, -hidden:] = torch.nan
    with isolated(seed):
        drawn = completed(model, shown.repeat_interleave(DRAWS, 0))
    found: Floats = drawn.unflatten(0, (len(x), DRAWS)).transpose(0, 1)[:, :, -hidden:].numpy()
    return found


def _coverage(paths: Floats, truth: Floats) -> dict[str, float | None]:
    known = ~np.isnan(truth)
    found: dict[str, float | None] = {}
    for level in (0.5, 0.9):
        low, high = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
        inside = (truth >= low) & (truth <= high)
        found[f"coverage_{level * 100:.0f}"] = float(inside[known].mean()) if known.any() else None
    return found


def _errors(paths: Floats, truth: Floats, before: Floats) -> dict[str, float | None]:
    """Mean absolute errors of the median and of the last value, over the channels' spreads."""
    error = np.abs(np.median(paths, 0) - truth)
    last = np.abs(_last(before)[:, None] - truth)
    spread = np.nanstd(np.concatenate([before, truth], 1), axis=(0, 1))
    both = ~np.isnan(error) & ~np.isnan(last)
    unit = np.broadcast_to(np.where(spread > 0, spread, 1.0), error.shape)
    if not both.any():
        return {"error_median": None, "error_last_value": None}
    return {
        "error_median": float((error / unit)[both].mean()),
        "error_last_value": float((last / unit)[both].mean()),
    }


def _last(before: Floats) -> Floats:
    """The last observed value of each window and channel, `[N, C]`; NaN where there is none."""
    known = ~np.isnan(before)
    at = before.shape[1] - 1 - known[:, ::-1].argmax(1)
    found = np.take_along_axis(before, at[:, None], axis=1)[:, 0]
    return np.where(known.any(1), found, np.nan)
