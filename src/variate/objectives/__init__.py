"""What is minimised: one equation each, `objective(model, x, moment) -> Loss`."""

from variate.objectives.elbo import ELBO, Capacity, Constrained, FreeBits, Reconstruction
from variate.objectives.importance import IWAE, DReG, StickTheLanding
from variate.objectives.penalties import DIP, MMD, Factor, TotalCorrelation
from variate.objectives.schedules import Constant, Cyclical, WarmUp

__all__ = [
    "DIP",
    "ELBO",
    "IWAE",
    "MMD",
    "Capacity",
    "Constant",
    "Constrained",
    "Cyclical",
    "DReG",
    "Factor",
    "FreeBits",
    "Reconstruction",
    "StickTheLanding",
    "TotalCorrelation",
    "WarmUp",
]
