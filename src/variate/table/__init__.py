"""Tables: rows of columns of mixed kinds, with gaps."""

from variate.table import constraints
from variate.table.conditions import Between
from variate.table.estimator import TableVAE
from variate.table.proposals import propose as propose_constraints

__all__ = ["Between", "TableVAE", "constraints", "propose_constraints"]
