"""Sentences <-> x `[N, T]`: what is learned of them, and both directions.

x holds tokens 0, …, K - 1 and the end K, with which a sentence is filled up. Learned are the merges
of the vocabulary and T, the most places. Where sentences are labelled, each begins with the symbol
of its label: K + 1 for none, K + 2, … for those that there are.

This module does not know any network.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from variate.codec import Codec
from variate.errors import DataError, OptionError, SchemaError
from variate.text.reading import Texts, name_of, read
from variate.text.tokens import BYTES, MOST, Tokens

__all__ = ["TextCodec", "expect_keepable"]

LONGEST = 128  # tokens of a sentence, where nobody says how many
MOST_TOKENS, BYTES_PER_TOKEN = 4096, 50  # of a vocabulary; of the text, for each of its tokens
LIMIT = 1 << 16  # places, and labels, that a file may ask for
MOST_LABELS = 1_000


class TextCodec(Codec):
    """Sentences <-> tokens.

    Args:
        vocabulary: How many tokens, 256 bytes among them; None chooses from the text.
        length: The most tokens of a sentence; None is half as many again as the longest of the text
            has, up to 128.
        column: Of a table: which column holds the text.
        label: Of a table: which column holds labels.

    Attributes:
        tokens: The vocabulary.
        length: T, the end and the label included.
        labels: The labels in the order of their symbols; empty where there are none.
    """

    tokens: Tokens
    length: int
    labels: list[str]

    def __init__(
        self,
        vocabulary: int | None = None,
        length: int | None = None,
        column: str | None = None,
        label: str | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.wanted = length
        self.column = column
        self.label = label
        self.labels = []

    def fit(self, raw: Any) -> Self:
        """Learn from raw data."""
        return self.learn(self.received(raw))

    def learn(self, texts: Texts, others: Sequence[str] = ()) -> Self:
        """Learn from sentences that were read.

        Args:
            texts: The vocabulary comes from these.
            others: Which must fit into the length, too.

        Raises:
            DataError: There are labels, and none is known, or far too many are.
        """
        self.labels = _labels_of(texts)
        self.tokens = Tokens.learned(texts.items, self.vocabulary or _fitting(texts.items))
        longest = max(map(len, self.tokens.encode([*texts.items, *others])))
        self.length = (self.wanted or min(longest * 3 // 2, LONGEST)) + 1 + self.front
        return self

    @property
    def front(self) -> int:
        """How many places are before a sentence: one for its label, where there are labels."""
        return 1 if self.labels else 0

    @property
    def most(self) -> int:
        """How many tokens a sentence has at the most."""
        return self.length - 1 - self.front

    @property
    def unlabelled(self) -> int | None:
        """The symbol of no label; None where there are no labels."""
        return self.end + 1 if self.labels else None

    def symbol_of(self, label: Any) -> int:
        """The symbol of a label.

        Raises:
            OptionError: There is no such label.
        """
        name = name_of(label)
        if name not in self.labels:
            there = ", ".join(map(repr, self.labels)) or "none: fit with labels, fit(X, labels)"
            raise OptionError(f"there is no label {label!r}; there is: {there}.")
        return self.end + 2 + self.labels.index(name)

    @property
    def end(self) -> int:
        """The symbol that ends a sentence."""
        return self.tokens.size

    @property
    def size(self) -> int:
        """How many symbols there are, the end among them."""
        return self.tokens.size + 1 + (len(self.labels) + 1 if self.labels else 0)

    def received(self, raw: Any) -> Texts:
        """Raw data as sentences."""
        return read(raw, self.column, self.label)

    def encode(self, raw: Any) -> Tensor:
        """Sentences as tokens x `[N, T]`, int32.

        Raises:
            DataError: They cannot be read.
            SchemaError: One is longer than the model's sentences.
        """
        texts = self.received(raw)
        x, fits = self.filled(self.tokens.encode(texts.items), texts.labels)
        if not fits.all():
            number = int((~fits).nonzero()[0])
            size = len(self.tokens.encode([texts.items[number]])[0])
            raise SchemaError(
                f"{texts.place(number)}: the sentence {_shown(texts.items[number])} has {size} "
                f"tokens, and this model's have at most {self.most}; shorten or split it "
                f"({int((~fits).sum())} of {len(fits)} are too long), or fit a model with "
                f"length={size}."
            )
        return x

    def filled(
        self, ids: Sequence[Sequence[int]], labels: Sequence[str | None] = ()
    ) -> tuple[Tensor, Tensor]:
        """Tokens as x `[N, T]`, and which fit, `[N]`; of those that do not the beginning.

        Args:
            ids: The tokens of each sentence.
            labels: Their labels; () is none for any. One that was not learned counts as none.
        """
        x = np.full((len(ids), self.length), self.end, dtype=np.int32)
        for row, found in zip(x, ids, strict=True):
            kept = found[: self.length - self.front]
            row[self.front : self.front + len(kept)] = kept
        if self.labels:
            known: dict[str | None, int] = {name: self.symbol_of(name) for name in self.labels}
            x[:, 0] = self.end + 1
            for row, label in zip(x, labels, strict=False):
                row[0] = known.get(label, self.end + 1)
        return torch.from_numpy(x), torch.tensor([len(i) <= self.most for i in ids])

    def decode(self, x: Tensor) -> list[str]:
        """Tokens `[N, T]` as sentences."""
        return [self.tokens.decode(self.ids(row)) for row in x]

    def labels_in(self, x: Tensor) -> list[str | None]:
        """The labels of sentences `[N, T]`, None where one has none; [] where there are no labels.

        These are what `filled` takes.
        """
        if not self.labels:
            return []
        names = [None, *self.labels]
        return [names[symbol - self.end - 1] for symbol in x[:, 0].tolist()]

    def ids(self, row: Tensor) -> list[int]:
        """The tokens of one sentence `[T]`, without its end.

        One that did not come to its end is cut to the length that sentences have, and to whole
        characters.
        """
        symbols: list[int] = row[self.front :].tolist()
        if self.end in symbols:
            return symbols[: symbols.index(self.end)]
        return self.tokens.whole(symbols[: self.most])

    def spelled(self, row: Tensor) -> list[str]:
        """The tokens of one sentence `[T]` as text, the end left out.

        A character that is spread over tokens is written with its last one.
        """
        pieces, held = [], b""
        for number in self.ids(row):
            held += self.tokens.strings[number]
            try:
                pieces.append(held.decode())
                held = b""
            except UnicodeDecodeError:
                pieces.append("")
        return pieces

    def state(self) -> dict[str, Any]:
        """What was learned, as JSON-able values."""
        return {
            "merges": [list(pair) for pair in self.tokens.merges],
            "length": self.length,
            "column": self.column,
            "label": self.label,
            "labels": self.labels,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The codec that `state` describes.

        Raises:
            ValueError: It describes none.
        """
        length = int(state["length"])
        if not 2 <= length <= LIMIT:
            raise ValueError(f"no sentences have {length} tokens")
        labels = [str(label) for label in state["labels"]]
        if len(labels) > LIMIT or len(set(labels)) != len(labels):
            raise ValueError("the labels are too many, or one is there twice")
        codec = cls(column=state["column"], label=state["label"])
        codec.labels = labels
        codec.tokens = Tokens([(a, b) for a, b in state["merges"]])
        codec.length = length
        return codec

    @property
    def schema(self) -> str:
        """The sentences, for people."""
        return (
            f"sentences of at most {self.most} tokens, of a vocabulary of "
            f"{self.tokens.size:,} ({BYTES} bytes and {self.tokens.size - BYTES:,} joined ones)"
            + (f", labelled {', '.join(self.labels[:20])}" if self.labels else "")
        )


