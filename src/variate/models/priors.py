r"""Priors: modules without input that return p(z), batch shape [], event shape [*latent].

    StandardNormal   N(0, I)
    Mixture          Σ_k π_k N(m_k, diag s_k²),  all learned
    Vamp             1/K Σ_k q(z|u_k),  u_k pseudo-inputs in the space of the data
    Aggregate        N(0, I) in training, then a mixture fitted to the codes of the data
    SecondStage      N(0, I) or all codes alike in training, then any prior fitted to the codes
    RelaxedUniform   independent relaxed categories, all equally likely

and over the codes of a quantised posterior (`models.codeprior`)

    UniformCodes          all grids of codes equally likely
    AutoregressiveCodes   each code given those before it
    FlowCodes             the cells of a flow's draws (`models.codeflow`)

The KL averaged over the data is smallest, for a given encoder, where the prior is the aggregate
posterior 1/N Σ_n q(z|x_n). That one is too dear and too well fitted; the mixture of posteriors at
K pseudo-inputs is what it comes down to (VampPrior; Tomczak & Welling 2018). The aggregate can
also be met afterwards: once encoder and decoder are trained against N(0, I), a mixture fitted to
the codes z ~ q(z|x_n) closes the gap between what was decoded in training and what is drawn, and
raises the ELBO by what the gap cost (Dai & Wipf 2019's second stage). Where a prior has no
closed-form KL, `Latent.kl` takes log q - log p of the draws. Flows are in `models.flows`.

This module does not know the data, nor the decoder.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from variate.distributions import gaussian
from variate.errors import OptionError
from variate.models.codeflow import FlowCodes
from variate.models.codeprior import AutoregressiveCodes, CodePrior, UniformCodes, code_length
from variate.models.relaxed import RelaxedCategories, check_temperature

__all__ = [
    "Aggregate",
    "AutoregressiveCodes",
    "CodePrior",
    "FlowCodes",
    "Mixture",
    "RelaxedUniform",
    "SecondStage",
    "StandardNormal",
    "UniformCodes",
    "Vamp",
    "code_length",
]


class StandardNormal(nn.Module):
    """N(0, I).

    Args:
        latent: How many dimensions z has.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.register_buffer("mean", torch.zeros(latent), persistent=False)
        self.register_buffer("scale", torch.ones(latent), persistent=False)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        return Independent(
            Normal(self.mean, self.scale, validate_args=False), 1, validate_args=False
        )


class Mixture(nn.Module):
    """A mixture of diagonal normals, all of it learned.

    Args:
        latent: How many dimensions z has.
        components: K, how many normals; their means start as draws of a standard normal.
    """

    def __init__(self, latent: int, components: int) -> None:
        super().__init__()
        self.latent = latent
        self.components = components
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent))
        self.raw_scale = nn.Parameter(torch.zeros(components, latent))

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        scale = gaussian.bounded_scale(self.raw_scale)
        normal = Normal(self.mean, scale, validate_args=False)
        return _mixture(self.logits, Independent(normal, 1, validate_args=False))


