"""Pictures out: grids, folders of files, animations.

    [N, H, W, C] of 8 bits  ->  one picture of rows and columns   .png .webp .jpg .bmp .tiff
                            ->  a file each, 00000.png …          a folder
                            ->  one after the other               .gif, and .webp if it is asked for

Small pictures are enlarged by whole factors in grids and animations, each pixel a square, so that
they can be looked at. Files are written whole or not at all; a folder must be empty or new.

This module does not know any model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import OutputError
from variate.image.decoding import pillow
from variate.output import ADVICE, replacing

__all__ = ["FORMATS", "animate", "expect_picture", "grid", "heat", "write_folder", "write_picture"]

FORMATS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP",
           ".tif": "TIFF", ".tiff": "TIFF"}  # fmt: skip
GROUND = 253  # of the gaps in a grid: the colour of paper
GRID = 1200  # pixels that a grid is enlarged to, at the most
HOT = np.array([[253, 253, 251], [240, 160, 60], [190, 30, 30], [60, 0, 20]], np.float64)

Bytes = NDArray[np.uint8]


def grid(pictures: Bytes, columns: int | None = None, *, gap: int = 2, most: int = GRID) -> Bytes:
    """Pictures side by side.

    Args:
        pictures: `[N, H, W, C]`.
        columns: How many in a row; None makes the grid about square.
        gap: Pixels between them.
        most: The side up to which the grid is enlarged.

    Returns:
        `[height, width, C]`.
    """
    count, height, width, channels = pictures.shape
    columns = columns or math.ceil(math.sqrt(count * height / width))
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    scale = max(1, min(most // (columns * width), most // (rows * height), 8))
    pictures = pictures.repeat(scale, 1).repeat(scale, 2)
    height, width = height * scale, width * scale
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, channels)
    sheet = np.full(shape, GROUND, np.uint8)
    for n, picture in enumerate(pictures):
        top, left = gap + n // columns * (height + gap), gap + n % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def heat(values: NDArray[np.float64], highest: float | None = None) -> Bytes:
    """Maps `[N, H, W]` as pictures in colour, from paper (0 and below) over orange to dark red."""
    top = highest or float(np.quantile(values, 0.999)) or 1.0
    share = np.clip(values / max(top, 1e-12), 0, 1) * (len(HOT) - 1)
    low = np.minimum(share.astype(int), len(HOT) - 2)
    part = (share - low)[..., None]
    mixed = HOT[low] * (1 - part) + HOT[low + 1] * part
    return mixed.round().astype(np.uint8)


def write_picture(pixels: Bytes, path: str | Path) -> Path:
    """One picture `[H, W, C]`, in the format that the ending says.

    Raises:
        OutputError: The ending is of no such format, or the file cannot be written.
    """
    path = Path(path)
    kind = expect_picture(path)
    image = _image(pixels)
    if kind in ("JPEG", "BMP") and image.mode == "RGBA":
        image = image.convert("RGB")
    with replacing(path) as file:
        image.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return path


def expect_picture(path: Path) -> str:
    """The format of a picture, by the ending of its file.

    Raises:
        OutputError: The ending is of no such format.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(
            f"cannot write {path}: pictures end in {', '.join(FORMATS)} (a grid), .gif (an "
            "animation), .npy, or in nothing (a folder)."
        )
    return kind


def write_folder(pictures: Bytes, path: str | Path, names: Sequence[str] | None = None) -> Path:
    """A PNG for each picture `[N, H, W, C]`, in a folder that is empty or new.

    Raises:
        OutputError: The folder has files in it, or cannot be written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(
                f"cannot write to the folder {folder}: it is not empty; name a new one."
            )
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = ADVICE.get(error.errno or 0, error.strerror)
        raise OutputError(f"cannot make the folder {folder}: {reason}.") from error
    digits = max(5, len(str(len(pictures))))
    for n, picture in enumerate(pictures):
        name = f"{n:0{digits}d}" if names is None else names[n]
        write_picture(picture, folder / f"{name}.png")
    return folder


def animate(
    pictures: Bytes, path: str | Path, *, seconds: float = 0.1, there_and_back: bool = False
) -> Path:
    """Pictures `[N, H, W, C]` one after the other, .gif or .webp, without end.

    Args:
        pictures: The frames.
        path: Where to.
        seconds: Between two frames.
        there_and_back: Whether to go back to the first one, too.

    Raises:
        OutputError: The ending is another, or the file cannot be written.
    """
    path = Path(path)
    kind = {".gif": "GIF", ".webp": "WEBP"}.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"cannot write {path}: animations end in .gif or .webp.")
    order = [*range(len(pictures))]
    if there_and_back:
        order += order[-2:0:-1]
    scale = max(1, 256 // max(pictures.shape[1:3]))
    frames = [_image(pictures[n].repeat(scale, 0).repeat(scale, 1)) for n in order]
    with replacing(path) as file:
        frames[0].save(
            file, kind, save_all=True, append_images=frames[1:], duration=round(1000 * seconds),
            loop=0, **({"lossless": True} if kind == "WEBP" else {}),
        )  # fmt: skip
    return path


def _image(pixels: Bytes) -> Any:
    """A picture of Pillow's."""
    return pillow().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
