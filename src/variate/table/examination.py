"""What a table's model makes of rows, laid out for the appraisal.

    x            real rows that the model has not seen
    drawn        as many rows that it draws
    again        x through the code and back
    codes        the posterior means of x

This module does not know how rows are compared.
"""

from typing import Any

from torch import Tensor

from variate import verbs
from variate.report import Section
from variate.report.style import shorten
from variate.table.appraisal import appraise
from variate.table.codeless import Codeless
from variate.table.schema import TableSchema
from variate.table.sections import LABEL

__all__ = ["APPRAISED", "examined"]

APPRAISED = 5_000  # rows that are compared and drawn; more would show nothing more


def examined(
    estimator: Any,
    x: Tensor,
    *,
    seed: int,
    train: Tensor | None = None,
    target: str | None = None,
    codeless: Codeless | None = None,
) -> tuple[dict[str, Any], list[Section]]:
    """The figures of a `TableVAE` on rows that it has not seen, and the sections that show them.

    Args:
        estimator: The model, fitted.
        x: The rows, `[N, C]`; the first 5,000 are looked at.
        seed: Of the draws, and of the measures.
        train: The rows that it was trained on, if they are at hand.
        target: The column that a downstream model is to predict, if any.
        codeless: What the same model without z made, if it was trained.
    """
    model, x = estimator.model_, x[:APPRAISED]
    codes, _ = verbs.encode(model, x)
    drawn = verbs.sample(model, len(x), temperature=1.0, seed=seed)
    again = verbs.decode(model, codes, estimator._point)
    figures, sections = appraise(
        estimator.codec_.modelled,
        *(table.numpy() for table in (x, drawn, again, codes)),
        seed=seed,
        train=None if train is None else train.numpy(),
        target=target,
        codeless=codeless,
    )
    return figures, [*sections, *_not_modelled(estimator.codec_.schema)]


def _not_modelled(schema: TableSchema) -> list[Section]:
    """The columns that are no part of the model, and why."""
    modelled = {column.name for column in schema.modelled}
    rows = [
        {"column": shorten(line["column"], LABEL), "what": line["kind"], "why": line["values"]}
        for line in schema.summary()
        if line["column"] not in modelled
    ]
    if not rows:
        return []
    text = (
        "These columns are no part of the model. One that is constant or missing comes back as it "
        "was; one that is left out does not come back."
    )
    return [Section("What is not modelled", text, table=rows)]
