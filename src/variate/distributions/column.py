r"""The law of one column for M rows: what is left of p_c once a network has said what it knows.

    outcomes     log w `[M, L]`     levels; or atoms, elsewhere, gap, copies
    elsewhere    a mixture of logistics over scores, cut to an interval of scores

It is drawn from, condensed to one value, made sharper, and restricted: to the values that were
observed (nothing is drawn beyond them), or to a condition such as x in {a, b} or 1 <= x <= 5, whose
probability comes with it. A restriction takes outcomes out and cuts the mixture, and is exact, for
a logistic that is cut to an interval is drawn by its quantiles.

Draws are float64 in the column's own units, codes for categories, NaN for a gap.

This module does not know how the columns of a row hang together.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from variate.distributions.grid import OFF_GRID, LogisticMixture
from variate.distributions.landing import Landing
from variate.distributions.outcomes import NEVER, drawn_outcomes
from variate.distributions.rows import Categorical, Numeric, RowLayout
from variate.distributions.scores import ScoreMaps
from variate.distributions.temper import tempered

__all__ = ["FAR", "Allowed", "CategoryLaw", "ChoiceLaw", "ColumnLaw", "NumberLaw", "law_of"]

FAR = 1e4  # a score beyond which there is nothing
_BISECTIONS = 48


@dataclass(frozen=True)
class Allowed:
    """What a column may be, as a condition.

    Attributes:
        values: The codes of a category or the raw values of a number; None: all between the ends.
        low: The least number.
        high: The largest number.
        gap: Whether it may be missing.
    """

    values: tuple[float, ...] | None = None
    low: float = -math.inf
    high: float = math.inf
    gap: bool = False


@dataclass(frozen=True)
class CategoryLaw:
    """The law of a category: levels, and perhaps a gap as the last outcome.

    Attributes:
        column: What the column is.
        log_w: Log-probabilities of the outcomes, `[M, L]`.
    """

    column: Categorical
    log_w: Tensor

    def sample(self, generator: Generator | None = None) -> Tensor:
        """A code for each row, `[M]`."""
        return self._codes(drawn_outcomes(self.log_w, generator))

    def middle(self) -> Tensor:
        """The likeliest code of each row, `[M]`."""
        return self._codes(self.log_w.argmax(-1))

    def log_prob(self, values: Tensor) -> Tensor:
        """Log-probability of a code for each row, `[M]`; 0 of a gap that no outcome stands for."""
        gap = values.isnan()
        outcome = torch.where(gap, self.log_w.shape[-1] - 1.0, values).long()
        found = self.log_w.gather(-1, outcome.unsqueeze(-1)).squeeze(-1)
        return found if self.column.gaps else torch.where(gap, 0.0, found)

    def tempered(self, temperature: float) -> "CategoryLaw":
        """Sharper below one, flatter above."""
        return replace(self, log_w=(self.log_w / temperature).log_softmax(-1))

    def restricted(self, allowed: Allowed) -> tuple["CategoryLaw", Tensor]:
        """The law given the condition, and the log-probability of the condition, `[M]`."""
        keep = torch.zeros(self.log_w.shape[-1], dtype=torch.bool, device=self.log_w.device)
        levels = range(self.column.levels)
        for code in levels if allowed.values is None else allowed.values:
            if code in levels:
                keep[int(code)] = True
        if self.column.gaps:
            keep[self.column.levels] = allowed.gap
        left = self.log_w.masked_fill(~keep, NEVER)
        total = left.logsumexp(-1)
        return replace(self, log_w=left - total.unsqueeze(-1)), total

    def _codes(self, outcome: Tensor) -> Tensor:
        code = outcome.double()
        return torch.where(outcome == self.column.levels, torch.nan, code)


@dataclass(frozen=True)
class ChoiceLaw:
    """One of a few given numbers, or a gap: a number's law under a condition that names values.

    Attributes:
        values: The numbers, `[V]`; NaN for a gap.
        log_w: Their log-probabilities, `[M, V]`.
    """

    values: Tensor
    log_w: Tensor

    def sample(self, generator: Generator | None = None) -> Tensor:
        """A number for each row, `[M]`."""
        return self.values[drawn_outcomes(self.log_w, generator)]

    def middle(self) -> Tensor:
        """The likeliest number of each row, `[M]`."""
        return self.values[self.log_w.argmax(-1)]

    def tempered(self, temperature: float) -> "ChoiceLaw":
        """Sharper below one, flatter above."""
        return replace(self, log_w=(self.log_w / temperature).log_softmax(-1))


@dataclass(frozen=True)
class NumberLaw:
    """The law of a number.

    Attributes:
        column: What the column is.
        maps: Its map to scores.
        log_w: Log-probabilities of atoms, elsewhere, gap and copies, `[M, L]`.
        mixture: Over scores, where it is elsewhere, batch shape `[M]`.
        copied: What each copy gives, `[M, R]`.
        low: The scores that the mixture is cut to: from here, a number,
        high: to here.
    """

    column: Numeric
    maps: ScoreMaps
    log_w: Tensor
    mixture: LogisticMixture
    copied: Tensor
    low: float
    high: float

    def sample(self, generator: Generator | None = None) -> Tensor:
        """A number for each row, `[M]`."""
        outcome = drawn_outcomes(self.log_w, generator)
        value = self._fixed().gather(-1, outcome.long().unsqueeze(-1)).squeeze(-1)
        rows = (outcome == len(self.column.atoms)).nonzero().squeeze(-1)
        scores = self._drawn_scores(rows, generator)
        return value.index_copy(0, rows, self._landing().raw(scores))

    def middle(self) -> Tensor:
        """The median of each row, `[M]`; NaN where a gap is likelier than any number."""
        low = torch.full_like(self.log_w[:, 0], self.low, dtype=torch.float64)
        high = torch.full_like(low, self.high)
        weights, places = self._points()
        half = weights.sum(-1).add(self._elsewhere().exp()) / 2
        elsewhere, bottom = self._elsewhere().exp(), self._cdf(low)
        scale = elsewhere / (self._cdf(high) - bottom).clamp_min(1e-12)
        for _ in range(_BISECTIONS):
            at = (low + high) / 2
            below = (weights * (places <= at.unsqueeze(-1))).sum(-1)
            enough = below + scale * (self._cdf(at) - bottom) >= half
            low, high = torch.where(enough, low, at), torch.where(enough, at, high)
        missing = half < 0.25  # the weights of numbers and of a gap add to one
        reached = (places > low.unsqueeze(-1)) & (places <= high.unsqueeze(-1))
        weight, which = (weights * reached).max(-1)
        fixed = self._fixed().gather(-1, which.unsqueeze(-1)).squeeze(-1)
        value = torch.where(weight > 0, fixed, self._landing().raw(high))
        return torch.where(missing, torch.nan, value)

    def log_prob(self, values: Tensor) -> Tensor:
        """Log-density of a number for each row, `[M]`, of a law that is not cut.

        It is a log-probability where the column lies on a grid or has an atom, and 0 of a gap that
        no outcome stands for.
        """
        gap, atoms = values.isnan(), len(self.column.atoms)
        x = torch.where(gap, self.column.low, values)
        lower, width, offset = (part.squeeze(-1) for part in self.maps.cells(x.unsqueeze(-1)))
        point = width == 0
        unit = torch.where(point, 0.0, offset).float()  # of a cell: of all that it holds
        mass = self.mixture.log_mass(lower.float(), width.float())
        mass = mass + torch.where(point, offset, 0.0).float()
        same = (self._fixed() - x.unsqueeze(-1)).abs() <= self._tolerance()
        mass = torch.where(point & same.any(-1), NEVER, mass)  # its density is no probability
        fixed = self.log_w.masked_fill(~same, NEVER).logsumexp(-1)
        found = torch.logaddexp(fixed, self.log_w[:, atoms] + mass) + unit
        of_gap = self.log_w[:, atoms + 1] if self.column.gaps else torch.zeros_like(found)
        return torch.where(gap, of_gap, found)

    def tempered(self, temperature: float) -> "NumberLaw":
        """Sharper below one, flatter above."""
        mixture = tempered(self.mixture, temperature)
        assert isinstance(mixture, LogisticMixture)
        return replace(self, log_w=(self.log_w / temperature).log_softmax(-1), mixture=mixture)

    def restricted(self, allowed: Allowed) -> tuple["NumberLaw | ChoiceLaw", Tensor]:
        """The law given the condition, and the log-probability of the condition, `[M]`.

        Of a single value that is no atom of a column without a grid it is the log-density.
        """
        if allowed.values is not None:
            return self._chosen(allowed, allowed.values)
        if self.column.closed:
            return self._chosen(allowed, self.column.atoms)
        return self._cut(allowed)

    def _cut(self, allowed: Allowed) -> tuple["NumberLaw", Tensor]:
        """The law between two numbers, and the log-probability of that."""
        low, high = self._landing().scores_of(allowed.low, allowed.high)
        low, high = max(low, self.low), min(high, self.high)
        fixed = self._fixed()
        keep = (fixed >= allowed.low) & (fixed <= allowed.high)
        if self.column.gaps:
            keep[:, len(self.column.atoms) + 1] = allowed.gap
        left = self.log_w.masked_fill(~keep, NEVER)
        atoms = len(self.column.atoms)
        inside = self._log_inside(low, high) - self._log_inside(self.low, self.high)
        left[:, atoms] = self.log_w[:, atoms] + inside if high > low else NEVER
        total = left.logsumexp(-1)
        log_w = left - total.unsqueeze(-1)
        return replace(self, log_w=log_w, low=low, high=max(low, high)), total

    def observed(self) -> "NumberLaw":
        """The law of what is drawn: within the observed range."""
        law, _ = self._cut(Allowed(low=self.column.low, high=self.column.high, gap=True))
        return law

    def some(self, rows: int) -> "NumberLaw":
        """The laws of the first rows."""
        parts = (self.mixture.logits, self.mixture.location, self.mixture.scale)
        mixture = LogisticMixture(*(part[:rows] for part in parts), validate_args=False)
        return replace(self, log_w=self.log_w[:rows], mixture=mixture, copied=self.copied[:rows])

    # -- the parts --------------------------------------------------------------------------------

    def _landing(self) -> Landing:
        return Landing(self.column, self.maps)

    def _fixed(self) -> Tensor:
        """What each outcome gives, `[M, L]`; NaN for elsewhere and a gap."""
        atoms = torch.tensor(self.column.atoms, dtype=torch.float64, device=self.log_w.device)
        atoms = F.pad(atoms, (0, 1 + self.column.gaps), value=torch.nan)
        return torch.cat([atoms.expand(len(self.log_w), -1), self.copied], -1)

    def _tolerance(self) -> Tensor:
        """How far from what an outcome gives a number may be and still be the same, `[L]`."""
        grain = OFF_GRID * (self.column.step or 0.0)
        copies = [grain + copy.tolerance for copy in self.column.copies]
        others = [grain] * (self.log_w.shape[-1] - len(copies))
        return torch.tensor(others + copies, dtype=torch.float64, device=self.log_w.device)

    def _points(self) -> tuple[Tensor, Tensor]:
        """Weights and scores of what has a weight of its own, `[M, L]`."""
        fixed = self._fixed()
        score = self.maps(fixed.unsqueeze(-1)).squeeze(-1)
        return torch.where(fixed.isnan(), 0.0, self.log_w.exp().double()), score.nan_to_num(0.0)

    def _elsewhere(self) -> Tensor:
        return self.log_w[:, len(self.column.atoms)].double()

    def _cdf(self, score: Tensor) -> Tensor:
        return self.mixture.cdf(score).double()

    def _log_inside(self, low: float, high: float) -> Tensor:
        """Log of the mixture's mass between two scores, `[M]`."""
        return self._log_components(low, high).logsumexp(-1)

    def _log_components(self, low: float, high: float) -> Tensor:
        """Log of each component's weight between two scores, `[M, K]`."""
        rate = self.mixture.scale.reciprocal()
        below, above = ((end - self.mixture.location) * rate for end in (low, high))
        size = torch.log(-torch.expm1((low - high) * rate))  # from float64: it may be narrow
        return self.mixture.logits + F.logsigmoid(above) + F.logsigmoid(-below) + size

    def _drawn_scores(self, rows: Tensor, generator: Generator | None) -> Tensor:
        """Scores from the cut mixture for some of the rows, float64."""
        components = self._log_components(self.low, self.high)[rows]
        chosen = drawn_outcomes(components, generator).long().unsqueeze(-1)
        location, scale = (
            part[rows].gather(-1, chosen).squeeze(-1).double()
            for part in (self.mixture.location, self.mixture.scale)
        )
        # an interval in the upper tail is drawn from as its mirror image, where nothing cancels
        side = torch.where(location < self.low, -1.0, 1.0).double()
        ends = torch.stack([(end - location) / scale * side for end in (self.low, self.high)])
        bottom, top = torch.sigmoid(ends.amin(0)), torch.sigmoid(ends.amax(0))
        uniform = torch.rand(
            len(rows), generator=generator, dtype=location.dtype, device=location.device
        )
        share = bottom + (top - bottom) * uniform
        score = location + side * scale * torch.logit(share.clamp_max(1 - 1e-15))
        return score.clamp(self.low, self.high)

    def _chosen(self, allowed: Allowed, among: tuple[float, ...]) -> tuple[ChoiceLaw, Tensor]:
        """The law of these values, as far as they are allowed."""
        inside_ends = [v for v in dict.fromkeys(among) if allowed.low <= v <= allowed.high]
        distinct = inside_ends or [math.nan]
        values = torch.tensor(distinct, dtype=torch.float64, device=self.log_w.device)
        lower, width, offset = self._landing().cells(values, self.low, self.high)
        one = _wide(self.mixture)
        mass = one.log_mass(lower.float(), width.float())
        mass = mass + torch.where(width > 0, 0.0, offset).float()
        mass = mass - self._log_inside(self.low, self.high).unsqueeze(-1)
        centre = lower + width / 2
        inside = self.maps.supports(values.unsqueeze(-1)).squeeze(-1)
        inside &= (values >= self.column.low) & (values <= self.column.high)
        inside &= (centre >= self.low) & (centre <= self.high)
        terms = [torch.where(inside, self._elsewhere().float().unsqueeze(-1) + mass, NEVER)]
        same = (self._fixed().unsqueeze(-1) - values).abs() <= OFF_GRID * (self.column.step or 0.0)
        terms[0] = torch.where((width == 0) & same.any(1), NEVER, terms[0])
        terms.append(torch.where(same, self.log_w.unsqueeze(-1), NEVER).logsumexp(1))
        log_w = torch.logaddexp(*terms)
        if allowed.gap and self.column.gaps:
            values = F.pad(values, (0, 1), value=torch.nan)
            log_w = torch.cat([log_w, self.log_w[:, len(self.column.atoms) + 1, None]], -1)
        total = log_w.logsumexp(-1)
        return ChoiceLaw(values, log_w - total.unsqueeze(-1)), total


