"""New music that is as asked: attributes near their targets, in a metre that is given.

See `sliders` for how codes are moved. Of several codes each, an item is written from each of them,
and the item nearest to the targets is kept: the nearest of draws of (z, x), as a code may settle
an item almost wholly, while a straight line through codes foretells an attribute but in part. A
metre is the first symbol of an item, x_0, and is given by writing it, at a code that goes with it,

    z ~ p(z | x_0) ∝ p(z) p(x_0 | z)

by rejection: else the code of a march would be written down as a waltz.

This module does not know how attributes are measured.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from variate.distributions import temper
from variate.errors import OptionError
from variate.models import VAE
from variate.music.attributes import attributes, expect_attribute
from variate.music.sliders import Sliders
from variate.randomness import isolated
from variate.verbs import device_of

__all__ = ["codes_in", "drawn_given", "parsed"]

TRIES = 16  # items that are written for each that is kept
ROWS = 512  # items that are written at once
POOL, POOLS = 256, 32  # codes that are looked at at once for those of a metre, and how often


def parsed(given: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE as targets: numbers of attributes, and `meter=3/4`.

    Raises:
        OptionError: One is none.
    """
    found: dict[str, Any] = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        try:
            found[name] = value if name == "meter" else float(value)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise OptionError(
                f"--given takes ATTRIBUTE=NUMBER or meter=3/4 for a model of music, got {pair!r}."
            )
    return found


@torch.no_grad()
def drawn_given(
    model: VAE,
    codec: Any,
    sliders: Sliders,
    n: int,
    given: Any,
    *,
    temperature: float,
    seed: int | None,
) -> Tensor:
    """N items x that are as given.

    Args:
        model: The model.
        codec: Of its items.
        sliders: How attributes lie over its codes.
        n: How many.
        given: Targets by name, and perhaps `meter`.
        temperature: Below 1: more typical items.
        seed: Makes the draws repeatable.

    Raises:
        OptionError: A target is none.
    """
    targets, meter = _targets(given, codec)
    tries = TRIES if targets else 1
    kept = []
    with isolated(seed, device_of(model)):
        prior = temper(model.prior(), temperature)
        for start in range(0, n, ROWS // tries):
            count = min(ROWS // tries, n - start) * tries
            z = (
                prior.sample(torch.Size((count,)))
                if meter is None
                else codes_in(model.decoder, prior, meter, count, temperature)
            )
            if targets:
                noise = torch.randn(len(z), len(targets)).double().numpy()
                moved = sliders.moved(z.double().cpu().numpy(), targets, noise)
                z = torch.from_numpy(moved).to(z)
            law: Any = temper(model.decoder(z[None]), temperature)
            if meter is None:
                x = law.sample()[0].cpu()
            else:
                first = torch.full((1, len(z), 1), meter, device=z.device)
                x = law.continued(first)[0].cpu()
            kept.append(_nearest(x, codec, sliders, targets, tries))
    return torch.cat(kept)


@torch.no_grad()
def codes_in(
    decoder: Any, prior: Distribution, meter: int, count: int, temperature: float = 1.0
) -> Tensor:
    """Codes `[count, D]` of p(z | x_0 = meter), by rejection.

    Where a metre is so rare that too few are accepted, the rest are drawn anew from all codes that
    were looked at, in proportion to p(x_0 | z).
    """
    kept: list[Tensor] = []
    seen: list[Tensor] = []
    shares: list[Tensor] = []
    accepted = 0
    while accepted < count and len(seen) < POOLS:
        z = prior.sample(torch.Size((POOL,)))
        law: Any = temper(decoder(z[None]), temperature)
        logits, _ = decoder.net.step(decoder.net.begin(z), None)
        state = law.grammar.begin(len(z), z.device)
        share = law._shaped(logits, state).softmax(-1)[:, meter]
        kept.append(z[torch.rand_like(share) < share])
        accepted += len(kept[-1])
        seen.append(z)
        shares.append(share)
    missing = count - accepted
    if missing > 0:
        weights = torch.cat(shares).double().clamp(min=1e-30)
        kept.append(torch.cat(seen)[torch.multinomial(weights, missing, replacement=True)])
    return torch.cat(kept)[:count]


def _nearest(
    x: Tensor, codec: Any, sliders: Sliders, targets: dict[str, float], tries: int
) -> Tensor:
    """Of each `tries` items `[n tries, T]` the one nearest to the targets, `[n, T]`."""
    if tries == 1:
        return x
    distance = sliders.distance(attributes(codec.decode(x), targets), targets).reshape(-1, tries)
    best = torch.from_numpy(distance.argmin(1))
    return x.unflatten(0, (-1, tries))[torch.arange(len(best)), best]


def _targets(given: Any, codec: Any) -> tuple[dict[str, float], int | None]:
    """The targets of attributes, and the symbol of the metre."""
    if not isinstance(given, dict) or not given:
        raise OptionError(
            f"given must name attributes and targets, such as {{'density': 8}}, got {given!r:.60}."
        )
    targets, symbol = {}, None
    for name, value in given.items():
        if name == "meter":
            symbol = codec.first_meter + _meter(value, codec)
            continue
        number = float(value) if isinstance(value, int | float | np.number) else np.nan
        if not np.isfinite(number):
            raise OptionError(f"the target of {name} must be a number, got {value!r}.")
        targets[expect_attribute(name)] = number
    return targets, symbol


def _meter(value: Any, codec: Any) -> int:
    parts = value.split("/") if isinstance(value, str) else value
    try:
        wanted = tuple(int(part) for part in parts)
        return codec.meters.index(wanted)
    except (TypeError, ValueError):
        known = ", ".join(f"{a}/{b}" for a, b in codec.meters)
        raise OptionError(f"meter must be one of {known}, got {value!r}.") from None
