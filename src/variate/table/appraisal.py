"""What an evaluation of a table model says beyond the likelihood: figures, and report sections.

Three tables are compared in codec space: the real rows x, as many synthetic rows, and the real rows
after their way through the code. The model says nothing about *which* cells go missing, so the
synthetic rows are given the gaps of the real ones before anything is compared.

This module does not know the model, only what it made.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from variate.report import Section
from variate.table.maps import association_maps, latent_map
from variate.table.measures import (
    column_shape_error,
    missing_error,
    pair_trend_error,
    two_sample_auc,
)
from variate.table.pictures import Column, marginals, reconstruction
from variate.table.schema import ColumnSchema

__all__ = ["appraise"]

MAPPED = 3  # latent maps in a report, one per colouring column


def appraise(
    schema: Sequence[ColumnSchema],
    x: np.ndarray,
    synthetic: np.ndarray,
    reconstructed: np.ndarray,
    codes: np.ndarray,
    *,
    seed: int,
) -> tuple[dict[str, Any], list[Section]]:
    """Figures and sections of a table model.

    Args:
        schema: The C modelled columns.
        x: Rows that the model has not seen, `[N, C]`.
        synthetic: As many rows that it drew, `[N, C]`.
        reconstructed: x through the code and back, `[N, C]`.
        codes: The posterior means of x, `[N, D]`.
        seed: Of the classifier and of the choice of pairs.

    Returns:
        `column_shape_error` and `pair_trend_error` (means, 0 is best), `two_sample_auc` (0.5 is
        best) with its standard error, and the sections.
    """
    columns = [Column.of(column) for column in schema]
    kinds = [column.kind for column in columns]
    missing = missing_error(x, synthetic)
    gapped = np.where(np.isnan(x), np.nan, synthetic)
    shape = column_shape_error(x, gapped, kinds)
    trends = pair_trend_error(x, gapped, kinds, seed=seed)
    told = two_sample_auc(x, gapped, seed=seed)
    figures = {
        "column_shape_error": _mean(shape),
        "pair_trend_error": _mean(trends.errors),
        "two_sample_auc": _number(told.auc),
        "two_sample_auc_error": _number(told.error),
    }
    return figures, [
        Section(
            "Synthetic rows beside real ones",
            "Grey: rows that the model has never seen. Blue: rows that it drew, with gaps as "
            "in the real ones, for it says nothing of which cells go missing. A classifier tells "
            "the two apart with the AUC below; 0.5 is not at all.",
            table=[
                {"figure": "two-sample AUC (0.5 is best)", "value": _number(told.auc)},
                {"figure": "mean error of a column's shape", "value": _mean(shape)},
                {"figure": "mean error of a pair's trend", "value": _mean(trends.errors)},
                {"figure": "mean difference in missing cells", "value": _mean(missing)},
            ],
            pictures=marginals(x, gapped, columns),
        ),
        Section(
            "What hangs together", pictures=tuple(association_maps(x, gapped, columns))
        ),
        Section(
            "The latent space",
            "Each point is a row; rows with similar codes are close.",
            pictures=tuple(
                latent_map(codes, x[:, c], columns[c]) for c in range(min(MAPPED, len(columns)))
            ),
        ),
        Section(
            "Through the code and back",
            "What a row's code keeps of it: the central value of each column's likelihood.",
            pictures=reconstruction(x, reconstructed, columns),
        ),
    ]  # fmt: skip


def _mean(errors: np.ndarray) -> float | None:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if len(known) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
