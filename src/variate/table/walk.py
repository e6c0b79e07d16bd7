r"""A walk along the chain: M rows that grow column by column, each given z and those before it.

    g_j = b_j + what the memory of columns before tells (memory.py)
    h_j = g_j + c U_j + what is told of the features that they and it show
    outcomes and mixture of p_j from the column's own network of h_j

A column is drawn, or taken as it is given. What does not depend on the rows is the route, which is
made once for many walks.

This module does not know where the columns came from, nor what their names are.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from variate.distributions.column import ColumnLaw, NumberLaw, law_of
from variate.distributions.draws import CategoryDraw, NumberDraw, draw_of
from variate.distributions.outcomes import NEVER, padded
from variate.distributions.rows import Numeric
from variate.table.blocks import one_thread
from variate.table.chain import Chain
from variate.table.memory import Part
from variate.table.sums import settled

__all__ = ["Route", "Walk"]

Linear = tuple[Tensor, Tensor]  # bias [L], weight [width, L]


@dataclass(frozen=True)
class _Stop:
    """A place of the chain.

    Attributes:
        column: Which column it is.
        elsewhere: The outcome of its numbers that are no atom; None for a category.
        levels: How many a category has.
        gap: The outcome that is a missing value; None if it has none.
        code: What it sees of a code's features.
        outcomes: Of its own network's features, the logits; None if it has none. Padded.
        numbers: Of these features, the raw parameters of its mixture; None for a category.
        draw: Its draws.
    """

    column: int
    elsewhere: int | None
    levels: int
    gap: int | None
    code: Linear
    outcomes: Linear | None
    numbers: Linear | None
    draw: CategoryDraw | NumberDraw


class Route:
    """What does not depend on the rows: to be made anew when the weights have changed.

    Args:
        chain: The networks.
    """

    @torch.no_grad()
    @one_thread()  # a product may round otherwise on several
    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.stops = [_stop(chain, place) for place in range(len(chain.order))]
        self.tables = chain.mixing.tables([_part(chain, column) for column in chain.order])
        self.shown = chain.again.shown()

    def walk(self, z: Tensor) -> "Walk":
        """The way along the chain for M rows of codes z `[M, D]`, nothing being known yet."""
        return Walk(self, z)


class Walk:
    """M rows that grow column by column.

    Args:
        route: What does not depend on the rows.
        z: The codes, `[M, D]`.
    """

    def __init__(self, route: Route, z: Tensor) -> None:
        self._route = route
        self._memory = route.tables.start(len(z))
        self._shown = route.shown.start(len(z))
        self._told: tuple[int, Tensor] | None = None
        self._x = torch.full(
            (len(route.stops), len(z)), torch.nan, dtype=torch.float64, device=z.device
        )
        self.adopt(z)

    @property
    def chain(self) -> Chain:
        """The networks."""
        return self._route.chain

    @property
    def x(self) -> Tensor:
        """The rows as far as they are known, `[M, C]`; NaN where they are not."""
        return self._x.T

    def draw(
        self, place: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> None:
        """The column at this place is drawn, within what was observed."""
        if temperature != 1:
            law = self.observed(place).tempered(temperature)
            self.take(place, law.sample(generator))
            return
        stop, own = self._route.stops[place], self._own(place)
        logits = None if stop.outcomes is None else _linear(stop.outcomes, own)
        drawn = stop.draw(logits, lambda rows: _numbers(stop, own[rows]), self.x, generator)
        self._x[stop.column] = drawn.values
        if drawn.open is None:
            self._memory.note(place, drawn.outcome)
        else:
            self._note(place, drawn.outcome, drawn.open)

    def take(self, place: int, values: Tensor) -> None:
        """The column at this place has these values `[M]`."""
        self._mixed(place)  # what it shows to those after it does not depend on its own value
        self._x[self._route.stops[place].column] = values
        outcome = torch.empty(len(values), dtype=torch.int32, device=values.device)
        self._note(place, outcome, slice(None))

    def meet(
        self, place: int, given: Tensor, known: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Known cells of the column at this place are taken, the others drawn, never as missing.

        Args:
            place: Which column.
            given: The values of the cells that are known, `[M]`.
            known: Which they are, bool `[M]`.
            generator: Of the draws.

        Returns:
            The log-weights `[M]`: of a known cell its log-probability, of another that of there
            being a value; and of a category the probabilities of its levels `[M, L]`, from which a
            cell that is not known was drawn.
        """
        stop, own = self._route.stops[place], self._own(place)
        logits = None if stop.outcomes is None else _linear(stop.outcomes, own)
        values, log_w = given.clone(), torch.zeros(len(given), device=given.device)
        there = known.nonzero().squeeze(-1)
        if len(there):
            part = None if logits is None else logits[there]
            numbers = None if stop.numbers is None else _numbers(stop, own[there])
            layout = self._route.chain.layout
            law = law_of(layout, stop.column, part, numbers, self.x[there])
            log_w[there] = law.log_prob(given[there])
        absent = (~known).nonzero().squeeze(-1)
        if len(absent):
            inner = own[absent]
            part = None if logits is None else logits[absent]
            if part is not None and stop.gap is not None:
                log_w[absent] = torch.log1p(-part.softmax(-1)[:, stop.gap].clamp(max=1 - 1e-7))
                part[:, stop.gap] = NEVER
            drawn = stop.draw(part, lambda r: _numbers(stop, inner[r]), self.x[absent], generator)
            values[absent] = drawn.values
        self.take(place, values)
        if stop.elsewhere is not None or logits is None or not len(absent):
            return log_w, None
        return log_w, logits[:, : stop.levels].softmax(-1)

    def whole(self, fixed: Tensor | None = None) -> Tensor:
        """The rows `[M, C]`, drawn to the end, in which sums hold that hold in every row.

        Args:
            fixed: Which cells stay as they are, bool, of the shape `[M, C]` or `[C]`.
        """
        return settled(self.chain.layout, self.chain.sums, self.x, fixed)

    def law(self, place: int) -> ColumnLaw:
        """The law of the column at this place, given the rows so far."""
        return self._law(place, self._own(place), self.x)

    def observed(self, place: int) -> ColumnLaw:
        """The law of what is drawn of the column at this place: cut to what was observed."""
        law = self.law(place)
        return law.observed() if isinstance(law, NumberLaw) else law

    def law_under(self, place: int, features: Tensor) -> ColumnLaw:
        """The law of the column at this place under K other codes for each row, `[M·K]`.

        Args:
            place: Which column.
            features: What it sees of these codes, `[M, K, width]`.
        """
        h = self._mixed(place).unsqueeze(1) + features
        x = self.x.repeat_interleave(features.shape[1], 0)
        return self._law(place, self._route.chain.own(place, h.flatten(0, 1)), x)

    def adopt(self, z: Tensor) -> None:
        """Go on with other codes `[M, D]`; what is known of the rows stays."""
        self._code = F.silu(self._route.chain.code(z))

    def keep(self, rows: Tensor) -> None:
        """Go on with these of the rows, `[M']`, in this order, some perhaps several times."""
        self._x, self._code = self._x[:, rows], self._code[rows]
        self._memory.keep(rows)
        self._shown.keep(rows)
        self._told = None if self._told is None else (self._told[0], self._told[1][rows])

    def move(self, to: Tensor, of: Tensor) -> None:
        """Go on with copies of the rows `of`, as they are, in the place of the rows `to`.

        The same as `keep` of all rows, but what stays is not copied.
        """
        for part in (self._x.T, self._code, *(self._told or ())[1:]):
            part.index_copy_(0, to, part.index_select(0, of))
        self._memory.move(to, of)
        self._shown.move(to, of)

    def _own(self, place: int) -> Tensor:
        """What the column's own network makes of all that it is told, `[M, width]`."""
        h = _linear(self._route.stops[place].code, self._code).add_(self._mixed(place))
        return self._route.chain.own(place, h)

    def _mixed(self, place: int) -> Tensor:
        """What the column at this place sees of those before it, `[M, width]`."""
        if self._told is None or self._told[0] != place:
            chain = self._route.chain
            g = self._memory.at(place).add_(chain.bias[place])
            told = self._shown.told(place, chain.feature_of(place, g))
            self._told = place, told.add_(g)
        return self._told[1]

    def _law(self, place: int, own: Tensor, x: Tensor) -> ColumnLaw:
        stop = self._route.stops[place]
        logits = None if stop.outcomes is None else _linear(stop.outcomes, own)
        numbers = None if stop.numbers is None else _numbers(stop, own)
        return law_of(self._route.chain.layout, stop.column, logits, numbers, x)

    def _note(self, place: int, outcome: Tensor, rows: Tensor | slice) -> None:
        """Remember a column, of some rows what their values say."""
        stop, chain = self._route.stops[place], self._route.chain
        found, score, present = chain.layout.read_one(stop.column, self._x[stop.column][rows])
        found = chain.layout.shown_one(stop.column, found, self._x, rows)
        unobserved = len(self._route.tables.parts[place].outcomes) - 1
        outcome[rows] = torch.where(found >= 0, found, unobserved).int()
        alone = present & (found >= (stop.elsewhere or 0))
        if stop.elsewhere is None or not alone.any():
            self._memory.note(place, outcome)
        elif isinstance(rows, slice) and alone.all():
            seen = chain.embedding.seen(stop.column, score, present)
            self._memory.note(place, outcome, seen)
        else:
            rows = alone.nonzero().squeeze(-1) if isinstance(rows, slice) else rows[alone]
            seen = chain.embedding.seen(stop.column, score[alone], present[alone])
            self._memory.note(place, outcome, seen, rows)


