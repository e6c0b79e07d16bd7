"""A law under a condition: its probability by brute force, its draws, and what cannot be."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, beside, law, log_p, number, outputs
from scipy import integrate

from variate.distributions import Allowed, Categorical, Copy, Numeric, RowLayout

SOURCE = Numeric((-10.0, 10.0), (-2.0, 2.0), gaps=True)
COPIES = (Copy((0,)), Copy((0,), (-1.0,)))
COUNT = Numeric(
    (-0.5, 0.5, 5.5, 20.5),
    (-1.5, 0.5, 1.0, 2.0),
    1.0,
    atoms=(0.0, 3.0, 12.0),
    gaps=True,
    low=0.0,
    high=20.0,
    copies=COPIES,
)
LINE = Numeric(
    (-3.0, 1.0, 1.0, 9.0),
    (-2.0, -0.3, 0.4, 2.0),
    atoms=(2.5,),
    low=-3.0,
    high=9.0,
    gaps=True,
    copies=COPIES,
)
EVERY_COUNT = torch.arange(21, dtype=DOUBLE)
IMPOSSIBLE = -1e8


def one(kind, source=7.0, rows=3):
    layout = RowLayout([SOURCE, kind])
    out = outputs(layout, rows)
    x = torch.tensor([[source, 0.0]], dtype=DOUBLE).expand(rows, -1)
    return layout, out, law(layout, 1, out, x)


def p_of(layout, out, values, source=7.0):
    """Probabilities (densities) of values of the column, `[M, V]`."""
    x = beside(torch.as_tensor(values, dtype=DOUBLE), 1, torch.tensor([source, 0.0]).double())
    return log_p(layout, out, x)[1].double().exp()


def close(log_mass, expected):
    torch.testing.assert_close(log_mass.double().exp(), expected.double(), rtol=2e-4, atol=1e-7)


def integral(layout, out, low, high, source):
    """P(low <= x <= high) of LINE: quadrature of the density and the single values' masses."""
    knots = sorted({v for v in (low, -3.0, 1.0, high, 9.0) if low <= v <= high})
    singles = sorted({v for v in (1.0, 2.5, source, -source) if low <= v <= high})
    parts = [p_of(layout, out, singles, source).sum(-1)] if singles else []
    for a, b in pairwise(knots):
        nudge = 1e-9 * (b - a)
        for m in range(len(parts[0]) if parts else 3):
            mine = [part[:, m : m + 1] for part in out[0]], out[1][:, m : m + 1]
            value, _ = integrate.quad(
                lambda v, mine=mine: float(p_of(layout, mine, [v], source)), a + nudge, b - nudge
            )
            parts.append(torch.nn.functional.one_hot(torch.tensor(m), 3) * value)
    return sum(parts)


# -- categories -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("codes", [None, (), (3.0,), (0.0, 4.0, 4.0)])
def test_levels(codes, gaps, gap):
    layout, out, found = one(Categorical(6, gaps), rows=500)
    given, log_mass = found.restricted(Allowed(values=codes, gap=gap))
    wanted = [float(c) for c in (range(6) if codes is None else set(codes))]
    wanted += [NAN] if gap and gaps else []
    if not wanted:
        assert (log_mass < IMPOSSIBLE).all()
        return
    close(log_mass, p_of(layout, out, wanted).sum(-1))
    drawn = given.sample()
    known = torch.tensor([v for v in wanted if v == v])
    assert ((drawn.unsqueeze(-1) == known).any(-1) | (drawn.isnan() & (gap and gaps))).all()
    torch.testing.assert_close(given.log_w.logsumexp(-1), torch.zeros(500), atol=1e-5, rtol=0)


def test_levels_that_are_none_are_impossible():
    _, _, found = one(Categorical(6, gaps=True))
    for code in (-1.0, 6.0, 0.5, NAN):
        _, log_mass = found.restricted(Allowed(values=(code,)))
        assert (log_mass < IMPOSSIBLE).all()


# -- numbers on a grid ----------------------------------------------------------------------------


@pytest.mark.parametrize("source", [7.0, 2.5, NAN])
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(
    "ends",
    [
        (0, 20),
        (3, 3),
        (4.5, 7.5),
        (4.999, 7.001),
        (-math.inf, 6),
        (6, math.inf),
        (-50, 50),
        (7, 12),
    ],
)
def test_ranges_of_a_grid(ends, gap, source):
    low, high = ends
    layout, out, found = one(COUNT, source, rows=60)
    given, log_mass = found.restricted(Allowed(low=low, high=high, gap=gap))
    every = torch.arange(-600, 600, dtype=DOUBLE)
    inside = every[(every >= low) & (every <= high)]
    wanted = torch.cat([inside, torch.tensor([NAN])]) if gap else inside
    close(log_mass, p_of(layout, out, wanted, source).sum(-1))
    drawn = given.sample()
    missing = drawn.isnan()
    assert gap or not missing.any()
    reached = drawn[~missing]
    assert ((reached >= low) & (reached <= high)).all()
    assert (reached == reached.round()).all()
    observed, _ = found.observed().restricted(Allowed(low=low, high=high))
    reached = observed.sample()
    assert ((reached >= max(low, 0)) & (reached <= min(high, 20))).all()
    middle = given.middle()
    assert (middle.isnan() | ((middle >= low) & (middle <= high))).all()


