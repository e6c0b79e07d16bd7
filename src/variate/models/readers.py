"""Which network reads: what a sequence model's decoder is made of, as an option.

    Recurrent      a GRU, given z at every step (`nets.recurrent`)
    Transformer    causal attention, given z at every layer (`nets.transformer`)

Of the two the recurrent one needs less care with few items; attention copies from its context, and
so is the first to leave z unused.

This module does not know what the symbols stand for.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from variate.errors import OptionError
from variate.nets.recurrent import RecurrentDecoder
from variate.nets.transformer import TransformerDecoder

__all__ = ["Architecture", "Recurrent", "Transformer"]

DEEPEST = 64


class Architecture(Protocol):
    """A choice of network."""

    @property
    def hidden(self) -> int:
        """The width of its state, and of the encoder's."""
        ...

    @property
    def embedding(self) -> int:
        """The width of the symbols' vectors."""
        ...

    @property
    def dropout(self) -> float:
        """The share of inputs and outputs that training drops."""
        ...

    def build(self, size: int, latent: int, length: int, word_dropout: float) -> nn.Module:
        """The network; see `distributions.Reader`.

        Args:
            size: K, how many symbols there are.
            latent: D, how many numbers a code has.
            length: T, the most places.
            word_dropout: The share of the given symbols that training hides.
        """
        ...


@dataclass(frozen=True)
class Recurrent:
    """A GRU.

    Args:
        hidden: The width of its state, and of the encoder's in each direction.
        embedding: The width of the symbols' vectors.
        layers: How many layers.
        dropout: The share of inputs and outputs that training drops.

    Raises:
        OptionError: A number is out of its range.
    """

    hidden: int = 256
    embedding: int = 128
    layers: int = 1
    dropout: float = 0.2

    def __post_init__(self) -> None:
        _expect(self, "hidden", "embedding", "layers")

    def build(self, size: int, latent: int, length: int, word_dropout: float) -> nn.Module:
        """The network; see `Architecture.build`."""
        del length
        return RecurrentDecoder(
            size, latent, self.embedding, self.hidden, self.layers, self.dropout, word_dropout
        )


@dataclass(frozen=True)
class Transformer:
    """Causal attention.

    Args:
        hidden: The width, and that of the encoder in each direction.
        embedding: The width of the symbols' vectors.
        layers: How many layers.
        heads: How many heads of attention, a divisor of the width.
        dropout: The share of inputs and outputs that training drops.

    Raises:
        OptionError: A number is out of its range.
    """

    hidden: int = 256
    embedding: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.2

    def __post_init__(self) -> None:
        _expect(self, "hidden", "embedding", "layers", "heads")
        if self.hidden % self.heads:
            raise OptionError(f"hidden={self.hidden} must be a multiple of heads={self.heads}")

    def build(self, size: int, latent: int, length: int, word_dropout: float) -> nn.Module:
        """The network; see `Architecture.build`."""
        return TransformerDecoder(
            size, latent, length, self.embedding, self.hidden, self.layers, self.heads,
            self.dropout, word_dropout,
        )  # fmt: skip


def _expect(options: Any, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if not isinstance(value, int) or value < 1:
            raise OptionError(f"{name} must be a whole number of at least 1, got {value!r}")
    if options.layers > DEEPEST:
        raise OptionError(f"layers must be at most {DEEPEST}, got {options.layers}")
    if not 0.0 <= options.dropout < 1.0:
        raise OptionError(f"dropout must be at least 0 and below 1, got {options.dropout!r}")
