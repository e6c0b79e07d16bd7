"""Tables: rows of columns of mixed kinds, with gaps."""

from variate.table.conditions import Between
from variate.table.estimator import TableVAE

__all__ = ["Between", "TableVAE"]
