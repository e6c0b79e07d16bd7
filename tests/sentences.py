"""Sentences of a small grammar: known attributes, and nobody's text."""

import itertools
import random

__all__ = ["sentences"]

WHO = ("the cat", "the dog", "my sister", "our teacher", "the old man", "a child", "the cook")
DOES = ("sees", "likes", "finds", "wants", "takes", "paints")
WHAT = ("the sea", "a red ball", "some tea", "the garden", "a letter", "the moon", "two apples")
HOW = ("today", "at night", "every day", "with joy")


def sentences(n: int, seed: int = 0) -> list[str]:
    """n different sentences; some of them are questions."""
    made = [
        f"{who} {does} {what} {how}." if ask else f"does {who} {does.rstrip('s')} {what}?"
        for who, does, what, how, ask in itertools.product(WHO, DOES, WHAT, HOW, (True, False))
        if ask or how == HOW[0]
    ]
    return random.Random(seed).sample(made, n)
