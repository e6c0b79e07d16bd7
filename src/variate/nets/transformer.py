r"""The causal transformer with a code: what comes next, given what came before and z.

    h_t = e(x_{t-1}) + w_t
    h  <- block_l(h + V_l z)      each layer is given z, which a long context would else drown
    logits_t = E (A norm(h_t)) + b                                       (Vaswani et al. 2017)

The blocks are those of `causal`, the symbols' vectors are tied as in `recurrent`.

This module does not know any probability, nor what the symbols stand for.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from variate.errors import OptionError
from variate.nets.causal import CausalBlock, Past
from variate.nets.recurrent import Inputs

__all__ = ["Attended", "TransformerDecoder"]


class Attended(NamedTuple):
    """What a decoder keeps of a sequence.

    Attributes:
        past: Keys and values of the places so far, for each layer.
        place: Which is next.
        z: The codes, `[N, D]`.
    """

    past: tuple[Past, ...]
    place: int
    z: Tensor


class TransformerDecoder(nn.Module):
    """A causal transformer with its code at every layer; see `distributions.Reader`.

    Args:
        size: K, how many symbols there are.
        latent: D, how many numbers a code has.
        positions: The most places that a sequence has.
        embedding: The width of the symbols' vectors.
        hidden: The width.
        layers: How many layers.
        heads: How many heads of attention, a divisor of the width.
        dropout: The share of the inputs and outputs that training drops.
        word_dropout: The share of the given symbols that training hides.

    Raises:
        OptionError: The width is no multiple of the heads.
    """

    def __init__(
        self,
        size: int,
        latent: int,
        positions: int,
        embedding: int = 128,
        hidden: int = 256,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if hidden % heads:
            raise OptionError(f"hidden={hidden} must be a multiple of heads={heads}")
        self.size = size
        self.inputs = Inputs(size, embedding, dropout, word_dropout)
        self.into = nn.Linear(embedding, hidden)
        self.places = nn.Parameter(0.02 * torch.randn(positions, hidden))
        self.codes = nn.ModuleList(nn.Linear(latent, hidden) for _ in range(layers))
        self.blocks = nn.ModuleList(CausalBlock(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(size))

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place, `[S, B, T, E]`; see `Reader.read`."""
        h = self.into(self.inputs(x)) + self.places[: x.shape[-1]]
        h = h.expand(*z.shape[:-1], *h.shape[-2:]).flatten(0, -3)
        codes = z.reshape(-1, z.shape[-1])
        for code, block in zip(self.codes, self.blocks, strict=True):
            h, _ = block(h + code(codes)[:, None], None)
        known: Tensor = self.out(self.drop(self.norm(h)))
        return known.unflatten(0, z.shape[:-1])

    def logits(self, known: Tensor) -> Tensor:
        """Logits `[..., K]`; see `Reader.logits`."""
        weight, bias = self.head()
        return known @ weight.T + bias

    def head(self) -> tuple[Tensor, Tensor]:
        """What logits are made of; see `Reader`."""
        return self.inputs.symbols.weight[: self.size], self.bias

    def begin(self, z: Tensor) -> Attended:
        """The memory of codes `[N, D]` before the first place."""
        return Attended((), 0, z)

    def step(self, memory: Attended, before: Tensor | None) -> tuple[Tensor, Attended]:
        """Logits `[N, K]` after one more symbol; see `Reader.step`."""
        h = self.into(self.inputs.one(before, memory.z)) + self.places[memory.place]
        h, kept = h[:, None], []
        for i, (code, block) in enumerate(zip(self.codes, self.blocks, strict=True)):
            past = memory.past[i] if memory.past else None
            h, here = block(h + code(memory.z)[:, None], past)
            kept.append(here)
        known = self.out(self.drop(self.norm(h[:, 0])))
        return self.logits(known), Attended(tuple(kept), memory.place + 1, memory.z)
