"""The columns of a row: each law sums to one over its whole support, and says what it documents."""

import math

import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, beside, grid, law, log_p, number, outputs, tails, total
from torch.nn import functional as F

from variate.distributions import Categorical, Copy, Numeric, RowLayout, bounded_scale

BENT = Numeric((-10.0, -1, 0, 0.5, 40), (-2.0, -1.5, 0.3, 0.4, 3))
CENTS = Numeric((-2.0, 0, 3), (-2.0, 0, 2), step=0.01)
COUNT = Numeric((-0.5, 0.5, 9.5), (-1.0, 0.5, 2), 1.0, atoms=(0.0, 3.0), gaps=True, low=0.0, high=9)
SOURCE = Numeric((-10.0, 10.0), (-2.0, 2.0), gaps=True)
MIXED = (
    Categorical(40),
    BENT,
    Categorical(2, gaps=True),
    COUNT,
    Categorical(7),
    Numeric((-2.0, 0, 3), (-2.0, 0, 2), 0.01, copies=(Copy((1,)), Copy((3,), (-1.0,))), gaps=True),
    Categorical(2),
)


def mixed(rows=3, size=1.0, dtype=torch.float32):
    layout = RowLayout(MIXED)
    return layout, outputs(layout, rows, size, dtype)


def some_rows(count=40):
    """Valid rows of MIXED, some of them with gaps, copies, atoms and values far out."""
    x = torch.stack(
        [
            torch.randint(40, (count,)),
            torch.randn(count) * 20,
            torch.randint(2, (count,)),
            torch.randint(10, (count,)),
            torch.randint(7, (count,)),
            torch.randint(-500, 500, (count,)) / 100,
            torch.randint(2, (count,)),
        ],
        -1,
    ).double()
    x[: count // 4, 5] = -x[: count // 4, 3]
    x[:, 5] = (x[:, 5] * 100).round() / 100
    return x.masked_fill(torch.rand(x.shape) < 0.2, NAN)


# -- each law is a law --------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True])
def test_levels_sum_to_one(gaps):
    layout = RowLayout([Categorical(n, gaps) for n in (1, 2, 3, 40, 700)])
    out = outputs(layout, 5, size=3.0)
    for column in range(5):
        sums = total(layout, column, out, torch.zeros(5))
        torch.testing.assert_close(sums, torch.ones(5, dtype=DOUBLE), atol=1e-5, rtol=0)


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_numbers_sum_and_integrate_to_one(name, gaps, density):
    layout = RowLayout([number(name, gaps=gaps, density=density)])
    sums = total(layout, 0, outputs(layout, 4), torch.zeros(1))
    torch.testing.assert_close(sums, torch.ones(4, dtype=DOUBLE), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SAMPLES)
def test_copies_keep_the_sum(name):
    """Of a value within, at the ends, between two cells of the grid, or of none at all."""
    copies = (Copy((0,)), Copy((0,), (-1.0,)), Copy((1,)))
    column = number(name, copies=copies, gaps=True)
    layout = RowLayout([SOURCE, SOURCE, column])
    out = outputs(layout, 3)
    inside = column.low + 0.37 * (column.high - column.low)
    for a, b in ((inside, NAN), (NAN, NAN), (column.high, column.low), (-column.low, column.high)):
        sums = total(layout, 2, out, torch.tensor([a, b, 0], dtype=DOUBLE))
        torch.testing.assert_close(sums, torch.ones(3, dtype=DOUBLE), atol=1e-5, rtol=0)


def test_windows_far_out_in_the_tail_telescope():
    column = number("most are zero")
    layout = RowLayout([column])
    out = outputs(layout, 3, dtype=DOUBLE)
    log_w = law(layout, 0, out, torch.zeros(3, 1)).log_w
    for start in (-5_000_000, -3_000, 0, 3_000, 5_000_000):
        k = torch.arange(start, start + 2_001, dtype=DOUBLE)
        mass = log_p(layout, out, k.unsqueeze(-1))[0].exp().sum(-1)
        number_of = len(column.atoms)
        atom = log_w[:, :number_of].exp().sum(-1) * (start == 0)  # they lie in this window
        outside = tails(layout, 0, out, (start - 0.5, start + 2_000.5))
        torch.testing.assert_close(
            mass, atom + log_w[:, number_of].exp() * (1 - outside), atol=1e-6, rtol=0
        )


def test_each_column_is_scored_as_its_definition_says():
    layout, (logits, numbers) = mixed(2, dtype=DOUBLE)
    x = torch.tensor([[30.0, 0.3, NAN, 3, 6, -3.0, 0]], dtype=DOUBLE)
    got = log_p(layout, (logits, numbers), x)[:, :, 0]
    outcomes = {}
    for bucket, part in zip(layout.buckets, logits, strict=True):
        for c, row in zip(bucket, part, strict=True):
            outcomes[c] = row[:, : MIXED[c].outcomes].log_softmax(-1)

    def cdf(n, score):
        weight, location, scale = numbers[n].unflatten(-1, (3, 5)).unbind(-2)
        own = (weight.softmax(-1) * torch.sigmoid((score - location) / bounded_scale(scale))).sum(
            -1
        )
        broad = torch.sigmoid(torch.tensor(score * math.pi / math.sqrt(3), dtype=DOUBLE))
        return (own + 1e-4 * broad) / (1 + 1e-4)

    assert layout.columns[3].atoms[1] == 3.0
    one_step = 0.5 + 1.5 / 9  # scores of COUNT rise by this from 0.5 to 1.5
    atom, elsewhere, _ = outcomes[3].exp().unbind(-1)[1:]
    cell = cdf(1, 0.5 + 3 * 1.5 / 9) - cdf(1, 0.5 + 2 * 1.5 / 9)
    h = 1e-6
    density = (cdf(0, 0.36 + 0.2 * h) - cdf(0, 0.36 - 0.2 * h)) / (2 * h)
    cents, _, _, minus = outcomes[5].exp().unbind(-1)
    recorded = cdf(2, -3.0 + 0.005) - cdf(2, -3.0 - 0.005)
    expected = [
        outcomes[0][:, 30],
        density.log(),
        outcomes[2][:, 2],
        (atom + elsewhere * cell).log(),
        outcomes[4][:, 6],
        (cents * recorded + minus).log(),
        outcomes[6][:, 0],
    ]
    assert one_step > 0
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-5, atol=1e-5)


