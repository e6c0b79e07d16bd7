r"""Perceptual sharpness: the ELBO, and a critic that tells decoded images from real ones.

A likelihood of pixels that are independent given z pays for each pixel by itself, so where z leaves
open where an edge lies, its mean is blurred: no single position would be as likely. Eyes see the
blur at once. So may a second network, c, that is shown real images x and means m(z) of p(x|z), and
learns by the hinge loss (Lim & Ye 2017) to give numbers above 1 to patches of the one and below -1
to those of the other; the model is then asked to be given high numbers too:

    critic       E max(0, 1 - c(x)) + E max(0, 1 + c(m(z)))             moves c alone
    total        R + β K + w λ A,    A = -E c(m(z)),  z ~ q(z|x)        moves the model alone
    λ            ‖∇_θ R‖ / (‖∇_θ A‖ + ε),   θ the last weights that make p(x|z)

(VAE-GAN, Larsen et al. 2016; the patches and λ of VQGAN, Esser et al. 2021). λ makes w a share: at
w = 0.5 the critic pulls at the last layer half as hard as the likelihood, whatever the unit of its
numbers is. There are no weights to download; the critic starts from nothing with the model.

**What it is not.** A is no likelihood and no bound of one. The terms `elbo`, `log_likelihood` and
`kl` are the exact ELBO, which a critic makes lower: sharp edges in a wrong place are less likely
than a blur. What the critic adds is in the terms `adversarial` (A) and `critic_weight` (w λ), and
how well it tells the two apart in `critic`. It sees means of p(x|z), what `decode` gives; a draw
from p(x|z) has the noise of its pixels as before. A critic moves at every step, so its numbers of
two moments cannot be compared: in evaluation mode the total is R + β K, and weights are chosen
by that alone.

This module does not know the networks of the model, nor when the critic is stepped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from variate.errors import OptionError
from variate.inference import Loss, Moment
from variate.nets.patches import PatchNet
from variate.objectives.bound import Halves, arguments, halves
from variate.objectives.schedules import Schedule, coefficient
from variate.options import whole

__all__ = ["Critic"]

_LEAST = 1e-8  # of a gradient's norm
_CHANNELS, _WIDTH = 64, 512  # a model file may ask for no more
_MOST = 1e6  # of λ, where the critic has no slope


class Critic(nn.Module):
    """The ELBO and a patch critic of decoded images (Larsen et al. 2016; Esser et al. 2021).

    Args:
        channels: Of the images.
        levels: Of their pixels.
        weight: w, how hard the critic pulls beside the likelihood: a number or a schedule.
        beta: The weight of the KL.
        width: Of the critic's first maps.

    Raises:
        OptionError: A number is out of its range, or pictures have other channels.
        TypeError: In use, for a likelihood whose mean the decoder cannot be reached through.
    """

    def __init__(
        self,
        channels: int,
        levels: int = 256,
        weight: float | Schedule = 0.5,
        beta: float | Schedule = 1.0,
        width: int = 32,
    ) -> None:
        super().__init__()
        for name, size in (("channels", channels), ("levels", levels), ("width", width)):
            whole(name, size)
        if channels > _CHANNELS or width > _WIDTH:
            raise OptionError(
                f"a critic has at most {_CHANNELS} channels and a width of at most {_WIDTH}, got "
                f"{channels} and {width}"
            )
        self.channels = channels
        self.levels = levels
        self.weight = coefficient("weight", weight)
        self.beta = coefficient("beta", beta)
        self.width = width
        self.critic = PatchNet(channels, levels, width)

    extra_repr = arguments

    def forward(self, model: nn.Module, x: Tensor, moment: Moment) -> Loss:
        """The loss of a batch x `[B, C, H, W]`, and the critic's own."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise OptionError(
                f"Critic(channels={self.channels}, …) is for pictures of as many channels, but x "
                f"is {list(x.shape)}: [B, C, H, W] with C = {self.channels} was expected"
            )
        beta = moment.at(self.beta)
        parts = halves(model, x)
        mean = parts.inference.likelihood.mean[0]
        frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
        adversarial = -functional_call(self.critic, frozen, (mean,)).mean()
        critic = self._critic_loss(x, mean.detach())
        total = beta * parts.kl + parts.distortion
        weight = torch.zeros_like(parts.kl)
        if self.training and torch.is_grad_enabled():
            weight = moment.at(self.weight) * _balance(model, parts, adversarial)
            total = total + weight * adversarial
        more = {"adversarial": adversarial, "critic_weight": weight, "critic": critic}
        return Loss(total, parts.terms(beta, **more), critic)

    def _critic_loss(self, x: Tensor, mean: Tensor) -> Tensor:
        real, decoded = self.critic(torch.cat([x.to(mean.dtype), mean])).chunk(2)
        return F.relu(1 - real).mean() + F.relu(1 + decoded).mean()


def _balance(model: nn.Module, parts: Halves, adversarial: Tensor) -> Tensor:
    """λ, a scalar without gradient.

    Raises:
        TypeError: No weights of the model move both.
    """
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    for last in reversed(weights) if adversarial.requires_grad else ():
        (of_mean,) = torch.autograd.grad(adversarial, last, retain_graph=True, allow_unused=True)
        if of_mean is None:
            continue
        (of_pixels,) = torch.autograd.grad(
            parts.log_likelihood, last, retain_graph=True, allow_unused=True
        )
        if of_pixels is not None:
            ratio = of_pixels.norm() / (of_mean.norm() + _LEAST)
            return ratio.clamp(max=_MOST).detach()
    raise TypeError(
        "a critic needs a likelihood whose mean has a gradient for the decoder, but no weights of "
        f"the model reach that of {type(parts.inference.likelihood).__name__}"
    )
