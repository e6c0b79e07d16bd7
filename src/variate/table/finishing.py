r"""The columns that are drawn given all the others, learned again by themselves.

Where `condition_on` leaves a few columns only, what is wanted of the model is their law given the
others. Training minds the sum over all columns, and stops when that is best; by then it has learned
such a column by heart, for it has the most inputs and says the least: on 27,000 rows of Default the
outcome's log score was -0.34 in training and -0.47 on held-out rows, where logistic regression has
-0.43. So its networks are learned anew on the embeddings e_i of the columns before it, which stay,

    h_j = b_j + Σ_{i<j} m_i e_i W_ij / (1 - r),    h_j <- h_j + a(h_j) R_jl,    l = 1, ..., layers
    p_j: linear maps of a(h_j)

with each column before it hidden with probability r (m_i = 0), and activations dropped out. What is
kept is the best on the validation rows, and only if its log score is better there than that of what
was (`forecasts`). Such a column
sees no code: its law given the others is exact, with nothing to be averaged over.

In a wide table (`Chain.separate`) W_ij is of a low rank, and its factors are shared by all columns:
there nothing is learned again.

They are taken from the last one on, and the first that gains nothing ends it: a column's networks
show something to those after it, unless these were learned again.

This module does not know what is decided on these columns.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.distributions.column import law_of
from variate.models import VAE
from variate.randomness import isolated
from variate.table.chain import Chain
from variate.table.forecasts import forecasts
from variate.table.rows import RowDecoder

__all__ = ["finish", "outcomes_of"]

MOST = 3  # columns that are learned again
STEPS = 900
EVERY = 75  # steps between two looks at the validation rows
BATCH = 256
RATE = 1e-3
DECAY = 0.1
HIDDEN = 0.3  # r, the share of columns that a step hides
DROPPED = 0.3
ROWS = 100_000  # whose embeddings are held
SCORED = 300  # validation rows on which old and new are compared


def outcomes_of(chain: Chain, first: Sequence[int] | frozenset[int]) -> list[int]:
    """The places of the columns that all others come before, the last one first; perhaps none.

    Args:
        chain: The networks.
        first: The positions of the columns that the others are drawn given.
    """
    left = [place for place, column in enumerate(chain.order) if column not in first]
    few = 0 < len(left) <= min(MOST, len(chain.order) - 1) and chain.separate
    return left[::-1] if few else []


def finish(
    model: VAE, places: Sequence[int], training: Tensor, validation: Tensor | None, *, seed: int
) -> None:
    """Learn the columns at these places again, as far as that makes them better.

    Args:
        model: One whose decoder is a chain of columns; it is changed.
        places: From `outcomes_of`.
        training: Rows `[N, C]`; the first 100,000 are used.
        validation: Other rows; without them nothing is done.
        seed: Of everything random.
    """
    assert isinstance(model.decoder, RowDecoder)
    chain = model.decoder.chain
    if not places or validation is None:
        return
    device = chain.bias.device
    known, other = training[:ROWS].to(device), validation.to(device)
    some = other[:SCORED]
    before = forecasts(model, some, seed=seed, draws=1)
    for place in places:
        with isolated(seed + place, device):
            column = _Column(chain, place, known[: 16 * BATCH])
            _learn(column, chain, known, other)
        with torch.no_grad():
            score = column(_embedded(chain, some, place), some).mean()
        if score <= before[chain.order[place]].log_score.mean():
            return
        chain.replace_column(place, *column.parts())


class _Column(nn.Module):
    """The networks of one column, which see the embeddings of those before it.

    Args:
        chain: Whose column it is.
        place: Which one.
        x: Some rows, for the marginals that it starts from.
    """

    def __init__(self, chain: Chain, place: int, x: Tensor) -> None:
        super().__init__()
        self.column, self.layout, width = chain.order[place], chain.layout, chain.width
        size = place * chain.embedding.number.shape[-1]
        self.told = _normal(size, width, fan=size).to(x.device)
        self.bias = nn.Parameter(torch.zeros(width, device=x.device))
        self.residual = nn.ParameterList(
            _normal(width, width, fan=width).to(x.device) for _ in chain.residual
        )
        self.outcomes = self._start(chain.outcomes_of(self.column), self._marginal(x))
        self.numbers = self._start(chain.numbers_of(self.column), self.layout.normal())

    def forward(self, e: Tensor, x: Tensor) -> Tensor:
        """Log p_j of rows x `[B, C]`, `[B]`, from the embeddings before it, `[B, place, E]`."""
        if self.training:
            shown = torch.rand(*e.shape[:2], 1, device=e.device) >= HIDDEN
            e = e * shown / (1 - HIDDEN)
        h = torch.addmm(self.bias, e.flatten(1), self.told)
        for weight in self.residual:
            h = h + F.dropout(F.silu(h), DROPPED, self.training) @ weight
        h = F.dropout(F.silu(h), DROPPED, self.training)
        logits, numbers = (
            None if part is None else torch.addmm(part[0], h, part[1])
            for part in (self.outcomes, self.numbers)
        )
        return law_of(self.layout, self.column, logits, numbers, x).log_prob(x[:, self.column])

    def parts(self) -> tuple[Any, ...]:
        """What `Chain.replace_column` takes."""
        return self.told, self.bias, self.residual, self.outcomes, self.numbers

    def _start(self, like: tuple[Tensor, Tensor] | None, bias: Tensor) -> nn.ParameterList | None:
        if like is None:
            return None
        start = torch.zeros_like(like[0])
        start[: len(bias)] = bias.to(start)
        return nn.ParameterList([start, torch.zeros_like(like[1])])

    def _marginal(self, x: Tensor) -> Tensor:
        for bucket, logits in zip(self.layout.buckets, self.layout.marginal(x), strict=True):
            if self.column in bucket:
                return logits[bucket.index(self.column)]
        return x.new_zeros(0)


def _learn(column: _Column, chain: Chain, known: Tensor, other: Tensor) -> None:
    """Let a column learn from known rows, and stop where other rows say so."""
    places = chain.order.index(column.column)
    e, unseen = (_embedded(chain, x, places) for x in (known, other))
    batch = min(BATCH, max(16, len(known) // 8))
    optimiser = torch.optim.AdamW(column.parameters(), lr=RATE, weight_decay=DECAY)
    best, kept = -math.inf, copy.deepcopy(column.state_dict())
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * _rate((step + 1) / STEPS)
        rows = torch.randint(len(known), (batch,), device=known.device)
        optimiser.zero_grad()
        (-column(e[rows], known[rows]).mean()).backward()
        nn.utils.clip_grad_norm_(column.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % EVERY == 0:
            column.eval()
            with torch.no_grad():
                score = float(column(unseen, other).mean())
            column.train()
            if score > best:
                best, kept = score, copy.deepcopy(column.state_dict())
    column.load_state_dict(kept)
    column.eval()


@torch.no_grad()
def _embedded(chain: Chain, x: Tensor, places: int) -> Tensor:
    """The embeddings of the columns at the first places, `[N, places, E]`."""
    first = chain.order[:places]
    parts = [
        chain.embedding(chain.layout.read(block))[first].transpose(0, 1) for block in x.split(4_096)
    ]
    return torch.cat(parts)


def _rate(share: float) -> float:
    """Up over a tenth of the steps, and down to nothing as a cosine."""
    return min(share / 0.1, 0.5 * (1 + math.cos(math.pi * share)))


def _normal(*shape: int, fan: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) / math.sqrt(fan))
