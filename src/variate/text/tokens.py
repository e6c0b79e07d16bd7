r"""Tokens: byte-pair encoding of UTF-8, learned from text, lossless for any.

    sentence -> bytes -> tokens 0 … K - 1, each a string of bytes -> bytes -> sentence

The first 256 tokens are the bytes, so any text has an encoding and nothing is ever unknown; the
others are made by joining the pair that is most frequent, again and again (Sennrich et al. 2016;
on bytes, Radford et al. 2019), within words. The pairs, in order, are all that need be kept: the
rest follows from them.

    token 256 + i  =  token a_i followed by token b_i          a_i, b_i < 256 + i

Of strings of tokens only some are UTF-8. Which may follow which is a finite automaton (the DFA of
UTF-8 in RFC 3629, run over the bytes of each token); as the model's grammar it makes all that is
drawn valid text, at no loss: log p is that of sentences.

This module does not know any model, nor where the text came from.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variate.errors import MissingExtraError

__all__ = ["BYTES", "Tokens"]

BYTES = 256
MOST = 1 << 20  # tokens
LONGEST = 1024  # bytes of a token
TOGETHER = 4096  # texts that are encoded at once
OK, NO = 0, -1
# From each state: (first byte, last byte, next state). State 0 is between two characters.
UTF8 = (
    ((0x00, 0x7F, 0), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2), (0xED, 0xED, 5),
     (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7)),
    ((0x80, 0xBF, 0),),
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),
    ((0x80, 0x9F, 1),),
    ((0x90, 0xBF, 2),),
    ((0x80, 0x8F, 2),),
)  # fmt: skip


class Tokens:
    """A vocabulary of strings of bytes.

    Args:
        merges: The pairs that make the tokens from 256 on.

    Raises:
        ValueError: A pair is of tokens that are not there yet, or makes one that is.
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        if len(merges) > MOST:
            raise ValueError(f"there are {len(merges)} merges, at most {MOST} can be")
        self.merges = [(int(a), int(b)) for a, b in merges]
        self.strings: list[bytes] = [bytes([i]) for i in range(BYTES)]
        for a, b in self.merges:
            if not (0 <= a < len(self.strings) and 0 <= b < len(self.strings)):
                raise ValueError(f"the merge {a}, {b} joins tokens that are not there yet")
            self.strings.append(self.strings[a] + self.strings[b])
            if len(self.strings[-1]) > LONGEST:
                raise ValueError(f"the merge {a}, {b} makes a token of over {LONGEST:,} bytes")
        if len(set(self.strings)) != len(self.strings):
            raise ValueError("two merges make the same token")

    @classmethod
    def learned(cls, texts: Sequence[str], size: int) -> "Tokens":
        """The vocabulary of at most `size` tokens that text suggests.

        Raises:
            MissingExtraError: The package `tokenizers` is not installed.
        """
        package = _package()
        tokenizer = _blank(package, package.models.BPE())
        trainer = package.trainers.BpeTrainer(
            vocab_size=max(size, BYTES),
            show_progress=False,
            initial_alphabet=[LETTERS[byte] for byte in range(BYTES)],
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(list(_pairs(tokenizer.to_str())))

    @property
    def size(self) -> int:
        """K, how many tokens there are."""
        return len(self.strings)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text."""
        ids: list[list[int]] = []
        for start in range(0, len(texts), TOGETHER):  # what is found is far larger than its ids
            part = self._tokenizer.encode_batch(list(texts[start : start + TOGETHER]))
            ids += [found.ids for found in part]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; U+FFFD where they are no UTF-8."""
        return b"".join(self.strings[i] for i in ids).decode("utf-8", errors="replace")

    def whole(self, ids: Sequence[int]) -> list[int]:
        """The tokens without those at the end that begin a character and do not complete it."""
        kept = list(ids)
        while kept and not _ends_whole(b"".join(self.strings[i] for i in kept[-4:])):
            kept.pop()
        return kept

    def moves(self, labels: int = 0) -> NDArray[np.int64]:
        """The grammar of UTF-8 over the tokens and the end; see `Grammar`.

        Args:
            labels: How many more symbols there are behind the end, of which each sentence begins
                with one, and which are nowhere else.

        Returns:
            `[8, K + 1]`; with labels `[9, K + 1 + labels]`, the first state before the label.
        """
        table = np.full((len(UTF8), BYTES), NO)
        for state, ranges in enumerate(UTF8):
            for first, last, following in ranges:
                table[state, first : last + 1] = following
        found = np.full((len(UTF8), self.size + 1), NO)
        for state in range(len(UTF8)):
            found[state, :BYTES] = table[state]
        for number, (a, b) in enumerate(self.merges, start=BYTES):
            between = found[:, a]
            found[:, number] = np.where(between < 0, NO, found[between, b])
        found[OK, self.size] = OK
        if not labels:
            return found
        wider = np.full((len(UTF8) + 1, self.size + 1 + labels), NO)
        wider[1:, : self.size + 1] = np.where(found < 0, NO, found + 1)
        wider[0, self.size + 1 :] = 1
        return wider

    @cached_property
    def _tokenizer(self) -> Any:
        package = _package()
        names = ["".join(LETTERS[byte] for byte in string) for string in self.strings]
        vocabulary = {name: number for number, name in enumerate(names)}
        pairs = [(names[a], names[b]) for a, b in self.merges]
        return _blank(package, package.models.BPE(vocabulary, pairs))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_tokenizer"}


def _ends_whole(string: bytes) -> bool:
    """Whether the last character of UTF-8 is complete."""
    begins = max((i for i, byte in enumerate(string) if byte & 0xC0 != 0x80), default=0)
    lead = string[begins]
    return len(string) - begins >= 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0)


def _package() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError("Text", "tokenizers", "text") from error
    return tokenizers


def _blank(package: Any, model: Any) -> Any:
    tokenizer = package.Tokenizer(model)
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _letters() -> list[str]:
    """The letter by which the package writes each byte: itself if it can be seen."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(BYTES) if byte not in seen]
    return [chr(byte) if byte in seen else chr(0x100 + hidden.index(byte)) for byte in range(BYTES)]


LETTERS = _letters()


def _pairs(described: str) -> Iterator[tuple[int, int]]:
    """The merges of a tokenizer of the package as numbers.

    Those that make nothing new are left out, and those of a run of one sign that goes on and on,
    which make a token that is too long.
    """
    import json

    numbers = {letter: byte for byte, letter in enumerate(LETTERS)}
    for pair in json.loads(described)["model"]["merges"]:
        a, b = pair.split(" ") if isinstance(pair, str) else pair
        known = a in numbers and b in numbers
        if known and a + b not in numbers and len(a + b) <= LONGEST:
            numbers[a + b] = len(numbers)
            yield numbers[a], numbers[b]
