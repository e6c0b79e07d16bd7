"""The commands that use a model: sample, balance, reconstruct, encode, score, vary, interpolate.

This module does not know any mathematics: each command reads, calls the verb of the same name,
writes.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, Seed, app, expect_kind, item_of, load
from variate.cli.forms import expect_form
from variate.cli.music import Audio, Score, deliver_music
from variate.cli.pairs import sample_pair
from variate.cli.pictures import deliver_pictures, named
from variate.cli.sentences import deliver_sentences, label_of
from variate.console import deliver, expect_table, expect_writable
from variate.errors import OptionError

__all__ = ["balance", "encode", "interpolate", "reconstruct", "sample", "score", "vary"]


@app.command
def sample(
    model: Model,
    /,
    *,
    n: Annotated[int | None, Parameter(name=("-n", "--n"), help="How many; None: 10.")] = None,
    given: Annotated[
        list[str] | None,
        Parameter(
            help="COLUMN=VALUE, COLUMN=A|B or COLUMN=LOW..HIGH: a condition; repeatable. Of text: "
            "a label."
        ),
    ] = None,
    rows: Annotated[
        Path | None,
        Parameter(
            help="A file of rows that lack columns: the rest of each is drawn, not -n items."
        ),
    ] = None,
    temperature: Annotated[float, Parameter(help="Below 1: more typical items.")] = 1.0,
    top_p: Annotated[
        float | None,
        Parameter(help="Of text: only the likeliest tokens that together have this probability."),
    ] = None,
    children: Annotated[
        Path | None, Parameter(help="Of two related tables: where to write the second one.")
    ] = None,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Draw new items from MODEL.

    Example: `variate sample people.variate -n 1000 --given sex=Female --given age=30..40`, or
    `variate sample digits.variate -n 64 --out grid.png`, or
    `variate sample tunes.variate -n 8 --given density=9 --score svg --out drawn`
    """
    expect_writable(out, model, rows)
    fitted = load(model, pairs=True)
    if rows is not None and (n is not None or given or temperature != 1 or children):
        raise OptionError(
            "--rows draws one row for each that is given, and goes with no other draw."
        )
    n = 10 if n is None else n
    if fitted.kind == "related":
        if rows is not None or temperature != 1:
            raise OptionError("two related tables are drawn without --rows and --temperature.")
        sample_pair(fitted, n, given, seed, (out, children), json=json)
        return
    if children is not None:
        raise OptionError(f"{model} holds one table; leave out --children.")
    _expect_kinds(fitted, {"--rows": rows, "--given": given, "--top-p": top_p})
    _expect_music(fitted, score, audio)
    expect_form(fitted, out)
    if rows is not None:
        deliver(fitted.complete(rows, seed=seed), out, json=json)
        return
    if fitted.kind == "text":
        narrow = 1.0 if top_p is None else top_p
        sentences = fitted.sample(
            n, given=label_of(given), temperature=temperature, top_p=narrow, seed=seed
        )
        deliver_sentences(sentences, out, json=json)
        return
    conditions = fitted.conditions(given) if given else None
    drawn = fitted.sample(n, given=conditions, temperature=temperature, seed=seed)
    if fitted.kind == "music":
        deliver_music(drawn, out, (score, audio), json=json)
        return
    if fitted.kind == "image":
        deliver_pictures(fitted, drawn, out, json=json)
        return
    deliver(drawn, out, json=json)


