"""Pieces of which a part is written anew: some bars, some voices or tracks, all but the first.

This module does not know how it is written: its texture does.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from variate.errors import OptionError
from variate.music.records import Rewritten
from variate.options import above_zero, whole

__all__ = ["accompanied", "rewritten"]

Numbers = Sequence[int] | None


def rewritten(
    estimator: Any,
    x: Tensor,
    bars: Numbers,
    parts: tuple[Numbers, Numbers],
    *,
    draws: int,
    temperature: float,
    seed: int | None,
) -> Rewritten:
    """Items with some bars and parts written anew; see `MusicVAE.impute`.

    Args:
        estimator: A `MusicVAE`, fitted.
        x: The items.
        bars: Counted from 1; None for all.
        parts: Voices, and tracks: a model has only one of them. None for all.
        draws: Of each item.
        temperature: Below 1: more typical ones.
        seed: Makes the draws repeatable.

    Raises:
        OptionError: There is no such bar or part.
    """
    whole("draws", draws)
    above_zero("temperature", temperature)
    texture = estimator._texture
    voices, tracks = parts
    for name, numbers in (("voice", voices), ("track", tracks)):
        if numbers is not None and texture.part != name:
            raise OptionError(
                f"the model is of {texture.part}s, and has no {name}s: say {texture.part}s=."
            )
    made = texture.rewritten(
        estimator.model_, x, bars, tracks if voices is None else voices, draws=draws,
        temperature=temperature, seed=seed,
    )  # fmt: skip
    decode = estimator.codec_.decode
    return Rewritten(decode(made.likeliest), [decode(drawn) for drawn in made.draws])


def accompanied(
    estimator: Any, X: Any, *, draws: int, temperature: float, seed: int | None
) -> Rewritten:
    """The other voices or tracks written to a given one; see `MusicVAE.accompany`.

    Raises:
        OptionError: The model has one only.
    """
    texture = estimator._texture
    if texture.parts == 1:
        raise OptionError(
            f"a model of one {texture.part} accompanies nothing; fit music of several."
        )
    others = range(2, texture.parts + 1)
    parts = (others, None) if texture.part == "voice" else (None, others)
    return rewritten(
        estimator, texture.first_part(X), None, parts, draws=draws, temperature=temperature,
        seed=seed,
    )  # fmt: skip