def expect_keepable(vocabulary: int | None, length: int | None) -> None:
    """Refuse, before training, sizes that a model file may not ask for.

    Raises:
        OptionError: One is too large.
    """
    for name, given, most in (
        ("vocabulary", vocabulary, BYTES + MOST),
        ("length", length, LIMIT - 2),  # and the end, and the label
    ):
        if given is not None and given > most:
            raise OptionError(f"{name} must be at most {most:,}, got {given:,}.")


def _labels_of(texts: Texts) -> list[str]:
    """The labels of sentences, in order; none where nothing was said of labels."""
    labels = sorted({label for label in texts.labels if label is not None})
    origin = texts.origin or "the list"
    if texts.labels and not labels:
        raise DataError(f"{origin}: no sentence has a label; give some, or fit without labels.")
    if len(labels) > MOST_LABELS:
        raise DataError(
            f"{origin}: there are {len(labels):,} different labels (such as {labels[0]!r:.60}), "
            f"and a model knows at most {MOST_LABELS:,}; a label is a sort of sentence, and there "
            "are many of each."
        )
    return labels


def _fitting(items: Sequence[str]) -> int:
    """How many tokens suit so much text."""
    size = sum(len(item.encode()) for item in items)
    return BYTES + min(MOST_TOKENS - BYTES, size // BYTES_PER_TOKEN)


def _shown(item: str) -> str:
    return repr(item if len(item) <= 60 else item[:57] + "...")
