"""What a model of music is to be good at: drawing new music, or giving back what it was shown.

    Sampling()   few nats in the code: a gist, and what is drawn sounds like the data
    Fidelity()   as many nats as the notes have: what went in comes back, and can be worked on

(Magenta's MusicVAE is published in the same two flavours.) The nats are free: up to them the KL
costs nothing, so that the code is used whatever the decoder could do without it. Nats and
dimensions are for each bar of one voice, and grow with the root of the number of voices, which move
together.

This module does not know networks.
"""

import math
from dataclasses import dataclass
from typing import Any

from variate.errors import OptionError
from variate.music.layout import spans_of
from variate.options import at_least, part, whole_from

__all__ = ["Fidelity", "Preset", "Sampling", "dimensions", "expect_preset", "free_nats"]


@dataclass(frozen=True)
class Preset:
    """What a model is to be good at; see `Sampling` and `Fidelity`.

    Attributes:
        nats: The KL that costs nothing, for each bar of one voice.
        latent: Dimensions, for each bar of one voice, where none are asked for.
        word_dropout: The share of the steps whose past training hides from the decoder.

    Raises:
        OptionError: A number is out of its range.
    """

    nats: float
    latent: int
    word_dropout: float

    def __post_init__(self) -> None:
        at_least("nats", self.nats, 0)
        whole_from("latent", self.latent)
        part("word_dropout", self.word_dropout)


def expect_preset(given: Any) -> Preset:
    """The option `preset`.

    Raises:
        OptionError: It is none.
    """
    if given is not None and not isinstance(given, Preset):
        raise OptionError(
            f"preset must be vt.music.Sampling() or vt.music.Fidelity(), got {given!r:.60}."
        )
    return given or Sampling()


@dataclass(frozen=True)
class Sampling(Preset):
    """For new music, and for log p(x)."""

    nats: float = 5.0
    latent: int = 16
    word_dropout: float = 0.2


@dataclass(frozen=True)
class Fidelity(Preset):
    """For near-copies, small changes, sliders and what is between two pieces."""

    nats: float = 24.0
    latent: int = 64
    word_dropout: float = 0.3


def free_nats(preset: Preset, bars: int, voices: int) -> float:
    """Free nats of an item."""
    return preset.nats * bars * math.sqrt(voices)


def dimensions(preset: Preset, bars: int, voices: int) -> int:
    """Latent dimensions of an item, as many for each of its parts."""
    spans = spans_of(bars)
    return spans * max(2, round(preset.latent * bars * math.sqrt(voices) / spans))