def _linear(map_: Linear, x: Tensor) -> Tensor:
    return torch.addmm(map_[0], x, map_[1])


def _numbers(stop: _Stop, own: Tensor) -> Tensor:
    assert stop.numbers is not None
    return _linear(stop.numbers, own)


def _stop(chain: Chain, place: int) -> _Stop:
    column, width = chain.order[place], chain.width
    kind = chain.layout.columns[column]
    mine = slice(place * width, (place + 1) * width)
    elsewhere = len(kind.atoms) if isinstance(kind, Numeric) else None
    gap = len(kind.atoms) + 1 if isinstance(kind, Numeric) else kind.levels
    logits, numbers = chain.outcomes_of(column), chain.numbers_of(column)
    if logits is not None:
        bias, weight = (part[..., : kind.outcomes] for part in logits)
        logits = padded(bias), F.pad(weight, (0, len(padded(bias)) - len(bias)))
    return _Stop(
        column,
        elsewhere,
        getattr(kind, "levels", 0),
        gap if kind.gaps else None,
        (chain.from_code.bias[mine], chain.from_code.weight[mine].T),
        logits,
        numbers,
        draw_of(chain.layout, column),
    )


def _part(chain: Chain, column: int) -> Part:
    kind = chain.layout.columns[column]
    rare = isinstance(kind, Numeric) and kind.closed
    return Part(chain.embedding.table(column), chain.embedding.waves_of(column), rare)
