r"""Does a model repeat its training items?

With d(u) the distance from an item to the nearest training item, and t the j-th smallest d of H
items that were held out, j = ⌊q (H + 1)⌋,

    rate  =  the share of drawn items with d ≤ t

A drawn item is counted if it is as near to a training item as only a share q of new real items are.
If drawn items have the law of the held-out ones, and no two distances are equal, then P(d ≤ t) for
given held-out items is a Beta(j, H + 1 - j) variable, so that with p = j/(H + 1)

    E rate    =  p ≤ q
    Var rate  =  p (1 - p) [1/(H + 2) + (H + 1)/((H + 2) M)]

whatever the law is. Where distances are equal (data of few values), more than j held-out items have
d ≤ t, and their number stands for j.

A rate above p is a reason to look at the pairs, no proof: items that are all from where training
items are dense, or are smoother than real ones, are nearer to these without being copies. A rate at
p is no guarantee, since a distance of pixels does not see a copy that is moved by one.

This module does not know what the items are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.evaluation.features.inputs import Floats, Whole
from variate.evaluation.features.neighbours import nearest_neighbours

__all__ = ["CopyRate", "copy_rate"]


class CopyRate(NamedTuple):
    """How many drawn items are suspiciously near to a training item.

    Attributes:
        rate: Their share, 0 to 1.
        chance: What the rate is in expectation if nothing is copied.
        error: The standard deviation of the rate if nothing is copied.
        threshold: t, the distance at which an item counts.
        distances: The distance of each drawn item to the nearest training item, `[M]`.
        indices: Which training item that is, `[M]`.
    """

    rate: float
    chance: float
    error: float
    threshold: float
    distances: Floats
    indices: Whole


def copy_rate(
    drawn: ArrayLike | Tensor,
    training: ArrayLike | Tensor,
    held_out: ArrayLike | Tensor,
    *,
    share: float = 0.01,
) -> CopyRate:
    """The share of drawn items that are nearer to a training item than new items are.

    Args:
        drawn: `[M, *event]`, drawn items or their features.
        training: `[N, *event]`, what the model was trained on, in the same terms.
        held_out: `[H, *event]`, items of the same law that it was not trained on.
        share: q, the share of held-out items that count as near.

    Raises:
        DataError: A set is no array of finite numbers, there are fewer than 1/q - 1 held-out items,
            or the sets differ in their events.
        OptionError: `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise OptionError(f"`share` must be between 0 and 1, however: {share=}")
    new = nearest_neighbours(held_out, training).distances[:, 0]
    rank = int(share * (len(new) + 1) * (1 + 1e-12))  # 0.29 · 100 is 28.999…
    if rank < 1:
        raise DataError(
            f"a share of {share:g} takes at least {int(np.ceil(1 / share)) - 1} held-out items, "
            f"however there are {len(new)}. Give more, or a larger `share`"
        )
    found = nearest_neighbours(drawn, training)
    distances = found.distances[:, 0]
    threshold = np.partition(new, rank - 1)[rank - 1]
    held, total = int(np.count_nonzero(new <= threshold)), len(new)
    chance = held / (total + 1)
    spread = 1 / (total + 2) + (total + 1) / ((total + 2) * len(distances))
    return CopyRate(
        rate=float(np.mean(distances <= threshold)),
        chance=chance,
        error=float(np.sqrt(chance * (1 - chance) * spread)),
        threshold=float(threshold),
        distances=distances,
        indices=found.indices[:, 0],
    )