@app.command
def balance(
    model: Model,
    data: Data,
    /,
    *,
    column: Annotated[str, Parameter(help="The column of which all levels shall be frequent.")],
    ratio: Annotated[float, Parameter(help="Rows of each level for one of the commonest.")] = 1.0,
    temperature: Annotated[float, Parameter(help="Below 1: more typical items.")] = 1.0,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write DATA, then rows that MODEL draws for the rare levels of a column.

    A last column, `synthetic`, says which were drawn.

    Example: `variate balance people.variate people.csv --column city --out balanced.csv`
    """
    from variate import table

    expect_writable(out, model, data)
    expect_table(out)
    fitted = load(model)
    expect_kind(fitted, "table", "balance")
    rows = table.balance(fitted, data, column, ratio=ratio, temperature=temperature, seed=seed)
    deliver(rows, out, json=json)


@app.command
def reconstruct(
    model: Model,
    data: Data,
    /,
    *,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Show what MODEL makes of each item of DATA, through its code and back.

    A grid of pictures has the originals above their reconstructions.

    Example: `variate reconstruct people.variate people.csv --out again.csv`
    """
    expect_writable(out, model, data)
    fitted = load(model)
    _expect_music(fitted, score, audio)
    expect_form(fitted, out)
    if fitted.kind == "music":
        deliver_music(fitted.reconstruct(data), out, (score, audio), json=json)
        return
    if fitted.kind == "image":
        pictures = fitted.codec_.received(data)
        first = fitted.codec_.decode(fitted.codec_.levelled(pictures.x))
        deliver_pictures(fitted, fitted.reconstruct(pictures), out, above=first, json=json)
        return
    if fitted.kind == "text":
        texts = fitted.codec_.received(data)
        beside = {"sentence": list(texts.items)}
        deliver_sentences(fitted.reconstruct(texts), out, beside=beside, json=json)
        return
    deliver(fitted.reconstruct(data), out, json=json)


@app.command
def encode(model: Model, data: Data, /, *, out: Out = None, json: Json = False) -> None:
    """Write the code of each item of DATA: posterior means z1…zD and deviations scale1…scaleD.

    Of pictures with discrete codes these: code1…codeP.

    Example: `variate encode people.variate people.csv --out codes.parquet`
    """
    import pyarrow as pa

    expect_writable(out, model, data)
    expect_table(out)
    fitted = load(model)
    items: Any = fitted.codec_.received(data) if fitted.kind in ("image", "music") else data
    if fitted.kind == "image" and _is_discrete(fitted):
        discrete = fitted.codes(items)
        flat = discrete.reshape(len(discrete), -1)
        codes = {f"code{p + 1}": flat[:, p] for p in range(flat.shape[1])}
    else:
        mean, scale = fitted.encode(items)
        codes = {f"z{d + 1}": mean[:, d] for d in range(mean.shape[1])}
        codes |= {f"scale{d + 1}": scale[:, d] for d in range(scale.shape[1])}
    if fitted.kind == "music":
        codes = {"music": items.labels()} | codes
    table = named(items, codes) if fitted.kind == "image" else pa.table(codes)
    deliver(table, out, json=json)


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

    The items of a series are windows, of which the first and the last step are written; of
    pictures their names.

    Example: `variate score people.variate people.csv --out scores.csv`
    """
    from variate.table import files

    expect_writable(out, model, data)
    expect_table(out)
    fitted = load(model)
    if fitted.kind in ("series", "image", "text", "music"):
        deliver(fitted.score_table(data, draws=draws), out, json=json)
        return
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
    strength: Annotated[
        float,
        Parameter(help="In prior deviations; of hierarchies and discrete codes the share renewed."),
    ] = 0.5,
    keep: Annotated[
        int | None, Parameter(help="Of pictures' hierarchies: the top groups that stay.")
    ] = None,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Write variations of items of DATA.

    Example: `variate vary people.variate people.csv --item 3 -n 8 --strength 0.5`
    """
    from variate.table import files

    expect_writable(out, model, data)
    fitted = load(model)
    if keep is not None:
        expect_kind(fitted, "image", "--keep")
    _expect_music(fitted, score, audio)
    expect_form(fitted, out)
    rows = item_of(fitted, data, item) if item is not None else data
    with files.naming(data):
        given = {} if keep is None else {"keep": keep}
        varied = fitted.vary(rows, n, strength=strength, seed=seed, **given)
    if fitted.kind == "music":
        deliver_music(varied, out, (score, audio), json=json)
        return
    if fitted.kind == "image":
        deliver_pictures(fitted, varied, out, columns=n, json=json)
        return
    if fitted.kind == "text":
        deliver_sentences(varied, out, json=json)
        return
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
    animate: Annotated[
        bool, Parameter(negative=(), help="Pictures: write .webp as an animation.")
    ] = False,
    score: Score = None,
    audio: Audio = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Write the items on the way from one item of DATA to another.

    Example: `variate interpolate people.variate people.csv --from 0 --to 7 --steps 9`, or
    `variate interpolate digits.variate digits.npy --from 0 --to 7 --steps 24 --out way.gif`
    """
    from variate.table import files

    expect_writable(out, model, data)
    fitted = load(model)
    _expect_music(fitted, score, audio)
    if animate:
        expect_kind(fitted, "image", "--animate")
    expect_form(fitted, out, animate=animate)
    ends = item_of(fitted, data, start), item_of(fitted, data, end)
    with files.naming(data):
        way = fitted.interpolate(*ends, steps=steps)
    if fitted.kind == "music":
        deliver_music(way, out, (score, audio), json=json)
        return
    if fitted.kind == "image":
        deliver_pictures(fitted, way, out, columns=steps, animate=animate, json=json)
        return
    if fitted.kind == "text":
        deliver_sentences(way, out, json=json)
        return
    deliver(way, out, json=json)


def _is_discrete(fitted: Any) -> bool:
    """Whether the codes of a model of pictures are discrete."""
    from variate.image.networks.codes import Codes

    return isinstance(fitted.network, Codes)


def _expect_music(fitted: Any, score: str | None, audio: str | None) -> None:
    for name, value in (("--score", score), ("--audio", audio)):
        if value is not None:
            expect_kind(fitted, "music", name)


def _expect_kinds(fitted: Any, options: dict[str, Any]) -> None:
    """Refuse options of `sample` that a model's kind does not have."""
    if options["--rows"] is not None:
        expect_kind(fitted, "table", "--rows")
    if options["--given"] and fitted.kind not in {"text", "music"}:
        expect_kind(fitted, "table", "--given")
    if options["--top-p"] is not None:
        expect_kind(fitted, "text", "--top-p")
