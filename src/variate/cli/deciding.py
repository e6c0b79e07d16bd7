"""The command that decides: decide.

This module does not know any mathematics: it reads, calls the verb, writes.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, Seed, app, expect_kind, load
from variate.console import deliver, expect_table, expect_writable

__all__ = ["decide"]


@app.command
def decide(
    model: Model,
    data: Data,
    /,
    *,
    spec: Annotated[Path, Parameter(help="A .toml file: what is unknown, the actions, the risk.")],
    draws: Annotated[int, Parameter(help="Of what is unknown, for each row.")] = 200,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Choose the best action for each item of DATA: its columns, then the decision.

    The columns are those of docs/decide.md: `action` (empty where it abstains), `expected_utility`,
    `regret`, `cvar` and others.

    Example: `variate decide credit.variate new.csv --spec grant.toml --out decided.csv`
    """
    from variate.table import files
    from variate.table.decision_files import read_decision

    expect_writable(out, model, data, spec)
    expect_table(out)
    fitted = load(model)
    expect_kind(fitted, "table", "decide")
    decision = read_decision(spec)
    table = files.read(data)
    with files.naming(data):
        made = fitted.decide(
            table,
            decision.actions,
            decision.utility,
            unknown=decision.unknown,
            ask=decision.ask,
            risk=decision.risk,
            draws=draws,
            seed=seed,
        )
    kept = [name for name in table.column_names if name not in made.column_names]
    table = table.select(kept)
    for name in made.column_names:
        table = table.append_column(name, made.column(name))
    deliver(table, out, json=json)
