"""What is minimised: one equation each, `objective(model, x, moment) -> Loss`."""

from variate.objectives.elbo import (
    ELBO,
    Capacity,
    Constrained,
    FreeBits,
    GroupFreeBits,
    Reconstruction,
)
from variate.objectives.importance import IWAE, DReG, StickTheLanding
from variate.objectives.opening import LanguageModel, Opening
from variate.objectives.penalties import (
    DIP,
    MMD,
    AggregateCovariance,
    Factor,
    MeanCovariance,
    MinibatchWeighted,
    Stratified,
    TotalCorrelation,
)
from variate.objectives.schedules import Constant, Cyclical, Fade, WarmUp

__all__ = [
    "DIP",
    "ELBO",
    "IWAE",
    "MMD",
    "AggregateCovariance",
    "Capacity",
    "Constant",
    "Constrained",
    "Cyclical",
    "DReG",
    "Factor",
    "Fade",
    "FreeBits",
    "GroupFreeBits",
    "LanguageModel",
    "MeanCovariance",
    "MinibatchWeighted",
    "Opening",
    "Reconstruction",
    "StickTheLanding",
    "Stratified",
    "TotalCorrelation",
    "WarmUp",
]