class Aggregate(nn.Module):
    """N(0, I) while the model trains; afterwards a mixture of diagonal normals fitted to its codes.

    Args:
        latent: How many dimensions z has.
        components: K, how many normals.
    """

    logits: Tensor
    mean: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(self, latent: int, components: int = 64) -> None:
        super().__init__()
        self.latent = latent
        self.components = components
        self.register_buffer("logits", torch.zeros(components))
        self.register_buffer("mean", torch.zeros(components, latent))
        self.register_buffer("scale", torch.ones(components, latent))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self._fitted = False  # as the buffer says, without waiting for its device
        self.register_load_state_dict_post_hook(_look)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        if not self._fitted:
            normal = Normal(self.mean[0], self.scale[0], validate_args=False)
            return Independent(normal, 1, validate_args=False)
        normals = Normal(self.mean, self.scale, validate_args=False)
        return _mixture(self.logits, Independent(normals, 1, validate_args=False))

    @torch.no_grad()
    def fit(self, z: Tensor, *, seed: int = 0) -> None:
        """Fit the mixture to codes `[N, latent]` by expectation-maximisation.

        With fewer than ten codes to a component there are fewer components in effect.
        """
        from sklearn.mixture import GaussianMixture

        count = max(1, min(self.components, len(z) // 10))
        found = GaussianMixture(
            count, covariance_type="diag", max_iter=50, init_params="k-means++", random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fifty rounds are enough, converged or not
            found.fit(z.double().cpu().numpy())
        for name, values in (
            ("logits", np.log(found.weights_)),
            ("mean", found.means_),
            ("scale", np.sqrt(found.covariances_)),
        ):
            getattr(self, name)[:count] = torch.from_numpy(values).to(self.mean)
        self.logits[count:] = -torch.inf
        self.fitted.fill_(True)  # noqa: FBT003 - a tensor's
        self._fitted = True


def _look(prior: "Aggregate | SecondStage", _: Any) -> None:
    prior._fitted = bool(prior.fitted)


class SecondStage(nn.Module):
    """A fixed law while the model trains; afterwards a prior that is fitted to its codes.

    Encoder and decoder are trained under N(0, I), or under `UniformCodes` where the prior is one
    over codes. Then, in a stage of its own, the prior is fitted to codes z ~ q(z|x_n) of the
    training data by maximum likelihood (van den Oord et al. 2017; Dai & Wipf 2019), by whatever
    fits the model (`Estimator.fit` does).

    Args:
        prior: What is fitted, such as `AutoregressiveCodes(49, 512, 16)` or `flows.Flow(16)`.
        share: Of a budget of minutes, how much is the second stage's. Of a budget of epochs each
            stage has all: so many passes over the items, then over their codes.

    Raises:
        OptionError: The share is not between 0 and 1, or the prior cannot be fitted afterwards.
    """

    fitted: Tensor

    def __init__(self, prior: nn.Module, share: float = 0.5) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise OptionError(f"share must be between 0 and 1, both excluded, got {share!r}")
        if isinstance(prior, SecondStage | Aggregate | Vamp) or not any(
            p.requires_grad for p in prior.parameters()
        ):
            raise OptionError(
                f"{type(prior).__name__} has nothing that a second stage could fit to codes; take "
                "AutoregressiveCodes, FlowCodes, flows.Flow, flows.FlowMatching or Mixture"
            )
        self.prior = prior
        self.share = share
        self.latent = int(prior.latent)  # type: ignore[arg-type]
        self.first: nn.Module = (
            UniformCodes(prior.positions, prior.size, prior.width)
            if isinstance(prior, CodePrior)
            else StandardNormal(self.latent)
        )
        for parameter in prior.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003 - a tensor's
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self._fitted = False  # as the buffer says, without waiting for its device
        self.register_load_state_dict_post_hook(_look)

    def start(self, encoder: nn.Module, x: Tensor) -> None:
        """Tell priors over codes whose codes they are."""
        for prior in (self.first, self.prior):
            if isinstance(prior, CodePrior):
                prior.start(encoder, x)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`."""
        law: Distribution = (self.prior if self._fitted else self.first)()
        return law

    def settle(self) -> None:
        """From now on p(z) is the prior that was fitted."""
        self.fitted.fill_(True)  # noqa: FBT003 - a tensor's
        self._fitted = True


class Vamp(nn.Module):
    """The mixture of the posteriors at K pseudo-inputs (Tomczak & Welling 2018).

    The pseudo-inputs start as rows of the training data, in `start`; that must be called once
    before use, and before a saved state is loaded (then with any x of the right shape).

    The encoder is that of the model. It is held here without being a submodule, so that its
    parameters are listed and saved once; a deep copy of the whole model refers to the copied
    encoder.

    Args:
        latent: How many dimensions z has.
        components: K, how many pseudo-inputs.
        learned: Whether the pseudo-inputs move with training. Only floating-point data without
            missing values can; other data (codes, NaN) keep the rows that they started with.
    """

    def __init__(self, latent: int, components: int, *, learned: bool = False) -> None:
        super().__init__()
        self.latent = latent
        self.components = components
        self.learned = learned
        self._encoder: tuple[nn.Module, ...] = ()  # a tuple: not registered as a submodule

    @torch.no_grad()
    def start(self, encoder: nn.Module, x: Tensor, *, seed: int = 0) -> None:
        """Refer to the model's encoder, and take K rows of x `[N, *event]` as pseudo-inputs.

        Args:
            encoder: The encoder of the same model.
            x: Training data; where it has fewer rows than K, rows are repeated.
            seed: Which rows are taken.

        Raises:
            OptionError: The pseudo-inputs are to be learned, but x is not floating-point or has
                missing values.
        """
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        index = order[torch.arange(self.components) % len(x)]
        inputs = x[index.to(x.device)].clone()
        if self.learned and not (inputs.is_floating_point() and bool(inputs.isfinite().all())):
            raise OptionError(
                "Vamp(learned=True) needs floating-point data without missing or infinite values, "
                f"but its pseudo-inputs are rows of {inputs.dtype} data, "
                f"{int((~inputs.isfinite()).sum())} of their values not finite; "
                "use Vamp(learned=False), which keeps the rows as they are"
            )
        self._encoder = (encoder,)
        if self.learned:
            self.inputs = nn.Parameter(inputs)
        else:
            self.register_buffer("inputs", inputs)

    def forward(self) -> Distribution:
        """p(z), batch shape `[]`, event shape `[latent]`.

        Raises:
            ValueError: `start` was not called, or the encoder has another latent shape.
        """
        if not self._encoder:
            raise ValueError("Vamp has no encoder yet: call its start(encoder, x) once before use")
        posterior: Distribution = self._encoder[0](self.inputs)
        if posterior.event_shape != (self.latent,):
            raise ValueError(
                f"Vamp(latent={self.latent}) was given an encoder whose latents have the shape "
                f"{list(posterior.event_shape)}, but [{self.latent}] was expected"
            )
        return _mixture(torch.zeros(self.components, device=self.inputs.device), posterior)


class RelaxedUniform(nn.Module):
    """Relaxed categories, all equally likely: the prior of `posteriors.RelaxedCategorical`.

    Args:
        groups: How many categorical variables z has.
        categories: K, how many values each has.
        temperature: τ of the prior; it need not be that of the posterior.

    Raises:
        OptionError: The temperature is not positive and finite.
    """

    logits: Tensor

    def __init__(self, groups: int, categories: int, temperature: float = 0.5) -> None:
        super().__init__()
        self.groups = groups
        self.categories = categories
        self.temperature = check_temperature(temperature)
        self.latent = groups * categories
        self.register_buffer("logits", torch.zeros(groups, categories), persistent=False)

    def forward(self) -> Distribution:
        """p(z) of the logarithms, batch shape `[]`, event shape `[groups · categories]`."""
        return RelaxedCategories(self.logits, self.temperature)


class _Normals(MixtureSameFamily):
    """A mixture of diagonal normals; torch's would draw from every component and keep one."""

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            normal = self.component_distribution.base_dist  # type: ignore[attr-defined]
            location = normal.loc[chosen]
            return torch.randn_like(location).mul_(normal.scale[chosen]).add_(location)


def _mixture(logits: Tensor, components: Distribution) -> Distribution:
    weights = Categorical(logits=logits, validate_args=False)
    normals = isinstance(components, Independent) and isinstance(components.base_dist, Normal)
    kind = _Normals if normals else MixtureSameFamily
    return kind(weights, components, validate_args=False)
