r"""Objectives made of importance weights, and gradients with less noise.

With S draws z_s = z(ε_s, φ) of q(z|x), and log w_s = log p(x|z_s) + log p(z_s) - log q(z_s|x),

    IWAE   L_S = logsumexp_s log w_s - log S  <= log p(x)               (Burda et al. 2016)

whose gradient weighs the draws by v_s = w_s / Σ_r w_r, v held constant:

    ∇ L_S = Σ_s v_s ∇ log w_s

The encoder's φ enters log w_s twice: through z_s, and through the parameters of q in log q(z_s|x).
The second way is a score function, whose mean is zero for the ELBO and whose noise is not. Leave
it out, and with S draws re-weigh the first way:

    STL    ∇_φ ELBO = mean_s (∂ log w_s / ∂z_s) ∂z_s/∂φ                 (Roeder et al. 2017)
    DReG   ∇_φ L_S  = Σ_s v_s² (∂ log w_s / ∂z_s) ∂z_s/∂φ               (Tucker et al. 2019)

Both are unbiased, and vanish draw by draw where q(z|x) is the exact posterior, as log w is then
constant in z. DReG's signal-to-noise ratio does not fall as S grows, as that of IWAE does
(Rainforth et al. 2018). The gradient of all else (the decoder, the prior) is that of L_S.

log q(z|x) with φ held in its parameters is built for any posterior at all, by its slope:

    g = ∂ log q(z|x) / ∂z,        log q(z|x) at φ held:  value log q,  gradient g ∂z/∂φ

which is autograd asked for one input of log q and not for the others.

This module does not know which posterior it is given, nor how it draws.
"""

import math

import torch
from torch import Tensor, nn

from variate.distributions import Delta
from variate.inference import Inference, Latent, Loss, Moment
from variate.objectives.bound import arguments, check_samples, infer, own_cost, scalar
from variate.objectives.schedules import Schedule, coefficient

__all__ = ["IWAE", "DReG", "StickTheLanding", "log_q_of_draws"]


class IWAE(nn.Module):
    """The negative importance-weighted bound (Burda et al. 2016).

    Args:
        samples: S, the draws per item; with 1 it is the ELBO.

    Raises:
        OptionError: samples is not a positive whole number.
    """

    def __init__(self, samples: int = 8) -> None:
        super().__init__()
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`."""
        inference, log_likelihood = infer(model, x, self.samples)
        log_ratio = _log_ratio(inference)
        log_w = log_likelihood + log_ratio
        bound = (torch.logsumexp(log_w, 0) - math.log(self.samples)).mean()
        return Loss(own_cost(inference) - bound, _terms(log_likelihood, log_ratio, bound=bound))


class DReG(nn.Module):
    """The importance-weighted bound with the doubly reparameterised gradient (Tucker et al. 2019).

    The loss's value is that of `IWAE`; only the encoder's gradient differs.

    Args:
        samples: S, the draws per item.

    Raises:
        OptionError: samples is not a positive whole number.
        TypeError: In use, for a model with several groups of latents: a draw that other draws
            depend on would be re-weighed more than once.
    """

    def __init__(self, samples: int = 8) -> None:
        super().__init__()
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:  # noqa: ARG002
        """The loss of a batch x `[B, *event]`."""
        inference, log_likelihood = infer(model, x, self.samples)
        if len(inference.latents) != 1:
            raise TypeError(
                f"DReG is for one group of latents, but the model has {len(inference.latents)}: "
                "use IWAE or StickTheLanding"
            )
        (latent,) = inference.latents
        log_ratio = latent.log_p() - log_q_of_draws(latent)
        log_w = log_likelihood + log_ratio
        v = torch.softmax(log_w.detach(), 0)
        if latent.z.requires_grad:
            latent.z.register_hook(lambda slope: slope * _like(v, slope))
        bound = (torch.logsumexp(log_w, 0) - math.log(self.samples)).mean()
        return Loss(own_cost(inference) - bound, _terms(log_likelihood, log_ratio, bound=bound))


class StickTheLanding(nn.Module):
    """The ELBO without the score of the posterior in its gradient (Roeder et al. 2017).

    The KL is the draws' log q - log p, never the analytic one: that is what lets the gradient
    vanish at the exact posterior. In a hierarchy, how the lower posteriors depend on the draws
    above them is left out with the rest of their parameters' gradient: without bias, for its mean
    given these draws is zero, but the gradient then does not vanish draw by draw.

    Args:
        beta: The weight of the KL, a number or a schedule.
        samples: Posterior draws per item.

    Raises:
        OptionError: β is negative or not finite, or samples not a positive whole number.
    """

    def __init__(self, beta: float | Schedule = 1.0, samples: int = 1) -> None:
        super().__init__()
        self.beta = coefficient("beta", beta)
        self.samples = check_samples(samples)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, *event]`."""
        beta = moment.at(self.beta)
        inference, log_likelihood = infer(model, x, self.samples)
        log_ratio = log_likelihood.new_zeros(())
        for latent in inference.latents:
            log_ratio = log_ratio + latent.log_p() - log_q_of_draws(latent)
        total = own_cost(inference) - (log_likelihood + beta * log_ratio).mean()
        return Loss(total, _terms(log_likelihood, log_ratio, beta))


def log_q_of_draws(latent: Latent) -> Tensor:
    """Log q(z|x) of the draws, `[S, B]`, with the gradient that passes through z alone.

    The parameters of the posterior receive no gradient from it, other than as z depends on them.
    A posterior whose density needs an inversion (an autoregressive flow) pays for it here.

    Raises:
        TypeError: The posterior is a point: it has no density, so no score to be left out, and all
            its draws are one.
    """
    if isinstance(latent.posterior, Delta):
        raise TypeError(
            f"the posterior {type(latent.posterior).__name__} is a point and has no density, so "
            "this objective's gradient would be wrong: use ELBO (all draws are equal, so the "
            "importance-weighted bound is the same)"
        )
    if not (torch.is_grad_enabled() and latent.z.requires_grad):
        return latent.log_q()
    z = latent.z.detach().requires_grad_()
    log_q = latent.posterior.log_prob(z)
    (slope,) = torch.autograd.grad(log_q.sum(), z)
    nothing = slope * (latent.z - z.detach())  # zero, with the gradient `slope`
    return log_q.detach() + nothing.flatten(2).sum(2)


def _log_ratio(inference: Inference) -> Tensor:
    """Log p(z) - log q(z|x) of the draws, summed over the latents, `[S, B]`."""
    ratios = [latent.log_p() - latent.log_q() for latent in inference.latents]
    return sum(ratios[1:], start=ratios[0])


def _like(v: Tensor, slope: Tensor) -> Tensor:
    """The weights `[S, B]` shaped to multiply a slope `[S, B, *latent]`."""
    return v.reshape(*v.shape, *[1] * (slope.ndim - 2))


def _terms(
    log_likelihood: Tensor, log_ratio: Tensor, beta: float = 1.0, **more: Tensor
) -> dict[str, Tensor]:
    terms = {
        "elbo": (log_likelihood + log_ratio).mean(),
        "log_likelihood": log_likelihood.mean(),
        "kl": -log_ratio.mean(),
        "beta": scalar(beta, log_ratio.mean()),
        **more,
    }
    return {name: value.detach() for name, value in terms.items()}
