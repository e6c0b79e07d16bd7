"""Music of tracks <-> x `[N, L]`, the symbols of `events`: what is learned, and both directions.

The keys of a track are those of the data, widened by the transpositions that it is trained with;
note n counts them track after track, each from the highest down. Items have at most L symbols, a
quarter more than the longest that the data has.

This module does not know any network.
"""

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.codec import Codec
from variate.errors import DataError, SchemaError
from variate.music.extraction import Wanted
from variate.music.midi import Tracks
from variate.music.pieces import (
    METERS,
    STEPS_PER_QUARTER,
    Instrument,
    Note,
    Piece,
    bar_steps,
    shown,
)
from variate.music.polyphony.events import END, LINE, PLACE, Events
from variate.music.polyphony.extraction import MOST_TRACKS, Asked, places_of
from variate.music.polyphony.windows import LENGTH, ONSET, PITCH, TRACK, WINDOW, TrackWindows
from variate.music.reading import read_tracks
from variate.music.records import Extraction
from variate.music.windows import expect_meters, longest

__all__ = ["TracksCodec"]

ROOM = 1.25  # of the longest item's symbols
MOST_BARS = 64
MOST_SYMBOLS = (1 << 14) - 1  # states count up to twice as many in 16 bits
TEMPO = 120.0


