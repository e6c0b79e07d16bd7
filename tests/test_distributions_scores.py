"""T: increasing, exact where values repeat, and back again; its cells; what makes no map."""

import math

import numpy as np
import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, grid, number
from scipy import stats

from variate.distributions import Numeric
from variate.distributions.scores import ScoreMaps

BENT = Numeric((-10.0, -1, 0, 0.5, 40), (-2.0, -1.5, 0.3, 0.4, 3))
JUMP = Numeric((-1.0, 0, 0, 2), (-1.0, -0.5, 0.5, 1))
CENTS = Numeric((-2.0, 0, 3), (-2.0, 0, 2), step=0.01)
EVERY = pytest.mark.parametrize("name", SAMPLES)


def column(values):
    return torch.as_tensor(values, dtype=DOUBLE).unsqueeze(-1)


def distinct(name):
    return torch.from_numpy(np.unique(SAMPLES[name][0]))


@EVERY
def test_scores_increase(name):
    """Strictly between what a double can tell apart; repeated values by a whole jump or cell."""
    kind = number(name)
    maps, v = ScoreMaps([kind]), distinct(name)
    scores = maps(column(v)).squeeze(-1)
    assert (scores.diff() > 0).all()
    span = kind.high - kind.low
    wide = torch.linspace(kind.low - 2 * span, kind.high + 2 * span, 5_001, dtype=DOUBLE)
    assert (maps(column(wide)).diff(dim=0) >= 0).all()


@EVERY
def test_repeated_and_recorded_values_come_back_exactly(name):
    kind = number(name)
    maps = ScoreMaps([kind])
    v, counts = np.unique(SAMPLES[name][0], return_counts=True)
    v = torch.from_numpy(v)
    back = maps.inverse(maps(column(v))).squeeze(-1)
    if kind.step is not None:
        cells = grid(kind, 50)
        assert (maps.inverse(maps(column(cells))).squeeze(-1) - cells).abs().max() < 1e-9
        assert ((back - v).abs() < 1e-6 * kind.step).all()
        return
    often = torch.from_numpy(counts >= 5)
    assert torch.equal(back[often], v[often])
    scale = v.abs().clamp_min(1e-3 * float(v.std()))
    assert ((back - v).abs() <= 1e-6 * scale).all()


@EVERY
def test_a_column_is_about_standard_normal_under_its_own_map(name):
    """A value that fills a cell or a jump is put anywhere in it; atoms of an open one aside."""
    kind = number(name)
    sample = torch.from_numpy(SAMPLES[name][0])
    if not kind.closed:
        sample = sample[~torch.isin(sample, torch.tensor(kind.atoms, dtype=DOUBLE))]
    cells = ScoreMaps([kind]).cells(column(sample))
    below, above = (torch.special.ndtr(t) for t in (cells.lower, cells.lower + cells.width))
    share = (below + (above - below) * torch.rand(below.shape, dtype=DOUBLE)).squeeze(-1)
    n = len(share)
    assert stats.kstest(share.numpy(), stats.uniform.cdf).statistic < 1.5 / math.sqrt(n) + 0.005
    assert float(cells.lower.abs().max()) < 6


@EVERY
def test_cells_are_exact(name):
    """Neighbouring cells meet, widths are T's differences, and a point has T' as its offset."""
    kind = number(name)
    maps = ScoreMaps([kind])
    if kind.step is not None:
        cells = maps.cells(column(grid(kind, 100)))
        lower, width = cells.lower.squeeze(-1), cells.width.squeeze(-1)
        assert (width > 0).all()
        torch.testing.assert_close(lower[:-1] + width[:-1], lower[1:], rtol=0, atol=1e-12)
        assert (cells.offset == 0).all()
        return
    cells = maps.cells(column(distinct(name)))
    jumps = {
        a: i for i, (a, b) in enumerate(zip(kind.values, kind.values[1:], strict=False)) if a == b
    }
    for v, lower, width, offset in zip(
        distinct(name).tolist(), *(p[:, 0].tolist() for p in cells), strict=True
    ):
        if v in jumps:
            scores = kind.scores[jumps[v] : jumps[v] + 2]
            assert lower == pytest.approx(scores[0], abs=1e-12)
            assert width == pytest.approx(scores[1] - scores[0], rel=1e-9, abs=1e-12)
            assert offset == 0
        else:
            assert width == 0
            assert math.isfinite(offset)


def test_slopes_are_the_offsets_of_points():
    x = torch.tensor([-12.0, -5.0, -0.5, 0.2, 7.0, 50.0], dtype=DOUBLE)
    h = 1e-6
    maps = ScoreMaps([BENT])
    slope = (maps(column(x + h)) - maps(column(x - h))) / (2 * h)
    torch.testing.assert_close(maps.cells(column(x)).offset, slope.log(), rtol=1e-6, atol=1e-8)


