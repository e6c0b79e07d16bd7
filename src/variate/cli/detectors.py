"""A detector on the command line: fitted, shown, and told what to look at.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Any

from variate.console import print_json, report, say, write_line
from variate.errors import DataError, OptionError

__all__ = ["detector_options", "fit_detector", "looked_at", "show_detector"]

ARRAY = ".npy"
OWN = ("columns", "seed", "verbose")
USUAL = {
    "constraints": (), "hidden": (256, 256), "components": 8, "beta": 1.0, "learning_rate": 3e-3,
    "precision": "float32",
}  # fmt: skip
SAID = {
    "condition_on": "condition-on", "batch_size": "batch-size", "channels": "channel",
    "learning_rate": "learning-rate",
}  # fmt: skip


def detector_options(
    kind: str | None, level: float | None, chosen: dict[str, Any], other: dict[str, Any]
) -> dict[str, Any] | None:
    """The options of a detector, or None if none is to be fitted.

    Args:
        kind: What was asked for.
        level: The option that only a detector has.
        chosen: Options of tables, of which a detector has some.
        other: Options that it does not have.

    Raises:
        OptionError: An option does not go with what is to be fitted.
    """
    if kind != "anomaly":
        if level is not None:
            raise OptionError("--level is for detectors: say --kind anomaly with it.")
        return None
    for name, value in (other | chosen).items():
        if name not in OWN and value not in (None, False, USUAL.get(name)):
            raise OptionError(
                f"--{SAID.get(name, name)} does not go with --kind anomaly: a detector takes "
                "--column, --level and --seed, and chooses the rest by itself."
            )
    own = {name: chosen[name] for name in OWN}
    return own if level is None else own | {"level": level}


def fit_detector(data: Path, chosen: dict[str, Any], out: Path, *, json: bool) -> None:
    """Fit a detector on a file and write the model file.

    Args:
        data: A table, or an array in a .npy file.
        chosen: The constructor's arguments.
        out: The model file.
        json: Whether figures are printed for machines.
    """
    from variate.kinds import estimator_class
    from variate.table import files

    detector: Any = estimator_class("anomaly")(**chosen)
    with files.naming(data):
        detector.fit(looked_at(data, array=True))
    detector.save(out)
    say(f"wrote {out}")
    report({"model": str(out), **detector.facts_}, json=json)


def looked_at(data: Path, *, array: bool) -> Any:
    """What a detector is given of a file: the array of a .npy file, else the path itself.

    Args:
        data: The file.
        array: Whether the detector can take an array.

    Raises:
        DataError: The file is not there, holds no numbers, or is an array and should not be.
    """
    if data.suffix.lower() != ARRAY:
        return data
    if not array:
        raise DataError(
            f"{data} is an array, and this detector was fitted on a table; give it a table."
        )
    import numpy as np

    if not data.is_file():
        raise DataError(f"{data} does not exist.")
    try:
        rows = np.load(data, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{data} cannot be read: it should be an array of numbers as numpy.save writes it "
            "(no objects), with a row for each item."
        ) from error
    if not isinstance(rows, np.ndarray):
        raise DataError(f"{data} holds several arrays; it should hold one, rows by columns.")
    if rows.dtype.kind not in "biuf" or rows.ndim != 2:
        raise DataError(
            f"{data} holds {rows.dtype} of the shape {list(rows.shape)}; it should hold numbers, "
            "rows by columns."
        )
    return rows


def show_detector(detector: Any, *, json: bool) -> None:
    """What a detector is, was trained on, and the columns that it looks at."""
    codec = detector.codec_
    if json:
        parameters = {name: repr(value) for name, value in detector.get_params(deep=False).items()}
        print_json({
            "kind": detector.kind, "parameters": parameters, "facts": detector.facts_,
            "calibration_rows": detector.calibration_.rows,
            "schema": None if codec is None else codec.state(),
        })  # fmt: skip
        return
    write_line(detector.card())
    if codec is not None:
        write_line(str(codec.schema))
