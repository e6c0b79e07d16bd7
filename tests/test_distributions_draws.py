"""Draws without a law: they have the law of what was observed, and are known as they are read."""

import math

import numpy as np
import pytest
import torch
from columns import DOUBLE, NAN, SAMPLES, law, number, outputs
from scipy import stats

from variate.distributions import Allowed, Categorical, Copy, Numeric, RowLayout
from variate.distributions.draws import draw_of
from variate.distributions.outcomes import drawn_outcomes, padded

ROWS = 20_000
SOURCE = Numeric((-10.0, 10.0), (-2.0, 2.0), gaps=True)
COUNT = Numeric(
    (-0.5, 0.5, 5.5, 20.5),
    (-1.5, 0.5, 1.0, 2.0),
    1.0,
    atoms=(0.0, 3.0, 12.0, 30.0),  # the last is never drawn
    gaps=True,
    low=0.0,
    high=20.0,
    copies=(Copy((0,)), Copy((0,), (-1.0,))),
)
CLOSED = Numeric((-0.5, 9.5), (-2.0, 2.0), 1.0, atoms=(0.0, 4.0, 9.0), closed=True, low=0, high=9)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(3)


def drawn_and_law(column, rows=ROWS, source=NAN, shift=0.0, laws=1):
    """Draws from many equal laws of a column that follows a source, and some of these laws."""
    layout = RowLayout([SOURCE, column], components=3)
    logits, numbers = outputs(layout, 1)
    numbers[:, :, 3:6] += shift  # the mixtures' locations
    x = torch.tensor([[source, 0.0]], dtype=DOUBLE)
    own = next((p[b.index(1)] for b, p in zip(layout.buckets, logits, strict=True) if 1 in b), None)
    raw = numbers[-1].expand(rows, -1) if isinstance(column, Numeric) else None
    made = draw_of(layout, 1)(
        None if own is None else padded(own[:, : column.outcomes]).expand(rows, -1),
        lambda some: raw[some],
        x.expand(rows, -1),
        torch.Generator().manual_seed(5),
    )
    out = [part.expand(-1, laws, -1) for part in logits], numbers.expand(-1, laws, -1)
    return layout, made, law(layout, 1, out, x.expand(laws, -1))


def agree(counts, p):
    """Whether counts agree with probabilities, what is expected less than five times together."""
    expected = p * counts.sum()
    few = expected < 5
    counts = np.append(counts[~few], counts[few].sum())
    expected = np.append(expected[~few], expected[few].sum())
    assert not counts[expected == 0].any()
    counts, expected = counts[expected > 0], expected[expected > 0]
    return (
        len(counts) == 1
        or stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3
    )


@pytest.mark.parametrize("column", [Categorical(7, gaps=True), Categorical(40), Categorical(1)])
def test_levels_are_drawn_by_their_probabilities(column):
    _, made, found = drawn_and_law(column)
    counts = torch.bincount(made.outcome, minlength=column.outcomes).numpy()
    assert agree(counts, found.log_w[0].double().exp().numpy())
    codes = made.values.nan_to_num(float(column.levels))
    assert torch.equal(codes, made.outcome.double())
    assert column.gaps == bool(made.values.isnan().any())
    assert made.open is None


@pytest.mark.parametrize("shift", [0.0, 3.0, -60.0])  # the mixture: inside, half outside, outside
@pytest.mark.parametrize("source", [7.0, -3.0, 2.25, 50.0, NAN])
def test_numbers_are_drawn_by_the_law_of_what_was_observed(source, shift):
    """Copies may be on the grid, off it, beyond it or missing."""
    _, made, found = drawn_and_law(COUNT, source=source, shift=shift)
    values = torch.arange(21, dtype=DOUBLE)
    p = probabilities(found.observed(), [*values.tolist(), NAN])
    counts = torch.bincount(made.values.nan_to_num(21.0).long(), minlength=22).numpy()
    assert set(made.values[~made.values.isnan()].tolist()) <= set(values.tolist())
    assert agree(counts, p)


@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_nothing_but_atoms_is_drawn_of_a_closed_column(shift):
    _, made, found = drawn_and_law(CLOSED, shift=shift)
    counts = np.array([int((made.values == atom).sum()) for atom in CLOSED.atoms])
    assert counts.sum() == ROWS
    assert agree(counts, probabilities(found.observed(), CLOSED.atoms))


def probabilities(observed, values):
    p = [observed.restricted(Allowed(values=() if v != v else (v,), gap=v != v))[1] for v in values]
    return torch.stack(p)[:, 0].double().exp().numpy()


@pytest.mark.parametrize("shift", [0.0, 2.5])
@pytest.mark.parametrize("name", SAMPLES)
def test_draws_are_those_of_the_law_by_their_distribution_function(name, shift):
    """Two samples, of the draws and of the law, which is held against its density elsewhere."""
    column = number(name, gaps=True)
    _, made, found = drawn_and_law(column, rows=6_000, shift=shift, laws=6_000)
    other = found.observed().sample()
    for values in (made.values, other):
        values[values.isnan()] = column.high + 1e6  # a gap lies beyond all numbers
    assert stats.ks_2samp(made.values.numpy(), other.numpy()).pvalue > 1e-4
    assert made.values.min() >= column.low
    assert not column.closed or set(made.values.tolist()) <= {*column.atoms, column.high + 1e6}


@pytest.mark.parametrize("column", [COUNT, CLOSED, number("smooth"), number("heaped payments")])
def test_outcomes_are_as_the_values_are_read(column):
    layout, made, _ = drawn_and_law(column, rows=2_000, source=4.0)
    read, _, _ = layout.read_one(1, made.values)
    known = torch.ones(2_000, dtype=torch.bool)
    if made.open is not None:
        known[made.open] = False
    assert torch.equal(made.outcome[known].long(), read[known])
    assert known.any() or not column.outcomes


def test_an_outcome_without_probability_is_never_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]]).expand(200_000, -1)
    assert set(drawn_outcomes(logits).unique().tolist()) == {1, 3}
    nothing = torch.full((3, 4), -torch.inf)
    assert (drawn_outcomes(nothing) < 4).all()


def test_one_beyond_is_drawn_as_often_as_asked():
    drawn = drawn_outcomes(torch.zeros(ROWS, 5), beyond=0.25)
    counts = torch.bincount(drawn, minlength=6).numpy()
    assert agree(counts, np.array([0.16] * 5 + [0.2]))


def test_scores_are_drawn_by_the_mixture_and_its_broad_component():
    layout = RowLayout([SOURCE], components=3)
    raw = torch.tensor([[0.3, -0.5, 1.0, -1.0, 0.5, 2.0, -3.0, -1.0, -9.0]])
    scores = layout.drawn_scores(raw.expand(ROWS, -1)).sort().values
    mixture = layout.mixture(raw).double()
    below = torch.stack([mixture.cdf(score.reshape(1))[0] for score in scores[::40]])
    share = (torch.arange(ROWS, dtype=DOUBLE)[::40] + 0.5) / ROWS
    assert float((below - share).abs().max()) < 1.95 / math.sqrt(ROWS)
    far = layout.drawn_scores(raw.expand(2_000_000, -1))
    assert int((far.abs() > 8).sum()) == 0
    broad = mixture.logits.exp()[0, -1]
    assert float(broad) == pytest.approx(1e-4, rel=1e-3)
    narrow = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1e4, -1e4, -1e4]])
    away = layout.drawn_scores(narrow.expand(2_000_000, -1)).abs() > 0.05
    assert int(away.sum()) == pytest.approx(2_000_000 * 1e-4 * 0.95, abs=60)
