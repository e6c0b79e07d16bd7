"""Pictures on the command line: one of them, files of them, tables about them.

This module does not know any mathematics.
"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from variate.cli.app import Data, Json, Model, Out, app, expect_kind, item_of, load
from variate.console import deliver, expect_writable, report, say
from variate.errors import DataError, OptionError

__all__ = [
    "deliver_pictures",
    "detect_pictures",
    "expect_pictures",
    "mask_of",
    "named",
    "traverse",
]


@app.command
def traverse(
    model: Model,
    data: Data | None = None,
    /,
    *,
    item: Annotated[int, Parameter(help="The picture of DATA to start from, from 0.")] = 0,
    steps: Annotated[int, Parameter(help="Pictures for each dimension.")] = 9,
    extent: Annotated[float, Parameter(help="How far to each side.")] = 2.5,
    animate: Annotated[
        bool, Parameter(negative=(), help="Write .webp as an animation (.gif always is).")
    ] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Move one latent dimension after the other: a row of pictures for each.

    Without DATA it starts from the code 0. Those that say most about pictures come first.

    Example: `variate traverse digits.variate --out dimensions.png`
    """
    expect_writable(out, model, data)
    fitted = load(model)
    expect_kind(fitted, "image", "traverse")
    expect_pictures(out, animate=animate)
    start = None if data is None else item_of(fitted, data, item)
    moved = fitted.traverse(start, steps=steps, extent=extent)
    deliver_pictures(fitted, moved, out, columns=steps, animate=animate, json=json)


def detect_pictures(
    fitted: Any,
    data: Path,
    outs: tuple[Path | None, Path | None],
    *,
    fdr: float,
    draws: int | None,
    json: bool,
) -> None:
    """Write the alarms among pictures as a table, and those that are as a grid.

    Args:
        fitted: The model.
        data: The pictures.
        outs: Where the table and the grid go.
        fdr: The most that the expected share of false alarms may be.
        draws: For the scores.
        json: Whether to print JSON.
    """
    import numpy as np

    from variate.image.illustrations import stacked
    from variate.image.pictures import grid, heat, write_picture

    out, sheet = outs
    codec, pictures = fitted.codec_, fitted.codec_.received(data)
    found = fitted.detect(pictures, fdr=fdr, draws=draws)
    columns = {name: list(getattr(found, name)) for name in ("score", "p_value", "anomaly")}
    strange = [int(n) for n in np.argsort(-found.score) if found.anomaly[n]][:12]
    if sheet is not None and strange:
        chosen = pictures.part(strange)
        first = codec.eight_bits(codec.decode(codec.levelled(chosen.x)))
        again = codec.eight_bits(fitted.reconstruct(chosen))
        rows = stacked(first, again, heat(fitted.heat(chosen)))
        write_picture(grid(rows, len(strange)), sheet)
        say(f"wrote {sheet}")
    elif sheet is not None:
        say(f"there is no alarm to show, and {sheet} is not written")
    deliver(named(pictures, columns | {"reasons": found.reasons}), out, json=json)


def deliver_pictures(
    model: Any,
    pictures: Any,
    out: Path | None,
    *,
    columns: int | None = None,
    above: Any = None,
    animate: bool = False,
    json: bool,
) -> None:
    """Write pictures where `--out` says.

    An animation of rows of pictures (`columns`) shows all rows at once, one column after the other
    and back.

    Args:
        model: Whose pictures they are.
        pictures: In the form that the model gives them.
        out: A folder that is new or empty, an .npy file, a grid (.png …), or an animation (.gif).
        columns: Of a grid; None makes it square.
        above: Pictures to show above these in a grid, in rows.
        animate: Whether .webp is an animation.
        json: Whether what is said of it is JSON.
    """
    import numpy as np

    from variate.image import pictures as written
    from variate.output import replacing

    out = expect_pictures(out, animate=animate)
    suffix = out.suffix.lower()
    shown = model.codec_.eight_bits(pictures)
    if suffix == ".npy":
        with replacing(out) as file:
            np.save(file, _array(model, pictures), allow_pickle=False)
    elif suffix == "":
        written.write_folder(shown, out)
    elif suffix == ".gif" or (animate and suffix == ".webp"):
        frames = shown if columns is None else _side_by_side(shown, columns)
        written.animate(frames, out, there_and_back=columns is not None)
    elif above is not None:
        first = model.codec_.eight_bits(above)
        written.write_picture(_in_pairs(first, shown), out)
    else:
        written.write_picture(written.grid(shown, columns), out)
    say(f"wrote {out}")
    report({"pictures": len(shown), "out": str(out)}, json=json)


def expect_pictures(out: Path | None, *, animate: bool = False) -> Path:
    """Find out before the work, not after it, whether pictures can be written as `--out` says.

    Args:
        out: The place.
        animate: Whether .webp is an animation.

    Raises:
        OptionError: There is no `--out`, or no animation has its ending.
        OutputError: No pictures have its ending.
    """
    from variate.image.pictures import expect_picture

    if out is None:
        raise OptionError(
            "pictures need --out: a new folder, a grid (.png, .webp, .jpg), an animation (.gif), "
            "or an array (.npy)."
        )
    suffix = out.suffix.lower()
    if animate and suffix not in (".gif", ".webp"):
        raise OptionError(f"{out}: animations end in .gif or .webp.")
    if suffix not in ("", ".npy", ".gif"):
        expect_picture(out)
    return out


def named(pictures: Any, columns: dict[str, Any]) -> Any:
    """Columns about pictures as a table, whose first column names these."""
    import pyarrow as pa

    return pa.table({"picture": pictures.labels(), **columns})


def mask_of(path: Path | None, size: tuple[int, int]) -> Any:
    """The mask of `--mask`: a picture, white where pixels are missing, or an .npy of truth values.

    Raises:
        OptionError: There is none.
        DataError: It cannot be read.
    """
    import numpy as np

    from variate.image.decoding import Form, decode

    if path is None:
        raise OptionError(
            "pictures need --mask: a picture that is white where pixels are missing, or an .npy "
            f"file of truth values, {size[0]} x {size[1]}."
        )
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        return decode(path, Form(size, 1, deep=False))[..., 0] > 127
    except (OSError, ValueError, EOFError) as error:  # DataError is a ValueError
        raise DataError(f"--mask {path} cannot be read: {error}.") from error


def _in_pairs(first: Any, second: Any) -> Any:
    """A grid in which each row of the one is followed by the same row of the other."""
    import numpy as np

    from variate.image.pictures import grid

    columns = min(16, len(first))
    rows = []
    for start in range(0, len(first), columns):
        for part in (first[start : start + columns], second[start : start + columns]):
            blank = np.full((columns - len(part), *part.shape[1:]), 255, part.dtype)
            rows.append(np.concatenate([part, blank]))
    return grid(np.concatenate(rows), columns)


def _side_by_side(pictures: Any, columns: int) -> Any:
    """Rows of so many pictures as so many frames, each a grid of one picture of every row."""
    import numpy as np

    from variate.image.pictures import grid

    if len(pictures) <= columns:
        return pictures
    return np.stack([grid(pictures[k::columns], most=600) for k in range(columns)])


def _array(model: Any, pictures: Any) -> Any:
    return model.codec_.eight_bits(pictures) if isinstance(pictures, list) else pictures
