"""The kinds of data, and the two functions that choose among them: fit and load.

A kind is imported when it is asked for. This module does not know what a kind does.
"""

from collections.abc import Iterator, Mapping, Set
from importlib import import_module
from numbers import Number
from pathlib import Path
from typing import Any

from variate import bundle
from variate.errors import DataError, ModelFileError, OptionError
from variate.image.files import SUFFIXES
from variate.image.recognition import are_pictures
from variate.music.recognition import is_music
from variate.reading.files import exists
from variate.table import files
from variate.table.frames import is_frame
from variate.text import reading as texts

__all__ = ["KINDS", "estimator_class", "fit", "kind_of", "load"]

KINDS = {
    "table": ("variate.table", "TableVAE"),
    "series": ("variate.series", "SeriesVAE"),
    "image": ("variate.image", "ImageVAE"),
    "text": ("variate.text", "TextVAE"),
    "music": ("variate.music", "MusicVAE"),
}
COMPOSED = {"related": ("variate.table", "RelatedTables")}  # of several models, in one file
DETECTORS = {"anomaly": ("variate.anomaly", "AnomalyDetector")}  # that detect, and nothing else


def fit(data: Any, *, kind: str | None = None, **arguments: Any) -> Any:
    """Fit the model that suits the data.

    Args:
        data: A frame (pandas, polars, pyarrow), an array `[N, C]` (a table) or `[N, H, W]` and
            `[N, H, W, C]` (pictures), a list of str (text), or the path of a table, of pictures,
            of text or of music.
        kind: "table", "image", "text", "music", "series" or "anomaly"; None finds out whether it is
            a table, pictures, text or music (the others are never guessed: say so).
        **arguments: The constructor's, such as `minutes=3` (see `TableVAE`, `ImageVAE`, `TextVAE`,
            `MusicVAE`, `SeriesVAE` and `AnomalyDetector`).

    Returns:
        The fitted estimator.

    Raises:
        DataError: The data cannot be used.
        OptionError: There is no such kind, or no such argument.

    Examples:
        >>> import numpy as np
        >>> import variate as vt
        >>> model = vt.fit(np.random.default_rng(0).normal(size=(100, 3)), epochs=2, latent=2)
        >>> model.sample(3, seed=0).shape
        (3, 3)
    """
    estimator = estimator_class(kind or kind_of(data))
    try:
        model = estimator(**arguments)
    except TypeError as error:
        known = ", ".join(sorted(estimator._get_param_names()))
        raise OptionError(f"{error}. {estimator.__name__} takes: {known}.") from None
    return model.fit(data)


def load(path: str | Path) -> Any:
    """Load a model file, whatever its kind.

    Raises:
        ModelFileError: It cannot be read. Nothing in it is ever executed.
    """
    manifest, weights, _ = bundle.read(path)
    kinds = KINDS | COMPOSED | DETECTORS
    if manifest["kind"] not in kinds:
        raise ModelFileError(
            f"{path} holds a model of the kind {manifest['kind']!r}; this variate knows "
            f"{', '.join(kinds)}. Install a variate that has that kind."
        )
    try:
        return _class_at(kinds[manifest["kind"]])._restored(manifest, weights)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(
            f"{path} is damaged: what it says of the model does not fit together "
            f"({type(error).__name__}: {error}). Fit and save the model again."
        ) from error


def estimator_class(kind: str) -> type[Any]:
    """The estimator of a kind, or the detector.

    Raises:
        OptionError: There is no such kind.
    """
    kinds = KINDS | DETECTORS
    if kind not in kinds:
        raise OptionError(f"there is no kind {kind!r}; there is: {', '.join(kinds)}.")
    found: type[Any] = _class_at(kinds[kind])
    return found


def _class_at(place: tuple[str, str]) -> Any:
    module, name = place
    return getattr(import_module(module), name)


def kind_of(data: Any) -> str:
    """The kind of data: pictures, text or music if it looks so, else a table; never a series.

    Raises:
        DataError: A path whose ending says nothing, or that is not there; an object that is no
            data.
    """
    if isinstance(data, str | Path) and not exists(data):
        raise DataError(f"{str(data)!r:.120} does not exist.")
    if is_music(data):
        return "music"
    if are_pictures(data):
        return "image"
    if texts.is_text(data):
        return "text"
    if not isinstance(data, str | Path):
        _expect_rows(data)
        return "table"
    path = Path(data)
    if files.suffix_of(path) is not None or (path.is_dir() and any(path.glob("**/*.parquet"))):
        return "table"
    if path.is_dir():
        holds = "neither pictures nor .txt nor .parquet files" if any(path.iterdir()) else "nothing"
        raise DataError(
            f"there is {holds} in the folder {path}; pictures end in {', '.join(SUFFIXES)}."
        )
    raise DataError(
        f"{path}: this does not say what kind of data it is. Tables end in "
        f"{', '.join(files.SUFFIXES)}; pictures are a folder of them, or an .npy or .npz file "
        f"with an array of three or four axes; text ends in {', '.join(texts.SUFFIXES)}; music is "
        "a folder or file of scores. Neither series nor a column of text is guessed: say "
        "kind='series' or kind='text' (--kind)."
    )


def _expect_rows(data: Any) -> None:
    """Refuse objects that are commonly taken for tables, and are none."""
    if is_frame(data):
        return
    listed = isinstance(data, list | tuple)
    if listed and not len(data):
        raise DataError(f"the {type(data).__name__} is empty: there is nothing to learn from.")
    of = data[0] if listed else data
    if of is None or isinstance(of, Mapping | Set | bytes | Number | Iterator):
        found = f"a {type(data).__name__} of {type(of).__name__}" if listed else type(of).__name__
        frame = ", as pandas.DataFrame(data) makes it" if isinstance(of, Mapping) else ""
        raise DataError(
            f"{found} is no data: give a frame{frame}, an array [N, C] of rows or [N, H, W] of "
            "pictures, a list of str, a list of pieces of music, or a path."
        )
