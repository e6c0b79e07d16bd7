"""One picture: its header looked at, its pixels decoded, turned upright, cropped and resized.

    file or bytes -> header            size, whether it is grey, deep, transparent; no pixel is read
                  -> pixels [H, W, C]  uint8, or uint16 of a picture of 16 bits

A picture of another shape than asked for is cropped around its centre to that shape, and resized
(Lanczos, which averages where pixels become fewer). A JPEG is decoded at a half, quarter or eighth
of its size where that is enough, so that one of 100 megapixels costs little memory; other formats
cannot be, and beyond `MOST_PIXELS` they are refused, as is what claims to be larger than
Pillow's limit for decompression bombs. A transparent picture whose transparency is not asked for is
laid on white. Of an animation the first frame is taken.

This module does not know where pictures come from, nor what becomes of those it refuses.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from variate.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "Form", "Header", "decode", "fitted", "look", "pillow"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF")
MOST_PIXELS = 40_000_000  # decoded at once, of one picture: at most 160 MB
GREY = {"1", "L", "LA", "La"}
ROTATED = {5, 6, 7, 8}  # values of the EXIF orientation that exchange width and height
ORIENTATION = 0x0112
DEEP = 65_535
WHITE = (255, 255, 255, 255)

Pixels = NDArray[Any]


class Header(NamedTuple):
    """What a picture is, before its pixels are read.

    Attributes:
        size: Height and width, upright.
        grey: Whether it has no colour.
        alpha: Whether some of it may be transparent.
        deep: Whether it has more than 8 bits.
        frames: How many; more than one is an animation.
    """

    size: tuple[int, int]
    grey: bool
    alpha: bool
    deep: bool
    frames: int


class Form(NamedTuple):
    """What a picture is made into: height and width, 1, 3 or 4 channels, 8 bits or 16."""

    size: tuple[int, int]
    channels: int
    deep: bool


def pillow() -> Any:
    """Pillow's module `Image`.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading and writing pictures", "pillow", "image") from error
    Image.init()  # else only the commonest formats are known
    return Image


def look(source: Path | bytes | Image) -> Header:
    """The header of a picture.

    Args:
        source: A file, its content, or a picture of Pillow's.

    Raises:
        DataError: It is no picture that can be read; the message says why.
    """
    with _opened(source) as image:
        width, height = image.size
        turned = _orientation(image) in ROTATED
        return Header(
            size=(width, height) if turned else (height, width),
            grey=image.mode in GREY or _deep(image),
            alpha=image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info,
            deep=_deep(image),
            frames=int(getattr(image, "n_frames", 1)),
        )


def decode(source: Path | bytes | Image, form: Form) -> Pixels:
    """The pixels of a picture, `[H, W, C]`, uint8 or (if deep) uint16.

    Args:
        source: A file, its content, or a picture of Pillow's.
        form: What it is made into.

    Raises:
        DataError: It cannot be read; the message says why.
    """
    with _opened(source) as image:
        _shrink(image, form.size)
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise DataError(
                f"{width} x {height} are more pixels than are decoded at once ({MOST_PIXELS:,})"
            )
        try:
            image.load()
            upright = _upright(image)
            return _deep_pixels(upright, form) if _deep(image) else _plain(upright, form)
        except DataError:
            raise
        except Exception as error:
            raise DataError(_reason(error)) from error


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """A picture cropped around its centre to the shape of `size` (height, width), and resized."""
    height, width = size
    if image.size == (width, height):
        return image
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - scale * width) / 2, (image.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return image.resize((width, height), pillow().Resampling.LANCZOS, box=box)


def _opened(source: Path | bytes | Image) -> Image:
    """A picture of which only the header was read."""
    images = pillow()
    if isinstance(source, images.Image):
        return source.copy()
    try:
        opened: Image = images.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        )
    except Exception as error:
        raise DataError(_reason(error)) from error
    return opened


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no picture in a format that is read (PNG, JPEG, WebP, BMP, TIFF, GIF)"
    if type(error).__name__ == "DecompressionBombError":
        return "it claims to have more pixels than any picture should (a decompression bomb?)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    text = str(error).split("\n")[0] or type(error).__name__
    if "truncated" in text or "unexpected end" in text.lower():
        return "it is truncated"
    return f"it is damaged: {text:.80}"


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - what EXIF says is a courtesy, and it may be damaged
        return 1


def _upright(image: Image) -> Image:
    """The picture as the camera was held."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }  # fmt: skip
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _deep(image: Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _shrink(image: Image, size: tuple[int, int]) -> None:
    """Have a JPEG decoded no larger than is needed; other formats take no notice."""
    if image.format not in ("JPEG", "MPO"):  # MPO: several JPEGs in a file, as telephones do it
        return
    turned = _orientation(image) in ROTATED
    height, width = size[::-1] if turned else size
    scale = min(image.width / width, image.height / height)
    if scale > 2:
        image.draft(image.mode, (int(image.width / scale), int(image.height / scale)))


def _plain(image: Image, form: Form) -> Pixels:
    """The pixels of a picture of 8 bits."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[form.channels]
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode not in ("L", "RGB", "RGBA", "LA"):
        image = image.convert({"1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(
            image.mode, "RGB"
        ))  # fmt: skip
    image = fitted(image, form.size)
    if mode != "RGBA" and image.mode in ("RGBA", "LA"):
        ground = pillow().new("RGBA", image.size, WHITE)
        ground.alpha_composite(image.convert("RGBA"))
        image = ground.convert("RGB")
    pixels: NDArray[np.uint8] = np.asarray(image.convert(mode))
    pixels = pixels.reshape(*form.size, form.channels)
    return pixels.astype(np.uint16) * 257 if form.deep else pixels


def _deep_pixels(image: Image, form: Form) -> Pixels:
    """The pixels of a picture of 16 bits, which are grey; with 8 bits where these are asked for."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" or low < 0 or high > DEEP:
        raise DataError(
            f"its pixels are {'real numbers' if image.mode == 'F' else 'whole numbers'} from "
            f"{low:g} to {high:g}, and 8 or 16 bits are read"
        )
    if image.size != form.size[::-1]:
        resized = fitted(pillow().fromarray(values.astype(np.float32)), form.size)
        values = np.asarray(resized).clip(0, DEEP)
    whole = np.rint(values if form.deep else values / 257)
    grey = whole.astype(np.uint16 if form.deep else np.uint8)[..., None]
    if form.channels == 4:
        solid = np.full_like(grey, DEEP if form.deep else 255)
        return np.concatenate([grey, grey, grey, solid], -1)
    return np.repeat(grey, form.channels, -1)
