"""Drawn items beside real ones, by their features: how good is what a model draws?

Distances of two sets of features:
    frechet_distance      two normals' distance; the FID if the features are Inception's
                                                                   (Heusel et al. 2017)
    frechet_limit         the same without the bias of small samples (after Chong & Forsyth 2020)
    kernel_distance       a discrepancy without bias; the KID likewise (Bińkowski et al. 2018)

What is wrong, the items or their variety:
    precision_recall      balls around the items of both sets     (Kynkäänniemi et al. 2019)
    density_coverage      balls around the real items             (Naeem et al. 2020)

What is copied:
    nearest_neighbours    the training items that are nearest to each drawn one
    copy_rate             how many drawn items are nearer than new items are

Features are whatever the caller gives, `[N, *event]`; `classifier_features` trains a small
classifier for some. No figure is comparable with one of other features, and none downloads any.
"""

from variate.evaluation.features.classifier import ClassifierFeatures, classifier_features
from variate.evaluation.features.copies import CopyRate, copy_rate
from variate.evaluation.features.frechet import (
    Frechet,
    FrechetLimit,
    frechet_distance,
    frechet_distance_of_moments,
    frechet_limit,
)
from variate.evaluation.features.kernel import KernelDistance, kernel_distance
from variate.evaluation.features.manifolds import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
)
from variate.evaluation.features.neighbours import Neighbours, nearest_neighbours

__all__ = [
    "ClassifierFeatures",
    "CopyRate",
    "DensityCoverage",
    "Frechet",
    "FrechetLimit",
    "KernelDistance",
    "Neighbours",
    "PrecisionRecall",
    "classifier_features",
    "copy_rate",
    "density_coverage",
    "frechet_distance",
    "frechet_distance_of_moments",
    "frechet_limit",
    "kernel_distance",
    "nearest_neighbours",
    "precision_recall",
]
