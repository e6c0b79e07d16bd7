"""Sentences looked at for anomalies: where the alarms of `variate.alarms` have their reasons from.

This module does not know how an alarm is raised.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from variate import alarms
from variate.text.tokenwise import tokenwise
from variate.text.words import UNSPACED

__all__ = ["SentenceItems", "strangest"]

NAMED = 3  # words
WORTH = 1.0  # nats: surprise beyond what was expected, to be named


class SentenceItems(alarms.Items):
    """Sentences that are looked at for anomalies; they are read once.

    Args:
        estimator: The model, fitted.
        X: The sentences.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        super().__init__(estimator, X)
        self._looked: tuple[Tensor, Mapping[int, str]] | None = None

    def parts(self) -> Iterator[Any]:
        """All sentences at once: as tokens they are small."""
        yield self.X

    def look(self, part: Any) -> tuple[Tensor, Mapping[int, str]]:
        """The sentences; those that are too long for the model are alarms.

        They are scored by their beginning.
        """
        if self._looked is None:
            codec = self.estimator.codec_
            texts = codec.received(part)
            ids = codec.tokens.encode(texts.items)
            x, fits = codec.filled(ids, texts.labels)
            long = (~fits).nonzero().flatten().tolist()
            self._looked = (
                x,
                {
                    i: f"has {len(ids[i])} tokens, and this model's sentences at most {codec.most}"
                    for i in long
                },
            )
        return self._looked

    def reasons(
        self, x: Tensor, strange: Sequence[int], normal: NDArray[Any], start: int
    ) -> list[str]:
        """Which words of each strange sentence are not as expected."""
        del normal, start
        return strangest(self.estimator, x[np.asarray(strange)])


def strangest(estimator: Any, x: Tensor) -> list[str]:
    """The words of each of x `[N, T]` that are least as expected, in one line each."""
    told = tokenwise(estimator.model_, x)
    beyond = told.surprise - told.expected
    lines = []
    for row, nats, part in zip(x, beyond, told.part, strict=True):
        spelled, front = estimator.codec_.spelled(row), estimator.codec_.front
        nats, part = nats[front:], part[front:]
        words = _words(spelled, nats[: len(spelled)].tolist())
        if int(part.sum()) > len(spelled):
            words.append(("the end here", float(nats[len(spelled)])))
        worst = sorted((word for word in words if word[1] > WORTH), key=lambda word: -word[1])
        named = [f"{_quoted(text)} (+{size:.1f} nats)" for text, size in worst[:NAMED]]
        lines.append("unexpected: " + ", ".join(named) if named else "a little, everywhere")
    return lines


def _words(spelled: Sequence[str], nats: Sequence[float]) -> list[tuple[str, float]]:
    """Tokens joined to words: a word begins where a token begins with a space.

    Of what is written without spaces each token that begins with a letter of it is a word.
    """
    words: list[tuple[str, float]] = []
    held = 0.0  # of a character that is spread over tokens, and is written with its last one
    for text, size in zip(spelled, nats, strict=True):
        held += size
        if not text:
            continue
        if words and not text[0].isspace() and not UNSPACED.match(text):
            words[-1] = (words[-1][0] + text, words[-1][1] + held)
        else:
            words.append((text, held))
        held = 0.0
    return words


def _quoted(text: str) -> str:
    return text if text == "the end here" else repr(text.strip() or text)
