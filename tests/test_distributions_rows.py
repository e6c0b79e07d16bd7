"""Rows: every column as scored alone, in its own units, NaN silent, T and its inverse."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from variate.distributions import Categorical, Constant, Numeric, RowLayout, bounded_scale
from variate.distributions.scores import ScoreMaps

DOUBLE = torch.float64
BENT = Numeric((-10.0, -1, 0, 0.5, 40), (-2.0, -1.5, 0.3, 0.4, 3))
CENTS = Numeric((-2.0, 0, 3), (-2.0, 0, 2), step=0.01)
# 90 % zeros and a tail over seven decades: two knots at the edges of the cell of zero
ZEROS = Numeric((-0.005, 0.005, 1, 1e3, 1e7), (-2.0, 1.28, 1.6, 2.3, 4.0), step=0.01)
MIXED = (
    Categorical(40),
    BENT,
    Constant(),
    Categorical(2),
    ZEROS,
    Categorical(7),
    CENTS,
    Categorical(2),
    Categorical(5),
)


def rows(columns, batch=(), dtype=DOUBLE, components=5):
    layout = RowLayout(columns, components)
    return layout, layout(torch.randn(*batch, layout.parameters_needed, dtype=dtype))


def naive(column, x, weights, location, scale):
    """The log-probability of one value in one column, as the module docstrings define it."""

    def t(v):
        inside = np.interp(v, column.values, column.scores)
        ends = [
            (
                (column.scores[k + 1] - column.scores[k])
                / (column.values[k + 1] - column.values[k]),
                column.values[j],
                column.scores[j],
            )
            for k, j in ((0, 0), (-2, -1))
        ]
        if v < column.values[0]:
            slope, v0, t0 = ends[0]
        elif v > column.values[-1]:
            slope, v0, t0 = ends[1]
        else:
            return inside
        return t0 + slope * (v - v0)

    def cdf(s):
        return float((weights / (1 + np.exp(-(s - location) / scale))).sum())

    h = (column.step or 1e-6) / 2
    mass = cdf(t(x + h)) - cdf(t(x - h))
    return math.log(mass / (1 if column.step and not column.density else 2 * h))


def test_each_column_is_scored_as_its_definition_says():
    """The raw numbers are read as documented: 3 x K x N, then each bucket's levels x columns."""
    layout = RowLayout(MIXED, components=3)
    raw = torch.randn(layout.parameters_needed, dtype=DOUBLE)
    x = torch.tensor([30.0, 0.3, 9.0, 1, 0.02, 6, 1.25, 0, 4], dtype=DOUBLE)
    numeric, two, eight, hundred = raw.split([27, 4, 14, 40])
    numeric = (numeric.view(3, 3, 3) + layout.start[:27].view(3, 3, 3)).numpy()
    expected = torch.zeros(9, dtype=DOUBLE)
    for n, (i, column) in enumerate([(1, BENT), (4, ZEROS), (6, CENTS)]):
        logits, location, scale = numeric[:, :, n]
        weights = np.exp(logits) / np.exp(logits).sum()
        scale = bounded_scale(torch.tensor(scale)).numpy()
        expected[i] = naive(column, x[i].item(), weights, location, scale)
    expected[3] = F.log_softmax(two.view(2, 2)[:, 0], 0)[1]
    expected[7] = F.log_softmax(two.view(2, 2)[:, 1], 0)[0]
    expected[5] = F.log_softmax(eight.view(7, 2)[:, 0], 0)[6]
    expected[8] = F.log_softmax(eight.view(7, 2)[:5, 1], 0)[4]
    expected[0] = F.log_softmax(hundred, 0)[30]
    got = layout(raw).log_prob_columns(x)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layout(raw).log_prob(x), expected.sum(), rtol=1e-6, atol=1e-6)


