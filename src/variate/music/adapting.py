r"""A prior for a handful of pieces: MidiMe's idea (Dinculescu et al. 2019), without training.

Of codes mu_1 … mu_N of the pieces' windows, their mean m and their variances V, the prior is the
mixture

    p(z) = 1/N Σ_n N(m + a (mu_n - m), b² V + s_n²)        a² + b² = 1

whose mean and spread are those of the codes (kernels that are drawn towards the mean, West 1993),
with s_n² what the posterior itself leaves open. b = 0 draws around the codes alone, b = 1 from one
normal. The decoder stays, so that it goes in a moment and the model knows no less than before.

Of items of several parts the same is done with the noise ε that the chain writes their codes from
(`chain`), s_n in its units: b moves what is of a part's own, and each part still follows on those
before it as the chain has learned. With a chain that has learned nothing it is the mixture above.

This module does not know how codes are decoded.
"""

import copy
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variate import verbs
from variate.errors import DataError, OptionError
from variate.models import priors
from variate.music.chain import Chain, StyledChain

__all__ = ["adapted"]


def adapted(estimator: Any, data: Any, *, spread: float) -> Any:
    """A copy of an estimator with a prior for these pieces.

    It keeps neither the figures nor the calibration of the other, which another prior has.

    Raises:
        OptionError: The spread is not between 0 and 1, or the prior is no mixture.
        DataError: There is only one window.
    """
    if not (isinstance(spread, Real) and 0 <= spread <= 1):
        raise OptionError(f"spread must be a number from 0 to 1, got {spread!r:.60}.")
    _expect_adaptable(estimator.model_.prior)
    mean, scale = verbs.encode(estimator.model_, estimator._rows(data))
    if len(mean) < 2:
        raise DataError(
            "there is one window of music; a style takes a few: four bars at the least, better "
            "some dozens."
        )
    made = copy.copy(estimator)
    made.model_ = copy.deepcopy(estimator.model_)
    known = {name: fact for name, fact in estimator.facts_.items() if name != "held_out"}
    made.facts_ = copy.deepcopy(known) | {"adapted_to": len(mean)}
    made.calibration_ = None
    _draw_towards(_mixture_of(made), *_noise(made.model_.prior, mean, scale), spread)
    return made


def _expect_adaptable(prior: Any) -> None:
    if not isinstance(prior, priors.Aggregate | Chain | StyledChain):
        raise OptionError(
            f"a model is adapted by its prior, which must be priors.Aggregate (the default of "
            f"items of one part), or a chain (of longer ones), and is a {type(prior).__name__}."
        )


def _mixture_of(made: Any) -> priors.Aggregate:
    """The mixture in an estimator's prior; a chain gets one for its noise."""
    prior = made.model_.prior
    if isinstance(prior, Chain):
        styled = StyledChain(prior.spans, prior.each, prior.hidden).to(prior.out.weight)
        styled.chain.load_state_dict(prior.state_dict())
        made.model_.prior = styled.eval()
        made.prior = StyledChain(prior.spans, prior.each, prior.hidden)
        return styled.noise
    found: priors.Aggregate = prior.noise if isinstance(prior, StyledChain) else prior
    return found


@torch.no_grad()
def _noise(prior: Any, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """What a mixture is laid over, `[N, D]`: codes and their scales, or those of a chain's ε."""
    if not isinstance(prior, StyledChain):
        return mean, scale
    noise, log_scale = (v.cpu().double() for v in prior.chain.noise(mean.to(prior.noise.mean)))
    return noise, scale / log_scale.exp()


@torch.no_grad()
def _draw_towards(mixture: priors.Aggregate, mean: Tensor, scale: Tensor, spread: float) -> None:
    """Lay a mixture over codes `[N, D]`, drawn towards their mean."""
    count = min(len(mean), mixture.components)
    chosen = np.linspace(0, len(mean) - 1, count).astype(int)
    center, variance = mean.mean(0), mean.var(0, correction=0)
    mixture.logits.fill_(-torch.inf)
    mixture.logits[:count] = 0.0
    kept = (1 - spread**2) ** 0.5
    mixture.mean[:count] = (center + kept * (mean[chosen] - center)).to(mixture.mean)
    wide = (spread**2 * variance + scale[chosen] ** 2).sqrt()
    mixture.scale[:count] = wide.to(mixture.scale)
    mixture.fitted.fill_(True)  # noqa: FBT003 - a tensor's
    mixture._fitted = True
