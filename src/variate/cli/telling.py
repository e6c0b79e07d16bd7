"""The commands that tell something: info, evaluate, constraints, demo.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from variate.cli.app import COMMON, Data, Json, Model, app, expect_kind, load
from variate.cli.detectors import show_detector
from variate.cli.labelling import labels_of
from variate.cli.pairs import show_pair
from variate.console import expect_ending, expect_writable, print_json, report, say, write_line

__all__ = ["constraints", "demo", "evaluate", "info"]


@app.command
def info(model: Model, /, *, json: Json = False) -> None:
    """Show what a model is, what it was trained on, how good it is, and its schema.

    Example: `variate info people.variate`
    """
    fitted = load(model, pairs=True, detectors=True)
    if fitted.kind == "related":
        show_pair(fitted, json=json)
        return
    if fitted.kind == "anomaly":
        show_detector(fitted, json=json)
        return
    if json:
        parameters = {name: repr(value) for name, value in fitted.get_params(deep=False).items()}
        print_json({
            "kind": fitted.kind, "parameters": parameters, "latent": fitted.latent_,
            "facts": fitted.facts_, "schema": fitted.codec_.state(),
        })  # fmt: skip
        return
    write_line(fitted.card())
    write_line(str(fitted.codec_.schema))


@app.command
def evaluate(
    model: Model,
    data: Data,
    /,
    *,
    draws: Annotated[int, Parameter(help="Posterior draws per item.")] = 64,
    train: Annotated[
        Path | None,
        Parameter(help="The data it was trained on: measures how near drawn items are to it."),
    ] = None,
    target: Annotated[
        str | None, Parameter(help="A column to predict: measures what drawn rows are good for.")
    ] = None,
    without_z: Annotated[
        bool,
        Parameter(negative=(), help="Train it again without its code, and show what that scores."),
    ] = False,
    labels: Annotated[
        str | None,
        Parameter(
            help="Of pictures: a column, a file, or 'folders': the labels of --train, else of DATA."
        ),
    ] = None,
    out: Annotated[Path | None, Parameter(help="An .html report.")] = None,
    seed: Annotated[int, Parameter(help="Of the draws.", group=COMMON)] = 0,
    json: Json = False,
) -> None:
    """Measure MODEL on DATA that it has not seen.

    With `--labels`, drawn pictures are compared with real ones by the features of a classifier that
    learns the labels (comparable with no published figure).

    Example: `variate evaluate people.variate test.csv --out report.html`
    """
    expect_writable(out, model, data, train, labels)
    expect_ending(out, ".html")
    fitted = load(model)
    fitted.verbose = without_z  # the second training is worth a bar
    of_tables = {"train": train, "target": target, "without_z": without_z or None}
    asked: dict[str, Any] = {name: value for name, value in of_tables.items() if value is not None}
    common = {"image": {"train"}, "music": {"train"}, "text": {"train", "without_z"}}.get(
        fitted.kind, set()
    )
    strange = [name for name in asked if name not in common]
    if strange:
        expect_kind(fitted, "table", "--" + strange[0].replace("_", "-"))
    items: Any = data
    if fitted.kind == "image":
        items, asked = _of_pictures(fitted, data, train, labels)
    elif labels is not None:
        expect_kind(fitted, "image", "--labels")
    evaluation = fitted.evaluate(items, draws=draws, seed=seed, **asked)
    if out is not None:
        evaluation.to_html(out)
        say(f"wrote {out}")
    report(evaluation.figures, json=json)


def _of_pictures(
    fitted: Any, data: Path, train: Path | None, labels: str | None
) -> tuple[Any, dict[str, Any]]:
    """Pictures, read once, and what an evaluation is told besides."""
    items, asked = fitted.codec_.received(data), {}
    if train is not None:
        asked["train"] = fitted.codec_.received(train)
    if labels is not None:
        taught = (data, items) if train is None else (train, asked["train"])
        asked["labels"] = labels_of(labels, *taught)
    return items, asked


@app.command
def demo(
    kind: Annotated[
        Literal["table", "image", "text", "music", "series"], Parameter(help="The kind of data.")
    ] = "table",
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder for what it makes.")] = Path("demo"),
    epochs: Annotated[int | None, Parameter(help="The budget; None: as the data asks.")] = None,
    seed: Annotated[int, Parameter(help="Of everything random.", group=COMMON)] = 0,
    json: Json = False,
) -> None:
    """Train on real data that a dependency bundles, and show what the model can do.

    Example: `variate demo image`
    """
    from variate.demo import DEMOS

    report(DEMOS[kind](out, epochs=epochs, seed=seed), json=json)


@app.command
def constraints(
    data: Data,
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(name=("--out", "-o"), help="A .toml file to edit, for `fit --constraints`."),
    ] = None,
    json: Json = False,
) -> None:
    """Propose rules that all rows of DATA obey; without `--out` as the Python that declares them.

    Example: `variate constraints people.csv --out rules.toml`
    """
    from variate.table import files, propose_constraints
    from variate.table.constraints import write

    expect_writable(out, data)
    expect_ending(out, ".toml")
    with files.naming(data):
        found = propose_constraints(files.read(data))
    if out is not None:
        write(out, [(proposal.constraint, proposal.evidence) for proposal in found])
        say(f"wrote {out}")
    if json:
        print_json({repr(proposal.constraint): proposal.evidence for proposal in found})
    elif out is None or not found:
        write_line(str(found))
