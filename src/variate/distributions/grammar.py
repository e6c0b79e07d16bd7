r"""A grammar: which symbols may come next, as a finite automaton says it.

    q_0 = 0        q_{t+1} = m(q_t, x_t),        x_t allowed  <=>  m(q_t, x_t) ≥ 0

The Q states and K symbols are a table m `[Q, K]`; -1 is a move that is not allowed. What is not
allowed has probability zero, and the rest is a law again, so nothing outside of the grammar is
ever drawn and the likelihood spends no mass on it. An alphabet for each place is the chain of
states 0, 1, …, T - 1 (`alphabets`); "no hold after a rest" is one state more.

This module does not know what the symbols stand for, nor how likely any of them is.
"""

import torch
from torch import Tensor, nn

from variate.errors import OptionError

__all__ = ["Grammar", "alphabets"]


class Grammar(nn.Module):
    """A finite automaton over symbols; it has no parameters and follows a model to its device.

    Args:
        moves: m, `[Q, K]` whole numbers: the state after each symbol in each state, -1 where the
            symbol is not allowed. The first state is 0.

    Raises:
        OptionError: A state is not there, or allows nothing.
    """

    moves: Tensor

    def __init__(self, moves: Tensor) -> None:
        super().__init__()
        if moves.ndim != 2 or int(moves.max()) >= len(moves) or int(moves.min()) < -1:
            raise OptionError(
                f"a grammar's moves must be [Q, K] numbers of states, -1 to Q - 1, got "
                f"{list(moves.shape)} from {int(moves.min())} to {int(moves.max())}"
            )
        dead = (moves < 0).all(1).nonzero().flatten().tolist()
        if dead:
            raise OptionError(f"state {dead[0]} of the grammar allows no symbol at all")
        self.register_buffer("moves", moves.long(), persistent=False)
        steps = torch.where(moves < 0, 0, moves - torch.arange(len(moves))[:, None] - 1)
        steps[-1] = 0
        self._clock = bool((steps == 0).all())  # the state is the place, so nothing is to be read

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
        return logits.masked_fill(self.moves[state] < 0, -torch.inf)


def alphabets(allowed: Tensor) -> Grammar:
    """The grammar of an alphabet for each place.

    Args:
        allowed: `[T, K]` truth values; after T places the last alphabet holds.
    """
    following = torch.arange(1, len(allowed) + 1).clamp(max=len(allowed) - 1)
    return Grammar(torch.where(allowed, following[:, None], -1))
