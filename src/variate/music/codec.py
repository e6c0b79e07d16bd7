"""Pieces <-> x `[N, 1 + T V]`: what is learned of music, and both directions.

    x_0                  the metre, one of the M that training had
    x_{1 + t V + v}      the symbol of step t and voice v; the highest voice first in each step

as whole numbers 0, …, K - 1: hold, rest, the pitches of the range that the model knows, then the
metres. Behind the bars of a metre that has fewer steps all voices hold, which the grammar makes
certain: it adds nothing to log p. The grammar lets no item begin with a hold, and keeps each voice
to its range; within it all items together have mass one. A rest in silence says what a hold says
there, which is how items are made here: log p is of that one way to say an item.

The range of a voice is that of the data, widened by the transpositions that it is trained with.

This module does not know any network.
"""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.codec import Codec
from variate.distributions import Grammar
from variate.errors import DataError, SchemaError
from variate.music.extraction import Wanted, voices_of
from variate.music.grid import HOLD, PITCH, REST, notes_of
from variate.music.midi import Tracks
from variate.music.pieces import METERS, Note, Piece, bar_steps, shown
from variate.music.reading import read
from variate.music.records import Extraction
from variate.music.windows import Windows, expect_meters, longest

__all__ = ["MusicCodec"]

MOST_BARS, MOST_VOICES = 64, 16
TEMPO = 120.0


