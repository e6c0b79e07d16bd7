"""The encoder and decoder of a table row.

    x [B, C] raw units, NaN = unobserved
      -> numbers as normal scores T(x), categories as embeddings, a flag or a slot for "missing"
      -> MLP -> q(z|x)
    z [S, B, D] -> MLP -> the raw parameters of every column's likelihood -> p(x|z) = Rows

The scores T are the ones that the likelihood uses, so raw stays raw up to the first line here.
This module does not know where the columns came from, nor what their names are.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from variate.distributions.rows import Categorical, Constant, Numeric, RowLayout, Rows
from variate.nets import MLP
from variate.table.schema import ColumnSchema

__all__ = ["RowDecoder", "RowFeatures", "layout_of"]

SCORE_BOUND = 6.0  # beyond six deviations a number is only "far out" to the encoder


def layout_of(columns: tuple[ColumnSchema, ...], components: int) -> RowLayout:
    """The row likelihood that a table's modelled columns ask for."""
    with torch.device("cpu"):  # its tables are data, also where the weights are only shapes
        return RowLayout([_likelihood_of(column) for column in columns], components=components)


def _likelihood_of(column: ColumnSchema) -> Categorical | Numeric | Constant:
    if column.kind in ("boolean", "category"):
        return Categorical(len(column.levels))
    return Numeric(
        values=column.knots,
        scores=column.scores,
        step=column.step,
        density=column.kind in ("continuous", "datetime"),
    )


class RowFeatures(nn.Module):
    """x `[B, C]` -> features `[B, F]`: what the encoder sees of a row, gaps included.

    Args:
        layout: The columns.
        width: The size of a category's embedding.
    """

    starts: Tensor
    missing: Tensor
    where: Tensor

    def __init__(self, layout: RowLayout, width: int = 8) -> None:
        super().__init__()
        self.layout = layout
        levels = [layout.columns[i].levels for i in layout.categorical]  # type: ignore[union-attr]
        starts = list(accumulate((n + 1 for n in levels), initial=0))
        self.embedding = nn.Embedding(starts[-1], width) if levels else None
        self.register_buffer("starts", torch.tensor(starts[:-1]), persistent=False)
        self.register_buffer("missing", torch.tensor(levels, dtype=torch.long), persistent=False)
        self.register_buffer("where", torch.tensor(layout.categorical), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The features of rows x `[B, C]`, NaN = unobserved."""
        parts: list[Tensor] = []
        if self.layout.numeric:
            score = self.layout.score(x)
            gap = score.isnan()
            bounded = score.nan_to_num(0.0).clamp(-SCORE_BOUND, SCORE_BOUND)
            parts += [bounded, gap.to(bounded.dtype)]
        if self.embedding is not None:
            codes = x[:, self.where]
            codes = torch.where(codes.isnan(), self.missing, codes).long() + self.starts
            parts.append(self.embedding(codes).flatten(1))
        return torch.cat(parts, dim=1)


class RowDecoder(nn.Module):
    """z `[S, B, D]` -> p(x|z), the row likelihood of batch shape `[S, B]`.

    Args:
        latent: D.
        layout: The columns.
        hidden: The widths of the hidden layers.
    """

    def __init__(self, latent: int, layout: RowLayout, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.body = MLP(latent, hidden)
        self.head = nn.Linear(hidden[-1], layout.parameters_needed)
        self.layout = layout

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Start from the marginals of some rows x `[n, C]`, with what z adds to them still small.

        Training then spends no steps on finding the frequencies of the levels, and the KL is not
        paid for what the marginals explain.
        """
        self.head.bias.copy_(self.layout.marginal(x))
        self.head.weight.mul_(0.1)

    def forward(self, z: Tensor) -> Rows:
        """p(x|z)."""
        likelihood: Rows = self.layout(self.head(self.body(z)))
        return likelihood
