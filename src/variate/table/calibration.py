r"""Marginals that are those of the data: what the chain lacks, settled once training is over.

What a chain draws has marginals close to the data's, for every column is trained to. Close is not
equal: weights are pulled towards zero and averaged, the prior is fitted afterwards, and what one
column is off is handed to the next. Over tens of thousands of drawn rows a percent is seen. So rows
are drawn from the prior, and on the way along the chain each column's outcomes get what their
biases lack: with w_k(m) the probability of outcome k in row m and q_k its share in the data,

    b_k <- b_k + log q_k - log 1/M Σ_m w_k(m)

until the shares agree, before the column is drawn and the next one's turn has come. Where the
mixture of a number gives the values of its atoms too, q_k is what the mixture and the copies leave.

The mixture of a number, where it is no atom, is settled before that: see `mixtures`.

This module does not know where the prior and the weights come from.
"""

from dataclasses import replace

import torch
from torch import Tensor

from variate.distributions.column import Allowed, ColumnLaw, NumberLaw
from variate.models import VAE
from variate.table.mixtures import settle_mixture
from variate.table.network import RowEncoder
from variate.table.rows import RowDecoder
from variate.table.walk import Route
from variate.training.noise import mix

__all__ = ["settle", "settle_marginals"]

ROWS = 65_536
MOST_ROWS = 200_000  # of the data that are looked at
CELLS = 2**24  # of a table of drawn rows by outcomes
DRAWN = 2**20  # cells that are drawn
ROUNDS = 8
FEWEST = 5  # rows; what is rarer in the data is left as the network has it
SOME = 4_096  # rows that are enough for an average
MOST_SHIFT = 1.0  # nats; what is off by more is not a matter of a bias
_ROWS = 34  # a purpose of random numbers


def settle(model: VAE, x: Tensor, seed: int) -> None:
    """What is done to a table's model once it is trained and its prior is fitted.

    Args:
        model: With a chain of columns as decoder, in evaluation mode.
        x: Rows of the data, `[N, C]`.
        seed: Of the draws.
    """
    assert isinstance(model.encoder, RowEncoder)
    assert isinstance(model.decoder, RowDecoder)
    some = x[:: max(1, len(x) // SOME)].to(next(model.parameters()).device)
    for embedding in (model.encoder.embedding, model.decoder.chain.embedding):
        embedding.settle_unobserved(some)
    settle_marginals(model, x, seed)


@torch.no_grad()
def settle_marginals(model: VAE, x: Tensor, seed: int, rows: int = ROWS) -> None:
    """Give the columns of the chain the marginals that they have in the data.

    Args:
        model: Whose decoder is a chain of columns, in evaluation mode.
        x: Rows of the data, `[N, C]`.
        seed: Of the draws.
        rows: M, how many are drawn at most; fewer of many columns, or of thousands of outcomes.
    """
    assert isinstance(model.decoder, RowDecoder)
    chain = model.decoder.chain
    device = next(chain.parameters()).device
    rows = min(rows, CELLS // max([1, *chain.layout.widths]), DRAWN // len(chain.order))
    x = x[:: max(1, len(x) // MOST_ROWS)]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(mix(seed, _ROWS))  # and not the rows that `sample` gives with this seed
        walk = Route(chain).walk(model.prior().sample((rows,)))
        reading = chain.layout.read(x.to(device))
        for place, column in enumerate(chain.order):
            settle_mixture(walk, place, reading)
            law = walk.observed(place)
            if chain.layout.columns[column].outcomes:
                shift = _shift(law, reading.outcome[column])
                chain.shift_outcomes(column, shift)
                law = replace(law, log_w=(law.log_w + shift).log_softmax(-1))
            walk.take(place, law.sample())


def _shift(law: ColumnLaw, outcome: Tensor) -> Tensor:
    """What the biases of a column's outcomes lack, `[L]`."""
    counts = torch.bincount(outcome[outcome >= 0], minlength=law.log_w.shape[-1]).float()
    wanted = counts / counts.sum()
    shift = torch.zeros_like(wanted)
    free = counts < FEWEST
    besides = torch.zeros_like(wanted)
    if isinstance(law, NumberLaw):
        free[len(law.column.atoms)] = True  # elsewhere, and copies: what is left
        besides = _besides(law)
        free = free | (besides > 0.9 * wanted)
    for _ in range(ROUNDS):
        share = (law.log_w + shift).softmax(-1).mean(0)
        rest = (1 - (wanted - besides)[~free].sum()) / share[free].sum().clamp_min(1e-12)
        aim = torch.where(free, share * rest.clamp(0.1, 10.0), wanted - besides)
        shift = shift + aim.clamp_min(1e-12).log() - share.clamp_min(1e-12).log()
    shift = shift - wanted @ shift  # a constant says nothing, but would be cut off
    return shift.clamp(-MOST_SHIFT, MOST_SHIFT)


def _besides(law: NumberLaw) -> Tensor:
    """The probability of each atom that the mixture and the copies have, `[L]`."""
    atoms, found = len(law.column.atoms), torch.zeros_like(law.log_w[0])
    if atoms:
        some = law.some(SOME)
        given, total = some.restricted(Allowed(values=law.column.atoms))
        whole = (given.log_w[:, :atoms] + total.unsqueeze(-1)).exp().mean(0)
        found[:atoms] = (whole - some.log_w[:, :atoms].exp().mean(0)).clamp_min(0.0)
    return found