class MusicCodec(Codec):
    """Music <-> symbols.

    Args:
        bars: Of an item.
        voices: Of an item; None chooses from the data.
        transpose: The fewest and the most semitones that training moves music by.

    Attributes:
        meters: Those that the data has, in the order of their symbols.
        lowest: The lowest pitch of each voice.
        highest: The highest.
        tempo: The median of the pieces, quarters in a minute.
        extraction: What became of the files, or None of a codec that is restored.
    """

    meters: tuple[tuple[int, int], ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    tempo: float
    extraction: Extraction | None

    def __init__(
        self,
        bars: int = 2,
        voices: int | None = None,
        transpose: tuple[int, int] = (-5, 6),
    ) -> None:
        self.bars = bars
        self.voices = voices
        self.transpose = transpose
        self.extraction = None

    # -- learning -------------------------------------------------------------------------------

    def fit(self, raw: Any) -> Self:
        """Learn from raw data.

        Raises:
            DataError: It has no music.
        """
        self.learn(self.extracted(raw))
        return self

    def extracted(self, raw: Any, *, show: bool = False) -> Windows:
        """The windows of raw data that a model learns from; `extraction` is the report."""
        moved = self.transpose != (0, 0)
        wanted = Wanted(self.bars, self.voices or 1, transposed=moved)
        windows, self.extraction = read(raw, wanted, choose=self.voices is None, show=show)
        return windows

    def learn(self, windows: Windows) -> Self:
        """Learn from windows."""
        self.voices = windows.voices
        used = np.unique(windows.meters)
        self.meters = tuple(METERS[int(m)] for m in used)
        struck = np.where(windows.symbols >= PITCH, windows.symbols - PITCH, -1).astype(int)
        highest = struck.max((0, 1))
        lowest = np.where(struck >= 0, struck, 128).min((0, 1))
        if (highest < 0).any():
            raise DataError(f"voice {int((highest < 0).argmax()) + 1} has no note in any window.")
        down, up = self.transpose
        self.lowest = tuple(int(p) for p in np.maximum(lowest + down, 0))
        self.highest = tuple(int(p) for p in np.minimum(highest + up, 127))
        self.tempo = float(np.median(windows.tempos)) if windows.tempos else TEMPO
        return self

    # -- sizes ----------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """T, the steps of an item in the longest of its metres."""
        return longest(self.bars, self.meters)

    @property
    def length(self) -> int:
        """1 + T V, the numbers of an item."""
        return 1 + self.steps * self._v

    @property
    def base(self) -> int:
        """The lowest pitch of all voices, whose symbol is 2."""
        return min(self.lowest)

    @property
    def pitches(self) -> int:
        """How many pitches have a symbol."""
        return max(self.highest) - self.base + 1

    @property
    def size(self) -> int:
        """K, how many symbols there are."""
        return PITCH + self.pitches + len(self.meters)

    @property
    def first_meter(self) -> int:
        """The symbol of the first metre."""
        return PITCH + self.pitches

    def steps_of(self, x: Tensor) -> Tensor:
        """How many steps items x `[N, 1 + T V]` have, `[N]`."""
        table = torch.tensor([bar_steps(m) * self.bars for m in self.meters], device=x.device)
        found: Tensor = table[x[:, 0].long() - self.first_meter]
        return found

    @property
    def _v(self) -> int:
        assert self.voices is not None
        return self.voices

    # -- both directions ------------------------------------------------------------------------

    def received(self, raw: Any, *, overlapping: bool = False) -> Windows:
        """Raw data as windows, none left out: one after the other, or from every bar on.

        Raises:
            DataError: It has no music.
        """
        stride = 1 if overlapping else self.bars
        wanted = Wanted(self.bars, self._v, stride=stride, clean=False)
        return read(raw, wanted)[0]

    def parts_of(self, said: Tracks) -> list[tuple[Note, ...]]:
        """The notes of each voice of a file.

        Raises:
            DataError: It has not as many voices.
        """
        return voices_of(said, self._v, Extraction(self._v, self.bars))

    def encode(self, raw: Any) -> Tensor:
        """Music as x `[N, 1 + T V]`, int64.

        Raises:
            DataError: It cannot be read.
            SchemaError: Its metre or a pitch is one that the model does not know.
        """
        return self.symbols(self.received(raw))

    def symbols(self, windows: Windows) -> Tensor:
        """Windows as x."""
        meter = self.first_meter + expect_meters(windows, self.meters)
        symbols = windows.symbols[:, : self.steps].astype(np.int64)
        low, high = np.array(self.lowest) + PITCH, np.array(self.highest) + PITCH
        strange = (symbols >= PITCH) & ((symbols < low) | (symbols > high))
        if strange.any():
            n, _, v = (int(i[0]) for i in np.nonzero(strange))
            pitch = int(symbols[n][strange[n]][0]) - PITCH
            raise SchemaError(
                f"{windows.labels()[n]} has the pitch {pitch} in voice {v + 1}, and the model "
                f"knows {self.lowest[v]} to {self.highest[v]} there; transpose it, or fit again."
            )
        symbols = np.where(symbols >= PITCH, symbols - self.base, symbols)
        flat = symbols.reshape(len(symbols), -1)
        return torch.from_numpy(np.concatenate([meter[:, None], flat], 1))

    def voices_of(self, x: Tensor) -> NDArray[np.int16]:
        """The symbols of `grid` of x: `[N, T, V]`, with pitches of MIDI."""
        symbols = x[:, 1:].reshape(len(x), self.steps, self._v).cpu().numpy()
        found: NDArray[np.int16] = np.where(
            symbols >= PITCH, symbols + self.base, symbols
        ).astype(np.int16)  # fmt: skip
        return found

    def decode(self, x: Tensor) -> list[Piece]:
        """Items x as pieces."""
        symbols, steps = self.voices_of(x), self.steps_of(x).tolist()
        meters = (x[:, 0] - self.first_meter).tolist()
        return [
            Piece(
                tuple(notes_of(voice[:count]) for voice in item.T),
                self.meters[meter],
                tempo=self.tempo,
                bars=self.bars,
            )
            for item, meter, count in zip(symbols, meters, steps, strict=True)
        ]

    def blank(self) -> Tensor:
        """An item of silence, `[1, 1 + T V]`."""
        x = torch.full((1, self.length), HOLD, dtype=torch.int64)
        x[:, 0] = self.first_meter
        x[:, 1 : 1 + self._v] = REST
        return x

    def grammar(self) -> Grammar:
        """Which symbols may come next: see the module."""
        voices, size = self._v, self.size
        each = [bar_steps(meter) * self.bars * voices for meter in self.meters]
        starts = np.cumsum([1, *each])
        beyond = int(starts[-1])
        moves = np.full((beyond + 1, size), -1)
        moves[0, self.first_meter :] = starts[:-1]
        moves[beyond, HOLD] = beyond
        for start, count in zip(starts[:-1], each, strict=True):
            for place in range(count):
                voice = place % voices
                following = beyond if place + 1 == count else int(start) + place + 1
                low, high = (PITCH + p[voice] - self.base for p in (self.lowest, self.highest))
                row = moves[int(start) + place]
                row[low : high + 1] = following
                row[REST] = following
                if place >= voices:
                    row[HOLD] = following
        return Grammar(torch.from_numpy(moves))

    # -- state ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        return {
            "bars": self.bars,
            "voices": self._v,
            "transpose": list(self.transpose),
            "meters": [list(meter) for meter in self.meters],
            "lowest": list(self.lowest),
            "highest": list(self.highest),
            "tempo": self.tempo,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ValueError: It describes none.
        """
        bars, voices = int(state["bars"]), int(state["voices"])
        down, up = (int(n) for n in state["transpose"])
        codec = cls(bars, voices, (down, up))
        codec.meters = tuple((int(a), int(b)) for a, b in state["meters"])
        codec.lowest = tuple(int(p) for p in state["lowest"])
        codec.highest = tuple(int(p) for p in state["highest"])
        codec.tempo = float(state["tempo"])
        if not (
            1 <= bars <= MOST_BARS
            and 1 <= voices == len(codec.lowest) == len(codec.highest) <= MOST_VOICES
            and codec.meters
            and all(meter in METERS for meter in codec.meters)
            and all(0 <= a <= b <= 127 for a, b in zip(codec.lowest, codec.highest, strict=True))
            and 1.0 <= codec.tempo <= 1000.0
        ):
            raise ValueError(f"no music is like this: {state}")
        return codec

    @property
    def schema(self) -> str:
        """The music, for people."""
        voices = "one voice" if self.voices == 1 else f"{self.voices} voices"
        meters = shown(self.meters)
        ranges = "; ".join(f"{a} to {b}" for a, b in zip(self.lowest, self.highest, strict=True))
        return (
            f"{self.bars} bars of {voices} on the grid of sixteenths, metres {meters}, pitches "
            f"(60 is the middle C) {ranges}"
        )
