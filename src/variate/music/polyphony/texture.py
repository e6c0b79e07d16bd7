"""The texture of tracks: any number of notes at once; see `music.texture`.

This module does not know how anything is computed: it says which parts go together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from variate.models import VAE, SequenceDecoder
from variate.music.layout import Layout, spans_of
from variate.music.pieces import Piece
from variate.music.polyphony import measures
from variate.music.polyphony.codec import TracksCodec
from variate.music.polyphony.events import BAR, END
from variate.music.polyphony.infilling import infilled_tracks
from variate.music.polyphony.network import EventDecoder, EventEncoder
from variate.music.polyphony.rewriting import only_first_track, with_room
from variate.music.polyphony.transposing import TracksTransposing
from variate.music.rewriting import missing_of
from variate.music.texture import Infilled, Sizes
from variate.training import LengthSource, Source

__all__ = ["Polyphony"]

STRANDS = 4  # a track of chords says about as much as so many voices
BLOCK = 1 << 20  # logits of items that are looked at at once, of one draw


class Polyphony:
    """Tracks of any number of notes at once.

    Args:
        codec: Fitted.
    """

    part = "track"

    def __init__(self, codec: TracksCodec) -> None:
        self.codec = codec
        self._move = TracksTransposing(codec)

    @property
    def parts(self) -> int:
        """How many tracks there are."""
        return self.codec.tracks

    @property
    def strands(self) -> int:
        """As many as a chorale has, for each track."""
        return STRANDS * self.parts

    @property
    def usual(self) -> int:
        """Half of what the longest item has."""
        return self.codec.length // 2

    def network(self, sizes: Sizes, posterior: nn.Module, prior: nn.Module) -> VAE:
        """The model; see `polyphony.network`."""
        codec, events = self.codec, self.codec.events()
        layout = Layout(
            events.size, events.first_meter, codec.meters, codec.bars, codec.steps, codec.tracks,
            spans_of(codec.bars),
        )  # fmt: skip
        latent, width, hidden, dropout, hiding = sizes
        reads = EventEncoder(layout, events, width, hidden, dropout)
        writes = EventDecoder(layout, events, latent, width, hidden, dropout, hiding)
        block = max(4, min(128, BLOCK // (self.usual * events.size)))
        decoder = SequenceDecoder(writes, codec.length, END, events, block)
        return VAE(nn.Sequential(reads, posterior), decoder, prior)

    def source(self, x: Tensor) -> Source:
        """Items of about one length at a time."""
        return LengthSource(x, 1 + (x != END).sum(1))

    def transposed(self, x: Tensor, generator: Generator) -> Tensor:
        """Items at another pitch; see `transposing`."""
        return self._move(x, generator)

    def lost(self, told: Tensor, x: Tensor) -> Tensor:
        """Nats of each bar and track.

        Those of a note (its place if it opens one, its key, its length) are its track's; those of
        the metre, of bar lines and of the end go to the first.
        """
        events = self.codec.events()
        bar = events.states(x)[..., BAR].long().clamp(max=self.codec.bars - 1)
        ends = torch.from_numpy(self.codec.offsets[1:])
        cell = bar * self.parts + torch.searchsorted(ends, events.told_of(x), right=True)
        found = told.new_zeros(len(x), self.codec.bars * self.parts).scatter_add_(1, cell, told)
        return found.unflatten(1, (self.codec.bars, self.parts))

    def reconstructions(self, model: Any, x: Tensor, seed: int) -> dict[str, float]:
        """See `measures`."""
        return measures.reconstructions(model, self.codec, x, seed)

    def apart(self, way: Tensor, end: Tensor) -> list[float]:
        """1 - F1 of their notes."""
        return measures.apart(self.codec, way, end)

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
        codec = self.codec
        missing = missing_of(codec, x, bars, parts, (self.parts, self.part))
        offsets = torch.from_numpy(codec.offsets)
        track = torch.arange(self.parts).repeat_interleave(offsets.diff())
        return infilled_tracks(
            model, x, missing, track, codec.steps_of(x), draws=draws, seed=seed,
            temperature=temperature,
        )  # fmt: skip

    def first_part(self, data: Any) -> Tensor:
        """See `rewriting`."""
        return only_first_track(self.codec, data)

    def last_bars(self, piece: Piece, known: int) -> Tensor:
        """See `rewriting`."""
        return with_room(self.codec, piece, known)
