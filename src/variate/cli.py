"""The command line: `variate VERB`, one function a verb.

Results go to standard output or to `--out`, everything said about them to standard error.
The exit status is 0 when done, 1 for a stated error, 2 for wrong usage. torch is imported inside
the verbs, so that `variate --help` answers at once.

This module does not know any mathematics: each verb reads, calls the verb of the same name, writes.
"""

import logging
import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from variate._version import __version__
from variate.console import (
    deliver,
    expect_writable,
    print_json,
    report,
    say,
    show_warning,
    write_line,
)
from variate.errors import OptionError, VariateError

__all__ = ["app", "main"]

COMMON = Group("Common options", sort_key=9)
Model = Annotated[Path, Parameter(help="A model file (.variate).")]
Data = Annotated[Path, Parameter(help="A .csv, .parquet or .jsonl file.")]
Out = Annotated[
    Path | None,
    Parameter(name="--out", help="Where to write; the ending decides the format. None: CSV here."),
]
Seed = Annotated[int | None, Parameter(help="Makes the result repeatable.", group=COMMON)]
Json = Annotated[
    bool, Parameter(name="--json", negative=(), help="One JSON object for machines.", group=COMMON)
]

app = App(
    name="variate",
    help="Variational autoencoders: fit, sample, encode, score. Figures are nats per item.",
    version=__version__,
    help_format="markdown",
)


@app.command
def fit(  # noqa: PLR0913 - the constructor's arguments are the options
    data: Data,
    /,
    *,
    kind: Annotated[str | None, Parameter(help="The kind of data; None finds out.")] = None,
    out: Annotated[Path | None, Parameter(help="The model file; None: named after DATA.")] = None,
    minutes: Annotated[float | None, Parameter(help="The budget in minutes.")] = None,
    epochs: Annotated[int | None, Parameter(help="The budget in passes over the rows.")] = None,
    resume: Annotated[
        bool, Parameter(negative=(), help="Continue from the checkpoint beside --out.")
    ] = False,
    column: Annotated[
        list[str] | None,
        Parameter(help="NAME=KIND: override a column's kind (see `variate info`); repeatable."),
    ] = None,
    condition_on: Annotated[
        list[str] | None,
        Parameter(help="A column to draw the others given, exactly and at no cost; repeatable."),
    ] = None,
    latent: Annotated[int | None, Parameter(help="Latent dimensions.")] = None,
    hidden: Annotated[tuple[int, ...], Parameter(help="Widths of the encoder.")] = (256, 256),
    width: Annotated[int | None, Parameter(help="Of each column's network.")] = None,
    components: Annotated[int, Parameter(help="Mixture components of a number.")] = 8,
    beta: Annotated[float, Parameter(help="Weight of the KL term; 1 is the ELBO.")] = 1.0,
    batch_size: Annotated[int, Parameter(help="Rows per step.")] = 256,
    learning_rate: Annotated[float, Parameter(help="The peak of the schedule.")] = 3e-3,
    device: Annotated[str | None, Parameter(help="cpu, cuda …; None: a GPU if any.")] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "auto"], Parameter(help="Of the networks.")
    ] = "float32",
    processes: Annotated[
        int | None, Parameter(help="Train in so many processes (or run it under torchrun).")
    ] = None,
    tensorboard: Annotated[Path | None, Parameter(help="A folder for event files.")] = None,
    quiet: Annotated[bool, Parameter(negative=(), help="No progress.", group=COMMON)] = False,
    seed: Annotated[int, Parameter(help="Of everything random.", group=COMMON)] = 0,
    json: Json = False,
) -> None:
    """Train a model on DATA and write a model file.

    Ctrl-C keeps the best model so far; `--resume` goes on from where it was.

    Example: `variate fit people.csv --minutes 3 --out people.variate`
    """
    out = out or Path(data.name.split(".")[0] + ".variate")
    if processes and processes > 1 and "WORLD_SIZE" not in os.environ:
        _launch(processes)
    from variate.kinds import estimator_class, kind_of
    from variate.training import remove_checkpoint

    expect_writable(out)
    estimator = estimator_class(kind or kind_of(data))(
        columns=_pairs(column), condition_on=condition_on, latent=latent, hidden=hidden,
        width=width, components=components, beta=beta,
        epochs=epochs, minutes=minutes, batch_size=batch_size, learning_rate=learning_rate,
        seed=seed, device=device, precision=precision, verbose=not quiet,
    )  # fmt: skip
    checkpoint = out.with_name(out.name + ".checkpoint")
    resume = resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if "WORLD_SIZE" not in os.environ:  # a group's launcher ends its processes by SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        estimator.fit(
            data, checkpoint=checkpoint, resume=resume, logdir=tensorboard, processes=processes
        )
    except KeyboardInterrupt:
        if not getattr(estimator, "history_", None):
            say("interrupted before any model was measured: nothing is saved")
        elif estimator.facts_["rank"] == 0:
            estimator.save(out)
            say(f"interrupted: the best model so far is in {out}")
        say(f"to go on: {_resume_command()}")
        raise SystemExit(1) from None
    if estimator.facts_["rank"] == 0:  # of a group of processes, the first one writes
        estimator.save(out)
        remove_checkpoint(checkpoint)  # not before the model is safe
        report({"model": str(out), **estimator.facts_}, json=json)