def test_a_missing_value_contributes_nothing():
    layout = RowLayout(MIXED)
    raw = torch.randn(3, 4, layout.parameters_needed, requires_grad=True)
    d = layout(raw)
    x = d.sample()
    whole = d.log_prob_columns(x)
    missing = torch.rand(x.shape) < 0.5
    gappy = x.masked_fill(missing, math.nan)
    part = d.log_prob_columns(gappy)
    assert (part[missing] == 0).all()
    torch.testing.assert_close(part[~missing], whole[~missing])
    torch.testing.assert_close(d.log_prob(gappy), part.sum(-1))
    nothing = d.log_prob(torch.full_like(x, math.nan))
    assert torch.equal(nothing, torch.zeros(3, 4))
    (gradient,) = torch.autograd.grad(nothing.sum() + d.log_prob(gappy).sum(), raw)
    assert gradient.isfinite().all()


def test_gradient_of_missing_columns_is_zero():
    layout = RowLayout([BENT, Categorical(3)])
    raw = torch.randn(layout.parameters_needed, requires_grad=True)
    x = torch.tensor([math.nan, 1.0], dtype=DOUBLE)
    (gradient,) = torch.autograd.grad(layout(raw).log_prob(x), raw)
    assert (gradient[:15] == 0).all()
    assert (gradient[15:] != 0).all()


def test_heavy_tail_behind_many_zeros_telescopes_in_cents():
    """Windows of the grid sum to the difference of F at their ends, at zero and far out."""
    _, d = rows([ZEROS])
    maps, mixture = d.layout.maps, d.mixture
    for start in (-50_000, 0, 1_000_000, 100_000_000):
        k = torch.arange(start, start + 100_001, dtype=DOUBLE)
        total = d.log_prob((k * 0.01).unsqueeze(-1)).exp().sum()
        ends = torch.stack([k[0] - 0.5, k[-1] + 0.5]).unsqueeze(-1) * 0.01
        mass = mixture.cdf(maps(ends)).diff(dim=0).squeeze()
        torch.testing.assert_close(total, mass, rtol=1e-9, atol=1e-15)
    zero = mixture.cdf(torch.tensor([[-2.0], [1.28]], dtype=DOUBLE)).diff(dim=0).squeeze()
    torch.testing.assert_close(d.log_prob(torch.zeros(1, dtype=DOUBLE)).exp(), zero)


def test_float32_parameters_are_stable_at_a_million():
    column = Numeric((-0.005, 0.005, 1e6, 1e6 + 10, 1e9), (-2.0, 1.28, 1.6, 2.3, 4), step=0.01)
    layout = RowLayout([column])
    raw = torch.randn(layout.parameters_needed, requires_grad=True)
    x = (1e6 + 0.01 * torch.arange(-3000, 3000, dtype=DOUBLE)).unsqueeze(-1)
    log_p = layout(raw).log_prob(x)
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p.double(), layout(raw.double()).log_prob(x), atol=1e-4, rtol=0)
    (gradient,) = torch.autograd.grad(log_p.sum(), raw)
    assert gradient.isfinite().all()


def test_a_cell_is_measured_where_scores_would_cancel():
    """Steps of one, with one score spread over 10^15 of them: T(b) - T(a) has no digits left."""
    counted, dense = Numeric((0.0, 1e15), (0.0, 1.0), step=1.0), Numeric((0.0, 1e15), (0.0, 1.0))
    raw = torch.randn(RowLayout([dense]).parameters_needed, dtype=DOUBLE)
    x = torch.tensor([[9e14], [9e14 + 1]], dtype=DOUBLE)
    expected = RowLayout([dense])(raw).log_prob(x)
    torch.testing.assert_close(RowLayout([counted])(raw).log_prob(x), expected)


def test_units_enter_by_their_logarithm():
    """Metres to millimetres: a density falls by log 1000, a probability stays."""

    def scaled(column, c):
        step = column.step and column.step * c
        values = tuple(v * c for v in column.values)
        return Numeric(values, column.scores, step, column.density, column.origin * c)

    recorded = Numeric(CENTS.values, CENTS.scores, 0.01, density=True)
    for column, change in ((BENT, math.log(1e3)), (CENTS, 0.0), (recorded, math.log(1e3))):
        metres, millimetres = RowLayout([column]), RowLayout([scaled(column, 1e3)])
        raw = torch.randn(metres.parameters_needed, dtype=DOUBLE)
        x = torch.tensor([[0.25], [-17.0], [0.0]], dtype=DOUBLE)
        difference = metres(raw).log_prob(x) - millimetres(raw).log_prob(1e3 * x)
        torch.testing.assert_close(difference, torch.full((3,), change, dtype=DOUBLE))


