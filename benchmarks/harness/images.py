"""The data of the speed benchmarks: 60,000 binary images of 28 x 28, `[N, 784]` uint8.

MNIST, binarised at 0.5, from `images/mnist_{train,test}_x.npy.xz` in a data folder; or, where there
is none, scikit-learn's 1,797 digits of 8 x 8, each pixel made 4 x 4, cropped and repeated. The
speed of a loop does not depend on which; the nats do.

This module does not know how it is trained on.
"""

import io
import lzma
from pathlib import Path

import numpy as np

__all__ = ["binary_images"]


def binary_images(
    folder: Path | None, rows: int, others: int = 2_000
) -> tuple[str, np.ndarray, np.ndarray]:
    """The name of the data, `rows` images to train on and `others` beside, 0 and 1 in uint8.

    Raises:
        SystemExit: A folder is named, but has no MNIST.
    """
    if folder is None:
        return "digits, enlarged and repeated", *_digits(rows, others)
    file = folder / "images" / "mnist_train_x.npy.xz"
    if not file.exists():
        raise SystemExit(
            f"there is no {file}: name a folder that has it (--data or VARIATE_DATA), "
            "or neither, and scikit-learn's digits stand in"
        )
    train, held_out = _mnist(file), _mnist(file.with_name("mnist_test_x.npy.xz"))
    return "MNIST at 0.5", train[np.arange(rows) % len(train)], held_out[:others]


def _mnist(file: Path) -> np.ndarray:
    with lzma.open(file) as opened:
        images = np.load(io.BytesIO(opened.read()), allow_pickle=False)
    return (images.reshape(len(images), -1) > 127).astype(np.uint8)


def _digits(rows: int, others: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    small = (load_digits().images > 8).astype(np.uint8)  # intensities 0 to 16
    images = small.repeat(4, axis=1).repeat(4, axis=2)[:, 2:30, 2:30].reshape(len(small), -1)
    train, held_out = images[300:], images[:300]
    return train[np.arange(rows) % len(train)], held_out[np.arange(others) % len(held_out)]
