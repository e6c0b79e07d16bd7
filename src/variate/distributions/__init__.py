"""The distributions that torch lacks: likelihoods and posteriors, all plain torch Distributions."""

from variate.distributions.continuous import ContinuousBernoulli
from variate.distributions.counts import ZeroInflated
from variate.distributions.gaussian import Delta, bounded_scale
from variate.distributions.grid import GridLogisticMixture, LogisticMixture
from variate.distributions.ordinal import Ordinal
from variate.distributions.rows import Categorical, Column, Constant, Numeric, RowLayout, Rows
from variate.distributions.temper import temper, tempered

__all__ = [
    "Categorical",
    "Column",
    "Constant",
    "ContinuousBernoulli",
    "Delta",
    "GridLogisticMixture",
    "LogisticMixture",
    "Numeric",
    "Ordinal",
    "RowLayout",
    "Rows",
    "ZeroInflated",
    "bounded_scale",
    "temper",
    "tempered",
]
