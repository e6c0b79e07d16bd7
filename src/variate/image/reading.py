"""What people have of pictures -> levels x `[N, C, H, W]`.

    a folder, a file, Parquet, a list of Pillow's pictures    decoded (see `files`)
    an array, a tensor, .npy, .npz                            taken as it is (see `arrays`)

Arrays keep their size, unless another is asked for; encoded pictures are made to one size.

This module does not know what is learned of pictures.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from variate.errors import DataError, DataWarning, SchemaError
from variate.image import files
from variate.image.arrays import Scale, channels_last, levels_of, scale_of
from variate.image.decoding import Form, fitted, pillow

__all__ = ["Outward", "Pictures", "Wanted", "read"]

ARRAY_FILES = (".npy", ".npz")

Array = NDArray[Any]


@dataclass(frozen=True)
class Wanted:
    """What pictures shall be, where it is known: None is chosen from them.

    Attributes:
        size: Height and width.
        channels: 1, 3 or 4.
        scale: Levels and the unit of arrays.
        deep: Whether encoded pictures have 16 bits.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    scale: Scale | None = None
    deep: bool | None = None


@dataclass(frozen=True)
class Outward:
    """The form that pictures came in, and are given back in.

    Attributes:
        sort: "array", "pictures" (Pillow's) or "files".
        axes: Of arrays: "nhw", "nhwc" or "nchw".
        dtype: Of arrays.
    """

    sort: str
    axes: str
    dtype: str


@dataclass(frozen=True)
class Pictures:
    """Pictures as levels.

    Attributes:
        x: `[N, C, H, W]`, uint8, or int32 where there are more than 256 levels.
        scale: Levels and the unit of arrays.
        outward: The form that they came in.
        names: Of the pictures, where they are files.
        notes: What is worth remembering, as JSON-able values.
    """

    x: Tensor
    scale: Scale
    outward: Outward
    names: list[str] | None
    notes: dict[str, Any]

    def labels(self) -> list[Any]:
        """What to call the pictures: their names, or their numbers from 0."""
        return list(range(len(self.x))) if self.names is None else list(self.names)

    def part(self, numbers: Sequence[int]) -> Pictures:
        """Some of the pictures."""
        names = None if self.names is None else [self.names[n] for n in numbers]
        return replace(self, x=self.x[list(numbers)], names=names)


def read(raw: Any, wanted: Wanted, *, scratch: Path | None = None, show: bool = False) -> Pictures:
    """Pictures of any sort as levels.

    Args:
        raw: The pictures.
        wanted: What is known of them.
        scratch: A folder for what is larger than memory should hold.
        show: Whether to show progress.

    Raises:
        DataError: They cannot be read; the message names the file or the picture.
        SchemaError: They are not as is wanted.
    """
    if isinstance(raw, str | Path):
        path = Path(raw)
        if path.suffix.lower() in ARRAY_FILES and not path.is_dir():
            return _from_array(_loaded(path), str(path), wanted)
        return _from_files(raw, wanted, scratch, show=show)
    if isinstance(raw, Sequence) and len(raw) and _is_picture(raw[0]):
        return _from_files(raw, wanted, scratch, show=show)
    if _is_picture(raw):
        return _from_files([raw], wanted, scratch, show=show)
    return _from_array(_as_array(raw), "the array", wanted)


# -- arrays ---------------------------------------------------------------------------------------


def _loaded(path: Path) -> Array:
    """The array of a .npy file, or the one array of pictures in an .npz file."""
    try:
        if path.suffix.lower() == ".npy":
            loaded: Array = np.load(path, mmap_mode="r", allow_pickle=False)
            return loaded
        with np.load(path, allow_pickle=False) as archive:
            return _only_pictures(path, {name: archive[name] for name in archive.files})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as {path.suffix}: {error}.") from error


def _only_pictures(path: Path, found: dict[str, Array]) -> Array:
    pictures = {name: array for name, array in found.items() if array.ndim in (3, 4)}
    if len(pictures) == 1:
        return next(iter(pictures.values()))
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in found.items())
    raise DataError(
        f"{path} has {len(pictures)} arrays that could be pictures, of which there must be one: "
        f"{shapes or 'it is empty'}. Save the one that is meant by np.save."
    )


