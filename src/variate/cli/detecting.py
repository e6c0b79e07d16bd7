"""The commands about anomalies: detect, recalibrate.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, app, expect_kind, load
from variate.cli.detectors import looked_at
from variate.cli.music import alarms_of
from variate.cli.pictures import detect_pictures
from variate.cli.sentences import detect_sentences
from variate.console import (
    deliver,
    expect_apart,
    expect_table,
    expect_writable,
    print_json,
    report,
    say,
    write,
)
from variate.errors import OptionError

__all__ = ["detect", "recalibrate"]


@app.command
def detect(
    model: Model,
    data: Data,
    /,
    *,
    fdr: Annotated[
        float, Parameter(help="The most that the expected share of false alarms may be.")
    ] = 0.05,
    draws: Annotated[
        int | None, Parameter(help="Posterior draws per item; None: as the calibration has (64).")
    ] = None,
    normal: Annotated[
        Path | None,
        Parameter(help="Rows believed to be normal, to hold DATA against instead of those of fit."),
    ] = None,
    heat: Annotated[
        Path | None,
        Parameter(help="Of pictures: a grid of the alarms, their reconstructions and where."),
    ] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Find the anomalies in DATA: writes `score`, `p_value`, `anomaly`, `reasons`, a row each.

    Of a series it writes a row for each alarm: `start`, `end`, `score`, `p_value`, `reasons`.

    DATA may be larger than memory. For a detector (`variate fit --kind anomaly`) it may be a .npy
    array, if the detector was fitted on one.

    Example: `variate detect people.variate people.csv --fdr 0.1 --out alarms.csv`
    """
    from variate.table import files
    from variate.table.alarms import alarm_tables
    from variate.table.parts import text_parts, write_parts

    for path in (out, heat):
        expect_writable(path, model, data, normal)
    expect_apart(out, heat)
    expect_table(out)
    fitted = load(model, detectors=True)
    _expect_pictures(fitted, heat)
    if fitted.kind in ("image", "series", "text", "music"):
        if normal is not None:
            fitted.recalibrate(normal, **_draws(fitted, draws))
        _detect_other(fitted, data, (out, heat), fdr=fdr, draws=draws, json=json)
        return
    fitted.verbose = True  # scoring many rows is worth a line
    if normal is not None:
        with files.naming(normal):
            fitted.recalibrate(_rows(fitted, normal), **_draws(fitted, draws))
    with files.naming(data):
        found, tables = alarm_tables(fitted, _rows(fitted, data), fdr=fdr, draws=draws)
        figures = {
            "rows": len(found.score), "anomalies": int(found.anomaly.sum()), "fdr": fdr,
            "calibration_rows": found.calibration, "drift_p_value": found.drift,
        }  # fmt: skip
        if out is not None:
            write_parts(tables, out)
            report(figures | {"out": str(out)}, json=json)
        elif json:
            print_json(
                {"rows": [row for table in tables for row in table.to_pylist()], "figures": figures}
            )
        else:
            for text in text_parts(tables, ".csv"):
                write(text.decode())


@app.command
def recalibrate(
    model: Model,
    data: Data,
    /,
    *,
    extend: Annotated[
        bool, Parameter(negative=(), help="Keep the calibration that there is, and add DATA to it.")
    ] = False,
    draws: Annotated[
        int | None, Parameter(help="Posterior draws per item; None: 64, a detector has none.")
    ] = None,
    folds: Annotated[
        int | None,
        Parameter(help="DATA is what MODEL, a table's, was fitted on: cross-calibrate."),
    ] = None,
    out: Annotated[
        Path | None, Parameter(name="--out", help="The model file to write; None: MODEL itself.")
    ] = None,
    json: Json = False,
) -> None:
    """Hold the alarms of MODEL against DATA: rows that are normal, and that it was not trained on.

    With --folds DATA is what it was fitted on, and each row is scored by another model, of as many
    as there are folds: for small tables, of which few rows can be spared.

    Example: `variate recalibrate people.variate june.csv --extend`
    """
    from variate.bundle import expect_replaceable
    from variate.table import cross_calibrate, files

    out = model if out is None else out
    expect_writable(out, data)
    expect_replaceable(out)
    fitted = load(model, detectors=True)
    if folds is not None:
        expect_kind(fitted, "table", "--folds")
        if extend or draws is not None:
            raise OptionError(
                "--folds makes a calibration of its own; leave out the other options."
            )
    if fitted.kind == "series":
        fitted.recalibrate(data, extend=extend)
        fitted.save(out)
        say(f"wrote {out}")
        blocks = len(fitted.facts_["block_scores"])
        report({"model": str(out), "calibration_blocks": blocks}, json=json)
        return
    verbose, fitted.verbose = fitted.verbose, True
    with files.naming(data):
        if folds is None:
            fitted.recalibrate(_rows(fitted, data), extend=extend, **_draws(fitted, draws))
        else:
            cross_calibrate(fitted, data, folds=folds)
    fitted.verbose = verbose
    fitted.save(out)
    say(f"wrote {out}")
    rows = fitted.calibration_.rows
    draws = fitted.calibration_.draws
    report({"model": str(out), "calibration_rows": rows, "draws": draws}, json=json)


def _expect_pictures(fitted: Any, heat: Path | None) -> None:
    from variate.image.pictures import expect_picture

    if heat is not None:
        expect_kind(fitted, "image", "--heat")
        expect_picture(heat)


def _rows(fitted: Any, data: Path) -> Any:
    """What is looked at: a detector may have learned from an array."""
    if fitted.kind != "anomaly":
        return data
    return looked_at(data, array=fitted.codec_ is None)


def _draws(fitted: Any, draws: int | None) -> dict[str, int]:
    """The option `draws` of those that have it: the score of a detector has no noise."""
    if fitted.kind == "series":
        return {}
    if draws is not None and fitted.kind == "anomaly":
        raise OptionError("the score of an anomaly detector has no draws; leave --draws out.")
    return {} if draws is None else {"draws": draws}


def _detect_other(
    fitted: Any,
    data: Path,
    outs: tuple[Path | None, Path | None],
    *,
    fdr: float,
    draws: int | None,
    json: bool,
) -> None:
    """The alarms of a kind that is no table, as each shows them."""
    if fitted.kind == "image":
        detect_pictures(fitted, data, outs, fdr=fdr, draws=draws, json=json)
    elif fitted.kind == "text":
        detect_sentences(fitted, data, outs[0], fdr=fdr, draws=draws, json=json)
    elif fitted.kind == "music":
        deliver(alarms_of(fitted, data, fdr=fdr, draws=draws), outs[0], json=json)
    else:
        deliver(fitted.detect(data, fdr=fdr, draws=draws), outs[0], json=json)
