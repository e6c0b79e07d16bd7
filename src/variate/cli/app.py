"""What every command shares: the application, its options, reading a model and a row.

This module does not know any command.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import App, Group, Parameter, convert

from variate._version import __version__
from variate.cli.music import stretch_of
from variate.cli.sentences import item_of_text
from variate.errors import OptionError

__all__ = [
    "COMMON",
    "Data",
    "Json",
    "Model",
    "Out",
    "Seed",
    "app",
    "expect_kind",
    "item_of",
    "load",
]

COMMON = Group("Common options", sort_key=9)
Model = Annotated[Path, Parameter(help="A model file (.variate).")]
Data = Annotated[
    Path,
    Parameter(
        help="A .csv, .parquet, .jsonl or .txt file; pictures in a folder, .npy or .npz; a folder "
        "of MIDI."
    ),
]
Out = Annotated[
    Path | None,
    Parameter(name="--out", help="Where to write; the ending decides the format. None: CSV here."),
]
Seed = Annotated[int | None, Parameter(help="Makes the result repeatable.", group=COMMON)]
Json = Annotated[
    bool, Parameter(name="--json", negative=(), help="One JSON object for machines.", group=COMMON)
]


def _converted(kind: Any, tokens: Sequence[Any]) -> Any:
    """Words as values; of a number that is to be whole a fraction is refused, not rounded."""
    if kind is int or int in get_args(kind):
        for token in tokens:
            if "." in token.value and not _is_whole(token.value):
                raise ValueError(f"{token.value!r} is no whole number.")
    return convert(kind, tokens)


def _is_whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except ValueError:
        return True  # no number at all, which is told elsewhere


app = App(
    name="variate",
    help="Variational autoencoders: fit, sample, encode, score. Figures are nats per item.",
    version=__version__,
    help_format="markdown",
    default_parameter=Parameter(converter=_converted, negative_iterable=()),
)


def load(path: Path, *, pairs: bool = False, detectors: bool = False) -> Any:
    """The model in a file; of two related tables, or a detector, where the command knows such."""
    from variate.kinds import COMPOSED, DETECTORS, load

    model = load(path)
    if model.kind in COMPOSED and not pairs:
        raise OptionError(
            f"{path} holds two related tables: on the command line `variate sample` and `variate "
            f"info` know them; in Python: variate.load({str(path)!r}).parents_ and .children_."
        )
    if model.kind in DETECTORS and not detectors:
        raise OptionError(
            f"{path} holds an anomaly detector, which is no model of the data: on the command line "
            "`variate detect` (which writes its scores), `variate recalibrate` and `variate info` "
            "know it."
        )
    return model


def expect_kind(model: Any, kind: str, what: str) -> None:
    """Refuse what only models of one kind do.

    Raises:
        OptionError: The model is of another kind.
    """
    if model.kind != kind:
        raise OptionError(f"{what} is for models of the kind {kind!r}; this one is {model.kind!r}.")


def item_of(model: Any, data: Path, index: int) -> Any:
    """One item of a file: a row of a table, a window of series, a picture, a sentence, bars."""
    from variate.table import files

    if model.kind == "music":
        return stretch_of(model, data, index)
    if model.kind == "text":
        return item_of_text(model, data, index)
    if model.kind == "image":
        pictures = model.codec_.received(data)
        count = len(pictures.x)
        if not 0 <= index < count:
            raise OptionError(
                f"{data} has the pictures 0 to {count - 1}; there is no picture {index}."
            )
        return pictures.part([index])
    if model.kind == "series":
        windows = model.windows(data)
        if not 0 <= index < len(windows):
            raise OptionError(
                f"{data} has the windows 0 to {len(windows) - 1}; there is no window {index}."
            )
        return windows[index : index + 1]
    table = files.read(data)
    if not 0 <= index < table.num_rows:
        raise OptionError(
            f"{data} has the rows 0 to {table.num_rows - 1}; there is no row {index}."
        )
    return table.slice(index, 1)