def _as_array(raw: Any) -> Array:
    if isinstance(raw, Tensor):
        return raw.detach().cpu().numpy()
    try:
        array = np.asarray(raw)
    except ValueError as error:
        raise DataError(
            f"a {type(raw).__name__} of pictures of several sizes is no array; give a list of "
            "Pillow's pictures, which are made to one size, or a folder."
        ) from error
    if array.dtype == object:
        raise DataError(
            f"a {type(raw).__name__} is not read as pictures; give an array, a list of Pillow's "
            "pictures, or the path of a folder, .npy, .npz or .parquet."
        )
    return array


def _from_array(values: Array, place: str, wanted: Wanted) -> Pictures:
    axes = _axes(values, place, wanted)
    scale = wanted.scale or scale_of(values, place)
    levels = levels_of(values, scale, place)
    if scale.levels > 2 and values.dtype.kind == "f" and 0 < levels.max() <= 1:
        warnings.warn(
            f"{place} holds 0 and 1 only, which are the lowest two of {scale.levels} levels; if 1 "
            f"shall be the highest, multiply by {(scale.levels - 1) * scale.unit:g}.",
            DataWarning,
            stacklevel=4,
        )
    x = levels[:, None] if axes == "nhw" else levels
    x = x.transpose(0, 3, 1, 2) if axes == "nhwc" else x
    _expect_channels(x.shape[1], wanted, place)
    notes = {}
    if wanted.size is not None and x.shape[2:] != wanted.size:
        x, notes = _resized(x, wanted.size, scale), {"resized": len(x)}
    outward = Outward("array", axes, str(values.dtype))
    return Pictures(torch.from_numpy(np.ascontiguousarray(x)), scale, outward, None, notes)


def _axes(values: Array, place: str, wanted: Wanted) -> str:
    """How the axes lie: as is wanted where that is known, since it tells more than sizes do."""
    if wanted.size is not None and wanted.channels is not None:
        shapes = {
            "nchw": (wanted.channels, *wanted.size),
            "nhwc": (*wanted.size, wanted.channels),
            "nhw": wanted.size if wanted.channels == 1 else None,
        }
        for axes, shape in shapes.items():
            if values.shape[1:] == shape:
                return axes
    return channels_last(values.shape, place)


def _expect_channels(found: int, wanted: Wanted, place: str) -> None:
    if wanted.channels is not None and found != wanted.channels:
        raise SchemaError(
            f"{place} has pictures of {found} channels, and {wanted.channels} are wanted."
        )


def _resized(x: Array, size: tuple[int, int], scale: Scale) -> Array:
    """Levels `[N, C, H, W]` cropped and resized; of binary pictures each pixel to the nearer."""
    images = pillow()
    made = np.empty((*x.shape[:2], *size), x.dtype)
    for n, c in np.ndindex(*x.shape[:2]):
        plane = fitted(images.fromarray(x[n, c].astype(np.float32)), size)
        made[n, c] = np.rint(np.asarray(plane)).clip(0, scale.levels - 1)
    return made


# -- encoded pictures -----------------------------------------------------------------------------


def _from_files(raw: Any, wanted: Wanted, scratch: Path | None, *, show: bool) -> Pictures:
    form = None
    if wanted.size is not None and wanted.channels is not None and wanted.deep is not None:
        form = Form(wanted.size, wanted.channels, wanted.deep)
    found = files.decoded(
        files.shelf(raw), form, size=wanted.size, channels=wanted.channels, scratch=scratch,
        show=show,
    )  # fmt: skip
    place = str(raw) if isinstance(raw, str | Path) else "the list"
    deep = found.pixels.dtype == np.uint16
    scale = wanted.scale or _scale_of_files(found.pixels, place, deep=deep)
    fast = scale == Scale(256, 1.0) and not deep
    x = found.pixels if fast else levels_of(found.pixels, scale, place)
    sort = "files" if isinstance(raw, str | Path) else "pictures"
    outward = Outward(sort, "nhw" if x.shape[1] == 1 else "nhwc", "uint16" if deep else "uint8")
    return Pictures(torch.from_numpy(x), scale, outward, found.names, found.notes())


def _scale_of_files(pixels: Array, place: str, *, deep: bool) -> Scale:
    """256 or 65,536 levels, unless all pixels are black or white."""
    scale = scale_of(pixels, place)
    return scale if scale.levels == 2 else Scale(1 << 16 if deep else 256, 1.0)


def _is_picture(thing: Any) -> bool:
    """Whether it is a picture of Pillow's, whose absence it need not know of."""
    return type(thing).__module__.startswith("PIL.") and hasattr(thing, "mode")
