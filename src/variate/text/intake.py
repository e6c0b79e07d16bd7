"""Sentences made ready for training: tokens, and three sets that share no sentence.

What is written twice is one sentence here: it goes into one of the three sets as often as it was
written, and so no figure is of a sentence that training saw. Sentences beyond the model's length
are left out, and counted.

This module does not know any network.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

from variate.errors import DataError, DataWarning
from variate.preparation import Prepared, split
from variate.text.codec import TextCodec
from variate.text.reading import Texts
from variate.training import LengthSource

__all__ = ["lengths_of", "made_ready"]

EXAMPLE = 20_000  # sentences that a learned prior starts from, or is fitted to
SPARED = 500  # sentences, at the most, of each set apart: each is scored with 64 draws of its code


def made_ready(codec: TextCodec, texts: Texts, seed: int) -> Prepared:
    """A codec that has learned from sentences, and these split.

    Args:
        codec: Not fitted yet.
        texts: The sentences.
        seed: Of the split.

    Raises:
        DataError: There are fewer than two different sentences, or all are too long.
    """
    numbers: dict[str, int] = {}
    of = torch.tensor([numbers.setdefault(item, len(numbers)) for item in texts.items])
    distinct = list(numbers)
    _expect_several(texts, len(distinct))
    parts = _modest(split(torch.arange(len(distinct)), seed))
    assert parts[0] is not None
    codec.learn(Texts([distinct[i] for i in parts[0].tolist()]), distinct)
    x, fits = codec.filled(codec.tokens.encode(distinct))
    _mention_long(texts, codec, of, fits)
    sets = [None if part is None else _occurrences(part, of, fits) for part in parts]
    training = sets[0]
    assert training is not None
    if not len(training):
        raise DataError(
            f"all sentences have more than length={codec.length - 1} tokens; ask for a longer "
            "length, or split them into shorter ones."
        )
    rows = x[training]
    validation, held_out = (None if s is None or not len(s) else x[s] for s in sets[1:])
    long = int((~fits[of]).sum())
    repeated = len(of) - len(distinct)
    notes: dict[str, Any] = {
        "sentences": len(of), "vocabulary": codec.tokens.size, "length": codec.length - 1,
        "tokens_per_sentence": round(float(lengths_of(rows, codec.end).float().mean()) - 1, 2),
        **texts.notes,
    }  # fmt: skip
    notes |= {"too_long": long} if long else {}
    notes |= {"duplicates": repeated} if repeated else {}
    return Prepared(
        codec=codec,
        training=LengthSource(rows, lengths_of(rows, codec.end)),
        example=rows[torch.randperm(len(rows), generator=_seeded(seed))[:EXAMPLE]],
        validation=validation,
        held_out=held_out,
        notes=notes,
    )


def _modest(parts: tuple[Tensor, Tensor | None, Tensor | None]) -> tuple[Tensor | None, ...]:
    """The three sets with no more set apart than can be measured in short time."""
    training, *others = parts
    kept = [None if part is None else part[:SPARED] for part in others]
    back = [part[SPARED:] for part in others if part is not None]
    return torch.cat([training, *back]).sort().values, *kept


def _occurrences(part: Tensor, of: Tensor, fits: Tensor) -> Tensor:
    """The distinct sentences of a set, each as often as it was written, without the long ones."""
    belongs = torch.zeros(len(fits), dtype=torch.bool)
    belongs[part] = True
    return of[belongs[of] & fits[of]]


def lengths_of(x: Tensor, end: int) -> Tensor:
    """Tokens of sentences `[N, T]`, the end included."""
    return (x != end).sum(1) + 1


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _expect_several(texts: Texts, distinct: int) -> None:
    if distinct >= 2:
        return
    origin = texts.origin or "the list"
    found = (
        "there is one sentence"
        if len(texts.items) == 1
        else (f"all {len(texts.items):,} sentences are the same")
    )
    raise DataError(
        f"{origin}: {found}, and a model is fitted to many: hundreds at the least, tens of "
        "thousands to draw new ones that are worth reading."
    )


def _mention_long(texts: Texts, codec: TextCodec, of: Tensor, fits: Tensor) -> None:
    long = (~fits[of]).nonzero().flatten().tolist()
    if not long:
        return
    share = len(long) / len(of)
    warnings.warn(
        f"{len(long):,} of {len(of):,} sentences ({share:.1%}) have more than "
        f"{codec.length - 1} tokens and are left out (the first: {texts.place(long[0])}); to have "
        "them, ask for a longer length, or split them.",
        DataWarning,
        stacklevel=6,
    )