class TracksCodec(Codec):
    """Music of tracks <-> symbols.

    Args:
        bars: Of an item.
        tracks: How many tracks, or their names in the files.
        transpose: The fewest and the most semitones that training moves music by.

    Attributes:
        instruments: Of the tracks.
        meters: Those that the data has, in the order of their symbols.
        lowest: The lowest pitch of each track.
        highest: The highest.
        length: L.
        tempo: The median of the pieces, quarters in a minute.
        extraction: What became of the files, or None of a codec that is restored.
    """

    instruments: tuple[Instrument, ...]
    meters: tuple[tuple[int, int], ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    length: int
    tempo: float
    extraction: Extraction | None

    def __init__(
        self, bars: int = 2, tracks: Asked = 1, transpose: tuple[int, int] = (-5, 6)
    ) -> None:
        self.bars = bars
        self.asked = tracks
        self.transpose = transpose
        self.instruments = ()
        self.extraction = None

    # -- learning -------------------------------------------------------------------------------

    def fit(self, raw: Any) -> Self:
        """Learn from raw data.

        Raises:
            DataError: It has no music.
        """
        return self.learn(self.extracted(raw))

    def extracted(self, raw: Any, *, show: bool = False) -> TrackWindows:
        """The windows of raw data that a model learns from; `extraction` is the report."""
        wanted = Wanted(self.bars, transposed=self.transpose != (0, 0))
        windows, self.extraction = read_tracks(raw, self.asked, wanted, show=show)
        return windows

    def learn(self, windows: TrackWindows) -> Self:
        """Learn from windows.

        Raises:
            DataError: A track has no note in any window.
        """
        self.instruments = windows.instruments
        used = np.unique(windows.meters)
        self.meters = tuple(METERS[int(m)] for m in used)
        down, up = self.transpose
        lowest, highest = [], []
        for number, instrument in enumerate(self.instruments):
            pitches = windows.notes[windows.notes[:, TRACK] == number, PITCH]
            if not len(pitches):
                raise DataError(
                    f"track {number + 1} ({instrument.name!r}) has no note in any window."
                )
            lowest.append(max(0, int(pitches.min()) + down))
            highest.append(min(127, int(pitches.max()) + up))
        self.lowest, self.highest = tuple(lowest), tuple(highest)
        self.tempo = float(np.median(windows.tempos)) if windows.tempos else TEMPO
        sizes = _symbols(windows, self._events(2).longest)
        self.length = min(int(ROOM * sizes.max()) + 1, MOST_SYMBOLS)
        return self

    # -- sizes ----------------------------------------------------------------------------------

    @property
    def tracks(self) -> int:
        """How many tracks there are."""
        return len(self.instruments)

    @property
    def steps(self) -> int:
        """T, the steps of an item in the longest of its metres."""
        return longest(self.bars, self.meters)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """The note of each track's highest key, and how many notes there are, `[tracks + 1]`."""
        keys = np.array(self.highest) - np.array(self.lowest) + 1
        offsets: NDArray[np.int64] = np.concatenate([[0], keys.cumsum()])
        return offsets

    @property
    def first_meter(self) -> int:
        """The symbol of the first metre."""
        return self.events().first_meter

    def events(self) -> Events:
        """The symbols and their order."""
        return self._events(self.length)

    def _events(self, length: int) -> Events:
        steps = [bar_steps(meter) for meter in self.meters]
        return Events(self.bars, steps, int(self.offsets[-1]), length)

    def steps_of(self, x: Tensor) -> Tensor:
        """How many steps items x `[N, L]` have, `[N]`."""
        table = torch.tensor([bar_steps(m) * self.bars for m in self.meters], device=x.device)
        found: Tensor = table[x[:, 0].long() - self.first_meter]
        return found

    # -- both directions ------------------------------------------------------------------------

    def received(self, raw: Any, *, overlapping: bool = False) -> TrackWindows:
        """Raw data as windows, none left out: one after the other, or from every bar on.

        Raises:
            DataError: It has no music.
        """
        wanted = Wanted(self.bars, stride=1 if overlapping else self.bars, clean=False)
        return read_tracks(raw, self._known(), wanted, known=self.instruments)[0]

    def parts_of(self, said: Tracks) -> list[tuple[Note, ...]]:
        """The notes of each track of a file.

        Raises:
            DataError: It has none of them.
        """
        parts: list[list[Note]] = [[] for _ in range(self.tracks)]
        for number, place in places_of(said, self._known(), self.instruments):
            parts[place] += said.voices[number]
        return [tuple(sorted(part)) for part in parts]

    def _known(self) -> Asked:
        return self.asked if isinstance(self.asked, tuple) else self.tracks

    def encode(self, raw: Any) -> Tensor:
        """Music as x `[N, L]`, int64.

        Raises:
            DataError: It cannot be read.
            SchemaError: Its metre, a pitch or so many notes are such as the model does not know.
        """
        return self.symbols(self.received(raw))

    def symbols(self, windows: TrackWindows) -> Tensor:
        """Windows as x."""
        meters = expect_meters(windows, self.meters)
        self._expect_known(windows)
        events = self.events()
        x = np.full((len(windows), self.length), END, np.int64)
        x[:, 0] = events.first_meter + meters
        notes = windows.notes.astype(np.int64)
        of_bar = np.array([bar_steps(meter) for meter in self.meters])[meters]
        item, onset = notes[:, WINDOW], notes[:, ONSET]
        lines, opens, longer = _extra(notes, of_bar, events.longest)
        size = lines + opens + 2 + longer
        start = 1 + _within(size, item)
        note = np.array(self.highest)[notes[:, TRACK]] - notes[:, PITCH]
        note = note + self.offsets[notes[:, TRACK]]
        rest = notes[:, LENGTH] - 1 - longer * events.longest
        _fill(x, item, start, lines, LINE)
        at = start + lines
        x[item[opens], at[opens]] = PLACE + (onset % of_bar[item])[opens]
        at = at + opens
        x[item, at] = events.first_note + note
        _fill(x, item, at + 1, longer, events.longer)
        x[item, at + 1 + longer] = events.first_length + rest
        used = 1 + np.bincount(item, size, len(x)).astype(np.int64)
        done = np.bincount(item, lines, len(x)).astype(np.int64)
        _fill(x, np.arange(len(x)), used, self.bars - 1 - done, LINE)
        return torch.from_numpy(x)

    def _expect_known(self, windows: TrackWindows) -> None:
        """Refuse windows that the model does not know how to write."""
        if windows.tracks != self.tracks:
            raise SchemaError(
                f"the music has {windows.tracks} tracks, and the model knows {self.tracks}; read "
                "it with as many."
            )
        track, pitch = windows.notes[:, TRACK], windows.notes[:, PITCH]
        low, high = np.array(self.lowest)[track], np.array(self.highest)[track]
        strange = (pitch < low) | (pitch > high)
        if strange.any():
            first = int(strange.argmax())
            raise SchemaError(
                f"{windows.labels()[windows.notes[first, WINDOW]]} has the pitch {pitch[first]} in "
                f"track {track[first] + 1}, and the model knows {low[first]} to {high[first]} "
                "there; transpose it, or fit again."
            )
        sizes = _symbols(windows, self._events(2).longest)
        if len(sizes) and sizes.max() > self.length:
            first = int(sizes.argmax())
            notes = int((windows.notes[:, WINDOW] == first).sum())
            raise SchemaError(
                f"{windows.labels()[first]} has {notes} notes, {sizes.max()} symbols, and the "
                f"model knows items of at most {self.length}; leave it out, or fit again."
            )

    def decode(self, x: Tensor) -> list[Piece]:
        """Items x as pieces."""
        item, note, step, length = (part.cpu().numpy() for part in self.events().struck(x.cpu()))
        offsets = self.offsets
        track = np.searchsorted(offsets, note, side="right") - 1
        pitch = np.array(self.highest)[track] - (note - offsets[track])
        voices: list[list[list[Note]]] = [[[] for _ in self.instruments] for _ in range(len(x))]
        rows = np.stack([item, track, step, length, pitch], 1).tolist()
        for i, k, s, d, p in rows:
            voices[i][k].append(Note(s / STEPS_PER_QUARTER, d / STEPS_PER_QUARTER, p))
        meters = (x[:, 0].cpu() - self.first_meter).tolist()
        return [
            Piece(
                tuple(tuple(sorted(notes)) for notes in each),
                self.meters[meter],
                tempo=self.tempo,
                bars=self.bars,
                instruments=self.instruments,
            )
            for each, meter in zip(voices, meters, strict=True)
        ]

    def blank(self) -> Tensor:
        """An item of silence, `[1, L]`."""
        x = torch.full((1, self.length), END, dtype=torch.int64)
        x[:, 0] = self.first_meter
        x[:, 1 : self.bars] = LINE
        return x

    # -- state ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        return {
            "bars": self.bars,
            "tracks": [[name, program] for name, program in self.instruments],
            "by_name": isinstance(self.asked, tuple),
            "transpose": list(self.transpose),
            "meters": [list(meter) for meter in self.meters],
            "lowest": list(self.lowest),
            "highest": list(self.highest),
            "length": self.length,
            "tempo": self.tempo,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ValueError: It describes none.
        """
        instruments = tuple(Instrument(str(n), int(p)) for n, p in state["tracks"])
        named = tuple(instrument.name for instrument in instruments)
        down, up = (int(n) for n in state["transpose"])
        asked = named if state["by_name"] else len(instruments)
        codec = cls(int(state["bars"]), asked, (down, up))
        codec.instruments = instruments
        codec.meters = tuple((int(a), int(b)) for a, b in state["meters"])
        codec.lowest = tuple(int(p) for p in state["lowest"])
        codec.highest = tuple(int(p) for p in state["highest"])
        codec.length = int(state["length"])
        codec.tempo = float(state["tempo"])
        if not (
            1 <= codec.bars <= MOST_BARS
            and 1 <= len(instruments) == len(codec.lowest) == len(codec.highest) <= MOST_TRACKS
            and all(0 <= instrument.program < 128 for instrument in instruments)
            and codec.meters
            and all(meter in METERS for meter in codec.meters)
            and all(0 <= a <= b <= 127 for a, b in zip(codec.lowest, codec.highest, strict=True))
            and codec.bars + 1 <= codec.length <= MOST_SYMBOLS
            and 1.0 <= codec.tempo <= 1000.0
        ):
            raise ValueError(f"no music is like this: {state}")
        return codec

    @property
    def schema(self) -> str:
        """The music, for people."""
        tracks = "one track" if self.tracks == 1 else f"{self.tracks} tracks"
        meters = shown(self.meters)
        each = "; ".join(
            f"{instrument.name} {a} to {b}"
            for instrument, a, b in zip(self.instruments, self.lowest, self.highest, strict=True)
        )
        return (
            f"{self.bars} bars of {tracks} of any number of notes at once, on the grid of "
            f"sixteenths, metres {meters}, pitches (60 is the middle C) {each}"
        )


Whole = NDArray[np.int64]


def _extra(notes: Whole, of_bar: Whole, most: int) -> tuple[Whole, NDArray[np.bool_], Whole]:
    """Of each note: the bar lines before it, whether it is the first at its place, its `longer`."""
    item, onset = notes[:, WINDOW], notes[:, ONSET]
    bar = onset // of_bar[item]
    new = np.append(True, item[1:] != item[:-1])[: len(item)]
    before = np.where(new, 0, np.concatenate([[0], bar[:-1]])[: len(item)])
    opens = new | np.append(True, onset[1:] != onset[:-1])[: len(item)]
    return bar - before, opens, (notes[:, LENGTH] - 1) // most


def _symbols(windows: TrackWindows, most: int) -> Whole:
    """How many symbols each window has, its metre and its end among them."""
    of_bar = np.array([bar_steps(meter) for meter in METERS])[windows.meters]
    notes = windows.notes.astype(np.int64)
    _, opens, longer = _extra(notes, of_bar, most)
    each = np.bincount(notes[:, WINDOW], opens + 2 + longer, len(windows)).astype(np.int64)
    sizes: Whole = each + 1 + windows.bars
    return sizes


def _within(size: Whole, item: Whole) -> Whole:
    """How many symbols go before each note among those of its item."""
    before = np.concatenate([[0], size.cumsum()[:-1]])[: len(size)]
    new = np.append(True, item[1:] != item[:-1])[: len(item)]
    found: Whole = before - np.maximum.accumulate(np.where(new, before, 0))
    return found


def _fill(x: Whole, rows: Whole, start: Whole, counts: Whole, symbol: int) -> None:
    """Write a symbol `counts` times in each of the rows, from `start` on."""
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    x[np.repeat(rows, counts), np.repeat(start, counts) + within] = symbol
