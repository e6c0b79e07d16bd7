"""Tables: rows of columns of mixed kinds, with gaps."""

from variate.table import constraints
from variate.table.augmentation import Gain, augmentation_gain
from variate.table.balancing import balance
from variate.table.conditions import Between
from variate.table.estimator import TableVAE
from variate.table.folds import cross_calibrate
from variate.table.imputation import Imputation
from variate.table.imputer import TableImputer
from variate.table.pooling import Pooled, pool
from variate.table.proposals import propose as propose_constraints
from variate.table.related import RelatedTables

__all__ = [
    "Between",
    "Gain",
    "Imputation",
    "Pooled",
    "RelatedTables",
    "TableImputer",
    "TableVAE",
    "augmentation_gain",
    "balance",
    "constraints",
    "cross_calibrate",
    "pool",
    "propose_constraints",
]
