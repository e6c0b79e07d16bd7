"""What an estimator is, apart from its weights: as the manifest of a model file, and kept safe.

This module does not know any kind of data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from variate._version import __version__
from variate.specification import describe

__all__ = ["manifest_of", "remember_columns", "unchanged_by_failure"]


def manifest_of(estimator: Any) -> dict[str, Any]:
    """A fitted estimator as JSON-able values.

    Raises:
        OptionError: An argument is an object of the user's own, which no model file can keep.
    """
    return {
        "kind": estimator.kind,
        "variate": __version__,
        "parameters": describe(estimator.get_params(deep=False)),
        "codec": estimator.codec_.state(),
        "facts": estimator.facts_,
        "history": estimator.history_,
        "features": getattr(estimator, "n_features_in_", None),
        "names": list(getattr(estimator, "feature_names_in_", ())),
    }


def remember_columns(estimator: Any, manifest: dict[str, Any]) -> None:
    """Give an estimator what scikit-learn wants to know of the data that it was fitted on."""
    if manifest["features"] is not None:
        estimator.n_features_in_ = manifest["features"]
    if manifest["names"]:
        estimator.feature_names_in_ = np.array(manifest["names"], dtype=object)


@contextmanager
def unchanged_by_failure(estimator: Any) -> Iterator[None]:
    """Take back what an estimator has learned within, if it fails; Ctrl-C is no failure."""
    before = dict(vars(estimator))
    try:
        yield
    except Exception:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
