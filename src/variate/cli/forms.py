"""Whether the items of a kind can be written as `--out` says: asked before the work, not after it.

This module does not know how they are written.
"""

from pathlib import Path
from typing import Any

from variate.cli.music import expect_pieces
from variate.cli.pictures import expect_pictures
from variate.cli.sentences import expect_sentences
from variate.console import expect_table

__all__ = ["expect_form"]


def expect_form(fitted: Any, out: Path | None, *, animate: bool = False) -> None:
    """Find out before the work whether a model's items can be written as `--out` says.

    Args:
        fitted: The model.
        out: The place, or None for standard output.
        animate: Whether pictures are to be an animation.

    Raises:
        OptionError: Items of this kind need a place, or no animation has its ending.
        OutputError: No items of this kind have its ending.
    """
    match fitted.kind:
        case "image":
            expect_pictures(out, animate=animate)
        case "music":
            expect_pieces(out)
        case "text":
            expect_sentences(out)
        case _:
            expect_table(out)