def test_recorded_density_is_the_probability_over_the_step():
    recorded = RowLayout([Numeric(CENTS.values, CENTS.scores, 0.01, density=True)])
    counted = RowLayout([CENTS])
    raw = torch.randn(7, counted.parameters_needed, dtype=DOUBLE)
    x = counted(raw).sample()
    expected = counted(raw).log_prob(x) - math.log(0.01)
    torch.testing.assert_close(recorded(raw).log_prob(x), expected)


def test_scores_go_through_the_knots_and_back():
    columns = [BENT, Numeric((0.0, 1.0), (5.0, 7.0)), CENTS]
    layout = RowLayout(columns)
    maps = ScoreMaps(columns)
    x = torch.linspace(-50, 90, 57, dtype=DOUBLE).unsqueeze(-1).expand(-1, 3)
    inside = x[:, 0].clamp(-10, 40)
    t = maps(x)
    np.testing.assert_allclose(
        maps(inside.unsqueeze(-1).expand(-1, 3))[:, 0],
        np.interp(inside, BENT.values, BENT.scores),
        rtol=1e-12,
    )
    torch.testing.assert_close(t[:, 1], 5 + 2 * x[:, 1])
    assert (t.diff(dim=0) > 0).all()
    back = maps.inverse(t)
    torch.testing.assert_close(back[:, :2], x[:, :2])
    torch.testing.assert_close(back[:, 2], (x[:, 2] * 100).round() / 100)
    score = layout.score(x.clone().index_fill(0, torch.tensor(3), math.nan))
    assert score.dtype == torch.float32
    assert score[3].isnan().all()
    torch.testing.assert_close(score[4], t[4].float())


def test_central_is_the_median_and_the_mode():
    layout, d = rows(MIXED, (200,))
    middle = d.central()
    assert middle.shape == (200, 9)
    assert middle.dtype == DOUBLE
    assert (middle[:, 2] == 0).all()
    half = d.mixture.cdf(layout.maps(middle[:, layout.numeric]))
    torch.testing.assert_close(half[:, 0], torch.full((200,), 0.5, dtype=DOUBLE))
    for i, column in ((4, ZEROS), (6, CENTS)):
        n = layout.numeric.index(i)
        edges = middle[:, [i, i]] + torch.tensor([-0.5, 0.5]) * column.step
        edges = edges.unsqueeze(-1).expand(-1, -1, 3).movedim(1, 0)
        below, above = d.mixture.cdf(layout.maps(edges))[..., n]
        assert ((below <= 0.5 + 1e-9) & (above >= 0.5 - 1e-9)).all()
    for i in layout.categorical:
        column = middle.unsqueeze(-2).expand(-1, MIXED[i].levels, -1).clone()
        column[..., i] = torch.arange(MIXED[i].levels)
        scores = d.expand((MIXED[i].levels, 200)).log_prob(column.movedim(1, 0))
        assert torch.equal(scores.argmax(0), middle[:, i].long())


def test_the_first_violation_is_found():
    layout, d = rows(MIXED, (6,))
    good = d.sample()
    good[1, 0] = good[2, 4] = math.nan
    assert layout.check(good) is None
    for column, value in ((0, 40.0), (0, -1.0), (3, 0.5), (1, math.inf), (4, 0.013), (6, math.nan)):
        bad = good.clone()
        bad[3, column] = value
        bad[5, 3] = 7.0
        assert layout.check(bad) == ((5, 3) if math.isnan(value) else (3, column))
    cents = torch.arange(10_000, dtype=DOUBLE).unsqueeze(-1) * 0.01
    assert RowLayout([CENTS]).check(cents + 1e9) is None


