"""The text kind: sentences from a latent space."""

from variate.text.estimator import TextVAE
from variate.text.presets import Fidelity, Sampling

__all__ = ["Fidelity", "Sampling", "TextVAE"]