def _wide(mixture: LogisticMixture) -> LogisticMixture:
    """The mixtures `[M]` as `[M, 1]`, to be asked about several values each."""
    parts = (part.unsqueeze(1) for part in (mixture.logits, mixture.location, mixture.scale))
    return LogisticMixture(*parts, validate_args=False)


ColumnLaw = CategoryLaw | NumberLaw


def law_of(
    layout: RowLayout, position: int, logits: Tensor | None, numbers: Tensor | None, x: Tensor
) -> ColumnLaw:
    """The law of one column for M rows.

    Args:
        layout: The row's columns.
        position: Which column.
        logits: Of its outcomes, `[M, L]`; None if it has none.
        numbers: Raw parameters of its mixture, `[M, 3·K]`; None for a category.
        x: The rows as far as they are known, `[M, C]`; copies take from here.
    """
    column = layout.columns[position]
    if isinstance(column, Categorical):
        assert logits is not None
        return CategoryLaw(column, logits[:, : column.outcomes].log_softmax(-1))
    assert isinstance(column, Numeric)
    assert numbers is not None
    if logits is None:
        log_w = numbers.new_zeros(len(numbers), 1)
    else:
        log_w = logits[:, : column.outcomes].log_softmax(-1)
    copied = [copy.value(x.T) for copy in column.copies]
    for r, value in enumerate(copied):  # what a copy cannot give is elsewhere: see rows.py
        useless = layout.useless(position, value)
        place, atoms = layout.first_copy(position) + r, len(column.atoms)
        spare = torch.where(useless, log_w[:, place], NEVER)
        log_w = log_w.clone()
        log_w[:, atoms] = torch.logaddexp(log_w[:, atoms], spare)
        log_w[:, place] = torch.where(useless, NEVER, log_w[:, place])
    return NumberLaw(
        column,
        layout.map_of(position),
        log_w,
        layout.mixture(numbers),
        torch.stack(copied, -1) if copied else x.new_zeros(len(x), 0),
        -FAR,
        FAR,
    )
