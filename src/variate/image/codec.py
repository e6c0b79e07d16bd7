"""Pictures <-> x `[N, C, H, W]`: what is learned of them, and both directions.

x holds levels, 0 … L-1, uint8 (int32 beyond 256 levels). Learned are the size, the channels, the
levels, and the form that pictures came in, in which they are given back: arrays in their axes,
dtype and unit; Pillow's pictures as such; pictures from files as arrays `[N, H, W]` or
`[N, H, W, C]`. Grey that is binarised is given back as black and white.

This module does not know any network.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.codec import Codec
from variate.errors import DataError, OptionError
from variate.image.arrays import Scale
from variate.image.binarizing import binarized
from variate.image.decoding import pillow
from variate.image.reading import Outward, Pictures, Wanted, read

__all__ = ["ImageCodec", "rendered"]

SMALLEST = 8  # pixels of a side, which the networks halve
LARGEST = 1024


class ImageCodec(Codec):
    """Pictures <-> levels.

    Args:
        size: The side, or height and width; None chooses from the pictures.
        channels: 1, 3 or 4; None chooses from the pictures.
        levels: Of a pixel in arrays; None chooses from the pictures.
        binarize: Whether grey is made binary by chance.
        seed: Of that.

    Attributes:
        size: Height and width.
        channels: C.
        grey: Levels and unit of the pictures as they come in.
        levels: L of x.
        outward: The form in which pictures are given back.
    """

    size: tuple[int, int]
    channels: int
    grey: Scale
    outward: Outward

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        channels: int | None = None,
        levels: int | None = None,
        *,
        binarize: bool = False,
        seed: int = 0,
    ) -> None:
        asked = (size, size) if isinstance(size, int) else size
        self.wanted = Wanted(
            asked if asked is None else (int(asked[0]), int(asked[1])),
            channels,
            None if levels is None else Scale(levels, 1.0),
        )
        self.binarize = binarize
        self.seed = seed

    def fit(self, raw: Any) -> Self:
        """Learn from raw data.

        Raises:
            DataError: They cannot be read, or are too small or too large.
        """
        return self.learn(self.received(raw))

    def learn(self, pictures: Pictures) -> Self:
        """Learn from pictures that were read."""
        x = pictures.x
        height, width = int(x.shape[2]), int(x.shape[3])
        if min(height, width) < SMALLEST or max(height, width) > LARGEST:
            raise DataError(
                f"the pictures have {height} x {width} pixels, and a model's have {SMALLEST} to "
                f"{LARGEST} a side; choose another size, by size=64 for example."
            )
        if self.binarize and x.shape[1] != 1:
            raise OptionError(
                f"binarize is for grey pictures, and these have {x.shape[1]} channels; leave it "
                "out, or ask for channels=1."
            )
        self.size, self.channels = (height, width), int(x.shape[1])
        self.grey, self.outward = pictures.scale, pictures.outward
        self.wanted = Wanted(self.size, self.channels, self.grey, self.outward.dtype == "uint16")
        return self

    @property
    def levels(self) -> int:
        """L, the levels of x."""
        return 2 if self.binarize else self.grey.levels

    def received(self, raw: Any, *, scratch: Path | None = None, show: bool = False) -> Pictures:
        """Raw data as levels, not binarised; see `reading.read`."""
        return read(raw, self.wanted, scratch=scratch, show=show)

    def encode(self, raw: Any) -> Tensor:
        """Pictures as levels x `[N, C, H, W]`.

        Raises:
            DataError: They cannot be read.
            SchemaError: They have another size (arrays), other channels or other levels.
        """
        return self.levelled(self.received(raw).x)

    def levelled(self, x: Tensor) -> Tensor:
        """Levels as they come in -> x, binarised if the codec does that."""
        if not self.binarize:
            return x
        return binarized(x, self.grey.levels, self.seed)

    def decode(self, x: Tensor) -> Any:
        """Levels x `[N, C, H, W]`, whole or not -> pictures in the form that they came in."""
        whole = self._whole(x)
        if self.outward.sort == "pictures":
            return self.pictures(x)
        values: NDArray[Any] = whole * (self._full / (self.levels - 1))
        if self.outward.axes == "nhw":
            values = values[:, 0]
        elif self.outward.axes == "nhwc":
            values = values.transpose(0, 2, 3, 1)
        dtype = np.dtype(self.outward.dtype)
        return values.astype(dtype) if dtype.kind == "f" else np.rint(values).astype(dtype)

    def pictures(self, x: Tensor) -> list[Any]:
        """Levels as pictures of Pillow's, of 8 bits."""
        images = pillow()
        return [
            images.fromarray(picture[..., 0] if self.channels == 1 else picture)
            for picture in rendered(x, self.levels)
        ]

    def eight_bits(self, items: Any) -> NDArray[np.uint8]:
        """Pictures, in the form in which `decode` gives them, as `[N, H, W, C]` of 8 bits."""
        if self.outward.sort == "pictures":
            arrays = [np.asarray(item) for item in items]
            return np.stack([a[..., None] if a.ndim == 2 else a for a in arrays])
        values = np.asarray(items).astype(np.float64) * (255 / self._full)
        if self.outward.axes == "nhw":
            values = values[..., None]
        elif self.outward.axes == "nchw":
            values = values.transpose(0, 2, 3, 1)
        return np.rint(values).clip(0, 255).astype(np.uint8)

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        return {
            "size": list(self.size),
            "channels": self.channels,
            "grey": [self.grey.levels, self.grey.unit],
            "binarize": self.binarize,
            "seed": self.seed,
            "outward": [self.outward.sort, self.outward.axes, self.outward.dtype],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ValueError: It describes none.
        """
        height, width = (int(side) for side in state["size"])
        channels, (levels, unit) = int(state["channels"]), state["grey"]
        sort, axes, dtype = state["outward"]
        if not (
            min(height, width) >= SMALLEST
            and max(height, width) <= LARGEST
            and channels in (1, 3, 4)
            and 2 <= int(levels) <= 1 << 16
            and np.dtype(dtype).kind in "buif"
        ):
            raise ValueError(f"no pictures are like this: {state}")
        codec = cls(binarize=bool(state["binarize"]), seed=int(state["seed"]))
        codec.size, codec.channels = (height, width), channels
        codec.grey, codec.outward = Scale(int(levels), float(unit)), Outward(sort, axes, dtype)
        codec.wanted = Wanted(codec.size, channels, codec.grey, dtype == "uint16")
        return codec

    @property
    def schema(self) -> str:
        """The pictures, for people."""
        sort = {1: "grey", 3: "colour", 4: "colour with transparency"}[self.channels]
        made = f", made binary by chance from {self.grey.levels} levels" if self.binarize else ""
        return (
            f"pictures of {self.size[0]} x {self.size[1]} pixels (height x width), {sort}, "
            f"{self.levels} levels{made}"
        )

    @property
    def _full(self) -> float:
        """What an array holds for the highest level."""
        return (self.grey.levels - 1) * self.grey.unit

    def _whole(self, x: Tensor) -> NDArray[Any]:
        return x.double().round().clamp(0, self.levels - 1).numpy()


def rendered(x: Tensor, levels: int) -> NDArray[np.uint8]:
    """Levels x `[N, C, H, W]` as 8-bit pictures `[N, H, W, C]`."""
    shown = x.double().clamp(0, levels - 1) * (255 / (levels - 1))
    return shown.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
