r"""The two halves of the ELBO, computed, checked and reported in one place for every objective.

For B items with S draws each, and over the groups of latents l of a model,

    log_likelihood = log p(x|z)                [S, B]
    kl             = Σ_l KL(q_l‖p_l)           [S, B]
    ELBO           = mean over S and B of  log_likelihood - kl      nats per item

Means are over draws and items only; everything else has been summed by the distributions, so that
the weight of the two halves against each other depends neither on the width of the data nor on the
size of the batch. A likelihood that was not summed over the item's dimensions (`Independent`
forgotten) would break just that without a sound, so shapes are checked, which costs no
synchronisation.

This module does not know which objective asks.
"""

import inspect
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn

from variate.errors import OptionError
from variate.inference import Inference

__all__ = [
    "Halves",
    "arguments",
    "check_samples",
    "halves",
    "infer",
    "own_cost",
    "require_plain",
    "scalar",
]


@dataclass(frozen=True)
class Halves:
    """What an ELBO is made of.

    Attributes:
        inference: What the model said about the batch.
        log_likelihood: Mean log p(x|z) over draws and items: a scalar in nats.
        kl: Mean KL(q‖p) over draws and items: a scalar in nats.
        groups: For each group of latents its KL(q‖p), mean over draws and items: per dimension,
            `[*latent]`, where such a split exists, else a scalar.
        penalty: Mean of the model's own extra costs, a scalar; 0.0 if it has none.
    """

    inference: Inference
    log_likelihood: Tensor
    kl: Tensor
    groups: tuple[Tensor, ...]
    penalty: Tensor | float

    @property
    def elbo(self) -> Tensor:
        """The ELBO at β = 1, a scalar in nats per item."""
        return self.log_likelihood - self.kl

    @property
    def distortion(self) -> Tensor:
        """-log p(x|z), and the model's own penalty: a scalar in nats per item."""
        return self.penalty - self.log_likelihood

    def terms(self, beta: float | Tensor, **more: Tensor) -> dict[str, Tensor]:
        """The detached terms of a `Loss`, in nats per item."""
        terms = {
            "elbo": self.elbo,
            "log_likelihood": self.log_likelihood,
            "kl": self.kl,
            "beta": scalar(beta, self.kl),
            **more,
        }
        if len(self.groups) == 1 and self.groups[0].ndim > 0:
            terms["kl_per_dimension"] = self.groups[0]
        if len(self.groups) > 1:
            terms["kl_per_group"] = torch.stack([group.sum() for group in self.groups])
        return {name: value.detach() for name, value in terms.items()}


def arguments(self: nn.Module) -> str:
    """What an objective was made with, for its `extra_repr`."""
    names = inspect.signature(type(self)).parameters
    return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """`value` on the device of `like`, filled in there: no copy, so no synchronisation."""
    return value if isinstance(value, Tensor) else torch.full_like(like, value)


def check_samples(samples: int) -> int:
    """`samples`, if it is a positive whole number of draws.

    Raises:
        OptionError: It is not.
    """
    if not (isinstance(samples, Real) and samples >= 1 and samples % 1 == 0):
        raise OptionError(f"samples must be a positive whole number, but is {samples!r}")
    return int(samples)


def infer(model: nn.Module, x: Tensor, samples: int) -> tuple[Inference, Tensor]:
    """The inference of a batch and its log-likelihood `[S, B]`.

    Raises:
        ValueError: A distribution is not summed over the item's own dimensions.
    """
    inference: Inference = model(x, samples)
    items = len(x)
    for latent in inference.latents:
        each = f"[{items}] (or [{samples}, {items}] below other groups)"
        if latent.posterior.batch_shape not in ((items,), (samples, items)):
            _raise("the posterior's batch shape", latent.posterior.batch_shape, each)
        if latent.prior.batch_shape not in ((), (items,), (samples, items)):
            _raise("the prior's batch shape", latent.prior.batch_shape, f"[] or {each}")
    log_likelihood = inference.log_likelihood(x)
    if log_likelihood.shape != (samples, items):
        _raise("log p(x|z)'s shape", log_likelihood.shape, f"[{samples}, {items}]")
    return inference, log_likelihood


def halves(model: nn.Module, x: Tensor, samples: int = 1) -> Halves:
    """Both halves of the ELBO of a batch x `[B, *event]`, with `samples` draws per item.

    Raises:
        ValueError: A distribution is not summed over the item's own dimensions.
    """
    inference, log_likelihood = infer(model, x, samples)
    splits = ((latent, latent.kl_per_dimension()) for latent in inference.latents)
    groups = tuple(
        latent.kl().mean() if split is None else split.mean(0) for latent, split in splits
    )
    kls = [group.sum() for group in groups]
    kl = sum(kls[1:], start=kls[0])
    return Halves(inference, log_likelihood.mean(), kl, groups, own_cost(inference))


def require_plain(inference: Inference, need: str) -> None:
    """Check that every group's posterior depends on x alone, and not on draws of other groups.

    Raises:
        TypeError: The model is a hierarchy.
    """
    if any(len(latent.posterior.batch_shape) > 1 for latent in inference.latents):
        raise TypeError(
            f"{need} needs latents whose posterior is given x alone, but in this hierarchy the "
            "lower ones are given the draws of the upper ones: use ELBO, GroupFreeBits, FreeBits, "
            "IWAE or StickTheLanding"
        )


def own_cost(inference: Inference) -> Tensor | float:
    """The model's own extra costs, a commitment cost say: their mean over items, 0.0 if none."""
    return sum(x.penalty.mean() for x in inference.latents if x.penalty is not None)


def _raise(name: str, found: torch.Size, expected: str) -> None:
    raise ValueError(
        f"{name} is {list(found)}, but {expected} was expected for x [B, *event] and "
        "z [S, B, *latent]: distributions must be summed over an item's own dimensions. Wrap it in "
        "torch.distributions.Independent(distribution, how many dimensions an item has)"
    )
