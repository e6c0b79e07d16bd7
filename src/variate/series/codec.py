"""Series <-> windows x `[N, L, C]`: what is learned of the raw data, and both directions.

Learned are which columns are what, how far apart the steps are, how long a window is and the
scaling of each channel. x is in the data's own units, NaN where nothing was observed; a value that
is finer than its channel's grid is rounded to it, with a warning.

This module does not know any network.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.codec import Codec
from variate.errors import DataError, DataWarning, SchemaError
from variate.series.clock import Regular, expect_step, regular, steps_of
from variate.series.period import window_length
from variate.series.reading import Columns, Recordings, give_back, read
from variate.series.scaling import Scaling, snapped
from variate.series.steps import Step, step_from
from variate.series.windows import cut, tiles

__all__ = ["SeriesCodec"]

Floats = NDArray[np.float64]


class SeriesCodec(Codec):
    """Series <-> windows.

    Args:
        columns: Which columns are what.
        length: L, the steps of a window; None chooses from the data.

    Attributes:
        channels: Their names.
        step: How far apart steps are; None without a time column.
        scaling: Of the channels.
        source: What the data came in.
    """

    channels: tuple[str, ...]
    whole: tuple[bool, ...]
    step: Step | None
    scaling: Scaling
    source: str
    time_type: str

    def __init__(self, columns: Columns | None = None, length: int | None = None) -> None:
        self.columns = Columns() if columns is None else columns
        self.length = length or 0

    def fit(self, raw: Any) -> Self:
        """Learn from raw data.

        Raises:
            DataError: There is no channel with two observed steps, or a window is longer than the
                longest series.
        """
        found = read(raw, self.columns)
        self.channels, self.whole, self.source = found.channels, found.whole, found.source
        self.columns = Columns(found.time, found.key, found.channels if found.time_type else None)
        if found.source not in ("array", "arrays"):
            self.columns = Columns(found.time, found.key, found.channels)
        self.time_type = found.time_type
        self.step = steps_of(found.series, self.time_type)
        series = [regular(part, self.step) for part in found.series]
        self._expect_enough(found, series)
        values = [part.values for part in series]
        self.scaling = Scaling.of(np.concatenate(values))
        self._mention_constant()
        longest = max(map(len, values))
        if self.length > longest:
            raise DataError(
                f"a window of {self.length} steps is longer than the longest series, which has "
                f"{longest}; take a shorter window, or None to have it chosen."
            )
        self.length = self.length or window_length(values)
        return self

    def received(self, raw: Any) -> list[Regular]:
        """Raw data after fitting, each series on its grid.

        Raises:
            SchemaError: The channels or the steps are not those of training.
        """
        found = read(raw, self.columns)
        if len(found.channels) != len(self.channels):
            raise SchemaError(
                f"the data has {len(found.channels)} channels, and the model was trained on "
                f"{len(self.channels)}: {', '.join(self.channels)}."
            )
        if any(part.stamps is not None and len(part.stamps) > 1 for part in found.series):
            expect_step(steps_of(found.series, found.time_type), self.step)
        elif self.step is not None and found.time is None:
            expect_step(None, self.step)
        parts = [regular(part, self.step) for part in found.series]
        return [self._snapped(part, found.source) for part in parts]

    def encode(self, raw: Any) -> Tensor:
        """Windows one after the other, `[N, L, C]` float64; the last of a series ends in gaps.

        What has the shape of windows already, is taken for such.
        """
        if isinstance(raw, np.ndarray | Tensor) and raw.ndim == 3:
            return self._taken(torch.as_tensor(raw, dtype=torch.float64))
        return self.windows([part.values for part in self.received(raw)])

    def windows(self, series: Sequence[Floats]) -> Tensor:
        """Windows that cover each series `[G, C]` once, in order, `[N, L, C]`."""
        made = [cut(v, at, self.length) for v in series for at in tiles(len(v), self.length)]
        return torch.from_numpy(np.stack(made))

    def decode(self, x: Tensor) -> Any:
        """Windows x `[N, L, C]`: an array, or a frame of `window`, `step` and the channels."""
        values = x.double().numpy()
        if self.source in ("array", "arrays"):
            return values
        count, length, _ = values.shape
        columns: dict[str, Any] = {
            "window": np.repeat(np.arange(count), length),
            "step": np.tile(np.arange(length), count),
        }
        flat = values.reshape(count * length, -1)
        columns |= {name: self.column(c, flat[:, c]) for c, name in enumerate(self.channels)}
        return give_back(pa.table(columns), self.source)

    def column(self, channel: int, values: Floats) -> pa.Array:
        """Values of a channel as a column of the type that it came in; NaN is null."""
        plain = pa.array(values, from_pandas=True)
        if self.whole[channel] and self.scaling.grid[channel] == 1.0:
            return plain.cast(pa.int64(), safe=False)
        return plain

    def stamps(self, part: Regular, places: NDArray[np.int64]) -> pa.Array:
        """The stamps of places on a series' grid; the places themselves without a time column."""
        return pa.array(places) if self.step is None else self.step.stamps(part.origin, places)

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        chosen = self.columns.channels
        return {
            "time": self.columns.time,
            "series": self.columns.series,
            "columns": None if chosen is None else list(chosen),
            "channels": list(self.channels),
            "whole": list(self.whole),
            "source": self.source,
            "time_type": self.time_type,
            "step": None if self.step is None else self.step.state(),
            "length": self.length,
            "scaling": self.scaling.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes."""
        chosen = state["columns"]
        columns = Columns(state["time"], state["series"], None if chosen is None else tuple(chosen))
        codec = cls(columns, int(state["length"]))
        codec.channels, codec.whole = tuple(state["channels"]), tuple(state["whole"])
        codec.source, codec.time_type = state["source"], state["time_type"]
        codec.step = step_from(state["step"], codec.time_type)
        codec.scaling = Scaling.from_state(state["scaling"])
        return codec

    @property
    def schema(self) -> str:
        """The channels, for people."""
        s = self.scaling
        lines = [f"windows of {self.length} steps" + self._apart()]
        for c, name in enumerate(self.channels):
            grid = f"steps of {s.grid[c]:g}" if s.grid[c] else "real"
            lines.append(f"  {name}: {s.low[c]:g} to {s.high[c]:g}, median {s.middle[c]:g}, {grid}")
        return "\n".join(lines)

    def _apart(self) -> str:
        return "" if self.step is None else f", {self.step} apart"

    def _snapped(self, part: Regular, source: str) -> Regular:
        values, strays = snapped(part.values, self.scaling)
        for c in np.flatnonzero(strays):
            warnings.warn(
                f"channel {self.channels[c]!r} has values that are finer than the steps of "
                f"{self.scaling.grid[c]:g} of training; they are rounded to them.",
                DataWarning,
                stacklevel=5,
            )
        return Regular(part.name, values, part.place, part.rows, part.origin, source)

    def _taken(self, x: Tensor) -> Tensor:
        """Windows, as they come in."""
        if x.shape[1:] != (self.length, len(self.channels)):
            raise SchemaError(
                f"windows must have the shape [N, {self.length}, {len(self.channels)}], got "
                f"{list(x.shape)}."
            )
        if x.isinf().any():
            window, step, c = x.isinf().nonzero()[0].tolist()
            raise DataError(
                f"channel {self.channels[c]!r}, window {window}, step {step}: the value is not "
                "finite; make it a gap (NaN)."
            )
        return torch.from_numpy(snapped(x.numpy(), self.scaling)[0])

    def _expect_enough(self, found: Recordings, series: Sequence[Regular]) -> None:
        seen = sum((~np.isnan(part.values)).sum(0) for part in series)
        for c, name in enumerate(found.channels):
            if seen[c] == 0:
                raise DataError(
                    f"channel {name!r} has no observed value: all are missing. Leave it out by "
                    "channels=[...]."
                )
        if max(len(part.values) for part in series) < 2:
            raise DataError("no series has more than one step; a series needs at least two.")

    def _mention_constant(self) -> None:
        for c in np.flatnonzero(self.scaling.constant()):
            warnings.warn(
                f"channel {self.channels[c]!r} has the one value {self.scaling.middle[c]:g} only: "
                "there is nothing to learn but that; any other value will be strange.",
                DataWarning,
                stacklevel=5,
            )
