r"""A table's row: columns of mixed kinds, independent given the latent; NaN is unobserved.

    log p(x|z) = Σ_{c observed} log p_c(x_c|z)

A column that is not observed contributes nothing, which marginalises it exactly. A categorical
column has a softmax over its levels. A numeric column has a mixture of K logistics over its scores
(scores.py), and is measured in its own units: as the probability of the recorded value where the
column lies on a grid, else as a density with the Jacobian of T. A constant column says nothing.

A network supplies raw `[..., P]`, which is laid out as

    3 × K × N     of the N numeric columns: logits, locations, raw scales
    L_b × n_b     for each bucket b of n_b categorical columns of similar size: logits

Columns of a bucket share one tensor, padded to its largest column L_b with levels of probability
zero; buckets end at 2, 8, 32, 128, ... levels, so that one column of 5,000 levels does not pad the
others. raw = 0 gives every score a mixture that is close to a standard normal and every level the
same probability.

This module does not know names, units or data types, nor how a row is encoded.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from variate.distributions.gaussian import bounded_scale
from variate.distributions.grid import LogisticMixture
from variate.distributions.scores import Numeric, ScoreMaps, Tables

__all__ = ["Categorical", "Column", "Constant", "Numeric", "RowLayout", "Rows"]


@dataclass(frozen=True)
class Categorical:
    """A column of codes 0, ..., levels - 1.

    Raises:
        ValueError: There is no level.
    """

    levels: int

    def __post_init__(self) -> None:
        """Check that there is a level."""
        if self.levels < 1:
            raise ValueError(f"a categorical column needs a level or more; got {self.levels}")


@dataclass(frozen=True)
class Constant:
    """A column that has one value only: no parameters, log-probability zero."""


Column = Categorical | Numeric | Constant


class RowLayout(Tables):
    """Where each column's parameters lie in a network's output, and what they mean.

    Call it with raw `[..., P]`, P = `parameters_needed`, to get `Rows` of batch shape `[...]`.

    Args:
        columns: The kinds of the columns, in order.
        components: K, the logistics of each numeric column's mixture.

    Attributes:
        parameters_needed: P, how many outputs the network must have for each row.
        numeric: Positions of the numeric columns in the row.
        categorical: Positions of the categorical columns in the row.

    Raises:
        ValueError: There is no component.
    """

    start: Tensor
    levels: Tensor
    order: Tensor
    inverse: Tensor

    def __init__(self, columns: Sequence[Column], components: int = 5) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"a mixture needs a component or more; got {components}")
        self.columns = tuple(columns)
        self.components = components
        levels = {i: c.levels for i, c in enumerate(columns) if isinstance(c, Categorical)}
        numbers = {i: c for i, c in enumerate(columns) if isinstance(c, Numeric)}
        self.numeric, self.categorical = list(numbers), list(levels)
        self.maps = ScoreMaps(list(numbers.values()))

        buckets = _buckets(levels)
        coded = [i for bucket in buckets for i in bucket]
        self.shapes = [(max(levels[i] for i in bucket), len(bucket)) for bucket in buckets]
        start = [_standard_normal(components).repeat_interleave(len(numbers))]
        start += [_padding([levels[i] for i in bucket]) for bucket in buckets]
        self.sizes = [len(part) for part in start]
        self.parameters_needed = sum(self.sizes)

        order = [*self.numeric, *coded]
        constant = [i for i, c in enumerate(columns) if isinstance(c, Constant)]
        self.hold(
            start=torch.cat(start),
            levels=torch.tensor([levels[i] for i in coded], dtype=torch.long),
            order=torch.tensor(order, dtype=torch.long),
            inverse=torch.tensor(order + constant, dtype=torch.long).argsort(),
        )

    def forward(self, raw: Tensor) -> "Rows":
        """The rows that raw `[..., P]` describes, computed in float32 or wider."""
        # parameters first in memory: every column, component and level is then contiguous
        numeric, *coded = (raw + self.start).movedim(-1, 0).contiguous().split(self.sizes)
        parts = numeric.unflatten(0, (3, self.components, len(self.numeric)))
        logits, location, scale = (part.movedim((0, 1), (-1, -2)) for part in parts.unbind())
        mixture = LogisticMixture(logits, location, bounded_scale(scale), validate_args=False)
        tables = (part.unflatten(0, shape) for part, shape in zip(coded, self.shapes, strict=True))
        levels = [F.log_softmax(table, 0).movedim((0, 1), (-1, -2)) for table in tables]
        return Rows(self, mixture, levels)

    def arranged(self, x: Tensor) -> Tensor:
        """x `[..., C]` with the numeric columns first, then the buckets'; constants left out."""
        return x.movedim(-1, 0).index_select(0, self.order).movedim(0, -1)

    def restored(self, arranged: Tensor) -> Tensor:
        """The inverse of `arranged`, `[..., C]`, with zero in the constant columns."""
        constants = len(self.columns) - arranged.shape[-1]
        return F.pad(arranged, (0, constants)).index_select(-1, self.inverse)

    @torch.no_grad()
    def marginal(self, x: Tensor) -> Tensor:
        """Raw parameters `[P]` that give categories their frequencies in the rows x `[N, C]`.

        Half a row is added to each level, so that none is impossible. The scores of numbers are
        close to a standard normal by their making, so their parameters are zero. A network that
        has this as its last bias begins at the columns' marginals.
        """
        pieces = [torch.zeros(self.sizes[0])]
        coded = iter(self.order[len(self.numeric) :].tolist())
        for most, columns in self.shapes:
            counts = torch.full((most, columns), 0.5)
            for c in range(columns):
                codes = x[:, next(coded)]
                counts[:, c] += torch.bincount(codes[~codes.isnan()].long(), minlength=most)
            pieces.append((counts / counts.sum(0)).log().flatten())
        return torch.cat(pieces)

    def score(self, x: Tensor) -> Tensor:
        """T of the numeric columns of x `[..., C]`, float32 `[..., N]`; NaN stays NaN."""
        score: Tensor = self.maps(self.arranged(x)[..., : len(self.numeric)])
        return score.float()

    def violations(self, x: Tensor) -> Tensor:
        """Where x `[..., C]` lies outside the support, bool `[..., C]`; NaN lies inside.

        A code must be one of its column's levels, a number finite, and on the grid if there is one.
        """
        arranged = self.arranged(x)
        numbers, codes = arranged.tensor_split((len(self.numeric),), -1)
        known = (codes >= 0) & (codes < self.levels) & (codes == codes.round())
        outside = ~torch.cat([self.maps.supports(numbers), known], -1)
        return self.restored(outside & ~torch.isnan(arranged))

    def check(self, x: Tensor) -> tuple[int, int] | None:
        """Row and column of the first value of x `[B, C]` outside the support, or None."""
        places = self.violations(x).nonzero()
        return None if len(places) == 0 else (int(places[0, 0]), int(places[0, 1]))


