r"""The rest of rows of which some cells are known: x_unknown ~ p(x_unknown | x_known), row by row.

For each row, K candidate codes z_k are drawn from the prior and walk along the chain. Where a
cell is known it is taken, and its probability is the candidate's weight; where it is not, it is
drawn:

    w_k = Π_{j known} p(x_j | x before j, z_k)

One candidate is kept in proportion to the weights as soon as no known cell is to come, and it alone
goes on (sampling importance resampling; Rubin 1987). It is exact as K grows. Where an unknown
column comes before a known one, the candidates of a row are resampled before they are drawn apart,
if their weights have become too unequal (a particle filter for each row; Doucet & Johansen 2011).

The effective number of candidates of a row, 1 / Σ w̄_k², says how far its code is one of many: a
row for which it is small is tried again with more candidates. Where the known columns are first
in the chain, nothing is drawn before all of them are weighed, and only the code has to be found.

Several draws of a row may come from the same candidates: as soon as no known cell is to come, so
many of them are kept as draws are asked for, and each goes on by itself. That is cheap, but such
draws are not independent: what they have in common is the noise of the candidates.

This module does not know where the known cells came from, nor how the model was trained.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from variate.distributions.column import Allowed, CategoryLaw, NumberLaw
from variate.errors import OptionError, SchemaError
from variate.models import VAE
from variate.randomness import isolated
from variate.table.codec import TableCodec
from variate.table.constrained import ConstrainedCodec
from variate.table.frames import is_frame, to_arrow
from variate.table.rows import RowDecoder
from variate.table.storage import parse_type, plain, scalar_array
from variate.table.walk import Route, Walk

__all__ = [
    "CANDIDATES",
    "Cells",
    "Completed",
    "complete_rows",
    "known_cells",
    "positions_of",
    "seen_cells",
]

CANDIDATES = 32
MORE = 4  # times the candidates, for the rows where
FEW = 4.0  # is the least effective number of them
BLOCK = 16_384  # candidates that walk together
POOL = 4_096  # codes that the candidates of a block are taken from


class Cells(NamedTuple):
    """Rows of which some cells are known.

    Attributes:
        x: The rows in the codec's terms, `[N, C]`; of a cell that is not known the value is
            nothing.
        known: Which cells are known, bool `[N, C]`; a known NaN is a gap.
        filled: Which of the others must not become gaps, bool `[N, C]`.
    """

    x: Tensor
    known: Tensor
    filled: Tensor


class Completed(NamedTuple):
    """Whole rows, and how they came about.

    Attributes:
        x: The rows, `[N, C]`; of several draws each, one after the other, `[N·draws, C]`.
        effective: The effective number of candidates of each row, `[N]`.
        likeliest: The log-probability of what is known of each row under the best of its
            candidates, or of the least likely part of it, `[N]`.
    """

    x: Tensor
    effective: Tensor
    likeliest: Tensor


def positions_of(names: Collection[str] | None, codec: TableCodec) -> frozenset[int]:
    """The positions in x of what stands for the columns of these names, if anything does.

    Raises:
        OptionError: They are no names of columns.
    """
    if names is None:
        return frozenset()
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"condition_on is a list of names of columns, got {names!r:.80}.")
    if isinstance(codec, ConstrainedCodec):
        names = codec.modelled_for(*names)
    known = codec.schema.names
    if unknown := [name for name in names if name not in known]:
        raise OptionError(
            f"condition_on names {', '.join(map(repr, unknown))}, which the data does not have; "
            f"it has {', '.join(map(repr, known))}."
        )
    return frozenset(i for i, column in enumerate(codec.modelled) if column.name in names)


def known_cells(codec: TableCodec, raw: Any, *, fill: bool) -> Cells:
    """What a table says of rows of which it may have some columns only.

    Args:
        codec: The model's.
        raw: The table; an array has all columns.
        fill: Whether missing cells are unknown.

    Raises:
        DataError: It is no table, has no rows, or a value cannot be used.
    """
    if is_frame(raw):
        table = _applied(codec, to_arrow(raw))
        given = set(table.column_names)
        for column in codec.modelled:
            if column.name not in given:
                empty = pa.nulls(table.num_rows, parse_type(column.storage))
                table = table.append_column(column.name, empty)
        x = TableCodec.encode(codec, table)
    else:
        given = {column.name for column in codec.modelled}
        x = codec.encode(raw)
    there = torch.tensor([column.name in given for column in codec.modelled])
    gaps = torch.tensor([column.missing > 0 for column in codec.modelled])
    known = there & (~x.isnan() | (gaps & (not fill)))
    return Cells(x, known, there & ~known)


def _applied(codec: TableCodec, table: pa.Table) -> pa.Table:
    """Some of the user's columns as what a model under constraints sees of them."""
    fitted = codec.fitted if isinstance(codec, ConstrainedCodec) else None
    for part in () if fitted is None else fitted.parts:
        rule, given = part.rule, table.column_names
        if not set(rule.takes) & set(given):
            continue
        if lacking := [name for name in (*rule.takes, *rule.reads) if name not in given]:
            raise SchemaError(
                f"{rule!r} ties columns together: where some of {', '.join(map(repr, rule.takes))} "
                f"are known, {', '.join(map(repr, lacking))} must be given too."
            )
        table = part.apply(table)
    for calendar in reversed(codec.calendars) if isinstance(codec, ConstrainedCodec) else ():
        if calendar.column.name in table.column_names:
            table = calendar.apply(table)
    return table


