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
from variate.randomness import isolated
from variate.report import Section
from variate.report.style import shorten
from variate.table.appraisal import appraise
from variate.table.codeless import Codeless, compared, expect_teachable, taught_without_code
from variate.table.conditional import draw_rows
from variate.table.forecasts import forecasts
from variate.table.foresight import foreseen
from variate.table.schema import TableSchema
from variate.table.sections import LABEL

__all__ = ["examined", "without_code"]

APPRAISED = 5_000  # rows that are compared and drawn; more would show nothing more
FORECAST = 200  # rows whose columns are forecast, which costs about 20 ms a row


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
    drawn = draw_rows(model, len(x), {}, 1.0, seed).x
    again = verbs.decode(model, codes, estimator._point)
    figures, sections = appraise(
        estimator.codec_.modelled,
        *(table.numpy() for table in (x, drawn, again, codes)),
        seed=seed,
        train=None if train is None else train.numpy(),
        target=target,
        codeless=codeless,
    )
    foresight = _foreseen(estimator, x[:FORECAST], seed, figures)
    return figures, [sections[0], foresight, *sections[1:], *_not_modelled(estimator.codec_.schema)]


def _foreseen(estimator: Any, x: Tensor, seed: int, figures: dict[str, Any]) -> Section:
    """Add the figures of forecasts of some rows, and give the section that shows them."""
    found = forecasts(estimator.model_, x, seed=seed)
    names = [column.name for column in estimator.codec_.modelled]
    foresight, floors, section = foreseen(found, x.numpy(), names, seed=seed)
    figures |= foresight
    figures["noise_floor"] |= floors
    return section


def without_code(
    estimator: Any, x: Tensor, train: Tensor | None, draws: int, seed: int
) -> Codeless:
    """What a `TableVAE` scores on rows x once it is trained again, on `train`, without its code.

    Raises:
        OptionError: It cannot be: there are no such rows, or their privacy is protected.
    """
    rows = expect_teachable(estimator, train)
    with isolated(estimator.seed):
        built = estimator._build(estimator.codec_, rows[:4096])
        fresh = estimator._started(built, rows[:4096])
    options = estimator._habits(len(rows))
    taught = taught_without_code(
        fresh.decoder,
        estimator.latent_,
        rows,
        steps=estimator.facts_["steps"],
        seed=estimator.seed,
        show=estimator.verbose,
        **options | {"device": estimator.device, "precision": estimator.precision},
    )
    bound = draws if estimator._has_density() else None
    drawn = min(len(x), APPRAISED)
    return compared(taught, estimator.model_, x, rows=drawn, draws=bound, seed=seed)


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
