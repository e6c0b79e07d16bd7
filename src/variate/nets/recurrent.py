r"""Recurrent networks: sequences into features, and what comes next, given a code.

The encoder reads both ways and takes the largest of each feature over the places (Long et al.
2019), not the last state, which forgets how a sequence began:

    h_t = GRU(e(x_t), h_{t-1})      g_t the same from the end to the start
    features = (max_t h_t, max_t g_t)

The decoder is given z at every step, beside the symbol before, and as its first state:

    h_0 = tanh(W z)      h_t = GRU((e(x_{t-1}), z), h_{t-1})      logits_t = E (A h_t) + b

E holds the symbols' own vectors (tied; Press & Wolf 2017): with K of thousands most of the numbers
are there. They start at a spread of 0.08: at torch's spread of 1 the logits of a tied head start
in the tens, and a run never recovers from that.

The recurrence is computed in float32 in any precision: what is rounded at one place is carried
through all that follow. (And on a GPU torch knows half precision there, but not bfloat16.)

In training the symbols that the decoder is given are dropped at random (`word_dropout`; Bowman et
al. 2016), which are then a vector of their own: what the context no longer tells, z must.

This module does not know any probability, nor what the symbols stand for.
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Inputs", "Memory", "RecurrentDecoder", "RecurrentEncoder"]

SPREAD = 0.08  # of the symbols' vectors at first


class Inputs(nn.Module):
    """What a decoder is given at each place: the symbol before, as a vector.

    Args:
        size: K, how many symbols there are.
        width: Of their vectors.
        dropout: The share of a vector's numbers that training drops.
        word_dropout: The share of the symbols that training hides.
    """

    def __init__(
        self, size: int, width: int, dropout: float = 0.0, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.size = size
        self.word_dropout = word_dropout
        self.symbols = nn.Embedding(size + 2, width)  # the last two: the start, and a hidden one
        nn.init.normal_(self.symbols.weight, std=SPREAD)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors `[..., T, E]` of the symbols before each place of x `[..., T]`."""
        before = torch.cat([torch.full_like(x[..., :1], self.size), x[..., :-1]], -1)
        if self.training and self.word_dropout > 0:
            hidden = torch.rand(before.shape, device=x.device) < self.word_dropout
            before = torch.where(hidden & (before != self.size), self.size + 1, before)
        vectors: Tensor = self.drop(self.symbols(before))
        return vectors

    def one(self, before: Tensor | None, like: Tensor) -> Tensor:
        """Vectors `[N, E]` of the last symbols `[N]`; None is the start, N times as in `like`."""
        if before is None:
            before = torch.full((len(like),), self.size, device=like.device)
        vectors: Tensor = self.drop(self.symbols(before))
        return vectors


class Memory(NamedTuple):
    """What a decoder keeps of a sequence.

    Attributes:
        state: Of the cells, `[layers, N, H]`.
        z: The codes, `[N, D]`.
    """

    state: Tensor
    z: Tensor


