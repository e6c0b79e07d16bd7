"""Windows: stretches of so many bars, which are the items that a model sees.

    symbols [N, T, V]     of N windows, T steps (of the longest metre) and V voices; see `grid`
    meters  [N]           which of `pieces.METERS`; what is beyond its bars is held (0)
    pieces  [N]           which piece a window is of, and `starts` the bar it begins at, from 0

They are kept in an .npz file where reading the scores anew would be slow, or not possible.

This module does not know how windows are found.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, SchemaError
from variate.music.pieces import METERS, bar_steps, shown
from variate.output import replacing

__all__ = ["Windows", "expect_meters", "labels_of", "longest", "opened"]

LARGEST = 1 << 28  # symbols of a file


@dataclass(frozen=True)
class Windows:
    """Stretches of music on the grid.

    Attributes:
        symbols: `[N, T, V]`, int16.
        meters: `[N]`, int64.
        pieces: `[N]`, int64.
        starts: `[N]`, int64.
        bars: Of each window.
        names: Of the pieces.
        tempos: Of the pieces, quarters in a minute.
    """

    symbols: NDArray[np.int16]
    meters: NDArray[np.int64]
    pieces: NDArray[np.int64]
    starts: NDArray[np.int64]
    bars: int
    names: list[str] = field(default_factory=list)
    tempos: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def voices(self) -> int:
        """V."""
        return int(self.symbols.shape[2])

    def steps(self) -> NDArray[np.int64]:
        """How many steps each window has, `[N]`."""
        of_meter = np.array([bar_steps(meter) for meter in METERS])
        steps: NDArray[np.int64] = of_meter[self.meters] * self.bars
        return steps

    def part(self, numbers: Any) -> Self:
        """Some of the windows."""
        chosen = np.asarray(numbers)
        return type(self)(
            self.symbols[chosen], self.meters[chosen], self.pieces[chosen], self.starts[chosen],
            self.bars, self.names, self.tempos,
        )  # fmt: skip

    def labels(self) -> list[str]:
        """What each window is of: the piece, and the bars counted from 1."""
        return labels_of(self)

    def save(self, path: str | Path) -> Path:
        """Keep them in an .npz file."""
        with replacing(path) as file:
            np.savez_compressed(
                file, symbols=self.symbols, meters=self.meters, pieces=self.pieces,
                starts=self.starts, bars=self.bars, names=np.array(self.names, dtype=np.str_),
                tempos=np.array(self.tempos, dtype=np.float64),
            )  # fmt: skip
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The windows that `save` kept.

        Raises:
            DataError: The file holds none.
        """
        with opened(path) as kept:
            made = cls(
                kept["symbols"].astype(np.int16), kept["meters"].astype(np.int64),
                kept["pieces"].astype(np.int64), kept["starts"].astype(np.int64),
                int(kept["bars"]), kept["names"].tolist(), kept["tempos"].tolist(),
            )  # fmt: skip
            if not made._is_sound():
                raise DataError(f"{path} holds windows that do not fit together; make it anew.")
        return made

    def _is_sound(self) -> bool:
        count, known = len(self), max(len(self.names), 1)
        return (
            self.symbols.ndim == 3
            and self.symbols.size <= LARGEST
            and all(part.shape == (count,) for part in (self.meters, self.pieces, self.starts))
            and self.bars >= 1
            and self.symbols.shape[1] == longest(self.bars)
            and bool(((self.symbols >= 0) & (self.symbols < 130)).all())
            and bool(((self.meters >= 0) & (self.meters < len(METERS))).all())
            and bool(((self.pieces >= 0) & (self.pieces < known)).all())
        )


def expect_meters(windows: Any, meters: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """The number of each window's metre, `[N]`, among those that a model knows.

    Raises:
        SchemaError: It does not know one.
    """
    numbers = np.full(len(METERS), -1)
    numbers[[METERS.index(meter) for meter in meters]] = np.arange(len(meters))
    found: NDArray[np.int64] = numbers[windows.meters]
    if (found < 0).any():
        first = int((found < 0).argmax())
        named = METERS[windows.meters[first]]
        raise SchemaError(
            f"{labels_of(windows)[first]} is in {shown([named])}, and the model knows "
            f"{shown(meters)}; leave it out, or fit again."
        )
    return found


def labels_of(windows: Any) -> list[str]:
    """What each window is of: the piece, by name or by number, and the bars counted from 1."""
    ends = windows.starts + windows.bars
    names = windows.names or [f"piece {n}" for n in range(int(windows.pieces.max(initial=0)) + 1)]
    return [
        f"{names[piece]}:{start + 1}-{end}"
        for piece, start, end in zip(windows.pieces, windows.starts, ends, strict=True)
    ]


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """The arrays of an .npz file of windows.

    Raises:
        DataError: It is none, or what is asked of it is not there.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # before anything is unpacked
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > 4 * LARGEST:
            raise DataError(f"{path} would unpack to {unpacked >> 30} GB; make it anew.")
        with np.load(path, allow_pickle=False) as kept:
            yield kept
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no windows of music ({error}).") from error


def longest(bars: int, meters: Sequence[tuple[int, int]] = METERS) -> int:
    """T: the steps of so many bars in the longest metre."""
    return bars * max(bar_steps(meter) for meter in meters)
