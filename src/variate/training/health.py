"""What is wrong with a run, said in words that tell what to do.

- Before training: every value must lie in the support of its likelihood, else the loss is a number
  without a meaning. It is checked once, at the border, over all the data that is in memory.
- After training: a latent dimension whose KL(q(z_d|x) ‖ p(z_d)) is below 0.01 nats says nothing
  about x. If no dimension is active the posterior has collapsed onto the prior (Bowman et al.
  2016), and the decoder ignores z. In a hierarchy the same is asked of each group of latents; some
  that say nothing are common, half of them are worth a warning.

This module does not know how training works.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint, independent, is_dependent

from variate.errors import CollapseWarning, SupportError

__all__ = ["active_dimensions", "check_support", "warn_of_collapse"]

ACTIVE = 0.01
_ELEMENTS = 2**24


def active_dimensions(kl_per_dimension: Sequence[float]) -> int:
    """How many latent dimensions have a KL of more than 0.01 nats."""
    return sum(kl > ACTIVE for kl in kl_per_dimension)


def warn_of_collapse(terms: Mapping[str, float | Sequence[float]]) -> None:
    """Warn if the measured terms of an objective show that the posterior has collapsed.

    Terms without a KL (those of a deterministic autoencoder, say) are never warned about.
    """
    per_dimension = terms.get("kl_per_dimension")
    kl = terms.get("kl")
    if isinstance(per_dimension, Sequence):
        active = active_dimensions(per_dimension)
        found = f"{active} of {len(per_dimension)} latent dimensions are active"
        figure = sum(per_dimension)
    elif isinstance(kl, float) and math.isfinite(kl):
        active = int(kl > ACTIVE)
        found, figure = "no latent dimension is active", kl
    else:
        return
    if active == 0:
        warnings.warn(
            f"the posterior has collapsed: {found} (KL {figure:.4f} nats per item, active means "
            f"more than {ACTIVE} in one dimension), so the codes say nothing about the data. "
            "Lower beta, warm it up for longer, give each dimension free bits "
            "(objectives.FreeBits), or use a weaker decoder",
            CollapseWarning,
            stacklevel=2,
        )
    else:
        _warn_of_groups(terms.get("kl_per_group"))


def _warn_of_groups(kl: float | Sequence[float] | None) -> None:
    """Warn if half of a hierarchy's groups or more say nothing."""
    if not isinstance(kl, Sequence):
        return
    idle = [number for number, nats in enumerate(kl) if not nats > ACTIVE]
    if 2 * len(idle) >= len(kl):
        warnings.warn(
            f"{len(idle)} of the {len(kl)} groups of latents (number "
            f"{', '.join(map(str, idle))}, the top one is 0) have collapsed: a KL of at most "
            f"{ACTIVE} nats per item each, so they say nothing about the data and only cost time. "
            "Take fewer groups, train for longer, or give each free bits for more of the run "
            "(objectives.GroupFreeBits)",
            CollapseWarning,
            stacklevel=3,
        )


def check_support(
    likelihood: Distribution,
    x: Tensor,
    name: str = "the data",
    device: torch.device | None = None,
) -> None:
    """Check that every item lies in the support of the likelihood.

    Nothing is checked where the support depends on the likelihood's parameters, or is unknown.

    Args:
        likelihood: p(x|z) for any items.
        x: The items `[N, *event]`.
        name: What to call the data in the message.
        device: Where the likelihood is; None for where x is.

    Raises:
        SupportError: An item is outside; the message names the first.
    """
    support = _fixed_support(likelihood)
    if support is None or x.numel() == 0:
        return
    chunk = max(1, _ELEMENTS // max(1, x[0].numel()))
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk].to(x.device if device is None else device)
        inside = support.check(part)
        if part.is_floating_point():
            inside = inside & ~_over_event(torch.isinf(part), inside.ndim)
        if not bool(inside.all()):
            _refuse(support, x, start, inside, name)


def _over_event(flags: Tensor, ndim: int) -> Tensor:
    return flags if flags.ndim == ndim else flags.flatten(ndim).any(-1)


def _refuse(support: Constraint, x: Tensor, start: int, inside: Tensor, name: str) -> None:
    first = (~inside).nonzero()[0].tolist()
    row, place = start + first[0], tuple(first[1:])
    value = x[(row, *place)]
    at = f"row {row}" + (f", position {place if len(place) > 1 else place[0]}" if place else "")
    shown = f"{value.item():g}" if value.ndim == 0 else f"of shape {list(value.shape)}"
    outside = int((~inside.reshape(len(inside), -1).all(1)).sum())
    raise SupportError(
        f"{name}, {at}: the value {shown} lies outside of the likelihood's support ({support}), "
        f"as do {outside} rows among rows {start} to {start + len(inside) - 1}; rescale or "
        "repair the values, or choose a likelihood whose support they lie in"
    )


def _fixed_support(likelihood: Distribution) -> Constraint | None:
    """The support, element by element where it is one, if it does not depend on parameters."""
    try:
        support = likelihood.support
    except NotImplementedError:
        return None
    while isinstance(support, independent):
        support = support.base_constraint
    if support is None or is_dependent(support):
        return None
    bounds = (value for value in vars(support).values() if isinstance(value, Tensor))
    return None if any(bound.numel() > 1 for bound in bounds) else support