def test_buckets_keep_a_large_column_from_padding_the_others():
    layout = RowLayout([Categorical(5000), *[Categorical(2)] * 50, *[Categorical(9)] * 3])
    assert layout.parameters_needed == 5000 + 100 + 27
    assert RowLayout([Categorical(3), Categorical(8)]).parameters_needed == 16


def test_at_zero_scores_are_nearly_standard_normal_and_levels_uniform():
    for components in (1, 2, 5, 10):
        layout = RowLayout([BENT, Categorical(3), CENTS], components)
        d = layout(torch.zeros(layout.parameters_needed, dtype=DOUBLE))
        assert d.mixture.mean.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
        assert d.mixture.variance.tolist() == pytest.approx([1.0, 1.0], abs=0.02)
        assert d.layout.parameters_needed == 6 * components + 3
        third = torch.full((3,), math.log(1 / 3), dtype=DOUBLE)
        torch.testing.assert_close(d.levels[0].squeeze(), third)


@pytest.mark.parametrize("columns", [[], [Constant()], [BENT], [Categorical(1)]], ids=str)
def test_rows_of_one_kind_or_none(columns):
    layout, d = rows(columns, (2, 3))
    x = d.sample()
    assert x.shape == d.central().shape == (2, 3, len(columns))
    assert d.log_prob(x).shape == d.log_prob(x[0]).shape == (2, 3)
    assert d.log_prob_columns(x).shape == x.shape
    assert layout.check(x[0]) is None
    assert layout.score(x[0]).shape == (3, len(layout.numeric))


def test_reduced_precision_is_widened_and_tables_are_never_rounded():
    layout = RowLayout([ZEROS, Categorical(3)])
    raw = torch.randn(4, layout.parameters_needed)
    x = layout(raw).sample()
    expected = layout(raw.bfloat16().float()).log_prob(x)
    for cast in (layout, layout.bfloat16(), layout.half(), layout.float()):
        assert cast.maps.segments.dtype == DOUBLE
        log_p = cast(raw.bfloat16()).log_prob(x)
        assert log_p.dtype == torch.float32
        torch.testing.assert_close(log_p, expected)
    assert not layout.state_dict()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Categorical, (0,)),
        (Numeric, ((0.0,), (0.0,))),
        (Numeric, ((0.0, 1.0), (0.0, 1.0, 2.0))),
        (Numeric, ((0.0, 0.0), (0.0, 1.0))),
        (Numeric, ((0.0, 1.0), (1.0, 0.0))),
        (Numeric, ((1.0, 0.0), (1.0, 0.0))),
        (Numeric, ((0.0, math.nan), (0.0, 1.0))),
        (Numeric, ((0.0, math.inf), (0.0, 1.0))),
        (Numeric, ((0.0, 1.0), (0.0, 1.0), 0.0)),
        (Numeric, ((0.0, 1.0), (0.0, 1.0), math.nan)),
        (Numeric, ((0.0, 1.0), (0.0, 1.0), 1.0, False, math.nan)),
    ],
)
def test_columns_that_define_nothing_are_refused(kind, arguments):
    with pytest.raises(ValueError, match=r"column"):
        kind(*arguments)


def test_a_mixture_has_a_component():
    with pytest.raises(ValueError, match="component"):
        RowLayout([BENT], components=0)


def test_tables_follow_the_model_to_its_device():
    layout = RowLayout(MIXED).to("meta")
    raw = torch.randn(2, 3, layout.parameters_needed, device="meta")
    x = torch.zeros(3, len(MIXED), dtype=DOUBLE, device="meta")
    rows = layout(raw)
    assert rows.log_prob(x).device.type == rows.central().device.type == "meta"
    assert layout.score(x).device.type == layout.violations(x).device.type == "meta"


def test_the_likelihood_compiles_into_one_graph():
    layout = RowLayout(MIXED)
    raw = torch.randn(1, 6, layout.parameters_needed)
    x = layout(raw).sample()[0]
    compiled = torch.compile(lambda r, v: layout(r).log_prob(v), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(raw, x), layout(raw).log_prob(x))
