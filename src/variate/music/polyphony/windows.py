"""Windows of tracks: stretches of so many bars with the notes of each track, any number at a time.

    notes   [M, 5]    window, track, onset and length in steps, pitch; window by window, and in each
                      by onset, then track, then from the highest pitch down
    meters  [N]       which of `pieces.METERS`
    pieces  [N]       which piece a window is of, and `starts` the bar it begins at, from 0

No key is struck while it is down, and no note goes beyond its window. They are kept in an .npz file
where reading the scores anew would be slow, or not possible.

This module does not know how windows are found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError
from variate.music.pieces import METERS, Instrument, bar_steps
from variate.music.windows import labels_of, opened
from variate.output import replacing

__all__ = ["LENGTH", "ONSET", "PITCH", "TRACK", "WINDOW", "TrackWindows", "in_order", "joined"]

WINDOW, TRACK, ONSET, LENGTH, PITCH = range(5)
MOST_NOTES = 1 << 26  # of a file

Notes = NDArray[np.int32]


@dataclass(frozen=True)
class TrackWindows:
    """Stretches of music, as notes of tracks on the grid.

    Attributes:
        notes: `[M, 5]`, int32.
        meters: `[N]`, int64.
        pieces: `[N]`, int64.
        starts: `[N]`, int64.
        bars: Of each window.
        instruments: Of each track.
        names: Of the pieces.
        tempos: Of the pieces, quarters in a minute.
    """

    notes: Notes
    meters: NDArray[np.int64]
    pieces: NDArray[np.int64]
    starts: NDArray[np.int64]
    bars: int
    instruments: tuple[Instrument, ...]
    names: list[str] = field(default_factory=list)
    tempos: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.meters)

    @property
    def tracks(self) -> int:
        """How many tracks there are."""
        return len(self.instruments)

    def steps(self) -> NDArray[np.int64]:
        """How many steps each window has, `[N]`."""
        of_meter = np.array([bar_steps(meter) for meter in METERS])
        steps: NDArray[np.int64] = of_meter[self.meters] * self.bars
        return steps

    def part(self, numbers: Any) -> Self:
        """Some of the windows."""
        chosen = np.arange(len(self))[np.asarray(numbers)]
        first, beyond = np.searchsorted(self.notes[:, WINDOW], [chosen, chosen + 1])
        counts = beyond - first
        rows = np.repeat(beyond - counts.cumsum(), counts) + np.arange(counts.sum())
        notes = self.notes[rows]
        notes[:, WINDOW] = np.repeat(np.arange(len(chosen)), counts)
        return type(self)(
            notes, self.meters[chosen], self.pieces[chosen], self.starts[chosen],
            self.bars, self.instruments, self.names, self.tempos,
        )  # fmt: skip

    def labels(self) -> list[str]:
        """What each window is of: the piece, and the bars counted from 1."""
        return labels_of(self)

    def save(self, path: str | Path) -> Path:
        """Keep them in an .npz file."""
        with replacing(path) as file:
            np.savez_compressed(
                file, notes=self.notes, meters=self.meters, pieces=self.pieces,
                starts=self.starts, bars=self.bars, names=np.array(self.names, dtype=np.str_),
                tempos=np.array(self.tempos, dtype=np.float64),
                instruments=np.array([i.name for i in self.instruments], dtype=np.str_),
                programs=np.array([i.program for i in self.instruments], dtype=np.int64),
            )  # fmt: skip
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The windows that `save` kept.

        Raises:
            DataError: The file holds none.
        """
        with opened(path) as kept:
            instruments = zip(kept["instruments"].tolist(), kept["programs"].tolist(), strict=True)
            made = cls(
                kept["notes"].astype(np.int32), kept["meters"].astype(np.int64),
                kept["pieces"].astype(np.int64), kept["starts"].astype(np.int64),
                int(kept["bars"]), tuple(Instrument(n, int(p)) for n, p in instruments),
                kept["names"].tolist(), kept["tempos"].tolist(),
            )  # fmt: skip
            if not made._is_sound():
                raise DataError(f"{path} holds windows that do not fit together; make it anew.")
        return made

    def _is_sound(self) -> bool:
        count, known = len(self), max(len(self.names), 1)
        return (
            all(part.shape == (count,) for part in (self.meters, self.pieces, self.starts))
            and self.bars >= 1
            and bool(((self.meters >= 0) & (self.meters < len(METERS))).all())
            and bool(((self.pieces >= 0) & (self.pieces < known)).all())
            and self.notes.ndim == 2
            and self.notes.shape[1] == 5
            and len(self.notes) <= MOST_NOTES
            and 1 <= self.tracks <= 16
            and all(0 <= instrument.program < 128 for instrument in self.instruments)
            and self._notes_are_sound()
        )

    def _notes_are_sound(self) -> bool:
        if not len(self.notes):
            return True
        window, track, onset, length, pitch = self.notes.T
        if not ((window >= 0) & (window < len(self))).all():
            return False
        fits = (onset >= 0) & (length >= 1) & (onset + length <= self.steps()[window])
        named = (track >= 0) & (track < self.tracks) & (pitch >= 0) & (pitch < 128)
        key = np.lexsort((onset, pitch, track, window))
        after, before = self.notes[key[1:]], self.notes[key[:-1]]
        same = (after[:, [WINDOW, TRACK, PITCH]] == before[:, [WINDOW, TRACK, PITCH]]).all(1)
        up = after[:, ONSET] >= before[:, ONSET] + before[:, LENGTH]
        order = in_order(self.notes)
        return bool((fits & named).all() and (up | ~same).all() and (order == self.notes).all())


def in_order(notes: Notes) -> Notes:
    """Notes in the order that windows have them in."""
    window, track, onset, _, pitch = notes.T
    ordered: Notes = notes[np.lexsort((-pitch, track, onset, window))]
    return ordered


def joined(parts: Sequence[Notes]) -> Notes:
    """The notes of windows one after the other, with their numbers."""
    numbered = [
        np.concatenate([np.full((len(part), 1), i, np.int32), part], 1)
        for i, part in enumerate(parts)
    ]
    return np.concatenate([np.zeros((0, 5), np.int32), *numbered]).astype(np.int32)
