"""The variational autoencoder: an encoder, a decoder and a prior that return distributions.

    encoder  x [B, *event]      ->  q(z|x)   batch shape [B]
    prior    ()                 ->  p(z)     batch shape []
    decoder  z [S, B, *latent]  ->  p(x|z)   batch shape [S, B]

Any `nn.Module` that keeps to this serves. Every variant of the model is a choice of these three
and of an objective; none is a class of its own. With the posterior `posteriors.Delta` and the
objective `objectives.Reconstruction` the same class is the deterministic autoencoder; with the
posteriors `FSQ` and `VQ` and a prior over their codes it is one whose z is discrete.

This module does not know what the data is, nor how the model is trained.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from variate.distributions import CodePoint
from variate.inference import Inference, Latent, rsample

__all__ = ["VAE"]


class VAE(nn.Module):
    """A variational autoencoder (Kingma & Welling 2014; Rezende et al. 2014).

    Args:
        encoder: x `[B, *event]` -> q(z|x) of batch shape `[B]`, reparameterisable.
        decoder: z `[S, B, *latent]` -> p(x|z) of batch shape `[S, B]`.
        prior: () -> p(z) of batch shape `[]`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, prior: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior

    def forward(self, x: Tensor, samples: int = 1, z: Tensor | None = None) -> Inference:
        """Infer z from x with `samples` posterior draws, and the likelihood that they imply.

        Args:
            x: The items, `[B, *event]`.
            samples: S, the draws.
            z: Codes `[S, B, *latent]` to be taken as they are; nothing is inferred then, and there
                are no latents.
        """
        if z is not None:
            return Inference((), self.decoder(z))
        posterior: Distribution = self.encoder(x)
        z = rsample(posterior, samples)
        penalty = posterior.penalty if isinstance(posterior, CodePoint) else None
        return Inference((Latent(z, posterior, self.prior(), penalty),), self.decoder(z))

    @torch.no_grad()
    def generate(self, n: int) -> Distribution:
        """The likelihood p(x|z) at n draws from the prior, batch shape `[1, n]`."""
        prior: Distribution = self.prior()
        likelihood: Distribution = self.decoder(prior.sample(torch.Size((1, n))))
        return likelihood