@pytest.mark.parametrize("source", [7.0, NAN])
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("values", [(3.0,), (7.0,), (1.0, 7.0, 12.0, 12.0), (4.5, 5.0), ()])
def test_sets_of_a_grid(values, gap, source):
    layout, out, found = one(COUNT, source, rows=100)
    given, log_mass = found.restricted(Allowed(values=values, gap=gap))
    wanted = [v for v in set(values) if v == round(v)] + ([NAN] if gap else [])
    if not wanted:
        assert (log_mass < IMPOSSIBLE).all()
        return
    close(log_mass, p_of(layout, out, wanted, source).sum(-1))
    drawn = given.sample()
    assert {v for v in drawn.tolist() if v == v} <= set(wanted)
    assert gap or not drawn.isnan().any()


def test_a_condition_on_a_recorded_density_is_a_probability():
    kind = Numeric((-1.0, 3.0), (-1.5, 1.5), 0.5, density=True, atoms=(0.0,), low=-1, high=3)
    layout, out, found = one(kind)
    values = (0.0, 0.5, 2.5)
    _, several = found.restricted(Allowed(values=values))
    _, between = found.restricted(Allowed(low=-1.0, high=3.0))
    close(several, p_of(layout, out, values).sum(-1) * 0.5)
    close(between, p_of(layout, out, torch.arange(-2, 7) / 2).sum(-1) * 0.5)


def test_decimals_mean_the_number_that_is_nearest():
    kind = Numeric((-0.05, 9.05), (-2.0, 2.0), 0.1, atoms=(0.3,), copies=COPIES, low=0.0, high=9.0)
    layout, out, found = one(kind, 0.7)
    for value, other in ((0.3, 3 * 0.1), (0.7, 7 * 0.1)):
        for same in (value, other):
            _, log_mass = found.restricted(Allowed(values=(same,)))
            close(log_mass, p_of(layout, out, [value], 0.7).sum(-1))
            _, log_mass = found.restricted(Allowed(low=same - 1e-9, high=same + 1e-9))
            close(log_mass, p_of(layout, out, [value], 0.7).sum(-1))


def test_a_narrow_range_of_a_large_grid_has_its_probability():
    kind = Numeric((-0.5, 1e8 + 0.5), (-2.0, 2.0), step=1.0, low=0.0, high=1e8)
    layout, out, found = one(kind)
    for low in (2e7, 5e7, 7e7):
        for count in (1, 10, 1000):
            _, log_mass = found.restricted(Allowed(low=low, high=low + count - 1))
            expected = p_of(layout, out, low + torch.arange(count)).sum(-1)
            torch.testing.assert_close(log_mass.double(), expected.log(), rtol=0, atol=1e-3)


# -- numbers without a grid -----------------------------------------------------------------------


