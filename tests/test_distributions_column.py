"""The law of one column, drawn from, condensed, sharpened: what it does is what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, beside, grid, law, log_p, number, outputs
from scipy import stats

from variate.distributions import (
    Allowed,
    Categorical,
    CategoryLaw,
    ChoiceLaw,
    Copy,
    Numeric,
    RowLayout,
)
from variate.distributions.temper import tempered

SOURCE = Numeric((-10.0, 10.0), (-2.0, 2.0), gaps=True)
COUNT = Numeric(
    (-0.5, 0.5, 5.5, 20.5),
    (-1.5, 0.5, 1.0, 2.0),
    1.0,
    atoms=(0.0, 3.0, 12.0),
    gaps=True,
    low=0.0,
    high=20.0,
    copies=(Copy((0,)), Copy((0,), (-1.0,))),
)
LINE = Numeric(
    (-3.0, 1.0, 1.0, 9.0), (-2.0, -0.3, 0.4, 2.0), atoms=(2.5,), low=-3.0, high=9.0, gaps=True
)
CODES = Categorical(5, gaps=True)
LEVELS = torch.arange(21, dtype=DOUBLE)


def one(column, source=NAN, rows=1, size=1.0, others=(SOURCE,)):
    """A layout in which the column follows a source, and its law for so many equal rows."""
    layout = RowLayout([*others, column])
    logits, numbers = outputs(layout, 1, size)
    out = [part.expand(-1, rows, -1) for part in logits], numbers.expand(-1, rows, -1)
    x = torch.tensor([[source, 0.0]], dtype=DOUBLE)
    return layout, out, law(layout, 1, out, x.expand(rows, -1))


def probabilities(layout, out, values, source=NAN):
    """Of some values of the column that follows the source, in the first of the laws."""
    logits, numbers = out
    first = [part[:, :1] for part in logits], numbers[:, :1]
    x = beside(values, 1, torch.tensor([source, 0.0], dtype=DOUBLE))
    return log_p(layout, first, x)[1, 0].double().exp()


def agree(drawn, expected, rows):
    """Whether counts agree with their expectation, those below five being put together."""
    few = expected < 5
    counts = np.append(drawn[~few], drawn[few].sum())
    means = np.append(expected[~few], expected[few].sum())
    counts, means = counts[means > 0], means[means > 0]
    assert counts.sum() == rows
    return stats.chisquare(counts, means * rows / means.sum()).pvalue > 1e-3


# -- draws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True])
def test_levels_are_drawn_as_often_as_they_are_scored(gaps):
    layout, out, found = one(Categorical(9, gaps), rows=20_000)
    drawn = found.sample()
    p = probabilities(layout, out, torch.arange(9).double())
    p = torch.cat([p, probabilities(layout, out, torch.tensor([NAN]))]) if gaps else p
    counts = torch.bincount(drawn.nan_to_num(9.0).long(), minlength=len(p))
    assert agree(counts.numpy(), (p * 20_000).numpy(), 20_000)
    assert drawn.dtype == DOUBLE


@pytest.mark.parametrize("source", [7.0, -3.0, 2.25, 50.0, NAN])
def test_numbers_are_drawn_as_often_as_they_are_scored(source):
    """On a grid, with atoms, gaps and copies of what is on it, off it, beyond it or missing."""
    rows = 20_000
    layout, out, found = one(COUNT, source, rows)
    drawn = found.observed().sample()
    p = torch.cat([probabilities(layout, out, v, source) for v in (LEVELS, torch.tensor([NAN]))])
    p = p / p.sum()  # nothing beyond what was observed
    assert set(drawn[~drawn.isnan()].tolist()) <= set(LEVELS.tolist())
    counts = torch.bincount(drawn.nan_to_num(21.0).long(), minlength=22)
    assert agree(counts.numpy(), (p * rows).numpy(), rows)


@pytest.mark.parametrize("name", SAMPLES)
def test_numbers_are_drawn_by_their_distribution_function(name):
    rows = 5_000
    kind = number(name, gaps=True)
    layout, _, found = one(kind, rows=rows)
    found = found.observed()
    drawn = found.sample()
    gap = math.exp(float(found.log_w[0, len(kind.atoms) + 1]))
    missing = drawn.isnan()
    assert abs(float(missing.double().mean()) - gap) < 4 * math.sqrt(gap / rows)
    drawn = drawn[~missing]
    assert kind.low <= drawn.min()
    assert drawn.max() <= kind.high
    if kind.step is not None:
        assert layout.map_of(1).supports(drawn.unsqueeze(-1)).all()
    if kind.closed:
        assert set(drawn.tolist()) <= set(kind.atoms)
    at = torch.cat([drawn[:400], torch.tensor([kind.low, kind.high], dtype=DOUBLE)]).unique()
    below = (drawn.unsqueeze(-1) <= at + 1e-6 * (kind.step or 0)).double().mean(0)
    expected = cdf(found, at) / (1 - gap)
    assert float((below - expected).abs().max()) < 2.2 / math.sqrt(len(drawn))


def cdf(found, at):
    """P(x <= at) of the first of the laws, from its parts."""
    kind = found.column
    half = 0 if kind.step is None else kind.step / 2
    mixture = found.mixture.double()
    low, high = (
        mixture.cdf(torch.full((1,), end, dtype=DOUBLE))[0] for end in (found.low, found.high)
    )
    weights = found.log_w[:1].double().exp()[0]
    scores = torch.stack([found.maps.edges((v + half).expand(2, 1))[1, 0] for v in at])
    scores = scores.clamp(found.low, found.high)
    inside = torch.stack([mixture.cdf(s.expand(len(found.log_w)))[0] for s in scores])
    total = weights[len(kind.atoms)] * (inside - low) / (high - low)
    for weight, atom in zip(weights, kind.atoms, strict=False):
        total = total + weight * (at >= atom - 1e-6 * (kind.step or 0))
    return total


def test_a_copy_is_drawn_exactly_and_as_often_as_it_is_scored():
    rows = 20_000
    layout, out, found = one(
        Numeric((-3.0, 9.0), (-2.0, 2.0), low=-3.0, high=9.0, copies=(Copy((0,)),)), 1 / 3, rows
    )
    share = float((found.observed().sample() == 1 / 3).double().mean())
    w = found.observed().log_w.exp()[0, 1]
    assert share == pytest.approx(float(w), abs=4 * math.sqrt(0.25 / rows))
    scored = probabilities(layout, out, torch.tensor([1 / 3], dtype=DOUBLE), 1 / 3)
    assert float(scored) == pytest.approx(float(found.log_w.exp()[0, 1]), rel=1e-5)
    _, _, outside = one(
        Numeric((-3.0, 9.0), (-2.0, 2.0), low=-3.0, high=9.0, copies=(Copy((0,)),)), 9.5, 1_000
    )
    assert outside.observed().sample().max() <= 9.0


# -- one value ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [7.0, NAN])
def test_the_middle_of_a_number_is_its_median(source):
    for seed in range(20):
        torch.manual_seed(seed)
        layout, out, found = one(COUNT, source, size=2.0)
        p = probabilities(layout, out, LEVELS, source)
        gap = float(probabilities(layout, out, torch.tensor([NAN]), source))
        gap = gap / (gap + float(p.sum()))
        got = float(found.observed().middle())
        if gap > 0.5 + 1e-4:
            assert math.isnan(got)
        elif gap < 0.5 - 1e-4:
            reached = (p.cumsum(0) / p.sum()).sub(0.5)
            assert got in LEVELS[(reached > -1e-4) & (reached - p / p.sum() < 1e-4)].tolist()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_middle_is_the_median_of_many_draws(name):
    kind = number(name)
    _, _, found = one(kind, rows=4_001)
    found = found.observed()
    middle = float(found.middle()[0])
    if kind.closed:
        assert middle in kind.atoms
    drawn = found.sample()
    near = 1e-6 * (kind.step or 0)
    assert float((drawn <= middle + near).double().mean()) > 0.5 - 0.04
    assert float((drawn >= middle - near).double().mean()) > 0.5 - 0.04


@pytest.mark.parametrize(("gap", "missing"), [(0.45, False), (0.55, True)])
def test_the_middle_is_a_gap_where_that_is_likelier_than_not(gap, missing):
    _, _, found = one(LINE)
    log_w = torch.tensor([[0.2 * (1 - gap), 0.8 * (1 - gap), gap]]).log()
    assert math.isnan(float(replace(found, log_w=log_w).middle())) == missing


def test_a_median_that_is_an_atom_is_exactly_the_atom():
    _, _, found = one(replace(LINE, atoms=(1 / 3,)))
    heavy = replace(found, log_w=torch.tensor([[0.96, 0.02, 0.02]]).log())
    assert float(heavy.middle()) == 1 / 3


def test_the_middle_of_a_category_is_its_likeliest_outcome():
    log_w = torch.tensor([[0.1, 0.5, 0.4], [0.3, 0.2, 0.5]]).log()
    assert CategoryLaw(Categorical(3), log_w).middle().tolist() == [1.0, 2.0]
    code, gap = CategoryLaw(Categorical(2, gaps=True), log_w).middle().tolist()
    assert code == 1.0
    assert math.isnan(gap)


# -- temperature ----------------------------------------------------------------------------------


def test_a_temperature_of_one_changes_nothing():
    for kind in (COUNT, LINE, CODES):
        _, _, found = one(kind, 7.0)
        same = found.tempered(1.0)
        torch.testing.assert_close(same.log_w, found.log_w)
        if kind is not CODES:
            assert torch.equal(same.mixture.scale, found.mixture.scale)


def test_the_colder_the_likelier():
    log_w = torch.tensor([[0.2, 0.3, 0.5]]).log()
    squared = torch.tensor([[0.04, 0.09, 0.25]]) / 0.38
    for found in (
        CategoryLaw(Categorical(3), log_w),
        ChoiceLaw(torch.tensor([4.0, 5.0, NAN], dtype=DOUBLE), log_w),
    ):
        torch.testing.assert_close(found.tempered(0.5).log_w.exp(), squared)
    cold = CategoryLaw(Categorical(3), log_w.expand(100, -1)).tempered(1e-3)
    assert (cold.sample() == 2).all()
    for seed in range(5):
        torch.manual_seed(seed)
        _, _, found = one(LINE, rows=200, size=2.0)
        found = found.observed().tempered(1e-4)
        drawn = found.sample()
        heaviest = int(found.log_w[0].argmax())
        if heaviest == 0:
            assert (drawn == 2.5).all()
        elif heaviest == 2:
            assert drawn.isnan().all()
        else:
            place = found.mixture.location[0, found.mixture.logits[0].argmax()].double()
            expected = found.maps.inverse(place.clamp(found.low, found.high).reshape(1, 1))
            assert float((drawn - expected.clamp(-3.0, 9.0)).abs().max()) < 0.05


def test_a_cold_mixture_is_cold_in_every_component():
    _, _, found = one(LINE)
    cold = tempered(found.mixture, 0.5)
    torch.testing.assert_close(found.tempered(0.5).mixture.scale, found.mixture.scale * 0.5)
    torch.testing.assert_close(cold.logits, (found.mixture.logits * 2).log_softmax(-1))


# -- draws keep to what was observed --------------------------------------------------------------


def test_what_is_drawn_is_the_law_given_the_observed_range():
    layout, out, found = one(COUNT, 7.0)
    observed = found.observed()
    everything = Allowed(values=tuple(LEVELS.tolist()), gap=True)
    _, all_of_it = observed.restricted(everything)
    assert float(all_of_it) == pytest.approx(0.0, abs=1e-5)
    _, inside = found.restricted(everything)
    p = probabilities(layout, out, torch.cat([LEVELS, torch.tensor([NAN])]), 7.0).sum()
    assert float(inside.exp()) == pytest.approx(float(p), rel=1e-5)
    assert observed.observed().log_w.exp().sum() == pytest.approx(1.0, abs=1e-5)


def test_parameters_out_of_all_proportion_still_draw_something_observed():
    for size in (30.0, 300.0, 3e4):
        for kind in (COUNT, LINE, number("most are zero"), number("jumps at both ends")):
            layout = RowLayout([SOURCE, kind])
            out = outputs(layout, 200, size)
            found = law(layout, 1, out, torch.zeros(200, 2, dtype=DOUBLE)).observed()
            for value in (found.sample(), found.middle(), found.tempered(0.01).sample()):
                value = value[~value.isnan()]
                assert ((value >= kind.low) & (value <= kind.high)).all()
                assert layout.map_of(1).supports(value.unsqueeze(-1)).all()


def test_the_grid_of_a_far_column_is_drawn_without_rounding():
    kind = Numeric((1e9 - 0.005, 1e9 + 1.005), (-2.0, 2.0), 0.01, low=1e9, high=1e9 + 1)
    _, _, found = one(kind, rows=500)
    drawn = found.observed().sample()
    assert len(drawn.unique()) > 80
    assert ((drawn.unsqueeze(-1) - grid(kind, 5)).abs().amin(-1) < 1e-6).all()
