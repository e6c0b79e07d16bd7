"""Sentences made ready for training: tokens, and three sets that share no sentence.

What is written twice is one sentence here: it goes into one of the three sets as often as it was
written, and so no figure is of a sentence that training saw. Sentences beyond the model's length
are left out, and counted.

This module does not know any network.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from variate.errors import DataError, DataWarning
from variate.preparation import Prepared, split
from variate.text.codec import TextCodec
from variate.text.reading import Texts, are_numbers
from variate.training import AugmentedSource, LengthSource, Source

__all__ = ["Parted", "lengths_of", "made_ready", "parted", "source_of"]

EXAMPLE = 20_000  # sentences that a learned prior starts from, or is fitted to
UNLABELLED = 0.15  # of labelled sentences that are shown without their label
LOOKED_AT = 1_000  # sentences, to see whether they are numbers
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
    parts = parted(texts, seed)
    _expect_several(texts, len(parts.distinct))
    seen = [parts.distinct[i] for i in parts.training.tolist()]
    codec.learn(Texts(seen, texts.origin, labels=texts.labels), parts.distinct)
    _mention_numbers(texts)
    x, fits = codec.filled(codec.tokens.encode(texts.items), texts.labels)
    _mention_long(texts, codec, fits)
    rows, validation, held_out = parts.rows(x, fits)
    if rows is None:
        raise DataError(
            f"all sentences have more than length={codec.most} tokens; ask for a longer length, "
            "or split them into shorter ones."
        )
    long = int((~fits).sum())
    repeated = len(texts.items) - len(parts.distinct)
    places = float(lengths_of(rows, codec.end).float().mean())
    notes: dict[str, Any] = {
        "sentences": len(texts.items), "vocabulary": codec.tokens.size, "length": codec.most,
        "tokens_per_sentence": round(places - 1 - codec.front, 2),
        **({"labels": codec.labels} if codec.labels else {}),
        **texts.notes,
    }  # fmt: skip
    notes |= {"too_long": long} if long else {}
    notes |= {"duplicates": repeated} if repeated else {}
    return Prepared(
        codec=codec,
        training=source_of(codec, rows),
        example=rows[torch.randperm(len(rows), generator=_seeded(seed))[:EXAMPLE]],
        validation=validation,
        held_out=held_out,
        notes=notes,
    )


def source_of(codec: TextCodec, rows: Tensor) -> Source:
    """Batches of sentences `[N, T]` that are about equally long; labels are left out at times.

    So the model knows what to make of a sentence without one.
    """
    source = LengthSource(rows, lengths_of(rows, codec.end))
    if not codec.labels:
        return source
    none = codec.end + 1

    def change(x: Tensor, generator: torch.Generator) -> Tensor:
        hidden = torch.rand(len(x), generator=generator, device=x.device) < UNLABELLED
        first = torch.where(hidden, none, x[:, 0])
        return torch.cat([first[:, None], x[:, 1:]], 1)

    return AugmentedSource(source, change)


@dataclass(frozen=True)
class Parted:
    """Sentences dealt out, each different one to one of three sets.

    Attributes:
        distinct: The different sentences.
        of: Which of them each sentence is, `[N]`.
        training: Numbers of different sentences.
        validation: The same, or None.
        held_out: The same, or None.
    """

    distinct: list[str]
    of: Tensor
    training: Tensor
    validation: Tensor | None
    held_out: Tensor | None

    def rows(self, x: Tensor, fits: Tensor) -> tuple[Tensor | None, ...]:
        """The rows of each set, each as often as it was written; None of what has none.

        Args:
            x: All sentences, `[N, T]`.
            fits: Those that are not too long, `[N]`.
        """
        sets = (self.training, self.validation, self.held_out)
        found = [None if part is None else x[self._members(part) & fits] for part in sets]
        return tuple(rows if rows is not None and len(rows) else None for rows in found)

    def _members(self, part: Tensor) -> Tensor:
        belongs = torch.zeros(len(self.distinct), dtype=torch.bool)
        belongs[part] = True
        return belongs[self.of]


def parted(texts: Texts, seed: int) -> Parted:
    """Sentences dealt out; no more are set apart than can be measured in short time."""
    numbers: dict[str, int] = {}
    of = torch.tensor([numbers.setdefault(item, len(numbers)) for item in texts.items])
    training, *others = split(torch.arange(len(numbers)), seed)
    kept = [None if part is None else part[:SPARED] for part in others]
    back = [part[SPARED:] for part in others if part is not None]
    return Parted(list(numbers), of, torch.cat([training, *back]).sort().values, *kept)


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


def _mention_numbers(texts: Texts) -> None:
    if are_numbers(texts.items[:LOOKED_AT]):
        warnings.warn(
            f"{texts.origin or 'the list'}: the text is numbers (the first is "
            f"{texts.items[0]!r:.40}), which a model of text spells sign by sign; name another "
            "column (column=, --column), or fit a table, which knows their sizes.",
            DataWarning,
            stacklevel=6,
        )


def _mention_long(texts: Texts, codec: TextCodec, fits: Tensor) -> None:
    long = (~fits).nonzero().flatten().tolist()
    if not long:
        return
    share = len(long) / len(fits)
    warnings.warn(
        f"{len(long):,} of {len(fits):,} sentences ({share:.1%}) have more than {codec.most} "
        f"tokens and are left out (the first: {texts.place(long[0])}); to have them, ask for a "
        "longer length, or split them.",
        DataWarning,
        stacklevel=6,
    )
