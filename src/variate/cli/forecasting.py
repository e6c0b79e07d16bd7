"""The command that goes on from where a series ends: forecast.

This module does not know any mathematics.
"""

from typing import Annotated

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, Seed, app, load
from variate.console import deliver, expect_table, expect_writable
from variate.errors import OptionError

__all__ = ["forecast"]


@app.command
def forecast(
    model: Model,
    data: Data,
    /,
    *,
    steps: Annotated[int, Parameter(help="How many steps ahead.")],
    draws: Annotated[int, Parameter(help="Futures that are drawn.")] = 200,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write what comes next in the series of DATA: of each channel the mean and the 90 % band.

    Example: `variate forecast load.variate load.csv --steps 48 --seed 0 --out ahead.csv`
    """
    expect_writable(out, model, data)
    expect_table(out)
    fitted = load(model)
    if fitted.kind != "series":
        raise OptionError(
            f"{model} is a model of the kind {fitted.kind!r}, which has no order in time; forecast "
            "needs one that was fitted with --kind series."
        )
    deliver(fitted.forecast(data, steps, draws=draws, seed=seed).table, out, json=json)
