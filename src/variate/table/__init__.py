"""The table kind: rows of columns of mixed kinds, with gaps."""

from variate.table.estimator import TableVAE

__all__ = ["TableVAE"]