# -- what is missing, extreme or rounded ----------------------------------------------------------


def test_a_missing_value_contributes_nothing_unless_it_is_an_outcome():
    layout, (logits, numbers) = mixed()
    logits = [part.requires_grad_() for part in logits]
    numbers = numbers.requires_grad_()
    x = torch.full((4, 7), NAN, dtype=DOUBLE)
    p = log_p(layout, (logits, numbers), x)
    gapped = [2, 3, 5]
    assert (p[gapped] < 0).all()
    assert (p[[0, 1, 4, 6]] == 0).all()
    gradients = torch.autograd.grad(p.sum(), [*logits, numbers])
    assert all(g.isfinite().all() for g in gradients)
    assert (gradients[-1] == 0).all()


@pytest.mark.parametrize("size", [0.0, 30.0, 300.0])
def test_gradients_are_finite_at_the_extremes(size):
    """Extreme outputs of a network, extreme values, float32."""
    layout, (logits, numbers) = mixed(60)
    signs = torch.tensor([-1.0, 0.0, 1.0])
    out = [signs[torch.randint(0, 3, p.shape)] * size + p for p in (*logits, numbers)]
    out = [part.requires_grad_() for part in out]
    x = some_rows(6)
    for far in (-1e12, -1e6, 1e6, 1e12):
        x = torch.cat([x, torch.tensor([[0, far, 0, far, 0, far, 0]], dtype=DOUBLE)])
    p = log_p(layout, (out[:-1], out[-1]), x)
    assert p.dtype == torch.float32
    assert p.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(p.sum(), out))


def test_gradients_are_those_of_finite_differences():
    layout, (logits, numbers) = mixed(1, dtype=DOUBLE)
    leaves = [part.requires_grad_() for part in (*logits, numbers)]
    x = some_rows(5)
    assert torch.autograd.gradcheck(lambda *out: log_p(layout, (out[:-1], out[-1]), x), leaves)


def test_float32_parameters_are_stable_at_a_million():
    column = Numeric((-0.005, 0.005, 1e6, 1e6 + 10, 1e9), (-2.0, 1.28, 1.6, 2.3, 4), step=0.01)
    layout = RowLayout([column])
    logits, numbers = outputs(layout, 2)
    x = (1e6 + 0.01 * torch.arange(-3000, 3000, dtype=DOUBLE)).unsqueeze(-1)
    wide = log_p(layout, (logits, numbers.double()), x)
    torch.testing.assert_close(
        log_p(layout, (logits, numbers), x).double(), wide, atol=2e-4, rtol=0
    )


