"""`variate fit`: train a model on data and write a model file.

This module does not know any mathematics.
"""

import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from variate.cli.app import COMMON, Data, Json, app
from variate.cli.detectors import detector_options, fit_detector
from variate.cli.music import tracks_of
from variate.cli.objects import given_objects
from variate.cli.options import options_of
from variate.cli.pairs import expect_pair, fit_pair
from variate.cli.sentences import column_of, preset_of
from variate.console import expect_writable, report, say
from variate.errors import OptionError

__all__ = ["fit"]


@app.command
def fit(  # noqa: PLR0913 - the constructor's arguments are the options
    data: Data,
    /,
    *,
    kind: Annotated[
        str | None, Parameter(help="table, image, text, music, series or anomaly.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="The model file; None: named after DATA.")] = None,
    minutes: Annotated[float | None, Parameter(help="The budget in minutes.")] = None,
    epochs: Annotated[int | None, Parameter(help="The budget in passes over the rows.")] = None,
    resume: Annotated[
        bool, Parameter(negative=(), help="Continue from the checkpoint beside --out.")
    ] = False,
    column: Annotated[
        list[str] | None,
        Parameter(
            help="NAME=KIND: override a column's kind (see `variate info`); repeatable. Of text in "
            "a table: NAME, the column that holds it."
        ),
    ] = None,
    constraints: Annotated[
        Path | None,
        Parameter(help="A file of rules that every row obeys (see `variate constraints`)."),
    ] = None,
    condition_on: Annotated[
        list[str] | None,
        Parameter(help="A column to draw the others given, exactly and at no cost; repeatable."),
    ] = None,
    children: Annotated[
        Path | None, Parameter(help="A second table, whose rows belong to rows of DATA.")
    ] = None,
    key: Annotated[str | None, Parameter(help="With --children: the key of DATA.")] = None,
    foreign_key: Annotated[
        str | None, Parameter(help="With --children: its column that holds the key of DATA.")
    ] = None,
    child_key: Annotated[
        str | None, Parameter(help="With --children: its own key, if it has one.")
    ] = None,
    order_by: Annotated[
        str | None, Parameter(help="With --children: its column that puts siblings in order.")
    ] = None,
    time: Annotated[
        str | None, Parameter(help="Of --kind series: the column of stamps; None finds it.")
    ] = None,
    series: Annotated[
        str | None, Parameter(help="Of --kind series: the column that names each row's series.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        Parameter(help="Of --kind series: a column to model; None: all others; repeatable."),
    ] = None,
    window: Annotated[
        int | None, Parameter(help="Of --kind series: steps of a window; None: from the data.")
    ] = None,
    size: Annotated[
        int | None, Parameter(help="Of pictures: the side that they are cropped and resized to.")
    ] = None,
    levels: Annotated[
        int | None, Parameter(help="Of pictures in arrays: the levels of a pixel.")
    ] = None,
    binarize: Annotated[
        bool, Parameter(negative=(), help="Of grey pictures: make pixels 0 or 1 by chance.")
    ] = False,
    network: Annotated[
        str | None,
        Parameter(help="Of pictures, as in Python: 'Hierarchy(groups=(0, 4, 6))', 'VQ(512)'."),
    ] = None,
    depth: Annotated[
        int | None, Parameter(help="Of pictures: residual blocks at each size.")
    ] = None,
    likelihood: Annotated[
        str | None,
        Parameter(help="Of pictures: p(x|z), as in Python: 'CategoricalPixels(1, 256)'."),
    ] = None,
    prior: Annotated[
        str | None, Parameter(help="p(z), as in Python: 'Vamp(16, components=64)'.")
    ] = None,
    posterior: Annotated[
        str | None, Parameter(help="q(z|x), as in Python: 'LowRankGaussian(16, rank=2)'.")
    ] = None,
    objective: Annotated[
        str | None, Parameter(help="What is maximised, as in Python: 'TotalCorrelation(6.0)'.")
    ] = None,
    label: Annotated[
        str | None, Parameter(help="Of text in a table: the column of labels to draw it given.")
    ] = None,
    bars: Annotated[int | None, Parameter(help="Of music: the bars of an item; None: 2.")] = None,
    voices: Annotated[
        int | None, Parameter(help="Of music: 1 for melodies, 4 for chorales; None: as the files.")
    ] = None,
    tracks: Annotated[
        str | None,
        Parameter(help="Of music with chords: 1 for a piano, 3, or names of tracks: MELODY,PIANO."),
    ] = None,
    preset: Annotated[
        str | None,
        Parameter(help="Of text and music: sampling (new ones) or fidelity (near-copies)."),
    ] = None,
    vocabulary: Annotated[
        int | None, Parameter(help="Of text: tokens, 256 at the least; None: from the text.")
    ] = None,
    length: Annotated[
        int | None, Parameter(help="Of text: the most tokens of a sentence; None: from the text.")
    ] = None,
    level: Annotated[
        float | None,
        Parameter(help="Of --kind anomaly: normal rows that `predict` takes for outliers (0.05)."),
    ] = None,
    latent: Annotated[int | None, Parameter(help="Latent dimensions.")] = None,
    hidden: Annotated[tuple[int, ...], Parameter(help="Widths of the encoder.")] = (256, 256),
    width: Annotated[
        int | None, Parameter(help="Of each column's network; of pictures: of the maps.")
    ] = None,
    components: Annotated[int, Parameter(help="Mixture components of a number.")] = 8,
    beta: Annotated[float, Parameter(help="Weight of the KL term; 1 is the ELBO.")] = 1.0,
    batch_size: Annotated[int | None, Parameter(help="Rows per step.")] = None,
    learning_rate: Annotated[
        float | None, Parameter(help="The peak of the schedule; None: what suits the kind.")
    ] = None,
    epsilon: Annotated[float | None, Parameter(help="Train with differential privacy.")] = None,
    delta: Annotated[float, Parameter(help="The δ of --epsilon.")] = 1e-5,
    public: Annotated[Path | None, Parameter(help="JSON: what is public of columns.")] = None,
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

    Ctrl-C keeps the best model so far; `--resume` goes on from where it was. `--kind anomaly` fits
    an `AnomalyDetector`, whose DATA may be a .npy array too.

    Example: `variate fit people.csv --minutes 3 --out people.variate`, or
    `variate fit photos/ --size 64 --minutes 30 --out photos.variate`
    """
    out = out or _named_after(data)
    paired = expect_pair(
        children, key, foreign_key, child_key=child_key, order_by=order_by,
        resume=resume, processes=processes, tensorboard=tensorboard, epsilon=epsilon,
        kind=None if kind == "table" else kind, likelihood=likelihood,
    )  # fmt: skip
    if processes and processes > 1 and kind != "anomaly" and "WORLD_SIZE" not in os.environ:
        _launch(processes)
    from variate.bundle import expect_replaceable
    from variate.kinds import estimator_class, kind_of
    from variate.privacy import privacy_of
    from variate.settling import checkpoint_of_prior
    from variate.table.constraints import read
    from variate.training import remove_checkpoint

    expect_writable(out)
    expect_replaceable(out)
    chosen: dict[str, Any] = {
        "columns": None if kind == "text" else _pairs(column),
        "constraints": () if constraints is None else read(constraints),
        "condition_on": condition_on, "latent": latent, "hidden": hidden, "width": width,
        "components": components, "beta": beta, "epochs": epochs, "minutes": minutes,
        "batch_size": batch_size, "seed": seed, "device": device,
        "precision": precision, "verbose": not quiet,
    } | _given(learning_rate=learning_rate)  # fmt: skip
    chosen |= given_objects(
        likelihood=likelihood, prior=prior, posterior=posterior, objective=objective,
        network=network,
    )  # fmt: skip
    if paired:
        assert children is not None
        keys = {"parent_key": key, "foreign_key": foreign_key, "child_key": child_key}
        fit_pair((data, children), keys | {"order_by": order_by}, chosen, out, json=json)
        return
    kind = kind or kind_of(data)
    chosen |= {
        "time": time, "series": series, "channels": channel, "window": window, "size": size,
        "levels": levels, "binarize": binarize, "depth": depth, "preset": preset_of(preset, kind),
        "vocabulary": vocabulary, "length": length, "label": label, "bars": bars, "voices": voices,
        "tracks": tracks_of(tracks),
        "column": column_of(column) if kind == "text" else None,
    }  # fmt: skip
    other = {
        "resume": resume, "processes": processes, "tensorboard": tensorboard, "epsilon": epsilon,
        "public": public,
    }  # fmt: skip
    of_detector = detector_options(kind, level, chosen, other)
    if of_detector is not None:
        fit_detector(data, of_detector, out, json=json)
        return
    chosen["privacy"] = privacy_of(epsilon, delta, public)
    defaults = {"constraints": (), "hidden": (256, 256), "components": 8, "binarize": False}
    options = options_of(kind, chosen, defaults)
    estimator = estimator_class(kind)(**options)
    checkpoint = None if epsilon is not None else out.with_name(out.name + ".checkpoint")
    resume = _resumes(checkpoint, asked=resume)
    if "WORLD_SIZE" not in os.environ:  # a group's launcher ends its processes by SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        estimator.fit(
            data, checkpoint=checkpoint, resume=resume, logdir=tensorboard, processes=processes
        )
    except KeyboardInterrupt:
        _interrupted(estimator, out, checkpoint, private=epsilon is not None)
        raise SystemExit(1) from None
    if estimator.facts_["rank"] == 0:  # of a group of processes, the first one writes
        estimator.save(out)
        if checkpoint is not None:
            for path in (checkpoint, checkpoint_of_prior(checkpoint)):
                remove_checkpoint(path)  # not before the model is safe
        if kind == "music" and not json:
            say(str(estimator.extraction_))
        report({"model": str(out), **estimator.facts_}, json=json)


def _resumes(checkpoint: Path | None, *, asked: bool) -> bool:
    """Whether to go on from a checkpoint: if asked to, or started again by a launcher."""
    again = asked or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if again and checkpoint is not None and not checkpoint.exists():
        say(f"there is no {checkpoint} to go on from: training starts afresh")
    return again


def _named_after(data: Path) -> Path:
    """Where the model of data goes by default: of sales.2024.csv.gz to sales.2024.variate."""
    name = data.resolve().name
    if not data.is_dir():
        name = Path(name.removesuffix(".gz")).stem
    return Path(name + ".variate")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _interrupted(estimator: Any, out: Path, checkpoint: Path | None, *, private: bool) -> None:
    """Save what there is of a model, and say how to go on."""
    if not (getattr(estimator, "history_", None) or (private and hasattr(estimator, "facts_"))):
        say("interrupted before any model was measured: nothing is saved")
    elif estimator.facts_["rank"] == 0:
        estimator.save(out)
        say(f"interrupted: the best model so far is in {out}")
    if checkpoint is not None:
        say(f"to go on: {_resume_command()}")


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
