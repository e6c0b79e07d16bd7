r"""The columns of a table's row: what each has for outcomes, and what an outcome's probability is.

Every column c has a law p_c, given whatever a network was shown. It has two parts:

    outcomes     a softmax over   the levels of a category
                                  the atoms of a number, copies of other columns, and "elsewhere"
                                  the gap, where the column has missing values
    elsewhere    a mixture of K logistics over the number's scores T (scores.py)

so that with w the probabilities of the outcomes and f the mixture,

    p_c(level) = w_level
    p_c(x)     = w_atom(x) + Σ_{copies that give x} w_copy + w_elsewhere · f(cell of x)
    p_c(gap)   = w_gap

which sums and integrates to one: atoms and copies add to what the mixture gives the same value, and
nothing is taken off. On a grid that stands for a continuous quantity all of it is divided by the
step; where there is no grid, f is a density, and what has a probability of its own has no density.
A copy of what the column cannot have, a gap or a number off its grid, counts
as elsewhere. A missing value of a column that never had one in training is unobserved: it
contributes nothing.

Columns come first in the tensors of this module, `[C, ...]`, and numeric ones `[N, ...]`. The
logits of outcomes come in buckets b of n_b columns with a similar number of them, padded to the
most, L_b, with outcomes of probability zero: one column of 5,000 levels does not pad the others.

This module does not know names, units or data types, nor the network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from variate.distributions.buckets import buckets_of
from variate.distributions.gaussian import bounded_scale
from variate.distributions.grid import LogisticMixture
from variate.distributions.outcomes import NEVER, drawn_outcomes
from variate.distributions.scores import Copy, Numeric, ScoreMaps, Tables, atom_table

__all__ = ["Categorical", "Column", "Copy", "Numeric", "Reading", "RowLayout"]

_LOG_BROAD = math.log(1e-4)
_WIDE = math.sqrt(3) / math.pi  # the scale of a logistic whose variance is one


@dataclass(frozen=True)
class Categorical:
    """A column of codes 0, ..., levels - 1.

    Attributes:
        levels: How many.
        gaps: Whether a missing value is an outcome with a probability.

    Raises:
        ValueError: There is no level.
    """

    levels: int
    gaps: bool = False

    def __post_init__(self) -> None:
        """Check that there is a level."""
        if self.levels < 1:
            raise ValueError(f"a categorical column needs a level or more; got {self.levels}")

    @property
    def outcomes(self) -> int:
        """The levels, and a gap if there are any."""
        return self.levels + self.gaps


Column = Categorical | Numeric


class Reading(NamedTuple):
    """What rows x look like to the laws of their columns, and to a network.

    Attributes:
        outcome: Level, atom, elsewhere or gap of each column, int64 `[C, ...]`; -1: unobserved.
        score: T of the numbers, float32 `[N, ...]`; 0 where there is none.
        present: Where there is a number, bool `[N, ...]`.
        lower: T of the lower edge of the number's cell, float32 `[N, ...]`.
        width: The width of the cell in scores; 0 for a point.
        offset: What is added to the log of the cell's mass.
        equal: Whether the number is what each copy would give, bool `[R, ...]`.
        useless: Whether a copy would give no value that the column can have, bool `[R, ...]`.
        shown: What networks are shown as the outcome, int64 `[C, ...]`: a copy where the value is
            what it gives, and no atom, so that they see at once that two columns agree.
    """

    outcome: Tensor
    score: Tensor
    present: Tensor
    lower: Tensor
    width: Tensor
    offset: Tensor
    equal: Tensor
    useless: Tensor
    shown: Tensor


class RowLayout(Tables):
    """The columns of a row, and where the parameters of their laws lie.

    Args:
        columns: The kinds of the columns, in order.
        components: K, the logistics of each numeric column's mixture.

    Attributes:
        numeric: Positions of the N numeric columns in the row.
        buckets: Positions of the columns with outcomes, bucket by bucket.
        widths: L_b, the most outcomes in each bucket.

    Raises:
        ValueError: There is no component, or a copy's source is not a numeric column before it.
    """

    levels: Tensor
    atoms: Tensor
    tolerance: Tensor
    elsewhere: Tensor
    gap: Tensor
    where_numeric: Tensor

    def __init__(self, columns: Sequence[Column], components: int = 5) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"a mixture needs a component or more; got {components}")
        self.columns = tuple(columns)
        self.components = components
        numbers = {i: c for i, c in enumerate(columns) if isinstance(c, Numeric)}
        self.numeric = list(numbers)
        self.maps = ScoreMaps(list(numbers.values()))
        self.each = nn.ModuleList([ScoreMaps([column]) for column in numbers.values()])
        self.copies = [(i, copy) for i, c in numbers.items() for copy in c.copies]
        for column, copy in self.copies:
            if not set(copy.sources) <= numbers.keys() - {column}:
                raise ValueError(f"column {column} cannot copy columns {copy.sources}")
        self.buckets = buckets_of({i: c.outcomes for i, c in enumerate(columns) if c.outcomes})
        self.widths = [max(columns[i].outcomes for i in bucket) for bucket in self.buckets]
        gapped = [getattr(c, "gaps", False) for c in columns]
        last = [c.levels if isinstance(c, Categorical) else 0 for c in columns]
        for i, c in numbers.items():
            last[i] = len(c.atoms) + 1
        self.hold(
            levels=torch.tensor([c.levels if isinstance(c, Categorical) else 0 for c in columns]),
            atoms=atom_table(list(numbers.values())),
            tolerance=torch.tensor(
                [[(c.step or 0.0) * 1e-3] for c in numbers.values()], dtype=torch.float64
            ).reshape(-1, 1),
            elsewhere=torch.tensor([len(c.atoms) for c in numbers.values()]).long().unsqueeze(-1),
            gap=torch.where(torch.tensor(gapped), torch.tensor(last), -1).unsqueeze(-1),
            where_numeric=torch.tensor(self.numeric, dtype=torch.long),
        )

    # -- reading rows -----------------------------------------------------------------------------

    def read(self, x: Tensor) -> Reading:
        """What rows x `[..., C]` look like; a number beside its grid counts as the nearest one."""
        columns = x.movedim(-1, 0)
        shape = columns.shape[1:]
        flat = columns.reshape(len(self.columns), -1).double()
        missing = flat.isnan()
        outcome = torch.where(missing, self.gap, flat.nan_to_num(0.0).long())
        numbers = flat.index_select(0, self.where_numeric)
        present = ~numbers.isnan()
        values = torch.where(present, numbers, 0.0)
        others = outcome.index_select(0, self.where_numeric)
        found = torch.where(present, self._atom(values), others)
        outcome = outcome.index_copy(0, self.where_numeric, found)
        score = torch.where(present, self.maps(values.T).T, 0.0)
        cells = [part.T for part in self.maps.cells(values.T)]
        parts = [outcome, score.float(), present, *(part.float() for part in cells)]
        copied = [(i, copy, copy.value(flat)) for i, copy in self.copies]
        same = [
            (flat[i] - value).abs() <= self.tolerance[self.numeric.index(i)] + copy.tolerance
            for i, copy, value in copied
        ]
        useless = [self.useless(i, value) for i, _, value in copied]
        parts += [torch.stack(part) if part else present[:0] for part in (same, useless)]
        shown = outcome.clone()
        for c in {c for c, _ in self.copies}:
            equal = [same[r] for r, (other, _) in enumerate(self.copies) if other == c]
            shown[c] = self._shown(c, outcome[c], equal)
        parts.append(shown)
        return Reading(*(part.reshape(len(part), *shape) for part in parts))

    def useless(self, column: int, copied: Tensor) -> Tensor:
        """Where a copy gives what its column cannot have: a gap, or a number off the grid."""
        return ~self.map_of(column).supports(copied.unsqueeze(-1)).squeeze(-1)

    def _shown(self, column: int, outcome: Tensor, equal: Sequence[Tensor]) -> Tensor:
        """The outcomes of a column, a copy where the value is what it gives, and no atom."""
        shown, elsewhere = outcome, len(self._number(column).atoms)
        for place, same in reversed(list(enumerate(equal, self.first_copy(column)))):
            shown = torch.where(same & (outcome >= elsewhere), place, shown)
        return shown

    def shown_one(
        self, column: int, outcome: Tensor, columns: Tensor, rows: Tensor | slice
    ) -> Tensor:
        """`Reading.shown` of one column in some rows, from its outcomes and `[C, M]` columns."""
        equal = []
        for copy in (copy for c, copy in self.copies if c == column):
            off = columns[column][rows] - copy.value({s: columns[s][rows] for s in copy.sources})
            close = self.tolerance[self.numeric.index(column)] + copy.tolerance
            equal.append(off.abs() <= close)
        return self._shown(column, outcome, equal) if equal else outcome

    def read_one(self, column: int, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outcome, score and presence `[M]` of values `[M]` of one column: see `Reading`."""
        missing = values.isnan()
        known = torch.where(missing, 0.0, values)
        if column not in self.numeric:
            outcome = torch.where(missing, self.gap[column], known.long())
            return outcome, torch.zeros_like(values, dtype=torch.float32), ~missing
        n = self.numeric.index(column)
        outcome = torch.where(missing, self.gap[column], self._atom(known.unsqueeze(0), n)[0])
        score = self.each[n](known.unsqueeze(-1)).squeeze(-1)
        return outcome, torch.where(missing, 0.0, score).float(), ~missing

    def _atom(self, values: Tensor, only: int | None = None) -> Tensor:
        """Which atom each of the numbers `[N, M]` is, or elsewhere; of one column `[1, M]`."""
        some = slice(None) if only is None else slice(only, only + 1)
        atoms, tolerance = self.atoms[some], self.tolerance[some]
        nearest = torch.searchsorted(atoms, values - tolerance)
        found = atoms.gather(1, nearest.clamp(max=atoms.shape[1] - 1))
        return torch.where((found - values).abs() <= tolerance, nearest, self.elsewhere[some])

    def violations(self, x: Tensor) -> Tensor:
        """Where x `[..., C]` lies outside the support, bool `[..., C]`; NaN lies inside.

        A code must be one of its column's levels, a number finite, and on the grid if there is one.
        """
        known = (x >= 0) & (x < self.levels) & (x == x.round())
        numbers = self.maps.supports(x.index_select(-1, self.where_numeric))
        inside = known.index_copy(-1, self.where_numeric, numbers)
        return ~(inside | x.isnan())

    def check(self, x: Tensor) -> tuple[int, int] | None:
        """Row and column of the first value of x `[B, C]` outside the support, or None."""
        places = self.violations(x).nonzero()
        return None if len(places) == 0 else (int(places[0, 0]), int(places[0, 1]))

    # -- the laws ---------------------------------------------------------------------------------

    def log_prob(self, reading: Reading, logits: Sequence[Tensor], numbers: Tensor) -> Tensor:
        """Log-probability of each column, `[C, ...]`, in nats; 0 where it is unobserved.

        Args:
            reading: The rows.
            logits: Of the outcomes, `[n_b, ..., L_b]` for each bucket; padding need not be masked.
            numbers: Raw parameters of the mixtures, `[N, ..., 3·K]`.
        """
        observed = reading.outcome >= 0
        outcome = reading.outcome.clamp(min=0)
        shape = torch.broadcast_shapes(outcome.shape[1:], numbers.shape[1:-1])
        result = [torch.zeros((), device=numbers.device).expand(shape)] * len(self.columns)
        log_w: dict[int, Tensor] = {}
        for bucket, part in zip(self.buckets, logits, strict=True):
            normalised = self.log_outcomes(bucket, part)
            index = outcome[bucket].expand(len(bucket), *shape).unsqueeze(-1)
            for c, of_column, of_row in zip(
                bucket, normalised, normalised.gather(-1, index).squeeze(-1), strict=True
            ):
                log_w[c], result[c] = of_column, of_row
        if self.numeric:
            self._add_numbers(result, log_w, reading, numbers)
        return torch.where(observed, torch.stack(result), 0.0)

    def _add_numbers(
        self,
        result: list[Tensor],
        log_w: dict[int, Tensor],
        reading: Reading,
        numbers: Tensor,
    ) -> None:
        """Add to the atoms' log-probabilities those of elsewhere and of the copies."""
        point = reading.width == 0
        mass = self.mixture(numbers).log_mass(reading.lower, reading.width)
        mass = mass + torch.where(point, reading.offset, 0.0)
        unit = torch.where(point, 0.0, reading.offset)  # of a cell: of all that it holds
        single = {c: reading.outcome[c] < len(self._number(c).atoms) for c in self.numeric}
        copied: dict[int, list[Tensor]] = {c: [] for c in self.numeric}
        spare: dict[int, list[Tensor]] = {c: [] for c in self.numeric}
        for r, (c, _) in enumerate(self.copies):
            log_copy = log_w[c][..., self.first_copy(c) + len(copied[c])]
            copied[c].append(torch.where(reading.equal[r], log_copy, NEVER))
            single[c] = single[c] | reading.equal[r]
            spare[c].append(torch.where(reading.useless[r], log_copy, NEVER))
        for n, c in enumerate(self.numeric):
            if c not in log_w:
                result[c] = mass[n] + unit[n]
                continue
            atoms = int(self.columns[c].outcomes) and len(self._number(c).atoms)
            is_atom = reading.outcome[c] < atoms
            elsewhere = [log_w[c][..., atoms], *spare[c]]
            if spare[c]:
                elsewhere = [torch.stack(torch.broadcast_tensors(*elsewhere)).logsumexp(0)]
            terms = [torch.where(point[n] & single[c], NEVER, elsewhere[0] + mass[n]), *copied[c]]
            if atoms:
                terms.append(torch.where(is_atom, result[c], NEVER))
            value = torch.stack(torch.broadcast_tensors(*terms)).logsumexp(0)
            result[c] = torch.where(reading.present[n], value + unit[n], result[c])

    def log_outcomes(self, bucket: Sequence[int], logits: Tensor) -> Tensor:
        """Log-probabilities of the outcomes of a bucket's columns from their logits, same shape."""
        sizes = torch.tensor([self.columns[c].outcomes for c in bucket], device=logits.device)
        padding = torch.arange(logits.shape[-1], device=logits.device) >= sizes.unsqueeze(-1)
        padding = padding.reshape(len(bucket), *[1] * (logits.ndim - 2), -1)
        return logits.masked_fill(padding, NEVER).log_softmax(-1)

    def mixture(self, numbers: Tensor) -> LogisticMixture:
        """The mixtures over scores from raw parameters `[..., 3·K]`, and a broad component to each.

        It has a ten-thousandth of the weight and lies like the column as a whole. Without it a
        network that is sure of a number, and wrong, loses thousands of nats on a single row.
        """
        # components first in memory: sums over them are then quick, and the same for every row
        parts = numbers.movedim(-1, 0).contiguous().unflatten(0, (3, self.components))
        logits, location, scale = parts.unbind()
        broad = logits.logsumexp(0, keepdim=True) + _LOG_BROAD
        logits = torch.cat([logits, broad])
        location = torch.cat([location, torch.zeros_like(broad)])
        scale = torch.cat([bounded_scale(scale), torch.full_like(broad, _WIDE)])
        parts = (part.movedim(0, -1) for part in (logits, location, scale))
        return LogisticMixture(*parts, validate_args=False)

    def drawn_scores(self, numbers: Tensor, generator: Generator | None = None) -> Tensor:
        """Scores drawn from the mixtures of raw parameters `[M, 3·K]`, float64 `[M]`."""
        logits, location, scale = numbers.unflatten(-1, (3, self.components)).unbind(-2)
        chosen = drawn_outcomes(logits, generator, beyond=math.exp(_LOG_BROAD)).long()
        broad = chosen == self.components
        chosen = chosen.clamp(max=self.components - 1).unsqueeze(-1)
        location, scale = (part.gather(-1, chosen).squeeze(-1) for part in (location, scale))
        location = torch.where(broad, 0.0, location).double()
        scale = torch.where(broad, _WIDE, bounded_scale(scale)).double()
        uniform = torch.rand(
            len(numbers), generator=generator, dtype=torch.float64, device=numbers.device
        )
        return location + scale * torch.logit(uniform)

    def map_of(self, column: int) -> ScoreMaps:
        """A numeric column's own map to scores."""
        maps = self.each[self.numeric.index(column)]
        assert isinstance(maps, ScoreMaps)
        return maps

    def first_copy(self, column: int) -> int:
        """The first of a numeric column's outcomes that is a copy."""
        number = self._number(column)
        return len(number.atoms) + 1 + number.gaps

    def _number(self, column: int) -> Numeric:
        number = self.columns[column]
        assert isinstance(number, Numeric)
        return number

    # -- where training starts --------------------------------------------------------------------

    @torch.no_grad()
    def marginal(self, x: Tensor) -> list[Tensor]:
        """Logits `[n_b, L_b]` of each bucket that give outcomes their frequencies in x `[N, C]`.

        Half a row is added to each outcome, so that none is impossible. The scores of a column are
        close to a standard normal by their making, so its mixture starts as one: see `normal`.
        """
        reading = self.read(x)
        counted = []
        for bucket, width in zip(self.buckets, self.widths, strict=True):
            counts = torch.full((len(bucket), width), 0.5, device=x.device)
            for row, c in zip(counts, bucket, strict=True):
                seen = reading.shown[c]
                row += torch.bincount(seen[seen >= 0], minlength=width)[:width]
            counted.append((counts / counts.sum(-1, keepdim=True)).log())
        return counted

    def normal(self) -> Tensor:
        """Raw parameters `[3·K]` of a mixture of logistics that is close to a standard normal.

        The medians are a normal's quantiles in the middle of K equal shares, and the common scale
        brings the variance to one.
        """
        shares = (torch.arange(self.components, dtype=torch.float64) + 0.5) / self.components
        location = torch.special.ndtri(shares)
        within = float(1 - location.square().mean())
        raw = math.log(
            math.expm1(math.sqrt(3 * within) / math.pi)
        )  # of the scale, but for its floor
        rows = [torch.zeros_like(location), location, torch.full_like(location, raw)]
        return torch.cat(rows).float()
