"""`variate direction` and `variate move`: codes moved towards what labels tell.

A direction is kept as JSON, with what it is a direction of: the numbers mean something in the
latent space of one model only, and `move` refuses those of another.

This module does not know any mathematics.
"""

import hashlib
import json as json_text
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, app, expect_kind, item_of, load
from variate.cli.forms import expect_form
from variate.cli.labelling import labels_of
from variate.cli.pictures import deliver_pictures
from variate.cli.sentences import deliver_sentences
from variate.console import deliver, expect_ending, expect_writable, report, say
from variate.errors import DataError, OptionError
from variate.options import finite

__all__ = ["direction", "move"]

NAMED = 8  # labels, in an error


@app.command
def direction(
    model: Model,
    data: Data,
    /,
    *,
    labels: Annotated[
        str, Parameter(help="A column of DATA, a file of labels, or 'folders'; see the pages.")
    ],
    to: Annotated[
        str | None, Parameter(help="The label to move to; None: labels are true and false.")
    ] = None,
    start: Annotated[
        str | None, Parameter(name="--from", help="The label to move from; None: all others.")
    ] = None,
    out: Annotated[Path, Parameter(help="A .json file, for `variate move`.")],
    json: Json = False,
) -> None:
    """Write the direction in the latent space that leads to a label.

    It is the difference of the mean codes of items with and without the label, and so moves
    whatever goes along with it in DATA.

    Example: `variate direction faces.variate faces/ --labels smiles.csv --to yes --out smile.json`
    """
    import numpy as np

    expect_writable(out, model, data, labels)
    expect_ending(out, ".json")
    fitted = load(model)
    _expect_steering(fitted, "direction")
    items = _items(fitted, data)
    given, count = labels_of(labels, data, items), len(fitted._rows(items))
    if len(given) != count:
        raise DataError(f"there are {len(given):,} labels and {count:,} items.")
    has, among = _chosen(given, start, to)
    part = items if among.all() else items.part(np.flatnonzero(among).tolist())
    found = fitted.direction(part, has[among])
    told = {
        "kind": fitted.kind, "model": _fingerprint(fitted), "labels": labels,
        "from": start, "to": to, "with": int(has[among].sum()),
        "without": int((~has[among]).sum()), "length": float(np.linalg.norm(found)),
    }  # fmt: skip
    _write({**told, "direction": found.tolist()}, out)
    say(f"wrote {out}")
    report({**told, "out": str(out)}, json=json)


@app.command
def move(
    model: Model,
    data: Data,
    /,
    *,
    direction: Annotated[Path, Parameter(help="A .json file of `variate direction`.")],
    strength: Annotated[
        float, Parameter(help="How far: 1 is from the middle of those without to those with.")
    ] = 1.0,
    steps: Annotated[
        int | None, Parameter(help="Items on the way, the unmoved included; None: the last alone.")
    ] = None,
    item: Annotated[int | None, Parameter(help="The item to move, from 0; None: each.")] = None,
    animate: Annotated[
        bool, Parameter(negative=(), help="Pictures: write .webp as an animation.")
    ] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Write items of DATA with their codes moved in a direction.

    Example: `variate move faces.variate faces/ --direction smile.json --steps 9 --out smiles.png`
    """
    import numpy as np

    expect_writable(out, model, data, direction)
    finite("--strength", strength)
    fitted = load(model)
    _expect_steering(fitted, "move")
    if animate:
        expect_kind(fitted, "image", "--animate")
    expect_form(fitted, out, animate=animate)
    way = _read(direction, fitted)
    items = _items(fitted, data) if item is None else item_of(fitted, data, item)
    if steps is None:
        shares = np.array([strength])
    elif steps < 2:
        raise OptionError(f"--steps must be at least 2, got {steps}.")
    else:
        shares = np.linspace(0.0, strength, steps)
    if fitted.kind == "text":
        each = [fitted.move(items, way, share) for share in shares]
        deliver_sentences(
            [text for texts in zip(*each, strict=True) for text in texts], out, json=json
        )
        return
    codes = fitted.encode(items).mean
    moved = fitted.decode((codes[:, None] + shares[:, None] * way).reshape(-1, codes.shape[1]))
    if fitted.kind == "image":
        columns = None if steps is None else steps
        deliver_pictures(fitted, moved, out, columns=columns, animate=animate, json=json)
        return
    deliver(moved, out, json=json)


def _expect_steering(fitted: Any, what: str) -> None:
    """Refuse kinds that have no directions."""
    if not hasattr(fitted, "direction"):
        raise OptionError(f"{what} is not for models of the kind {fitted.kind!r}.")


def _items(fitted: Any, data: Path) -> Any:
    """All items of a file, read once: what the kind's codec reads, of which there are parts."""
    return fitted.codec_.received(data)


def _chosen(labels: Any, start: str | None, to: str | None) -> tuple[Any, Any]:
    """Which items have the label, and which count, both `[N]`.

    Raises:
        DataError: No item has a label that is asked for.
        OptionError: It is not said which label, and labels are not true and false.
    """
    import numpy as np

    said = np.array([_said(label) for label in labels])
    known = sorted(set(said))
    if to is None:
        truth = {"true": True, "false": False, "1": True, "0": False}
        if start is not None or not {word.lower() for word in known} <= set(truth):
            raise OptionError(
                f"say --to with the label to move to; there are {', '.join(known[:NAMED])}"
                + (" …" if len(known) > NAMED else "")
            )
        return np.array([truth[word.lower()] for word in said]), np.ones(len(said), bool)
    for label in (to, start):
        if label is not None and label not in known:
            raise DataError(
                f"no item has the label {label!r}; there are {', '.join(known[:NAMED])}"
                + (" …" if len(known) > NAMED else "")
            )
    has = said == to
    return has, (np.ones(len(said), bool) if start is None else has | (said == start))


def _said(label: Any) -> str:
    """A label in words: 3.0 is 3."""
    import numpy as np

    value = label.item() if isinstance(label, np.generic) else label
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _fingerprint(fitted: Any) -> str:
    """What tells one model's weights from another's."""
    digest = hashlib.sha256()
    for name, tensor in sorted(fitted.model_.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _write(told: dict[str, Any], out: Path) -> None:
    from variate.output import replacing

    with replacing(out) as file:
        file.write((json_text.dumps(told, indent=1) + "\n").encode())


def _read(path: Path, fitted: Any) -> Any:
    """The numbers of a direction `[D]`, if they are of this model.

    Raises:
        DataError: It is no direction, or of another model.
    """
    import numpy as np

    try:
        told = json_text.loads(path.read_text(encoding="utf-8"))
        way = np.asarray(told["direction"], dtype=np.float64)
        of = told["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no direction: {type(error).__name__}: {error}. Make one with variate "
            "direction."
        ) from error
    if of != _fingerprint(fitted) or way.shape != (fitted.latent_,) or not np.isfinite(way).all():
        raise DataError(
            f"{path} is a direction of another model, in whose latent space these numbers mean "
            "something else; make one of this model with variate direction."
        )
    return way
