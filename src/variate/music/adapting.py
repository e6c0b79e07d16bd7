r"""A prior for a handful of pieces: MidiMe's idea (Dinculescu et al. 2019), without training.

Of codes mu_1 … mu_N of the pieces' windows, their mean m and their variances V, the prior is the
mixture

    p(z) = 1/N Σ_n N(m + a (mu_n - m), b² V + s_n²)        a² + b² = 1

whose mean and spread are those of the codes (kernels that are drawn towards the mean, West 1993),
with s_n² what the posterior itself leaves open. b = 0 draws around the codes alone, b = 1 from one
normal. The decoder stays, so that it goes in a moment and the model knows no less than before.

This module does not know how codes are decoded.
"""

import copy
from typing import Any

import numpy as np
import torch

from variate import verbs
from variate.errors import DataError, OptionError
from variate.models import priors

__all__ = ["adapted"]


def adapted(estimator: Any, data: Any, *, spread: float) -> Any:
    """A copy of an estimator with a prior for these pieces.

    Raises:
        OptionError: The spread is not between 0 and 1, or the prior is no mixture.
        DataError: There is only one window.
    """
    if not 0 <= spread <= 1:
        raise OptionError(f"spread must be between 0 and 1, got {spread!r}.")
    prior = estimator.model_.prior
    if not isinstance(prior, priors.Aggregate):
        raise OptionError(
            f"a model is adapted by its prior, which must be priors.Aggregate (the default), and "
            f"is a {type(prior).__name__}."
        )
    mean, scale = (codes.numpy() for codes in verbs.encode(estimator.model_, estimator._rows(data)))
    if len(mean) < 2:
        raise DataError(
            "there is one window of music; a style takes a few: four bars at the least, better "
            "some dozens."
        )
    chosen = np.linspace(0, len(mean) - 1, min(len(mean), prior.components)).astype(int)
    center, variance = mean.mean(0), mean.var(0)
    made = copy.copy(estimator)
    made.model_ = copy.deepcopy(estimator.model_)
    made.facts_ = copy.deepcopy(estimator.facts_) | {"adapted_to": len(mean)}
    keep = np.sqrt(1 - spread**2)
    new = made.model_.prior
    count = len(chosen)
    with torch.no_grad():
        new.logits.fill_(-torch.inf)
        new.logits[:count] = 0.0
        new.mean[:count] = torch.from_numpy(center + keep * (mean[chosen] - center)).to(new.mean)
        wide = np.sqrt(spread**2 * variance + scale[chosen] ** 2)
        new.scale[:count] = torch.from_numpy(wide).to(new.scale)
        new.fitted.fill_(True)  # noqa: FBT003 - a tensor's
        new._fitted = True
    return made