def test_a_number_beside_what_was_seen_costs_some_nats_and_not_millions():
    for name, (sample, _) in SAMPLES.items():
        column = number(name)
        layout = RowLayout([column])
        logits = [
            torch.zeros(len(b), 1, w) for b, w in zip(layout.buckets, layout.widths, strict=True)
        ]
        out = logits, layout.normal().expand(1, 1, -1)
        reach = column.high - column.low
        x = torch.tensor([column.low - reach, column.high + reach], dtype=DOUBLE).unsqueeze(-1)
        inside = log_p(layout, out, torch.from_numpy(sample).unsqueeze(-1)).min()
        assert log_p(layout, out, x).min() > min(float(inside), 0) - 40, name


def test_tables_keep_their_precision_when_the_model_is_cast():
    layout, (logits, numbers) = mixed()
    x = some_rows()
    expected = log_p(layout, (logits, numbers), x)
    for cast in (layout.bfloat16(), layout.half(), layout.float()):
        assert cast.maps.segments.dtype == cast.atoms.dtype == DOUBLE
        torch.testing.assert_close(log_p(cast, (logits, numbers), x), expected)
    assert not layout.state_dict()


def test_tables_follow_the_model_to_its_device():
    layout, (logits, numbers) = mixed()
    layout = layout.to("meta")
    out = [part.to("meta") for part in logits], numbers.to("meta")
    x = torch.zeros(3, 7, dtype=DOUBLE, device="meta")
    assert log_p(layout, out, x).shape == (7, 3, 3)
    assert layout.read_one(5, x[:, 5])[0].device.type == "meta"
    assert layout.violations(x).device.type == "meta"


def test_the_likelihood_compiles_into_one_graph():
    layout, out = mixed()
    x = some_rows(6)
    compiled = torch.compile(lambda x: log_p(layout, out, x), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), log_p(layout, out, x))


def test_units_enter_by_their_logarithm():
    """Metres to millimetres: a density falls by log 1000, a probability stays."""

    def scaled(c, by):
        values = tuple(v * by for v in c.values)
        return Numeric(values, c.scores, c.step and c.step * by, c.density, c.origin * by)

    recorded = Numeric(CENTS.values, CENTS.scores, 0.01, density=True)
    x = torch.tensor([[0.25], [-17.0], [0.0]], dtype=DOUBLE)
    for column, change in ((BENT, math.log(1e3)), (CENTS, 0.0), (recorded, math.log(1e3))):
        metres, millimetres = RowLayout([column]), RowLayout([scaled(column, 1e3)])
        out = outputs(metres, 2, dtype=DOUBLE)
        difference = log_p(metres, out, x) - log_p(millimetres, out, 1e3 * x)
        torch.testing.assert_close(difference, torch.full((1, 2, 3), change, dtype=DOUBLE))


# -- reading, starting, checking ------------------------------------------------------------------


def test_one_column_is_read_as_all_are():
    layout = RowLayout(MIXED)
    x = some_rows(200)
    reading = layout.read(x)
    for c in range(len(MIXED)):
        outcome, score, present = layout.read_one(c, x[:, c])
        assert torch.equal(outcome, reading.outcome[c])
        if c in layout.numeric:
            n = layout.numeric.index(c)
            assert torch.equal(score, reading.score[n])
            assert torch.equal(present, reading.present[n])
    assert reading.outcome[3].unique().tolist() == [0, 1, 2, 3]  # two atoms, elsewhere, a gap
    assert reading.outcome[0].min() == -1  # it has no gaps: unobserved
    wide = layout.read(x.reshape(4, 50, 7))
    assert torch.equal(wide.outcome.flatten(1), reading.outcome)
    assert torch.equal(wide.equal.flatten(1), reading.equal)


def test_decimals_are_atoms_and_copies_whatever_binary_makes_of_them():
    column = Numeric((-0.05, 9.0), (-2.0, 2.0), 0.1, atoms=(0.3,), copies=(Copy((0,)),))
    layout = RowLayout([SOURCE, column])
    reading = layout.read(torch.tensor([[0.3, 3 * 0.1], [3 * 0.1, 0.3], [0.31, 0.3]], dtype=DOUBLE))
    assert reading.outcome[1].tolist() == [0, 0, 0]
    assert reading.equal.tolist() == [[True, True, False]]
    assert reading.useless.tolist() == [[False, False, True]]


