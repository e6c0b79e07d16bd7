"""What is given to a table's estimator, on its way in: checked, encoded, and split.

This module does not know the model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data
from torch import Tensor

from variate.preparation import Prepared, split
from variate.table import files
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import is_frame, to_arrow
from variate.table.rarity import rare_counts
from variate.table.stream import TableStream, is_large

__all__ = ["prepared", "received"]

LARGE = 512 * 2**20  # bytes of encoded rows above which a file is streamed from disk


def prepared(estimator: Any, X: Any, scratch: Path) -> Prepared:
    """A table, in memory or from disk, ready for training."""
    if isinstance(X, str | Path) and not estimator.constraints and is_large(X, LARGE):
        return _streamed(estimator, Path(X), scratch)
    return _resident(estimator, X)


def received(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Whatever was given, as something the codec reads: a frame or a checked array.

    Args:
        estimator: Of scikit-learn's kind; it is told the names of the columns.
        X: A path, a frame, an array or a tensor.
        reset: Whether the columns are new to it, in `fit`.
    """
    if isinstance(X, str | Path):
        X = files.read(X)
    if isinstance(X, Tensor):
        X = X.detach().cpu().numpy()
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "fiu":  # else what is masked comes back
        X = np.ma.filled(X.astype(np.float64), np.nan)
    if is_frame(X):
        if reset:
            _remember_names(estimator, to_arrow(X).column_names)
        return X
    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        ensure_min_samples=2 if reset else 1,
    )


def _resident(estimator: Any, X: Any) -> Prepared:
    codec = ConstrainedCodec(estimator.columns, estimator.constraints)
    raw = received(estimator, X, reset=True)
    x = codec.fit(raw).encode(raw)
    training, validation, held_out = split(x, estimator.seed)
    codec.notice(training)
    notes = {"rare_values": rare_counts(x.numpy(), codec.modelled)}
    return Prepared(codec, training, training[:4096], validation, held_out, notes=notes)


def _streamed(estimator: Any, path: Path, scratch: Path) -> Prepared:
    stream = TableStream(path, columns=estimator.columns, seed=estimator.seed, scratch=scratch)
    _remember_names(estimator, stream.codec.schema.names)
    stream.codec.notice(stream.example())
    held_out = stream.held_out()
    half = len(held_out) // 2
    return Prepared(
        stream.codec, stream.source(), stream.example(), held_out[:half], held_out[half:]
    )


def _remember_names(estimator: Any, names: Sequence[Any]) -> None:
    """What scikit-learn wants to know of a frame."""
    estimator.n_features_in_ = len(names)
    estimator.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