@app.command
def info(model: Model, /, *, json: Json = False) -> None:
    """Show what a model is, what it was trained on, how good it is, and its schema.

    Example: `variate info people.variate`
    """
    fitted = _load(model)
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
def sample(
    model: Model,
    /,
    *,
    n: Annotated[int, Parameter(name=("-n", "--n"), help="How many.")] = 10,
    temperature: Annotated[float, Parameter(help="Below 1: more typical items.")] = 1.0,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Draw new items from MODEL.

    Example: `variate sample people.variate -n 1000 --out new.csv`
    """
    expect_writable(out)
    deliver(_load(model).sample(n, temperature=temperature, seed=seed), out, json=json)


@app.command
def reconstruct(model: Model, data: Data, /, *, out: Out = None, json: Json = False) -> None:
    """Show what MODEL makes of each item of DATA, through its code and back.

    Example: `variate reconstruct people.variate people.csv --out again.csv`
    """
    expect_writable(out)
    deliver(_load(model).reconstruct(data), out, json=json)


@app.command
def encode(model: Model, data: Data, /, *, out: Out = None, json: Json = False) -> None:
    """Write the code of each item of DATA: posterior means z1…zD and deviations scale1…scaleD.

    Example: `variate encode people.variate people.csv --out codes.parquet`
    """
    import pyarrow as pa

    expect_writable(out)
    mean, scale = _load(model).encode(data)
    codes = {f"z{d + 1}": mean[:, d] for d in range(mean.shape[1])}
    codes |= {f"scale{d + 1}": scale[:, d] for d in range(scale.shape[1])}
    deliver(pa.table(codes), out, json=json)


@app.command
def score(
    model: Model,
    data: Data,
    /,
    *,
    draws: Annotated[int, Parameter(help="Posterior draws per item.")] = 64,
    out: Out = None,
    json: Json = False,
) -> None:
    """Score each item of DATA: its columns, then `log_likelihood` in nats (higher is more usual).

    Example: `variate score people.variate people.csv --out scores.csv`
    """
    from variate.table import files

    expect_writable(out)
    fitted = _load(model)
    table = files.read(data)
    with files.naming(data):
        scores = fitted.score_samples(table, draws=draws)
    if "log_likelihood" in table.column_names:
        table = table.drop_columns(["log_likelihood"])
    deliver(table.append_column("log_likelihood", [scores]), out, json=json)


@app.command
def vary(
    model: Model,
    data: Data,
    /,
    *,
    item: Annotated[int | None, Parameter(help="The row to vary, from 0; None: each.")] = None,
    n: Annotated[int, Parameter(name=("-n", "--n"), help="Variations per item.")] = 8,
    strength: Annotated[float, Parameter(help="In prior standard deviations.")] = 0.5,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write variations of items of DATA.

    Example: `variate vary people.variate people.csv --item 3 -n 8 --strength 0.5`
    """
    from variate.table import files

    expect_writable(out)
    rows = _item(data, item) if item is not None else data
    with files.naming(data):
        varied = _load(model).vary(rows, n, strength=strength, seed=seed)
    deliver(varied, out, json=json)


@app.command
def interpolate(
    model: Model,
    data: Data,
    /,
    *,
    start: Annotated[int, Parameter(name="--from", help="The row to start at, from 0.")],
    end: Annotated[int, Parameter(name="--to", help="The row to end at, from 0.")],
    steps: Annotated[int, Parameter(help="Items on the way, both ends included.")] = 9,
    out: Out = None,
    json: Json = False,
) -> None:
    """Write the items on the way from one item of DATA to another.

    Example: `variate interpolate people.variate people.csv --from 0 --to 7 --steps 9`
    """
    from variate.table import files

    expect_writable(out)
    ends = _item(data, start), _item(data, end)
    with files.naming(data):
        way = _load(model).interpolate(*ends, steps=steps)
    deliver(way, out, json=json)


@app.command
def evaluate(
    model: Model,
    data: Data,
    /,
    *,
    draws: Annotated[int, Parameter(help="Posterior draws per item.")] = 64,
    out: Annotated[Path | None, Parameter(help="An .html report.")] = None,
    seed: Annotated[int, Parameter(help="Of the draws.", group=COMMON)] = 0,
    json: Json = False,
) -> None:
    """Measure MODEL on DATA that it has not seen.

    Example: `variate evaluate people.variate test.csv --out report.html`
    """
    expect_writable(out)
    evaluation = _load(model).evaluate(data, draws=draws, seed=seed)
    if out is not None:
        evaluation.to_html(out)
        say(f"wrote {out}")
    report(evaluation.figures, json=json)


@app.command
def demo(
    kind: Annotated[Literal["table"], Parameter(help="The kind of data.")] = "table",
    /,
    *,
    out: Annotated[Path, Parameter(help="The folder for what it makes.")] = Path("demo"),
    epochs: Annotated[int | None, Parameter(help="The budget; None: as the data asks.")] = None,
    seed: Annotated[int, Parameter(help="Of everything random.", group=COMMON)] = 0,
    json: Json = False,
) -> None:
    """Train on real data that a dependency bundles, and show what the model can do.

    Example: `variate demo table`
    """
    from variate.demo import DEMOS

    report(DEMOS[kind](out, epochs=epochs, seed=seed), json=json)


def main() -> None:
    """Run the command line; every stated error is one line on standard error."""
    # Threads that wait by spinning cost a machine that is shared more than they save.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = show_warning
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        say(f"usage: {error}")
        say("`variate --help` and `variate VERB --help` show how it is used.")
        raise SystemExit(2) from None
    except OptionError as error:
        say(f"error: {error}")
        raise SystemExit(2) from None
    except VariateError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(1) from None


# -- small things ------------------------------------------------------------------------------


def _load(path: Path) -> Any:
    from variate.kinds import COMPOSED, load

    model = load(path)
    if model.kind in COMPOSED:
        raise OptionError(f"{path} holds several tables: in Python, load(PATH).sample(1000)")
    return model


def _item(data: Path, index: int) -> Any:
    from variate.table import files

    table = files.read(data)
    if not 0 <= index < table.num_rows:
        raise OptionError(
            f"{data} has the rows 0 to {table.num_rows - 1}; there is no row {index}."
        )
    return table.slice(index, 1)


def _pairs(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    split = [pair.rpartition("=") for pair in pairs]
    wrong = [
        pair for pair, (name, sign, _) in zip(pairs, split, strict=True) if not (name and sign)
    ]
    if wrong:
        raise OptionError(
            f"--column takes NAME=KIND, got {wrong[0]!r}; e.g. --column zip=category."
        )
    return {name: kind for name, _, kind in split}


def _resume_command() -> str:
    words = [word for word in sys.argv[1:] if word != "--resume"]
    return shlex.join(["variate", *words, "--resume"])


def _launch(processes: int) -> None:
    """Run this very command in so many processes of this machine, and exit as they do."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0",
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)("-m", "variate", *sys.argv[1:])
    except ChildFailedError:
        raise SystemExit(1) from None
    raise SystemExit(0)
