"""Scores of the steps of one series by simple methods, which most deep ones do not beat (TSB-AD).

    moving z-score     |x_t - mean| / deviation over the w steps before
    sub-PCA            the squared scores of windows on all components, over the eigenvalues
    nearest neighbour  the distance of a window to the nearest one that does not overlap it, both
                       normalised over the series (the matrix profile's idea, without z-normalising)
    isolation forest   on windows, scikit-learn's defaults

A window's score counts for all its steps, which are averaged over the windows that hold them.

This module does not know what the scores are compared with.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

__all__ = ["BASELINES"]


def moving_z(x: np.ndarray, w: int, seed: int) -> np.ndarray:  # noqa: ARG001
    """How far a step is from the mean of those before it."""
    sums, squares = (np.cumsum(np.insert(v, 0, 0.0)) for v in (x, x * x))
    at = np.arange(len(x))
    begin = np.maximum(at - w, 0)
    count = np.maximum(at - begin, 1)
    mean = (sums[at] - sums[begin]) / count
    variance = np.maximum((squares[at] - squares[begin]) / count - mean**2, 0.0)
    score = np.abs(x - mean) / (np.sqrt(variance) + 1e-9 * (1 + np.abs(mean)))
    return np.where(at < 8, 0.0, score)


def sub_pca(x: np.ndarray, w: int, seed: int) -> np.ndarray:  # noqa: ARG001
    """Mahalanobis' distance of a window from the mean window."""
    windows = sliding_window_view(x, w)
    z = (windows - windows.mean(0)) / (windows.std(0) + 1e-9)
    _, singular, axes = np.linalg.svd(z, full_matrices=False)
    values = ((z @ axes.T) ** 2 / (singular**2 / len(z) + 1e-9)).sum(1)
    return spread(values, w, len(x))


def nearest(x: np.ndarray, w: int, seed: int) -> np.ndarray:  # noqa: ARG001
    """The distance to the nearest window that does not overlap."""
    windows = sliding_window_view(x, w)
    search = NearestNeighbors(n_neighbors=min(len(windows), 2 * w)).fit(windows)
    distance, index = search.kneighbors(windows)
    apart = np.abs(index - np.arange(len(windows))[:, None]) >= w
    first = apart.argmax(1)
    found = np.take_along_axis(distance, first[:, None], 1)[:, 0]
    return spread(np.where(apart.any(1), found, distance[:, -1]), w, len(x))


def forest(x: np.ndarray, w: int, seed: int) -> np.ndarray:
    """How soon a window is isolated by random cuts."""
    windows = sliding_window_view(x, w)
    values = -IsolationForest(random_state=seed).fit(windows).score_samples(windows)
    return spread(values, w, len(x))


def spread(values: np.ndarray, w: int, steps: int) -> np.ndarray:
    """The mean over the windows that hold a step."""
    total = np.convolve(values, np.ones(w))
    return total[:steps] / np.convolve(np.ones(len(values)), np.ones(w))[:steps]


BASELINES: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "moving z-score": moving_z,
    "sub-PCA": sub_pca,
    "nearest neighbour": nearest,
    "isolation forest": forest,
}
