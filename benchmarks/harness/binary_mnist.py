"""MNIST in grey, and made binary: pixel i is one with probability grey_i / 255.

Where no data folder is named, scikit-learn's digits stand in, each pixel made 4 x 4 and cropped;
then the nats mean nothing.

This module does not know how it is trained on.
"""

import io
import lzma
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

__all__ = ["as_it_is", "binary", "fixed", "grey_images"]


def grey_images(folder: Path | str | None) -> tuple[str, Tensor, Tensor]:
    """The name of the data, training and test images `[N, 784]` uint8, 0 to 255.

    Raises:
        SystemExit: A folder is named, but has no MNIST.
    """
    if folder is None:
        from sklearn.datasets import load_digits

        small = (load_digits().images * 255 / 16).astype(np.uint8)
        images = small.repeat(4, axis=1).repeat(4, axis=2)[:, 2:30, 2:30].reshape(len(small), -1)
        return "digits, enlarged", torch.from_numpy(images[300:]), torch.from_numpy(images[:300])
    file = Path(folder) / "images" / "mnist_train_x.npy.xz"
    if not file.exists():
        raise SystemExit(
            f"there is no {file}: name a folder that has it (--data or VARIATE_DATA), "
            "or neither, and scikit-learn's digits stand in"
        )
    return "MNIST", _read(file), _read(file.with_name("mnist_test_x.npy.xz"))


def binary(grey: Tensor, generator: Generator) -> Tensor:
    """Bits `[N, 784]` float32, each one with probability grey / 255."""
    uniform = torch.rand(grey.shape, generator=generator, device=grey.device)
    return (uniform * 255 < grey).float()


def fixed(grey: Tensor, seed: int = 0) -> Tensor:
    """Bits `[N, 784]` float32, made once (static binarisation), by the data folder's own rule.

    Larochelle's files are not obtainable, so figures are comparable in kind with those on them.
    """
    uniform = np.random.default_rng(seed).random(grey.shape, dtype=np.float32)
    return torch.from_numpy((uniform * 255 < grey.numpy()).astype(np.float32))


def as_it_is(x: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001 - a change of batches
    """x, unchanged."""
    return x


def _read(file: Path) -> Tensor:
    with lzma.open(file) as opened:
        images = np.load(io.BytesIO(opened.read()), allow_pickle=False)
    return torch.from_numpy(images.reshape(len(images), -1))