def test_a_jump_is_a_mass_and_its_sides_are_not():
    maps = ScoreMaps([JUMP])
    lower, width, offset = (part.squeeze(-1) for part in maps.cells(column([-1e-9, 0.0, 1e-9])))
    assert width.tolist() == [0.0, 1.0, 0.0]
    assert offset[1] == 0
    torch.testing.assert_close(lower, torch.tensor([-0.5, -0.5, 0.5], dtype=DOUBLE))
    assert maps(column([0.0])).item() == 0.0
    within = torch.linspace(-0.499, 0.499, 11, dtype=DOUBLE)
    assert (maps.inverse(column(within)) == 0).all()
    around = maps.edges(torch.tensor([[0.0], [0.0]], dtype=DOUBLE))
    assert around.squeeze(-1).tolist() == [-0.5, 0.5]


def test_a_cell_is_measured_where_scores_would_cancel():
    """Steps of one, with one score spread over 10^15 of them: T(b) - T(a) has no digits left."""
    maps = ScoreMaps([Numeric((0.0, 1e15), (0.0, 1.0), step=1.0)])
    cells = maps.cells(column([9e14, 9e14 + 1]))
    torch.testing.assert_close(
        cells.width, torch.full((2, 1), 1e-15, dtype=DOUBLE), rtol=1e-12, atol=0
    )


def test_columns_side_by_side_are_what_they_are_alone():
    kinds = [BENT, Numeric((0.0, 1.0), (5.0, 7.0)), CENTS, JUMP]
    together, x = ScoreMaps(kinds), torch.linspace(-50, 90, 57, dtype=DOUBLE)
    rows = x.unsqueeze(-1).expand(-1, 4).clone()
    rows[5, 2] = NAN
    score, cells = together(rows), together.cells(rows.nan_to_num(0.0))
    back = together.inverse(score)
    for i, kind in enumerate(kinds):
        alone, own = ScoreMaps([kind]), rows[:, i : i + 1]
        torch.testing.assert_close(score[:, i : i + 1], alone(own), equal_nan=True)
        torch.testing.assert_close(back[:, i : i + 1], alone.inverse(alone(own)), equal_nan=True)
        for part, expected in zip(cells, alone.cells(own.nan_to_num(0.0)), strict=True):
            torch.testing.assert_close(part[:, i : i + 1], expected)
    assert score[5, 2].isnan()
    torch.testing.assert_close(score[:, 1], 5 + 2 * x)
    inside = x.clamp(-10, 40)
    torch.testing.assert_close(
        together(inside.unsqueeze(-1).expand(-1, 4))[:, 0],
        torch.from_numpy(np.interp(inside, BENT.values, BENT.scores)),
    )
    torch.testing.assert_close(back[:5, 2], (x[:5] * 100).round() / 100)


def test_the_support_is_the_grid_or_every_finite_number():
    maps = ScoreMaps([CENTS, BENT])
    rows = [[0.07, 0.0123], [0.075, math.inf], [NAN, NAN], [1e9 + 0.01, 1e300]]
    x = torch.tensor(rows, dtype=DOUBLE)
    assert maps.supports(x).tolist() == [[True, True], [False, False], [False, False], [True, True]]


def test_tables_are_not_weights_and_keep_their_precision():
    maps = ScoreMaps([BENT, CENTS]).bfloat16()
    assert maps.segments.dtype == DOUBLE
    assert not maps.state_dict()
    assert maps.to("meta").segments.device.type == "meta"


@pytest.mark.parametrize(
    "arguments",
    [
        ((0.0,), (0.0,)),
        ((0.0, 1.0), (0.0, 1.0, 2.0)),
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 2.0)),
        ((0.0, 1.0, 1.0), (0.0, 1.0, 2.0)),
        ((-1.0, 0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 2.0, 3.0, 4.0)),
        ((0.0, 1.0), (1.0, 0.0)),
        ((0.0, 1.0), (1.0, 1.0)),
        ((1.0, 0.0), (1.0, 0.0)),
        ((0.0, math.nan), (0.0, 1.0)),
        ((0.0, math.inf), (0.0, 1.0)),
        ((0.0, 1.0), (0.0, math.inf)),
        ((0.0, 1.0), (0.0, 1.0), 0.0),
        ((0.0, 1.0), (0.0, 1.0), math.nan),
        ((0.0, 1.0), (0.0, 1.0), 1.0, False, math.nan),
    ],
)
def test_knots_that_define_nothing_are_refused(arguments):
    with pytest.raises(ValueError, match="column"):
        Numeric(*arguments)


def test_a_closed_column_has_atoms():
    with pytest.raises(ValueError, match="atoms"):
        Numeric((0.0, 1.0), (0.0, 1.0), closed=True)


def test_outcomes_are_counted():
    ends = (0.0, 1.0), (0.0, 1.0)
    assert Numeric(*ends).outcomes == 0
    assert Numeric(*ends, gaps=True).outcomes == 2
    assert Numeric(*ends, atoms=(0.5,)).outcomes == 2
