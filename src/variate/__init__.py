"""variate: variational autoencoders for tables, images, text, music and series.

Everything public is reached from here and imported when first touched, so that
`import variate` costs nothing and torch is loaded only when it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from variate._version import __version__

if TYPE_CHECKING:
    from variate import errors, evaluation, music, objectives, privacy, text
    from variate.anomaly import AnomalyDetector
    from variate.evaluation.decisions import Risk
    from variate.image import ImageVAE, networks
    from variate.kinds import fit, load
    from variate.models import (
        VAE,
        Ladder,
        NonCentred,
        flows,
        image_ladder,
        likelihoods,
        pixels,
        posteriors,
        priors,
        readers,
    )
    from variate.music import MusicVAE
    from variate.privacy import Privacy
    from variate.records import Alarms, Encoding, Evaluation
    from variate.series import SeriesVAE
    from variate.table import (
        Between,
        Imputation,
        Pooled,
        RelatedTables,
        TableImputer,
        TableVAE,
        augmentation_gain,
        balance,
        constraints,
        cross_calibrate,
        pool,
        propose_constraints,
    )
    from variate.text import TextVAE
    from variate.training import train

__all__ = [
    "VAE",
    "Alarms",
    "AnomalyDetector",
    "Between",
    "Encoding",
    "Evaluation",
    "ImageVAE",
    "Imputation",
    "Ladder",
    "MusicVAE",
    "NonCentred",
    "Pooled",
    "Privacy",
    "RelatedTables",
    "Risk",
    "SeriesVAE",
    "TableImputer",
    "TableVAE",
    "TextVAE",
    "__version__",
    "augmentation_gain",
    "balance",
    "constraints",
    "cross_calibrate",
    "errors",
    "evaluation",
    "fit",
    "flows",
    "image_ladder",
    "likelihoods",
    "load",
    "music",
    "networks",
    "objectives",
    "pixels",
    "pool",
    "posteriors",
    "priors",
    "privacy",
    "propose_constraints",
    "readers",
    "text",
    "train",
]

_HOMES = {
    "Alarms": "variate.records",
    "AnomalyDetector": "variate.anomaly",
    "Between": "variate.table",
    "Encoding": "variate.records",
    "Evaluation": "variate.records",
    "ImageVAE": "variate.image",
    "Imputation": "variate.table",
    "Ladder": "variate.models",
    "NonCentred": "variate.models",
    "MusicVAE": "variate.music",
    "Pooled": "variate.table",
    "Privacy": "variate.privacy",
    "RelatedTables": "variate.table",
    "TableImputer": "variate.table",
    "Risk": "variate.evaluation",
    "SeriesVAE": "variate.series",
    "TableVAE": "variate.table",
    "TextVAE": "variate.text",
    "VAE": "variate.models",
    "augmentation_gain": "variate.table",
    "balance": "variate.table",
    "cross_calibrate": "variate.table",
    "fit": "variate.kinds",
    "image_ladder": "variate.models",
    "load": "variate.kinds",
    "pool": "variate.table",
    "propose_constraints": "variate.table",
    "train": "variate.training",
}
_ROOMS = {
    "errors": "variate.errors",
    "evaluation": "variate.evaluation",
    "flows": "variate.models.flows",
    "likelihoods": "variate.models.likelihoods",
    "networks": "variate.image.networks",
    "music": "variate.music",
    "objectives": "variate.objectives",
    "pixels": "variate.models.pixels",
    "posteriors": "variate.models.posteriors",
    "constraints": "variate.table.constraints",
    "priors": "variate.models.priors",
    "privacy": "variate.privacy",
    "readers": "variate.models.readers",
    "text": "variate.text",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(_ROOMS[name])
    raise AttributeError(f"module 'variate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
