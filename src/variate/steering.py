"""Codes moved on purpose: along one latent dimension, or towards what labels tell.

A direction for a label is the difference of two mean codes,

    d = mean of mu(x) with it - mean of mu(x) without it

so that a step of 1 leads from the middle of those without to the middle of those with. It moves
whatever goes along with the label in the data, not the label alone.

This module does not know what codes are codes of.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, OptionError

__all__ = ["along", "difference", "expect_code", "only", "telling", "told_by"]

LISTED = 256  # latent dimensions that a model file lists
SHARPEST = 1e-4  # the standard deviation of a code that counts as none

Floats = NDArray[np.float64]


def along(center: Floats, dimensions: Sequence[int], values: Floats) -> Floats:
    """Codes `[len(dimensions) · len(values), D]`: the centre, with one dimension set to each value.

    Raises:
        OptionError: There is no such dimension.
    """
    for d in dimensions:
        if not 0 <= d < len(center):
            raise OptionError(
                f"there is no latent dimension {d}; there are 0 to {len(center) - 1}."
            )
    codes = np.tile(center, (len(dimensions) * len(values), 1))
    for i, d in enumerate(dimensions):
        codes[i * len(values) : (i + 1) * len(values), d] = values
    return codes


def difference(codes: Floats, labels: Any) -> Floats:
    """The direction `[D]` from the codes without a label to those with it.

    Args:
        codes: `[N, D]`.
        labels: Truth values, or 0 and 1, `[N]`.

    Raises:
        DataError: They are something else, not as many as codes, or all the same.
    """
    given = np.asarray(labels)
    if given.shape != (len(codes),):
        raise DataError(
            f"labels must be one for each of the {len(codes)} items, got the shape "
            f"{list(given.shape)}."
        )
    if not np.isin(given, (0, 1)).all():
        raise DataError(
            "labels must be truth values (does the item have it?), got "
            f"{', '.join(map(str, np.unique(given)[:5]))} …; compare them first, e.g. labels == 3."
        )
    has = given.astype(bool)
    if has.all() or not has.any():
        raise DataError("all labels are the same; a direction needs items with and without.")
    towards: Floats = codes[has].mean(0) - codes[~has].mean(0)
    return towards


def only(codes: Floats) -> Floats:
    """The code of the one item that there must be.

    Raises:
        OptionError: There are others, or none.
    """
    if len(codes) != 1:
        raise OptionError(f"one item is wanted here, got {len(codes)}.")
    one: Floats = codes[0]
    return one


def told_by(mean: Floats, scale: Floats) -> list[float]:
    """About how many nats each latent dimension tells of an item.

    ½ log(1 + Var[mu] / E[sigma²]): the mutual information of a normal signal in normal noise.

    Args:
        mean: Of q(z|x), `[N, D]`.
        scale: Of q(z|x), `[N, D]`.
    """
    noise = (scale**2).mean(0) + SHARPEST**2
    told = 0.5 * np.log1p(mean.var(0) / noise)
    return [round(float(nats), 4) for nats in told]


def telling(mean: Floats, scale: Floats) -> dict[str, Any]:
    """Which latent dimensions tell most of an item, in order, and (of few) how much each does.

    Args:
        mean: Of q(z|x), `[N, D]`.
        scale: Of q(z|x), `[N, D]`.
    """
    nats = told_by(mean, scale)
    order = np.argsort(-np.asarray(nats), kind="stable")[:LISTED]
    found: dict[str, Any] = {"telling_dimensions": [int(d) for d in order]}
    return found | ({"nats_per_dimension": nats} if len(nats) <= LISTED else {})


def expect_code(direction: Any, latent: int) -> Floats:
    """A direction as numbers.

    Raises:
        OptionError: It does not have one number for each latent dimension.
    """
    expected = (
        f"the direction must be {latent} finite numbers, one for each latent dimension, as "
        "`direction(items, labels)` gives them; got"
    )
    try:
        given = np.asarray(direction, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{expected} {direction!r:.60}.") from None
    if given.shape != (latent,) or not np.isfinite(given).all():
        raise OptionError(f"{expected} the shape {list(given.shape)}.")
    return given
