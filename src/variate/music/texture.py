"""What a model of music asks of the texture that it models: voices of single notes, or tracks.

    Voices       so many voices, each of one note at a time; a symbol for each voice and step
    Polyphony    tracks of any number of notes at once; a symbol for each thing that happens

A texture is a fitted codec with what suits it: networks, batches, figures, and how a part of an
item is written anew. The estimator and its verbs know no more than this.

This module does not know either of them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Generator, Tensor, nn

from variate.models import VAE
from variate.music.pieces import Piece
from variate.training import Source

__all__ = ["Infilled", "Sizes", "Texture"]


class Sizes(NamedTuple):
    """How large the networks are, and how much they are shown.

    Attributes:
        latent: D.
        width: Of the symbols' vectors.
        hidden: Of the states.
        dropout: The share of the networks' numbers that training drops.
        hiding: The share of the past that training hides from the decoder.
    """

    latent: int
    width: int
    hidden: int
    dropout: float = 0.0
    hiding: float = 0.0


class Infilled(NamedTuple):
    """Items with what was missing written.

    Attributes:
        likeliest: The particle of the largest weight, `[N, T']`: weights count since the particles
            were last drawn anew, so it need not be the one of the largest p(x, z) / q(z|x).
        draws: `[K, N, T']`.
    """

    likeliest: Tensor
    draws: Tensor


class Texture(Protocol):
    """Items x `[N, T']` of some texture: see the module."""

    @property
    def codec(self) -> Any:
        """Pieces <-> x: `bars`, `meters`, `first_meter`, `steps_of`, `received`, `symbols`."""
        ...

    @property
    def parts(self) -> int:
        """How many voices or tracks an item has."""
        ...

    @property
    def part(self) -> str:
        """What one of them is called."""
        ...

    @property
    def strands(self) -> int:
        """How many voices of single notes say as much: how much a code should hold."""
        ...

    @property
    def usual(self) -> int:
        """About how many symbols an item has."""
        ...

    def network(self, sizes: Sizes, posterior: nn.Module, prior: nn.Module) -> VAE:
        """The model."""
        ...

    def source(self, x: Tensor) -> Source:
        """Where batches of items come from."""
        ...

    def transposed(self, x: Tensor, generator: Generator) -> Tensor:
        """Items at another pitch, as training moves them."""
        ...

    def lost(self, told: Tensor, x: Tensor) -> Tensor:
        """Nats `[N, bars, parts]`, of the nats `[N, T']` of each symbol of items x."""
        ...

    def reconstructions(self, model: Any, x: Tensor, seed: int) -> dict[str, float]:
        """The figures of how much of items comes back."""
        ...

    def apart(self, way: Tensor, end: Tensor) -> list[float]:
        """How far each item of `[M, T']` is from an item: 0 the same, 1 nothing in common."""
        ...

    def copied(self, drawn: Tensor, train: Tensor) -> float:
        """The share of drawn items that training items are, at the same or another pitch."""
        ...

    def rewritten(
        self,
        model: VAE,
        x: Tensor,
        bars: Sequence[int] | None,
        parts: Sequence[int] | None,
        *,
        draws: int,
        temperature: float,
        seed: int | None,
    ) -> Infilled:
        """Items with some bars and parts, counted from 1 (None: all), written given the rest.

        Raises:
            OptionError: There is no such bar or part.
        """
        ...

    def first_part(self, data: Any) -> Tensor:
        """Music of one voice or track as items whose other ones are silent.

        Raises:
            SchemaError: It goes where the model's first one does not.
        """
        ...

    def last_bars(self, piece: Piece, known: int) -> Tensor:
        """The last bars of a piece, with room behind them for those that follow: `[1, T']`.

        Raises:
            DataError: The piece is of another texture.
        """
        ...
