"""How x and z are tied: modules that return distributions, and the VAE made of three of them."""

from variate.models import flows, likelihoods, pixels, posteriors, priors
from variate.models.vae import VAE

__all__ = ["VAE", "flows", "likelihoods", "pixels", "posteriors", "priors"]
