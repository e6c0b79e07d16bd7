"""Words, in any script: what white space parts, and where none is written, each letter.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces between words. A sentence
of theirs would be one word, whose perplexity is no number that means anything; so each of their
letters, with the marks that go with it, counts as a word, as it does in the field's measures.

This module does not know any measure.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["UNSPACED", "spaced", "word_count", "words"]

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
SPACE, MARK, ALONE, LETTER, SIGN = range(5)


def words(sentence: str) -> list[str]:
    """Runs of letters and digits; other signs, and letters that are written unspaced, one by one.

    Marks, and signs that are not seen, belong to what is before them.
    """
    found: list[str] = []
    before = SPACE
    for sign in sentence:
        kind = _kind(sign)
        if before != SPACE and (kind == MARK or kind == before == LETTER):
            found[-1] += sign
            continue
        if kind != SPACE:
            found.append(sign)
        before = SIGN if kind == MARK else kind
    return found


def word_count(items: Sequence[str]) -> int:
    """Words of sentences by white space, and each letter of what is written without; one an end."""
    return sum(1 + sum(map(_counted, item.split())) for item in items)


def spaced(sentence: str) -> str:
    """A sentence as it is, or with spaces around its words where it is written without."""
    return " ".join(words(sentence)) if UNSPACED.search(sentence) else sentence


def _counted(piece: str) -> int:
    if not UNSPACED.search(piece):
        return 1
    return max(1, sum(word[0].isalnum() for word in words(piece)))


@lru_cache(maxsize=1 << 16)
def _kind(sign: str) -> int:
    category = unicodedata.category(sign)
    if sign.isspace():
        return SPACE
    if category[0] == "M" or category == "Cf":
        return MARK
    if sign.isalnum() or sign == "_":
        return ALONE if UNSPACED.match(sign) else LETTER
    return SIGN
