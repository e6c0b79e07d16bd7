r"""Features from a classifier that is trained on labelled items in the run.

Where no network is at hand that knows what matters in the data, one that has learned to tell its
classes apart knows some of it: the features are the activations of its last hidden layer,

    φ(x) = relu(A relu(C (x - m)/s + c) + a) / u

with m and s the mean and deviation of all numbers, and u the root mean square of all activations
over the items that it learned from.

They are not Inception's. A distance of these features is comparable with others of the same
classifier only, never with a published FID or KID; another seed gives another unit.

This module does not know which measure the features are for.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from variate.errors import DataError, OptionError
from variate.evaluation.features.inputs import Features, checked

__all__ = ["ClassifierFeatures", "classifier_features"]

_HIDDEN = 128
_BATCH = 64
_HELD_OUT = 0.1


@dataclass(frozen=True)
class ClassifierFeatures:
    """The last hidden layer of a small classifier; call it with items.

    Attributes:
        accuracy: The share of items set apart that it told right; features of a classifier that is
            hardly better than chance say little.
        classes: The labels, `[K]`.
    """

    accuracy: float
    classes: NDArray[np.generic]
    _network: MLPClassifier = field(repr=False)
    _shift: float = field(repr=False)
    _scale: float = field(repr=False)
    _unit: float = field(repr=False)

    def __call__(self, items: ArrayLike | Tensor) -> NDArray[np.float32]:
        """The features of items `[N, *event]`, `[N, width]`.

        Raises:
            DataError: They are no finite numbers, or have another shape than those it learned from.
        """
        x = checked(items, "items", least=1)
        expected = self._network.coefs_[0].shape[0]
        if x.shape[1] != expected:
            raise DataError(
                f"an item must have {expected} numbers, as those that the classifier learned from, "
                f"however `items` have {x.shape[1]}"
            )
        parts = [
            _activations(self._network, _scaled(x[start : start + 4096], self._shift, self._scale))
            for start in range(0, len(x), 4096)
        ]
        features: NDArray[np.float32] = np.concatenate(parts) / np.float32(self._unit)
        return features


def classifier_features(
    items: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    width: int = 64,
    epochs: int = 30,
    seed: int = 0,
) -> ClassifierFeatures:
    """A multilayer perceptron trained to tell the labels, as a source of features.

    It takes a second for thousands of small images, half a minute for the 60,000 of MNIST. Train it
    on items that no measure is to be taken on, such as those that the model was trained on.

    Args:
        items: `[N, *event]`, images or other numbers of like scale.
        labels: `[N]`, the class of each, numbers or words.
        width: How many features.
        epochs: Passes over the items.
        seed: Of the weights, the order and the tenth that is set apart for the accuracy.

    Raises:
        DataError: Items are no finite numbers, labels do not match them, there are fewer than two
            classes or more than the tenth has items, or a class has a single item.
        OptionError: `width` or `epochs` is below 1.
    """
    if width < 1 or epochs < 1:
        raise OptionError(f"`width` and `epochs` must be at least 1, however: {width=}, {epochs=}")
    x = checked(items, "items", least=20)
    y, classes = _checked_labels(labels, len(x))
    shift, scale = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64)) or 1.0
    train, test = train_test_split(
        np.arange(len(x)), test_size=_HELD_OUT, random_state=seed, stratify=y
    )
    network = MLPClassifier((_HIDDEN, width), batch_size=min(_BATCH, len(train)), random_state=seed)
    learned = _scaled(x[train], shift, scale)
    for _ in range(epochs):
        network.partial_fit(learned, y[train], classes=np.arange(len(classes)))
    accuracy = network.score(_scaled(x[test], shift, scale), y[test])
    unit = float(np.sqrt((_activations(network, learned) ** 2).mean(dtype=np.float64))) or 1.0
    return ClassifierFeatures(float(accuracy), classes, network, shift, scale, unit)


def _checked_labels(
    labels: ArrayLike | Tensor, items: int
) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """The classes numbered `[N]`, and what they are called."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.shape != (items,):
        raise DataError(
            f"`labels` must be [N], one for each of {items} items, however its shape is "
            f"{list(array.shape)}"
        )
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise DataError(
            f"the label of item {int(np.isnan(array).argmax())} is NaN; leave such items out"
        )
    classes, numbers, sizes = np.unique(array, return_inverse=True, return_counts=True)
    apart = int(np.ceil(_HELD_OUT * items))
    if not 2 <= len(classes) <= apart or sizes.min() < 2:
        raise DataError(
            f"`labels` must hold 2 to {apart} classes of at least 2 items each for {items} items, "
            f"however there are {len(classes)}, the smallest of {sizes.min()} item(s)"
        )
    return numbers.astype(np.int64), classes


def _activations(network: MLPClassifier, h: NDArray[np.float32]) -> NDArray[np.float32]:
    """The activations of the last hidden layer."""
    for weight, bias in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        h = np.maximum(h @ weight + bias, 0)
    return h


def _scaled(x: Features, shift: float, scale: float) -> NDArray[np.float32]:
    """Items as the network sees them."""
    scaled: NDArray[np.float32] = ((x.astype(np.float64) - shift) / scale).astype(np.float32)
    return scaled
