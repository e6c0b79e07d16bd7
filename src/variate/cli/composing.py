"""`variate accompany`, `variate continue`, `variate adapt`: what only models of music do.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, Seed, app, expect_kind, load
from variate.cli.music import Audio, Score, deliver_music, expect_pieces, pieces_of
from variate.console import expect_writable, report, say
from variate.errors import OptionError

__all__ = ["accompany", "adapt", "continue_"]

Temperature = Annotated[float, Parameter(help="Below 1: more typical music.")]


@app.command
def accompany(
    model: Model,
    data: Data,
    /,
    *,
    draws: Annotated[
        int | None, Parameter(help="Write so many for each item; None: one, the likeliest.")
    ] = None,
    temperature: Temperature = 1.0,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write the other voices, or tracks, to the tunes of DATA; MODEL is one of several.

    The highest voice of DATA is kept, or its first track, cut into items of as many bars as the
    model has.

    Example: `variate accompany chorales.variate tune.mid --score svg --out harmonised/`
    """
    expect_writable(out, model, data)
    fitted = _music(model, "accompany")
    expect_pieces(out)
    count = 1 if draws is None else draws
    made = fitted.accompany(data, draws=count, temperature=temperature, seed=seed)
    deliver_music(pieces_of(made, draws), out, (score, audio), json=json)


@app.command(name="continue")
def continue_(
    model: Model,
    data: Data,
    /,
    *,
    bars: Annotated[int, Parameter(help="How many bars more.")] = 4,
    item: Annotated[int | None, Parameter(help="The piece, from 0; None: each of DATA.")] = None,
    temperature: Temperature = 1.0,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write each piece of DATA with more bars, each written given those before it.

    Example: `variate continue tunes.variate tune.mid --bars 8 --out longer.mid`
    """
    from variate.music.wholes import wholes

    expect_writable(out, model, data)
    fitted = _music(model, "continue")
    expect_pieces(out)
    pieces = wholes(fitted.codec_, data)
    if item is not None:
        if not 0 <= item < len(pieces):
            raise OptionError(
                f"{data} has the pieces 0 to {len(pieces) - 1}; there is no piece {item}."
            )
        pieces = [pieces[item]]
    made = [fitted.continued(piece, bars, temperature=temperature, seed=seed) for piece in pieces]
    deliver_music(made, out, (score, audio), json=json)


@app.command
def adapt(
    model: Model,
    data: Data,
    /,
    *,
    spread: Annotated[
        float, Parameter(help="From 0, close to the pieces, to 1, as wide as they lie apart.")
    ] = 0.5,
    out: Annotated[Path, Parameter(name="--out", help="The model file to write.")],
    json: Json = False,
) -> None:
    """Write a model whose new music is like the few pieces of DATA: a prior for a style.

    Example: `variate adapt tunes.variate mine/ --out mine.variate`, then
    `variate sample mine.variate -n 8 --out new/`
    """
    from variate.bundle import expect_replaceable

    expect_writable(out, model, data)
    expect_replaceable(out)
    fitted = _music(model, "adapt")
    made = fitted.adapt(data, spread=spread)
    made.save(out)
    say(f"wrote {out}")
    report({"model": str(out), "items": made.facts_["adapted_to"], "spread": spread}, json=json)


def _music(path: Path, what: str) -> Any:
    """A model of music.

    Raises:
        OptionError: It is of another kind.
    """
    fitted = load(path)
    expect_kind(fitted, "music", what)
    return fitted