class RecurrentDecoder(nn.Module):
    """A GRU that reads a sequence with its code at every step; see `distributions.Reader`.

    Args:
        size: K, how many symbols there are.
        latent: D, how many numbers a code has.
        embedding: The width of the symbols' vectors.
        hidden: The width of the state.
        layers: How many layers.
        dropout: The share of the inputs and outputs that training drops.
        word_dropout: The share of the given symbols that training hides.
    """

    def __init__(
        self,
        size: int,
        latent: int,
        embedding: int = 128,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = size
        self.layers = layers
        self.inputs = Inputs(size, embedding, dropout, word_dropout)
        self.first = nn.Linear(latent, layers * hidden)
        between = dropout if layers > 1 else 0.0
        self.cells = nn.GRU(embedding + latent, hidden, layers, batch_first=True, dropout=between)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(size))

    def read(self, z: Tensor, x: Tensor) -> Tensor:
        """What is known before each place, `[S, B, T, E]`; see `Reader.read`."""
        vectors = self.inputs(x)
        vectors = vectors.expand(*z.shape[:-1], *vectors.shape[-2:])
        codes = z[..., None, :].expand(*vectors.shape[:-1], z.shape[-1]).to(vectors.dtype)
        given = torch.cat([vectors, codes], -1).flatten(0, -3)
        states, _ = _run(self.cells, given, self._first(z.reshape(-1, z.shape[-1])))
        known: Tensor = self.out(self.drop(states))
        return known.unflatten(0, z.shape[:-1])

    def logits(self, known: Tensor) -> Tensor:
        """Logits `[..., K]`; see `Reader.logits`."""
        weight, bias = self.head()
        return known @ weight.T + bias

    def head(self) -> tuple[Tensor, Tensor]:
        """What logits are made of; see `Reader`."""
        return self.inputs.symbols.weight[: self.size], self.bias

    def begin(self, z: Tensor) -> Memory:
        """The memory of codes `[N, D]` before the first place."""
        return Memory(self._first(z), z)

    def step(self, memory: Memory, before: Tensor | None) -> tuple[Tensor, Memory]:
        """Logits `[N, K]` after one more symbol; see `Reader.step`."""
        given = torch.cat([self.inputs.one(before, memory.z), memory.z], -1)
        states, state = _run(self.cells, given[:, None], memory.state)
        return self.logits(self.out(self.drop(states[:, 0]))), Memory(state, memory.z)

    def _first(self, z: Tensor) -> Tensor:
        state = torch.tanh(self.first(z)).unflatten(-1, (self.layers, -1))
        return state.transpose(0, 1).contiguous()


class RecurrentEncoder(nn.Module):
    """Sequences `[B, T]` -> features `[B, 2 · hidden]`, read both ways and pooled over places.

    Args:
        size: K, how many symbols there are.
        embedding: The width of the symbols' vectors.
        hidden: The width of the state in each direction.
        end: The symbol that ends a sequence, behind which nothing is read; None if none does.
        dropout: The share of the inputs that training drops.
    """

    def __init__(
        self,
        size: int,
        embedding: int = 128,
        hidden: int = 256,
        end: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.end = end
        self.symbols = nn.Embedding(size, embedding)
        nn.init.normal_(self.symbols.weight, std=SPREAD)
        self.drop = nn.Dropout(dropout)
        self.onward = nn.GRU(embedding, hidden, batch_first=True)
        self.homeward = nn.GRU(embedding, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features `[B, 2 · hidden]`."""
        x = x.long()
        part = self._part(x)
        if not torch.is_grad_enabled():  # a look at the device, which training does not wait for
            longest = max(1, int(part.any(0).sum()))
            x, part = x[:, :longest], part[:, :longest]
        places = torch.arange(x.shape[1], device=x.device)
        turned = (part.sum(1, keepdim=True) - 1 - places).clamp(min=0)  # each from its own end
        vectors = self.drop(self.symbols(x))
        back = vectors.gather(1, turned[..., None].expand_as(vectors))
        pooled = [
            _run(cells, given, None)[0].masked_fill(~part[..., None], -torch.inf).amax(1)
            for cells, given in ((self.onward, vectors), (self.homeward, back))
        ]
        return torch.cat(pooled, -1)

    def _part(self, x: Tensor) -> Tensor:
        if self.end is None:
            return torch.ones_like(x, dtype=torch.bool)
        ends = x == self.end
        return (ends.cumsum(1) - ends.long()) == 0


def _run(cells: nn.GRU, given: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """States at all places and the last one, in float32 whatever the rest is computed in."""
    found: tuple[Tensor, Tensor]
    with torch.autocast(given.device.type, enabled=False), warnings.catch_warnings():
        if not torch.is_grad_enabled():  # averaged weights lie where they lie, which costs little
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contig")
        found = cells(given.float(), None if first is None else first.float())
    return found
