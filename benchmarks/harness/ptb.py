"""The Penn Treebank as the field prepares it: a sentence a line, ten thousand words.

The text is under the LDC's licence and not distributed here: a folder must have
`text/ptb.{train,valid,test}.txt.gz`, of 42,068, 3,370 and 3,761 sentences, 929,589, 73,760 and
82,430 words, the end of each sentence counted as one. `<unk>` is a word of the file like others.

This module does not know any model.
"""

import gzip
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Treebank", "treebank"]


class Treebank(NamedTuple):
    """Sentences of words as numbers, filled up with the end.

    Attributes:
        words: The words in the order of their numbers; the end is the number after them.
        train: `[N, T]`, int32.
        valid: `[N, T]`.
        test: `[N, T]`.
    """

    words: list[str]
    train: Tensor
    valid: Tensor
    test: Tensor

    @property
    def end(self) -> int:
        """The symbol that ends a sentence."""
        return len(self.words)

    def lengths(self, x: Tensor) -> Tensor:
        """Words of sentences `[N, T]`, the end counted as one."""
        return (x != self.end).sum(1) + 1

    def text(self, row: Tensor) -> str:
        """A sentence in words."""
        return " ".join(self.words[i] for i in row.tolist() if i != self.end)


def treebank(folder: Path | None) -> Treebank:
    """The three sets of a data folder."""
    parts = {}
    for name in ("train", "valid", "test"):
        path = None if folder is None else Path(folder) / "text" / f"ptb.{name}.txt.gz"
        if path is None or not path.is_file():
            sys.exit(f"no {path or 'data folder'}: --data (or VARIATE_DATA) must name a folder "
                     "with text/ptb.{train,valid,test}.txt.gz")  # fmt: skip
        with gzip.open(path, "rt", encoding="utf-8") as file:
            parts[name] = [line.split() for line in file if line.strip()]
    words = sorted({word for sentence in parts["train"] for word in sentence})
    numbers = {word: number for number, word in enumerate(words)}
    longest = max(len(sentence) for part in parts.values() for sentence in part) + 1
    sets = [_filled(parts[name], numbers, longest) for name in ("train", "valid", "test")]
    return Treebank(words, *sets)


def _filled(sentences: list[list[str]], numbers: dict[str, int], longest: int) -> Tensor:
    x = torch.full((len(sentences), longest), len(numbers), dtype=torch.int32)
    for row, sentence in zip(x, sentences, strict=True):
        row[: len(sentence)] = torch.tensor([numbers[word] for word in sentence])
    return x
