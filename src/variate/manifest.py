"""What an estimator is, apart from its weights: the manifest of a model file, and back.

This module does not know any kind of data.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from variate._version import __version__
from variate.evaluation import Reference
from variate.preparation import expect_modest, expect_shapes
from variate.randomness import isolated
from variate.specification import describe, revive

__all__ = ["manifest_of", "restored"]


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
        "calibration": _state(estimator.calibration_),
        "names": list(getattr(estimator, "feature_names_in_", ())),
    }


def restored(kind: Any, manifest: dict[str, Any], weights: dict[str, Tensor]) -> Any:
    """The estimator that a model file describes.

    Args:
        kind: Its class.
        manifest: What `manifest_of` made.
        weights: The model's.

    Raises:
        ValueError: They do not fit together (or KeyError, TypeError, RuntimeError).
    """
    codec = kind.codec.from_state(manifest["codec"])
    expect_modest(manifest["parameters"]["dict"], weights)
    estimator = kind(**revive(manifest["parameters"]))
    with torch.device("meta"):  # a file may ask for any size: look before it is made
        expect_shapes(estimator._assemble(codec), weights)
    estimator.codec_, estimator.facts_ = codec, manifest["facts"]
    estimator.history_ = manifest["history"]
    kept = manifest.get("calibration")  # files of 0.1 have none
    estimator.calibration_ = None if kept is None else Reference.from_state(kept)
    if manifest["features"] is not None:
        estimator.n_features_in_ = manifest["features"]
    if manifest["names"]:
        estimator.feature_names_in_ = np.array(manifest["names"], dtype=object)
    with isolated(0):
        estimator.model_ = estimator._build(codec, estimator._blank(codec))
    estimator.model_.load_state_dict(weights)
    estimator.model_.eval()
    return estimator


def _state(reference: Reference | None) -> dict[str, Any] | None:
    return None if reference is None else reference.state()
