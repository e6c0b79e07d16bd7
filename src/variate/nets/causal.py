r"""The causal transformer: what is likely at each position of a sequence, given those before it.

    a_p = v_{c_{p-1}} + w_p           c_{-1} a start of its own, w_p of position p
    h  <- h + attention(norm(h))      position p attends to 0, …, p
    h  <- h + mlp(norm(h))
    logits_p = A norm(h_p) + b        of c_p given c_{<p}                 (Vaswani et al. 2017)

A whole sequence is one pass. One symbol at a time costs as much in all: keys and values of the
positions before are kept. The last map starts at zero, so that at first all symbols are as likely.

This module does not know what the symbols stand for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.errors import OptionError

__all__ = ["CausalBlock", "CausalTransformer", "Past"]

Past = tuple[Tensor, Tensor]  # keys and values, [N, heads, positions so far, width / heads]


class CausalTransformer(nn.Module):
    """Symbols `[N, P]` -> logits `[N, P, K]`, those at p a function of the symbols before p.

    Args:
        positions: P.
        size: K, how many symbols there are.
        hidden: The width.
        layers: How many layers.
        heads: How many heads of attention, a divisor of the width.

    Raises:
        OptionError: The width is no multiple of the heads.
    """

    def __init__(
        self, positions: int, size: int, hidden: int = 128, layers: int = 3, heads: int = 4
    ) -> None:
        super().__init__()
        if hidden % heads:
            raise OptionError(f"hidden={hidden} must be a multiple of heads={heads}")
        self.size = size
        self.symbols = nn.Embedding(size + 1, hidden)  # the last is the start
        self.places = nn.Parameter(0.02 * torch.randn(positions, hidden))
        nn.init.normal_(self.symbols.weight, std=0.02)
        self.blocks = nn.ModuleList(CausalBlock(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits `[N, P, K]` of symbols `[N, P]`, int64."""
        before = torch.cat([torch.full_like(codes[:, :1], self.size), codes[:, :-1]], 1)
        h = self.symbols(before) + self.places
        for block in self.blocks:
            h, _ = block(h, None)
        logits: Tensor = self.head(self.norm(h))
        return logits

    def step(
        self, before: Tensor | None, position: int, past: list[Past], n: int
    ) -> tuple[Tensor, list[Past]]:
        """Logits `[n, K]` of the next symbol, and what is kept for the one after.

        Args:
            before: The last symbols `[n]`; None at the first position.
            position: Which is next.
            past: What the step before gave; empty at the first position.
            n: How many sequences.
        """
        if before is None:
            before = torch.full((n,), self.size, device=self.places.device)
        h = (self.symbols(before) + self.places[position])[:, None]
        kept = []
        for i, block in enumerate(self.blocks):
            h, here = block(h, past[i] if past else None)
            kept.append(here)
        return self.head(self.norm(h[:, 0])), kept


class CausalBlock(nn.Module):
    """One layer.

    Args:
        hidden: The width.
        heads: How many heads of attention, a divisor of the width.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first = nn.LayerNorm(hidden)
        self.asked = nn.Linear(hidden, 3 * hidden)
        self.mixed = nn.Linear(hidden, hidden)
        self.second = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, h: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The next layer of h `[N, T, F]`, T positions that follow on those of the past."""
        parts = self.asked(self.first(h)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in parts.unbind(2))
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        # A single position after others sees all of them.
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        h = h + self.mixed(seen.transpose(1, 2).flatten(2))
        return h + self.down(F.silu(self.up(self.second(h)))), (key, value)