@pytest.mark.parametrize("source", [7.0, 0.25, NAN])
@pytest.mark.parametrize(
    "ends", [(-2.0, 0.5), (1.0, 1.0), (0.0, 1.0), (1.0, 8.0), (-3.0, 9.0), (2.5, 2.5)]
)
def test_ranges_of_the_line(ends, source):
    low, high = ends
    layout, out, found = one(LINE, source)
    given, log_mass = found.restricted(Allowed(low=low, high=high))
    close(log_mass, integral(layout, out, low, high, source))
    for _ in range(50):
        drawn = given.sample()
        assert ((drawn >= low - 1e-12) & (drawn <= high + 1e-12)).all()
    again, none = given.restricted(Allowed(low=low, high=high))
    torch.testing.assert_close(none, torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(again.log_w.exp(), given.log_w.exp(), atol=1e-5, rtol=0)


def test_single_values_of_the_line():
    layout, out, found = one(LINE, 7.0, rows=400)
    singles = (1.0, 2.5, 7.0)
    given, log_mass = found.restricted(Allowed(values=singles))
    close(log_mass, p_of(layout, out, singles).sum(-1))
    assert set(given.sample().tolist()) == set(singles)
    _, density = found.restricted(Allowed(values=(4.0,)))
    close(density, p_of(layout, out, [4.0]).sum(-1))


# -- conditions on conditions ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [COUNT, LINE], ids=["grid", "line"])
def test_a_condition_on_a_condition_is_their_quotient(kind):
    _, _, found = one(kind, 7.0, rows=300)
    outer, log_outer = found.restricted(Allowed(low=1.0, high=8.0))
    for inner in (
        Allowed(low=2.0, high=7.0),
        Allowed(low=-5.0, high=3.0),
        Allowed(values=(3.0, 7.0, 2.5)),
        Allowed(values=(1.0, 8.0)),
    ):
        within = inner
        if inner.values is None:
            within = Allowed(low=max(inner.low, 1.0), high=inner.high)
        _, directly = found.restricted(within)
        nested, log_nested = outer.restricted(inner)
        torch.testing.assert_close(log_outer + log_nested, directly, atol=2e-4, rtol=1e-4)
        drawn = nested.sample()
        assert ((drawn >= 1.0) & (drawn <= 8.0)).all()
    for nothing in (Allowed(values=(9.0,)), Allowed(low=8.5, high=8.9), Allowed(low=12.0)):
        _, log_mass = outer.restricted(nothing)
        assert (log_mass < IMPOSSIBLE).all()


CLOSED = {
    "grid": number("few rows", gaps=True),
    "line": number("two fractions", gaps=True),
    "apart": Numeric(
        (-1.0, 0.0, 0.0, 1.0, 7.0, 9.0),
        (-2.0, -1.0, 0.2, 0.5, 1.5, 2.0),
        atoms=(0.0, 1.0, 7.0),
        closed=True,
        low=0.0,
        high=7.0,
    ),
    "every other": Numeric(
        (-0.5, 0.5, 1.5, 2.5, 6.5),
        (-1.0, 0.0, 0.1, 0.5, 1.5),
        1.0,
        atoms=(0.0, 2.0, 3.0, 6.0),
        closed=True,
        low=0.0,
        high=6.0,
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_columns_give_atoms_as_often_as_their_conditions_say(name):
    """Also the rare atoms, for which the mixture has mass between the others."""
    kind, rows = CLOSED[name], 20_000
    _, _, found = one(kind, rows=1)
    found = found.observed()
    wanted = [*kind.atoms, *([NAN] if kind.gaps else [])]
    conditions = [Allowed(values=() if v != v else (v,), gap=v != v) for v in wanted]
    p = torch.cat([found.restricted(condition)[1] for condition in conditions]).double().exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    parts = {name: getattr(found, name) for name in ("log_w", "copied")}
    wide = {name: part.expand(rows, -1) for name, part in parts.items()}
    drawn = replace(found, mixture=found.mixture.expand((rows,)), **wide).sample()
    assert set(drawn[~drawn.isnan()].tolist()) <= set(kind.atoms)
    same = [(drawn == v).sum() if v == v else drawn.isnan().sum() for v in wanted]
    off = (torch.stack(same) / rows - p) / (p * (1 - p) / rows).sqrt().clamp_min(1e-3 / rows**0.5)
    assert float(off.abs().max()) < 4.5
    low, high = kind.atoms[0] + 1e-3, kind.atoms[-1]
    given, log_mass = found.restricted(Allowed(low=low, high=high))
    close(log_mass, p[1 : len(kind.atoms)].sum().reshape(1))
    assert set(given.sample().tolist()) <= set(kind.atoms[1:])


@pytest.mark.parametrize("name", SAMPLES)
def test_the_parts_of_a_range_make_the_whole(name):
    kind = number(name, gaps=True)
    _, _, found = one(kind)
    found = found.observed()
    cut = kind.low + 0.3 * (kind.high - kind.low)
    if kind.step is not None:
        cut = (round((cut - kind.origin) / kind.step) + 0.5) * kind.step + kind.origin
    parts = (Allowed(high=cut), Allowed(low=cut), Allowed(values=(), gap=True))
    total = torch.stack([found.restricted(part)[1] for part in parts]).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros(3), atol=1e-5, rtol=0)
    for part in parts[:2]:
        drawn = found.restricted(part)[0].sample()
        assert ((drawn >= part.low - 1e-9) & (drawn <= part.high + 1e-9)).all()


# -- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [COUNT, LINE, number("most are zero")], ids=["grid", "line", "real"]
)
@pytest.mark.parametrize(
    "nothing",
    [
        Allowed(values=()),
        Allowed(values=(NAN,)),
        Allowed(values=(1e6,)),
        Allowed(low=5.2, high=5.1),
        Allowed(low=1e300, high=1e301),
        Allowed(low=math.inf, high=-math.inf),
    ],
    ids=str,
)
def test_impossible_conditions_are_improbable_and_not_nan(kind, nothing):
    _, _, found = one(kind)
    for start in (found, found.observed()):
        given, log_mass = start.restricted(nothing)
        assert log_mass.shape == (3,)
        assert (log_mass < IMPOSSIBLE).all()
        assert given.sample().shape == given.middle().shape == (3,)


def test_draws_far_out_in_a_tail_are_spread_as_the_tail_is():
    """A logistic's tail is an exponential: its mean excess is its scale, on either side."""
    layout, _, _ = one(SOURCE)
    maps = layout.map_of(0)
    raw = torch.tensor([0.0] * 5 + [0.0] * 5 + [0.3] * 5).expand(20_000, -1)
    mixture = layout.mixture(raw)
    _, _, found = one(SOURCE, rows=20_000)
    scale = float(mixture.scale[0, 0])
    found = type(found)(
        SOURCE,
        maps,
        torch.tensor([[0.0, -1e9]]).expand(20_000, -1),
        mixture,
        found.copied,
        -1e4,
        1e4,
    )
    for low, high in ((200.0, math.inf), (-math.inf, -200.0)):
        given, _ = found.restricted(Allowed(low=low, high=high))
        excess = (given.sample().abs() - 200) * 0.2  # of raw values; of scores
        assert float(excess.mean()) == pytest.approx(scale, rel=0.05)
