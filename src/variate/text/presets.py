"""What a text model is to be good at: drawing new sentences, or giving back those it was shown.

A code of few nats is a topic and a shape, and what is drawn from the prior is as good as what is
decoded; a code of many nats holds the sentence, and the prior knows less of where codes lie. No
model is best at both (Alemi et al. 2018), so it is said once, by an object:

    Sampling()    6 nats, of 32 dimensions     likelihood and new sentences
    Fidelity()    60 nats, of 128              near-copies, small changes, directions

The nats are free: up to them the KL costs nothing, so that z is used whatever the decoder could do
without it. In training a share of the words is hidden from the decoder, which must then ask z.

This module does not know how a model is trained.
"""

from dataclasses import dataclass
from typing import Protocol

from variate.options import at_least, part, whole_from

__all__ = ["Fidelity", "Preset", "Sampling"]


class Preset(Protocol):
    """What a model is to be good at."""

    @property
    def nats(self) -> float:
        """The KL per sentence that costs nothing."""
        ...

    @property
    def latent(self) -> int:
        """The latent dimensions, where none are asked for."""
        ...

    @property
    def word_dropout(self) -> float:
        """The share of words that training hides from the decoder."""
        ...


@dataclass(frozen=True)
class Sampling:
    """For new sentences, and for log p(x).

    Raises:
        OptionError: A number is out of its range.
    """

    nats: float = 6.0
    latent: int = 32
    word_dropout: float = 0.2

    def __post_init__(self) -> None:
        _expect(self)


@dataclass(frozen=True)
class Fidelity:
    """For near-copies, small changes and directions.

    Raises:
        OptionError: A number is out of its range.
    """

    nats: float = 60.0
    latent: int = 128
    word_dropout: float = 0.3

    def __post_init__(self) -> None:
        _expect(self)


def _expect(preset: Preset) -> None:
    at_least("nats", preset.nats, 0)
    whole_from("latent", preset.latent)
    part("word_dropout", preset.word_dropout)
