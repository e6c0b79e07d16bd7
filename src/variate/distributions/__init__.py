"""The distributions that torch lacks: likelihoods and posteriors, all plain torch Distributions."""

from variate.distributions.codes import Codebook, CodeLaw, CodePoint
from variate.distributions.column import Allowed, CategoryLaw, ChoiceLaw, NumberLaw, law_of
from variate.distributions.continuous import ContinuousBernoulli
from variate.distributions.counts import ZeroInflated
from variate.distributions.gaussian import Delta, bounded_scale
from variate.distributions.grammar import Grammar, alphabets
from variate.distributions.grid import GridLogisticMixture, LogisticMixture
from variate.distributions.ordinal import Ordinal
from variate.distributions.pixels import Bits, DiscretisedLogisticMixture, Labels, Rescaled
from variate.distributions.rows import Categorical, Column, Copy, Numeric, RowLayout
from variate.distributions.sequences import Reader, Sequences
from variate.distributions.temper import temper, tempered

__all__ = [
    "Allowed",
    "Bits",
    "Categorical",
    "CategoryLaw",
    "ChoiceLaw",
    "CodeLaw",
    "CodePoint",
    "Codebook",
    "Column",
    "ContinuousBernoulli",
    "Copy",
    "Delta",
    "DiscretisedLogisticMixture",
    "Grammar",
    "GridLogisticMixture",
    "Labels",
    "LogisticMixture",
    "NumberLaw",
    "Numeric",
    "Ordinal",
    "Reader",
    "Rescaled",
    "RowLayout",
    "Sequences",
    "ZeroInflated",
    "alphabets",
    "bounded_scale",
    "law_of",
    "temper",
    "tempered",
]
