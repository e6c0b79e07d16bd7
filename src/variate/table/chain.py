r"""The decoder of a table's row: one column after the other, each given z and those before it.

    p(x|z) = Π_j p(x_j | x_1, ..., x_{j-1}, z)

With e_i the embedding of column i, a = SiLU and a code's features c = a(A z), the j-th column of
the chain has

    g_j = b_j + Σ_{i<j} e_i W_ij                    [width]
    f_j = a(g_j) P_j                                [FEATURES]
    h_j = g_j + Σ_{i<=j} f_i V_ij + c U_j           [width]
    h_j <- h_j + a(h_j) R_jl,   l = 1, ..., layers
    outcomes and mixture of p_j: linear maps of a(h_j)

so columns are mixed twice, with what was found out about the columns before at hand for those
after, and what follows is a small network for each. In training all columns are computed at once,
W and V being masked; to draw, one after the other (walk.py). Tables of many columns have W_ij and
V_ij of a low rank, so that their cost grows with the number of columns and not with its square.

The code comes in after the mixing: what columns make of each other does not depend on it, so other
codes can be tried for a row that is partly known without going through its columns again.

This module does not know where the columns came from, nor what their names are.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variate.distributions.rows import Numeric, Reading, RowLayout
from variate.table.copies import Copies
from variate.table.memory import CarriedTables, GatheredTables, KeptTables, Part, SummedTables
from variate.table.network import ColumnEmbedding

__all__ = ["Chain"]

CODE = 64  # features of a code
MOST = 4_000_000  # numbers in W; beyond, it is of low rank
RANK = 128
FEATURES = 32  # of a column, that the columns from it on are shown


class Chain(nn.Module):
    """The networks of the columns, in the order of the chain.

    Args:
        layout: The columns.
        latent: D, the dimensions of z.
        order: The positions of the columns, first to last.
        width: Of a column's network.
        embedding: The width of a column's embedding.
        layers: Of a column's network, after the first.
        dropout: The share of its activations that are dropped in training.
        number_dropout: The same for numbers that are not closed, which it would blur.
        sums: What columns add up to in every row that is drawn, see `sums.settled`.

    Raises:
        ValueError: A column comes before one that it copies.
    """

    keep: Tensor

    def __init__(
        self,
        layout: RowLayout,
        latent: int,
        order: Sequence[int],
        *,
        width: int = 32,
        embedding: int = 16,
        layers: int = 2,
        dropout: float = 0.1,
        number_dropout: float = 0.0,
        sums: Copies = (),
    ) -> None:
        super().__init__()
        columns = len(order)
        if any(not set(copy.sources) <= {*order[: order.index(c)]} for c, copy in layout.copies):
            raise ValueError("a column can only copy one that comes before it in the chain's order")
        self.layout = layout
        self.sums = sums
        self.order = list(order)
        self.width = width
        self.embedding = ColumnEmbedding(layout, embedding)
        self.code = nn.Linear(latent, CODE)
        self.from_code = nn.Linear(CODE, columns * width)
        mixing = _FullMixing if columns**2 * FEATURES * width <= MOST else _LowRankMixing
        self.mixing = mixing(columns, embedding, width)
        self.bias = nn.Parameter(torch.zeros(columns, width))
        self.feature = _normal(columns, width, FEATURES, fan=width)
        self.again = mixing(columns, FEATURES, width, inclusive=True)
        self.residual = nn.ParameterList(
            _normal(columns, width, width, fan=width) for _ in range(layers)
        )
        self.dropout = max(dropout, number_dropout)
        shares = [number_dropout if self._is_open(c) else dropout for c in self.order]
        keep = 1.0 - torch.tensor(shares).reshape(-1, 1, 1)
        self.register_buffer("keep", keep, persistent=False)
        self.places = [[self.order.index(c) for c in bucket] for bucket in layout.buckets]
        self.outcomes = nn.ParameterList(
            torch.zeros(len(bucket), width, most)
            for bucket, most in zip(layout.buckets, layout.widths, strict=True)
        )
        self.outcome_bias = nn.ParameterList(
            torch.zeros(len(bucket) * most)
            for bucket, most in zip(layout.buckets, layout.widths, strict=True)
        )
        self.number_places = [self.order.index(c) for c in layout.numeric]
        sizes = (len(layout.numeric), width, 3 * layout.components)
        self.numbers = nn.Parameter(torch.zeros(sizes))
        self.number_bias = nn.Parameter(torch.zeros(sizes[0] * sizes[2]))

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Start from the marginals of some rows x `[n, C]`, so that no step is spent on them."""
        for bias, logits in zip(self.outcome_bias, self.layout.marginal(x), strict=True):
            bias.copy_(logits.flatten())
        self.number_bias.copy_(self.layout.normal().repeat(len(self.layout.numeric)))

    @torch.no_grad()
    def shift_outcomes(self, column: int, shift: Tensor) -> None:
        """Add to the biases of a column's outcomes, `[L]`."""
        for b, bucket in enumerate(self.layout.buckets):
            if column in bucket:
                start = bucket.index(column) * self.layout.widths[b]
                self.outcome_bias[b][start : start + len(shift)] += shift

    @torch.no_grad()
    def shift_numbers(self, column: int, shift: Tensor) -> None:
        """Add to the biases of the raw parameters of a number's mixture, `[3·K]`."""
        size = 3 * self.layout.components
        start = self.layout.numeric.index(column) * size
        self.number_bias[start : start + size] += shift

    @property
    def separate(self) -> bool:
        """Whether the networks of each column are its own, so that one can be replaced."""
        return isinstance(self.mixing, _FullMixing)

    def sees_code(self, place: int) -> bool:
        """Whether any column from a place on is told of the code."""
        return bool(self.from_code.weight[place * self.width :].any())

    @torch.no_grad()
    def replace_column(
        self,
        place: int,
        told: Tensor,
        bias: Tensor,
        residual: Sequence[Tensor],
        outcomes: Sequence[Tensor] | None,
        numbers: Sequence[Tensor] | None,
    ) -> None:
        """Give the column at a place other networks, which see no code and no features.

        Args:
            place: Which column.
            told: Of the embeddings of those before it, `[place·E, width]`.
            bias: Of their sum, `[width]`.
            residual: Of its own network, `[width, width]` each.
            outcomes: Bias and weight as `outcomes_of` gives them.
            numbers: Bias and weight as `numbers_of` gives them.
        """
        assert isinstance(self.mixing, _FullMixing)
        assert isinstance(self.again, _FullMixing)
        mine, column = slice(place * self.width, (place + 1) * self.width), self.order[place]
        self.mixing.weight[: len(told), mine] = told
        self.bias[place] = bias
        self.again.weight[:, mine] = 0.0
        self.from_code.weight[mine] = 0.0
        self.from_code.bias[mine] = 0.0
        for own, new in zip(self.residual, residual, strict=True):
            own[place] = new
        for held, given in (
            (self.outcomes_of(column), outcomes),
            (self.numbers_of(column), numbers),
        ):
            for own, part in zip(held or (), given or (), strict=True):
                own.copy_(part)

    # -- all columns at once ----------------------------------------------------------------------

    def log_prob(self, z: Tensor, x: Tensor, *, half: torch.dtype | None = None) -> Tensor:
        """Log p(x_j | x_1, ..., x_{j-1}, z) of each column, `[C, S, B]`.

        Args:
            z: `[S, B, D]`.
            x: The rows, `[B, C]`.
            half: What the networks compute in, if not in the weights' precision.
        """
        reading = self.layout.read(x)
        with torch.autocast(z.device.type, half) if half else nullcontext():
            logits, numbers = self._all_laws(z, reading)
        reading = type(reading)(*(part.unsqueeze(1) for part in reading))  # the same for all draws
        return self.layout.log_prob(reading, logits, numbers)

    def _all_laws(self, z: Tensor, reading: Reading) -> tuple[list[Tensor], Tensor]:
        """Of all laws: logits of outcomes, `[n_b, S, B, L_b]`, and of mixtures, `[N, S, B, 3·K]`.

        In the precision of the code, whatever the networks compute in.
        """
        e = self.embedding(reading)[self.order]
        h = self._mixed(e).unsqueeze(1) + self.features(z)  # [C, S, B, width]
        h = self._through(h.flatten(1, 2), range(len(self.order)))
        logits = [
            self._outcomes(b, h[places]).unflatten(1, z.shape[:2]).to(z.dtype)
            for b, places in enumerate(self.places)
        ]
        numbers = self._numbers(h[self.number_places]).unflatten(1, z.shape[:2])
        return logits, numbers.to(z.dtype)

    def _mixed(self, e: Tensor) -> Tensor:
        """What the columns see of those before them, `[C, B, width]`."""
        g = self.mixing(e) + self.bias.unsqueeze(1)
        return g + self.again(torch.bmm(self._dropped(F.silu(g)), self.feature))

    def features(self, z: Tensor, places: int | None = None) -> Tensor:
        """What the columns, or those at so many first places, see of the codes `[..., D]`.

        Returns:
            `[C, ..., width]`.
        """
        end = None if places is None else places * self.width
        seen = F.linear(
            F.silu(self.code(z)), self.from_code.weight[:end], self.from_code.bias[:end]
        )
        return seen.unflatten(-1, (-1, self.width)).movedim(-2, 0)

    def _through(self, h: Tensor, places: range) -> Tensor:
        """The columns' own networks, `[C', M, width]` for the places C'."""
        for weight in self.residual:
            h = h + torch.bmm(self._dropped(F.silu(h)), weight[places.start : places.stop])
        return F.silu(h)

    def _dropped(self, h: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return h
        return h * (torch.rand_like(h) < self.keep) / self.keep

    def _is_open(self, column: int) -> bool:
        """Whether the column is a number that takes many values."""
        number = self.layout.columns[column]
        return isinstance(number, Numeric) and not number.closed

    def _outcomes(self, bucket: int, h: Tensor) -> Tensor:
        weight = self.outcomes[bucket]
        bias = self.outcome_bias[bucket].unflatten(0, (len(weight), 1, -1))
        return torch.baddbmm(bias, h, weight)

    def feature_of(self, place: int, g: Tensor) -> Tensor:
        """What the column at a place shows to those from it on, `[M, FEATURES]`."""
        return F.silu(g) @ self.feature[place]

    def _numbers(self, h: Tensor) -> Tensor:
        bias = self.number_bias.unflatten(0, (len(self.numbers), 1, 3 * self.layout.components))
        return torch.baddbmm(bias, h, self.numbers)

    # -- one column after the other ---------------------------------------------------------------

    def own(self, place: int, h: Tensor) -> Tensor:
        """What the network of the column at a place makes of its sum h, both `[M, width]`.

        It is `_through` for one column, without dropout; h is overwritten.
        """
        for weight in self.residual:
            h.addmm_(F.silu(h), weight[place])
        return F.silu(h, inplace=True)

    def outcomes_of(self, column: int) -> tuple[Tensor, Tensor] | None:
        """Bias and weight of a column's outcomes, perhaps more of them than it has, or None."""
        for bucket, bias, weight in zip(
            self.layout.buckets, self.outcome_bias, self.outcomes, strict=True
        ):
            if column in bucket:
                k = bucket.index(column)
                return bias.unflatten(0, (len(bucket), -1))[k], weight[k]
        return None

    def numbers_of(self, column: int) -> tuple[Tensor, Tensor] | None:
        """Bias and weight of the raw parameters of a column's mixture; None for a category."""
        if column not in self.layout.numeric:
            return None
        k = self.layout.numeric.index(column)
        return self.number_bias.unflatten(0, (len(self.numbers), -1))[k], self.numbers[k]


class _FullMixing(nn.Module):
    """Σ_{i<j} e_i W_ij with a matrix for each pair; inclusive: i <= j."""

    mask: Tensor

    def __init__(
        self, columns: int, embedding: int, width: int, *, inclusive: bool = False
    ) -> None:
        super().__init__()
        self.sizes = (columns, embedding, width)
        self.inclusive = inclusive
        fan = columns * embedding / 2
        self.weight = _normal(columns * embedding, columns * width, fan=fan)
        before = torch.ones(columns, columns).triu(0 if inclusive else 1)
        mask = before.repeat_interleave(embedding, 0).repeat_interleave(width, 1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, e: Tensor) -> Tensor:
        """`[C, B, width]` from all embeddings `[C, B, E]`."""
        columns, _, width = self.sizes
        h = e.transpose(0, 1).flatten(1) @ (self.weight * self.mask)
        return h.unflatten(-1, (columns, width)).transpose(0, 1)

    def tables(self, parts: Sequence[Part]) -> GatheredTables:
        """For walks along the chain: the columns' embeddings and these weights multiplied."""
        columns, embedding, width = self.sizes
        return GatheredTables(parts, self.weight.view(columns, embedding, columns, width))

    def shown(self) -> KeptTables:
        """For walks along the chain, of features."""
        columns, features, width = self.sizes
        return KeptTables(self.weight.view(columns, features, columns, width))


class _LowRankMixing(nn.Module):
    """Σ_{i<j} e_i V_i, then Q_j: for many columns; inclusive: i <= j."""

    def __init__(
        self, columns: int, embedding: int, width: int, *, inclusive: bool = False
    ) -> None:
        super().__init__()
        self.inclusive = inclusive
        self.into = _normal(columns, embedding, RANK, fan=columns * embedding / 2)
        self.out = _normal(columns, RANK, width, fan=RANK)

    def forward(self, e: Tensor) -> Tensor:
        """`[C, B, width]` from all embeddings `[C, B, E]`."""
        added = torch.bmm(e, self.into)
        sums = added.cumsum(0) if self.inclusive else added.cumsum(0) - added
        return torch.bmm(F.silu(sums), self.out)

    def tables(self, parts: Sequence[Part]) -> CarriedTables:
        """For walks along the chain: the columns' embeddings and these weights multiplied."""
        return CarriedTables(parts, self.into, self.out)

    def shown(self) -> SummedTables:
        """For walks along the chain, of features."""
        return SummedTables(self.into, self.out)


def _normal(*shape: int, fan: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) / math.sqrt(fan))
