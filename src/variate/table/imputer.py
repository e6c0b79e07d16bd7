"""TableImputer: scikit-learn's transformer that fills gaps, in place of `IterativeImputer`.

    fit         a clone of the table model learns from the rows, gaps included
    transform   Imputation.filled: the mean of a number, the most probable level of a category

This module does not know how gaps are filled.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from variate.table.estimator import TableVAE
from variate.table.intake import received

__all__ = ["TableImputer"]


class TableImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Fills missing cells: a stand-in for scikit-learn's `IterativeImputer`.

    It keeps the columns, their order and their types, and takes frames with categories and dates as
    they are. The same rows are always filled in the same way.

    Args:
        model: A `TableVAE`, which is cloned, or None for one with default arguments.
        seed: Of the draws.

    Attributes:
        model_: The fitted `TableVAE`, for whatever else it can do.

    Examples:
        >>> import numpy as np, variate as vt
        >>> rows = np.random.default_rng(0).normal(size=(200, 3)).round(2)
        >>> rows[::7, 1] = np.nan
        >>> imputer = vt.TableImputer(vt.TableVAE(latent=2, epochs=2))
        >>> bool(np.isnan(imputer.fit_transform(rows)).any())
        False
    """

    def __init__(self, model: TableVAE | None = None, *, seed: int = 0) -> None:
        self.model = model
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Learn from rows with gaps.

        Args:
            X: A frame, an array or a path.
            y: Ignored; there for scikit-learn.

        Raises:
            DataError: The data cannot be used.
        """
        X = received(self, X, reset=True)
        self.model_ = (TableVAE() if self.model is None else clone(self.model)).fit(X)
        return self

    def transform(self, X: Any) -> Any:
        """The rows with their gaps filled, in the type that they came in.

        Raises:
            DataError: There are no rows, or a cell cannot be used.
        """
        check_is_fitted(self)
        X = received(self, X, reset=False)
        filled = self.model_.impute(X, draws=1, seed=self.seed).filled
        if isinstance(X, np.ndarray) and X.dtype.kind == "f":
            return filled.astype(X.dtype, copy=False)
        return filled

    def __sklearn_tags__(self) -> Tags:
        """NaN is a gap, not an error."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags
