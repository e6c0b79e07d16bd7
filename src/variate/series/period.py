r"""How long a window should be: the dominant period of the channels and a bit, or a house number.

The autocorrelation of a channel y, less its mean, is

    ρ(k) = Σ_t y_t y_{t+k} / Σ_t y_t²        over pairs that are both observed

and its period the lag k ≥ 4 of the highest peak that stands above chance, 0.2 here. Of several
channels the one with the highest peak decides.

This module does not know the model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["autocorrelation", "dominant_period", "window_length"]

Floats = NDArray[np.float64]

PEAK = 0.2  # the least autocorrelation that is a period
USUAL, LEAST, MOST = 128, 8, 512  # steps of a window
STEPS = 20_000  # that are looked at


def dominant_period(series: Sequence[Floats]) -> int | None:
    """The lag at which the channels of series `[G, C]` repeat themselves best; None if at none."""
    longest = max(series, key=len)[:STEPS]
    found = [_period(longest[:, c]) for c in range(longest.shape[1])]
    best = max(found, key=lambda pair: pair[1])
    return best[0] if best[1] > PEAK else None


def window_length(series: Sequence[Floats]) -> int:
    """The length of a window: 1.25 periods, but at least 128; at most a tenth of all steps."""
    period = dominant_period(series)
    wanted = USUAL if period is None else max(round(1.25 * period), USUAL)
    longest, total = max(map(len, series)), sum(map(len, series))
    return int(max(min(wanted, MOST, total // 10, longest), min(LEAST, longest)))


def _period(x: Floats) -> tuple[int, float]:
    """The lag of the highest peak of the autocorrelation, and its height."""
    rho = autocorrelation(x)[: len(x) // 3]
    if len(rho) < 6:
        return 0, 0.0
    low = np.flatnonzero(rho < 0.5 * PEAK)  # peaks come after the first fall
    first = int(low[0]) if len(low) else len(rho)
    inner = np.arange(max(4, first), len(rho) - 1)
    rises, falls = rho[inner] >= rho[inner - 1], rho[inner] >= rho[inner + 1]
    peaks = inner[rises & falls & (rho[inner] > 0)]
    if not len(peaks):
        return 0, 0.0
    best = peaks[rho[peaks] >= 0.9 * rho[peaks].max()][0]  # not a multiple of it
    return int(best), float(rho[best])


def autocorrelation(x: Floats) -> Floats:
    """ρ(k), k = 0 … T - 1, of one channel with gaps; outliers count as the 1 % and 99 % quantile.

    A sum over gaps is taken by FFT, like the sum over values, and divided by how many pairs it has.
    """
    seen = ~np.isnan(x)
    if seen.sum() < 8:
        return np.zeros(1)
    low, high = np.quantile(x[seen], [0.01, 0.99])
    y = np.where(seen, np.clip(x, low, high), 0.0)
    y = np.where(seen, y - y[seen].mean(), 0.0)
    size = 2 * len(x)

    def correlated(values: Floats) -> Floats:
        power = np.abs(np.fft.rfft(values, size)) ** 2
        return np.fft.irfft(power, size)[: len(x)]

    pairs = np.maximum(correlated(seen.astype(np.float64)), 1.0)
    covariance = correlated(y) / pairs
    if covariance[0] <= 0:
        return np.zeros(1)
    found: Floats = covariance / covariance[0]
    return found