def test_it_starts_at_the_frequencies_and_at_a_normal():
    layout = RowLayout(MIXED)
    x = some_rows(4_000)
    x[:, 4] = 6.0
    logits = [part.unsqueeze(1) for part in layout.marginal(x)]
    out = logits, layout.normal().expand(3, 1, -1)
    for c in (0, 2, 4, 6):
        for level in range(MIXED[c].levels):
            seen = ((x[:, c] == level).sum() + 0.5).item()
            of = (~x[:, c].isnan()).sum().item() if not MIXED[c].gaps else len(x)
            rows = beside(torch.tensor([level]), c, torch.zeros(7))
            got = log_p(layout, out, rows)[c].exp().item()
            assert got == pytest.approx(seen / of, rel=0.05, abs=1e-3)
    for components in (1, 2, 5, 10):
        layout = RowLayout([BENT], components)
        mixture = layout.mixture(layout.normal().double())
        assert float(mixture.mean) == pytest.approx(0.0, abs=1e-6)
        assert float(mixture.variance) == pytest.approx(1.0, abs=0.02)


def test_the_first_violation_is_found():
    layout = RowLayout(MIXED)
    good = some_rows(6)
    assert layout.check(good) is None
    wrong = ((0, 40.0), (0, -1.0), (2, 2.0), (6, 0.5), (1, math.inf), (3, 0.13), (5, 0.013))
    for column, value in wrong:
        bad = good.clone()
        bad[3, column] = value
        bad[5, 6] = 7.0
        assert layout.check(bad) == (3, column)
    cents = torch.arange(10_000, dtype=DOUBLE).unsqueeze(-1) * 0.01
    assert RowLayout([CENTS]).check(cents + 1e9) is None


def test_buckets_keep_a_large_column_from_padding_the_others():
    layout = RowLayout([Categorical(5000), *[Categorical(2)] * 50, *[Categorical(9)] * 3])
    assert [len(b) * w for b, w in zip(layout.buckets, layout.widths, strict=True)] == [
        100,
        27,
        5000,
    ]


@pytest.mark.parametrize("columns", [[BENT], [Categorical(1)], [Categorical(1, gaps=True), COUNT]])
def test_rows_of_one_kind(columns):
    layout = RowLayout(columns)
    x = torch.zeros(4, len(columns), dtype=DOUBLE)
    assert log_p(layout, outputs(layout, 2), x).isfinite().all()
    assert layout.check(x) is None


def test_what_defines_nothing_is_refused():
    with pytest.raises(ValueError, match="level"):
        Categorical(0)
    with pytest.raises(ValueError, match="component"):
        RowLayout([BENT], components=0)
    for copy in (Copy((0,)), Copy((1,)), Copy((7,))):
        with pytest.raises(ValueError, match="cannot copy"):
            RowLayout([Categorical(2), Numeric((0.0, 1.0), (0.0, 1.0), copies=(copy,))])


def test_the_broad_component_bounds_what_a_wrong_network_loses():
    layout = RowLayout([BENT])
    raw = torch.tensor([0.0] * 5 + [-1.0] * 5 + [-50.0] * 5).expand(1, 1, -1)  # sure of t = -1
    p = log_p(layout, ([], raw), torch.tensor([[39.0]], dtype=DOUBLE))
    assert -20 < float(p) < -9
    assert F.softplus(torch.tensor(-50.0)) < 1e-3


def test_the_grid_of_a_column_is_what_the_sums_ran_over():
    """The helper of these tests: it would hide a wrong law if it left out cells."""
    values = grid(number("negative"), 3)
    assert len(values) == round((values[-1] - values[0]).item() / 0.01) + 1
    assert values.diff().sub(0.01).abs().max() < 1e-9


def test_networks_are_shown_that_columns_agree():
    """A copy where the value is what it gives, unless that is an atom, a gap, or not known."""
    plain = Numeric((-9.0, 9.0), (-2.0, 2.0), low=-9.0, high=9.0)
    copies = (Copy((0,)), Copy((0,), (-1.0,)), Copy((0, 1), (1.0, -1.0), 0.5))
    column = Numeric(plain.values, plain.scores, atoms=(0.0,), low=-9.0, high=9.0, copies=copies)
    layout = RowLayout([plain, plain, column])
    x = torch.tensor(
        [[2.0, 1.0, 2.0], [2.0, 1.0, -2.0], [2.0, 1.0, 1.5], [2.0, 1.0, 1.0], [0.0, 1.0, 0.0],
         [NAN, 1.0, 2.0], [2.0, 1.0, NAN]], dtype=DOUBLE,
    )  # fmt: skip
    reading = layout.read(x)
    assert reading.shown[2].tolist() == [2, 3, 4, 1, 0, 1, -1]
    assert reading.outcome[2].tolist() == [1, 1, 1, 1, 0, 1, -1]
    everywhere, some = slice(None), torch.tensor([0, 2])
    outcome = reading.outcome[2]
    assert layout.shown_one(2, outcome, x.T, everywhere).tolist() == reading.shown[2].tolist()
    assert layout.shown_one(2, outcome[some], x.T, some).tolist() == [2, 4]
