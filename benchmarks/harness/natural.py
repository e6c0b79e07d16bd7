"""Images for hierarchies: MNIST made binary, and photographs of CIFAR-10, raw and with channels.

Photographs are a subset of the official training images, 25,000, and of the official test images,
5,000, in mosaics of 25 x 40; no test image is among the training ones.

This module does not know what is made of them.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from harness.binary_mnist import grey_images

__all__ = ["digits", "dynamic", "mirrored", "photographs"]

ROWS, COLUMNS, SIDE = 25, 40, 32


def digits(folder: Path | None) -> tuple[str, Tensor, Tensor]:
    """The name of the data, training and test images `[N, 1, 28, 28]` uint8, grey."""
    name, train, test = grey_images(folder)
    return name, train.reshape(-1, 1, 28, 28), test.reshape(-1, 1, 28, 28)


def photographs(folder: Path | None) -> tuple[str, Tensor, Tensor]:
    """The name of the data, training and test images `[N, 3, 32, 32]` uint8.

    Raises:
        SystemExit: They are not there.
    """
    files = [
        Path(folder or ".") / "images" / f"cifar10_{part}.zip" for part in ("train25k", "test5k")
    ]
    if not files[0].exists():
        raise SystemExit(
            f"there is no {files[0]}: name a folder that has it (--data or VARIATE_DATA)"
        )
    train, test = (_mosaics(file) for file in files)
    return "CIFAR-10, 25,000 training and 5,000 test images", train, test


def dynamic(grey: Tensor, generator: Generator) -> Tensor:
    """Bits `[N, 1, H, W]` uint8, each one with probability grey / 255."""
    uniform = torch.rand(grey.shape, generator=generator, device=grey.device)
    return (uniform * 255 < grey).to(torch.uint8)


def mirrored(x: Tensor, generator: Generator) -> Tensor:
    """Every other image, by chance, with left and right exchanged."""
    chosen = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.5
    return torch.where(chosen, x.flip(-1), x)


def _mosaics(file: Path) -> Tensor:
    from PIL import Image

    found = []
    with zipfile.ZipFile(file) as opened:
        for name in sorted(opened.namelist()):
            mosaic = np.asarray(Image.open(io.BytesIO(opened.read(name))).convert("RGB"))
            tiles = mosaic.reshape(ROWS, SIDE, COLUMNS, SIDE, 3).transpose(0, 2, 4, 1, 3)
            found.append(tiles.reshape(-1, 3, SIDE, SIDE))
    return torch.from_numpy(np.concatenate(found))