def seen_cells(codec: TableCodec, table: pa.Table) -> Cells:
    """As `known_cells`, but a category that training never saw is unknown, and not an error.

    Args:
        codec: The model's.
        table: Some of its columns, none of which a constraint takes.
    """
    unseen = {}
    for i, column in enumerate(codec.modelled):
        if column.name not in table.column_names or column.kind not in ("category", "boolean"):
            continue
        values = plain(table.column(column.name))
        levels = plain(scalar_array(list(column.levels), parse_type(column.storage)))
        strange = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, value_set=levels)))
        place = table.column_names.index(column.name)
        table = table.set_column(place, column.name, pc.if_else(strange, None, values))
        unseen[i] = torch.from_numpy(strange.to_numpy(zero_copy_only=False))
    x, known, filled = known_cells(codec, table, fill=False)
    for i, strange in unseen.items():
        known[:, i] &= ~strange
    return Cells(x, known, filled)


@torch.no_grad()
def complete_rows(
    model: VAE, cells: Cells, candidates: int, seed: int | None, *, draws: int = 1
) -> Completed:
    """Whole rows with these cells.

    Args:
        model: One whose decoder is a chain of columns.
        cells: What is known.
        candidates: K, the codes that are tried for each row.
        seed: Makes the draws repeatable.
        draws: How many rows for each one given, from the same candidates.
    """
    assert isinstance(model.decoder, RowDecoder)
    route, device = Route(model.decoder.chain), next(model.parameters()).device
    cells = Cells(*(part.to(device) for part in cells))
    with isolated(seed, device):
        prior = model.prior()

        def codes(n: int) -> Tensor:
            return prior.sample(torch.Size((n,)))

        found = _in_blocks(route, codes, cells, candidates, draws)
        again = (found.effective < min(FEW, candidates / 2)).nonzero().squeeze(-1)
        if len(again):
            some = Cells(*(part[again] for part in cells))
            better = _in_blocks(route, codes, some, MORE * candidates, draws)
            for part, other in zip(found, better, strict=True):
                part.view(len(cells.x), -1)[again] = other.view(len(again), -1)
    return Completed(*(part.cpu() for part in found))