class Rows(Distribution):
    """Rows of a table: independent columns of mixed kinds, NaN meaning unobserved.

    Values are float64 `[..., C]`, in the columns' own units, codes for categories. Draws observe
    every column; a constant column is drawn as zero. `RowLayout` makes it.

    Args:
        layout: The columns.
        mixture: Scores of the N numeric columns, batch shape `[*batch, N]`.
        levels: Log-probabilities of the levels, `[*batch, n_b, L_b]` for each of the buckets.
    """

    arg_constraints = {}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self, layout: RowLayout, mixture: LogisticMixture, levels: Sequence[Tensor]
    ) -> None:
        self.layout = layout
        self.mixture = mixture
        self.levels = tuple(levels)
        event = Size((len(layout.columns),))
        super().__init__(mixture.batch_shape[:-1], event, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """NaN, or for each column one of its levels, its grid's values or any finite number."""
        return _RowSupport(self.layout)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Rows":
        """The same rows with their batch broadcast to `batch_shape`."""
        mixture = self.mixture.expand((*batch_shape, *self.mixture.batch_shape[-1:]))
        levels = [bucket.expand(*batch_shape, *bucket.shape[-2:]) for bucket in self.levels]
        return Rows(self.layout, mixture, levels)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of the observed columns in nats, broadcast of batch and value.

        The value must lie in the support, which `RowLayout.check` tells and this does not: a
        number beside its grid is taken for the nearest one on it.
        """
        return self._log_prob_arranged(value).sum(-1)

    def log_prob_columns(self, value: Tensor) -> Tensor:
        """The same column by column, `[..., C]`; zero where the value is NaN."""
        return self.layout.restored(self._log_prob_arranged(value))

    @torch.no_grad()
    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Draws `[*sample_shape, *batch, C]`, float64."""
        scores = self.mixture.double().sample(sample_shape)
        codes = [_sampled(bucket, Size(sample_shape)) for bucket in self.levels]
        return self._row(scores, codes)

    @torch.no_grad()
    def central(self) -> Tensor:
        """Each column's middle, `[*batch, C]`, float64: the median of numbers, the likeliest level.

        The median is the raw value of the scores' median, since T is monotone; on a grid it is
        the value whose cell holds it.
        """
        mixture = self.mixture.double()
        scores = mixture.icdf(mixture.logits.new_full(mixture.batch_shape, 0.5))
        return self._row(scores, [bucket.argmax(-1) for bucket in self.levels])

    def _row(self, scores: Tensor, codes: list[Tensor]) -> Tensor:
        """Rows with these scores of the numeric columns and these codes of each bucket."""
        return self.layout.restored(torch.cat([self.layout.maps.inverse(scores), *codes], -1))

    def _log_prob_arranged(self, value: Tensor) -> Tensor:
        """Log-probabilities in the layout's own order of columns, zero where unobserved."""
        arranged = self.layout.arranged(value)
        observed = ~torch.isnan(arranged)
        x = torch.where(observed, arranged, 0.0)
        numbers, codes = x.tensor_split((len(self.layout.numeric),), -1)
        # columns first in memory, as the parameters are
        log_p = [self._log_numbers(numbers).movedim(-1, 0), *self._log_codes(codes)]
        return torch.where(observed, torch.cat(log_p).movedim(0, -1), 0.0)

    def _log_numbers(self, numbers: Tensor) -> Tensor:
        """Log-probabilities of the numeric columns, `[..., N]`."""
        cells = self.layout.maps.cells(numbers)
        lower, width, offset = (part.to(self.mixture.scale.dtype) for part in cells)
        return self.mixture.log_mass(lower, width) + offset

    def _log_codes(self, codes: Tensor) -> list[Tensor]:
        """Log-probabilities of the categorical columns, `[n_b, ...]` for each bucket."""
        shape = torch.broadcast_shapes(self.batch_shape, codes.shape[:-1])
        index = codes.long().expand(*shape, -1).movedim(-1, 0)
        parts = index.split([n for _, n in self.layout.shapes])
        log_p = []
        for bucket, part in zip(self.levels, parts, strict=True):
            table = bucket.expand(*shape, *bucket.shape[-2:]).movedim((-1, -2), (0, 1))
            log_p.append(table.gather(0, part.unsqueeze(0)).squeeze(0))
        return log_p


class _RowSupport(constraints.Constraint):
    """What a layout accepts; NaN included."""

    event_dim = 1

    def __init__(self, layout: RowLayout) -> None:
        self.layout = layout
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return ~self.layout.violations(value).any(-1)


def _buckets(levels: dict[int, int]) -> list[list[int]]:
    """Positions of the categorical columns grouped by size: 2 levels, up to 8, up to 32."""
    groups: dict[int, list[int]] = {}
    for position, size in levels.items():
        groups.setdefault((max(size, 2) - 1).bit_length() // 2, []).append(position)
    return [groups[key] for key in sorted(groups)]


def _padding(sizes: list[int]) -> Tensor:
    """Minus infinity for the logits that a bucket's columns have no level for, else zero, flat."""
    level = torch.arange(max(sizes)).unsqueeze(-1)
    return torch.where(level < torch.tensor(sizes), 0.0, -torch.inf).flatten()


def _sampled(log_p: Tensor, sample_shape: Size) -> Tensor:
    """Draws of a bucket's codes `[*sample_shape, ..., n]` from log-probabilities `[..., n, L]`."""
    weights = log_p.exp().expand(*sample_shape, *log_p.shape)
    flat = weights.reshape(-1, weights.shape[-1])
    return torch.multinomial(flat, 1).reshape(weights.shape[:-1])


def _standard_normal(components: int) -> Tensor:
    """Raw parameters, flat `[3·K]`, of a mixture of logistics that is close to a standard normal.

    The medians are a normal's quantiles in the middle of K equal shares, and the common scale
    brings the variance to one.
    """
    shares = (torch.arange(components, dtype=torch.float64) + 0.5) / components
    location = torch.special.ndtri(shares)
    within = float(1 - location.square().mean())
    scale = math.log(math.expm1(math.sqrt(3 * within) / math.pi))  # but for the floor, raw of it
    rows = [torch.zeros_like(location), location, torch.full_like(location, scale)]
    return torch.cat(rows).float()
