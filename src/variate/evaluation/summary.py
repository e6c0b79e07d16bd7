"""The figures that every kind of data reports, in one record: nats per item, on the items given.

This module does not know whether the items were held out; who calls it does.
"""

from typing import Any

import torch
from torch import Tensor, nn

from variate.evaluation.evidence import bounds
from variate.evaluation.latent import active_units, kl_of_groups
from variate.evaluation.passes import block_of

__all__ = ["summary"]


def summary(model: nn.Module, x: Tensor, *, draws: int, seed: int | None) -> dict[str, Any]:
    """ELBO, importance-weighted bound, KL and active units of a model on x `[N, *event]`.

    Args:
        model: A `LatentModel` whose posterior has a density.
        x: The items, on any device.
        draws: Posterior draws per item for the two bounds, which share them.
        seed: Of the draws.

    Returns:
        `elbo`, `log_likelihood` (the bound) with its standard error over items
        `log_likelihood_error`, `draws`, `kl`, `kl_per_dimension` (None where the prior couples the
        dimensions, and of a hierarchy) and `active_units`; of a hierarchy `kl_per_group`.
    """
    rows = max(1, block_of(model) // 2)
    elbo, evidence = bounds(model, x, draws=draws, seed=seed, rows=rows)
    groups = kl_of_groups(model, x, seed=seed, rows=rows)
    kl = torch.cat(groups)
    active = active_units(model, x, draws=min(64, max(2, draws)), seed=seed, rows=rows)
    error = float(evidence.std() / len(x) ** 0.5) if len(x) > 1 else None
    return {
        "elbo": float(elbo.mean()),
        "log_likelihood": float(evidence.mean()),
        "log_likelihood_error": error,
        "draws": draws,
        "kl": float(kl.sum()),
        "kl_per_dimension": kl.tolist() if len(groups) == 1 and len(kl) >= active else None,
        "active_units": active,
    } | ({"kl_per_group": [float(group.sum()) for group in groups]} if len(groups) > 1 else {})
