"""Sentences decoded again, from codes that were made of their own, under the labels that they have.

What a label says a decoder that is given it need not find in z: so a sentence comes back whole only
where the decoder is told its label again. A code that is of no sentence is decoded without one.

This module does not know how codes are moved.
"""

from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.distributions import Distribution

from variate import verbs
from variate.distributions import Sequences
from variate.errors import OptionError
from variate.models import priors
from variate.text.codec import TextCodec

__all__ = ["between", "coded", "prompted", "symbols_of", "written"]


def coded(estimator: Any, X: Any) -> tuple[Tensor, Tensor | None]:
    """The mean codes of sentences `[N, D]`, and the symbols of their labels `[N]`, if they have."""
    check_is_fitted(estimator)
    x = estimator._rows(X)
    return verbs.encode(estimator.model_, x)[0], symbols_of(estimator.codec_, x)


def symbols_of(codec: TextCodec, x: Tensor) -> Tensor | None:
    """The symbols of the labels of x `[N, T]`, `[N]`; None where a model has no labels."""
    return x[:, 0].long() if codec.labels else None


def between(estimator: Any, a: Any, b: Any, steps: int) -> Tensor:
    """Sentences on the way from a to b, x `[steps, T]`: under the label that both have, or none.

    Raises:
        OptionError: a or b is not one sentence.
    """
    (start, of_start), (end, of_end) = coded(estimator, a), coded(estimator, b)
    if len(start) != 1 or len(end) != 1:
        raise OptionError(f"a and b must be one item each, got {len(start)} and {len(end)}.")
    spherical = isinstance(estimator.model_.prior, priors.StandardNormal)
    codes = verbs.way(start[0], end[0], steps, spherical=spherical)
    if of_start is None or of_end is None or not of_start.equal(of_end):
        return written(estimator, codes, None)
    return written(estimator, codes, of_start.expand(steps))


def written(estimator: Any, codes: Tensor, symbols: Tensor | None) -> Tensor:
    """The likeliest tokens at codes `[N, D]`, one after the other, x `[N, T]`.

    Args:
        estimator: A `TextVAE`, fitted.
        codes: `[N, D]`.
        symbols: Of the label that each is decoded under, `[N]`; None is none for all.
    """
    model = estimator.model_
    if symbols is None:
        return verbs.decode(model, codes, estimator._point)
    found = torch.zeros(len(codes), estimator.codec_.length, dtype=torch.int64)
    for symbol in symbols.unique().tolist():
        here = symbols == symbol
        found[here] = verbs.decode(model, codes[here], _under(estimator, symbol))
    return found


def prompted(law: Distribution, symbol: int | None) -> Sequences:
    """The law of sentences that begin with the symbol of a label."""
    assert isinstance(law, Sequences)
    return law if symbol is None else law.prompted(symbol)


def _under(estimator: Any, symbol: int) -> Any:
    def point(law: Distribution) -> Tensor:
        likeliest: Tensor = estimator._point(prompted(law, symbol))
        return likeliest

    return point
