"""Does each dimension of a code tell one known factor, and each factor one dimension?

Scores of codes and factors:
    mig     how far the most informative dimension is ahead         (Chen et al. 2018)
    dci     disentanglement, completeness, informativeness          (Eastwood & Williams 2018)
    sap     how far the most predictive dimension is ahead          (Kumar et al. 2018)

Scores of groups of items that agree in one factor, drawn from a `Grid` or from `Labelled` items:
    factor_vae_score    which dimension stays still?                (Kim & Mnih 2018)
    beta_vae_score      which differences vanish?                   (Higgins et al. 2017)

All need to know the factors. They do not agree with each other, and seeds differ more than methods
do (Locatello et al. 2019): give the median and spread over several (`evaluation.spread`).
"""

from variate.evaluation.disentanglement.dci import DCI, dci
from variate.evaluation.disentanglement.fixed import (
    BetaVAEScore,
    FactorVAEScore,
    beta_vae_score,
    factor_vae_score,
)
from variate.evaluation.disentanglement.information import MIG, mig
from variate.evaluation.disentanglement.sampling import FactorSampler, Grid, Labelled
from variate.evaluation.disentanglement.separability import SAP, sap

__all__ = [
    "DCI",
    "MIG",
    "SAP",
    "BetaVAEScore",
    "FactorSampler",
    "FactorVAEScore",
    "Grid",
    "Labelled",
    "beta_vae_score",
    "dci",
    "factor_vae_score",
    "mig",
    "sap",
]
