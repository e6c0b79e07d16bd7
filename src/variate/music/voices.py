"""The texture of voices: one note at a time in each; see `texture`.

This module does not know how anything is computed: it says which parts go together.
"""

from collections.abc import Sequence
from typing import Any

from torch import Generator, Tensor, nn

from variate.models import VAE
from variate.music import measures
from variate.music.codec import MusicCodec
from variate.music.infilling import infilled
from variate.music.network import assembled
from variate.music.pieces import Piece, bar_steps
from variate.music.rewriting import mask_of, only_first_voice, with_bars
from variate.music.texture import Infilled, Sizes
from variate.music.transposing import transposing
from variate.training import MemorySource, Source

__all__ = ["Voices"]


class Voices:
    """Voices of single notes.

    Args:
        codec: Fitted.
    """

    part = "voice"

    def __init__(self, codec: MusicCodec) -> None:
        self.codec = codec
        self._move = transposing(codec)

    @property
    def parts(self) -> int:
        """V."""
        return self.codec.voices or 1

    @property
    def strands(self) -> int:
        """V."""
        return self.parts

    @property
    def usual(self) -> int:
        """All items have as many symbols."""
        return self.codec.length

    def network(self, sizes: Sizes, posterior: nn.Module, prior: nn.Module) -> VAE:
        """The model; see `network`."""
        return assembled(self.codec, sizes, posterior, prior)

    def source(self, x: Tensor) -> Source:
        """Items of one length."""
        return MemorySource(x)

    def transposed(self, x: Tensor, generator: Generator) -> Tensor:
        """Items at another pitch; see `transposing`."""
        return self._move(x, generator)

    def lost(self, told: Tensor, x: Tensor) -> Tensor:
        """Nats of each bar and voice."""
        bars, found = self.codec.bars, told.new_zeros(len(x), self.codec.bars, self.parts)
        steps = told[:, 1:].unflatten(1, (self.codec.steps, -1))
        meters = (x[:, 0] - self.codec.first_meter).tolist()
        for i, meter in enumerate(meters):
            bar = bar_steps(self.codec.meters[meter])
            found[i] = steps[i, : bar * bars].unflatten(0, (bars, bar)).sum(1)
        return found

    def reconstructions(self, model: Any, x: Tensor, seed: int) -> dict[str, float]:
        """See `measures`."""
        return measures.reconstructions(model, self.codec, x, seed)

    def apart(self, way: Tensor, end: Tensor) -> list[float]:
        """The share of symbols that differ."""
        counts = measures.part_of(self.codec, way).any(0)
        return [float((item != end)[counts].double().mean()) for item in way]

    def copied(self, drawn: Tensor, train: Tensor) -> float:
        """See `measures`."""
        return measures.copied(self.codec, drawn, train)

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
        """See `infilling`."""
        mask = mask_of(self.codec, x, bars, parts)
        return infilled(
            model, x, mask, voices=self.parts, draws=draws, seed=seed, temperature=temperature
        )

    def first_part(self, data: Any) -> Tensor:
        """See `rewriting`."""
        return only_first_voice(self.codec, data)

    def last_bars(self, piece: Piece, known: int) -> Tensor:
        """See `rewriting`."""
        return with_bars(self.codec, piece, known)
