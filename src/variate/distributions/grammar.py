r"""A grammar: which symbols may come next, as a finite automaton says it.

    q_0 = 0        q_{t+1} = m(q_t, x_t),        x_t allowed  <=>  m(q_t, x_t) ≥ 0

The Q states and K symbols are a table m `[Q, K]`; -1 is a move that is not allowed. What is not
allowed has probability zero, and the rest is a law again, so nothing outside of the grammar is
ever drawn and the likelihood spends no mass on it. An alphabet for each place is the chain of
states 0, 1, …, T - 1 (`alphabets`); "no hold after a rest" is one state more.

What no table of states can hold (which of 88 keys are down) is a `Rules` of its own: states are
then whatever numbers it keeps of a sequence.

This module does not know what the symbols stand for, nor how likely any of them is.
"""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from variate.errors import OptionError

__all__ = ["Grammar", "Rules", "alphabets"]


class Rules(Protocol):
    """What may come next, given what came before; what is told of that is a state `[*state]`."""

    def begin(self, count: int, device: torch.device) -> Tensor:
        """The states of so many sequences before their first place, `[N, *state]`."""
        ...

    def states(self, x: Tensor) -> Tensor:
        """The state before each place of x `[..., T]`, `[..., T, *state]`."""
        ...

    def after(self, state: Tensor, symbols: Tensor) -> Tensor:
        """The states `[N, *state]` that follow on states and symbols `[N]`."""
        ...

    def masked(self, logits: Tensor, state: Tensor) -> Tensor:
        """Logits `[..., K]`, -∞ where a state `[..., *state]` does not allow a symbol."""
        ...


class Grammar(nn.Module):
    """A finite automaton over symbols; it has no parameters and follows a model to its device.

    Args:
        moves: m, an array `[Q, K]` of whole numbers: the state after each symbol in each state, -1
            where the symbol is not allowed. The first state is 0.

    Raises:
        OptionError: A state is not there, or allows nothing.
    """

    moves: Tensor
    forbidden: Tensor

    def __init__(self, moves: Any) -> None:
        super().__init__()
        table = np.asarray(moves)  # and not a tensor, which may be made where it has no values
        if table.ndim != 2 or table.max() >= len(table) or table.min() < -1:
            raise OptionError(
                f"a grammar's moves must be [Q, K] numbers of states, -1 to Q - 1, got "
                f"{list(table.shape)} from {table.min()} to {table.max()}"
            )
        dead = np.flatnonzero((table < 0).all(1))
        if len(dead):
            raise OptionError(f"state {dead[0]} of the grammar allows no symbol at all")
        self.register_buffer("moves", torch.tensor(table, dtype=torch.int64), persistent=False)
        self.register_buffer("forbidden", torch.tensor(table < 0), persistent=False)
        onward = np.arange(len(table))[:-1, None] + 1
        # where the state is the place, nothing need be read to know it
        self._clock = bool(((table[:-1] == onward) | (table[:-1] < 0)).all())

    def begin(self, count: int, device: torch.device) -> Tensor:
        """The states of so many sequences before their first place, `[N]`."""
        return torch.zeros(count, dtype=torch.int64, device=device)

    def states(self, x: Tensor) -> Tensor:
        """The state before each place of x `[..., T]`, `[..., T]`; 0 after what is not allowed."""
        places = x.shape[-1]
        if self._clock and places <= len(self.moves):
            return torch.arange(places, device=x.device).expand(x.shape)
        state = torch.zeros_like(x[..., 0])
        found = []
        for symbols in x.unbind(-1):
            found.append(state)
            state = self.after(state, symbols)
        return torch.stack(found, -1)

    def after(self, state: Tensor, symbols: Tensor) -> Tensor:
        """The states that follow on states and symbols of the same shape."""
        return self.moves[state, symbols].clamp(min=0)

    def masked(self, logits: Tensor, state: Tensor) -> Tensor:
        """Logits `[..., K]`, -∞ where a state `[...]` does not allow a symbol."""
        return logits.masked_fill(self.forbidden[state], -torch.inf)


def alphabets(allowed: Any) -> Grammar:
    """The grammar of an alphabet for each place.

    Args:
        allowed: An array `[T, K]` of truth values; after T places the last alphabet holds.
    """
    table = np.asarray(allowed, dtype=bool)
    following = np.minimum(np.arange(1, len(table) + 1), len(table) - 1)
    return Grammar(np.where(table, following[:, None], -1))
