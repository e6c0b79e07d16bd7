"""The command that fills gaps: impute.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, Seed, app, expect_kind, load
from variate.cli.forms import expect_form
from variate.cli.music import Audio, Score, deliver_music, rewrite
from variate.cli.pictures import deliver_pictures, mask_of
from variate.console import deliver, expect_apart, expect_table, expect_writable, say
from variate.errors import OptionError

__all__ = ["impute"]

NUMBER = "imputation"  # the column that says which completed table a row belongs to


@app.command
def impute(  # noqa: PLR0913 - what belongs to each kind
    model: Model,
    data: Data,
    /,
    *,
    draws: Annotated[
        int | None,
        Parameter(help="Write so many completed tables, one below the other, instead of one."),
    ] = None,
    intervals: Annotated[
        Path | None, Parameter(help="Also write where the value of each missing cell lies.")
    ] = None,
    mask: Annotated[
        Path | None, Parameter(help="Of pictures: white (or true, .npy) where pixels are missing.")
    ] = None,
    bars: Annotated[
        str | None, Parameter(help="Of music: the bars to write anew, such as 3 or 2-4.")
    ] = None,
    voices: Annotated[
        str | None, Parameter(help="Of music: the voices to write anew, the highest being 1.")
    ] = None,
    tracks: Annotated[
        str | None, Parameter(help="Of music of tracks: those to write anew, such as 2.")
    ] = None,
    score: Score = None,
    audio: Audio = None,
    level: Annotated[float, Parameter(help="The probability of these intervals.")] = 0.9,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write DATA with its gaps filled: means of numbers, most probable levels, as MODEL sees it.

    With `--draws` a last column, `imputation`, counts the completed tables from 1. Of pictures
    the pixels of `--mask` are filled: with their means, or with so many draws for each picture;
    of music `--bars`, `--voices` and `--tracks` are written anew, given all others.

    Example: `variate impute people.variate people.csv --intervals sure.csv --out filled.csv`
    """
    from variate.table import files

    for path in (out, intervals):
        expect_writable(path, model, data, mask)
    expect_apart(out, intervals)
    expect_table(intervals)
    if not 0 < level < 1:
        raise OptionError(f"--level must lie between 0 and 1, got {level}.")
    fitted = load(model)
    _expect_options(fitted, {
        "--intervals": intervals, "--mask": mask, "--bars": bars, "--voices": voices,
        "--tracks": tracks, "--score": score, "--audio": audio,
    })  # fmt: skip
    expect_form(fitted, out)
    if fitted.kind == "image":
        _pictures(fitted, data, mask, draws, seed, out, json=json)
        return
    if fitted.kind == "music":
        pieces = rewrite(fitted, data, (bars, voices, tracks), draws=draws, seed=seed)
        deliver_music(pieces, out, (score, audio), json=json)
        return
    table = files.read(data)
    if draws is not None and NUMBER in table.column_names:
        raise OptionError(f"{data} has a column {NUMBER!r} already; rename it.")
    fitted.verbose = True  # many rows take a while
    with files.naming(data):
        made = fitted.impute(table, draws=1 if draws is None else draws, seed=seed)
    say(f"{made.missing:,} missing cells of {table.num_rows:,} rows are filled")
    if intervals is not None:
        files.write(made.interval(level), intervals)
        say(f"wrote {intervals}")
    deliver(made.filled if draws is None else _stacked(made), out, json=json)


def _expect_options(fitted: Any, options: dict[str, Any]) -> None:
    """Refuse what a model's kind does not fill, or fills otherwise."""
    if fitted.kind == "text":
        raise OptionError("sentences have no gaps that are filled; see variate vary.")
    given = {name for name, value in options.items() if value is not None}
    of_kind = {"--mask": "image", "--bars": "music", "--voices": "music", "--tracks": "music",
               "--score": "music", "--audio": "music"}  # fmt: skip
    for name in sorted(given & set(of_kind)):
        expect_kind(fitted, of_kind[name], name)
    if "--intervals" in given and fitted.kind in ("image", "music"):
        raise OptionError(
            f"--intervals are of cells of tables and series; this model is {fitted.kind!r}."
        )


def _pictures(
    fitted: Any,
    data: Path,
    mask: Path | None,
    draws: int | None,
    seed: int | None,
    out: Path | None,
    *,
    json: bool,
) -> None:
    """Pictures with the pixels of the mask filled; draws of one picture side by side."""
    import torch

    codec = fitted.codec_
    missing = mask_of(mask, codec.size)
    made = fitted.impute(data, missing, draws=1 if draws is None else draws, seed=seed)
    if draws is None:
        deliver_pictures(fitted, made.filled, out, json=json)
        return
    x = torch.stack([codec.encode(drawn) for drawn in made.draws], 1).flatten(0, 1)
    deliver_pictures(fitted, codec.decode(x), out, columns=draws, json=json)


def _stacked(made: Any) -> Any:
    """The completed tables, one below the other, numbered from 1."""
    import pyarrow as pa

    parts = []
    for number, table in enumerate(made.tables, start=1):
        column = pa.repeat(pa.scalar(number, pa.int64()), table.num_rows)
        parts.append(table.append_column(NUMBER, column))
    return pa.concat_tables(parts)
