"""How x and z are tied: modules that return distributions, and the VAE made of three of them."""

from variate.models import flows, likelihoods, pixels, posteriors, priors, readers
from variate.models.ladder import Ladder
from variate.models.sequences import SequenceDecoder
from variate.models.topdown import image_ladder
from variate.models.vae import VAE

__all__ = [
    "VAE",
    "Ladder",
    "SequenceDecoder",
    "flows",
    "image_ladder",
    "likelihoods",
    "pixels",
    "posteriors",
    "priors",
    "readers",
]