def _in_blocks(
    route: Route, codes: Callable[[int], Tensor], cells: Cells, candidates: int, draws: int
) -> Completed:
    """Blocks of rows, those apart whose known cells come first."""
    x = cells.x.repeat_interleave(draws, 0).unflatten(0, (-1, draws))
    effective, likeliest = cells.x.new_zeros(2, len(cells.x))
    known = cells.known[:, route.chain.order].int()
    length = known.sum(1)
    scattered = (known.cummin(1).values < known).any(1) | cells.filled.any(1)
    length[scattered] = -1
    for places in length.unique().tolist():
        size = max(1, BLOCK // max(candidates, draws))
        for rows in (length == places).nonzero().squeeze(-1).split(size):
            block = Cells(*(part[rows] for part in cells))
            if places < 0:
                found = _among(route, codes, block, candidates, draws)
            else:
                found = _after(places, route, codes, block, candidates, draws)
            x[rows] = found.x.unflatten(0, (-1, draws))
            effective[rows] = found.effective.to(effective)
            likeliest[rows] = found.likeliest.to(likeliest)
    return Completed(x.flatten(0, 1), effective, likeliest)


def _after(
    places: int, route: Route, codes: Callable[[int], Tensor], cells: Cells, k: int, draws: int
) -> Completed:
    """A block of rows whose cells at so many first places of the chain are known, and no other.

    Candidates of a row differ in their codes alone, so that the row is read once for all of them;
    those of many rows come from a pool, which is many times larger than each one's share. Where
    nothing is known, or what is to come sees no code, there is nothing to choose by.
    """
    n, chain, asked = len(cells.x), route.chain, k
    weighed = places > 0 and chain.sees_code(places)
    k = k if weighed else 1 if places else draws
    pool = codes(min(n * k, max(POOL, 8 * k)))
    features = chain.features(pool, places)
    candidates = torch.arange(n * k, device=pool.device).view(n, k)
    if n * k > len(pool):
        candidates = torch.randint_like(candidates, len(pool))
    walk = route.walk(pool[candidates[:, 0]])
    log_w = torch.zeros(n, k, device=pool.device)
    for place, column in enumerate(chain.order[:places]):
        given = cells.x[:, column]
        law = walk.law_under(place, features[place][candidates])
        log_w += law.log_prob(given.repeat_interleave(k)).view_as(log_w)
        walk.take(place, given)
    chosen = candidates.gather(1, _chosen(log_w, draws))
    if draws > 1:
        walk.keep(torch.arange(n, device=chosen.device).repeat_interleave(draws))
    walk.adopt(pool[chosen.flatten()])
    for place in range(places, len(chain.order)):
        walk.draw(place)
    known = cells.known.repeat_interleave(draws, 0)
    effective = _effective(log_w) if weighed else log_w.new_full((n,), float(asked))
    return Completed(walk.whole(known), effective, log_w.amax(-1))


def _among(
    route: Route, codes: Callable[[int], Tensor], cells: Cells, k: int, draws: int
) -> Completed:
    """A block of rows whose known cells are anywhere, their candidates side by side."""
    order, weighed = route.chain.order, (cells.known | cells.filled).any(0).tolist()
    last = max((p for p, c in enumerate(order) if weighed[c]), default=-1)
    n = len(cells.x)
    walk = route.walk(codes(n * k))
    log_w = torch.zeros(n, k, device=cells.x.device)
    effective, likeliest = torch.full_like(log_w[:, 0], float(k)), torch.zeros_like(log_w[:, 0])
    for place, column in enumerate(order):
        if place <= last and not cells.known[:, column].all():
            effective = torch.minimum(effective, _effective(log_w))
            log_w = _evened(walk, log_w)
        if not weighed[column]:
            walk.draw(place)
            continue
        value, weight = _step(walk.law(place), column, cells, log_w.shape[1])
        walk.take(place, value)
        log_w = log_w + weight.view_as(log_w)
        likeliest = torch.minimum(likeliest, log_w.amax(-1))
        if place == last:
            effective = torch.minimum(effective, _effective(log_w))
            first = k * torch.arange(n, device=log_w.device).unsqueeze(-1)
            walk.keep((first + _chosen(log_w, draws)).flatten())
    known = cells.known.repeat_interleave(draws, 0)
    return Completed(walk.whole(known), effective, likeliest)


def _chosen(log_w: Tensor, draws: int) -> Tensor:
    """So many of each row's candidates, in proportion to their weights, `[N, draws]`."""
    return torch.multinomial(log_w.softmax(-1), draws, replacement=True)


def _step(law: CategoryLaw | NumberLaw, column: int, cells: Cells, k: int) -> tuple[Tensor, Tensor]:
    """The next column of all candidates: their values and log-weights, each `[N·K]`."""
    given, known, filled = (part[:, column].repeat_interleave(k) for part in cells)
    value, weight = given, torch.zeros(len(given), device=given.device)
    if known.any():
        weight = torch.where(known, law.log_prob(given), weight)
    if not known.all():
        cut = law.observed() if isinstance(law, NumberLaw) else law
        value = torch.where(known, given, cut.sample())
    if filled.any():
        there, log_mass = law.restricted(_anything(law))
        value = torch.where(filled, there.sample(), value)
        weight = torch.where(filled, log_mass, weight)
    return value, weight


def _anything(law: CategoryLaw | NumberLaw) -> Allowed:
    """All that was observed, but for a gap."""
    if isinstance(law, CategoryLaw):
        return Allowed()
    return Allowed(low=law.column.low, high=law.column.high)


def _effective(log_w: Tensor) -> Tensor:
    """The effective number of each row's candidates, `[N]`."""
    return 1 / log_w.softmax(-1).square().sum(-1)


def _evened(walk: Walk, log_w: Tensor) -> Tensor:
    """Resample the candidates of the rows whose weights are too unequal; the weights after that."""
    n, k = log_w.shape
    uneven = _effective(log_w) < k / 2
    if k == 1 or not uneven.any():
        return log_w
    share = log_w.softmax(-1)
    points = (torch.arange(k, device=share.device) + torch.rand_like(share[:, :1])) / k
    drawn = torch.searchsorted(share.cumsum(-1), points).clamp(max=k - 1)
    same = torch.arange(k, device=share.device)
    kept = torch.where(uneven.unsqueeze(-1), drawn, same)
    walk.keep((kept + k * torch.arange(n, device=share.device).unsqueeze(-1)).flatten())
    return torch.where(uneven.unsqueeze(-1), 0.0, log_w)
