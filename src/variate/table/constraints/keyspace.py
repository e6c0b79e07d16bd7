r"""Where new keys come from: sets of keys that are numbered, and the numbers that are free.

    Numbered   prefix + number + suffix      17, CUST-000123
    Patterned  one alphabet per position     [A-Z]{2}-\d{4}, UUIDs

New keys must be none of training's, and no training key may be kept. A keyed permutation P of the
numbers 0 … M-1 (a Feistel network, walked along its cycle until it lands below M) scatters the
training keys evenly. The widest stretches of P's image in which none of them falls are then known
by two numbers each, and P^-1 of any number in a stretch is the number of a key that training does
not have: by construction, not by chance. The stretches are trimmed by an eighth at both ends, so
that their ends say nothing about the keys next to them.

Numbers that fill their range (1, 2, 3, …) have no stretches worth the name and are continued after
the highest, as numbers are once the stretches are used up. Row i of a call takes the S(i)-th free
number, S being a permutation that the seed gives: no key comes twice in a call, however large.

Patterns with more than 2^60 keys are numbered by their first positions; the others are drawn.

This module does not know columns, nor what a key identifies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from variate.errors import DataError, OptionError

__all__ = ["Free", "Numbered", "Patterned", "Shuffle", "alphabets_of", "draws"]

Ranks = NDArray[np.int64]
Words = NDArray[np.uint64]

MOST_RANKS = 2**60
LONGEST = 64  # characters of a pattern
STRETCHES = 64
ROUNDS = 6
DIGITS, LOWER, UPPER = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _mixed(words: Words) -> Words:
    """A bijection of 64-bit words that leaves no pattern (SplitMix64, Steele et al. 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def draws(first: int, rows: int, key: int, stream: int) -> Words:
    """A pseudo-random word for each row of a call, the same whatever the chunks it comes in."""
    start = np.full(rows, (key + stream * 0x632BE59BD9B4E019) % 2**64, np.uint64)
    return _mixed(_mixed(start) ^ _mixed(np.arange(first, first + rows, dtype=np.uint64)))


class Shuffle:
    """A permutation of 0 … size-1, given by a key.

    Args:
        size: How many numbers, at most 2^60.
        key: Which permutation.
    """

    def __init__(self, size: int, key: int) -> None:
        self.size = size
        self.half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
        self.mask = np.uint64((1 << int(self.half)) - 1)
        turns = np.arange(ROUNDS, dtype=np.uint64)
        self.keys: Words = _mixed(_mixed(np.full(ROUNDS, key % 2**64, np.uint64)) + turns)

    def forward(self, numbers: Ranks) -> Ranks:
        """P(i) of each number."""
        return self._walked(numbers, range(ROUNDS))

    def backward(self, numbers: Ranks) -> Ranks:
        """P^-1(i) of each number."""
        return self._walked(numbers, range(ROUNDS - 1, -1, -1))

    def _walked(self, numbers: Ranks, rounds: range) -> Ranks:
        words = self._crossed(numbers.astype(np.uint64), rounds)
        outside = np.flatnonzero(words >= np.uint64(self.size))
        while len(outside):
            words[outside] = self._crossed(words[outside], rounds)
            outside = outside[words[outside] >= np.uint64(self.size)]
        return words.astype(np.int64)

    def _crossed(self, words: Words, rounds: range) -> Words:
        left, right = words >> self.half, words & self.mask
        forward = rounds.step > 0
        for turn in rounds:
            if forward:
                left, right = right, left ^ (_mixed(right ^ self.keys[turn]) & self.mask)
            else:
                left, right = right ^ (_mixed(left ^ self.keys[turn]) & self.mask), left
        return (left << self.half) | right


@dataclass(frozen=True)
class Free:
    """Numbers of 0 … size-1 that no training key has.

    Attributes:
        size: M.
        stretches: First number and length of stretches of P's image, disjoint.
    """

    size: int
    stretches: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Check that the stretches are some."""
        end = 0
        for start, length in sorted(self.stretches):
            if not (type(start) is type(length) is int and start >= end and length > 0):
                raise ValueError("the stretches of free keys are damaged")
            end = start + length
        if not 0 < self.size <= MOST_RANKS or end > self.size or len(self.stretches) > STRETCHES:
            raise ValueError("the stretches of free keys lie outside of their range")

    @classmethod
    def of(cls, ranks: Ranks, size: int) -> Self:
        """The widest stretches without training keys."""
        taken = np.unique(Shuffle(size, 0).forward(ranks))
        ends = np.concatenate([[-1], taken, [size]])
        widths = np.diff(ends) - 1
        widest = np.argsort(-widths, kind="stable")[:STRETCHES]
        found = []
        for i in widest.tolist():
            trim = int(widths[i]) // 8 if len(ranks) else 0
            if widths[i] > 2 * trim:
                found.append((int(ends[i]) + 1 + trim, int(widths[i]) - 2 * trim))
        return cls(size, tuple(found))

    @property
    def room(self) -> int:
        """How many numbers there are."""
        return sum(length for _, length in self.stretches)

    def ranks(self, places: Ranks, key: int) -> Ranks:
        """Some of them, distinct for distinct places 0 … room-1, in an order given by a key."""
        if not len(places):
            return places
        places = Shuffle(self.room, key).forward(places)
        starts, lengths = np.array(self.stretches, np.int64).T
        ends = np.cumsum(lengths)
        which = np.searchsorted(ends, places, side="right")
        return Shuffle(self.size, 0).backward(starts[which] + places - (ends - lengths)[which])


@dataclass(frozen=True)
class Numbered:
    """Keys that are numbers, with text around them or without.

    Attributes:
        prefix: What stands before the number.
        suffix: What stands after it.
        width: Digits that it is filled up to with zeros; 0: it is not.
        low: The least in training.
        high: The greatest.
        free: Numbers from `low` on that training does not have, if they lie scattered.
    """

    prefix: str
    suffix: str
    width: int
    low: int
    high: int
    free: Free | None

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        texts = isinstance(self.prefix, str) and isinstance(self.suffix, str)
        whole = all(type(value) is int for value in (self.width, self.low, self.high))
        if not texts or not whole or not 0 <= self.width <= LONGEST:
            raise ValueError("the numbers of the keys are damaged")
        if not -(2**62) < self.low <= self.high < 2**62:
            raise ValueError("the range of the keys is none")
        if self.free is not None and self.free.size != self.high - self.low + 1:
            raise ValueError("the free keys are those of another range")

    @classmethod
    def of(cls, numbers: Ranks, prefix: str = "", suffix: str = "", width: int = 0) -> Self:
        """The space of training's numbers."""
        low, high = int(numbers.min()), int(numbers.max())
        size = high - low + 1
        scattered = 8 * len(numbers) <= size <= MOST_RANKS
        free = Free.of(numbers - low, size) if scattered else None
        return cls(prefix, suffix, width, low, high, free)

    @classmethod
    def read(cls, text: pa.Array) -> Self | None:
        """The space of keys that are written as text; None if they are not numbered."""
        parts = pc.extract_regex(text, r"(?s)^(?P<a>.*?)(?P<n>[0-9]{1,18})(?P<z>[^0-9]*)$")
        if parts.null_count:
            return None
        ends = [pc.unique(pc.struct_field(parts, name)) for name in "az"]
        digits = pc.struct_field(parts, "n")
        lengths = pc.utf8_length(digits).to_numpy()
        padded = pc.and_(pc.starts_with(digits, "0"), pc.greater(pc.utf8_length(digits), 1))
        same = bool((lengths == lengths[0]).all())
        if max(map(len, ends)) > 1 or (not same and pc.any(padded).as_py()):
            return None
        numbers = digits.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return cls.of(
            numbers, ends[0][0].as_py(), ends[1][0].as_py(), int(lengths[0]) if same else 0
        )

    def make(self, first: int, rows: int, key: int) -> Ranks:
        """The numbers of the keys of rows first … first + rows - 1 of a call."""
        places = np.arange(first, first + rows, dtype=np.int64)
        room = self.free.room if self.free is not None else 0
        scattered, after = places[places < room], places[places >= room]
        found = [self.high + 1 - room + after]
        if self.free is not None:
            found.insert(0, self.low + self.free.ranks(scattered, key))
        return np.concatenate(found)

    def written(self, numbers: Ranks) -> pa.Array:
        """Numbers as the text of keys."""
        digits = pa.array(numbers).cast(pa.string())
        if self.width:
            digits = pc.utf8_lpad(digits, self.width, "0")
        return pc.binary_join_element_wise(self.prefix, digits, self.suffix, "")


@dataclass(frozen=True)
class Patterned:
    """Keys of a fixed length, with an alphabet for each position.

    Attributes:
        alphabets: The characters that a position can have.
        free: The numbers of the first positions that training does not have.
    """

    alphabets: tuple[str, ...]
    free: Free

    def __post_init__(self) -> None:
        """Check that the attributes fit together."""
        fine = all(isinstance(a, str) and a and len(set(a)) == len(a) for a in self.alphabets)
        if not fine or not 0 < len(self.alphabets) <= LONGEST:
            raise ValueError("the pattern of the keys is damaged")
        if self.free.size != _leading(self.alphabets)[1]:
            raise ValueError("the free keys are those of another pattern")

    @classmethod
    def of(cls, text: pa.Array, alphabets: Sequence[str]) -> Self:
        """The space of a pattern, without those training keys that follow it."""
        count, size = _leading(alphabets)
        keys = text.filter(pc.equal(pc.utf8_length(text), len(alphabets)))
        ranks, fits = np.zeros(len(keys), np.int64), np.ones(len(keys), bool)
        letters = _letters(keys, len(alphabets))
        for place in range(count):
            known = np.array([ord(c) for c in sorted(alphabets[place])], np.uint32)
            codes = np.searchsorted(known, letters[:, place]).clip(0, len(known) - 1)
            fits &= known[codes] == letters[:, place]
            ranks = ranks * len(known) + codes
        return cls(tuple(alphabets), Free.of(ranks[fits], size))

    @classmethod
    def read(cls, text: pa.Array) -> Self | None:
        """The space of keys that are all of one length; None if they are not."""
        lengths = pc.unique(pc.utf8_length(text))
        if len(lengths) != 1 or not 0 < lengths[0].as_py() <= LONGEST:
            return None
        letters = _letters(text, lengths[0].as_py())
        seen = ["".join(map(chr, np.unique(letters[:, i]))) for i in range(letters.shape[1])]
        alphabets = [_alphabet(some, len(text)) for some in seen]
        if _leading(alphabets)[1] < 2 * len(text):
            return None
        return cls.of(text, alphabets)

    def make(self, first: int, rows: int, key: int) -> pa.Array:
        """The keys of rows first … first + rows - 1 of a call.

        Raises:
            DataError: There are not so many.
        """
        if first + rows > self.free.room:
            raise DataError(
                f"{first + rows:,} new keys are wanted, but of the pattern only {self.free.room:,} "
                "are known to be free. Give a pattern with more room: Unique(column, pattern=…)."
            )
        ranks = self.free.ranks(np.arange(first, first + rows, dtype=np.int64), key)
        count = _leading(self.alphabets)[0]
        letters = np.empty((rows, len(self.alphabets)), np.uint32)
        for place in range(len(self.alphabets) - 1, -1, -1):
            known = np.array([ord(c) for c in sorted(self.alphabets[place])], np.uint32)
            if place < count:
                ranks, codes = np.divmod(ranks, len(known))
            else:
                codes = (draws(first, rows, key, place) % np.uint64(len(known))).astype(np.int64)
            letters[:, place] = known[codes]
        return pa.array(letters.view(f"U{len(self.alphabets)}").ravel().tolist(), pa.string())


def _leading(alphabets: Sequence[str]) -> tuple[int, int]:
    """How many positions are numbered, and how many numbers that makes."""
    size = 1
    for count, alphabet in enumerate(alphabets):
        if size * len(alphabet) > MOST_RANKS:
            return count, size
        size *= len(alphabet)
    return len(alphabets), size


def _letters(text: pa.Array, length: int) -> NDArray[np.uint32]:
    """The characters of texts of one length, [N, length]."""
    padded = np.array(text.to_pylist(), dtype=f"U{length}")
    return padded.view(np.uint32).reshape(len(text), length)


def _alphabet(seen: str, rows: int) -> str:
    """The characters that a position can have, from those that were seen there."""
    if len(seen) == 1:
        return seen
    letters = {c for c in seen if c in LOWER + UPPER}
    wide = "".join(c for c in seen if c not in DIGITS + LOWER + UPPER)
    if letters and letters < set(seen) and letters <= set("abcdef"):
        wide += DIGITS + "abcdef"
    elif letters and letters < set(seen) and letters <= set("ABCDEF"):
        wide += DIGITS + "ABCDEF"
    else:
        wide += "".join(some for some in (DIGITS, LOWER, UPPER) if set(some) & set(seen))
    return seen if rows >= 20 * len(wide) else wide


TOKEN = re.compile(r"(?s)(\[(?:\\.|[^\]\\])+\]|\\.|[^\\\[])(?:\{(\d+)\})?")
CLASSES = {"d": DIGITS, "w": DIGITS + UPPER + "_" + LOWER}


def alphabets_of(pattern: str) -> list[str]:
    r"""The alphabets of a pattern: characters, \d, \w, [A-F0-9], each perhaps with {n}.

    Raises:
        OptionError: The pattern is another.
    """
    found: list[str] = []
    end = 0
    for match in TOKEN.finditer(pattern):
        if match.start() != end:
            break
        end = match.end()
        part, times = match.group(1), int(match.group(2) or 1)
        if len(part) == 1 and part in "*+?|()^$.{}]":
            end = match.start()
            break
        found += [_class(part, pattern)] * min(times, LONGEST + 1)
    if end < len(pattern) or not 0 < len(found) <= LONGEST:
        raise OptionError(
            f"the pattern {pattern!r} cannot be used from {pattern[end:]!r:.40} on: a pattern is "
            r"made of characters, \d, \w and classes such as [A-Z0-9], each perhaps followed by a "
            f"number of repetitions such as {{4}}, 1 to {LONGEST} characters together; \\ takes a "
            "character as itself."
        )
    return found


def _class(part: str, pattern: str) -> str:
    if not part.startswith("["):
        return CLASSES.get(part[1], part[1]) if part.startswith("\\") else part
    inner = part[1:-1]
    found: dict[str, None] = {}
    if inner.startswith("^"):
        raise OptionError(
            f"the pattern {pattern!r}: {part} names what is not allowed; name what is"
        )
    for low, high, single in re.findall(r"(?s)([^\\])-([^\\])|(\\.|.)", inner):
        if low:
            found |= dict.fromkeys(map(chr, range(ord(low), ord(high) + 1)))
        elif single.startswith("\\") and len(single) == 2:
            found |= dict.fromkeys(CLASSES.get(single[1], single[1]))
        else:
            found[single] = None
    if not found:
        raise OptionError(f"the pattern {pattern!r}: {part} is empty")
    return "".join(found)
